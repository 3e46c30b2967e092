//! `metaopt fork STUDY NEW [--add …]`

use serde_json::{Map, Value, json};

use crate::{
    client::segment,
    context::{Context, study_path},
    failure::Failure,
    json::text,
    markers,
};

/// Start a new study from an old one's trials
#[derive(Clone, Debug, clap::Args)]
pub struct Args {
    /// Name or ID
    #[arg(value_name = "STUDY")]
    pub study: String,
    /// The new study's name
    #[arg(value_name = "NEW")]
    pub name: String,
    /// A parameter to add; it needs a default, which the old trials then have
    #[arg(long, value_name = "NAME~'prior(…, default_value=…)'")]
    pub add: Vec<String>,
}

/// Forks it.
pub fn run(args: Args, context: &Context) -> Result<(), Failure> {
    let mut body = Map::from_iter([("name".to_owned(), Value::from(args.name.as_str()))]);
    if !args.add.is_empty() {
        let expanded = markers::expand(&args.add)?;
        if expanded.params.len() != args.add.len() {
            return Err(
                Failure::usage("--add takes a marker").hint("as in --add momentum~'uniform(0, 1, default_value=0.9)'")
            );
        }
        if let Some(param) = expanded.params.iter().find(|param| param.default.is_none()) {
            return Err(Failure::usage(format!("`{}` needs a default, for the trials from before", param.name))
                .hint(format!("--add {}~'…, default_value=…)'", param.name)));
        }
        body.insert("add".into(), json!(expanded.params));
    }
    let answer = context.client()?.post(&study_path(&args.study, "/fork"), &Value::Object(body));
    let study = answer.map_err(|failure| context.with_nearest(failure, &args.study))?;
    if context.out.json {
        return context.out.body(&study);
    }
    context.out.line(format!("{}\t{}", text(&study, "name"), segment(text(&study, "id"))))
}

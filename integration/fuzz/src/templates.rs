//! Template files and placeholders: markers become placeholders and nothing else of the file changes; a command that
//! was checked at submit can always be expanded; text without known names stays as it is.
//!
//! Input: a text.

use metaopt::markers::template::rewrite;
use metaopt_schema::{
    space::Params,
    template::{Piece, TrialVars, check, expand, expand_text, parse},
};

use crate::markers::{are_parameters, points_into_its_line};

pub fn run(data: &[u8]) -> bool {
    let Ok(text) = std::str::from_utf8(data) else { return false };
    let file = a_file(text);
    let command = a_command(text);
    file || command
}

fn a_file(text: &str) -> bool {
    let template = match rewrite("file", text) {
        Err(error) => {
            points_into_its_line(&error);
            return false;
        }
        Ok(None) => return false,
        Ok(Some(template)) => template,
    };
    are_parameters(&template.params);
    assert_eq!(template.text.matches('\n').count(), text.matches('\n').count(), "lines stay lines");
    for param in &template.params {
        assert!(template.text.contains(&format!("{{{}}}", param.name)));
    }
    true
}

fn a_command(text: &str) -> bool {
    let command: Vec<String> = text.lines().map(str::to_owned).collect();
    let vars = TrialVars {
        id: "n.7".into(),
        label: "gpu1-7".into(),
        checkpoint_dir: "/d/ck".into(),
        output_dir: "/d/out".into(),
    };
    let names = ["lr", "opt", "a-b.c"];
    let params: Params =
        [("lr", 0.1.into()), ("opt", "{lr}".into())].map(|(name, value)| (name.to_owned(), value)).into();
    let nothing = Params::new();
    assert_eq!(expand_text(text, &nothing, &[] as &[&str], &vars).contains("{trial.id}"), escaped(text));
    let filled = expand_text(text, &params, &names, &vars);
    assert!(filled.len() <= text.len() * 4 + 64, "an expansion is not expanded again");
    if check(&command, &names).is_err() {
        return false;
    }
    let expanded = expand(&command, &params, &names, &vars).expect("what was checked expands");
    assert!(expanded.len() <= command.len());
    // Without placeholders an argument is itself, its doubled braces single.
    for argument in &command {
        let pieces = parse(argument).expect("what was checked parses");
        let plain: Option<String> =
            pieces.iter().map(|piece| if let Piece::Text(text) = piece { Some(*text) } else { None }).collect();
        if let Some(plain) = plain {
            assert_eq!(plain, argument.replace("{{", "{").replace("}}", "}"));
        }
    }
    text.contains('{')
}

/// Whether the text holds `{{trial.id}}`, which stands for `{trial.id}` itself.
fn escaped(text: &str) -> bool {
    text.contains("{{trial.id}}")
}

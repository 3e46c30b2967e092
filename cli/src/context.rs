//! What every verb is given: how to reach the daemon and how to speak.

use std::cell::OnceCell;

use serde_json::Value;

use crate::{
    cli::Global,
    client::{Client, Place, segment},
    failure::{Failure, NOT_FOUND},
    nearest::nearest,
    output::Output,
};

/// The surroundings of one command.
#[derive(Debug)]
pub struct Context {
    /// Where the daemon is.
    pub place: Place,
    /// How to speak.
    pub out: Output,
    client: OnceCell<Client>,
}

impl Context {
    /// From the environment and the global options.
    pub fn new(global: &Global) -> Self {
        Self { place: Place::from_env(global.data_dir.clone()), out: Output::new(global.json), client: OnceCell::new() }
    }

    /// The daemon, started when there is none.
    pub fn client(&self) -> Result<&Client, Failure> {
        if let Some(client) = self.client.get() {
            return Ok(client);
        }
        let client = self.place.connect()?;
        Ok(self.client.get_or_init(|| client))
    }

    /// A study by ID or name; an unknown one is answered with the nearest name.
    pub fn study(&self, name: &str) -> Result<Value, Failure> {
        let client = self.client()?;
        client.get(&format!("/studies/{}", segment(name))).map_err(|failure| self.with_nearest(failure, name))
    }

    /// Adds the nearest study's name to a "not found".
    pub fn with_nearest(&self, failure: Failure, name: &str) -> Failure {
        if failure.code != NOT_FOUND {
            return failure;
        }
        let studies = self.client().and_then(|client| client.list("/studies", 1000)).unwrap_or_default();
        let names: Vec<&str> = studies.iter().filter_map(|study| study.get("name").and_then(Value::as_str)).collect();
        let failure = Failure { message: format!("there is no study `{name}`"), causes: Vec::new(), ..failure };
        match (nearest(name, names.iter().copied()), names.is_empty()) {
            (Some(near), _) => failure.hint(format!("did you mean `{near}`?")),
            (None, true) => failure.hint("there are no studies yet: start one with metaopt submit"),
            (None, false) => failure.hint("`metaopt status` lists the studies"),
        }
    }

    /// The trial of a label or ID.
    pub fn trial(&self, label: &str) -> Result<Value, Failure> {
        self.client()?.get(&trial_path(label, "")).map_err(|failure| unknown_trial(failure, label))
    }
}

/// `/trials/{label}{more}`
pub fn trial_path(label: &str, more: &str) -> String {
    format!("/trials/{}{more}", segment(label))
}

/// `/studies/{name}{more}`
pub fn study_path(name: &str, more: &str) -> String {
    format!("/studies/{}{more}", segment(name))
}

/// Says how trials are found, where one wasn't.
pub fn unknown_trial(failure: Failure, label: &str) -> Failure {
    if failure.code != NOT_FOUND {
        return failure;
    }
    let failure = Failure { message: format!("there is no trial `{label}`"), causes: Vec::new(), ..failure };
    failure.hint("`metaopt trials STUDY` lists the labels")
}

//! Calls from inside a trial. A script never fails because its daemon is away: what can't be delivered is spooled
//! beside the results file, in order, and delivered by the next call or by the attempt's supervisor.

use std::{
    fs::File,
    io::{Read, Seek, SeekFrom, Write},
    path::PathBuf,
    time::Duration,
};

use serde_json::{Map, Value, json};

use crate::{
    client::http::{Reply, refusal},
    context::{Context, trial_path},
    failure::{Doing, Failure, NO_DAEMON},
};

/// The trial that a call is about, and where its calls wait.
#[derive(Clone, Debug)]
pub struct Trial {
    /// ID or label.
    pub trial: String,
    attempt: Option<u64>,
    spool: Option<PathBuf>,
}

impl Trial {
    /// The one named, else the one we run in.
    pub fn find(named: Option<&str>) -> Result<Self, Failure> {
        let text = |name: &str| std::env::var(name).ok().filter(|value| !value.is_empty());
        if let Some(trial) = named {
            return Ok(Self { trial: trial.to_owned(), attempt: None, spool: None });
        }
        let trial = text("METAOPT_TRIAL_ID").ok_or_else(|| {
            Failure::usage("this is not inside a trial: METAOPT_TRIAL_ID is not set")
                .hint("name one with --trial LABEL")
        })?;
        let results = text("METAOPT_RESULTS_PATH").map(PathBuf::from);
        Ok(Self {
            trial,
            attempt: text("METAOPT_ATTEMPT").and_then(|attempt| attempt.parse().ok()),
            spool: results.and_then(|path| Some(path.parent()?.join("spool.jsonl"))),
        })
    }

    /// Posts a body to `reports` or `complete`; `None` when it was spooled instead.
    pub fn deliver(&self, context: &Context, call: &str, mut body: Value) -> Result<Option<Value>, Failure> {
        if let (Some(attempt), Some(map)) = (self.attempt, body.as_object_mut()) {
            map.insert("attempt".into(), attempt.into());
        }
        let Some(path) = &self.spool else {
            return context.client()?.post(&trial_path(&self.trial, &format!("/{call}")), &body).map(Some);
        };
        let mut spool = Spool::open(path)?;
        let mut waiting = spool.calls()?;
        let mut delivered = 0;
        let mut answer = Err(away());
        waiting.push(json!({"call": call, "body": body}));
        let last = waiting.len() - 1;
        for (at, waiting) in waiting.iter().enumerate() {
            let call = waiting.get("call").and_then(Value::as_str).unwrap_or_default();
            let reply = self.post(context, call, waiting.get("body").unwrap_or(&Value::Null), at == last);
            match reply {
                Ok(reply) => {
                    delivered = at + 1;
                    answer = if reply.status < 400 { Ok(reply.body) } else { Err(refusal(&reply)) };
                }
                Err(failure) => {
                    answer = Err(failure);
                    break;
                }
            }
        }
        spool.keep(&waiting[delivered..])?;
        match answer {
            Ok(body) => Ok(Some(body)),
            Err(failure) if delivered <= last => {
                let why = failure.causes.first().unwrap_or(&failure.message);
                context.out.say(format!("metaopt: the daemon is away ({why}); kept for when it returns"));
                Ok(None)
            }
            Err(failure) => Err(failure),
        }
    }

    /// Tries for a moment. An unreachable or overloaded daemon is a failure, a refusal is an answer.
    fn post(&self, context: &Context, call: &str, body: &Value, patient: bool) -> Result<Reply, Failure> {
        let tries = if patient { 3 } else { 1 };
        let mut last = away();
        for attempt in 0..tries {
            if attempt > 0 {
                std::thread::sleep(Duration::from_millis(200 << attempt));
            }
            let client = match context.place.running() {
                Ok(Some(client)) => client,
                Ok(None) => continue,
                Err(failure) if failure.code == NO_DAEMON => {
                    last = failure;
                    continue;
                }
                Err(failure) => return Err(failure),
            };
            match client.reply("POST", &trial_path(&self.trial, &format!("/{call}")), Some(body)) {
                Ok(reply) if !matches!(reply.status, 429 | 503) => return Ok(reply),
                Ok(reply) => last = refusal(&reply),
                Err(failure) => last = failure,
            }
        }
        Err(last)
    }
}

fn away() -> Failure {
    Failure::no_daemon("there is no daemon")
}

/// `spool.jsonl`, held for as long as this lives.
struct Spool {
    path: PathBuf,
    file: File,
}

impl Spool {
    fn open(path: &std::path::Path) -> Result<Self, Failure> {
        let cannot = || format!("cannot use {}", path.display());
        let file = File::options().read(true).append(true).create(true).open(path).doing(cannot)?;
        file.lock().doing(cannot)?;
        Ok(Self { path: path.to_owned(), file })
    }

    /// Calls that wait, oldest first; a line torn by a crash is skipped.
    fn calls(&mut self) -> Result<Vec<Value>, Failure> {
        let mut text = Vec::new();
        self.file.seek(SeekFrom::Start(0)).and_then(|_| self.file.read_to_end(&mut text)).doing(|| self.cannot())?;
        let lines = text.split(|byte| *byte == b'\n').filter_map(|line| serde_json::from_slice::<Value>(line).ok());
        Ok(lines.filter(|call| call.get("call").is_some_and(Value::is_string)).collect())
    }

    fn keep(&mut self, calls: &[Value]) -> Result<(), Failure> {
        let text: String = calls.iter().map(|call| format!("{call}\n")).collect();
        let done = self.file.set_len(0).and_then(|()| self.file.write_all(text.as_bytes()));
        done.and_then(|()| self.file.sync_data()).doing(|| self.cannot())
    }

    fn cannot(&self) -> String {
        format!("cannot use {}", self.path.display())
    }
}

/// `loss=0.4 acc=0.9` as numbers. `null` where `lenient` and the number is not finite: a curve may hold such points.
pub fn metrics(pairs: &[String], lenient: bool) -> Result<Map<String, Value>, Failure> {
    let mut out = Map::new();
    for pair in pairs {
        let Some((name, text)) = pair.split_once('=').filter(|(name, _)| !name.is_empty()) else {
            return Err(Failure::usage(format!("`{pair}` is not METRIC=NUMBER")).hint("as in loss=0.4"));
        };
        let number: f64 = text
            .trim()
            .parse()
            .map_err(|_| Failure::usage(format!("`{text}` is not a number")).hint(format!("as in {name}=0.4")))?;
        let value = match number.is_finite() {
            true => Value::from(number),
            false if lenient => Value::Null,
            false => {
                return Err(Failure::usage(format!("`{name}` is {text}: a result must be a finite number"))
                    .hint("say `--state fail` or `--state infeasible` instead"));
            }
        };
        if out.insert(name.to_owned(), value).is_some() {
            return Err(Failure::usage(format!("`{name}` is given twice")));
        }
    }
    Ok(out)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn metrics_are_finite_numbers_or_points_of_a_curve() {
        let pairs = |list: &[&str]| list.iter().map(|pair| (*pair).to_owned()).collect::<Vec<_>>();
        assert_eq!(Value::from(metrics(&pairs(&["loss=0.4", "n=3"]), false).unwrap()), json!({"loss": 0.4, "n": 3.0}));
        assert_eq!(Value::from(metrics(&pairs(&["loss=nan"]), true).unwrap()), json!({"loss": null}));
        for bad in ["loss=nan", "loss", "=3", "loss=x"] {
            assert_eq!(metrics(&pairs(&[bad]), false).unwrap_err().code, crate::failure::USAGE, "{bad}");
        }
        assert!(metrics(&pairs(&["a=1", "a=2"]), false).is_err());
    }

    #[test]
    fn a_spool_keeps_order_and_skips_torn_lines() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("spool.jsonl");
        std::fs::write(&path, "{\"call\":\"reports\",\"body\":{\"step\":1}}\n{\"call\":\"rep").unwrap();
        let mut spool = Spool::open(&path).unwrap();
        let calls = spool.calls().unwrap();
        assert_eq!(calls.len(), 1);
        spool.keep(&[calls[0].clone(), json!({"call": "complete", "body": {}})]).unwrap();
        drop(spool);
        assert_eq!(Spool::open(&path).unwrap().calls().unwrap().len(), 2);
        assert!(std::fs::read_to_string(&path).unwrap().ends_with("}\n"));
    }
}

//! Where a trial's parameters came from, and whether drawing again gives the same.

use metaopt_schema::trial::Proposer;
use serde_json::{Value, json};

use super::Node;
use crate::Refusal;

impl Node {
    /// Everything that reproduces a trial's parameters, and whether it does.
    ///
    /// # Errors
    /// Unknown trial.
    pub fn explain(&self, trial: &str) -> Result<Value, Refusal> {
        let (study, view) = self.trial(trial)?;
        let head = json!({
            "trial": view.place.id, "label": view.label(), "study": study.name, "study_id": study.id,
            "params": view.spec.params.params(), "proposed_by": view.place.node,
        });
        let rest = match &view.spec.by {
            Proposer::Enqueued => {
                json!({"source": "enqueued", "reproduced": null, "detail": "the parameters were given, not drawn"})
            }
            Proposer::Imported => json!({"source": "imported", "from": view.imported_as(), "reproduced": null,
                "detail": "the trial came with an import or a fork"}),
            Proposer::Sampler { name, seed, slot, draw, saw } => {
                let (reproduced, detail, redrawn) = match self.redraw(study, view) {
                    Some(Ok(params)) if params == view.spec.params.params() => {
                        (true, "drawing again from the history as it stood gives the same parameters", Some(params))
                    }
                    Some(Ok(params)) => (
                        false,
                        "drawing again gives other parameters: the space was edited since, or the trial's node saw less of the history than this one knows",
                        Some(params),
                    ),
                    Some(Err(_)) => {
                        (false, "drawing again finds nothing left to draw: the space was edited since", None)
                    }
                    None => (false, "this version can't run the study's sampler", None),
                };
                json!({"source": "sampler", "reproduced": reproduced, "detail": detail, "redrawn": redrawn,
                    "inputs": {"sampler": name, "options": study.record.def.sampler, "seed": seed, "slot": slot, "draw": draw,
                        "trials_seen": saw, "at": {"ms": view.spec.at.ms, "n": view.spec.at.n, "node": view.spec.at.node},
                        "members": [view.place.node]}})
            }
        };
        let mut all = head;
        if let (Some(all), Value::Object(rest)) = (all.as_object_mut(), rest) {
            all.extend(rest);
        }
        Ok(all)
    }
}

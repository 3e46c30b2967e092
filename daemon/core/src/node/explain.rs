//! Where a trial's parameters came from, and whether drawing again gives the same.

use metaopt_schema::{
    NodeId,
    trial::Proposer,
    view::{StudyView, TrialView},
};
use serde_json::{Map, Value, json};

use super::{
    Node,
    draws::{Lost, Redrawn},
};
use crate::Refusal;

impl Node {
    /// Everything that reproduces a trial's parameters, and whether it does.
    ///
    /// # Errors
    /// Unknown trial.
    pub fn explain(&self, trial: &str) -> Result<Value, Refusal> {
        let (study, view) = self.trial(trial)?;
        let mut all = json!({
            "trial": view.place.id, "label": view.label(), "study": study.name, "study_id": study.id,
            "params": view.spec.params.params(), "proposed_by": view.place.node, "proposed_by_name": view.spec.node_name,
        });
        let rest = match &view.spec.by {
            Proposer::Enqueued => {
                json!({"source": "enqueued", "reproduced": null, "detail": "the parameters were given, not drawn"})
            }
            Proposer::Imported => json!({"source": "imported", "from": view.imported_as(), "reproduced": null,
                "detail": "the trial came with an import, a fork or a warm start"}),
            Proposer::Sampler { .. } => self.explain_draw(study, view),
        };
        if let (Some(all), Value::Object(rest)) = (all.as_object_mut(), rest) {
            all.extend(rest);
        }
        Ok(all)
    }

    fn explain_draw(&self, study: &StudyView, view: &TrialView) -> Value {
        let Proposer::Sampler { name, seed, slot, draw, saw, fit, .. } = &view.spec.by else { return Value::Null };
        let mut inputs = json!({"sampler": name, "options": study.record.def.sampler, "seed": seed, "slot": slot, "draw": draw,
            "trials_seen": saw, "at": {"ms": view.spec.at.ms, "n": view.spec.at.n, "node": view.spec.at.node}});
        if !fit.is_empty() {
            inputs["fit"] = json!(fit.values());
        }
        let again = self.redraw(study, view);
        if let (Ok(again), Some(inputs)) = (&again, inputs.as_object_mut()) {
            inputs.extend(self.what_it_saw(view, again));
        }
        let (reproduced, detail) = self.verdict_on(view, &again);
        let redrawn = again.ok().and_then(|again| again.result.ok());
        if let Some(suggestion) = redrawn.as_ref().filter(|suggestion| !suggestion.why.is_empty()) {
            inputs["why"] = json!(suggestion.why);
        }
        let redrawn = redrawn.map(|suggestion| suggestion.params);
        json!({"source": "sampler", "reproduced": reproduced, "detail": detail, "redrawn": redrawn, "inputs": inputs})
    }

    fn what_it_saw(&self, view: &TrialView, again: &Redrawn) -> Map<String, Value> {
        let name = |node: &NodeId| self.name_of(node).to_owned();
        let mut members: Vec<Value> = Vec::new();
        for (node, weight) in &again.sight.members {
            members.push(json!({"node": node, "name": name(node), "weight": weight}));
        }
        if members.is_empty() {
            members.push(json!({"node": view.place.node, "name": name(&view.place.node), "weight": 1.0}));
        }
        let saw = json!({
            "members": members, "budget_left": again.budget_left, "version": again.version,
            "saw": {"trials": again.pending + again.ended, "ended": again.ended, "open": again.pending, "not_yet": again.unseen},
        });
        if let Value::Object(saw) = saw { saw } else { Map::new() }
    }

    /// Whether the draw came out the same; none where that can't be told. And why.
    fn verdict_on(&self, view: &TrialView, again: &Result<Redrawn, Lost>) -> (Option<bool>, String) {
        let by = &view.spec.node_name;
        let again = match again {
            Ok(again) => again,
            Err(lost) => {
                let why = match lost {
                    Lost::Sampler => "this version can't run the study's sampler".to_owned(),
                    Lost::Unnoted => "an older metaopt drew it, which did not note what it knew".to_owned(),
                    Lost::Newer => format!("{by} drew it with a newer metaopt: ask there, or update this node"),
                    Lost::Missing if view.place.node == self.config.id => {
                        "not all that was known when it was drawn is here any more".to_owned()
                    }
                    Lost::Missing => format!("this node doesn't have all that {by} knew when it drew it, or not yet"),
                    Lost::Unreadable => "a document that it needs can't be read now".to_owned(),
                };
                return (None, why);
            }
        };
        match &again.result {
            Ok(suggestion) if suggestion.params == view.spec.params.params() => {
                (Some(true), "drawing again from what its node knew gives the same parameters".to_owned())
            }
            // Another version's sampler may well draw otherwise: that is no fault of this one.
            _ if again.version != self.config.hardware.version => (
                Some(false),
                format!(
                    "drawing again gives others: metaopt {} drew it, and this is {}",
                    again.version, self.config.hardware.version
                ),
            ),
            Ok(_) if view.place.node != self.config.id && !self.is_level_with(&view.place.node) => {
                (None, format!("this node doesn't have all that {by} knew when it drew it, or not yet"))
            }
            Ok(_) => (Some(false), "drawing again from what its node knew gives other parameters".to_owned()),
            Err(_) => (Some(false), "drawing again from what its node knew finds nothing left to draw".to_owned()),
        }
    }
}

//! What a study's definition must satisfy beyond its shape: names and options of samplers and rules, and whether they fit.

use metaopt_schema::{FieldError, Fields, study::StudyDef};

use crate::{rules, samplers};

/// Every reason why this engine cannot run `def`; call it after `metaopt_schema::study::validate::parse_study`.
pub fn check_study(def: &StudyDef) -> Result<(), Vec<FieldError>> {
    let mut errors = Fields::new();
    errors.0.extend(samplers::sampler(&def.sampler).err().into_iter().flatten());
    errors.0.extend(rules::rule_of(def).err().into_iter().flatten());
    if def.sampler.name == "grid"
        && let Ok(grid) = samplers::grid(&def.sampler.options)
        && let Some((place, why)) = grid.misfit(&def.space)
    {
        errors.add(format!("/space/{place}"), why);
    }
    if def.objectives.len() > 1 && def.early_stopping.rule != "none" {
        errors.add(
            "/early_stopping/rule",
            "a rule compares training curves of one objective, and this study has several; use `none`, or keep one objective and make the others constraints",
        );
    }
    errors.done(())
}

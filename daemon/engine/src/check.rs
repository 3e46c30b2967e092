//! What a study's definition must satisfy beyond its shape: names and options of samplers and rules, and whether they fit.

use metaopt_schema::{FieldError, study::StudyDef};

/// Every reason why this engine cannot run `def`; call it after `metaopt_schema::study::validate::parse_study`.
pub fn check_study(def: &StudyDef) -> Result<(), Vec<FieldError>> {
    let mut errors = Vec::new();
    errors.extend(crate::samplers::sampler(&def.sampler).err().into_iter().flatten());
    errors.extend(crate::rules::rule(&def.early_stopping).err().into_iter().flatten());
    if errors.is_empty() { Ok(()) } else { Err(errors) }
}

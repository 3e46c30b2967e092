//! Plots of what a model expects: `marginal` over single parameters, `contour` over two.
//!
//! Owns: which parameters are shown when none is asked for, and the metric's own sign. Must not: model.

use std::collections::HashMap;

use metaopt_api::plot::{Contour, Head, Marginal, MarginalPoint, ParamMarginal, Plot};
use metaopt_engine::{
    hash64,
    importance::{Sample, Surrogate, TOP, importances},
};
use metaopt_schema::{shape, study::Direction};

use super::{
    App,
    importances::sample,
    plots::{cost, head, known, valued},
    problem::{Answer, ApiError},
    query::Query,
};

/// Parameters of a marginal plot that names none: the most important ones.
const SHOWN: usize = 6;

/// One of the two plots.
pub(super) async fn get(app: &App, study: &str, kind: &str, query: &Query) -> Answer<Plot> {
    query.only(if kind == "marginal" { &["metric", "param"] } else { &["metric", "x", "y"] })?;
    let (id, sample) = sample(app, study).await?;
    let param = |name: &str| match query.get(name) {
        None => Ok(None),
        Some(asked) => sample.param(asked).map(Some).ok_or_else(|| unknown(&sample, name, asked)),
    };
    let (one, x, y) = (param("param")?, param("x")?, param("y")?);
    if x.is_some() && x == y {
        return Err(ApiError::field("?y", "must be another parameter than `x`"));
    }
    let metric = query.get("metric").map(str::to_owned);
    let shell = app.shell().clone();
    let kind = kind.to_owned();
    let work = move || {
        let (mut head, direction, values) = shell.read(|node, _| {
            let study = node.study(id.as_str())?;
            let (head, direction) = head(study, metric.as_deref());
            known(study, &head.metric)?;
            let values = valued(study, &head.metric);
            let values: Vec<(_, f64)> =
                values.into_iter().map(|(trial, value)| (trial.place.id.clone(), value)).collect();
            Ok::<_, ApiError>((head, direction, values))
        })?;
        head.total = values.len() as u64;
        let costs: HashMap<u64, f64> =
            values.iter().map(|(trial, value)| (hash64(trial.as_str()), cost(direction, *value))).collect();
        let model = Surrogate::fit(&sample, |key, _| costs.get(&key).copied());
        let ranked = || importances(&sample, None, TOP).into_iter().map(|one| one.param);
        Ok(match kind.as_str() {
            "marginal" => {
                let params = one.map_or_else(|| ranked().take(SHOWN).collect(), |one| vec![one]);
                Plot::Marginal(marginal(head, direction, &sample, model.as_ref(), &params))
            }
            _ => {
                let x = x.or_else(|| ranked().find(|i| Some(*i) != y));
                let y = y.or_else(|| ranked().find(|i| Some(*i) != x));
                Plot::Contour(contour(head, direction, &sample, model.as_ref(), x.zip(y)))
            }
        })
    };
    tokio::task::spawn_blocking(work).await.map_err(ApiError::internal)?
}

fn unknown(sample: &Sample, name: &str, asked: &str) -> ApiError {
    let params = sample.codec().space().params.iter();
    let known: Vec<&str> = params.filter(|p| !p.domain.is_fidelity()).map(|p| p.name.as_str()).collect();
    ApiError::field(format!("?{name}"), shape::unknown("parameter", asked, &known))
}

fn marginal(
    head: Head,
    direction: Option<Direction>,
    sample: &Sample,
    model: Option<&Surrogate>,
    params: &[usize],
) -> Marginal {
    let one = |model: &Surrogate, param: usize| {
        let points = model.curve(param).into_iter().map(|point| {
            let (low, high) = (cost(direction, point.low), cost(direction, point.high));
            MarginalPoint {
                x: point.x,
                mean: cost(direction, point.mean),
                deviation: point.deviation,
                low: low.min(high),
                high: low.max(high),
            }
        });
        ParamMarginal { param: sample.name(param).to_owned(), points: points.collect() }
    };
    let marginals = model.map(|model| params.iter().map(|param| one(model, *param)).collect());
    Marginal { head, marginals: marginals.unwrap_or_default() }
}

fn contour(
    head: Head,
    direction: Option<Direction>,
    sample: &Sample,
    model: Option<&Surrogate>,
    params: Option<(usize, usize)>,
) -> Contour {
    let Some((model, (x, y))) = model.zip(params) else {
        return Contour { head, x: None, y: None, xs: Vec::new(), ys: Vec::new(), means: Vec::new() };
    };
    let plane = model.plane(x, y);
    let name = |param: usize| Some(sample.name(param).to_owned());
    let signed = |row: Vec<Option<f64>>| row.into_iter().map(|mean| mean.map(|m| cost(direction, m))).collect();
    Contour {
        head,
        x: name(x),
        y: name(y),
        xs: plane.xs,
        ys: plane.ys,
        means: plane.means.into_iter().map(signed).collect(),
    }
}

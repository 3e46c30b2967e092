//! Configurations as models see them: one coordinate a parameter, and canonical ids.
//!
//! Numbers map to `[0, 1]` (logarithmic ones through `ln`; the `i`th of m cells of a discrete one to the middle of its
//! share), choices to their index. A fidelity has no coordinate and is no part of an id.

use std::collections::BTreeMap;

use metaopt_schema::space::{Domain, Params, Prior, Space, count::Cells, domain::round12};
use serde_json::{Number, Value};

use crate::math::truncated;

/// One parameter's value.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Cell {
    /// Inactive, or a fidelity.
    Off,
    /// A value of a continuous range, canonical.
    Real(f64),
    /// A position among finitely many values.
    Index(u64),
}

/// A configuration: cells by position in the space and their coordinates (NaN where off).
#[derive(Clone, Debug, PartialEq)]
pub struct Config {
    /// What it is.
    pub cells: Vec<Cell>,
    /// Where it lies: `[0, 1]` for numbers, the index for choices.
    pub u: Vec<f64>,
    /// Its canonical id: equal exactly for equal configurations of one space.
    pub id: u128,
}

/// How a parameter is modelled.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Axis {
    /// One value, or a fidelity: nothing to model.
    Fixed,
    /// A continuous range; `log`: through `ln`.
    Real {
        /// Its smallest value (of the logarithm).
        low: f64,
        /// Its largest.
        high: f64,
        /// Logarithmic.
        log: bool,
    },
    /// Values in order.
    Grid {
        /// How many.
        cells: u64,
        /// Logarithmic whole numbers from this one up.
        log_from: Option<f64>,
    },
    /// Values without order.
    Choice {
        /// How many.
        cells: u64,
    },
}

impl Axis {
    fn of(domain: &Domain) -> Self {
        match (domain, domain.cells()) {
            (_, Some(0 | 1)) | (Domain::Fidelity { .. }, _) => Self::Fixed,
            (Domain::Float { low, high, log, .. }, None) => {
                let scale = |v: f64| if *log { libm::log(v) } else { v };
                Self::Real { low: scale(*low), high: scale(*high), log: *log }
            }
            (Domain::Categorical { .. } | Domain::Bool {}, Some(cells)) => Self::Choice { cells },
            (Domain::Int { low, log: true, .. }, Some(cells)) => Self::Grid { cells, log_from: Some(*low as f64) },
            (_, Some(cells)) => Self::Grid { cells, log_from: None },
            (_, None) => Self::Fixed,
        }
    }

    /// Both edges of a cell's share of `[0, 1]`.
    pub fn edges(&self, i: u64) -> (f64, f64) {
        match *self {
            Self::Grid { cells, log_from: None } => (i as f64 / cells as f64, (i + 1) as f64 / cells as f64),
            Self::Grid { cells, log_from: Some(low) } => {
                let (start, end) = (libm::log(low - 0.5), libm::log(low + cells as f64 - 0.5));
                let at = |k: u64| ((libm::log(low + k as f64 - 0.5) - start) / (end - start)).clamp(0.0, 1.0);
                (at(i), at(i + 1))
            }
            _ => (0.0, 1.0),
        }
    }

    /// The middle of a cell's share.
    pub(crate) fn middle(&self, i: u64) -> f64 {
        let (from, to) = self.edges(i);
        (from + to) / 2.0
    }

    /// The cell of an ordered axis that `u` lies in.
    pub(crate) fn cell_at(&self, u: f64) -> u64 {
        match *self {
            Self::Grid { cells, log_from: None } | Self::Choice { cells } => ((u * cells as f64) as u64).min(cells - 1),
            Self::Grid { cells, log_from: Some(low) } => {
                let (start, end) = (libm::log(low - 0.5), libm::log(low + cells as f64 - 0.5));
                let value = libm::floor(libm::exp(start + u * (end - start)) + 0.5);
                ((value - low).max(0.0) as u64).min(cells - 1)
            }
            _ => 0,
        }
    }
}

/// A space compiled for models.
#[derive(Clone, Debug)]
pub struct Codec {
    space: Space,
    axes: Vec<Axis>,
    priors: Vec<Option<(f64, f64)>>,
    when: Vec<Vec<(usize, Vec<u64>)>>,
    groups: Vec<Vec<usize>>,
    cells: Option<Cells>,
    fingerprint: [u8; 32],
}

impl Codec {
    /// Compiles a space.
    pub fn new(space: &Space) -> Self {
        let axes: Vec<Axis> = space.params.iter().map(|p| Axis::of(&p.domain)).collect();
        let priors = space.params.iter().zip(&axes).map(|(p, axis)| prior(&p.domain, axis)).collect();
        // Serialised structs have a fixed order of fields, so this is as good as a canonical form.
        let text = serde_json::to_string(space).unwrap_or_default();
        let when = space.conditions();
        Self {
            axes,
            priors,
            groups: groups(space, &when),
            when,
            cells: Cells::new(space),
            fingerprint: *blake3::hash(text.as_bytes()).as_bytes(),
            space: space.clone(),
        }
    }

    /// The space.
    pub fn space(&self) -> &Space {
        &self.space
    }

    /// One axis a parameter.
    pub fn axes(&self) -> &[Axis] {
        &self.axes
    }

    /// The numbering of a finite space.
    pub fn numbering(&self) -> Option<&Cells> {
        self.cells.as_ref()
    }

    /// Each parameter's conditions: (parent, its allowed cells).
    pub fn conditions(&self) -> &[Vec<(usize, Vec<u64>)>] {
        &self.when
    }

    /// Positions of the parameters that are active under the same conditions; the first: of those without any. Parents'
    /// groups come before their children's.
    pub fn groups(&self) -> &[Vec<usize>] {
        &self.groups
    }

    /// Mean and standard deviation of a parameter's prior, in coordinates; none: uniform.
    pub fn prior(&self, i: usize) -> Option<(f64, f64)> {
        self.priors[i]
    }

    /// Whether parameter `i` is active, given the cells before it.
    pub fn is_active(&self, i: usize, cells: &[Cell]) -> bool {
        !self.space.params[i].domain.is_fidelity()
            && self.when[i].iter().all(|(parent, allowed)| match cells.get(*parent) {
                Some(Cell::Index(v)) => allowed.binary_search(v).is_ok(),
                _ => false,
            })
    }

    /// The value at coordinate `u` (choices: at the share of `[0, 1)` that `u` lies in).
    pub fn at(&self, i: usize, u: f64) -> Cell {
        let u = u.clamp(0.0, 1.0);
        match (&self.axes[i], &self.space.params[i].domain) {
            (Axis::Real { low, high, log }, Domain::Float { low: from, high: to, .. }) => {
                let at = low + u * (high - low);
                let value = if *log { libm::exp(at) } else { at };
                Cell::Real(round12(value).clamp(*from, *to))
            }
            (Axis::Fixed, _) => Cell::Index(0),
            (axis, _) => Cell::Index(axis.cell_at(u)),
        }
    }

    /// The value at quantile `q` of parameter `i`'s prior.
    pub fn quantile(&self, i: usize, q: f64) -> Cell {
        self.at(i, self.priors[i].map_or(q, |(mean, sigma)| truncated(q, mean, sigma)))
    }

    /// A configuration from a choice of cell for each active parameter, asked in order of declaration.
    pub fn build(&self, mut choose: impl FnMut(usize) -> Cell) -> Config {
        let mut cells = Vec::with_capacity(self.axes.len());
        for i in 0..self.axes.len() {
            let cell = if self.is_active(i, &cells) { choose(i) } else { Cell::Off };
            cells.push(cell);
        }
        self.config(cells)
    }

    /// A configuration from its cells.
    pub fn config(&self, cells: Vec<Cell>) -> Config {
        let u = cells.iter().enumerate().map(|(i, cell)| self.coordinate(i, *cell)).collect();
        let id = self.id(&cells);
        Config { cells, u, id }
    }

    fn coordinate(&self, i: usize, cell: Cell) -> f64 {
        match (cell, &self.axes[i]) {
            (Cell::Off, _) => f64::NAN,
            (Cell::Real(v), Axis::Real { low, high, log }) => {
                let at = if *log { libm::log(v) } else { v };
                ((at - low) / (high - low)).clamp(0.0, 1.0)
            }
            (Cell::Index(v), Axis::Grid { .. }) => self.axes[i].middle(v),
            (Cell::Index(v), _) => v as f64,
            (Cell::Real(_), _) => 0.5,
        }
    }

    fn id(&self, cells: &[Cell]) -> u128 {
        let mut hasher = blake3::Hasher::new();
        hasher.update(&self.fingerprint);
        for (i, cell) in cells.iter().enumerate() {
            let (tag, bits) = match cell {
                Cell::Off => continue,
                Cell::Real(v) => (b'f', v.to_bits()),
                Cell::Index(v) => (b'i', *v),
            };
            hasher.update(&(i as u16).to_le_bytes()).update(&[tag]).update(&bits.to_le_bytes());
        }
        let mut bytes = [0; 16];
        bytes.copy_from_slice(&hasher.finalize().as_bytes()[..16]);
        u128::from_le_bytes(bytes)
    }

    /// A trial's parameters; none where they don't fit the space. A missing one takes its default: the trial is older
    /// than the parameter.
    pub fn encode(&self, params: &Params) -> Option<Config> {
        let mut cells: Vec<Cell> = Vec::with_capacity(self.axes.len());
        for (i, param) in self.space.params.iter().enumerate() {
            if !self.is_active(i, &cells) {
                cells.push(Cell::Off);
                continue;
            }
            let value = params.get(&param.name).or(param.default.as_ref())?;
            cells.push(match self.axes[i] {
                Axis::Real { .. } => Cell::Real(param.domain.canonical(value).ok()?.as_f64()?),
                _ => Cell::Index(param.domain.cell_of(value)?),
            });
        }
        Some(self.config(cells))
    }

    /// Canonical parameters of a configuration.
    pub fn decode(&self, config: &Config) -> Params {
        let mut params = Params::new();
        for (i, cell) in config.cells.iter().enumerate().filter(|(_, cell)| **cell != Cell::Off) {
            params.insert(self.space.params[i].name.clone(), self.value(i, *cell));
        }
        params
    }

    /// The canonical value of one parameter; null where it is off.
    pub fn value(&self, i: usize, cell: Cell) -> Value {
        match cell {
            Cell::Off => Value::Null,
            Cell::Real(v) => Number::from_f64(v).map_or(Value::Null, Value::Number),
            Cell::Index(v) => self.space.params[i].domain.cell_value(v),
        }
    }

    /// Defaults where they are given, elsewhere the middle (of the prior), and the first of choices without order.
    pub fn start(&self) -> Config {
        self.build(|i| {
            let param = &self.space.params[i];
            let given = param.default.as_ref().and_then(|value| match self.axes[i] {
                Axis::Real { .. } => param.domain.canonical(value).ok()?.as_f64().map(Cell::Real),
                _ => param.domain.cell_of(value).map(Cell::Index),
            });
            given.unwrap_or_else(|| {
                if matches!(self.axes[i], Axis::Choice { .. }) { Cell::Index(0) } else { self.quantile(i, 0.5) }
            })
        })
    }
}

fn groups(space: &Space, when: &[Vec<(usize, Vec<u64>)>]) -> Vec<Vec<usize>> {
    // Parents are declared before children, so the order of first members has parents' groups first.
    let mut groups: Vec<Vec<usize>> = vec![Vec::new()];
    let mut places: BTreeMap<&[(usize, Vec<u64>)], usize> = BTreeMap::new();
    for (i, conditions) in when.iter().enumerate() {
        if space.params[i].domain.is_fidelity() {
            continue;
        }
        let place = if conditions.is_empty() { 0 } else { *places.entry(conditions).or_insert(groups.len()) };
        if place == groups.len() {
            groups.push(Vec::new());
        }
        groups[place].push(i);
    }
    groups
}

/// A prior this many times as wide as its range is uniform: within the range its density differs by less than one in 10^12,
/// and there would be no digits left to tell its quantiles apart.
const FLAT: f64 = 1e6;

fn prior(domain: &Domain, axis: &Axis) -> Option<(f64, f64)> {
    let (Domain::Float { prior, .. } | Domain::Int { prior, .. }) = domain else { return None };
    let Some(Prior::Normal(mean, sigma)) = prior else { return None };
    let (mean, sigma) = match (axis, domain) {
        (Axis::Real { low, high, .. }, _) => ((mean - low) / (high - low), sigma / (high - low)),
        (Axis::Grid { cells, log_from: Some(low) }, _) => {
            let (start, end) = (libm::log(low - 0.5), libm::log(low + *cells as f64 - 0.5));
            ((mean - start) / (end - start), sigma / (end - start))
        }
        (Axis::Grid { cells, .. }, Domain::Float { low, step: Some(step), .. }) => {
            (((mean - low) / step + 0.5) / *cells as f64, sigma / step / *cells as f64)
        }
        (Axis::Grid { cells, .. }, Domain::Int { low, step, .. }) => {
            let step = step.unwrap_or(1) as f64;
            (((mean - *low as f64) / step + 0.5) / *cells as f64, sigma / step / *cells as f64)
        }
        _ => return None,
    };
    (mean.is_finite() && sigma > 0.0 && sigma < FLAT).then_some((mean.clamp(0.0, 1.0), sigma))
}

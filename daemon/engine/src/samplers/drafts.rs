//! Candidates before they are configurations: coordinates alone, since most are weighed and thrown away, and values with
//! canonical digits are the costly part.

use super::breed;
use crate::{
    codec::{Axis, Cell, Codec, Config},
    math::{ppf, truncated},
    rng::Stream,
};

/// A candidate.
#[derive(Clone, Debug)]
pub struct Draft {
    /// Cells of discrete parameters; those of continuous ones only say that they are active.
    cells: Vec<Cell>,
    /// Coordinates, as in [`Config::u`].
    pub u: Vec<f64>,
}

impl Draft {
    /// A known configuration.
    pub fn of(config: &Config) -> Self {
        Self { cells: config.cells.clone(), u: config.u.clone() }
    }

    /// With its values.
    pub fn config(&self, codec: &Codec) -> Config {
        codec.build(|i| match codec.axes()[i] {
            Axis::Real { .. } => codec.at(i, self.u[i]),
            _ => self.cells[i],
        })
    }

    fn push(&mut self, codec: &Codec, i: usize, u: f64) {
        let (cell, u) = match &codec.axes()[i] {
            Axis::Real { .. } => (Cell::Real(u), u),
            axis => {
                let cell = codec.at(i, u);
                (cell, coordinate(axis, cell, u))
            }
        };
        self.cells.push(cell);
        self.u.push(u);
    }

    /// At a coordinate as [`Config::u`] has it.
    fn place(&mut self, codec: &Codec, i: usize, u: f64) {
        if matches!(codec.axes()[i], Axis::Choice { .. }) {
            self.cells.push(Cell::Index(u as u64));
            self.u.push(u);
        } else {
            self.push(codec, i, u);
        }
    }

    fn push_off(&mut self) {
        self.cells.push(Cell::Off);
        self.u.push(f64::NAN);
    }

    fn blank(codec: &Codec) -> Self {
        let n = codec.axes().len();
        Self { cells: Vec::with_capacity(n), u: Vec::with_capacity(n) }
    }

    fn draw(&mut self, codec: &Codec, i: usize, q: f64) {
        self.push(codec, i, codec.prior(i).map_or(q, |(mean, sigma)| truncated(q, mean, sigma)));
    }
}

fn coordinate(axis: &Axis, cell: Cell, u: f64) -> f64 {
    match (axis, cell) {
        (Axis::Grid { .. }, Cell::Index(at)) => axis.middle(at),
        (_, Cell::Index(at)) => at as f64,
        _ => u,
    }
}

/// One draw from the prior.
pub fn prior(codec: &Codec, stream: &mut Stream) -> Draft {
    let mut draft = Draft::blank(codec);
    for i in 0..codec.axes().len() {
        if codec.is_active(i, &draft.cells) { draft.draw(codec, i, stream.unit()) } else { draft.push_off() }
    }
    draft
}

/// The configuration at quantiles `q` of the priors, one per parameter, but for the coordinates in `fixed`.
pub fn at(codec: &Codec, q: &[f64], fixed: &[(usize, f64)]) -> Draft {
    let mut draft = Draft::blank(codec);
    for (i, q) in q.iter().enumerate() {
        if !codec.is_active(i, &draft.cells) {
            draft.push_off();
            continue;
        }
        match fixed.iter().find(|(param, _)| *param == i) {
            None => draft.draw(codec, i, *q),
            Some((_, u)) => draft.place(codec, i, *u),
        }
    }
    draft
}

/// `parent` with at least one parameter changed, and what became active by it drawn from its prior.
pub fn mutant(codec: &Codec, parent: &Draft, stream: &mut Stream) -> Draft {
    let axes = codec.axes();
    let open: Vec<usize> =
        (0..axes.len()).filter(|i| parent.cells[*i] != Cell::Off && axes[*i] != Axis::Fixed).collect();
    let mut changed = Vec::new();
    if !open.is_empty() {
        changed.push(open[stream.below(open.len())]);
        while changed.len() < open.len() && stream.unit() < 0.5 {
            changed.push(open[stream.below(open.len())]);
        }
    }
    // How far numbers move: from a third of the range down to a hundredth, evenly by ratio.
    let reach = 0.3 * libm::exp(-3.4 * stream.unit());
    let mut draft = Draft::blank(codec);
    for i in 0..axes.len() {
        if !codec.is_active(i, &draft.cells) {
            draft.push_off();
        } else if parent.cells[i] == Cell::Off {
            draft.draw(codec, i, stream.unit());
        } else if !changed.contains(&i) {
            draft.cells.push(parent.cells[i]);
            draft.u.push(parent.u[i]);
        } else {
            move_one(codec, &mut draft, i, parent, reach, stream);
        }
    }
    draft
}

fn move_one(codec: &Codec, draft: &mut Draft, i: usize, parent: &Draft, reach: f64, stream: &mut Stream) {
    let axis = &codec.axes()[i];
    if let (Axis::Choice { cells }, Cell::Index(at)) = (axis, parent.cells[i]) {
        draft.place(codec, i, breed::another(at, *cells, stream) as f64);
        return;
    }
    let step = reach * ppf(stream.unit());
    draft.push(codec, i, breed::reflect(parent.u[i] + step));
    if let (Axis::Grid { cells, .. }, Some(Cell::Index(now))) = (axis, draft.cells.last().copied())
        && Cell::Index(now) == parent.cells[i]
    {
        // Too short a step: the next cell, on the side there is one.
        let next = if (step > 0.0 && now + 1 < *cells) || now == 0 { now + 1 } else { now - 1 };
        draft.cells[i] = Cell::Index(next);
        draft.u[i] = coordinate(axis, Cell::Index(next), 0.0);
    }
}

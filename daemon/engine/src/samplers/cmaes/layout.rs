//! Which parameters the normal distribution covers, which the tables of choices, and what a trial remembers of its draw.

use crate::{
    codec::{Axis, Cell, Codec, Config},
    history::Record,
};

/// The first number of [`Record::fit`] where a trial is this sampler's own; no model fits a number like this one.
const MARK: f32 = 1.604_007_7e8;

/// See the module.
#[derive(Clone, Debug)]
pub struct Layout {
    /// Parameters with an order: dimensions of the normal distribution.
    pub numbers: Vec<usize>,
    /// Parameters without one, and how many values each has.
    pub choices: Vec<(usize, usize)>,
    /// Dimensions whose drawn coordinate the configuration doesn't tell: discrete ones, and those that may be inactive.
    hidden: Vec<usize>,
}

/// A finished trial as the distribution sees it.
#[derive(Clone, Debug)]
pub struct Sample {
    /// Where it was drawn, by dimension; NaN where nobody knows.
    pub x: Vec<f64>,
    /// Its values of the choices; none where inactive.
    pub choices: Vec<Option<usize>>,
    /// The run of the distribution that it was drawn from; none: another sampler chose it.
    pub run: Option<u32>,
}

impl Layout {
    /// The layout of a space.
    pub fn new(codec: &Codec) -> Self {
        let mut layout = Self { numbers: Vec::new(), choices: Vec::new(), hidden: Vec::new() };
        for (i, axis) in codec.axes().iter().enumerate() {
            match axis {
                Axis::Fixed => {}
                Axis::Choice { cells } => layout.choices.push((i, *cells as usize)),
                Axis::Real { .. } | Axis::Grid { .. } => {
                    if matches!(axis, Axis::Grid { .. }) || !codec.conditions()[i].is_empty() {
                        layout.hidden.push(layout.numbers.len());
                    }
                    layout.numbers.push(i);
                }
            }
        }
        layout
    }

    /// What a trial drawn at `x` in run `run` records.
    pub fn fit(&self, run: u32, x: &[f64]) -> Vec<f32> {
        [MARK, run as f32].into_iter().chain(self.hidden.iter().map(|j| x[*j] as f32)).collect()
    }

    /// Whether a trial is this sampler's own.
    pub fn is_own(&self, record: &Record) -> bool {
        record.fit.len() == 2 + self.hidden.len() && record.fit[0] == MARK
    }

    /// A finished trial. What it recorded is believed as far as its configuration agrees.
    pub fn sample(&self, codec: &Codec, record: &Record, config: &Config) -> Sample {
        let own = self.is_own(record);
        let mut x: Vec<f64> = self.numbers.iter().map(|i| config.u[*i]).collect();
        if own {
            for (place, &j) in self.hidden.iter().enumerate() {
                let drawn = f64::from(record.fit[2 + place]);
                let i = self.numbers[j];
                let (low, high) = match config.cells[i] {
                    Cell::Index(cell) => codec.axes()[i].edges(cell),
                    Cell::Off => (0.0, 1.0),
                    Cell::Real(_) => continue,
                };
                if drawn.is_finite() {
                    x[j] = drawn.clamp(low, high);
                }
            }
        }
        Sample { x, choices: self.values(config), run: own.then(|| record.fit[1] as u32) }
    }

    /// The values of a configuration's choices.
    pub fn values(&self, config: &Config) -> Vec<Option<usize>> {
        let value = |(i, _): &(usize, usize)| match config.cells[*i] {
            Cell::Index(value) => Some(value as usize),
            _ => None,
        };
        self.choices.iter().map(value).collect()
    }

    /// The configuration at `x` with the values `choices`.
    pub fn config(&self, codec: &Codec, x: &[f64], choices: &[usize]) -> Config {
        let place = |i: usize| match self.numbers.binary_search(&i) {
            Ok(j) => codec.at(i, x[j]),
            Err(_) => match self.choices.binary_search_by_key(&i, |(i, _)| *i) {
                Ok(a) => Cell::Index(choices[a] as u64),
                Err(_) => Cell::Index(0),
            },
        };
        codec.build(place)
    }
}

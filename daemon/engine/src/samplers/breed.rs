//! Offspring on any kind of space: a child's parameters come from its parents as far as these have them; what only the
//! child activates is drawn anew.

use crate::{
    codec::{Axis, Cell, Codec, Config},
    rng::Stream,
};

/// A child of two. `mix` decides where both have a parameter.
pub fn cross(
    codec: &Codec,
    (a, b): (&Config, &Config),
    stream: &mut Stream,
    mut mix: impl FnMut(usize, &mut Stream) -> Cell,
) -> Config {
    codec.build(|i| match (a.cells[i], b.cells[i]) {
        (Cell::Off, Cell::Off) => codec.quantile(i, stream.unit()),
        (cell, Cell::Off) | (Cell::Off, cell) => cell,
        _ => mix(i, stream),
    })
}

/// `config` with each parameter for which `chosen` answers so changed; what this activates is taken from `config` or drawn.
pub fn mutate(
    codec: &Codec,
    config: &Config,
    stream: &mut Stream,
    chosen: &[usize],
    mut change: impl FnMut(usize, &mut Stream) -> Cell,
) -> Config {
    codec.build(|i| match config.cells[i] {
        Cell::Off => codec.quantile(i, stream.unit()),
        _ if chosen.contains(&i) => change(i, stream),
        cell => cell,
    })
}

/// Active parameters of `config` that can change.
pub fn changeable(codec: &Codec, config: &Config) -> Vec<usize> {
    let can = |i: &usize| codec.axes()[*i] != Axis::Fixed && config.cells[*i] != Cell::Off;
    (0..config.cells.len()).filter(can).collect()
}

/// The value at coordinate `u`, thrown back at the ends of the range; of a discrete parameter never the value it had.
pub fn moved(codec: &Codec, config: &Config, i: usize, u: f64) -> Cell {
    let cell = codec.at(i, reflect(u));
    match (codec.axes()[i], config.cells[i], cell) {
        (Axis::Grid { cells, .. }, Cell::Index(old), Cell::Index(new)) if old == new => {
            let up = old == 0 || (u > config.u[i] && old + 1 < cells);
            Cell::Index(if up { old + 1 } else { old - 1 })
        }
        _ => cell,
    }
}

/// Back into `[0, 1]` as from mirrors at both ends.
pub fn reflect(u: f64) -> f64 {
    let folded = u.rem_euclid(2.0);
    if folded > 1.0 { 2.0 - folded } else { folded }
}

/// Another value of a choice, as [`another`].
pub fn other(config: &Config, i: usize, cells: u64, stream: &mut Stream) -> Cell {
    match config.cells[i] {
        Cell::Index(old) => Cell::Index(another(old, cells, stream)),
        cell => cell,
    }
}

/// One of `cells` values other than `old`, each as likely as the others.
pub fn another(old: u64, cells: u64, stream: &mut Stream) -> u64 {
    let new = stream.below(cells as usize - 1) as u64;
    if new < old { new } else { new + 1 }
}

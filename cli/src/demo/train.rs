//! What the demo's trials do: a small network, trained for real.
//!
//! One hidden layer of tanh units tells two interleaved half moons apart, by gradient descent with momentum over the
//! whole data (Rumelhart, Hinton and Williams 1986). It takes milliseconds; a pause after each epoch makes it watchable.

/// What is searched.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Params {
    /// Length of a step.
    pub lr: f64,
    /// How much of the last step goes into the next.
    pub momentum: f64,
    /// Hidden units.
    pub hidden: usize,
    /// Epochs trained; each is ten steps.
    pub epochs: usize,
}

/// Points of the data set.
const POINTS: usize = 120;
/// Steps in an epoch.
const STEPS: usize = 10;

/// A small generator (SplitMix64): the same data and the same first weights on every machine.
struct Random(u64);

impl Random {
    fn unit(&mut self) -> f64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut x = self.0;
        x = (x ^ (x >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        x = (x ^ (x >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        ((x ^ (x >> 31)) >> 11) as f64 / 9_007_199_254_740_992.0
    }

    fn around(&mut self) -> f64 {
        self.unit() * 2.0 - 1.0
    }
}

/// Two half moons: points and classes.
fn moons() -> Vec<([f64; 2], f64)> {
    let mut random = Random(7);
    let point = |i: usize| {
        let angle = std::f64::consts::PI * random.unit();
        let (noise_x, noise_y) = (0.15 * random.around(), 0.15 * random.around());
        match i % 2 {
            0 => ([angle.cos() + noise_x, angle.sin() + noise_y], 0.0),
            _ => ([1.0 - angle.cos() + noise_x, 0.5 - angle.sin() + noise_y], 1.0),
        }
    };
    (0..POINTS).map(point).collect()
}

/// Trains, and gives the loss after each epoch to `report`, which answers whether to go on. The last loss; infinite
/// where it diverged.
pub fn train(params: Params, mut report: impl FnMut(usize, f64) -> bool) -> f64 {
    let data = moons();
    let mut random = Random(params.hidden as u64);
    // Per hidden unit: two weights, a bias, and its weight in the output; then the output's bias.
    let size = params.hidden * 4 + 1;
    let mut weights: Vec<f64> = (0..size).map(|_| random.around()).collect();
    let mut speed = vec![0.0; size];
    let mut loss = f64::INFINITY;
    for epoch in 1..=params.epochs {
        for _ in 0..STEPS {
            let (gradient, now) = slope(&weights, params.hidden, &data);
            loss = now;
            for i in 0..size {
                speed[i] = params.momentum * speed[i] - params.lr * gradient[i];
                weights[i] += speed[i];
            }
        }
        if !loss.is_finite() {
            return f64::INFINITY;
        }
        if !report(epoch, loss) {
            return loss;
        }
    }
    loss
}

/// Gradient and loss (mean cross-entropy).
fn slope(weights: &[f64], hidden: usize, data: &[([f64; 2], f64)]) -> (Vec<f64>, f64) {
    let mut gradient = vec![0.0; weights.len()];
    let mut loss = 0.0;
    for ([x, y], class) in data {
        let unit = |h: usize| (weights[h * 4] * x + weights[h * 4 + 1] * y + weights[h * 4 + 2]).tanh();
        let units: Vec<f64> = (0..hidden).map(unit).collect();
        let out = weights[hidden * 4] + units.iter().enumerate().map(|(h, u)| weights[h * 4 + 3] * u).sum::<f64>();
        let chance = 1.0 / (1.0 + (-out).exp());
        loss -= class * chance.max(1e-12).ln() + (1.0 - class) * (1.0 - chance).max(1e-12).ln();
        let error = chance - class;
        gradient[hidden * 4] += error;
        for (h, u) in units.iter().enumerate() {
            let back = error * weights[h * 4 + 3] * (1.0 - u * u);
            gradient[h * 4] += back * x;
            gradient[h * 4 + 1] += back * y;
            gradient[h * 4 + 2] += back;
            gradient[h * 4 + 3] += error * u;
        }
    }
    let n = data.len() as f64;
    gradient.iter_mut().for_each(|g| *g /= n);
    (gradient, loss / n)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn good_steps_learn_and_bad_ones_do_not() {
        let run = |lr, momentum, hidden| train(Params { lr, momentum, hidden, epochs: 30 }, |_, _| true);
        assert!(run(1.0, 0.9, 12) < 0.1, "{}", run(1.0, 0.9, 12));
        assert!(run(1e-4, 0.0, 2) > 0.5);
        let mut seen = 0;
        train(Params { lr: 0.1, momentum: 0.5, hidden: 4, epochs: 30 }, |epoch, _| {
            seen = epoch;
            epoch < 3
        });
        assert_eq!(seen, 3, "it stops when told");
    }
}

//! A Gaussian process given its hyperparameters: mean, variance and their gradients, with imagined results of pending points.

use super::{
    fit::Theta,
    kernel::{Cloud, Metric, matern},
};
use crate::algebra::linalg::{Triangle, axpy, dot};

/// See the module.
#[derive(Clone, Debug)]
pub struct Process {
    theta: Theta,
    cloud: Cloud,
    /// The inverse factor.
    inverse: Triangle,
    /// By imagined future (one without any pending point): `inverse · y`.
    betas: Vec<Vec<f64>>,
    /// By imagined future: `K⁻¹ y`.
    alphas: Vec<Vec<f64>>,
}

/// Room for one prediction, so that none is allocated in inner loops.
#[derive(Clone, Debug, Default)]
pub struct Room {
    r2: Vec<f64>,
    k: Vec<f64>,
    slope: Vec<f64>,
    v: Vec<f64>,
    w: Vec<f64>,
    /// Means by imagined future.
    pub means: Vec<f64>,
    /// The variance, without noise.
    pub variance: f64,
}

impl Process {
    /// Given values `y` at the points of `cloud`; more noise is added where the matrix would not be positive definite.
    pub fn new(theta: Theta, cloud: Cloud, y: &[f64]) -> Self {
        let n = cloud.n;
        let mut theta = theta;
        let (mut r2, mut k, mut slope) = (vec![0.0; n], vec![0.0; n], vec![0.0; n]);
        let mut covariance = Triangle::zeros(n);
        for i in 0..n {
            let point: Vec<f64> = cloud.columns.iter().map(|column| column[i]).collect();
            cloud.squared(&theta.rho, &point, &mut r2[..i]);
            matern(&r2[..i], &mut k[..i], &mut slope[..i]);
            let (_, row) = covariance.split(i);
            row.iter_mut().zip(&k[..i]).for_each(|(entry, k)| *entry = theta.scale * k);
        }
        let inverse = loop {
            let mut l = covariance.clone();
            (0..n).for_each(|i| l.split(i).1[i] = theta.scale + theta.noise);
            if l.factor() {
                break l.inverse();
            }
            // (Ends: with more noise than all covariances together every matrix is positive definite.)
            theta.noise *= 10.0;
        };
        let (mut beta, mut alpha) = (Vec::new(), Vec::new());
        inverse.times(y, &mut beta);
        inverse.transposed_times(&beta, &mut alpha);
        Self { theta, cloud, inverse, betas: vec![beta], alphas: vec![alpha] }
    }

    /// Points that it knows or imagines.
    pub fn size(&self) -> usize {
        self.cloud.n
    }

    /// Its hyperparameters.
    pub fn theta(&self) -> &Theta {
        &self.theta
    }

    /// The posterior means at its own points, given their values `y`: `y − σ² K⁻¹ y`.
    pub fn smoothed(&self, y: &[f64]) -> Vec<f64> {
        y.iter().zip(&self.alphas[0]).map(|(y, alpha)| y - self.theta.noise * alpha).collect()
    }

    /// Means and variance at `point`, into `room`.
    pub fn predict(&self, point: &[f64], room: &mut Room) {
        let n = self.cloud.n;
        for list in [&mut room.r2, &mut room.k, &mut room.slope] {
            list.resize(n, 0.0);
        }
        self.cloud.squared(&self.theta.rho, point, &mut room.r2);
        matern(&room.r2, &mut room.k, &mut room.slope);
        let s2 = self.theta.scale;
        room.k.iter_mut().for_each(|k| *k *= s2);
        self.inverse.times(&room.k, &mut room.v);
        room.means.clear();
        room.means.extend(self.alphas.iter().map(|alpha| dot(alpha, &room.k)));
        room.variance = (s2 - dot(&room.v, &room.v)).max(1e-12 * s2);
    }

    /// After [`Self::predict`]: adds the gradient of `Σ by_mean·mean + by_variance·variance` to `out`, for numbers only.
    pub fn gradient(&self, point: &[f64], room: &mut Room, by_mean: &[f64], by_variance: f64, out: &mut [f64]) {
        let s2 = self.theta.scale;
        self.inverse.transposed_times(&room.v, &mut room.w);
        room.w.iter_mut().for_each(|w| *w *= -2.0 * by_variance);
        for (alpha, weight) in self.alphas.iter().zip(by_mean) {
            axpy(&mut room.w, *weight, alpha);
        }
        for (w, slope) in room.w.iter_mut().zip(&room.slope) {
            *w *= s2 * slope;
        }
        let total: f64 = room.w.iter().sum();
        for (j, column) in self.cloud.columns.iter().enumerate() {
            if self.cloud.metrics[j] == Metric::Number {
                // Σ w (x − x_i) = x Σ w − Σ w x_i.
                out[j] += 2.0 * self.theta.rho[j] * (point[j] * total - dot(&room.w, column));
            }
        }
    }

    /// Takes `point` as pending in one future for each of `draws` (standard normal), after those before it. Answers the mean
    /// there in each future, once its result is known.
    pub fn imagine(&mut self, point: &[f64], draws: &[f64]) -> Vec<f64> {
        let mut room = Room::default();
        self.predict(point, &mut room);
        let left = (room.variance + self.theta.noise).sqrt();
        while self.betas.len() < draws.len() {
            self.betas.push(self.betas[0].clone());
        }
        let gain = room.variance / left;
        let means = self.betas.iter().zip(draws).map(|(beta, draw)| dot(beta, &room.v) + gain * draw).collect();
        self.inverse.append(&room.v, left);
        self.cloud.push(point);
        self.betas.iter_mut().zip(draws).for_each(|(beta, draw)| beta.push(*draw));
        means
    }

    /// Makes predictions see what was imagined.
    pub fn settle(&mut self) {
        self.alphas.resize(self.betas.len(), Vec::new());
        for (beta, alpha) in self.betas.iter().zip(&mut self.alphas) {
            self.inverse.transposed_times(beta, alpha);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{math::ppf, rng::Stream};

    fn points(n: usize, stream: &mut Stream) -> Vec<Vec<f64>> {
        (0..n).map(|_| vec![stream.unit(), stream.unit(), stream.below(3) as f64]).collect()
    }

    const METRICS: [Metric; 3] = [Metric::Number, Metric::Number, Metric::Choice];

    fn theta(noise: f64) -> Theta {
        Theta { rho: vec![4.0, 1.0, 0.7], scale: 1.3, noise }
    }

    #[test]
    fn without_noise_the_mean_goes_through_the_data_and_doubt_vanishes_there() {
        let mut stream = Stream::new(1, 1, 1, "process");
        let at = points(20, &mut stream);
        let y: Vec<f64> = at.iter().map(|p| libm::sin(5.0 * p[0]) + p[1] * p[2]).collect();
        let process = Process::new(theta(1e-6), Cloud::new(&METRICS, &at), &y);
        let mut room = Room::default();
        for ((point, y), smoothed) in at.iter().zip(&y).zip(process.smoothed(&y)) {
            process.predict(point, &mut room);
            assert!((room.means[0] - y).abs() < 1e-3 && room.variance < 1e-4, "{y} {room:?}");
            assert!((smoothed - room.means[0]).abs() < 1e-6);
        }
        // Far away nothing is known.
        process.predict(&[30.0, 30.0, 9.0], &mut room);
        assert!(room.means[0].abs() < 1e-6 && (room.variance - 1.3).abs() < 1e-6);
    }

    #[test]
    fn what_is_imagined_counts_like_what_is_known() {
        let mut stream = Stream::new(2, 1, 1, "process");
        let at = points(15, &mut stream);
        let mut y: Vec<f64> = at.iter().map(|p| libm::cos(3.0 * p[0]) - p[1]).collect();
        let mut grown = Process::new(theta(0.01), Cloud::new(&METRICS, &at[..12]), &y[..12]);
        let mut room = Room::default();
        for (k, draw) in [0.3, -1.2, 0.0].into_iter().enumerate() {
            // The value that stands for this draw, given those before it.
            let before = Process::new(theta(0.01), Cloud::new(&METRICS, &at[..12 + k]), &y[..12 + k]);
            before.predict(&at[12 + k], &mut room);
            y[12 + k] = room.means[0] + draw * (room.variance + 0.01).sqrt();
            let mean = grown.imagine(&at[12 + k], &[draw])[0];
            let after = Process::new(theta(0.01), Cloud::new(&METRICS, &at[..13 + k]), &y[..13 + k]);
            after.predict(&at[12 + k], &mut room);
            assert!((mean - room.means[0]).abs() < 1e-9);
        }
        grown.settle();
        let whole = Process::new(theta(0.01), Cloud::new(&METRICS, &at), &y);
        let mut other = Room::default();
        for point in points(10, &mut stream) {
            grown.predict(&point, &mut room);
            whole.predict(&point, &mut other);
            assert!((room.means[0] - other.means[0]).abs() < 1e-8 && (room.variance - other.variance).abs() < 1e-8);
        }
    }

    #[test]
    fn doubts_are_honest_where_the_function_is_a_draw_from_the_process() {
        // Left out one by one: (y − μ) / √(variance + noise) has variance 1.
        let mut stream = Stream::new(3, 1, 1, "process");
        let mut squares = Vec::new();
        for _ in 0..12 {
            let at = points(40, &mut stream);
            let mut drawn = Process::new(theta(0.01), Cloud::new(&METRICS, &[]), &[]);
            let mut y: Vec<f64> = Vec::new();
            let mut room = Room::default();
            for point in &at {
                let draw = ppf(stream.unit());
                drawn.settle();
                drawn.predict(point, &mut room);
                y.push(room.means[0] + draw * (room.variance + 0.01).sqrt());
                drawn.imagine(point, &[draw]);
            }
            for i in 0..40 {
                let others: Vec<Vec<f64>> = (0..40).filter(|j| *j != i).map(|j| at[j].clone()).collect();
                let values: Vec<f64> = (0..40).filter(|j| *j != i).map(|j| y[j]).collect();
                let process = Process::new(theta(0.01), Cloud::new(&METRICS, &others), &values);
                process.predict(&at[i], &mut room);
                squares.push((y[i] - room.means[0]).powi(2) / (room.variance + 0.01));
            }
        }
        let sd = (squares.iter().sum::<f64>() / squares.len() as f64).sqrt();
        assert!((0.8..1.25).contains(&sd), "{sd}");
    }

    #[test]
    fn names_of_choices_do_not_matter() {
        let mut stream = Stream::new(4, 1, 1, "process");
        let at = points(20, &mut stream);
        let y: Vec<f64> = at.iter().map(|p| p[0] + p[2]).collect();
        let renamed = |p: &Vec<f64>| vec![p[0], p[1], [2.0, 0.0, 1.0][p[2] as usize]];
        let other: Vec<Vec<f64>> = at.iter().map(renamed).collect();
        let (one, two) = (
            Process::new(theta(0.1), Cloud::new(&METRICS, &at), &y),
            Process::new(theta(0.1), Cloud::new(&METRICS, &other), &y),
        );
        let (mut a, mut b) = (Room::default(), Room::default());
        for point in points(10, &mut stream) {
            one.predict(&point, &mut a);
            two.predict(&renamed(&point), &mut b);
            assert_eq!((&a.means, a.variance), (&b.means, b.variance));
        }
    }
}

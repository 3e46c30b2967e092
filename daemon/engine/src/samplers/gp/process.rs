//! A Gaussian process given its hyperparameters: mean, variance and their gradients, with imagined results of pending points.

use super::{
    fit::Theta,
    kernel::{Cloud, Metric, matern},
    linalg::{Triangle, axpy, dot},
};

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

    /// Its hyperparameters.
    pub fn theta(&self) -> &Theta {
        &self.theta
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

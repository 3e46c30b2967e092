//! The covariance of a training curve about its asymptote: a mixture of exponential decays (Swersky et al. 2014, eq. 6), and
//! the mean decay that all curves share.
//!
//! `k(t, t') = s² β^α / (t + t' + β)^α`, noise `σ²`, mean `A (β / (t + β))^α`: what a mixture of decays whose rates are
//! Γ(α, β) has. The mean is an addition to the paper's: training lowers costs, and a short curve should be read so.

/// Curve hyperparameters before those of the asymptotes, in [`Decay::logs`].
pub const OWN: usize = 5;

/// See the module.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Decay {
    /// Shape of the mixture.
    pub alpha: f64,
    /// Its rate, in units of time.
    pub beta: f64,
    /// Variance at time 0.
    pub scale: f64,
    /// Variance of one report.
    pub noise: f64,
    /// How far curves fall on average.
    pub fall: f64,
}

impl Decay {
    /// From θ: logarithms of all but the last.
    pub fn of(theta: &[f64]) -> Self {
        let at = |i: usize| libm::exp(theta[i]);
        Self { alpha: at(0), beta: at(1), scale: at(2), noise: at(3), fall: theta[4] }
    }

    /// Covariance of the noise-free curve at two times whose sum is `sum`.
    pub fn covariance(&self, sum: f64) -> f64 {
        self.scale * self.share(sum)
    }

    /// `(β / (x + β))^α`.
    fn share(&self, x: f64) -> f64 {
        libm::exp(-self.alpha * libm::log1p(x / self.beta))
    }

    /// The mean at a time.
    pub fn mean(&self, time: f64) -> f64 {
        self.fall * self.share(time)
    }

    /// `(β / (x + β))^α` and its derivatives by ln α and ln β.
    pub fn slopes(&self, x: f64) -> [f64; 3] {
        let (share, ln) = (self.share(x), -libm::log1p(x / self.beta));
        [share, share * self.alpha * ln, share * self.alpha * x / (x + self.beta)]
    }
}

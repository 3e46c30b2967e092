//! The block form beside a dense joint model, and its parts beside each other.

use super::{
    blocks::{Block, Grid},
    curves::{self, Curve, Scale},
    fit::{Curves, Evidence, start},
    kernel::Decay,
    posterior::{Posterior, Prior},
};
use crate::{
    algebra::linalg::{Triangle, dot},
    rng::Stream,
    samplers::gp::kernel::{Cloud, Metric},
};

const METRICS: [Metric; 3] = [Metric::Number, Metric::Number, Metric::Choice];

/// Curves of different lengths on two grids, one without any report.
fn data(n: usize, stream: &mut Stream) -> Curves {
    let grids = vec![(1..=12).map(f64::from).collect(), vec![2.0, 3.0, 7.0, 11.0, 20.0]];
    let rows = (0..n).map(|i| {
        let point = vec![stream.unit(), stream.unit(), stream.below(3) as f64];
        let (grid, most) = if i % 3 == 2 { (1, 5) } else { (0, 12) };
        let reports = if i == 1 { 0 } else { 1 + stream.below(most) };
        let (floor, fall) = (point[0], 0.5 + stream.unit());
        let costs = (0..reports).map(|t| floor + fall / (1.0 + t as f64) + 0.1 * stream.unit()).collect();
        (point, grid, costs)
    });
    let rows = rows.collect();
    Curves { metrics: METRICS.to_vec(), grids, rows }
}

fn theta() -> Vec<f64> {
    vec![0.3, 1.1, -0.4, -3.0, 0.7, 0.5, -0.8, 0.2, -0.3]
}

struct Whole {
    prior: Prior,
    decay: Decay,
    grids: Vec<Grid>,
    cloud: Cloud,
    blocks: Vec<Block>,
    posterior: Posterior,
}

fn whole(data: &Curves, theta: &[f64]) -> Whole {
    let (prior, decay) = (super::fit::prior(theta), Decay::of(theta));
    let grids: Vec<Grid> = data.grids.iter().map(|grid| Grid::new(grid.clone(), &decay).unwrap()).collect();
    let mut blocks = Vec::new();
    for (_, at, costs) in &data.rows {
        let mut block = Block::new(*at);
        costs.iter().for_each(|cost| {
            block.push(&grids[*at], &decay, *cost);
        });
        blocks.push(block);
    }
    let points: Vec<Vec<f64>> = data.rows.iter().map(|(point, ..)| point.clone()).collect();
    let cloud = Cloud::new(&data.metrics, &points);
    let (lambda, gamma): (Vec<f64>, Vec<f64>) = blocks.iter().map(|b| (b.lambda, b.gamma)).unzip();
    let posterior = Posterior::new(&prior.matrix(&cloud), &lambda, &gamma).unwrap();
    Whole { prior, decay, grids, cloud, blocks, posterior }
}

/// One Gaussian over everything: rows are (curve, time, report), and what is asked for is a linear function of them.
struct Dense {
    rows: Vec<(usize, f64, f64)>,
    factor: Triangle,
    alpha: Vec<f64>,
    loss: f64,
}

impl Dense {
    fn new(data: &Curves, whole: &Whole) -> Self {
        let mut rows = Vec::new();
        for (i, (_, grid, costs)) in data.rows.iter().enumerate() {
            rows.extend(costs.iter().zip(&data.grids[*grid]).map(|(cost, time)| (i, *time, *cost)));
        }
        let k = whole.prior.matrix(&whole.cloud);
        let mut factor = Triangle::zeros(rows.len());
        for (a, (i, t, _)) in rows.iter().enumerate() {
            for (b, (j, u, _)) in rows[..=a].iter().enumerate() {
                let own = if i == j { whole.decay.covariance(t + u) } else { 0.0 };
                factor.split(a).1[b] = k[*i][*j] + own + if a == b { whole.decay.noise } else { 0.0 };
            }
        }
        assert!(factor.factor());
        let rest: Vec<f64> = rows.iter().map(|(_, t, cost)| cost - whole.decay.mean(*t)).collect();
        let half = super::blocks::solve(&factor, rest.iter().copied());
        let ln_det: f64 = (0..rows.len()).map(|i| factor.row(i)[i].ln()).sum();
        let loss = 0.5 * dot(&half, &half) + ln_det;
        Self { rows, alpha: super::blocks::solve_back(&factor, &half), factor, loss }
    }

    /// Mean and variance of what has these covariances with the rows and this variance.
    fn predict(&self, cross: &[f64], variance: f64) -> (f64, f64) {
        let half = super::blocks::solve(&self.factor, cross.iter().copied());
        (dot(cross, &self.alpha), variance - dot(&half, &half))
    }
}

fn near(a: f64, b: f64, slack: f64) {
    assert!((a - b).abs() < slack * (1.0 + a.abs().max(b.abs())), "{a} and {b}");
}

/// (Turns red with: Ω without K⁻¹1, λ of one report too few, the mean decay left out of a prediction, C without S.)
#[test]
fn blocks_say_what_one_dense_model_says() {
    let mut stream = Stream::new(1, 0, 0, "block");
    for n in [2, 9, 14] {
        let data = data(n, &mut stream);
        let theta = theta();
        let whole = whole(&data, &theta);
        let dense = Dense::new(&data, &whole);
        let k = whole.prior.matrix(&whole.cloud);
        for (i, k) in k.iter().enumerate() {
            let cross: Vec<f64> = dense.rows.iter().map(|(j, ..)| k[*j]).collect();
            let (mean, variance) = dense.predict(&cross, whole.prior.variance());
            near(whole.posterior.mu[i], mean, 1e-9);
            near(whole.posterior.c[i][i], variance, 1e-9);
            // The curve at a time.
            for time in [1.5, 30.0, 50.0] {
                let own = |j: usize, t: f64| if i == j { whole.decay.covariance(t + time) } else { 0.0 };
                let cross: Vec<f64> = dense.rows.iter().map(|(j, t, _)| k[*j] + own(*j, *t)).collect();
                let prior = whole.prior.variance() + whole.decay.covariance(2.0 * time);
                let (mean, variance) = dense.predict(&cross, prior);
                let (block, target) = (&whole.blocks[i], whole.grids[data.rows[i].1].target(&whole.decay, time));
                let omega = target.omegas[block.b.len()];
                let got = target.mean + dot(&block.b, &target.cross[..block.b.len()]) + omega * whole.posterior.mu[i];
                near(got, mean + whole.decay.mean(time), 1e-9);
                near(target.lefts[block.b.len()] + omega * omega * whole.posterior.c[i][i], variance, 1e-9);
            }
        }
        // A new configuration.
        let point = vec![0.3, 0.9, 1.0];
        let row = whole.prior.row(&whole.cloud, &point, n);
        let cross: Vec<f64> = dense.rows.iter().map(|(j, ..)| row[*j]).collect();
        let (mean, variance) = dense.predict(&cross, whole.prior.variance());
        let (got, left) = whole.posterior.predict(&row, whole.prior.variance());
        near(got, mean, 1e-9);
        near(left, variance, 1e-9);
        // The likelihood, without the prior of θ.
        let mut gradient = vec![0.0; theta.len()];
        let loss = Evidence::new(&data).likelihood(&theta, &mut gradient).unwrap();
        near(loss, dense.loss, 1e-9);
    }
}

/// (Turns red with a wrong sign or factor in any derivative.)
#[test]
fn gradients_agree_with_differences() {
    let mut stream = Stream::new(2, 0, 0, "gradient");
    let data = data(10, &mut stream);
    let evidence = Evidence::new(&data);
    for theta in [theta(), start(3)] {
        let (mut gradient, mut room) = (vec![0.0; theta.len()], vec![0.0; theta.len()]);
        evidence.loss(&theta, &mut gradient);
        for i in 0..theta.len() {
            let mut at = |shift: f64| {
                let mut moved = theta.clone();
                moved[i] += shift;
                evidence.loss(&moved, &mut room)
            };
            let difference = (at(1e-5) - at(-1e-5)) / 2e-5;
            assert!(
                (difference - gradient[i]).abs() < 1e-5 * (1.0 + difference.abs()),
                "{i}: {difference}, {}",
                gradient[i]
            );
        }
    }
}

/// (Turns red with δ in place of δ / (1 + δC), or with a mean that isn't moved.)
#[test]
fn a_report_more_is_what_building_anew_says_and_expecting_one_moves_no_mean() {
    let mut stream = Stream::new(3, 0, 0, "extend");
    let mut data = data(9, &mut stream);
    let theta = theta();
    let mut grown = whole(&data, &theta);
    for step in 0..12 {
        let at = stream.below(9);
        let (grid, n) = (data.rows[at].1, data.rows[at].2.len());
        if n == data.grids[grid].len() {
            continue;
        }
        let cost = 0.1 * step as f64;
        let mut expected = grown.posterior.clone();
        let (lambda, gamma) = grown.blocks[at].push(&grown.grids[grid], &grown.decay, cost);
        expected.expect(at, lambda);
        assert!(expected.mu.iter().zip(&grown.posterior.mu).all(|(a, b)| (a - b).abs() < 1e-12));
        grown.posterior.extend(at, lambda, gamma);
        data.rows[at].2.push(cost);
        let anew = whole(&data, &theta).posterior;
        for i in 0..9 {
            near(grown.posterior.mu[i], anew.mu[i], 1e-8);
            for j in 0..9 {
                near(grown.posterior.c[i][j], anew.c[i][j], 1e-8);
                near(expected.c[i][j], anew.c[i][j], 1e-8);
            }
        }
    }
}

#[test]
fn thinned_curves_keep_their_beginnings_and_share_grids() {
    let record = |steps: u64, stride: u64| {
        let curve: Vec<(u64, f64)> = (1..=steps).map(|s| (s * stride, 1.0 / s as f64)).collect();
        crate::Record { last_step: steps * stride, curve, key: steps, ..crate::Record::default() }
    };
    let seen = |steps, stride| curves::curve(&record(steps, stride), vec![], 1000, 64, u64::MAX);
    let long = seen(1000, 1);
    assert!(long.steps.len() <= 65 && long.steps[..10] == (1..=10).collect::<Vec<u64>>()[..], "{:?}", long.steps);
    for n in [1, 7, 64, 300, 999] {
        let short = seen(n, 1);
        assert_eq!(short.steps[..], long.steps[..short.steps.len()]);
    }
    let mut all: Vec<Curve> = vec![seen(3, 1), seen(5, 7), seen(500, 1), seen(2, 7)];
    let grids = curves::share(&mut all, 1000, 64);
    assert_eq!((all[0].grid, all[2].grid), (0, 0));
    assert_eq!(all[1].grid, all[3].grid);
    for grid in &grids {
        assert!(grid.windows(2).all(|w| w[0] < w[1]) && grid.last() == Some(&1000), "{grid:?}");
    }
}

#[test]
fn costs_are_normalised_alike_whatever_their_unit() {
    let curve = |costs: &[f64]| Curve { costs: costs.to_vec(), ..Curve::default() };
    let own: Vec<Curve> = (0..20).map(|i| curve(&[1.0 + f64::from(i * i)])).collect();
    let other: Vec<Curve> = (0..20).map(|i| curve(&[70.0 + 8.0 * f64::from(i * i)])).collect();
    let (a, b) = (Scale::of(&own), Scale::of(&other));
    for x in [0.0, 1.0, 5.5, 80.0, 1e9, f64::INFINITY] {
        near(a.to(x), b.to(62.0 + 8.0 * x), 1e-12);
        assert!(a.to(x) <= 4.0);
    }
    assert_eq!(a.to(f64::NAN), 4.0);
    assert!(a.to(f64::NEG_INFINITY).is_finite());
    for x in [0.0, 20.0, 300.0] {
        near(a.back(a.to(x)), x, 1e-9);
    }
}

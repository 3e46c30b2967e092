use metaopt_schema::space::Space;
use proptest::prelude::*;
use serde_json::json;
use statrs::distribution::{ChiSquared, ContinuousCDF};

use super::*;

fn codec() -> Codec {
    let space: Space = serde_json::from_value(json!([
        {"name": "x", "type": "float", "low": 0.0, "high": 1.0},
        {"name": "n", "type": "int", "low": 1, "high": 9},
        {"name": "l", "type": "int", "low": 1, "high": 200, "log": true},
        {"name": "c", "type": "categorical", "choices": ["a", "b", "c"]},
        {"name": "p", "type": "float", "low": 0.0, "high": 1.0, "prior": {"normal": [0.9, 0.02]}},
    ]))
    .unwrap();
    Codec::new(&space)
}

fn configs(codec: &Codec, points: &[[f64; 5]]) -> Vec<Config> {
    points.iter().map(|q| codec.build(|i| codec.at(i, q[i]))).collect()
}

/// Shares in the open interval and at its very ends.
fn share() -> impl Strategy<Value = f64> {
    prop_oneof![Just(0.0), Just(1.0), Just(1e-9), 0.0..1.0f64]
}

fn points() -> impl Strategy<Value = Vec<[f64; 5]>> {
    prop::collection::vec(prop::array::uniform5(share()), 0..12)
}

/// The density of one axis, integrated or summed.
fn total(codec: &Codec, i: usize, parzen: &Parzen) -> f64 {
    match codec.axes()[i] {
        Axis::Choice { cells } => {
            (0..cells).map(|c| libm::exp(parzen.log_density(&Point(vec![(c as f64, 0.0, 1.0)])))).sum()
        }
        axis @ Axis::Grid { cells, .. } => (0..cells)
            .map(|c| {
                let (low, high) = axis.edges(c);
                libm::exp(parzen.log_density(&Point(vec![((low + high) / 2.0, low, high)])))
            })
            .sum(),
        _ => {
            // Simpson's rule.
            const N: usize = 4000;
            let weight = |k: usize| {
                if k == 0 || k == N {
                    1.0
                } else if k % 2 == 1 {
                    4.0
                } else {
                    2.0
                }
            };
            let at = |k: usize| libm::exp(parzen.log_density(&Point(vec![(k as f64 / N as f64, 0.0, 1.0)])));
            (0..=N).map(|k| weight(k) * at(k)).sum::<f64>() / 3.0 / N as f64
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 48, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn densities_add_up_to_one(points in points(), prior in 0.01..3.0f64) {
        let codec = codec();
        let seen = configs(&codec, &points);
        let seen: Vec<&Config> = seen.iter().collect();
        let weights: Vec<f64> = (0..seen.len()).map(|k| 1e-12 + k as f64).collect();
        for i in 0..5 {
            let parzen = Parzen::new(&codec, &[i], &seen, &weights, prior);
            let sum = total(&codec, i, &parzen);
            let slack = if matches!(codec.axes()[i], Axis::Real { .. }) { 1e-6 } else { 1e-9 };
            prop_assert!((sum - 1.0).abs() < slack, "axis {i}: {sum}");
        }
    }

    #[test]
    fn the_joint_density_of_one_kernel_is_the_product_of_its_axes(at in prop::array::uniform5(share()), x in prop::array::uniform5(0.0..1.0f64)) {
        let codec = codec();
        let (seen, point) = (configs(&codec, &[at]), configs(&codec, &[x]));
        let all: Vec<usize> = (0..5).collect();
        // (A prior of next to no weight leaves one kernel.)
        let of = |axes: &[usize]| {
            let parzen = Parzen::new(&codec, axes, &[&seen[0]], &[1.0], 1e-300);
            parzen.log_density(&parzen.point(&point[0]))
        };
        let product: f64 = all.iter().map(|i| of(&[*i])).sum();
        prop_assert!((of(&all) - product).abs() < 1e-6, "{} {product}", of(&all));
    }
}

/// Ten thousand draws against the density, by χ² over bins or cells.
#[test]
fn draws_follow_the_density() {
    let codec = codec();
    let seen = configs(&codec, &[[0.0, 0.1, 0.2, 0.1, 0.5], [0.02, 0.9, 0.2, 0.9, 0.9], [0.7, 0.5, 0.99, 0.9, 0.91]]);
    let seen: Vec<&Config> = seen.iter().collect();
    const N: usize = 10_000;
    for i in 0..5 {
        let parzen = Parzen::new(&codec, &[i], &seen, &[3.0, 1.0, 2.0], 1.0);
        let mut stream = Stream::new(1, 2, 3, "chi");
        let axis = codec.axes()[i];
        let bins = match axis {
            Axis::Choice { cells } | Axis::Grid { cells, .. } => cells as usize,
            _ => 40,
        };
        let mut observed = vec![0.0; bins];
        for _ in 0..N {
            match parzen.draw(&mut stream)[0] {
                Cell::Index(v) => observed[v as usize] += 1.0,
                Cell::Real(v) => observed[((v * bins as f64) as usize).min(bins - 1)] += 1.0,
                Cell::Off => unreachable!(),
            }
        }
        let expected: Vec<f64> = (0..bins)
            .map(|b| match axis {
                Axis::Choice { .. } => libm::exp(parzen.log_density(&Point(vec![(b as f64, 0.0, 1.0)]))),
                Axis::Grid { .. } => {
                    let (low, high) = axis.edges(b as u64);
                    libm::exp(parzen.log_density(&Point(vec![((low + high) / 2.0, low, high)])))
                }
                _ => {
                    let fine = |k: usize| (b as f64 + (k as f64 + 0.5) / 400.0) / bins as f64;
                    let sum: f64 =
                        (0..400).map(|k| libm::exp(parzen.log_density(&Point(vec![(fine(k), 0.0, 1.0)])))).sum();
                    sum / 400.0 / bins as f64
                }
            })
            .map(|p| p * N as f64)
            .collect();
        // Bins too thin for χ² go together.
        let (mut statistic, mut freedom, mut thin) = (0.0, -1.0, (0.0, 0.0));
        for (o, e) in observed.iter().zip(&expected) {
            thin = (thin.0 + o, thin.1 + e);
            if thin.1 >= 8.0 {
                statistic += (thin.0 - thin.1) * (thin.0 - thin.1) / thin.1;
                freedom += 1.0;
                thin = (0.0, 0.0);
            }
        }
        let p = 1.0 - ChiSquared::new(freedom).unwrap().cdf(statistic);
        assert!(p > 1e-4, "axis {i}: χ² {statistic} on {freedom} degrees, p {p}");
    }
}

#[test]
fn kernels_are_never_narrower_than_the_floor_or_half_a_cell() {
    let codec = codec();
    let seen = configs(&codec, &[[0.5; 5]; 20]);
    let seen: Vec<&Config> = seen.iter().collect();
    let of = |i: usize| match kernels(&codec, i, &seen) {
        Kernels::Numbers { at, .. } => at[0].sigma,
        Kernels::Choices { .. } => unreachable!(),
    };
    assert_eq!(of(0), NARROWEST);
    assert!((of(1) - 0.5 / 9.0).abs() < 1e-12);
}

/// (A cell without a width has density 0 in both mixtures, and their ratio would be no number.)
#[test]
fn cells_too_thin_for_doubles_have_a_density() {
    let space: Space = serde_json::from_value(json!([
        {"name": "n", "type": "int", "low": -9_007_199_254_740_992_i64, "high": 9_007_199_254_740_992_i64},
        {"name": "l", "type": "int", "low": 1, "high": 9_007_199_254_740_992_i64, "log": true},
    ]))
    .unwrap();
    let codec = Codec::new(&space);
    let config = |q: f64| codec.build(|i| codec.at(i, q));
    let seen = [config(0.3), config(0.9)];
    let parzen = Parzen::new(&codec, &[0, 1], &seen.iter().collect::<Vec<_>>(), &[1.0, 1.0], 1.0);
    for k in 0..1000 {
        let config = config(f64::from(k) / 1000.0);
        let density = parzen.log_density(&parzen.point(&config));
        assert!(density.is_finite(), "{config:?}: {density}");
    }
}

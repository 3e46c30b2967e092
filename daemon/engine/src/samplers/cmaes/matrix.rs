//! The few operations on square matrices that CMA-ES needs: row after row, scalar, in a fixed order.

/// A square matrix, row after row.
#[derive(Clone, Debug, PartialEq)]
pub struct Square {
    n: usize,
    cells: Vec<f64>,
}

impl Square {
    /// The diagonal matrix of `diagonal`.
    pub fn diagonal(diagonal: &[f64]) -> Self {
        let n = diagonal.len();
        let mut cells = vec![0.0; n * n];
        diagonal.iter().enumerate().for_each(|(i, v)| cells[i * n + i] = *v);
        Self { n, cells }
    }

    /// Row `i`.
    pub fn row(&self, i: usize) -> &[f64] {
        &self.cells[i * self.n..(i + 1) * self.n]
    }

    /// Row `i`, to change.
    pub fn row_mut(&mut self, i: usize) -> &mut [f64] {
        &mut self.cells[i * self.n..(i + 1) * self.n]
    }

    /// Adds `weight · v vᵀ` to the lower triangle.
    pub fn add_outer(&mut self, weight: f64, v: &[f64]) {
        for i in 0..self.n {
            let scaled = weight * v[i];
            self.row_mut(i)[..=i].iter_mut().zip(v).for_each(|(cell, other)| *cell += scaled * other);
        }
    }

    /// Multiplies all by `factor`.
    pub fn scale(&mut self, factor: f64) {
        self.cells.iter_mut().for_each(|cell| *cell *= factor);
    }

    /// The lower triangular `L` with `L Lᵀ` = this matrix (of which only the lower triangle is read); none where it isn't
    /// positive definite.
    pub fn cholesky(&self) -> Option<Self> {
        let n = self.n;
        let mut l = Self { n, cells: vec![0.0; n * n] };
        for i in 0..n {
            for j in 0..=i {
                let sum = self.row(i)[j] - dot(&l.row(i)[..j], &l.row(j)[..j]);
                l.cells[i * n + j] = if i > j {
                    sum / l.cells[j * n + j]
                } else if sum > 0.0 && sum.is_finite() {
                    sum.sqrt()
                } else {
                    return None;
                };
            }
        }
        Some(l)
    }

    /// `L v`, this being lower triangular.
    pub fn times(&self, v: &[f64]) -> Vec<f64> {
        (0..self.n).map(|i| dot(&self.row(i)[..=i], &v[..=i])).collect()
    }

    /// The `z` with `L z = v`, by the leading part of `L` where `v` is shorter.
    pub fn solve(&self, v: &[f64]) -> Vec<f64> {
        let mut z = Vec::with_capacity(v.len());
        for (i, target) in v.iter().enumerate() {
            let row = self.row(i);
            z.push((target - dot(&row[..i], &z)) / row[i]);
        }
        z
    }

    /// The `x` with `Lᵀ x = v`, by the leading part of `L` where `v` is shorter.
    pub fn solve_transposed(&self, v: &[f64]) -> Vec<f64> {
        let mut x = v.to_vec();
        for i in (0..v.len()).rev() {
            let row = self.row(i);
            let value = x[i] / row[i];
            x[i] = value;
            x[..i].iter_mut().zip(row).for_each(|(left, cell)| *left -= cell * value);
        }
        x
    }
}

/// The sum of products, from first to last.
pub fn dot(a: &[f64], b: &[f64]) -> f64 {
    a.iter().zip(b).fold(0.0, |sum, (x, y)| sum + x * y)
}

/// The Euclidean length.
pub fn norm(v: &[f64]) -> f64 {
    dot(v, v).sqrt()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_root_gives_back_its_matrix_and_solves_both_ways() {
        let mut matrix = Square::diagonal(&[2.0, 1.0, 0.5, 3.0]);
        matrix.add_outer(0.7, &[1.0, -2.0, 0.3, 4.0]);
        matrix.add_outer(0.2, &[0.5, 0.5, -1.0, 0.1]);
        let root = matrix.cholesky().unwrap();
        for i in 0..4 {
            for j in 0..=i {
                assert!((dot(&root.row(i)[..=j], &root.row(j)[..=j]) - matrix.row(i)[j]).abs() < 1e-12);
            }
        }
        let v = [0.3, -1.0, 2.0, 0.7];
        let there = root.times(&root.solve(&v));
        assert!(there.iter().zip(&v).all(|(a, b)| (a - b).abs() < 1e-12));
        let x = root.solve_transposed(&v);
        for (j, target) in v.iter().enumerate() {
            let back: f64 = (j..4).map(|i| root.row(i)[j] * x[i]).sum();
            assert!((back - target).abs() < 1e-12);
        }
        matrix.add_outer(-10.0, &[1.0, 0.0, 0.0, 0.0]);
        assert!(matrix.cholesky().is_none());
    }
}

//! Dense algebra in one fixed order of operations: the same bits on every machine.
//!
//! Sums run over eight lanes that are added up in a fixed order, so that the compiler may use the processor's vectors without
//! reassociating anything. Owns the inverse triangular factor, to which observations can be appended.

/// Σ a·b.
pub fn dot(a: &[f64], b: &[f64]) -> f64 {
    let n = a.len().min(b.len());
    let (a, b) = (&a[..n], &b[..n]);
    let mut lanes = [0.0; 8];
    let (chunks, others) = (a.chunks_exact(8), b.chunks_exact(8));
    let rest: f64 = chunks.remainder().iter().zip(others.remainder()).map(|(x, y)| x * y).sum();
    for (x, y) in chunks.zip(others) {
        for l in 0..8 {
            lanes[l] += x[l] * y[l];
        }
    }
    ((lanes[0] + lanes[4]) + (lanes[1] + lanes[5])) + ((lanes[2] + lanes[6]) + (lanes[3] + lanes[7])) + rest
}

/// y += c·x.
pub fn axpy(y: &mut [f64], c: f64, x: &[f64]) {
    for (y, x) in y.iter_mut().zip(x) {
        *y += c * x;
    }
}

/// y += Σ c·x over four rows at once (in their order), which reads `y` once.
fn axpy4(y: &mut [f64], c: [f64; 4], x: [&[f64]; 4]) {
    let n = y.len();
    let [a, b, d, e] = x.map(|row| &row[..n]);
    for i in 0..n {
        y[i] = y[i] + c[0] * a[i] + c[1] * b[i] + c[2] * d[i] + c[3] * e[i];
    }
}

/// A lower triangle by rows: row `i` has `i + 1` entries.
#[derive(Clone, Debug, Default)]
pub struct Triangle {
    /// Its entries.
    pub data: Vec<f64>,
    /// How many rows.
    pub n: usize,
}

impl Triangle {
    /// All zeros.
    pub fn zeros(n: usize) -> Self {
        Self { data: vec![0.0; n * (n + 1) / 2], n }
    }

    /// Row `i`, its diagonal entry last.
    pub fn row(&self, i: usize) -> &[f64] {
        &self.data[i * (i + 1) / 2..(i + 1) * (i + 2) / 2]
    }

    /// Rows before `i`, and row `i`.
    pub fn split(&mut self, i: usize) -> (&[f64], &mut [f64]) {
        let (before, rest) = self.data.split_at_mut(i * (i + 1) / 2);
        (before, &mut rest[..=i])
    }

    /// Replaces a symmetric positive definite matrix by its Cholesky factor; false where it isn't one.
    pub fn factor(&mut self) -> bool {
        for i in 0..self.n {
            let (before, row) = self.split(i);
            for j in 0..i {
                let at = j * (j + 1) / 2;
                let (own, pivot) = (&before[at..at + j], before[at + j]);
                row[j] = (row[j] - dot(&row[..j], own)) / pivot;
            }
            let left = row[i] - dot(&row[..i], &row[..i]);
            if !(left > 0.0 && left.is_finite()) {
                return false;
            }
            row[i] = left.sqrt();
        }
        true
    }

    /// The inverse of a triangular factor.
    pub fn inverse(&self) -> Self {
        let mut out = Self::zeros(self.n);
        for i in 0..self.n {
            let source = self.row(i);
            let (before, row) = out.split(i);
            let scale = -1.0 / source[i];
            // Later rows are longer: four at a time over what they share, then what each has alone.
            let mut k = 0;
            while k + 4 <= i {
                let rows = [k, k + 1, k + 2, k + 3].map(|r| &before[r * (r + 1) / 2..(r + 1) * (r + 2) / 2]);
                let c = [source[k], source[k + 1], source[k + 2], source[k + 3]];
                axpy4(&mut row[..=k], c, rows);
                for (m, (own, c)) in rows.iter().zip(c).enumerate().skip(1) {
                    axpy(&mut row[k + 1..=k + m], c, &own[k + 1..=k + m]);
                }
                k += 4;
            }
            for k in k..i {
                axpy(&mut row[..=k], source[k], &before[k * (k + 1) / 2..(k + 1) * (k + 2) / 2]);
            }
            row[..i].iter_mut().for_each(|v| *v *= scale);
            row[i] = -scale;
        }
        out
    }

    /// `selfᵀ·self`, of which the lower triangle: with an inverse factor, the inverse of the matrix.
    pub fn gram(&self) -> Self {
        let mut out = Self::zeros(self.n);
        for a in 0..self.n {
            let (_, target) = out.split(a);
            let mut i = a;
            while i + 4 <= self.n {
                let rows = [i, i + 1, i + 2, i + 3].map(|r| self.row(r));
                axpy4(target, rows.map(|row| row[a]), rows);
                i += 4;
            }
            for i in i..self.n {
                let row = self.row(i);
                axpy(target, row[a], row);
            }
        }
        out
    }

    /// `self · x` into `out`.
    pub fn times(&self, x: &[f64], out: &mut Vec<f64>) {
        out.clear();
        out.extend((0..self.n).map(|i| dot(self.row(i), x)));
    }

    /// `selfᵀ · x` into `out`.
    pub fn transposed_times(&self, x: &[f64], out: &mut Vec<f64>) {
        out.clear();
        out.resize(self.n, 0.0);
        let mut i = 0;
        while i + 4 <= self.n {
            let rows = [i, i + 1, i + 2, i + 3].map(|r| self.row(r));
            let c = [x[i], x[i + 1], x[i + 2], x[i + 3]];
            axpy4(&mut out[..=i], c, rows);
            for (m, (own, c)) in rows.iter().zip(c).enumerate().skip(1) {
                axpy(&mut out[i + 1..=i + m], c, &own[i + 1..=i + m]);
            }
            i += 4;
        }
        for (i, x) in x.iter().enumerate().take(self.n).skip(i) {
            axpy(&mut out[..=i], *x, self.row(i));
        }
    }

    /// Appends an observation to an inverse factor: `l` is `self · k`, where `k` are its covariances with the others, `sd` the
    /// square root of what of its own variance (with noise) they leave.
    pub fn append(&mut self, l: &[f64], sd: f64) {
        let mut row = Vec::new();
        self.transposed_times(l, &mut row);
        row.iter_mut().for_each(|v| *v *= -1.0 / sd);
        self.data.extend(row);
        self.data.push(1.0 / sd);
        self.n += 1;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A well-conditioned symmetric matrix.
    fn matrix(n: usize) -> Triangle {
        let mut out = Triangle::zeros(n);
        for i in 0..n {
            for j in 0..=i {
                let far = (i as f64 * 0.37).sin() - (j as f64 * 0.37).sin();
                out.split(i).1[j] = (-far * far).exp() + if i == j { 0.1 } else { 0.0 };
            }
        }
        out
    }

    fn entry(t: &Triangle, i: usize, j: usize) -> f64 {
        if i >= j { t.row(i)[j] } else { 0.0 }
    }

    #[test]
    fn factors_multiply_back_and_inverses_invert() {
        for n in [1, 2, 5, 8, 19, 33] {
            let source = matrix(n);
            let mut l = source.clone();
            assert!(l.factor());
            let (inverse, n_) = (l.inverse(), n);
            let full = inverse.gram();
            let sym = |t: &Triangle, i: usize, j: usize| if i >= j { t.row(i)[j] } else { t.row(j)[i] };
            for i in 0..n {
                for j in 0..n_ {
                    let back: f64 = (0..n).map(|k| entry(&l, i, k) * entry(&l, j, k)).sum();
                    assert!((back - sym(&source, i, j)).abs() < 1e-12);
                    let unit: f64 = (0..n).map(|k| sym(&source, i, k) * sym(&full, k, j)).sum();
                    assert!((unit - f64::from(i == j)).abs() < 1e-9, "{unit}");
                }
            }
        }
    }

    #[test]
    fn products_agree_with_their_definition() {
        let mut l = matrix(13);
        assert!(l.factor());
        let x: Vec<f64> = (0..13).map(|i| (i as f64).cos()).collect();
        let (mut straight, mut turned) = (Vec::new(), Vec::new());
        l.times(&x, &mut straight);
        l.transposed_times(&x, &mut turned);
        for i in 0..13 {
            let one: f64 = (0..13).map(|k| entry(&l, i, k) * x[k]).sum();
            let other: f64 = (0..13).map(|k| entry(&l, k, i) * x[k]).sum();
            assert!((straight[i] - one).abs() < 1e-13 && (turned[i] - other).abs() < 1e-13);
        }
    }

    #[test]
    fn appending_equals_factoring_anew() {
        let whole = matrix(24);
        let mut l = whole.clone();
        assert!(l.factor());
        let anew = l.inverse();
        let mut grown = Triangle::zeros(0);
        let mut own = Vec::new();
        for i in 0..24 {
            let row = whole.row(i);
            grown.times(&row[..i], &mut own);
            grown.append(&own, (row[i] - dot(&own, &own)).sqrt());
        }
        assert!(anew.data.iter().zip(&grown.data).all(|(a, b)| (a - b).abs() < 1e-8));
    }

    #[test]
    fn a_matrix_that_is_not_positive_definite_is_refused() {
        let mut bad = matrix(4);
        bad.split(2).1[2] = -1.0;
        assert!(!bad.factor());
    }
}

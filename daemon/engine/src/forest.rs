//! Extremely randomised trees (Geurts, Ernst & Wehenkel 2006), for probabilities and for means alike.
//!
//! Owns: growing and asking a forest whose every number is the same on every machine: cuts come from a seeded [`Stream`],
//! sums are taken in the order of rows, equal scores go to the first. (Why these and not linfa's: ADR 0013.)
//! A row is a configuration's coordinates: NaN where a parameter is inactive, an index where it is a choice.

use crate::{codec::Axis, rng::Stream};

/// How a forest is grown.
#[derive(Clone, Copy, Debug)]
pub struct Growth {
    /// Trees.
    pub trees: usize,
    /// Rows that a leaf holds at least.
    pub leaf: usize,
    /// Parameters of which the best random cut is taken, at each node.
    pub tried: usize,
    /// Levels at most.
    pub depth: usize,
}

/// What a forest is fitted to: rows of equal width, what is to be told of each, and its weight.
#[derive(Clone, Debug, Default)]
pub struct Rows<'a> {
    /// Coordinates of each.
    pub x: Vec<&'a [f64]>,
    /// Label or cost of each, finite.
    pub y: Vec<f64>,
    /// Weight of each, above 0.
    pub w: Vec<f64>,
}

impl<'a> Rows<'a> {
    /// One more.
    pub fn push(&mut self, x: &'a [f64], y: f64, w: f64) {
        self.x.push(x);
        self.y.push(y);
        self.w.push(w);
    }
}

/// What a node asks of a row.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Test {
    /// Nothing: a leaf.
    Leaf,
    /// Whether the parameter is active.
    Active,
    /// Whether the coordinate is below this one.
    Below(f64),
    /// Whether it is this choice.
    Is(f64),
    /// Whether the choice belongs to a random half of them, told by this number.
    Half(u64),
}

/// A node; children lie at `left` and `left + 1`.
#[derive(Clone, Copy, Debug)]
pub struct Node {
    /// What is asked.
    pub test: Test,
    /// Of which coordinate.
    pub axis: usize,
    /// Where rows go in which it is inactive.
    pub absent_left: bool,
    /// The child of those that answer yes.
    pub left: usize,
    /// Weighted mean of the rows that came here.
    pub value: f64,
}

impl Node {
    /// Whether a row with coordinate `x` goes left.
    pub fn goes_left(&self, x: f64) -> bool {
        if x.is_nan() {
            return self.test != Test::Active && self.absent_left;
        }
        match self.test {
            Test::Leaf | Test::Active => true,
            Test::Below(cut) => x < cut,
            Test::Is(choice) => x == choice,
            Test::Half(salt) => half(salt, x),
        }
    }
}

/// One tree, its root first.
#[derive(Clone, Debug)]
pub struct Tree(pub Vec<Node>);

/// Trees that answer together.
#[derive(Clone, Debug)]
pub struct Forest(pub Vec<Tree>);

fn half(salt: u64, choice: f64) -> bool {
    let mut x = salt ^ (choice as u64).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    x = (x ^ (x >> 32)).wrapping_mul(0xd6e8_feb8_6659_fd93);
    (x ^ (x >> 32)) & 1 == 1
}

/// Sums over rows.
#[derive(Clone, Copy, Debug, Default)]
struct Sums {
    rows: usize,
    weight: f64,
    total: f64,
}

impl Sums {
    fn add(&mut self, weight: f64, y: f64) {
        self.rows += 1;
        self.weight += weight;
        self.total += weight * y;
    }

    fn mean(&self) -> f64 {
        self.total / self.weight
    }
}

struct Grower<'a> {
    axes: &'a [Axis],
    growth: Growth,
    /// Coordinates by parameter (none of those that aren't modelled).
    columns: Vec<Vec<f64>>,
    y: &'a [f64],
    w: &'a [f64],
}

impl Forest {
    /// A forest over the coordinates that `axes` models; `rows` has at least one.
    pub fn grow(axes: &[Axis], rows: &Rows, growth: Growth, stream: &mut Stream) -> Self {
        let column = |(i, axis): (usize, &Axis)| match axis {
            Axis::Fixed => Vec::new(),
            _ => rows.x.iter().map(|x| x[i]).collect(),
        };
        let columns = axes.iter().enumerate().map(column).collect();
        let grower = Grower { axes, growth, columns, y: &rows.y, w: &rows.w };
        let modelled: Vec<usize> = (0..axes.len()).filter(|i| axes[*i] != Axis::Fixed).collect();
        Self((0..growth.trees.max(1)).map(|_| grower.tree(&modelled, stream)).collect())
    }

    /// The mean of what the trees answer, and how far they disagree (standard deviation).
    pub fn answer(&self, x: &[f64]) -> (f64, f64) {
        let (mut sum, mut squares) = (0.0, 0.0);
        for tree in &self.0 {
            let answer = tree.answer(x);
            sum += answer;
            squares += answer * answer;
        }
        let n = self.0.len() as f64;
        let mean = sum / n;
        (mean, (squares / n - mean * mean).max(0.0).sqrt())
    }

    /// The mean alone.
    pub fn mean(&self, x: &[f64]) -> f64 {
        self.0.iter().map(|tree| tree.answer(x)).sum::<f64>() / self.0.len() as f64
    }
}

impl Tree {
    /// What the leaf says that `x` comes to.
    pub fn answer(&self, x: &[f64]) -> f64 {
        let mut at = 0;
        loop {
            let node = &self.0[at];
            if node.test == Test::Leaf {
                return node.value;
            }
            at = node.left + usize::from(!node.goes_left(x[node.axis]));
        }
    }
}

impl Grower<'_> {
    fn tree(&self, modelled: &[usize], stream: &mut Stream) -> Tree {
        let mut members: Vec<usize> = (0..self.y.len()).collect();
        let mut order = modelled.to_vec();
        let mut nodes = vec![self.leaf(&members)];
        // (Node, its share of `members`, its depth.)
        let mut open = vec![(0, 0, members.len(), 0)];
        while let Some((at, from, to, depth)) = open.pop() {
            let here = &mut members[from..to];
            if here.len() < 2 * self.growth.leaf.max(1) || depth >= self.growth.depth || self.is_pure(here) {
                continue;
            }
            let Some(best) = self.cut(here, &mut order, stream) else { continue };
            let middle = from + self.part(here, &best);
            let left = nodes.len();
            nodes.push(self.leaf(&members[from..middle]));
            nodes.push(self.leaf(&members[middle..to]));
            nodes[at] = Node { left, value: nodes[at].value, ..best };
            open.push((left + 1, middle, to, depth + 1));
            open.push((left, from, middle, depth + 1));
        }
        Tree(nodes)
    }

    fn leaf(&self, members: &[usize]) -> Node {
        let mut sums = Sums::default();
        members.iter().for_each(|row| sums.add(self.w[*row], self.y[*row]));
        Node { test: Test::Leaf, axis: 0, absent_left: false, left: 0, value: sums.mean() }
    }

    fn is_pure(&self, members: &[usize]) -> bool {
        let first = self.y[members[0]];
        members.iter().all(|row| self.y[*row] == first)
    }

    /// The best of a random cut through each of `tried` parameters that differ among `members`.
    fn cut(&self, members: &[usize], order: &mut [usize], stream: &mut Stream) -> Option<Node> {
        let mut best: Option<(f64, Node)> = None;
        let mut xs = Vec::with_capacity(members.len());
        let mut tried = 0;
        for i in 0..order.len() {
            if tried == self.growth.tried {
                break;
            }
            let other = i + stream.below(order.len() - i);
            order.swap(i, other);
            xs.clear();
            xs.extend(members.iter().map(|row| self.columns[order[i]][*row]));
            let Some(node) = self.random_cut(&xs, order[i], stream) else { continue };
            tried += 1;
            let Some(score) = self.score(members, &xs, &node) else { continue };
            if best.as_ref().is_none_or(|(least, _)| score > *least) {
                best = Some((score, node));
            }
        }
        best.map(|(_, node)| node)
    }

    fn random_cut(&self, xs: &[f64], axis: usize, stream: &mut Stream) -> Option<Node> {
        let (mut low, mut high, mut absent) = (f64::INFINITY, f64::NEG_INFINITY, 0);
        for &x in xs {
            if x.is_nan() {
                absent += 1;
            } else {
                low = if x < low { x } else { low };
                high = if x > high { x } else { high };
            }
        }
        if absent == xs.len() || (low == high && absent == 0) {
            return None;
        }
        let test = if absent > 0 && (low == high || stream.unit() < 0.5) {
            Test::Active
        } else if !matches!(self.axes[axis], Axis::Choice { .. }) {
            Test::Below(low + (high - low) * stream.unit())
        } else if stream.unit() < 0.5 {
            // A choice in proportion to how often it was made; where it is inactive, the smallest.
            let x = xs[stream.below(xs.len())];
            Test::Is(if x.is_nan() { low } else { x })
        } else {
            // One that divides these rows.
            let salts = (0..64).map(|_| (stream.unit() * 9_007_199_254_740_992.0) as u64);
            let mut divides = salts.filter(|salt| half(*salt, low) != half(*salt, high));
            divides.next().map_or(Test::Is(low), Test::Half)
        };
        let absent_left = absent > 0 && stream.unit() < 0.5;
        Some(Node { test, axis, absent_left, left: 0, value: 0.0 })
    }

    /// How much of the labels' variance a cut explains (up to a constant); none where a side gets too few rows. For
    /// labels of 0 and 1 this is Gini's criterion.
    fn score(&self, members: &[usize], xs: &[f64], node: &Node) -> Option<f64> {
        let mut sides = [Sums::default(); 2];
        for (row, x) in members.iter().zip(xs) {
            sides[usize::from(!node.goes_left(*x))].add(self.w[*row], self.y[*row]);
        }
        let fits = sides.iter().all(|side| side.rows >= self.growth.leaf.max(1));
        fits.then(|| sides.iter().map(|side| side.total * side.mean()).sum())
    }

    /// Moves those that go left to the front, and says how many they are.
    fn part(&self, members: &mut [usize], node: &Node) -> usize {
        let (left, right): (Vec<usize>, Vec<usize>) =
            members.iter().partition(|row| node.goes_left(self.columns[node.axis][**row]));
        members[..left.len()].copy_from_slice(&left);
        members[left.len()..].copy_from_slice(&right);
        left.len()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NUMBER: Axis = Axis::Grid { cells: 100, log_from: None };
    const CHOICE: Axis = Axis::Choice { cells: 40 };

    fn grow(axes: &[Axis], data: &[(Vec<f64>, f64)], growth: Growth) -> Forest {
        let mut rows = Rows::default();
        data.iter().for_each(|(x, y)| rows.push(x, *y, 1.0));
        Forest::grow(axes, &rows, growth, &mut Stream::new(1, 2, 3, "test"))
    }

    fn whole(leaf: usize) -> Growth {
        Growth { trees: 16, leaf, tried: 3, depth: 64 }
    }

    #[test]
    fn trees_grown_out_know_every_row_by_numbers_choices_and_activity() {
        let mut data: Vec<(Vec<f64>, f64)> =
            (0..80).map(|i| (vec![f64::from(i % 20) / 20.0, f64::from(i / 20), f64::NAN], f64::from(i))).collect();
        data.push((vec![0.5, 2.0, 0.1], 1000.0));
        let forest = grow(&[NUMBER, CHOICE, NUMBER], &data, whole(1));
        for (x, y) in &data {
            assert_eq!(forest.answer(x), (*y, 0.0), "{x:?}");
        }
    }

    #[test]
    fn leaves_hold_means_and_no_fewer_rows_than_said() {
        let data: Vec<(Vec<f64>, f64)> = (0..60).map(|i| (vec![f64::from(i) / 60.0], f64::from(i % 2))).collect();
        let forest = grow(&[NUMBER], &data, whole(10));
        for tree in &forest.0 {
            for (x, _) in &data {
                let same = |other: &&(Vec<f64>, f64)| tree.answer(&other.0).to_bits() == tree.answer(x).to_bits();
                let leaf: Vec<_> = data.iter().filter(same).collect();
                assert!(leaf.len() >= 10);
            }
            assert!((tree.0[0].value - 0.5).abs() < 1e-12);
        }
        // Between values that were never seen apart, trees disagree.
        assert!(forest.answer(&[0.5]).1 > 0.0);
    }

    #[test]
    fn one_choice_among_many_is_found() {
        let data: Vec<(Vec<f64>, f64)> =
            (0..400).map(|i| (vec![f64::from(i % 40)], f64::from(u8::from(i % 40 == 17)))).collect();
        let forest = grow(&[CHOICE], &data, Growth { depth: 12, ..whole(1) });
        assert!(forest.mean(&[17.0]) > 0.6 && forest.mean(&[16.0]) < 0.2);
    }

    #[test]
    fn weights_count() {
        let mut rows = Rows::default();
        let x = [0.5];
        rows.push(&x, 1.0, 3.0);
        rows.push(&x, 0.0, 1.0);
        let forest = Forest::grow(&[NUMBER], &rows, whole(1), &mut Stream::new(1, 2, 3, "test"));
        assert_eq!(forest.mean(&[0.9]), 0.75);
    }
}

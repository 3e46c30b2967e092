//! Extremely randomised trees (Geurts, Ernst & Wehenkel 2006), for probabilities and for means alike.
//!
//! Owns: growing and asking a forest whose every number is the same on every machine: cuts come from a seeded [`Stream`],
//! sums are taken in the order of rows, equal scores go to the first. (Why these and not linfa's: ADR 0012.)
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

struct Grower<'a, 'r> {
    rows: &'a Rows<'r>,
    axes: &'a [Axis],
    growth: Growth,
}

impl Forest {
    /// A forest over the coordinates that `axes` models; `rows` has at least one.
    pub fn grow(axes: &[Axis], rows: &Rows, growth: Growth, stream: &mut Stream) -> Self {
        let grower = Grower { rows, axes, growth };
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

impl Grower<'_, '_> {
    fn tree(&self, modelled: &[usize], stream: &mut Stream) -> Tree {
        let mut members: Vec<usize> = (0..self.rows.y.len()).collect();
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
        members.iter().for_each(|row| sums.add(self.rows.w[*row], self.rows.y[*row]));
        Node { test: Test::Leaf, axis: 0, absent_left: false, left: 0, value: sums.mean() }
    }

    fn is_pure(&self, members: &[usize]) -> bool {
        let first = self.rows.y[members[0]];
        members.iter().all(|row| self.rows.y[*row] == first)
    }

    /// The best of a random cut through each of `tried` parameters that differ among `members`.
    fn cut(&self, members: &[usize], order: &mut [usize], stream: &mut Stream) -> Option<Node> {
        let mut best: Option<(f64, Node)> = None;
        let mut tried = 0;
        for i in 0..order.len() {
            if tried == self.growth.tried {
                break;
            }
            let other = i + stream.below(order.len() - i);
            order.swap(i, other);
            let Some(node) = self.random_cut(members, order[i], stream) else { continue };
            tried += 1;
            let Some(score) = self.score(members, &node) else { continue };
            if best.as_ref().is_none_or(|(least, _)| score > *least) {
                best = Some((score, node));
            }
        }
        best.map(|(_, node)| node)
    }

    fn random_cut(&self, members: &[usize], axis: usize, stream: &mut Stream) -> Option<Node> {
        let (mut low, mut high, mut absent) = (f64::INFINITY, f64::NEG_INFINITY, 0);
        for row in members {
            let x = self.rows.x[*row][axis];
            if x.is_nan() {
                absent += 1;
            } else {
                low = if x < low { x } else { low };
                high = if x > high { x } else { high };
            }
        }
        if absent == members.len() || (low == high && absent == 0) {
            return None;
        }
        let test = if absent > 0 && (low == high || stream.unit() < 0.5) {
            Test::Active
        } else if !matches!(self.axes[axis], Axis::Choice { .. }) {
            Test::Below(low + (high - low) * stream.unit())
        } else if stream.unit() < 0.5 {
            // A choice in proportion to how often it was made; where it is inactive, the smallest.
            let x = self.rows.x[members[stream.below(members.len())]][axis];
            Test::Is(if x.is_nan() { low } else { x })
        } else {
            Test::Half((stream.unit() * 9_007_199_254_740_992.0) as u64)
        };
        let absent_left = absent > 0 && stream.unit() < 0.5;
        Some(Node { test, axis, absent_left, left: 0, value: 0.0 })
    }

    /// How much of the labels' variance a cut explains (up to a constant); none where a side gets too few rows. For
    /// labels of 0 and 1 this is Gini's criterion.
    fn score(&self, members: &[usize], node: &Node) -> Option<f64> {
        let mut sides = [Sums::default(); 2];
        for row in members {
            let side = usize::from(!node.goes_left(self.rows.x[*row][node.axis]));
            sides[side].add(self.rows.w[*row], self.rows.y[*row]);
        }
        let fits = sides.iter().all(|side| side.rows >= self.growth.leaf.max(1));
        fits.then(|| sides.iter().map(|side| side.total * side.mean()).sum())
    }

    /// Moves those that go left to the front, and says how many they are.
    fn part(&self, members: &mut [usize], node: &Node) -> usize {
        let (left, right): (Vec<usize>, Vec<usize>) =
            members.iter().partition(|row| node.goes_left(self.rows.x[**row][node.axis]));
        members[..left.len()].copy_from_slice(&left);
        members[left.len()..].copy_from_slice(&right);
        left.len()
    }
}

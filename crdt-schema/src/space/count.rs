//! Counting and numbering the configurations of a finite space, without listing them.
//!
//! Parameters that conditions tie together form components; configurations multiply over components. Within one, a
//! recursion in declaration order counts completions; its state is which later parameters a parent has already ruled out.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use super::{Domain, Space};

/// States kept per component before a space counts as too entangled to number.
const MAX_STATES: usize = 50_000;

/// A numbering of a finite space's configurations.
#[derive(Clone, Debug)]
pub struct Cells {
    len: usize,
    parts: Vec<Part>,
    size: u128,
}

#[derive(Clone, Debug)]
struct Part {
    nodes: Vec<Node>,
    /// Completions by (position, positions of later nodes that are ruled out).
    counts: HashMap<(usize, Vec<u32>), u128>,
    size: u128,
}

#[derive(Clone, Debug)]
struct Node {
    /// Position in the space.
    at: usize,
    cells: u64,
    /// Values with the same effect on children: (those values; none: all that no child names, how many, children ruled out).
    classes: Vec<(Option<Vec<u64>>, u64, Vec<u32>)>,
    /// Every child, ruled out where this node is itself inactive.
    children: Vec<u32>,
    /// Values that some child names, sorted.
    named: Vec<u64>,
}

impl Cells {
    /// None where a parameter is continuous or there are too many configurations to count.
    pub fn new(space: &Space) -> Option<Self> {
        let whens = space.conditions();
        let searched: Vec<usize> = (0..space.params.len()).filter(|i| !space.params[*i].domain.is_fidelity()).collect();
        let mut component: Vec<usize> = (0..space.params.len()).collect();
        for &i in &searched {
            for (parent, _) in &whens[i] {
                let (from, to) = (component[i], component[*parent]);
                component.iter_mut().filter(|c| **c == from).for_each(|c| *c = to);
            }
        }
        let mut groups: BTreeMap<usize, Vec<usize>> = BTreeMap::new();
        for &i in &searched {
            groups.entry(component[i]).or_default().push(i);
        }
        let mut parts = Vec::new();
        for members in groups.into_values() {
            parts.push(Part::new(space, &whens, &members)?);
        }
        let size = parts.iter().try_fold(1u128, |size, part| size.checked_mul(part.size))?;
        Some(Self { len: space.params.len(), parts, size })
    }

    /// How many configurations there are.
    pub fn size(&self) -> u128 {
        self.size
    }

    /// Cells of configuration `index` (below [`Cells::size`]), by position in the space; none: inactive, or a fidelity.
    pub fn nth(&self, mut index: u128) -> Vec<Option<u64>> {
        let mut cells = vec![None; self.len];
        for part in &self.parts {
            part.fill(index % part.size, &mut cells);
            index /= part.size;
        }
        cells
    }
}

impl Part {
    fn new(space: &Space, whens: &[Vec<(usize, Vec<u64>)>], members: &[usize]) -> Option<Self> {
        let mut nodes = Vec::new();
        for &at in members {
            let cells = space.params[at].domain.cells()?;
            let children: Vec<(u32, &Vec<u64>)> = (members.iter().enumerate())
                .flat_map(|(j, &m)| {
                    whens[m].iter().filter(|(p, _)| *p == at).map(move |(_, allowed)| (j as u32, allowed))
                })
                .collect();
            let named: BTreeSet<u64> = children.iter().flat_map(|(_, allowed)| allowed.iter().copied()).collect();
            let mut classes: BTreeMap<Vec<u32>, Vec<u64>> = BTreeMap::new();
            for value in &named {
                let out = children.iter().filter(|(_, allowed)| !allowed.contains(value)).map(|(j, _)| *j).collect();
                classes.entry(out).or_default().push(*value);
            }
            let mut classes: Vec<_> =
                classes.into_iter().map(|(out, values)| (Some(values.clone()), values.len() as u64, out)).collect();
            let all: Vec<u32> = children.iter().map(|(j, _)| *j).collect();
            if cells > named.len() as u64 {
                classes.push((None, cells - named.len() as u64, all.clone()));
            }
            nodes.push(Node { at, cells, classes, children: all, named: named.into_iter().collect() });
        }
        let mut part = Self { nodes, counts: HashMap::new(), size: 0 };
        part.size = part.count(0, Vec::new())?;
        Some(part)
    }

    /// The state after node `i` ruled out `more`, with what lies behind forgotten.
    fn after(i: usize, out: &[u32], more: &[u32]) -> Vec<u32> {
        let set: BTreeSet<u32> = out.iter().chain(more).copied().filter(|j| *j as usize > i).collect();
        set.into_iter().collect()
    }

    fn count(&mut self, i: usize, out: Vec<u32>) -> Option<u128> {
        let Some(node) = self.nodes.get(i).cloned() else { return Some(1) };
        if let Some(count) = self.counts.get(&(i, out.clone())) {
            return Some(*count);
        }
        let mut total = 0u128;
        if out.contains(&(i as u32)) {
            total = self.count(i + 1, Self::after(i, &out, &node.children))?;
        } else {
            for (_, values, more) in &node.classes {
                let rest = self.count(i + 1, Self::after(i, &out, more))?;
                total = total.checked_add(rest.checked_mul(u128::from(*values))?)?;
            }
        }
        if self.counts.len() >= MAX_STATES {
            return None;
        }
        self.counts.insert((i, out), total);
        Some(total)
    }

    fn known(&self, i: usize, out: &[u32]) -> u128 {
        if i == self.nodes.len() { 1 } else { self.counts.get(&(i, out.to_vec())).copied().unwrap_or(1) }
    }

    fn fill(&self, mut index: u128, cells: &mut [Option<u64>]) {
        let mut out: Vec<u32> = Vec::new();
        for (i, node) in self.nodes.iter().enumerate() {
            if out.contains(&(i as u32)) {
                out = Self::after(i, &out, &node.children);
                continue;
            }
            for (values, how_many, more) in &node.classes {
                let next = Self::after(i, &out, more);
                let rest = self.known(i + 1, &next);
                let block = rest * u128::from(*how_many);
                if index < block {
                    let nth = (index / rest) as u64;
                    index %= rest;
                    cells[node.at] = Some(match values {
                        Some(values) => values[nth as usize],
                        None => unnamed(nth, &node.named).min(node.cells - 1),
                    });
                    out = next;
                    break;
                }
                index -= block;
            }
        }
    }
}

/// The `nth` number that isn't among `named` (sorted).
fn unnamed(nth: u64, named: &[u64]) -> u64 {
    named.iter().fold(nth, |at, value| if *value <= at { at + 1 } else { at })
}

impl Space {
    /// How many configurations there are; none: infinitely many, or too many to count.
    pub fn size(&self) -> Option<u128> {
        Cells::new(self).map(|cells| cells.size())
    }

    /// Each parameter's conditions as (position of the parent, its allowed cells, sorted). Parents that don't exist or
    /// aren't discrete allow nothing.
    pub fn conditions(&self) -> Vec<Vec<(usize, Vec<u64>)>> {
        let place: HashMap<&str, usize> = self.params.iter().enumerate().map(|(i, p)| (p.name.as_str(), i)).collect();
        let of = |param: &super::Param| {
            let mut conditions = Vec::new();
            for (parent, allowed) in param.when.iter().flatten() {
                let Some(&at) = place.get(parent.as_str()) else { continue };
                let domain: &Domain = &self.params[at].domain;
                let mut cells: Vec<u64> = allowed.iter().filter_map(|v| domain.cell_of(v)).collect();
                cells.sort_unstable();
                cells.dedup();
                conditions.push((at, cells));
            }
            conditions.sort();
            conditions
        };
        self.params.iter().map(of).collect()
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn space(params: serde_json::Value) -> Space {
        serde_json::from_value(params).unwrap()
    }

    /// Every assignment of cells, kept where conditions hold, as an oracle.
    fn listed(space: &Space) -> BTreeSet<Vec<Option<u64>>> {
        let whens = space.conditions();
        let mut all: Vec<Vec<Option<u64>>> = vec![Vec::new()];
        for (i, param) in space.params.iter().enumerate() {
            all = all
                .into_iter()
                .flat_map(|row| {
                    let active = whens[i].iter().all(|(p, allowed)| row[*p].is_some_and(|v| allowed.contains(&v)));
                    let values =
                        if active { (0..param.domain.cells().unwrap()).map(Some).collect() } else { vec![None] };
                    values
                        .into_iter()
                        .map(move |v| row.iter().copied().chain([v]).collect::<Vec<_>>())
                        .collect::<Vec<_>>()
                })
                .collect();
        }
        all.into_iter().collect()
    }

    #[test]
    fn numbering_lists_every_configuration_once() {
        let space = space(json!([
            {"name": "a", "type": "int", "low": 0, "high": 4},
            {"name": "b", "type": "categorical", "choices": ["x", "y", "z"], "when": {"a": [1, 3]}},
            {"name": "free", "type": "bool"},
            {"name": "c", "type": "bool", "when": {"b": ["x"], "a": [3]}},
            {"name": "d", "type": "float", "low": 0.0, "high": 1.0, "step": 0.25, "when": {"c": [true]}},
            {"name": "e", "type": "int", "low": 1, "high": 2, "when": {"b": ["x", "z"]}},
        ]));
        let cells = Cells::new(&space).unwrap();
        let expected = listed(&space);
        assert_eq!(cells.size(), expected.len() as u128);
        let got: BTreeSet<_> = (0..cells.size()).map(|i| cells.nth(i)).collect();
        assert_eq!(got, expected);
    }

    #[test]
    fn many_independent_conditions_stay_countable() {
        let mut params = Vec::new();
        for i in 0..30 {
            params.push(json!({"name": format!("p{i}"), "type": "bool"}));
        }
        for i in 0..30 {
            params.push(
                json!({"name": format!("c{i}"), "type": "int", "low": 1, "high": 3, "when": {format!("p{i}"): [true]}}),
            );
        }
        assert_eq!(space(json!(params)).size(), Some(4u128.pow(30)));
    }

    #[test]
    fn continuous_spaces_have_no_size_and_a_fidelity_does_not_count() {
        assert_eq!(space(json!([{"name": "x", "type": "float", "low": 0.0, "high": 1.0}])).size(), None);
        let with =
            space(json!([{"name": "x", "type": "bool"}, {"name": "t", "type": "fidelity", "low": 1, "high": 81}]));
        assert_eq!(with.size(), Some(2));
    }
}

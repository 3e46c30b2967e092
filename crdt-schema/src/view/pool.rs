//! What a hundred thousand trials have in common, kept once: names, node IDs, and configurations without their names.
//!
//! Owns: sharing. Must not: change what anything means; a shared copy equals the original.

use std::{collections::HashSet, sync::Arc};

use serde_json::{Number, Value};

use crate::{Named, NodeId, Stamp, space::Params};

/// Copies to share. It only grows, by one entry for each different text; what is in it would stand in the trials anyway.
#[derive(Clone, Debug, Default)]
pub struct Pool {
    texts: HashSet<Arc<str>>,
    nodes: HashSet<NodeId>,
    rows: HashSet<Arc<[Arc<str>]>>,
}

impl Pool {
    /// The shared copy of a text.
    pub(super) fn text(&mut self, text: &str) -> Arc<str> {
        if let Some(shared) = self.texts.get(text) {
            return shared.clone();
        }
        let shared: Arc<str> = text.into();
        self.texts.insert(shared.clone());
        shared
    }

    /// The shared copy of a node's ID.
    pub(super) fn node(&mut self, node: &NodeId) -> NodeId {
        if let Some(shared) = self.nodes.get(node) {
            return shared.clone();
        }
        self.nodes.insert(node.clone());
        node.clone()
    }

    /// A stamp with a shared node.
    pub(super) fn stamp(&mut self, stamp: &Stamp) -> Stamp {
        Stamp { ms: stamp.ms, n: stamp.n, node: self.node(&stamp.node) }
    }

    /// Entries under shared names.
    pub(super) fn named<V: Clone>(&mut self, named: &Named<V>) -> Named<V> {
        let mut shared = named.clone();
        shared.rename(|name| self.text(name));
        shared
    }

    /// A configuration, packed.
    pub(super) fn row(&mut self, params: &Params) -> Row {
        let names: Vec<Arc<str>> = params.keys().map(|name| self.text(name)).collect();
        let names = match self.rows.get(names.as_slice()) {
            Some(shared) => shared.clone(),
            None => {
                let shared: Arc<[Arc<str>]> = names.into();
                self.rows.insert(shared.clone());
                shared
            }
        };
        Row { names, values: params.values().map(|value| self.scalar(value)).collect() }
    }

    fn scalar(&mut self, value: &Value) -> Scalar {
        match value {
            Value::Null => Scalar::Null,
            Value::Bool(truth) => Scalar::Bool(*truth),
            Value::String(text) => Scalar::Text(self.text(text)),
            Value::Number(number) => match (number.as_i64(), number.as_u64(), number.as_f64()) {
                (Some(n), ..) => Scalar::Int(n),
                (_, Some(n), _) => Scalar::Uint(n),
                (.., Some(x)) => Scalar::Float(x),
                _ => Scalar::Other(Box::new(value.clone())),
            },
            other => Scalar::Other(Box::new(other.clone())),
        }
    }
}

/// A configuration in about a fifth of the memory that a map of JSON values takes.
#[derive(Clone)]
pub struct Row {
    names: Arc<[Arc<str>]>,
    values: Box<[Scalar]>,
}

#[derive(Clone, Debug, PartialEq)]
enum Scalar {
    Null,
    Bool(bool),
    Int(i64),
    /// Above what fits [`Scalar::Int`].
    Uint(u64),
    Float(f64),
    Text(Arc<str>),
    /// Nothing that a space admits; a document may hold it all the same.
    Other(Box<Value>),
}

impl Scalar {
    fn value(&self) -> Value {
        match self {
            Self::Null => Value::Null,
            Self::Bool(truth) => Value::Bool(*truth),
            Self::Int(n) => Value::from(*n),
            Self::Uint(n) => Value::from(*n),
            // Only finite numbers were ever JSON.
            Self::Float(x) => Number::from_f64(*x).map_or(Value::Null, Value::Number),
            Self::Text(text) => Value::from(&**text),
            Self::Other(value) => (**value).clone(),
        }
    }
}

impl Row {
    /// The value of a parameter; none where it is inactive or unknown.
    pub fn get(&self, name: &str) -> Option<Value> {
        self.names.iter().position(|n| **n == *name).map(|i| self.values[i].value())
    }

    /// Whether a parameter has a value.
    pub fn contains_key(&self, name: &str) -> bool {
        self.names.iter().any(|n| **n == *name)
    }

    /// Parameters in order.
    pub fn iter(&self) -> impl ExactSizeIterator<Item = (&str, Value)> {
        self.names.iter().zip(&self.values).map(|(name, value)| (&**name, value.value()))
    }

    /// As people see it.
    pub fn params(&self) -> Params {
        self.iter().map(|(name, value)| (name.to_owned(), value)).collect()
    }
}

impl PartialEq for Row {
    fn eq(&self, other: &Self) -> bool {
        let value = |name: &Arc<str>| other.names.iter().position(|n| n == name).map(|i| &other.values[i]);
        self.names.len() == other.names.len() && self.names.iter().zip(&self.values).all(|(n, v)| value(n) == Some(v))
    }
}

impl std::fmt::Debug for Row {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_map().entries(self.iter()).finish()
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_packed_configuration_reads_back_as_it_was() {
        let mut pool = Pool::default();
        let params: Params = [
            ("lr", json!(1e-3)),
            ("layers", json!(3)),
            ("below", json!(-3)),
            ("huge", json!(u64::MAX)),
            ("whole", json!(2.0)),
            ("opt", json!("sgd")),
            ("amp", json!(true)),
            ("none", json!(null)),
            ("odd", json!({"nested": [1]})),
        ]
        .into_iter()
        .map(|(name, value)| (name.to_owned(), value))
        .collect();
        let row = pool.row(&params);
        assert_eq!(row.params(), params);
        assert_eq!(row.params().keys().collect::<Vec<_>>(), params.keys().collect::<Vec<_>>());
        assert_eq!(row.get("whole").unwrap().to_string(), "2.0", "a float stays one");
        assert_eq!((row.get("opt"), row.get("missing")), (Some(json!("sgd")), None));
        let mut turned = params.clone();
        turned.reverse();
        assert_eq!(row, pool.row(&turned));
        turned.insert("lr".into(), json!(0.5));
        assert_ne!(row, pool.row(&turned));
    }

    #[test]
    fn equal_texts_are_one() {
        let mut pool = Pool::default();
        let one = pool.row(&[("opt".to_owned(), json!("adam"))].into_iter().collect());
        let two = pool.row(&[("opt".to_owned(), json!("adam"))].into_iter().collect());
        assert!(Arc::ptr_eq(&one.names, &two.names));
        assert!(matches!((&one.values[0], &two.values[0]), (Scalar::Text(a), Scalar::Text(b)) if Arc::ptr_eq(a, b)));
    }
}

//! A short map from names to values, in the order given: metrics of a trial, last values of a curve.
//!
//! Owns: lookup by name and its JSON form. Must not: grow large; every look-up walks the entries.
//!
//! A study has a handful of metrics and up to a million points, so that what one entry costs matters: names are shared
//! between maps (see [`Pool`](crate::view::Pool)), and there is no table beside the entries.

use std::{collections::HashMap, fmt, marker::PhantomData, sync::Arc};

use serde::{
    Deserialize, Deserializer, Serialize, Serializer,
    de::{MapAccess, Visitor},
};

/// Entries up to which walking over them is the fastest way to find one.
const FEW: usize = 32;

/// Values by name. Two are equal when they hold the same entries, in whatever order.
#[derive(Clone)]
pub struct Named<V>(Vec<(Arc<str>, V)>);

impl<V> Named<V> {
    /// Nothing yet.
    pub const fn new() -> Self {
        Self(Vec::new())
    }

    /// The value under a name.
    pub fn get(&self, name: &str) -> Option<&V> {
        self.0.iter().find(|(n, _)| **n == *name).map(|(_, v)| v)
    }

    /// Whether there is a value under a name.
    pub fn contains_key(&self, name: &str) -> bool {
        self.get(name).is_some()
    }

    /// Puts a value in the place of the one under its name, else at the end.
    pub fn insert<S: Into<Arc<str>> + AsRef<str>>(&mut self, name: S, value: V) {
        match self.0.iter_mut().find(|(n, _)| **n == *name.as_ref()) {
            Some((_, there)) => *there = value,
            None => self.0.push((name.into(), value)),
        }
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Names and values in order.
    pub fn iter(&self) -> impl ExactSizeIterator<Item = (&str, &V)> {
        self.0.iter().map(|(n, v)| (&**n, v))
    }

    /// Names in order, as they are shared.
    pub fn names(&self) -> impl ExactSizeIterator<Item = &Arc<str>> {
        self.0.iter().map(|(n, _)| n)
    }

    /// By name from now on, so that the order says nothing of what was learnt when.
    pub(crate) fn sort(&mut self) {
        self.0.sort_unstable_by(|(a, _), (b, _)| a.cmp(b));
    }

    /// Takes other copies of the names.
    pub(crate) fn rename(&mut self, mut shared: impl FnMut(&Arc<str>) -> Arc<str>) {
        for (name, _) in &mut self.0 {
            *name = shared(name);
        }
        self.0.shrink_to_fit();
    }
}

impl<V> Default for Named<V> {
    fn default() -> Self {
        Self::new()
    }
}

impl<V: PartialEq> PartialEq for Named<V> {
    fn eq(&self, other: &Self) -> bool {
        self.len() == other.len() && self.iter().all(|(name, value)| other.get(name) == Some(value))
    }
}

impl<V: fmt::Debug> fmt::Debug for Named<V> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_map().entries(self.iter()).finish()
    }
}

impl<V> std::ops::Index<&str> for Named<V> {
    type Output = V;

    #[allow(clippy::expect_used, reason = "as the standard maps: `get` is for names that may be missing")]
    fn index(&self, name: &str) -> &V {
        self.get(name).expect("no value under this name")
    }
}

impl<S: Into<Arc<str>> + AsRef<str>, V> FromIterator<(S, V)> for Named<V> {
    fn from_iter<I: IntoIterator<Item = (S, V)>>(entries: I) -> Self {
        let mut all = Self::new();
        all.extend(entries);
        all
    }
}

impl<S: Into<Arc<str>> + AsRef<str>, V> Extend<(S, V)> for Named<V> {
    fn extend<I: IntoIterator<Item = (S, V)>>(&mut self, entries: I) {
        // Beyond a few dozen a walk for each would cost more than a table; anyone may send a megabyte of names.
        let mut known: HashMap<Arc<str>, usize> = HashMap::new();
        for (name, value) in entries {
            if self.0.len() < FEW {
                self.insert(name, value);
                continue;
            }
            if known.is_empty() {
                known = self.0.iter().enumerate().map(|(i, (name, _))| (name.clone(), i)).collect();
            }
            match known.get(name.as_ref()) {
                Some(&i) => self.0[i].1 = value,
                None => {
                    let name: Arc<str> = name.into();
                    known.insert(name.clone(), self.0.len());
                    self.0.push((name, value));
                }
            }
        }
    }
}

impl<V> IntoIterator for Named<V> {
    type Item = (Arc<str>, V);
    type IntoIter = std::vec::IntoIter<(Arc<str>, V)>;

    fn into_iter(self) -> Self::IntoIter {
        self.0.into_iter()
    }
}

impl<V: Serialize> Serialize for Named<V> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_map(self.iter())
    }
}

impl<'de, V: Deserialize<'de>> Deserialize<'de> for Named<V> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Entries<V>(PhantomData<V>);
        impl<'de, V: Deserialize<'de>> Visitor<'de> for Entries<V> {
            type Value = Named<V>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a map of values by name")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Named<V>, A::Error> {
                let mut entries = Vec::with_capacity(map.size_hint().unwrap_or(2).min(FEW));
                while let Some(entry) = map.next_entry::<Arc<str>, V>()? {
                    entries.push(entry);
                }
                Ok(entries.into_iter().collect())
            }
        }
        deserializer.deserialize_map(Entries(PhantomData))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn order_is_kept_and_matters_to_nobody() {
        let ab: Named<i32> = [("a", 1), ("b", 2)].into_iter().collect();
        let ba: Named<i32> = [("b", 2), ("a", 0), ("a", 1)].into_iter().collect();
        assert_eq!(ab, ba);
        assert_ne!(ab, [("a", 1)].into_iter().collect());
        assert_ne!(ab, [("a", 1), ("c", 2)].into_iter().collect());
        assert_eq!(ba.iter().map(|(n, _)| n).collect::<Vec<_>>(), ["b", "a"]);
        assert_eq!((ab.get("b"), ab.get("c"), ab["a"]), (Some(&2), None, 1));
    }

    #[test]
    fn many_entries_are_as_few() {
        let many = |offset: usize| (0..1000).map(move |i| (format!("m{}", (i + offset) % 1000), i));
        let all: Named<usize> = many(0).chain(many(1)).collect();
        assert_eq!((all.len(), all["m0"], all["m999"]), (1000, 999, 998));
        assert_eq!(all, many(1).collect());
    }

    #[test]
    fn json_is_a_map_in_order() {
        let ab: Named<f64> = [("b", 2.0), ("a", 0.5)].into_iter().collect();
        let text = serde_json::to_string(&ab).unwrap();
        assert_eq!(text, r#"{"b":2.0,"a":0.5}"#);
        assert_eq!(serde_json::from_str::<Named<f64>>(&text).unwrap(), ab);
        assert!(serde_json::from_str::<Named<f64>>("[1]").is_err());
    }
}

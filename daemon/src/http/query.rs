//! Parameters of the path and the query, and pages.
//!
//! Owns: what is said about wrong ones. Must not: know what they select.

use axum::{
    extract::{FromRequestParts, Path},
    http::request::Parts,
};
use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use metaopt_api::{
    Page,
    list::{DEFAULT_LIMIT, MAX_LIMIT},
};
use metaopt_schema::shape;
use serde::{Serialize, de::DeserializeOwned};

use super::problem::{Answer, ApiError};

/// The path's parameters.
#[derive(Debug)]
pub struct In<T>(pub T);

impl<S: Send + Sync, T: DeserializeOwned + Send> FromRequestParts<S> for In<T> {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Answer<Self> {
        match Path::from_request_parts(parts, state).await {
            Ok(Path(read)) => Ok(Self(read)),
            // Such as percent-escapes that are no UTF-8: nothing is called that.
            Err(_) => Err(ApiError::not_found(format!("nothing is named `{}`", parts.uri.path()))),
        }
    }
}

/// The query's parameters.
#[derive(Debug)]
pub struct Query(Vec<(String, String)>);

impl<S: Send + Sync> FromRequestParts<S> for Query {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Answer<Self> {
        match axum::extract::Query::<Vec<(String, String)>>::from_request_parts(parts, state).await {
            Ok(axum::extract::Query(pairs)) => Ok(Self(pairs)),
            Err(error) => Err(ApiError::field("?", format!("the query can't be read: {error}"))),
        }
    }
}

impl Query {
    /// Refuses parameters that aren't known, or that are given twice.
    ///
    /// # Errors
    /// 422 naming each.
    pub fn only(&self, known: &[&str]) -> Answer<&Self> {
        let mut errors = metaopt_schema::Fields::new();
        for (i, (name, _)) in self.0.iter().enumerate() {
            if !known.contains(&name.as_str()) {
                errors.add(format!("?{name}"), shape::unknown("parameter", name, known));
            } else if self.0[..i].iter().any(|(other, _)| other == name) {
                errors.add(format!("?{name}"), "is given twice");
            }
        }
        if errors.0.is_empty() { Ok(self) } else { Err(ApiError::fields(errors.0)) }
    }

    /// The text of one parameter.
    pub fn get(&self, name: &str) -> Option<&str> {
        self.0.iter().find(|(n, _)| n == name).map(|(_, v)| v.as_str())
    }

    /// A whole number within bounds.
    ///
    /// # Errors
    /// 422.
    pub fn whole(&self, name: &str, low: u64, high: u64) -> Answer<Option<u64>> {
        let Some(text) = self.get(name) else { return Ok(None) };
        match text.parse::<u64>() {
            Ok(n) if (low..=high).contains(&n) => Ok(Some(n)),
            _ => {
                let range = if high == u64::MAX { format!("from {low} up") } else { format!("from {low} to {high}") };
                Err(ApiError::field(format!("?{name}"), format!("must be a whole number {range}, not `{text}`")))
            }
        }
    }

    /// `true` or `false`; false when absent.
    ///
    /// # Errors
    /// 422.
    pub fn flag(&self, name: &str) -> Answer<bool> {
        match self.get(name) {
            None | Some("false" | "0") => Ok(false),
            Some("true" | "1" | "") => Ok(true),
            Some(other) => Err(ApiError::field(format!("?{name}"), format!("must be true or false, not `{other}`"))),
        }
    }

    /// One of several words.
    ///
    /// # Errors
    /// 422 listing them.
    pub fn word(&self, name: &str, known: &[&'static str]) -> Answer<Option<&'static str>> {
        let Some(text) = self.get(name) else { return Ok(None) };
        word(name, text, known).map(Some)
    }

    /// Several words, separated by commas.
    ///
    /// # Errors
    /// 422 listing the known ones.
    pub fn words(&self, name: &str, known: &[&'static str]) -> Answer<Option<Vec<&'static str>>> {
        let Some(text) = self.get(name) else { return Ok(None) };
        text.split(',').map(|part| word(name, part.trim(), known)).collect::<Answer<_>>().map(Some)
    }

    /// How many items a page has.
    ///
    /// # Errors
    /// 422.
    pub fn limit(&self) -> Answer<usize> {
        Ok(self.whole("limit", 1, MAX_LIMIT as u64)?.map_or(DEFAULT_LIMIT, |n| n as usize))
    }

    /// Where the page begins.
    ///
    /// # Errors
    /// 422 when the cursor isn't one of this list's.
    pub fn cursor<T: DeserializeOwned>(&self) -> Answer<Option<T>> {
        let Some(text) = self.get("cursor") else { return Ok(None) };
        let read = URL_SAFE_NO_PAD.decode(text).ok().and_then(|bytes| serde_json::from_slice(&bytes).ok());
        match read {
            Some(cursor) => Ok(Some(cursor)),
            None => Err(bad_cursor()),
        }
    }
}

/// A cursor that isn't one of this list's.
pub fn bad_cursor() -> ApiError {
    ApiError::field("?cursor", "is not a cursor of this list; send `next_cursor` of the page before, or none")
}

/// A cursor as clients hold it: opaque.
pub fn seal<T: Serialize>(cursor: &T) -> String {
    URL_SAFE_NO_PAD.encode(serde_json::to_vec(cursor).unwrap_or_default())
}

fn word(name: &str, text: &str, known: &[&'static str]) -> Answer<&'static str> {
    match known.iter().find(|k| **k == text) {
        Some(found) => Ok(found),
        None => Err(ApiError::field(format!("?{name}"), shape::unknown("value", text, known))),
    }
}

/// One page of a list that is ordered by a key: what comes after the cursor's key.
///
/// # Errors
/// 422 for a bad `limit` or `cursor`.
pub fn page<T, K>(query: &Query, items: impl IntoIterator<Item = T>, key: impl Fn(&T) -> K) -> Answer<Page<T>>
where
    K: Ord + Serialize + DeserializeOwned,
{
    let limit = query.limit()?;
    let after: Option<K> = query.cursor()?;
    let mut items: Vec<T> =
        items.into_iter().filter(|i| after.as_ref().is_none_or(|k| key(i) > *k)).take(limit + 1).collect();
    let more = items.len() > limit;
    items.truncate(limit);
    let next_cursor = items.last().filter(|_| more).map(|last| seal(&key(last)));
    Ok(Page { items, next_cursor })
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::expect_used)]
mod tests {
    use super::*;

    fn query(pairs: &[(&str, &str)]) -> Query {
        Query(pairs.iter().map(|(k, v)| (k.to_string(), v.to_string())).collect())
    }

    #[test]
    fn pages_follow_one_another_without_gaps() {
        let items: Vec<u64> = (0..25).collect();
        let (mut seen, mut cursor) = (Vec::new(), None::<String>);
        loop {
            let mut pairs = vec![("limit", "10")];
            pairs.extend(cursor.as_deref().map(|c| ("cursor", c)));
            let page = page(&query(&pairs), items.clone(), |n| *n).unwrap();
            seen.extend(page.items);
            match page.next_cursor {
                Some(next) => cursor = Some(next),
                None => break,
            }
        }
        assert_eq!(seen, items);
    }

    #[test]
    fn wrong_parameters_are_named() {
        for (pairs, at) in
            [(&[("limit", "0")][..], "?limit"), (&[("limit", "1001")], "?limit"), (&[("cursor", "!")], "?cursor")]
        {
            let error = page(&query(pairs), [1u64], |n| *n).unwrap_err();
            assert!(format!("{error:?}").contains(at), "{error:?}");
        }
        let error = query(&[("limti", "1"), ("limit", "1"), ("limit", "2")]).only(&["limit", "cursor"]).unwrap_err();
        let text = format!("{error:?}");
        assert!(text.contains("did you mean `limit`") && text.contains("given twice"), "{text}");
    }
}

//! The dashboard: the files that `just web` builds, which are part of this program, and the app's own paths.
//!
//! Owns: which file a path is, and how long browsers keep it. Must not: know what the page shows. It needs no token, since
//! it holds no secrets: everything that the page shows it asks the API for, with the token of its reader.

use std::{collections::BTreeMap, io::Write as _};

use axum::{
    body::{Body, Bytes},
    http::{HeaderMap, HeaderName, HeaderValue, Method, Request, StatusCode, header},
    response::{IntoResponse, Response},
};
use flate2::{Compression, write::GzEncoder};
use tokio::sync::OnceCell;

use super::problem::{self, ApiError};
use crate::data_dir::hex;

/// What Vite built; empty in a build without npm.
#[derive(rust_embed::Embed)]
#[folder = "../web/dist"]
#[allow_missing = true]
struct Built;

/// Nothing from elsewhere, nothing inline, nothing evaluated; pictures may be those that the page made of what it fetched.
const POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data: blob:; connect-src 'self'; \
     font-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'";
/// Named by their content, so that they never change.
const HASHED: &str = "assets/";
const INDEX: &str = "index.html";
/// What is served in place of the page where it wasn't built.
const UNBUILT: &str = include_str!("page/unbuilt.html");

/// One file as it is served.
struct File {
    kind: &'static str,
    tag: HeaderValue,
    plain: Bytes,
    /// Where it is smaller so.
    gzip: Option<Bytes>,
}

type Files = BTreeMap<String, File>;

/// GET or HEAD of any path that is nothing else.
pub async fn get(request: Request<Body>) -> Response {
    let path = request.uri().path();
    let reads = matches!(*request.method(), Method::GET | Method::HEAD);
    if !reads || is_api(path) {
        return problem::no_such_path(request.uri().clone()).await.into_response();
    }
    static FILES: OnceCell<Files> = OnceCell::const_new();
    // Compressing takes a moment, once.
    let made = FILES.get_or_try_init(|| async { tokio::task::spawn_blocking(files).await }).await;
    let files = match made {
        Ok(files) => files,
        Err(error) => return ApiError::internal(error).into_response(),
    };
    match named(files, path) {
        Some((name, file)) => answer(name, file, request.headers()),
        None => problem::no_such_path(request.uri().clone()).await.into_response(),
    }
}

/// Paths that are programs' and never the page's.
fn is_api(path: &str) -> bool {
    matches!(path.split('/').nth(1), Some("api" | "healthz" | "metrics"))
}

/// The file that a path means: itself, or the page, whose app knows the rest of the path. Studies may have dots in their
/// names; what has one in its first part is a file that isn't there.
fn named<'a>(files: &'a Files, path: &str) -> Option<(&'a str, &'a File)> {
    let path = path.strip_prefix('/')?;
    let first = path.split('/').next().unwrap_or_default();
    let own = files.get_key_value(path);
    let found = match own {
        None if first.contains('.') || path.starts_with(HASHED) => None,
        None => files.get_key_value(INDEX),
        own => own,
    };
    found.map(|(name, file)| (name.as_str(), file))
}

fn answer(name: &str, file: &File, asked: &HeaderMap) -> Response {
    let keep = if name.starts_with(HASHED) { "public, max-age=31536000, immutable" } else { "no-cache" };
    let fixed = [
        (header::CONTENT_TYPE, file.kind),
        (header::CACHE_CONTROL, keep),
        (header::CONTENT_SECURITY_POLICY, POLICY),
        (header::VARY, "accept-encoding"),
        (HeaderName::from_static("cross-origin-opener-policy"), "same-origin"),
    ];
    let zipped = file.gzip.as_ref().filter(|_| takes_gzip(asked));
    let known = asked.get(header::IF_NONE_MATCH).and_then(|tags| tags.to_str().ok());
    let same = known.is_some_and(|tags| tags.split(',').any(|tag| tag.trim() == "*" || tag.trim() == file.tag));
    // A HEAD's body is left out by the server.
    let mut response = if same {
        StatusCode::NOT_MODIFIED.into_response()
    } else {
        Response::new(Body::from(zipped.unwrap_or(&file.plain).clone()))
    };
    let headers = response.headers_mut();
    for (name, value) in fixed {
        headers.insert(name, HeaderValue::from_static(value));
    }
    headers.insert(header::ETAG, file.tag.clone());
    if zipped.is_some() && !same {
        headers.insert(header::CONTENT_ENCODING, HeaderValue::from_static("gzip"));
    }
    response
}

/// Whether `Accept-Encoding` has gzip, and not only to refuse it (`gzip;q=0`).
fn takes_gzip(asked: &HeaderMap) -> bool {
    let given = asked.get_all(header::ACCEPT_ENCODING).iter().filter_map(|value| value.to_str().ok());
    given.flat_map(|value| value.split(',')).any(|coding| {
        let (name, weight) = coding.split_once(';').unwrap_or((coding, ""));
        let weight = weight.trim().strip_prefix("q=").map_or(Ok(1.0), str::parse::<f64>);
        name.trim().eq_ignore_ascii_case("gzip") && weight.is_ok_and(|weight| weight > 0.0)
    })
}

fn files() -> Files {
    let built = Built::iter().filter_map(|name| {
        let file = Built::get(&name)?;
        Some((name.into_owned(), file.data.into_owned()))
    });
    let mut files: Files = built.map(|(name, bytes)| (name.clone(), prepared(&name, bytes))).collect();
    files.entry(INDEX.to_owned()).or_insert_with(|| prepared(INDEX, UNBUILT.as_bytes().to_vec()));
    files
}

fn prepared(name: &str, bytes: Vec<u8>) -> File {
    let kind = kind(name);
    let tag = format!("W/\"{}\"", hex(&blake3::hash(&bytes).as_bytes()[..12]));
    let packed = (!kind.starts_with("image/png") && !kind.starts_with("font/")).then(|| gzipped(&bytes)).flatten();
    File {
        kind,
        // Hexadecimal digits fit into a header.
        tag: HeaderValue::from_str(&tag).unwrap_or(HeaderValue::from_static("W/\"\"")),
        gzip: packed.filter(|packed| packed.len() < bytes.len()).map(Bytes::from),
        plain: bytes.into(),
    }
}

fn gzipped(bytes: &[u8]) -> Option<Vec<u8>> {
    let mut packer = GzEncoder::new(Vec::new(), Compression::default());
    packer.write_all(bytes).ok()?; // into memory
    packer.finish().ok()
}

/// Browsers are told not to guess; what isn't listed here is a file to keep, not to show.
fn kind(name: &str) -> &'static str {
    match name.rsplit_once('.').map_or("", |(_, ending)| ending) {
        "html" => "text/html; charset=utf-8",
        "js" => "text/javascript; charset=utf-8",
        "css" => "text/css; charset=utf-8",
        "json" | "map" => "application/json",
        "svg" => "image/svg+xml",
        "png" => "image/png",
        "ico" => "image/x-icon",
        "woff2" => "font/woff2",
        "txt" => "text/plain; charset=utf-8",
        "webmanifest" => "application/manifest+json",
        _ => "application/octet-stream",
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::expect_used)]
mod tests {
    use super::*;

    fn some() -> Files {
        let names = [INDEX, "icon.svg", "assets/index-abc.js"];
        names.map(|name| (name.to_owned(), prepared(name, name.repeat(200).into_bytes()))).into()
    }

    fn asked(name: HeaderName, value: &str) -> HeaderMap {
        HeaderMap::from_iter([(name, HeaderValue::from_str(value).unwrap())])
    }

    #[test]
    fn paths_of_the_app_are_the_page_and_missing_files_are_not() {
        let files = some();
        let name = |path: &str| named(&files, path).map(|(name, _)| name.to_owned());
        for path in ["/", "/studies", "/studies/digits-v1.2", "/studies/a%2Fb/trials", "/trials/k3.17", "/cluster"] {
            assert_eq!(name(path).as_deref(), Some(INDEX), "{path}");
        }
        assert_eq!(name("/icon.svg").as_deref(), Some("icon.svg"));
        assert_eq!(name("/assets/index-abc.js").as_deref(), Some("assets/index-abc.js"));
        for path in ["/favicon.ico", "/assets/index-old.js", "/assets/", "/.env", "/../etc/passwd", "/robots.txt", "*"]
        {
            assert_eq!(name(path), None, "{path}");
        }
        assert!(is_api("/api") && is_api("/api/v2/x") && is_api("/metrics/x") && !is_api("/apis") && !is_api("/"));
    }

    #[test]
    fn hashed_files_are_kept_for_ever_and_the_page_is_asked_for_again() {
        let files = some();
        let (name, file) = named(&files, "/assets/index-abc.js").unwrap();
        let response = answer(name, file, &HeaderMap::new());
        assert_eq!(response.headers()["cache-control"], "public, max-age=31536000, immutable");
        assert_eq!(response.headers()["content-type"], "text/javascript; charset=utf-8");
        let (name, file) = named(&files, "/studies/x").unwrap();
        let response = answer(name, file, &HeaderMap::new());
        assert_eq!(response.headers()["cache-control"], "no-cache");
        let tag = response.headers()["etag"].to_str().unwrap().to_owned();
        let again = answer(name, file, &asked(header::IF_NONE_MATCH, &format!("\"x\", {tag}")));
        assert_eq!((again.status(), again.headers()["etag"].to_str().unwrap()), (StatusCode::NOT_MODIFIED, &*tag));
        assert_eq!(answer(name, file, &asked(header::IF_NONE_MATCH, "\"x\"")).status(), StatusCode::OK);
    }

    #[test]
    fn files_are_packed_for_those_who_take_it() {
        let files = some();
        let (name, file) = named(&files, "/").unwrap();
        for (takes, packed) in [("gzip, br", true), ("br;q=1.0, gzip; q=0.5", true), ("gzip;q=0", false), ("br", false)]
        {
            let response = answer(name, file, &asked(header::ACCEPT_ENCODING, takes));
            assert_eq!(response.headers().contains_key("content-encoding"), packed, "{takes}");
        }
    }

    #[tokio::test]
    async fn what_is_packed_unpacks_to_the_same() {
        let file = prepared(INDEX, b"metaopt ".repeat(500));
        let response = answer(INDEX, &file, &asked(header::ACCEPT_ENCODING, "gzip"));
        let sent = axum::body::to_bytes(response.into_body(), 1 << 20).await.unwrap();
        let mut plain = Vec::new();
        std::io::Read::read_to_end(&mut flate2::read::GzDecoder::new(&*sent), &mut plain).unwrap();
        assert!(sent.len() < plain.len() && plain == file.plain);
    }

    #[test]
    fn the_page_in_place_of_an_unbuilt_one_keeps_to_the_policy() {
        assert!(UNBUILT.contains("just web") && UNBUILT.contains("npm ci"));
        for refused in ["<script", "<style", "style=", "onclick", "onload", "http:", "https:"] {
            assert!(!UNBUILT.contains(refused), "{refused}");
        }
    }
}

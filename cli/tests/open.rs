//! `metaopt open` against a real daemon; the browser is a script that notes what it is given.

#![cfg(unix)]
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs)]

mod support;

use std::os::unix::fs::{MetadataExt, PermissionsExt};

use metaopt::client::Client;
use support::{Place, code, text};

/// A folder with an `xdg-open` (and macOS's `open`) that runs `script`.
fn browser(place: &Place, script: &str) -> String {
    let dir = place.dir.path().join("browser");
    std::fs::create_dir_all(&dir).unwrap();
    for name in ["xdg-open", "open"] {
        std::fs::write(dir.join(name), format!("#!/bin/sh\n{script}\n")).unwrap();
        std::fs::set_permissions(dir.join(name), std::fs::Permissions::from_mode(0o755)).unwrap();
    }
    format!("{}:{}", dir.display(), std::env::var("PATH").unwrap())
}

fn token_in(text: &str) -> String {
    let token = text.split("#token=").nth(1).unwrap_or_else(|| panic!("no token in {text}"));
    token.chars().take_while(|c| c.is_ascii_alphanumeric() || *c == '_').collect()
}

#[test]
fn the_browser_gets_a_private_page_that_leads_to_an_address_with_a_token_of_its_own() {
    let place = Place::new();
    let seen = place.dir.path().join("seen");
    let path = browser(&place, &format!("echo \"$@\" > {}", seen.display()));
    let output = place.command(&["open"]).env("PATH", path).output().unwrap();
    assert!(output.status.success(), "{}", text(&output.stderr));
    let url = text(&output.stdout).trim().to_owned();
    assert!(url.starts_with("http://127.0.0.1:") && url.ends_with('/'), "{url}");
    let page = place.data().join("open.html");
    assert_eq!(std::fs::read_to_string(seen).unwrap().trim(), page.canonicalize().unwrap().to_str().unwrap());
    assert_eq!(page.metadata().unwrap().mode() & 0o777, 0o600);
    let html = std::fs::read_to_string(&page).unwrap();
    assert!(html.contains(&format!("url={url}#token=")), "{html}");
    let token = token_in(&html);
    let api = std::fs::read_to_string(place.data().join("api.json")).unwrap();
    assert!(!api.contains(&token) && !text(&output.stdout).contains(&token) && !text(&output.stderr).contains(&token));
    // It does what the page needs, but makes no further tokens.
    let dashboard = Client::unproven(url.trim_end_matches('/'), &token);
    dashboard.get("/studies").unwrap();
    assert!(dashboard.post("/tokens", &serde_json::json!({})).is_err());
}

#[test]
fn a_revoked_token_is_refused_and_others_are_made() {
    let place = Place::new();
    let printed = place.ok(&["open", "--print"]);
    let (url, token) = (printed.split("/#").next().unwrap().to_owned(), token_in(&printed));
    let client = Client::unproven(&url, &token);
    client.get("/studies").unwrap();
    let output = place.run(&["open", "--revoke"]);
    assert!(text(&output.stderr).contains("ended 1 dashboard's token"), "{}", text(&output.stderr));
    let refused = client.get("/studies").unwrap_err();
    assert!(format!("{refused:?}").contains("401") || format!("{refused:?}").contains("not known"), "{refused:?}");
    let again = place.json(&["open", "--print"]);
    Client::unproven(&url, &token_in(again["url"].as_str().unwrap())).get("/studies").unwrap();
    assert_eq!(place.json(&["open", "--revoke"])["revoked"], 1);
    // The node's own token isn't one of them.
    place.ok(&["status"]);
}

#[test]
fn where_no_browser_opens_the_way_without_one_is_named() {
    let place = Place::new();
    let path = browser(&place, "exit 3");
    let output = place.command(&["open"]).env("PATH", path).output().unwrap();
    assert_eq!(code(&output), 1);
    let said = text(&output.stderr);
    assert!(said.contains("no browser could be opened") && said.contains("metaopt open --print"), "{said}");
}

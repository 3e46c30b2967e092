//! The REST API of a real daemon against requests generated from its own OpenAPI document.
#![allow(clippy::expect_used, missing_docs)]

use std::{path::Path, process::Command};

use metaopt_integration::Daemon;

/// Needs the Python of `just test` (with schemathesis installed), named by `METAOPT_PYTHON`.
#[test]
fn generated_requests_are_answered_as_openapi_describes() {
    let Ok(python) = std::env::var("METAOPT_PYTHON") else {
        eprintln!("skipped: METAOPT_PYTHON names no Python with schemathesis; `just test` does");
        return;
    };
    // No slots: whatever commands are generated, none is run.
    let daemon = Daemon::with(&["--slots", "0", "--gpus", "none"]);
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("schemathesis.py");
    let status = Command::new(python)
        .arg(script)
        .args(["--seconds", "60"])
        .env("METAOPT_URL", &daemon.url)
        .env("METAOPT_TOKEN", &daemon.token)
        .status()
        .expect("Python starts");
    assert!(status.success(), "schemathesis found something; its seed is above");
}

//! The environment of a trial's process: an allow-list of the daemon's own, the study's, secrets and `METAOPT_*`.
//!
//! Owns: which variables reach a script (documented in `docs/running.md`). Must not: read secrets' values from
//! anywhere but the node's store.

use std::collections::BTreeMap;

use metaopt_core::launch::Launch;

use super::record::{AttemptDir, Layout};

/// Names taken over from the daemon's environment.
const ALLOWED: &[&str] = &[
    // who and where
    "PATH",
    "HOME",
    "USER",
    "LOGNAME",
    "SHELL",
    "TZ",
    "LANG",
    "LANGUAGE",
    "TMPDIR",
    "TEMP",
    "TMP",
    "XDG_CACHE_HOME",
    "XDG_CONFIG_HOME",
    "XDG_DATA_HOME",
    "XDG_RUNTIME_DIR",
    // which interpreter and libraries
    "VIRTUAL_ENV",
    "CONDA_PREFIX",
    "CONDA_DEFAULT_ENV",
    "PYTHONPATH",
    "LD_LIBRARY_PATH",
    "DYLD_LIBRARY_PATH",
    "DYLD_FALLBACK_LIBRARY_PATH",
    "CUDA_HOME",
    "CUDA_PATH",
    "CUDA_DEVICE_ORDER",
    "ROCM_PATH",
    "NIX_LD",
    "NIX_LD_LIBRARY_PATH",
    "NIX_SSL_CERT_FILE",
    // how many threads
    "OMP_NUM_THREADS",
    "MKL_NUM_THREADS",
    "OPENBLAS_NUM_THREADS",
    // caches of data and models
    "HF_HOME",
    "HF_DATASETS_CACHE",
    "HF_HUB_OFFLINE",
    "TORCH_HOME",
    "KERAS_HOME",
    "MPLCONFIGDIR",
    "PIP_CACHE_DIR",
    "UV_CACHE_DIR",
    // the network's particulars
    "SSL_CERT_FILE",
    "SSL_CERT_DIR",
    "REQUESTS_CA_BUNDLE",
    "CURL_CA_BUNDLE",
    "PIP_CERT",
    "PIP_CONFIG_FILE",
    "PIP_INDEX_URL",
    "http_proxy",
    "https_proxy",
    "no_proxy",
    "HTTP_PROXY",
    "HTTPS_PROXY",
    "NO_PROXY",
    "NODE_EXTRA_CA_CERTS",
    // without these nothing starts on Windows
    "SYSTEMROOT",
    "SYSTEMDRIVE",
    "WINDIR",
    "COMSPEC",
    "PATHEXT",
    "USERPROFILE",
    "APPDATA",
    "LOCALAPPDATA",
    "PROGRAMDATA",
    "PROGRAMFILES",
    "PROGRAMFILES(X86)",
    "NUMBER_OF_PROCESSORS",
    "PROCESSOR_ARCHITECTURE",
];

fn is_allowed(name: &str) -> bool {
    name.starts_with("LC_")
        || ALLOWED
            .iter()
            .any(|allowed| if cfg!(windows) { allowed.eq_ignore_ascii_case(name) } else { *allowed == name })
}

fn is_ours(name: &str) -> bool {
    name.to_ascii_uppercase().starts_with("METAOPT_")
}

/// What every process of a study gets: the allow-list of `ambient` and the study's own `env`.
pub fn base<'a>(
    ambient: impl IntoIterator<Item = (String, String)>,
    env: impl IntoIterator<Item = (&'a String, &'a String)>,
) -> BTreeMap<String, String> {
    let mut out: BTreeMap<String, String> = ambient.into_iter().filter(|(name, _)| is_allowed(name)).collect();
    out.extend(env.into_iter().map(|(name, value)| (name.clone(), value.clone())));
    out.retain(|name, _| !is_ours(name));
    out
}

/// The daemon's own environment; what isn't Unicode is left out.
pub fn ambient() -> Vec<(String, String)> {
    std::env::vars_os()
        .filter_map(|(name, value)| Some((name.into_string().ok()?, value.into_string().ok()?)))
        .collect()
}

/// What the process of one attempt gets, without secrets.
pub fn of_attempt(launch: &Launch, layout: &Layout, dir: &AttemptDir, url: &str) -> Vec<(String, String)> {
    let mut env = base(ambient(), &launch.run.env);
    let text = |path: std::path::PathBuf| path.to_string_lossy().into_owned();
    let params = serde_json::to_string(&launch.params).unwrap_or_default();
    let gpus = launch.gpus.join(",");
    let ours = [
        ("METAOPT_URL", url.to_owned()),
        ("METAOPT_TRIAL_ID", launch.key.trial.to_string()),
        ("METAOPT_STUDY", launch.study_name.clone()),
        ("METAOPT_ATTEMPT", launch.key.attempt.to_string()),
        ("METAOPT_PARAMS", params),
        ("METAOPT_CHECKPOINT_DIR", text(layout.checkpoints(&launch.key.trial))),
        ("METAOPT_RESUME_STEP", launch.resume_step.to_string()),
        ("METAOPT_OUTPUT_DIR", text(layout.output(&launch.key.trial))),
        ("METAOPT_RESULTS_PATH", text(dir.results_file())),
        ("CUDA_VISIBLE_DEVICES", gpus.clone()),
        ("HIP_VISIBLE_DEVICES", gpus.clone()),
        ("ROCR_VISIBLE_DEVICES", gpus),
    ];
    env.extend(ours.map(|(name, value)| (name.to_owned(), value)));
    env.entry("PYTHONUNBUFFERED".to_owned()).or_insert_with(|| "1".to_owned());
    env.into_iter().collect()
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::expect_used)]
mod tests {
    use super::*;

    fn pairs(pairs: &[(&str, &str)]) -> Vec<(String, String)> {
        pairs.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect()
    }

    #[test]
    fn only_listed_variables_pass_and_no_foreign_metaopt_ones() {
        let ambient =
            pairs(&[("PATH", "/bin"), ("LC_ALL", "C"), ("AWS_SECRET_ACCESS_KEY", "x"), ("METAOPT_TOKEN", "t")]);
        let env = indexmap::IndexMap::from([
            ("PATH".to_owned(), "/opt".to_owned()),
            ("X".to_owned(), "1".to_owned()),
            ("METAOPT_DATA_DIR".to_owned(), "/d".to_owned()),
        ]);
        let got: Vec<_> = base(ambient, &env).into_iter().collect();
        assert_eq!(got, pairs(&[("LC_ALL", "C"), ("PATH", "/opt"), ("X", "1")]));
    }
}

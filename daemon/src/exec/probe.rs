//! Whether this node can run a study at all, found out without starting anything.
//!
//! Owns: the texts that say what a node lacks (`why_idle`). Must not: spend an attempt.

use std::{
    path::{Path, PathBuf},
    time::Duration,
};

use metaopt_schema::{
    NodeId,
    study::{RunSpec, Workdir},
};

use super::{Inner, environment, prepare, tree};
use crate::{
    blobs::{Kind, Want},
    platform::{self, files},
};

/// How long nothing of a snapshot may come before the study is said to be blocked for want of it. It is tried again.
pub(super) const PATIENCE: Duration = Duration::from_secs(60);

/// The snapshot that a run needs and that isn't here.
pub(super) fn lacking(inner: &Inner, run: &RunSpec, by: Option<NodeId>) -> Option<Want> {
    let hash = run.snapshot.clone().filter(|_| run.workdir == Workdir::Snapshot)?;
    let here = inner.snapshots.has(&hash) || crate::snapshot::digits(&hash).is_err();
    (!here).then(|| Want { hash, kind: Kind::Snapshot, near: by.map(|node| (node, "submitted it")) })
}

pub(super) fn probe(inner: &Inner, run: &RunSpec) -> Result<(), String> {
    if platform::is_root() && !inner.config.allow_root {
        return Err("this daemon runs as root and jobs are not run as root; start it as another user, or with \
                    --allow-root (METAOPT_ALLOW_ROOT=1)"
            .to_owned());
    }
    let base = match run.workdir {
        Workdir::InPlace => {
            let path = run.path.as_deref().ok_or("in_place needs `path`, the directory to run in")?;
            if !Path::new(path).is_dir() {
                return Err(format!("{path} is not a directory on this node, and the study runs in place"));
            }
            Some(PathBuf::from(path))
        }
        Workdir::Snapshot => {
            if let Some(hash) = &run.snapshot
                && !inner.snapshots.has(hash)
            {
                let fetching = inner.fetcher.get().and_then(|fetcher| fetcher.progress(hash));
                return Err(fetching.unwrap_or_else(|| format!("snapshot {hash} is not on this node")));
            }
            None
        }
    };
    for link in &run.links {
        let (target, _) = tree::link_target(run, link)?;
        if !target.exists() {
            return Err(format!("{} does not exist on this node (it is one of the study's links)", target.display()));
        }
    }
    if let Some(name) = run.secret_env.iter().find(|name| !inner.config.secrets.has(name)) {
        return Err(format!("the secret `{name}` is not set on this node; `metaopt secret set {name}` sets it"));
    }
    let program = run.command.first().map(String::as_str).unwrap_or_default();
    if program.is_empty() {
        return Err("the command is empty".to_owned());
    }
    // a program that a parameter chooses is known only per trial
    if program.contains('{') {
        return Ok(());
    }
    interpreter(inner, run, program, base.as_deref())
}

fn interpreter(inner: &Inner, run: &RunSpec, program: &str, base: Option<&Path>) -> Result<(), String> {
    let path = Path::new(program);
    if path.is_absolute() {
        return check(path, program);
    }
    if path.components().count() == 1 && !program.starts_with("./") {
        let env = environment::base(environment::ambient(), &run.env);
        let search = env.get("PATH").map_or("", String::as_str);
        let found = std::env::split_paths(search).any(|dir| {
            files::is_executable(&dir.join(path))
                || (cfg!(windows)
                    && ["exe", "cmd", "bat"].iter().any(|end| dir.join(path).with_extension(end).is_file()))
        });
        return if found { Ok(()) } else { Err(format!("`{program}` is not on this node's PATH")) };
    }
    if let Some(base) = base {
        return check(&base.join(path), program);
    }
    if let Some(tree) = prepare::existing(inner, run) {
        return check(&tree.join(path), program);
    }
    let in_snapshot = match &run.snapshot {
        Some(hash) => inner.snapshots.contains(hash, path).map_err(|error| error.to_string())?,
        None => false,
    };
    // what isn't in the snapshot setup may yet make
    if in_snapshot || run.setup.is_some() {
        Ok(())
    } else {
        Err(format!("`{program}` is not in the study's snapshot; is it ignored?"))
    }
}

fn check(path: &Path, program: &str) -> Result<(), String> {
    if files::is_executable(path) {
        Ok(())
    } else if path.exists() {
        Err(format!("`{program}` can't be executed on this node"))
    } else {
        Err(format!("`{program}` does not exist on this node"))
    }
}

//! What never goes into a snapshot, whatever the ignore files say.
//!
//! Owns: the built-in rules by name. Must not: look at file contents.

use std::path::Path;

/// Why an entry of this name is left out; `None` when no built-in rule says so.
pub fn why(path: &Path, is_dir: bool) -> Option<&'static str> {
    let name = path.file_name()?.to_string_lossy();
    let name = name.as_ref();
    if is_dir {
        let reason = match name {
            ".git" | ".hg" | ".svn" | ".jj" => "version control",
            ".venv" | "venv" => "a virtual environment; use --setup to make it on each node",
            "__pycache__" | ".mypy_cache" | ".pytest_cache" | ".ruff_cache" | ".ipynb_checkpoints" | ".tox"
            | ".nox" => "a cache",
            "node_modules" => "installed packages; use --setup to install them on each node",
            ".ssh" | ".gnupg" | ".aws" | ".azure" | ".kube" | ".docker" => "credentials",
            _ if is_data_dir(path) => "a data directory of metaopt",
            _ if path.join("pyvenv.cfg").is_file() => "a virtual environment; use --setup to make it on each node",
            _ if name.starts_with(".env") => "may hold secrets",
            _ => return None,
        };
        return Some(reason);
    }
    let lower = name.to_lowercase();
    let is_key = [".pem", ".key", ".p12", ".pfx", ".jks", ".keystore", ".kdbx", ".ppk"].iter().any(|end| lower.ends_with(end))
        // id_rsa, id_ed25519 and their like, but not id_map.py
        || (lower.starts_with("id_") && (!lower.contains('.') || lower.ends_with(".pub")));
    match name {
        // in worktrees and submodules it is a file
        ".git" => Some("version control"),
        ".DS_Store" | "Thumbs.db" => Some("a cache"),
        ".netrc" | "_netrc" | ".pypirc" | ".npmrc" | ".git-credentials" | ".pgpass" | ".htpasswd" => {
            Some("credentials")
        }
        _ if name.starts_with(".env") => Some("may hold secrets"),
        _ if is_key => Some("looks like a key"),
        _ if lower.ends_with(".pyc") => Some("a cache"),
        _ => None,
    }
}

/// Whether a daemon keeps its token, key and database there.
pub fn is_data_dir(path: &Path) -> bool {
    path.join("metaopt.redb").exists() || path.join("node.key").exists() && path.join("api.json").exists()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_data_directory_is_left_out_whatever_its_name() {
        let dir = tempfile::tempdir().unwrap();
        assert!(why(dir.path(), true).is_none());
        std::fs::write(dir.path().join("metaopt.redb"), "").unwrap();
        assert_eq!(why(dir.path(), true), Some("a data directory of metaopt"));
    }

    #[test]
    fn keys_and_secrets_are_known_by_name_and_scripts_are_not_taken_for_them() {
        for left_out in [".env", ".env.local", ".envrc", "id_rsa", "id_ed25519.pub", "server.PEM", "tls.key", ".netrc"]
        {
            assert!(why(Path::new(left_out), false).is_some(), "{left_out}");
        }
        for kept in ["id_map.py", "keys.py", "environment.yml", "train.py", "env.py", "monkey", ".gitignore"] {
            assert!(why(Path::new(kept), false).is_none(), "{kept}");
        }
        for left_out in [".git", "venv", "__pycache__", "node_modules"] {
            assert!(why(Path::new(left_out), true).is_some(), "{left_out}");
        }
        assert!(why(Path::new("src"), true).is_none());
    }
}

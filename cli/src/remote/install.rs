//! Bringing this metaopt to another machine of the same kind.

use std::{fs::File, path::PathBuf};

use super::{Host, Ssh, probe::Found};
use crate::{
    client::start::daemon_exe,
    failure::{Doing, Failure},
    render::value,
};

/// Both programs, as they are here.
#[derive(Clone, Debug)]
pub struct Programs {
    paths: [PathBuf; 2],
    sizes: [u64; 2],
}

impl Programs {
    /// Those that run here.
    pub fn own() -> Result<Self, Failure> {
        let doing = || "cannot find the programs to copy".to_owned();
        let metaopt = std::env::current_exe().and_then(std::fs::canonicalize).doing(doing)?;
        let daemon = daemon_exe();
        let daemon =
            if daemon.is_file() { daemon } else { on_path(&daemon).ok_or("there is no metaoptd").doing(doing)? };
        let paths = [metaopt, daemon];
        let size = |path: &PathBuf| std::fs::metadata(path).map(|meta| meta.len());
        let sizes = [size(&paths[0]).doing(doing)?, size(&paths[1]).doing(doing)?];
        Ok(Self { paths, sizes })
    }

    /// Of both (bytes).
    pub fn size(&self) -> u64 {
        self.sizes.iter().sum()
    }

    /// Copies both to `~/.local/bin` there; whole or not at all, in the place of older ones also while those run.
    pub fn copy(&self, ssh: &Ssh, host: &Host) -> Result<(), Failure> {
        let files: Vec<File> = self
            .paths
            .iter()
            .map(|path| File::open(path).doing(|| format!("cannot read {}", path.display())))
            .collect::<Result<_, _>>()?;
        let done = ssh.run(host, &script(self.sizes), files, |_| ())?;
        if done.ok {
            return Ok(());
        }
        let mut failure = Failure::failed(format!("metaopt could not be copied there ({})", value::bytes(self.size())));
        for line in done.said {
            failure = failure.cause(line);
        }
        Err(failure)
    }
}

/// Reads both from standard input. What is in place is tried once before it takes the place of what was there.
fn script([first, second]: [u64; 2]) -> String {
    let (all, next) = (first + second, first + 1);
    format!(
        "umask 022; d=\"{bin}\"; mkdir -p \"$d\" || exit 1; t=\"$d/.metaopt-$$\"; mkdir -m 700 \"$t\" || exit 1; \
         gone() {{ rm -rf \"$t\"; }}; trap gone EXIT; \
         cat > \"$t/all\" || exit 1; n=$(wc -c < \"$t/all\"); \
         if [ \"$n\" -ne {all} ]; then echo \"the copy broke off after $n of {all} bytes\" >&2; exit 1; fi; \
         head -c {first} \"$t/all\" > \"$t/metaopt\" && tail -c +{next} \"$t/all\" > \"$t/metaoptd\" && \
         chmod 755 \"$t/metaopt\" \"$t/metaoptd\" && rm \"$t/all\" || exit 1; \
         \"$t/metaoptd\" --version > /dev/null || {{ echo \"the copy does not run there\" >&2; exit 1; }}; \
         mv -f \"$t/metaoptd\" \"$d/metaoptd\" && mv -f \"$t/metaopt\" \"$d/metaopt\"",
        bin = super::probe::BIN
    )
}

/// Why programs of this machine don't run on that one; none: they may.
pub fn differs(found: &Found) -> Option<String> {
    let uname = rustix::system::uname();
    let (os, arch) = (uname.sysname().to_string_lossy(), uname.machine().to_string_lossy());
    let same = os == found.os && arch == found.arch;
    (!same).then(|| {
        format!(
            "it is {} on {}, and this machine {os} on {arch}: metaopt can't be copied from here",
            found.os, found.arch
        )
    })
}

fn on_path(name: &std::path::Path) -> Option<PathBuf> {
    let path = std::env::var_os("PATH")?;
    std::env::split_paths(&path).map(|dir| dir.join(name)).find(|file| file.is_file())
}

#[cfg(test)]
#[cfg(unix)]
mod tests {
    use std::process::{Command, Stdio};

    use super::*;

    /// Runs the script as a login shell there would, with `home` as its home.
    fn run(home: &std::path::Path, sizes: [u64; 2], input: &str) -> (bool, String) {
        let mut child = Command::new("sh")
            .args(["-c", &script(sizes)])
            .env("HOME", home)
            .stdin(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let _ = std::io::Write::write_all(&mut child.stdin.take().unwrap(), input.as_bytes());
        let output = child.wait_with_output().unwrap();
        (output.status.success(), String::from_utf8_lossy(&output.stderr).into_owned())
    }

    #[test]
    fn both_arrive_whole_or_nothing_changes() {
        let home = tempfile::tempdir().unwrap();
        let bin = home.path().join(".local/bin");
        let (first, second) = ("#!/bin/sh\necho one\n", "#!/bin/sh\necho two\n");
        let sizes = [first.len() as u64, second.len() as u64];
        let both = format!("{first}{second}");
        assert_eq!(run(home.path(), sizes, &both), (true, String::new()));
        let out = |name: &str| Command::new(bin.join(name)).output().unwrap().stdout;
        assert_eq!((out("metaopt"), out("metaoptd")), (b"one\n".to_vec(), b"two\n".to_vec()));

        let (ok, said) = run(home.path(), sizes, &both[..both.len() - 4]);
        assert!(!ok && said.contains("broke off"), "{said}");
        let bad = "#!/bin/sh\nexit 1    \n";
        let (ok, said) = run(home.path(), [sizes[0], bad.len() as u64], &format!("{first}{bad}"));
        assert!(!ok && said.contains("does not run there"), "{said}");
        assert_eq!(out("metaoptd"), b"two\n");
        assert_eq!(std::fs::read_dir(&bin).unwrap().count(), 2, "nothing is left behind");
    }
}

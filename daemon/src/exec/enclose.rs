//! The last step before a job's program: `metaoptd enclose …` is started in its place, hides the data directory from
//! what comes, and becomes it by `exec`, so that process id, group, signals and exit code are the program's own.
//!
//! Owns: that step's arguments. Must not: start a thread, or run on after it has become the program.
//!
//! Jobs run as the daemon's user and could read the token, the secrets and the database otherwise. Why not Landlock: it
//! can only allow, so that it can't leave one directory out of a home.

use std::{
    ffi::OsString,
    io,
    path::{Path, PathBuf},
    process::{Command, ExitCode, Stdio},
};

use serde::{Deserialize, Serialize};

/// What the program is to find when it starts.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Enclosure {
    /// The directory that is hidden; none: nothing is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub hide: Option<PathBuf>,
    /// What of it stays visible.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub keep: Vec<PathBuf>,
    /// The file mode mask: the daemon's own is strict, a job's is the one that the daemon was started with.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub umask: Option<u32>,
}

impl Enclosure {
    /// The same, with these visible where they lie in the hidden directory.
    #[must_use]
    pub fn keeping<'a>(mut self, paths: impl IntoIterator<Item = &'a Path>) -> Self {
        if let Some(hidden) = &self.hide {
            self.keep.extend(
                paths.into_iter().filter(|path| path.starts_with(hidden) && path != hidden).map(Path::to_owned),
            );
            // what holds another comes first, so that it doesn't cover it
            self.keep.sort();
            self.keep.dedup();
        }
        self
    }

    /// The arguments, behind `metaoptd`, that start `program` in `cwd` so. With `report` standard input is a socket on
    /// which a failure is told, and which closes when the program has taken over.
    pub fn arguments(&self, cwd: &Path, report: bool, program: &Path, arguments: &[String]) -> Vec<OsString> {
        let mut out: Vec<OsString> = vec!["enclose".into()];
        for (option, path) in
            self.hide.iter().map(|path| ("--hide", path)).chain(self.keep.iter().map(|path| ("--keep", path)))
        {
            out.extend([option.into(), path.into()]);
        }
        if let Some(umask) = self.umask {
            out.extend(["--umask".into(), umask.to_string().into()]);
        }
        if report {
            out.push("--report".into());
        }
        out.extend(["--cwd".into(), cwd.into(), "--".into(), program.into()]);
        out.extend(arguments.iter().map(OsString::from));
        out
    }
}

/// Whether the system lets `exe`, started as a job is, hide `dir`.
///
/// # Errors
/// What it refuses.
pub fn check(exe: &Path, dir: &Path) -> Result<(), String> {
    let mut command = Command::new(exe);
    command.arg("enclose").arg("--hide").arg(dir).stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::piped());
    let output = command.output().map_err(|error| format!("{}: {error}", exe.display()))?;
    if output.status.success() {
        return Ok(());
    }
    Err(String::from_utf8_lossy(&output.stderr).trim().trim_start_matches("metaoptd: ").to_owned())
}

#[derive(Debug, Default, PartialEq)]
struct Order {
    enclosure: Enclosure,
    report: bool,
    cwd: Option<PathBuf>,
    program: Vec<OsString>,
}

fn parse(arguments: impl IntoIterator<Item = OsString>) -> Option<Order> {
    let mut order = Order::default();
    let mut arguments = arguments.into_iter();
    while let Some(argument) = arguments.next() {
        match argument.to_str()? {
            "--hide" => order.enclosure.hide = Some(arguments.next()?.into()),
            "--keep" => order.enclosure.keep.push(arguments.next()?.into()),
            "--umask" => order.enclosure.umask = Some(arguments.next()?.to_str()?.parse().ok()?),
            "--cwd" => order.cwd = Some(arguments.next()?.into()),
            "--report" => order.report = true,
            "--" => {
                order.program = arguments.collect();
                return Some(order);
            }
            _ => return None,
        }
    }
    Some(order)
}

/// `metaoptd enclose ARGUMENTS`: returns only when it failed, or when there was no program to become.
pub fn main(arguments: impl IntoIterator<Item = OsString>) -> ExitCode {
    let Some(order) = parse(arguments) else {
        eprintln!("metaoptd: `enclose` is how metaoptd starts jobs; it is not for people");
        return ExitCode::from(2);
    };
    match run(&order) {
        Ok(()) => ExitCode::SUCCESS,
        Err((report, error)) => {
            use io::Write;
            let _ = match report {
                Some(mut file) => write!(file, "{error}"),
                None => writeln!(io::stderr(), "metaoptd: {error}"),
            };
            ExitCode::from(127)
        }
    }
}

type Failed = (Option<std::fs::File>, io::Error);

#[cfg(unix)]
fn run(order: &Order) -> Result<(), Failed> {
    use std::os::unix::process::CommandExt;
    let report = if order.report { Some(take_report().map_err(|error| (None, error))?) } else { None };
    if let Err(error) = prepare(order) {
        return Err((report, error));
    }
    let Some((program, arguments)) = order.program.split_first() else { return Ok(()) };
    // whether it worked the other side sees by the report closing: it is not inherited
    let error = Command::new(program).args(arguments).exec();
    Err((report, error))
}

#[cfg(not(unix))]
fn run(_order: &Order) -> Result<(), Failed> {
    Err((None, io::ErrorKind::Unsupported.into()))
}

/// Standard input is where failures are told until the program, whose standard input is empty, takes over.
#[cfg(unix)]
fn take_report() -> io::Result<std::fs::File> {
    let report = rustix::io::fcntl_dupfd_cloexec(io::stdin(), 3)?;
    rustix::stdio::dup2_stdin(std::fs::File::open("/dev/null")?)?;
    Ok(std::fs::File::from(report))
}

#[cfg(unix)]
fn prepare(order: &Order) -> io::Result<()> {
    if let Some(dir) = &order.enclosure.hide {
        crate::platform::hide(dir, &order.enclosure.keep)
            .map_err(|error| io::Error::new(error.kind(), format!("{} can't be hidden: {error}", dir.display())))?;
    }
    if let Some(umask) = order.enclosure.umask {
        rustix::process::umask(rustix::fs::Mode::from_raw_mode(umask as rustix::fs::RawMode));
    }
    match &order.cwd {
        Some(cwd) => std::env::set_current_dir(cwd)
            .map_err(|error| io::Error::new(error.kind(), format!("{}: {error}", cwd.display()))),
        None => Ok(()),
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::expect_used)]
mod tests {
    use super::*;

    #[test]
    fn arguments_come_back_as_they_were_given() {
        let enclosure = Enclosure { hide: Some("/d".into()), keep: Vec::new(), umask: Some(0o22) };
        let enclosure = enclosure.keeping(["/d/b/c", "/d/b", "/elsewhere", "/d", "/d/a"].map(Path::new));
        assert_eq!(
            enclosure.keep,
            ["/d/a", "/d/b", "/d/b/c"].map(PathBuf::from),
            "only what lies in it, parents first"
        );
        let arguments = enclosure.arguments(Path::new("/w"), true, Path::new("sh"), &["--hide".into(), "--".into()]);
        let order = parse(arguments.into_iter().skip(1)).unwrap();
        assert_eq!((&order.enclosure, order.report, order.cwd.as_deref()), (&enclosure, true, Some(Path::new("/w"))));
        assert_eq!(order.program, ["sh", "--hide", "--"]);
        assert_eq!(parse(["--what".into()]), None);
        assert_eq!(parse(["--hide".into()]), None);
    }
}

//! Starts a daemon in the background: in a session of its own, so that neither Ctrl-C nor a closed terminal reaches it.

use std::{
    fs::OpenOptions,
    io::{Read, Seek, SeekFrom},
    path::{Path, PathBuf},
    process::{Command, Stdio},
    time::{Duration, Instant},
};

use process_wrap::std::{CommandWrap, ProcessSession};

use super::{find::Place, http::Client};
use crate::failure::Failure;

/// How long a daemon may take until it serves.
const PATIENCE: Duration = Duration::from_secs(10);

/// Starts `metaoptd` on the place's data directory and waits until it serves.
pub fn start(place: &Place) -> Result<Client, Failure> {
    let wanted = place.wanted()?;
    let exe = daemon_exe();
    let no = |what: String| Failure::no_daemon("there is no daemon, and none could be started").cause(what);
    // The daemon does this again; here it keeps its log out of a directory that others could read or have laid out.
    let dir = metaopt_daemon::data_dir::prepare(&wanted).map_err(|error| no(format!("{error:#}")))?;
    let log_path = dir.join("metaoptd.log");
    let log = open_log(&log_path).map_err(|error| no(format!("cannot write {}: {error}", log_path.display())))?;
    let from = log.metadata().map(|meta| meta.len()).unwrap_or(0);
    let also = log.try_clone().map_err(|error| no(error.to_string()))?;

    let mut command = Command::new(&exe);
    // A daemon belongs to nobody's trial and to nobody's working directory.
    for name in ["METAOPT_URL", "METAOPT_TOKEN", "METAOPT_TRIAL_ID"] {
        command.env_remove(name);
    }
    command.arg("--data-dir").arg(&wanted).current_dir(&dir);
    command.stdin(Stdio::null()).stdout(log).stderr(also);
    let mut child = CommandWrap::from(command).wrap(ProcessSession).spawn().map_err(|error| {
        no(format!("{}: {error}", exe.display())).hint("install metaoptd beside metaopt, or start one yourself")
    })?;
    let pid = child.id();

    let until = Instant::now() + PATIENCE;
    loop {
        if let Some(client) = place.running()? {
            eprintln!("metaopt: started metaoptd (pid {pid})");
            return Ok(client);
        }
        match child.try_wait() {
            Ok(None) => {}
            Ok(Some(status)) => {
                // Another command may have started one at the same moment; the second daemon refuses and goes.
                if let Some(client) = wait_for(place, Duration::from_millis(500))? {
                    return Ok(client);
                }
                let said = said_since(&log_path, from);
                let mut failure = no(format!("metaoptd ended with {status}"));
                for line in said.lines() {
                    failure = failure.cause(line);
                }
                let hint = if said.contains("--allow-root") {
                    "to run jobs as root all the same, set METAOPT_ALLOW_ROOT=1".to_owned()
                } else {
                    format!("its log is {}", log_path.display())
                };
                return Err(failure.hint(hint));
            }
            Err(error) => return Err(no(error.to_string())),
        }
        if Instant::now() > until {
            return Err(no(format!("metaoptd (pid {pid}) did not serve within {} s", PATIENCE.as_secs()))
                .hint(format!("its log is {}", log_path.display())));
        }
        std::thread::sleep(Duration::from_millis(10));
    }
}

fn wait_for(place: &Place, patience: Duration) -> Result<Option<Client>, Failure> {
    let until = Instant::now() + patience;
    while Instant::now() < until {
        if let Some(client) = place.running()? {
            return Ok(Some(client));
        }
        std::thread::sleep(Duration::from_millis(25));
    }
    Ok(None)
}

/// The `metaoptd` beside this program, else the one on the `PATH`.
pub fn daemon_exe() -> PathBuf {
    let name = format!("metaoptd{}", std::env::consts::EXE_SUFFIX);
    let beside = std::env::current_exe()
        .and_then(std::fs::canonicalize)
        .ok()
        .and_then(|exe| exe.parent().map(|dir| dir.join(&name)))
        .filter(|path| path.is_file());
    beside.unwrap_or_else(|| name.into())
}

fn open_log(path: &Path) -> std::io::Result<std::fs::File> {
    let mut options = OpenOptions::new();
    options.append(true).create(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    options.open(path)
}

/// The last lines that the daemon wrote, in plain words.
fn said_since(path: &Path, from: u64) -> String {
    let mut text = String::new();
    let read = std::fs::File::open(path).and_then(|mut file| {
        file.seek(SeekFrom::Start(from))?;
        file.take(64 << 10).read_to_string(&mut text)
    });
    if let Err(error) = read {
        return format!("its log {} cannot be read: {error}", path.display());
    }
    let lines: Vec<&str> = text.lines().filter(|line| !line.trim().is_empty()).collect();
    let last = &lines[lines.len().saturating_sub(8)..];
    crate::render::strip::strip(&last.join("\n"))
}

//! Scripts that declare their own space: run once under `METAOPT_DESCRIBE=1`, they print it and exit.

use std::{
    io::{Read, Seek, SeekFrom},
    path::Path,
    process::{Command, Stdio},
    time::{Duration, Instant},
};

use metaopt_schema::space::Param;
use process_wrap::std::{CommandWrap, ProcessGroup};

use super::{config::params, interpreter::Surroundings};
use crate::{
    failure::{Doing, Failure, INTERRUPTED},
    interrupt,
    render::strip::strip,
};

const PREFIX: &str = "metaopt-space: ";
/// How long a script may take to describe itself: importing a deep-learning library from a cold disk is slow.
pub const PATIENCE: Duration = Duration::from_secs(30);

/// Whether a command's script is Python that imports metaopt.
pub fn may_describe(around: &Surroundings, command: &[String]) -> bool {
    let Some(script) = around.script(command).filter(|path| path.extension().is_some_and(|ending| ending == "py"))
    else {
        return false;
    };
    std::fs::read_to_string(around.cwd.join(script)).is_ok_and(|source| imports(&source))
}

fn imports(source: &str) -> bool {
    source.lines().any(|line| {
        let mut words =
            line.split(|c: char| c.is_whitespace() || c == ',' || c == ';' || c == '.').filter(|w| !w.is_empty());
        matches!(words.next(), Some("import" | "from")) && words.any(|word| word == "metaopt")
    })
}

/// The space that the script declares.
pub fn describe(command: &[String], cwd: &Path, patience: Duration) -> Result<Vec<Param>, Failure> {
    interrupt::watch();
    let shown = command.join(" ");
    let cannot = || format!("cannot ask `{shown}` for its space");
    let mut stdout = tempfile::tempfile().doing(cannot)?;
    let mut stderr = tempfile::tempfile().doing(cannot)?;
    let (program, args) = command.split_first().ok_or_else(|| Failure::usage("there is no command to run"))?;
    let mut run = Command::new(program);
    run.args(args).current_dir(cwd).env("METAOPT_DESCRIBE", "1").stdin(Stdio::null());
    run.stdout(stdout.try_clone().doing(cannot)?).stderr(stderr.try_clone().doing(cannot)?);
    let mut child = CommandWrap::from(run).wrap(ProcessGroup::leader()).spawn().doing(cannot)?;
    let until = Instant::now() + patience;
    let status = loop {
        if let Some(status) = child.try_wait().doing(cannot)? {
            break status;
        }
        if interrupt::pressed() || Instant::now() > until {
            let _ = child.kill();
            if interrupt::pressed() {
                return Err(Failure::silent(INTERRUPTED));
            }
            return Err(Failure::failed(format!("`{shown}` did not print its space within {} s", patience.as_secs()))
                .hint(
                    "call metaopt.add_hyperparameter and parse_args before anything slow, or give markers: --lr~'…'",
                ));
        }
        std::thread::sleep(Duration::from_millis(5));
    };
    let text = |file: &mut std::fs::File| {
        let mut bytes = Vec::new();
        let _ = file.seek(SeekFrom::Start(0)).and_then(|_| file.take(4 << 20).read_to_end(&mut bytes));
        String::from_utf8_lossy(&bytes).into_owned()
    };
    if let Some(line) = text(&mut stdout).lines().rev().find_map(|line| line.strip_prefix(PREFIX)) {
        let value = serde_json::from_str(line).doing(|| format!("`{shown}` printed a space that isn't JSON"))?;
        return params(&value, &shown);
    }
    let mut failure =
        Failure::usage("there is nothing to search: no marker on the command line, and the script declares no space");
    if !status.success() {
        failure = failure.cause(format!("`{shown}` ended with {status}"));
        let said = strip(&text(&mut stderr));
        let lines: Vec<_> = said.lines().filter(|line| !line.trim().is_empty()).collect();
        failure = lines[lines.len().saturating_sub(5)..].iter().fold(failure, Failure::cause);
    }
    Err(failure.hint("add markers, as in --lr~'loguniform(1e-5, 1)', or call metaopt.add_hyperparameter in the script"))
}

#[cfg(test)]
#[cfg(unix)]
mod tests {
    use super::*;

    fn shell(script: &str, patience: Duration) -> Result<Vec<Param>, Failure> {
        describe(&["sh".into(), "-c".into(), script.into()], Path::new("."), patience)
    }

    #[test]
    fn the_space_is_the_line_with_the_prefix() {
        let params = shell(
            "echo hello; test \"$METAOPT_DESCRIBE\" = 1 && echo 'metaopt-space: [{\"name\": \"lr\", \"type\": \"bool\"}]'; exit 3",
            PATIENCE,
        );
        assert_eq!(params.unwrap()[0].name, "lr");
    }

    #[test]
    fn a_script_that_says_nothing_or_fails_or_hangs_is_told() {
        assert!(shell("true", PATIENCE).unwrap_err().message.contains("nothing to search"));
        let failure = shell("echo Boom >&2; exit 3", PATIENCE).unwrap_err();
        assert!(failure.causes.contains(&"Boom".to_owned()), "{failure:?}");
        assert!(shell("sleep 60 & wait", Duration::from_millis(100)).unwrap_err().message.contains("did not print"));
        assert!(shell("echo 'metaopt-space: nonsense'", PATIENCE).is_err());
    }

    #[test]
    fn imports_are_told_from_mentions() {
        assert!(
            imports("import os, metaopt\n") && imports("    from metaopt import x") && imports("import metaopt.space")
        );
        assert!(!imports("# metaopt\nprint('metaopt')\nimport metaopts\n"));
    }
}

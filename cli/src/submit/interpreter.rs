//! Which program runs a script: the `python3` of the submitting environment for `.py`, others by their ending.

use std::{
    env,
    ffi::OsStr,
    path::{Path, PathBuf},
    process::{Command, Stdio},
};

use crate::failure::Failure;

/// Endings of scripts, which no program on a `PATH` elsewhere is likely to have.
const SCRIPTS: [&str; 8] = ["py", "sh", "js", "mjs", "cjs", "R", "r", "jl"];

/// What the submitting environment is like; a parameter, so that tests need not change theirs.
#[derive(Clone, Debug, Default)]
pub struct Surroundings {
    /// `VIRTUAL_ENV`, else `CONDA_PREFIX`
    pub environment: Option<PathBuf>,
    /// `PATH`
    pub path: Vec<PathBuf>,
    /// The current directory.
    pub cwd: PathBuf,
}

impl Surroundings {
    /// This process's.
    pub fn here() -> Result<Self, Failure> {
        let dir = |name: &str| env::var_os(name).filter(|value| !value.is_empty()).map(PathBuf::from);
        let cwd = env::current_dir().map_err(|error| Failure::failed("the current directory is gone").cause(error))?;
        let path = env::var_os("PATH").map(|path| env::split_paths(&path).collect()).unwrap_or_default();
        Ok(Self { environment: dir("VIRTUAL_ENV").or_else(|| dir("CONDA_PREFIX")), path, cwd })
    }

    /// The program of this name that a shell would run.
    pub fn which(&self, name: &str) -> Option<PathBuf> {
        let name = format!("{name}{}", env::consts::EXE_SUFFIX);
        self.path.iter().map(|dir| self.cwd.join(dir).join(&name)).find(|path| is_executable(path))
    }

    /// The Python of the active environment, else the first `python3` (or `python`) of the `PATH`.
    pub fn python(&self) -> Option<PathBuf> {
        let bin =
            self.environment.as_ref().map(|dir| if cfg!(windows) { dir.join("Scripts") } else { dir.join("bin") });
        let names = ["python3", "python"].map(|name| format!("{name}{}", env::consts::EXE_SUFFIX));
        let inside = bin.and_then(|bin| names.iter().map(|name| bin.join(name)).find(|path| is_executable(path)));
        inside.or_else(|| self.which("python3")).or_else(|| self.which("python")).map(behind_shim)
    }

    /// The command as trials will run it: an interpreter in front of a script, `./` before a program of this folder,
    /// and the active environment's own Python where `python` was typed.
    pub fn resolve(&self, command: &[String]) -> Result<Vec<String>, Failure> {
        let Some((first, rest)) = command.split_first() else {
            return Err(
                Failure::usage("there is no command to run").hint("metaopt submit … -- python train.py --lr~'…'")
            );
        };
        let script = self.cwd.join(first);
        let mut out: Vec<String> = match Path::new(first).extension().and_then(OsStr::to_str) {
            _ if !script.is_file() => vec![self.program(first)?],
            Some("py") => {
                let python = self.python().ok_or_else(|| {
                    Failure::failed(format!("there is no python3 to run {first}"))
                        .hint("activate a virtual environment, or name the program: -- PROGRAM train.py")
                })?;
                vec![python.to_string_lossy().into_owned(), first.clone()]
            }
            _ if is_executable(&script) => vec![if first.contains('/') { first.clone() } else { format!("./{first}") }],
            Some("sh") => vec!["sh".into(), first.clone()],
            Some("js" | "mjs" | "cjs") => vec!["node".into(), first.clone()],
            Some("R" | "r") => vec!["Rscript".into(), first.clone()],
            Some("jl") => vec!["julia".into(), first.clone()],
            _ => {
                return Err(Failure::usage(format!("{first} is not executable"))
                    .hint(format!("chmod +x {first}, or name the program that runs it: -- PROGRAM {first}")));
            }
        };
        out.extend(rest.iter().cloned());
        Ok(out)
    }

    fn program(&self, name: &str) -> Result<String, Failure> {
        if name.contains('/') || name.contains(std::path::MAIN_SEPARATOR) {
            return Err(Failure::usage(format!("there is no file `{name}` here"))
                .hint("the script's path counts from the current directory"));
        }
        let environment = self.environment.as_ref().and_then(|dir| dir.canonicalize().ok());
        let found = self.which(name);
        let ending = Path::new(name).extension().and_then(OsStr::to_str);
        // A script that is nowhere is a slip; as a program's name it would wait for a node that has it, for good.
        if found.is_none() && ending.is_some_and(|ending| SCRIPTS.contains(&ending)) {
            return Err(Failure::usage(format!("there is no file `{name}` here"))
                .hint("the script's path counts from the current directory"));
        }
        // The daemon was started elsewhere: a bare `python` there would be another one than the environment's.
        if let (Some(environment), Some(found)) = (environment, &found)
            && matches!(name, "python" | "python3")
            && found.parent().and_then(|dir| dir.canonicalize().ok()).is_some_and(|dir| dir.starts_with(environment))
        {
            return Ok(found.to_string_lossy().into_owned());
        }
        // Not found here: another node may have it, and one that lacks it never claims. Saying so is the dry run's part.
        Ok(name.to_owned())
    }

    /// The script of a command, as a path from the current directory.
    pub fn script(&self, command: &[String]) -> Option<PathBuf> {
        let is_program = |at: usize, arg: &str| at == 0 && Path::new(arg).is_absolute();
        let mut files =
            command.iter().enumerate().filter(|(at, arg)| !is_program(*at, arg) && self.cwd.join(arg).is_file());
        files.next().map(|(_, arg)| PathBuf::from(arg))
    }

    /// What the study is called unless something else is said: the script's stem.
    pub fn default_name(&self, command: &[String]) -> String {
        let script = self.script(command);
        let stem = script.as_deref().or_else(|| command.first().map(Path::new)).and_then(Path::file_stem);
        let name: String = stem
            .map(|stem| stem.to_string_lossy().into_owned())
            .unwrap_or_default()
            .chars()
            .map(|c| if c.is_alphanumeric() || matches!(c, '-' | '_' | '.') { c } else { '-' })
            .collect();
        let name = name.trim_matches(['-', '.']).to_owned();
        if name.is_empty() { "study".into() } else { name }
    }
}

/// The Python of this environment.
pub fn python() -> Option<PathBuf> {
    Surroundings::here().ok()?.python()
}

/// The Python behind a version manager's shim: a shim chooses by variables that the daemon doesn't have.
fn behind_shim(python: PathBuf) -> PathBuf {
    if !python.components().any(|part| part.as_os_str() == "shims") {
        return python;
    }
    let said = Command::new(&python).args(["-c", "import sys; print(sys.executable)"]).stdin(Stdio::null()).output();
    let real = said.ok().filter(|out| out.status.success()).and_then(|out| String::from_utf8(out.stdout).ok());
    real.map(|path| PathBuf::from(path.trim())).filter(|path| is_executable(path)).unwrap_or(python)
}

fn is_executable(path: &Path) -> bool {
    let Ok(meta) = std::fs::metadata(path) else { return false };
    #[cfg(unix)]
    let runs = std::os::unix::fs::PermissionsExt::mode(&meta.permissions()) & 0o111 != 0;
    #[cfg(not(unix))]
    let runs = true;
    meta.is_file() && runs
}

#[cfg(test)]
#[cfg(unix)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    fn file(path: &Path, mode: u32) {
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, "").unwrap();
        std::fs::set_permissions(path, std::fs::Permissions::from_mode(mode)).unwrap();
    }

    fn here() -> (tempfile::TempDir, Surroundings) {
        let dir = tempfile::tempdir().unwrap();
        let root = dir.path();
        for (name, mode) in
            [("train.py", 0o644), ("run.sh", 0o644), ("tool", 0o755), ("data.csv", 0o644), ("sub/t.py", 0o644)]
        {
            file(&root.join(name), mode);
        }
        file(&root.join("usr/python3"), 0o755);
        file(&root.join("venv/bin/python3"), 0o755);
        file(&root.join("venv/bin/python"), 0o755);
        let around = Surroundings { environment: None, path: vec![root.join("usr")], cwd: root.to_owned() };
        (dir, around)
    }

    fn resolve(around: &Surroundings, command: &[&str]) -> Vec<String> {
        around.resolve(&command.iter().map(|arg| (*arg).to_owned()).collect::<Vec<_>>()).unwrap()
    }

    #[test]
    fn a_python_script_runs_under_the_submitting_environments_python() {
        let (dir, mut around) = here();
        let python = dir.path().join("usr/python3").display().to_string();
        assert_eq!(resolve(&around, &["train.py", "--lr", "{lr}"]), [python.as_str(), "train.py", "--lr", "{lr}"]);
        around.environment = Some(dir.path().join("venv"));
        assert_eq!(resolve(&around, &["sub/t.py"])[0], dir.path().join("venv/bin/python3").display().to_string());
    }

    #[test]
    fn a_shim_is_asked_for_the_python_behind_it() {
        let (dir, mut around) = here();
        let shim = dir.path().join("shims/python3");
        file(&shim, 0o755);
        std::fs::write(&shim, format!("#!/bin/sh\necho {}\n", dir.path().join("usr/python3").display())).unwrap();
        around.path = vec![dir.path().join("shims")];
        assert_eq!(around.python(), Some(dir.path().join("usr/python3")));
    }

    #[test]
    fn a_bare_python_is_the_environments_only_where_one_is_active() {
        let (dir, mut around) = here();
        assert_eq!(resolve(&around, &["python3", "train.py"]), ["python3", "train.py"]);
        around.environment = Some(dir.path().join("venv"));
        around.path.insert(0, dir.path().join("venv/bin"));
        assert_eq!(
            resolve(&around, &["python", "train.py"])[0],
            dir.path().join("venv/bin/python").display().to_string()
        );
    }

    #[test]
    fn other_scripts_by_their_ending_or_as_programs() {
        let (_dir, around) = here();
        assert_eq!(resolve(&around, &["run.sh", "x"]), ["sh", "run.sh", "x"]);
        assert_eq!(resolve(&around, &["tool"]), ["./tool"]);
        assert_eq!(resolve(&around, &["./tool"]), ["./tool"]);
        assert_eq!(resolve(&around, &["cargo", "run"]), ["cargo", "run"]);
        assert!(around.resolve(&["data.csv".into()]).unwrap_err().message.contains("not executable"));
        assert!(around.resolve(&["./gone.py".into()]).unwrap_err().message.contains("no file"));
        assert!(around.resolve(&["trian.py".into()]).unwrap_err().message.contains("no file"));
        assert!(around.resolve(&[]).is_err());
    }

    #[test]
    fn the_name_is_the_scripts_stem() {
        let (_dir, around) = here();
        let name =
            |command: &[&str]| around.default_name(&command.iter().map(|arg| (*arg).to_owned()).collect::<Vec<_>>());
        assert_eq!(name(&["/usr/bin/python3", "sub/t.py", "--x"]), "t");
        assert_eq!(name(&["python", "-m", "pkg"]), "python");
        assert_eq!(name(&["./tool"]), "tool");
        assert_eq!(name(&["?"]), "study");
    }
}

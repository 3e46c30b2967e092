//! Running one command on another machine.

use std::{
    io::{BufRead, BufReader, Read, Write},
    process::{Command, Stdio},
};

use crate::{
    failure::Failure,
    render::{strip::strip, value::shell},
};

/// The user's ssh: `METAOPT_SSH` (`ssh -p 2222`, `ssh -J gate`), else `ssh`.
#[derive(Clone, Debug)]
pub struct Ssh {
    words: Vec<String>,
}

/// A machine as the user's ssh knows it: an alias of `~/.ssh/config`, a name, an address, `user@name`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Host(String);

/// What a command there came to.
#[derive(Clone, Debug)]
pub struct Done {
    /// It ended with exit code 0.
    pub ok: bool,
    /// What it printed.
    pub out: String,
    /// The last it said, for people.
    pub said: Vec<String>,
    /// Its exit code; none where a signal ended ssh.
    pub code: Option<i32>,
}

/// Most that is kept of what a command there prints (bytes): a table of many nodes is far smaller.
const MOST: u64 = 16 << 20;
/// Lines kept of what it says.
const LINES: usize = 20;

impl Host {
    /// Reads one.
    ///
    /// # Errors
    /// What ssh would take for an option.
    pub fn read(text: &str) -> Result<Self, String> {
        if text.is_empty() || text.starts_with('-') || text.chars().any(|c| c.is_whitespace() || c.is_control()) {
            return Err("should be a host as ssh knows it, such as gpu2 or me@10.0.0.4".into());
        }
        Ok(Self(text.to_owned()))
    }

    /// As it was typed.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl Ssh {
    /// From the environment. `attended`: somebody is there to be asked for passwords.
    pub fn from_env(attended: bool) -> Result<Self, Failure> {
        match std::env::var("METAOPT_SSH") {
            Ok(text) if !text.trim().is_empty() => match words(&text) {
                Some(words) if !words.is_empty() => Ok(Self { words }),
                _ => Err(Failure::usage(format!("METAOPT_SSH is no command: {text}"))
                    .hint("it looks like METAOPT_SSH=\"ssh -p 2222\"; quotes must be closed")),
            },
            _ => {
                let mut words = vec!["ssh".to_owned(), "-o".into(), "ConnectTimeout=20".into()];
                if !attended {
                    // Several machines at once, and nobody to answer: a question would wait for ever.
                    words.extend(["-o".into(), "BatchMode=yes".into()]);
                }
                Ok(Self { words })
            }
        }
    }

    /// Runs a POSIX script there, with `input` as its standard input. What it says is told line by line as it comes.
    pub fn run(
        &self,
        host: &Host,
        script: &str,
        input: impl Input,
        mut tell: impl FnMut(&str),
    ) -> Result<Done, Failure> {
        let no = |error: std::io::Error| {
            Failure::failed(format!("cannot run {}", self.words.join(" ")))
                .cause(error)
                .hint("ssh must be installed; METAOPT_SSH names another command")
        };
        let mut command = Command::new(&self.words[0]);
        // One word for ssh, which the login shell there reads again; between single quotes all of them agree.
        command.args(&self.words[1..]).arg(&host.0).arg(format!("sh -c {}", shell(script)));
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = command.spawn().map_err(no)?;
        let (stdin, stdout, stderr) = (child.stdin.take(), child.stdout.take(), child.stderr.take());
        let mut said: Vec<String> = Vec::new();
        let out = std::thread::scope(|scope| {
            if let Some(mut stdin) = stdin {
                // It may end before it has read everything; its own words say why.
                scope.spawn(move || input.write(&mut stdin).and_then(|()| stdin.flush()));
            }
            let reader = stdout.map(|stdout| {
                scope.spawn(move || {
                    let mut out = Vec::new();
                    let _ = stdout.take(MOST).read_to_end(&mut out);
                    String::from_utf8_lossy(&out).into_owned()
                })
            });
            for line in stderr.into_iter().flat_map(|stderr| BufReader::new(stderr).split(b'\n')) {
                let Ok(line) = line else { break };
                let line = strip(&String::from_utf8_lossy(&line));
                let line = line.trim_end();
                if !line.is_empty() {
                    tell(line);
                    said.push(line.to_owned());
                    let more = said.len().saturating_sub(LINES);
                    said.drain(..more);
                }
            }
            reader.and_then(|reader| reader.join().ok()).unwrap_or_default()
        });
        let status = child.wait().map_err(no)?;
        Ok(Done { ok: status.success(), out, said, code: status.code() })
    }
}

/// What a command there reads.
pub trait Input: Send {
    /// Writes all of it.
    ///
    /// # Errors
    /// The reader has gone, or a file can't be read.
    fn write(self, to: &mut dyn Write) -> std::io::Result<()>;
}

impl Input for &[u8] {
    fn write(self, to: &mut dyn Write) -> std::io::Result<()> {
        to.write_all(self)
    }
}

/// Files, one after the other.
impl Input for Vec<std::fs::File> {
    fn write(self, mut to: &mut dyn Write) -> std::io::Result<()> {
        for mut file in self {
            std::io::copy(&mut file, &mut to)?;
        }
        Ok(())
    }
}

/// Words as a shell splits them: quotes and backslashes, nothing else. None where a quote is open.
fn words(text: &str) -> Option<Vec<String>> {
    let mut out = Vec::new();
    let mut word: Option<String> = None;
    let mut chars = text.chars();
    while let Some(c) = chars.next() {
        match c {
            c if c.is_whitespace() => out.extend(word.take()),
            '\'' | '"' => {
                let inner = word.get_or_insert_default();
                loop {
                    match chars.next()? {
                        end if end == c => break,
                        '\\' if c == '"' => inner.push(chars.next()?),
                        other => inner.push(other),
                    }
                }
            }
            '\\' => word.get_or_insert_default().push(chars.next()?),
            c => word.get_or_insert_default().push(c),
        }
    }
    out.extend(word);
    Some(out)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_command_is_split_as_a_shell_does() {
        assert_eq!(words("ssh -p 2222").unwrap(), ["ssh", "-p", "2222"]);
        assert_eq!(
            words(r#" ssh  -o 'ProxyCommand=nc -x p %h' "a\"b" c\ d '' "#).unwrap(),
            ["ssh", "-o", "ProxyCommand=nc -x p %h", "a\"b", "c d", ""]
        );
        assert_eq!(words("ssh 'open"), None);
    }

    #[test]
    fn hosts_are_no_options() {
        assert!(Host::read("me@gpu2").is_ok() && Host::read("fe80::1%eth0").is_ok());
        assert!(Host::read("-oProxyCommand=x").is_err() && Host::read("").is_err() && Host::read("a b").is_err());
    }

    #[cfg(unix)]
    #[test]
    fn what_a_command_says_is_told_as_it_comes_and_input_reaches_it() {
        let ssh = Ssh { words: ["sh", "-c", "eval \"$2\"", "ssh"].map(String::from).to_vec() };
        let host = Host::read("gpu2").unwrap();
        let mut told = Vec::new();
        let script = "cat; echo \"it's here\" >&2; exit 3";
        let done = ssh.run(&host, script, b"hello".as_slice(), |line| told.push(line.to_owned())).unwrap();
        assert_eq!((done.ok, done.code, done.out.as_str()), (false, Some(3), "hello"));
        assert_eq!((told, done.said), (vec!["it's here".to_owned()], vec!["it's here".to_owned()]));
        // A reader that doesn't want all of it is no failure of ours.
        let big = vec![0_u8; 1 << 20];
        assert!(ssh.run(&host, "exit 0", big.as_slice(), |_| ()).unwrap().ok);
    }
}

//! `metaopt secret set|list|rm`: this node's secrets. Values come from standard input, never from arguments, which
//! other users of the machine can read.

use std::io::{BufRead, IsTerminal, Read, Write};

use clap::Subcommand;
use metaopt_daemon::secrets::Secrets;
use serde_json::json;

use crate::{
    context::Context,
    failure::{Doing, Failure},
    nearest::nearest,
};

/// Passwords and keys for trials, kept on this machine
#[derive(Clone, Debug, clap::Args)]
pub struct Args {
    /// What to do.
    #[command(subcommand)]
    pub action: Action,
}

/// What can be done with secrets.
#[derive(Clone, Debug, Subcommand)]
pub enum Action {
    /// Set one; its value is asked for, or read from standard input
    Set {
        /// The environment variable's name
        name: String,
    },
    /// Names, never values
    List,
    /// Remove one
    Rm {
        /// The environment variable's name
        name: String,
    },
}

/// Does it.
pub fn run(args: Args, context: &Context) -> Result<(), Failure> {
    let dir = context.place.dir()?;
    let cannot = || "the secrets of this machine can't be used".to_owned();
    match args.action {
        Action::List => {
            let names = Secrets::open(&dir).doing(cannot)?.names();
            if context.out.json {
                return context.out.body(&json!({"items": names}));
            }
            names.iter().try_for_each(|name| context.out.line(name))
        }
        Action::Set { name } => {
            let value = read(&name)?;
            // The daemon makes its directory; before its first start there is none.
            metaopt_daemon::data_dir::prepare(&dir).map_err(|error| format!("{error:#}")).doing(cannot)?;
            let secrets = Secrets::open(&dir).doing(cannot)?;
            secrets.set(&name, &value).map_err(|error| Failure::usage(error.to_string()))?;
            context.out.say(format!("set {name} on this machine; studies get it with --secret {name}"));
            Ok(())
        }
        Action::Rm { name } => {
            let secrets = Secrets::open(&dir).doing(cannot)?;
            if secrets.remove(&name).doing(cannot)? {
                context.out.say(format!("removed {name}"));
                return Ok(());
            }
            let failure = Failure::not_found(format!("there is no secret `{name}` on this machine"));
            let names = secrets.names();
            Err(match nearest(&name, names.iter().map(String::as_str)) {
                Some(near) => failure.hint(format!("did you mean `{near}`?")),
                None => failure,
            })
        }
    }
}

fn read(name: &str) -> Result<String, Failure> {
    let stdin = std::io::stdin();
    let mut value = String::new();
    if stdin.is_terminal() {
        eprint!("{name}: ");
        let _ = std::io::stderr().flush();
        let _quiet = NoEcho::new();
        stdin.lock().read_line(&mut value).doing(|| "cannot read the value".into())?;
        eprintln!();
    } else {
        stdin.lock().read_to_string(&mut value).doing(|| "cannot read the value".into())?;
    }
    Ok(value.trim_end_matches(['\n', '\r']).to_owned())
}

/// While it lives, the terminal doesn't show what is typed.
struct NoEcho(Option<rustix::termios::Termios>);

impl NoEcho {
    fn new() -> Self {
        let before = rustix::termios::tcgetattr(std::io::stdin()).ok();
        if let Some(before) = &before {
            let mut quiet = before.clone();
            quiet.local_modes.remove(rustix::termios::LocalModes::ECHO);
            let _ = rustix::termios::tcsetattr(std::io::stdin(), rustix::termios::OptionalActions::Now, &quiet);
        }
        Self(before)
    }
}

impl Drop for NoEcho {
    fn drop(&mut self) {
        if let Some(before) = &self.0 {
            let _ = rustix::termios::tcsetattr(std::io::stdin(), rustix::termios::OptionalActions::Now, before);
        }
    }
}

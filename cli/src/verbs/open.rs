//! `metaopt open [--print | --revoke]`

use std::{
    path::Path,
    process::{Command, Stdio},
    time::{Duration, Instant},
};

use metaopt_daemon::platform::files;
use serde_json::json;

use crate::{
    context::Context,
    failure::Failure,
    json::{count, some},
};

/// The page that leads to the dashboard, in the data directory.
const PAGE: &str = "open.html";
/// How long a program that opens pages is watched; one that still runs by then may be the browser itself.
const PATIENCE: Duration = Duration::from_secs(3);

/// Show the dashboard in a browser
///
/// Each time the browser gets a token of its own, in a part of the address that isn't sent over the network.
#[derive(Clone, Debug, clap::Args)]
pub struct Args {
    /// Print the address with its token instead, for a browser elsewhere; who has it can do everything
    #[arg(long)]
    pub print: bool,
    /// End all dashboards' tokens: open pages ask for a new one
    #[arg(long, conflicts_with = "print")]
    pub revoke: bool,
}

/// Opens it; standard output has the address, with the token only where that was asked for.
pub fn run(args: Args, context: &Context) -> Result<(), Failure> {
    let (client, out) = (context.client()?, context.out);
    if args.revoke {
        let answer = client.call("DELETE", "/tokens", None)?;
        if let Ok(dir) = context.place.dir() {
            let _ = std::fs::remove_file(dir.join(PAGE)); // its token is worthless now
        }
        if out.json {
            return out.body(&answer);
        }
        let revoked = count(&answer, "revoked");
        out.say(format!("ended {revoked} {}", if revoked == 1 { "dashboard's token" } else { "dashboards' tokens" }));
        return Ok(());
    }
    let issued = client.post("/tokens", &json!({}))?;
    let token = some(&issued, "token").and_then(|token| token.as_str());
    let token = token.ok_or_else(|| Failure::failed("the daemon answered no token"))?;
    let plain = format!("{}/", client.url().trim_end_matches('/'));
    let full = format!("{plain}#token={token}");
    let shown = if args.print { &full } else { &plain };
    if !args.print {
        show(&full, &context.place.dir()?)?;
    }
    if out.json { out.body(&json!({"url": shown})) } else { out.line(shown) }
}

/// Arguments of programs can be seen by everybody on this machine: the browser is given a page that only this user can
/// read, which leads on to the address.
fn show(address: &str, dir: &Path) -> Result<(), Failure> {
    let page = dir.join(PAGE);
    let elsewhere = "`metaopt open --print` prints an address for a browser elsewhere";
    let kept = std::fs::create_dir_all(dir).and_then(|()| files::write_private(&page, leading(address).as_bytes()));
    kept.map_err(|error| Failure::failed(format!("cannot write {}", page.display())).cause(error).hint(elsewhere))?;
    let failed = |why: String| Failure::failed("no browser could be opened").cause(why).hint(elsewhere);
    let mut command = opener(&page);
    let name = command.get_program().to_string_lossy().into_owned();
    command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
    let mut child = command.spawn().map_err(|error| failed(format!("{name}: {error}")))?;
    let until = Instant::now() + PATIENCE;
    while Instant::now() < until {
        match child.try_wait() {
            Ok(Some(status)) if status.success() => return Ok(()),
            Ok(Some(status)) => return Err(failed(format!("{name} ended with {status}"))),
            Ok(None) => std::thread::sleep(Duration::from_millis(20)),
            Err(error) => return Err(failed(format!("{name}: {error}"))),
        }
    }
    Ok(())
}

/// What opens a file in the user's browser.
fn opener(page: &Path) -> Command {
    if cfg!(windows) {
        let mut command = Command::new("cmd");
        // `start` takes the first quoted word for a title.
        command.args(["/C", "start", ""]).arg(page);
        command
    } else {
        let mut command = Command::new(if cfg!(target_os = "macos") { "open" } else { "xdg-open" });
        command.arg(page);
        command
    }
}

/// A page that goes to `address` at once. Addresses and tokens hold nothing that HTML would read otherwise.
fn leading(address: &str) -> String {
    format!(
        "<!doctype html>\n<meta charset=\"utf-8\">\n<meta name=\"referrer\" content=\"no-referrer\">\n\
         <meta http-equiv=\"refresh\" content=\"0; url={address}\">\n<title>metaopt</title>\n\
         <p><a href=\"{address}\">Open metaopt's dashboard</a></p>\n"
    )
}

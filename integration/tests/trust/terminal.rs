//! What scripts and other people's studies can make a terminal do: nothing.

use super::*;

const HOSTILE: &str = "a\u{1b}]0;pwned\u{7}b\u{1b}[2Jc\u{9b}6nd\u{202e}e\rf\u{1b}P+q\u{1b}\\g";

/// The command's bytes at a terminal of its own.
fn at_a_terminal(daemon: &Daemon, words: &str) -> String {
    let log = tempfile::NamedTempFile::new().unwrap();
    let line = format!("{} {words}", program("metaopt").display());
    let mut command = Command::new("script");
    command.args(["-qefc", &line]).arg(log.path()).stdin(Stdio::null()).stdout(Stdio::null());
    command.env("METAOPT_DATA_DIR", daemon.dir.path()).env("TERM", "xterm-256color");
    command.env_remove("METAOPT_URL").env_remove("METAOPT_TOKEN").env_remove("NO_COLOR");
    command.status().unwrap();
    let text = String::from_utf8_lossy(&fs::read(log.path()).unwrap()).into_owned();
    // `script` adds a line of its own at either end
    let (_, text) = text.split_once('\n').unwrap();
    text[..text.rfind("\nScript done").unwrap()].to_owned()
}

/// What a terminal would obey in it, our own colours aside.
fn obeyed(text: &str) -> Option<String> {
    let mut rest = text;
    while let Some(at) = rest.find(|c: char| (c.is_control() && !"\r\n\t".contains(c)) || c == '\u{202e}') {
        let tail = &rest[at..];
        let colour = tail.strip_prefix("\u{1b}[").and_then(|inner| {
            let end = inner.find(|c: char| !c.is_ascii_digit() && c != ';')?;
            inner[end..].strip_prefix('m')
        });
        match colour {
            Some(after) => rest = after,
            None => return Some(tail.chars().take(20).collect()),
        }
    }
    None
}

#[test]
fn nothing_that_scripts_or_studies_say_reaches_a_terminal_as_a_command() {
    if !Command::new("script").arg("--version").stdout(Stdio::null()).status().is_ok_and(|status| status.success()) {
        skipped("script (util-linux) is needed for a terminal");
        return;
    }
    let daemon = Daemon::with(&["--slots", "1"]);
    let quoted = HOSTILE.replace('\u{1b}', "\\033").replace('\u{7}', "\\007").replace('\r', "\\015");
    let script = format!(
        "printf '{}' >&2; printf '{}\\n'; printf 'metaopt: {}\\n'; exit 3",
        quoted.replace("\\033\\\\", "\\033\\\\\\\\"),
        quoted.replace("\\033\\\\", "\\033\\\\\\\\"),
        quoted.replace("\\033\\\\", "\\033\\\\\\\\")
    );
    let failed = job(&daemon, "failed", &script, json!({}));
    let label = failed["label"].as_str().unwrap().to_owned();
    assert!(failed["detail"].as_str().unwrap().contains('\u{1b}'), "the script said nothing hostile: {failed:#}");
    let body = json!({
        "name": "named\u{202e}", "note": HOSTILE, "user_attrs": {HOSTILE: HOSTILE},
        "space": [{"name": "x\u{202e}", "type": "categorical", "choices": [HOSTILE, "plain"]}],
        "objectives": [{"metric": "loss\u{202e}", "direction": "minimize"}],
    });
    let study = daemon.ok("POST", "/studies", Some(body))["id"].as_str().unwrap().to_owned();
    daemon.ok("POST", &format!("/studies/{study}/trials"), Some(json!({"params": {"x\u{202e}": HOSTILE}})));
    let trial = daemon.ok("POST", &format!("/studies/{study}/trials/suggest"), Some(json!({"client_id": HOSTILE})));
    let trial = trial["items"][0].clone();
    let (id, asked) = (trial["id"].as_str().unwrap(), trial["label"].as_str().unwrap());
    daemon.ok("PATCH", &format!("/trials/{id}"), Some(json!({"note": HOSTILE, "user_attrs": {HOSTILE: HOSTILE}})));
    let report = json!({"step": 1, "values": {"loss\u{202e}": 1.0, "other": 2.0}});
    daemon.ok("POST", &format!("/trials/{id}/reports"), Some(report));
    let told = json!({"values": {"loss\u{202e}": 1.0}});
    daemon.ok("POST", &format!("/trials/{id}/complete"), Some(told));
    let mut seen = String::new();
    for words in [
        "status".to_owned(),
        format!("status {study}"),
        "status failed".to_owned(),
        format!("trials {study}"),
        "trials failed".to_owned(),
        format!("show {asked}"),
        format!("show {label}"),
        format!("show {asked} --json"),
        format!("logs {label}"),
        format!("logs -f {label}"),
        format!("best {study}"),
        format!("best {study} --as-args"),
        format!("explain {asked}"),
        format!("export {study}"),
        "nodes".to_owned(),
        format!("retry {asked}"),
        format!("enqueue {study} 'x\u{202e}=\u{1b}[2J'"),
        "show '\u{1b}[2Jnothing'".to_owned(),
        "status '\u{1b}]0;x\u{7}'".to_owned(),
    ] {
        let text = at_a_terminal(&daemon, &words);
        assert_eq!(obeyed(&text), None, "metaopt {words}: {text:?}");
        seen.push_str(&text);
    }
    assert!(seen.contains("exit code 3") && seen.contains("plain"), "the commands said nothing: {seen}");
}

//! What others can read of the data directory, and what jobs can make the daemon read.

use super::*;

#[test]
fn everything_the_daemon_and_the_command_write_is_the_user_s_alone() {
    let exe = program("metaoptd").display().to_string();
    let dir = tempfile::tempdir().unwrap();
    fs::set_permissions(dir.path(), fs::Permissions::from_mode(0o777)).unwrap();
    let mut daemon = Daemon::under(
        dir,
        &["sh", "-c", "umask 000; exec \"$@\"", "sh", &exe],
        &["--slots", "1", "--hide-data", "auto"],
    );
    let project = tempfile::tempdir().unwrap();
    fs::write(project.path().join("train.sh"), "cat data; echo metaopt: loss=1; sleep 1; yes | head -c 9000000")
        .unwrap();
    fs::write(project.path().join("data"), "x\n").unwrap();
    let metaopt = program("metaopt").display().to_string();
    let command = |words: &str| {
        let script = format!("umask 000; {words}").replace("metaopt ", &format!("{metaopt} "));
        let mut command = Command::new("sh");
        command.args(["-c", &script]).current_dir(project.path()).env("METAOPT_DATA_DIR", daemon.dir.path());
        command.env_remove("METAOPT_URL").env_remove("METAOPT_TOKEN");
        let output = command.output().unwrap();
        assert!(output.status.success(), "{words}: {}", String::from_utf8_lossy(&output.stderr));
    };
    command("echo hunter2hunter2 | metaopt secret set API_KEY");
    command(
        "metaopt submit -n s --max-trials 2 --setup 'echo made > made' --secret API_KEY --watch -- sh train.sh --x~'uniform(0, 1)'",
    );
    let id = daemon.ok("GET", "/studies/s/trials", None)["items"][0]["id"].as_str().unwrap().to_owned();
    let put = format!(
        "PUT /api/v1/trials/{id}/artifacts/a.bin HTTP/1.1\r\nhost: localhost\r\nauthorization: Bearer {}\r\ncontent-length: 1\r\n\r\nx",
        daemon.token
    );
    assert_eq!(raw(&daemon, put.as_bytes()).0, 201);
    daemon.crash_and_restart();
    let mode = |path: &Path| fs::symlink_metadata(path).unwrap().permissions().mode() & 0o777;
    assert_eq!(mode(daemon.dir.path()), 0o700, "nobody else gets in at all");
    let mut looked = Vec::new();
    for path in all_files(daemon.dir.path()) {
        let meta = fs::symlink_metadata(&path).unwrap();
        let inside = path.strip_prefix(daemon.dir.path()).unwrap().to_owned();
        // Made by the setup, with the mask that the daemon was started with: its user's choice, behind a closed door.
        let job_s_own = inside.starts_with("prepared") && inside.ends_with("made");
        if !meta.is_symlink() && !job_s_own {
            assert_eq!(mode(&path) & 0o077, 0, "{} is {:o}", inside.display(), mode(&path));
        }
        looked.push(inside.display().to_string());
    }
    for part in
        ["api.json", "token", "node.key", "secrets.json", "metaopt.redb", "snapshots/", "prepared/", "logs/", "a.bin"]
    {
        assert!(looked.iter().any(|path| path.contains(part)), "{part} is missing from {looked:?}");
    }
}

#[test]
fn what_a_job_plants_leads_the_daemon_nowhere() {
    // In the open, where a job can put anything anywhere.
    let daemon = Daemon::with(&["--slots", "1", "--hide-data", "never"]);
    let data = daemon.dir.path().display().to_string();
    let script = format!(
        r#"ln -s {data}/token "$METAOPT_OUTPUT_DIR/token"; ln -s {data} "$METAOPT_OUTPUT_DIR/up"; mkfifo "$METAOPT_OUTPUT_DIR/pipe"
        ln {data}/address "$METAOPT_OUTPUT_DIR/hard"; ln -s {data}/secrets.json "$METAOPT_RESULTS_PATH"
        ln -s {data}/node.key "$(dirname "$METAOPT_RESULTS_PATH")/spool.jsonl"
        mkdir -p "$METAOPT_OUTPUT_DIR/closed/in"; chmod 000 "$METAOPT_OUTPUT_DIR/closed"; echo metaopt: loss=1"#
    );
    let trial = job(&daemon, "s", &script, json!({}));
    let id = trial["id"].as_str().unwrap();
    assert_eq!(trial["state"], "complete", "a broken results file gives way to the line: {trial:#}");
    let list = daemon.ok("GET", &format!("/trials/{id}/artifacts"), None);
    let names: Vec<_> = list["items"].as_array().unwrap().iter().map(|one| one["name"].as_str().unwrap()).collect();
    assert!(names.iter().all(|name| *name == "hard"), "no link, no pipe: {names:?}");
    for name in ["token", "up%2Ftoken", "pipe", "up"] {
        assert_eq!(daemon.call("GET", &format!("/trials/{id}/artifacts/{name}"), None).0, 404, "{name}");
    }
    // a link in the place of the whole directory
    let script = format!("rmdir \"$METAOPT_OUTPUT_DIR\"; ln -s {data} \"$METAOPT_OUTPUT_DIR\"; echo metaopt: loss=1");
    let trial = job(&daemon, "t", &script, json!({}));
    let id = trial["id"].as_str().unwrap();
    assert_eq!(daemon.ok("GET", &format!("/trials/{id}/artifacts"), None)["items"], json!([]));
    assert_eq!(daemon.call("GET", &format!("/trials/{id}/artifacts/token"), None).0, 404);
    let (status, _) =
        daemon.call_raw("PUT", &format!("/trials/{id}/artifacts/api.json"), Some("{}".into()), &daemon.token);
    assert!(status >= 400, "{status}");
    assert!(fs::read_to_string(daemon.dir.path().join("api.json")).unwrap().contains(&daemon.token));
}

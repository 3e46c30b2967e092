//! What a job, which runs as the daemon's user, can learn that isn't its own.

use super::*;

/// Tries every way to the daemon's files and memory; what it finds ends up in its output.
const THIEF: &str = r#"
data=$1; daemon=$2; loot="$METAOPT_OUTPUT_DIR/loot"; here=$(pwd)
take() { echo "== $*" >> "$loot"; "$@" >> "$loot" 2>&1; }
attach() { python3 -c "import ctypes, os
libc = ctypes.CDLL(None, use_errno=True)
print('attached' if libc.ptrace(16, $1, 0, 0) == 0 else 'kept out: ' + os.strerror(ctypes.get_errno()))" >> "$loot" 2>&1; }
for file in token api.json secrets.json node.key metaopt.redb; do
  take cat "$data/$file"
  take cat "$here/../../../$file" "./../../../$file" "/proc/self/cwd/../../../$file"
done
take ls -la "$data" "$data/attempts" "$data/snapshots"
take touch "$data/planted"
take unshare -Urm sh -c "umount -l $data; cat $data/token; mount --bind / /mnt; cat /mnt$data/token"
take unshare -m sh -c "umount -l $data; cat $data/token"
echo "== processes" >> "$loot"
for pid in $daemon $PPID; do
  for way in environ cwd/token root$data/token root$data/secrets.json mem maps; do take cat /proc/$pid/$way; done
  for fd in /proc/$pid/fd/*; do take timeout 1 head -c 100000 "$fd"; done
  attach $pid
done
echo "== bystander" >> "$loot"
for way in environ root$data/token cwd$data/token; do take cat /proc/$3/$way; done
attach $3
ls -l /proc/self/fd > "$METAOPT_OUTPUT_DIR/open"
echo 'metaopt: loss=1'
"#;

const SECRET: &str = "tr0ub4dor-and-3-horses";

fn set_secret(daemon: &Daemon) {
    // as `metaopt secret set` does, whoever the daemon's user is
    let path = daemon.dir.path().join("secrets.json");
    fs::write(&path, json!({"version": 1, "secrets": {"API_KEY": SECRET}}).to_string()).unwrap();
    if is_root() {
        let owner = std::os::unix::fs::MetadataExt::uid(&fs::metadata(daemon.dir.path()).unwrap());
        chown(&path, Some(owner), Some(owner)).unwrap();
    }
}

/// Another process of the daemon's user, such as a shell: it sees the data directory.
fn bystander(daemon: &Daemon) -> std::process::Child {
    let owner = std::os::unix::fs::MetadataExt::uid(&fs::metadata(daemon.dir.path()).unwrap()).to_string();
    let mut command = Command::new("sleep");
    if is_root() {
        command = Command::new("setpriv");
        command.args(["--reuid", &owner, "--regid", &owner, "--clear-groups", "sleep"]);
    }
    command.arg("60").env("BYSTANDER", "by-and-by").stdin(Stdio::null()).spawn().unwrap()
}

fn rob(daemon: &Daemon) -> (String, String) {
    rob_by(daemon, THIEF)
}

fn rob_by(daemon: &Daemon, thief: &str) -> (String, String) {
    set_secret(daemon);
    let data = daemon.dir.path().display().to_string();
    let mut bystander = bystander(daemon);
    let script = thief.replace("data=$1", &format!("data={data}")).replace("$2", &daemon.pid().to_string());
    let script = script.replace("$3", &bystander.id().to_string());
    let trial = job(daemon, "thief", &script, json!({"timeout_s": 60.0}));
    let _ = bystander.kill();
    let _ = bystander.wait();
    assert_eq!(trial["state"], "complete", "{trial:#}");
    (output(daemon, &trial, "loot"), output(daemon, &trial, "open"))
}

fn holds_secret(daemon: &Daemon, loot: &str) -> bool {
    loot.contains(&daemon.token) || loot.contains(SECRET) || loot.contains("by-and-by") || loot.contains(" node.key\n")
}

#[test]
fn a_job_reaches_nothing_of_the_daemon_by_any_way() {
    let Some(daemon) = unprivileged(&["--slots", "1", "--hide-data", "always"]) else { return };
    let (loot, open) = rob(&daemon);
    assert!(!holds_secret(&daemon, &loot), "{loot}");
    assert!(!daemon.dir.path().join("planted").exists());
    let attached = loot.matches("attached").count();
    assert_eq!(attached, 0, "{loot}");
    assert_eq!(loot.matches("kept out: ").count(), 3, "daemon, supervisor and bystander: {loot}");
    assert!(!loot.contains("HOME="), "the environment of the daemon or the supervisor was read: {loot}");
    let inherited =
        open.lines().filter(|line| line.contains("socket:") || line.contains(".redb") || line.contains("/lock"));
    assert_eq!(inherited.count(), 0, "{open}");
}

#[test]
fn root_s_job_does_not_find_the_data_directory_by_path() {
    if !is_root() {
        skipped("root is needed to run jobs as root");
        return;
    }
    let daemon = Daemon::with(&["--slots", "1", "--hide-data", "always"]);
    // Root may look into every process and undo mounts (docs/security.md says that this isn't prevented); what it reads
    // from the daemon's own descriptors, such as its wake-ups, the daemon misses.
    let (by_path, rest) = THIEF.split_once("take unshare").unwrap();
    let (loot, _) = rob_by(&daemon, &format!("{by_path}{}", &rest[rest.find("ls -l /proc/self/fd").unwrap()..]));
    assert!(loot.contains("redb: No such file") && !holds_secret(&daemon, &loot), "{loot}");
}

/// The thief can steal: where nothing is hidden it does.
#[test]
fn what_is_not_hidden_is_found() {
    let Some(daemon) = unprivileged(&["--slots", "1", "--hide-data", "never"]) else { return };
    let (loot, _) = rob(&daemon);
    assert!(loot.contains(&daemon.token) && loot.contains(SECRET), "{loot}");
    let (processes, bystander) = loot[loot.find("== processes").unwrap()..].split_once("== bystander").unwrap();
    assert!(bystander.contains("by-and-by") && bystander.contains(&daemon.token), "{bystander}");
    assert!(!holds_secret(&daemon, processes), "the processes don't tell even then: {processes}");
    assert!(!processes.contains("attached"), "{processes}");
}

#[test]
fn a_job_does_not_see_what_another_is_given() {
    let Some(daemon) = unprivileged(&["--slots", "2", "--hide-data", "always"]) else { return };
    set_secret(&daemon);
    let run = json!({"command": ["sh", "-c", "echo up > $METAOPT_OUTPUT_DIR/up; sleep 60"], "secret_env": ["API_KEY"]});
    let body = json!({"name": "rich", "budget": {"max_trials": 1}, "run": run,
        "space": [{"name": "x", "type": "bool"}], "objectives": [{"metric": "loss", "direction": "minimize"}]});
    daemon.ok("POST", "/studies", Some(body));
    let rich = wait("the other job", || {
        let trial = daemon.ok("GET", "/studies/rich/trials", None)["items"].get(0)?.clone();
        let id = trial["id"].as_str()?.to_owned();
        daemon.dir.path().join("trials").join(&id).join("output/up").exists().then_some(id)
    });
    let data = daemon.dir.path().display();
    let script = format!(
        r#"for process in /proc/[0-9]*; do
            cat $process/environ $process/root{data}/trials/{rich}/output/up >> "$METAOPT_OUTPUT_DIR/loot" 2>/dev/null
        done
        ls {data}/trials {data}/attempts > "$METAOPT_OUTPUT_DIR/seen"; echo metaopt: loss=1"#
    );
    let trial = job(&daemon, "poor", &script, json!({}));
    let (loot, seen) = (output(&daemon, &trial, "loot"), output(&daemon, &trial, "seen"));
    assert!(loot.contains("METAOPT_RESULTS_PATH="), "it reads at least its own: {loot}");
    assert!(!loot.contains(SECRET) && !loot.contains("up\n"), "{loot}");
    assert!(seen.contains(trial["id"].as_str().unwrap()) && !seen.contains(&rich), "{seen}");
}

/// In a changed root directory the kernel makes no user namespace for an ordinary user.
#[test]
fn where_the_system_can_t_hide_anything_it_is_said_and_jobs_run_all_the_same() {
    if !is_root() {
        skipped("root is needed to change the root directory");
        return;
    }
    let place = |wanted: &str| {
        let dir = tempfile::tempdir().unwrap();
        chown(dir.path(), Some(NOBODY), Some(NOBODY)).unwrap();
        let exe = dir.path().join("metaoptd");
        fs::copy(program("metaoptd"), &exe).unwrap();
        fs::set_permissions(&exe, fs::Permissions::from_mode(0o755)).unwrap();
        let errors = dir.path().join("errors");
        let line = format!(
            "mount --rbind / /mnt && exec chroot --userspec={NOBODY}:{NOBODY} /mnt {} \"$@\" --hide-data {wanted} 2>{}",
            exe.display(),
            errors.display()
        );
        (dir, line, errors)
    };
    let (dir, line, errors) = place("always");
    let status = Command::new("unshare").args(["-m", "sh", "-c", &line, "sh", "--data-dir"]).arg(dir.path()).status();
    if !fs::read_to_string(&errors).is_ok_and(|said| said.contains("metaoptd") || said.contains("hid")) {
        skipped("unshare, mount and chroot are needed to take namespaces away");
        return;
    }
    let said = fs::read_to_string(&errors).unwrap();
    assert!(!status.unwrap().success() && said.contains("no user namespace") && said.contains("--hide-data"), "{said}");

    let (dir, line, errors) = place("auto");
    let daemon = Daemon::under(dir, &["unshare", "-m", "sh", "-c", &line, "sh"], &["--slots", "1"]);
    let trial = job(&daemon, "s", "echo metaopt: loss=1", json!({}));
    assert_eq!(trial["state"], "complete", "{trial:#}");
    let said = fs::read_to_string(&errors).unwrap();
    assert_eq!(said.matches("jobs can read the data directory").count(), 1, "{said}");
}

#[test]
fn a_job_has_its_own_files_where_it_is_told_and_a_setup_is_hidden_from_too() {
    let Some(daemon) = unprivileged(&["--slots", "1", "--hide-data", "always"]) else { return };
    let data = daemon.dir.path().display().to_string();
    let script = r#"set -e
        echo out > "$METAOPT_OUTPUT_DIR/o"; echo check > "$METAOPT_CHECKPOINT_DIR/c.tmp"
        mv "$METAOPT_CHECKPOINT_DIR/c.tmp" "$METAOPT_CHECKPOINT_DIR/c.pt"; echo private > w; test -e made/by-setup
        umask > "$METAOPT_OUTPUT_DIR/umask"; echo "{\"loss\": 0.5}" > "$METAOPT_RESULTS_PATH""#;
    let setup = format!("mkdir made; touch made/by-setup; cat {data}/token > made/token 2>/dev/null || true");
    let trial = job(&daemon, "own", script, json!({"setup": setup}));
    assert_eq!((trial["state"].as_str(), trial["values"]["loss"].as_f64()), (Some("complete"), Some(0.5)), "{trial:#}");
    assert_eq!(output(&daemon, &trial, "o"), "out\n");
    assert_eq!(output(&daemon, &trial, "umask").trim(), "0022", "the mask that the daemon was started with");
    let checkpoint = daemon.dir.path().join("trials").join(trial["id"].as_str().unwrap()).join("checkpoint/c.pt");
    assert_eq!(fs::read_to_string(checkpoint).unwrap(), "check\n");
    for file in all_files(&daemon.dir.path().join("prepared")) {
        assert!(!String::from_utf8_lossy(&fs::read(&file).unwrap_or_default()).contains(&daemon.token), "{file:?}");
    }
}

#[test]
fn tokens_and_secrets_are_in_no_process_list_and_in_no_other_environment() {
    let daemon = Daemon::with(&["--slots", "1"]);
    set_secret(&daemon);
    let script = r#"echo "$METAOPT_TOKEN" > "$METAOPT_OUTPUT_DIR/token"; sleep 60"#;
    let run = json!({"command": ["sh", "-c", script], "secret_env": ["API_KEY"]});
    let body = json!({"name": "s", "budget": {"max_trials": 1}, "run": run,
        "space": [{"name": "x", "type": "bool"}], "objectives": [{"metric": "loss", "direction": "minimize"}]});
    daemon.ok("POST", "/studies", Some(body));
    let token = wait("the job", || {
        let trial = daemon.ok("GET", "/studies/s/trials", None)["items"].get(0)?.clone();
        let path = daemon.dir.path().join("trials").join(trial["id"].as_str()?).join("output/token");
        fs::read_to_string(path).ok().map(|text| text.trim().to_owned()).filter(|text| !text.is_empty())
    });
    let mut looked = 0;
    let mut jobs = 0;
    for process in fs::read_dir("/proc").unwrap().flatten() {
        let Ok(pid) = process.file_name().to_string_lossy().parse::<u32>() else { continue };
        let read = |name: &str| {
            String::from_utf8_lossy(&fs::read(process.path().join(name)).unwrap_or_default()).replace('\0', "\n")
        };
        let (line, environment) = (read("cmdline"), read("environ"));
        looked += 1;
        for secret in [daemon.token.as_str(), &token, SECRET] {
            assert!(!line.contains(secret), "{pid}: {line}");
        }
        assert!(!environment.contains(&daemon.token), "{pid}: {line}");
        let ours = environment.contains(SECRET) || environment.contains(&token);
        let is_job = environment.lines().any(|entry| entry.starts_with("METAOPT_RESULTS_PATH="));
        assert!(!ours || is_job, "{pid}: {line}");
        jobs += usize::from(ours);
    }
    assert!(looked > 3 && jobs >= 1, "the job's own environment holds them: {looked} {jobs}");
}

#[test]
fn a_secret_is_in_no_log_document_answer_or_file_however_a_script_says_it() {
    let errors = tempfile::NamedTempFile::new().unwrap();
    let log = format!("exec \"$@\" 2>{}", errors.path().display());
    let exe = program("metaoptd").display().to_string();
    let dir = tempfile::tempdir().unwrap();
    let daemon = Daemon::under(dir, &["sh", "-c", &log, "sh", &exe], &["--slots", "1"]);
    set_secret(&daemon);
    let cases = [
        // in one piece, in two with a pause between, on both streams, and as last words without an end
        ("plain", "echo key=$API_KEY; echo err=$API_KEY >&2; exit 1"),
        ("cut", "printf '%.7s' \"$API_KEY\"; sleep 0.3; printf '%s' \"${API_KEY#???????}\"; sleep 0.1; exit 1"),
        ("last", "printf 'no end %s' \"$API_KEY\" >&2; exit 3"),
        // quoted by our own messages, which go into documents
        ("line", "echo \"metaopt: $API_KEY\""),
        ("value", "echo \"{\\\"loss\\\": \\\"$API_KEY\\\"}\" > $METAOPT_RESULTS_PATH"),
        ("metric", "echo \"{\\\"$API_KEY\\\": 1}\" > $METAOPT_RESULTS_PATH"),
        ("token", "echo $METAOPT_TOKEN; echo \"metaopt: $METAOPT_TOKEN\"; exit 1"),
    ];
    for (name, script) in cases {
        let trial = job(&daemon, name, script, json!({"secret_env": ["API_KEY"]}));
        assert_eq!(trial["state"], "fail", "{trial:#}");
        let id = trial["id"].as_str().unwrap();
        let log = daemon.call("GET", &format!("/trials/{id}/logs"), None).1.to_string();
        let seen = trial.to_string() + &log;
        assert!(!seen.contains(SECRET) && !seen.contains("t1."), "{name}: {seen}");
        assert!(seen.contains("[redacted]"), "{name} said nothing: {seen}");
        let export = daemon.call_raw("GET", &format!("/studies/{name}/export?format=jsonl"), None, &daemon.token).1;
        assert!(!export.to_string().contains(SECRET), "{export}");
    }
    let setup = json!({"secret_env": ["API_KEY"], "setup": "echo no $API_KEY >&2; exit 1"});
    let trial = job(&daemon, "setup", "true", setup).to_string();
    assert!(trial.contains("[redacted]") && !trial.contains(SECRET), "{trial}");
    let mut looked = 0;
    for path in all_files(daemon.dir.path()).into_iter().filter(|path| !path.ends_with("secrets.json")) {
        let bytes = fs::read(&path).unwrap_or_default();
        looked += bytes.len();
        let found = bytes.windows(SECRET.len()).any(|part| part == SECRET.as_bytes());
        // files that scripts write are theirs: the results file of the last one may still lie there
        assert!(!found || path.components().any(|part| part.as_os_str() == "results"), "{}", path.display());
    }
    assert!(looked > 10_000);
    let said = fs::read_to_string(errors.path()).unwrap();
    assert!(!said.contains(SECRET) && !said.contains(&daemon.token) && !said.contains("t1."), "{said}");
}

#[test]
fn a_study_s_environment_may_not_carry_what_looks_like_a_secret() {
    let daemon = Daemon::start();
    for name in ["WANDB_API_KEY", "DB_PASSWORD", "GITHUB_TOKEN", "AWS_SECRET_ACCESS_KEY"] {
        let body = json!({"name": "e", "space": [{"name": "x", "type": "bool"}],
            "objectives": [{"metric": "loss", "direction": "minimize"}],
            "run": {"command": ["true"], "env": {name: "hunter2hunter2"}}});
        let (status, answer) = daemon.call("POST", "/studies", Some(body));
        assert_eq!(status, 422, "{answer}");
        assert!(!answer.to_string().contains("hunter2"), "{answer}");
    }
}

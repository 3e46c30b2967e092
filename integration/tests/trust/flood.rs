//! Too much of everything: calls, streams, connections.

use std::{
    sync::atomic::{AtomicBool, AtomicUsize, Ordering::Relaxed},
    time::Instant,
};

use super::{requests::status_of, *};

/// This process needs as many descriptors as it opens connections.
fn may_open(files: u64) -> bool {
    use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
    let now = getrlimit(Resource::Nofile);
    let enough = now.maximum.is_none_or(|most| most >= files);
    let current = Some(now.current.unwrap_or(files).max(files));
    let raised = enough && setrlimit(Resource::Nofile, Rlimit { current, maximum: now.maximum }).is_ok();
    if !raised {
        skipped(&format!("{files} open files are not allowed here (ulimit -Hn)"));
    }
    raised
}

/// The slowest of a few calls.
fn slowest(daemon: &Daemon) -> Duration {
    let times = (0..20).map(|_| {
        let began = Instant::now();
        daemon.ok("GET", "/studies", None);
        began.elapsed()
    });
    times.max().unwrap()
}

#[test]
fn a_script_gone_wild_is_slowed_down_and_starves_nobody() {
    let daemon = Daemon::with(&["--slots", "2"]);
    let token_of = |name: &str| {
        let run = json!({"command": ["sh", "-c", "echo $METAOPT_TOKEN > $METAOPT_OUTPUT_DIR/t; sleep 60"]});
        let body = json!({"name": name, "budget": {"max_trials": 1}, "run": run,
            "space": [{"name": "x", "type": "bool"}], "objectives": [{"metric": "loss", "direction": "minimize"}]});
        daemon.ok("POST", "/studies", Some(body));
        wait("the job", || {
            let trial = daemon.ok("GET", &format!("/studies/{name}/trials"), None)["items"].get(0)?.clone();
            let id = trial["id"].as_str()?.to_owned();
            let path = daemon.dir.path().join("trials").join(&id).join("output/t");
            let text = fs::read_to_string(path).ok().filter(|text| text.ends_with('\n'))?;
            Some((id, text.trim().to_owned()))
        })
    };
    let ((wild, wild_token), (calm, calm_token)) = (token_of("wild"), token_of("calm"));
    let (over, refused) = (AtomicBool::new(false), AtomicUsize::new(0));
    std::thread::scope(|scope| {
        for _ in 0..6 {
            scope.spawn(|| {
                // one connection each, as fast as it goes
                let mut stream = connect(&daemon);
                let request = format!(
                    "GET /api/v1/trials/{wild} HTTP/1.1\r\nhost: localhost\r\nauthorization: Bearer {wild_token}\r\n\r\n"
                );
                let mut buffer = [0; 16 * 1024];
                while !over.load(Relaxed) && stream.write_all(request.as_bytes()).is_ok() {
                    let Ok(read @ 1..) = stream.read(&mut buffer) else { break };
                    let text = String::from_utf8_lossy(&buffer[..read]);
                    if text.starts_with("HTTP/1.1 429") {
                        assert!(text.to_lowercase().contains("retry-after: "), "{text}");
                        refused.fetch_add(1, Relaxed);
                    }
                }
            });
        }
        std::thread::sleep(Duration::from_secs(3));
        let slow = slowest(&daemon);
        let other = daemon.call_raw("GET", &format!("/trials/{calm}"), None, &calm_token).0;
        over.store(true, Relaxed);
        assert_eq!(other, 200, "another trial is not counted with it");
        assert!(slow < Duration::from_secs(2), "a person waited {slow:?}");
    });
    assert!(refused.load(Relaxed) > 10, "nothing was refused");
}

#[test]
fn two_thousand_event_streams_are_few_and_cheap_and_the_api_stays_fast() {
    if !may_open(2500) {
        return;
    }
    let daemon = Daemon::with(&["--slots", "0"]);
    slowest(&daemon);
    let before = status_of(&daemon, "VmRSS:");
    let request =
        format!("GET /api/v1/events HTTP/1.1\r\nhost: localhost\r\nauthorization: Bearer {}\r\n\r\n", daemon.token);
    let mut streams = Vec::new();
    let (mut open, mut refused, mut buffer) = (0, 0, [0; 4096]);
    for _ in 0..2000 {
        let mut stream = connect(&daemon);
        stream.write_all(request.as_bytes()).unwrap();
        let read = stream.read(&mut buffer).unwrap_or(0);
        match std::str::from_utf8(&buffer[..read]).unwrap().get(9..12) {
            Some("200") => open += 1,
            Some("429") => refused += 1,
            other => panic!("{other:?}"),
        }
        streams.push(stream);
    }
    let each = (status_of(&daemon, "VmRSS:") - before) as f64 / 2000.0;
    println!("{open} streams open, {refused} refused, {each:.1} KiB a connection");
    assert!(open >= 100 && refused >= 1000, "{open} {refused}");
    assert!(each < 64.0, "{each} KiB a connection");
    let slow = slowest(&daemon);
    assert!(slow < Duration::from_secs(1), "{slow:?}");
    // many events, and nobody reads them
    for number in 0..300 {
        asked(&daemon, &format!("s{number}"));
    }
    let grown = (status_of(&daemon, "VmRSS:") - before) / 1024;
    println!("{grown} MiB after 600 events to {open} streams that nobody reads");
    assert!(grown < 200, "{grown} MiB");
    drop(streams);
    wait("a free place", || (raw(&daemon, request.as_bytes()).0 == 200).then_some(()));
}

#[test]
fn thousands_of_connections_that_say_nothing_keep_nobody_out() {
    if !may_open(3500) {
        return;
    }
    let daemon = Daemon::with(&["--slots", "0"]);
    let half = format!("GET /api/v1/studies HTTP/1.1\r\nhost: localhost\r\nauthorization: Bearer {}\r\n", daemon.token);
    let mut idle = Vec::new();
    for number in 0..3000 {
        let mut stream = connect(&daemon);
        if number % 2 == 0 {
            let _ = stream.write_all(half.as_bytes());
        }
        idle.push(stream);
    }
    assert!(slowest(&daemon) < Duration::from_secs(1));
    let said = daemon.metaopt(daemon.dir.path(), &["status", "--json"]);
    assert!(said.status.success(), "{}", String::from_utf8_lossy(&said.stderr));
    let open = fs::read_dir(format!("/proc/{}/fd", daemon.pid())).map(Iterator::count).unwrap_or(0);
    println!("{open} descriptors with 3000 connections");
    assert!(open < 1200, "{open}");
}

#[test]
fn a_daemon_that_may_open_few_files_lives_through_a_flood_of_connections() {
    if !may_open(1200) {
        return;
    }
    let exe = program("metaoptd").display().to_string();
    let dir = tempfile::tempdir().unwrap();
    let daemon = Daemon::under(dir, &["sh", "-c", "ulimit -n 80; exec \"$@\"", "sh", &exe], &["--slots", "1"]);
    for _ in 0..3 {
        let flood: Vec<_> = (0..300).map(|_| connect(&daemon)).collect();
        assert!(slowest(&daemon) < Duration::from_secs(2));
        drop(flood);
    }
    let trial = job(&daemon, "after", "echo metaopt: loss=1", json!({}));
    assert_eq!(trial["state"], "complete", "jobs start all the same: {trial:#}");
}

#[test]
fn slow_bodies_hold_up_nobody() {
    let daemon = Daemon::with(&["--slots", "0"]);
    let id = asked(&daemon, "s");
    let slow = format!(
        "POST /api/v1/trials/{id}/reports HTTP/1.1\r\nhost: localhost\r\nauthorization: Bearer {}\r\ncontent-length: 1000000\r\n\r\n[",
        daemon.token
    );
    let mut waiting: Vec<_> = (0..100)
        .map(|_| {
            let mut stream = connect(&daemon);
            stream.write_all(slow.as_bytes()).unwrap();
            stream
        })
        .collect();
    for stream in &mut waiting {
        stream.write_all(b" ").unwrap();
    }
    assert!(slowest(&daemon) < Duration::from_secs(1));
    let large = format!("[{}]", vec!["{\"step\": 1, \"values\": {\"loss\": 1}}"; 2000].join(","));
    let (status, answer) = daemon.call_raw("POST", &format!("/trials/{id}/reports"), Some(large), &daemon.token);
    assert_eq!(status, 200, "a large body finds room beside those that never come: {answer}");
}

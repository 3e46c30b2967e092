//! Requests that no client of ours sends.

use super::*;

fn head(daemon: &Daemon, first: &str, headers: &[&str]) -> Vec<u8> {
    let mut text = format!("{first}\r\n");
    for header in headers {
        text.push_str(
            &header.replace("TOKEN", &daemon.token).replace("HERE", daemon.url.trim_start_matches("http://")),
        );
        text.push_str("\r\n");
    }
    (text + "\r\n").into_bytes()
}

const AUTH: &str = "authorization: Bearer TOKEN";
const HOST: &str = "host: HERE";

#[test]
fn a_foreign_host_or_origin_gets_nothing_whatever_its_form() {
    let daemon = Daemon::start();
    let status = |first: &str, headers: &[&str]| raw(&daemon, &head(&daemon, first, headers)).0;
    let port = daemon.url.rsplit(':').next().unwrap();
    for path in ["/api/v1/studies", "/api/v1/events", "/healthz", "/api/openapi.json", "/nothing"] {
        let get = format!("GET {path} HTTP/1.1");
        for host in [
            "evil.example",
            "127.0.0.1.evil",
            &format!("127.0.0.1.evil:{port}"),
            &format!("localhost.evil.example:{port}"),
            &format!("127.0.0.1:{port}@evil.example"),
            &format!("evil.example#127.0.0.1:{port}"),
            "127.1",
            "0x7f.0.0.1",
            "2130706433",
            "0.0.0.0",
            "[::ffff:127.0.0.1]",
            "127.0.0.1, evil.example",
            "",
        ] {
            assert_eq!(status(&get, &[&format!("host: {host}"), AUTH]), 403, "{path} {host}");
        }
        // two of them, or none, or one that contradicts the request line
        assert!(matches!(status(&get, &[HOST, "host: evil.example", AUTH]), 400 | 403), "{path}");
        assert!(matches!(status(&get, &[HOST, HOST, AUTH]), 400 | 403), "{path}");
        assert!(matches!(status(&get, &[AUTH]), 400 | 403), "{path}");
        let absolute = |host: &str| format!("GET http://{host}{path} HTTP/1.1");
        assert_eq!(status(&absolute("evil.example"), &[HOST, AUTH]), 403, "{path}");
        assert_eq!(status(&absolute(&format!("127.0.0.1:{port}")), &["host: evil.example", AUTH]), 403, "{path}");
        for origin in [
            "null",
            "http://evil.example",
            "http://127.0.0.1:1",
            &format!("http://127.0.0.1.evil:{port}"),
            &format!("http://127.0.0.1:{port}.evil"),
            &format!("http://evil@127.0.0.1:{port}"),
            "file://",
            "chrome-extension://abc",
            "",
        ] {
            assert_eq!(status(&get, &[HOST, &format!("origin: {origin}"), AUTH]), 403, "{path} {origin}");
        }
        let own = format!("origin: http://127.0.0.1:{port}");
        assert_eq!(status(&get, &[HOST, &own, "origin: http://evil.example", AUTH]), 403, "{path}");
    }
    // the same requests work where nothing is foreign
    for path in ["/api/v1/studies", "/api/v1/events", "/healthz"] {
        let own = format!("origin: http://127.0.0.1:{port}");
        assert_eq!(status(&format!("GET {path} HTTP/1.1"), &[HOST, &own, AUTH]), 200, "{path}");
        assert_eq!(status(&format!("GET {}{path} HTTP/1.1", daemon.url), &[HOST, AUTH]), 200, "{path}");
    }
    assert_eq!(status("GET /api/v1/studies HTTP/1.1", &[HOST, AUTH, "authorization: Bearer x"]), 401);
    assert_eq!(status("OPTIONS /api/v1/studies HTTP/1.1", &[HOST, "origin: http://evil.example"]), 403);
}

#[test]
fn heads_and_chunks_that_are_too_much_are_refused_and_serve_nobody_else() {
    let daemon = Daemon::start();
    let mut many = head(&daemon, "GET /api/v1/studies HTTP/1.1", &[HOST, AUTH]);
    many.truncate(many.len() - 2);
    many.extend((0..5000).flat_map(|n| format!("x-{n}: y\r\n").into_bytes()));
    many.extend(b"\r\n");
    assert!(matches!(raw(&daemon, &many).0, 0 | 431), "thousands of headers");
    let long = format!("x: {}", "y".repeat(1 << 20));
    assert!(
        matches!(raw(&daemon, &head(&daemon, "GET /healthz HTTP/1.1", &[HOST, &long])).0, 0 | 431),
        "a long header"
    );
    let path = format!("GET /healthz?{} HTTP/1.1", "y".repeat(1 << 20));
    assert!(matches!(raw(&daemon, &head(&daemon, &path, &[HOST])).0, 0 | 400 | 414 | 431), "a long path");
    let post = |headers: &[&str], body: &str| {
        let mut all = vec![HOST, AUTH];
        all.extend(headers);
        let mut bytes = head(&daemon, "POST /api/v1/studies HTTP/1.1", &all);
        bytes.extend(body.as_bytes());
        raw(&daemon, &bytes)
    };
    let chunked = "transfer-encoding: chunked";
    for body in ["ffffffffffffffff1\r\n{}\r\n0\r\n\r\n", "-1\r\n{}\r\n", "zz\r\n{}\r\n", "2 2\r\n{}\r\n0\r\n\r\n"] {
        let (status, text) = post(&[chunked], body);
        assert!(matches!(status, 0 | 400), "{body:?}: {text}");
    }
    // a second request hidden in the first one's body is never answered
    let hidden =
        format!("0\r\n\r\nGET /healthz HTTP/1.1\r\nhost: {}\r\n\r\n", daemon.url.trim_start_matches("http://"));
    let (status, text) = post(&[chunked, "content-length: 4"], &hidden);
    assert!(matches!(status, 0 | 400) || text.matches("HTTP/1.1").count() == 1, "{text}");
    let (status, _) = post(&["content-length: 4", "content-length: 400"], "{}{}");
    assert!(matches!(status, 0 | 400));
    assert_eq!(post(&["content-encoding: gzip", "content-length: 2"], "{}").0, 415);
    daemon.ok("GET", "/studies", None);
}

#[test]
fn json_bombs_are_refused_and_cost_little_memory() {
    let daemon = Daemon::start();
    let (id, before) = (asked(&daemon, "s"), peak(&daemon));
    let send = |body: String| daemon.call_raw("POST", &format!("/trials/{id}/reports"), Some(body), &daemon.token).0;
    for (open, close) in [("[", "]"), ("{\"a\":", "}")] {
        assert_eq!(send(open.repeat(100_000) + "1" + &close.repeat(100_000)), 400, "nested {open}");
    }
    assert_eq!(
        send(format!("{{\"step\": 1, \"values\": {{\"loss\": 1{}}}}}", "0".repeat(900_000))),
        422,
        "a huge number"
    );
    assert_eq!(send(format!("{{\"step\": {}, \"values\": {{\"loss\": 1}}}}", "9".repeat(900_000))), 422, "a huge step");
    assert_eq!(send(" ".repeat((1 << 20) + 1)), 413);
    // dense: a byte of `[{"a":0},…` becomes a hundred bytes of maps
    let dense = format!("[{}{{}}]", "{\"a\":0},".repeat(130_000));
    std::thread::scope(|scope| {
        for _ in 0..48 {
            scope.spawn(|| assert!(matches!(send(dense.clone()), 422 | 429)));
        }
    });
    let grown = (peak(&daemon) - before) / 1024;
    println!("48 dense bodies at once: {grown} MiB at the most");
    assert!(grown < 1200, "{grown} MiB");
    daemon.ok("GET", "/studies", None);
}

/// The most memory the daemon has held (KiB).
fn peak(daemon: &Daemon) -> u64 {
    status_of(daemon, "VmHWM:")
}

pub fn status_of(daemon: &Daemon, field: &str) -> u64 {
    let text = fs::read_to_string(format!("/proc/{}/status", daemon.pid())).unwrap();
    let line = text.lines().find_map(|line| line.strip_prefix(field)).unwrap();
    line.trim().trim_end_matches(" kB").parse().unwrap()
}

#[test]
fn artifact_names_lead_nowhere() {
    let daemon = Daemon::start();
    let id = asked(&daemon, "s");
    let request = |verb: &str, name: &str| {
        let first = format!("{verb} /api/v1/trials/{id}/artifacts/{name} HTTP/1.1");
        let mut bytes = head(&daemon, &first, &[HOST, AUTH, "content-length: 1"]);
        bytes.push(b'x');
        raw(&daemon, &bytes)
    };
    let before = all_files(daemon.dir.path()).len();
    for name in [
        "..%2f..%2f..%2fapi.json",
        "../../../api.json",
        "%2e%2e/%2e%2e/x",
        "%2fetc%2fpasswd",
        "a%2f..%2f..%2fb",
        "a%00b",
        "..",
        "%2e%2e",
        ".",
        "a%5cb",
        "%c0%ae%c0%ae%2fx",
        ".incoming-x",
        &"n".repeat(300),
    ] {
        let (status, text) = request("PUT", name);
        assert!((400..500).contains(&status), "PUT {name}: {text}");
        let (status, text) = request("GET", name);
        assert!((400..500).contains(&status) && !text.contains(&daemon.token), "GET {name}: {text}");
    }
    assert_eq!(all_files(daemon.dir.path()).len(), before, "nothing was made for names that aren't any");
    assert_eq!(request("PUT", "fine.svg").0, 201);
    let (_, text) = request("GET", "fine.svg");
    let lower = text.to_lowercase();
    for line in
        ["content-disposition: attachment", "nosniff", "default-src 'none'; sandbox", "application/octet-stream"]
    {
        assert!(lower.contains(line), "{line}: {text}");
    }
}

#[test]
fn a_stranger_that_relays_to_the_daemon_is_sent_no_token() {
    let daemon = Daemon::start();
    let stranger = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}", stranger.local_addr().unwrap());
    let target = daemon.url.trim_start_matches("http://").to_owned();
    let heard = std::sync::Arc::new(std::sync::Mutex::new(Vec::new()));
    let told = heard.clone();
    // On the port that an old api.json names: passes everything on, byte by byte, and keeps a copy.
    std::thread::spawn(move || {
        for client in stranger.incoming() {
            let (mut client, told) = (client.unwrap(), told.clone());
            let mut daemon = TcpStream::connect(&target).unwrap();
            let (mut back, mut answers) = (client.try_clone().unwrap(), daemon.try_clone().unwrap());
            std::thread::spawn(move || std::io::copy(&mut answers, &mut back));
            std::thread::spawn(move || {
                let mut buffer = [0; 4096];
                while let Ok(read @ 1..) = client.read(&mut buffer) {
                    told.lock().unwrap().extend_from_slice(&buffer[..read]);
                    let _ = daemon.write_all(&buffer[..read]);
                }
            });
        }
    });
    let old = tempfile::tempdir().unwrap();
    fs::set_permissions(old.path(), fs::Permissions::from_mode(0o700)).unwrap();
    let api = json!({"url": url, "token": daemon.token, "node": "n", "pid": 1});
    fs::write(old.path().join("api.json"), api.to_string()).unwrap();
    // `doctor` starts no daemon where it finds none
    let cli = |dir: &Path| {
        let mut command = Command::new(program("metaopt"));
        command.args(["--data-dir"]).arg(dir).args(["doctor", "--json"]).stdin(Stdio::null());
        String::from_utf8_lossy(&command.output().unwrap().stdout).into_owned()
    };
    let said = cli(old.path());
    assert!(said.contains("not running"), "{said}");
    let heard = String::from_utf8(heard.lock().unwrap().clone()).unwrap();
    assert!(heard.contains("GET /healthz?challenge=") && !heard.contains(&daemon.token), "{heard}");
    assert!(cli(daemon.dir.path()).contains(&daemon.url), "the daemon itself is believed");
}

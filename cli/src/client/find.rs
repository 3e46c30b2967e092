//! Where the daemon is: `METAOPT_URL` and `METAOPT_TOKEN`, else `api.json` of the data directory.

use std::path::PathBuf;

use serde::Deserialize;

use super::{challenge::Answer, http::Client, start};
use crate::failure::Failure;

/// What is known about where the daemon is, before asking it.
#[derive(Clone, Debug, Default)]
pub struct Place {
    /// `METAOPT_URL`
    pub url: Option<String>,
    /// `METAOPT_TOKEN`
    pub token: Option<String>,
    /// We are a trial's process: the URL and a token for this trial came from the daemon that started us.
    pub in_trial: bool,
    /// `--data-dir`, or `METAOPT_DATA_DIR`
    pub data_dir: Option<PathBuf>,
}

/// `DATA_DIR/api.json`
#[derive(Clone, Debug, PartialEq, Deserialize)]
pub struct ApiFile {
    /// Where the API is.
    pub url: String,
    /// The local user's token.
    pub token: String,
    /// The node's name.
    #[serde(default)]
    pub node: String,
    /// The daemon's process.
    #[serde(default)]
    pub pid: Option<u32>,
}

impl Place {
    /// From the environment; `--data-dir` wins over all of it.
    pub fn from_env(data_dir: Option<PathBuf>) -> Self {
        let text = |name: &str| std::env::var(name).ok().filter(|value| !value.is_empty());
        if data_dir.is_some() {
            return Self { data_dir, ..Self::default() };
        }
        Self {
            url: text("METAOPT_URL"),
            token: text("METAOPT_TOKEN"),
            in_trial: text("METAOPT_TRIAL_ID").is_some(),
            data_dir: text("METAOPT_DATA_DIR").map(PathBuf::from),
        }
    }

    /// The data directory that was asked for, or the default one.
    pub fn wanted(&self) -> Result<PathBuf, Failure> {
        match &self.data_dir {
            Some(dir) => std::path::absolute(dir)
                .map_err(|error| Failure::usage(format!("cannot use --data-dir {}", dir.display())).cause(error)),
            None => metaopt_daemon::data_dir::default_dir().map_err(|error| {
                Failure::failed("no data directory").cause(error).hint("name one with --data-dir or METAOPT_DATA_DIR")
            }),
        }
    }

    /// The data directory in use: on a network file system the daemon keeps its data elsewhere.
    pub fn dir(&self) -> Result<PathBuf, Failure> {
        Ok(metaopt_daemon::data_dir::located(&self.wanted()?))
    }

    /// A client for the daemon, which is started when there is none.
    pub fn connect(&self) -> Result<Client, Failure> {
        match self.running()? {
            Some(client) => Ok(client),
            None => start::start(self),
        }
    }

    /// A client for the daemon that runs already; `None` when none does.
    pub fn running(&self) -> Result<Option<Client>, Failure> {
        if let Some(url) = &self.url {
            return self.named(url).map(Some);
        }
        let path = self.dir()?.join("api.json");
        let file = match std::fs::read(&path) {
            Ok(bytes) => bytes,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(None),
            Err(error) => {
                return Err(Failure::no_daemon(format!("cannot read {}", path.display()))
                    .cause(error)
                    .hint("is it another user's? Choose your own with --data-dir or METAOPT_DATA_DIR"));
            }
        };
        ours(&path)?;
        // Half a file is a daemon that is just starting (or died in it).
        let Ok(api) = serde_json::from_slice::<ApiFile>(&file) else { return Ok(None) };
        let client = Client::here(&api.url, &api.token);
        match client.challenge()? {
            Answer::Proven => Ok(Some(client)),
            // The port may have been given to another program since; our daemon isn't there in any case.
            Answer::Stranger | Answer::Nobody(_) => Ok(None),
        }
    }

    /// The process that the data directory's `api.json` names.
    pub fn pid(&self) -> Option<u32> {
        let file = std::fs::read(self.dir().ok()?.join("api.json")).ok()?;
        serde_json::from_slice::<ApiFile>(&file).ok()?.pid
    }

    /// The daemon is elsewhere, or someone else's: none is started or ended.
    pub fn is_named(&self) -> bool {
        self.url.is_some()
    }

    fn named(&self, url: &str) -> Result<Client, Failure> {
        let token = self.token.as_deref().ok_or_else(|| {
            Failure::usage("METAOPT_URL is set, but METAOPT_TOKEN is not")
                .hint("set both, or unset METAOPT_URL to use the local daemon")
        })?;
        if self.in_trial {
            return Ok(Client::unproven(url, token));
        }
        let client = Client::new(url, token);
        match client.challenge()? {
            Answer::Proven => Ok(client),
            Answer::Nobody(why) => Err(Failure::no_daemon(format!("no daemon at {url}")).cause(why).hint("METAOPT_URL names it")),
            Answer::Stranger => Err(Failure::no_daemon(format!("the listener at {url} does not know METAOPT_TOKEN"))
                .hint("it was not sent the token; check METAOPT_URL and METAOPT_TOKEN, or unset them to use the local daemon")),
        }
    }
}

/// Refuses an `api.json` that another user wrote: in a directory that many can write to, theirs would name a daemon of
/// theirs, with a token that they know, and be sent our commands and files.
fn ours(path: &std::path::Path) -> Result<(), Failure> {
    #[cfg(unix)]
    {
        use std::os::unix::fs::MetadataExt;
        let owner = std::fs::metadata(path).map(|meta| meta.uid());
        if owner.is_ok_and(|owner| owner != rustix::process::geteuid().as_raw()) {
            return Err(Failure::no_daemon(format!("{} belongs to another user", path.display()))
                .hint("choose your own directory with --data-dir or METAOPT_DATA_DIR, or be that user"));
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::{
        io::{Read, Write},
        net::TcpListener,
        sync::mpsc,
        time::Duration,
    };

    use super::*;
    use crate::client::challenge;

    /// Answers requests, connection after connection, with what `answer` makes of each; tells what was asked.
    fn listener(answer: impl Fn(&str) -> String + Send + 'static) -> (String, mpsc::Receiver<String>) {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let (asked, heard) = mpsc::channel();
        std::thread::spawn(move || {
            for stream in listener.incoming().take(4) {
                let mut stream = stream.unwrap();
                stream.set_read_timeout(Some(Duration::from_secs(5))).unwrap();
                while let Some(request) = read(&mut stream) {
                    let body = answer(&request);
                    let head = format!("HTTP/1.1 200 OK\r\ncontent-length: {}\r\n\r\n", body.len());
                    let _ = stream.write_all((head + &body).as_bytes());
                    let _ = asked.send(request);
                }
            }
        });
        (url, heard)
    }

    fn read(stream: &mut std::net::TcpStream) -> Option<String> {
        let mut request = Vec::new();
        let mut buffer = [0; 1024];
        while !request.ends_with(b"\r\n\r\n") {
            match stream.read(&mut buffer) {
                Ok(n) if n > 0 => request.extend_from_slice(&buffer[..n]),
                _ => return None,
            }
        }
        Some(String::from_utf8_lossy(&request).into_owned())
    }

    fn prove(token: &'static str) -> impl Fn(&str) -> String {
        prove_at(token, None)
    }

    /// As a daemon that listens at `address` does, or at whatever address it is asked.
    fn prove_at(token: &'static str, address: Option<String>) -> impl Fn(&str) -> String {
        move |request| {
            let challenge = request.split("challenge=").nth(1).and_then(|rest| rest.split(' ').next());
            let host = request.split("host: ").nth(1).and_then(|rest| rest.split("\r\n").next()).unwrap_or_default();
            let address = address.as_deref().unwrap_or(host);
            match challenge {
                Some(challenge) => {
                    let here = challenge::proof(token, &format!("{challenge}@{address}"));
                    format!("{{\"proof\": \"{}\", \"proof_here\": \"{here}\"}}", challenge::proof(token, challenge))
                }
                None => "{\"items\": []}".into(),
            }
        }
    }

    fn data_dir(url: &str) -> tempfile::TempDir {
        let dir = tempfile::tempdir().unwrap();
        let file = format!(r#"{{"url": "{url}", "token": "s3cret", "node": "n", "pid": 1}}"#);
        std::fs::write(dir.path().join("api.json"), file).unwrap();
        dir
    }

    #[test]
    fn a_stranger_on_the_daemons_port_never_sees_the_token() {
        let (url, heard) = listener(|_| "{\"proof\": \"00\"}".into());
        let dir = data_dir(&url);
        let place = Place { data_dir: Some(dir.path().into()), ..Place::default() };
        assert!(place.running().unwrap().is_none());
        let request = heard.recv_timeout(Duration::from_secs(5)).unwrap().to_lowercase();
        assert!(request.starts_with("get /healthz?challenge="), "{request}");
        assert!(!request.contains("authorization") && !request.contains("s3cret"), "{request}");
        assert!(heard.recv_timeout(Duration::from_millis(100)).is_err(), "nothing more was asked of the stranger");
    }

    #[test]
    fn the_daemon_proves_itself_and_is_then_sent_the_token() {
        let (url, heard) = listener(prove("s3cret"));
        let dir = data_dir(&url);
        let place = Place { data_dir: Some(dir.path().into()), ..Place::default() };
        let client = place.running().unwrap().expect("proven");
        assert_eq!(client.get("/studies").unwrap()["items"], serde_json::json!([]));
        let first = heard.recv_timeout(Duration::from_secs(5)).unwrap().to_lowercase();
        assert!(!first.contains("authorization"));
        let second = heard.recv_timeout(Duration::from_secs(5)).unwrap();
        assert!(
            second.starts_with("GET /healthz HTTP") && !second.to_lowercase().contains("authorization"),
            "{second}"
        );
        let third = heard.recv_timeout(Duration::from_secs(5)).unwrap();
        assert!(third.to_lowercase().contains("authorization: bearer s3cret"), "{third}");
    }

    #[test]
    fn a_stranger_that_passes_the_challenge_on_to_the_daemon_never_sees_the_token() {
        // The daemon, elsewhere by now, answers whoever asks; for its own address.
        let (url, heard) = listener(prove_at("s3cret", Some("127.0.0.1:1".into())));
        let dir = data_dir(&url);
        let place = Place { data_dir: Some(dir.path().into()), ..Place::default() };
        assert!(place.running().unwrap().is_none());
        assert!(!heard.recv_timeout(Duration::from_secs(5)).unwrap().to_lowercase().contains("authorization"));
        assert!(heard.recv_timeout(Duration::from_millis(100)).is_err(), "nothing more was asked of the stranger");
    }

    #[test]
    fn a_stranger_that_takes_the_port_later_never_sees_the_token() {
        let daemon = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = daemon.local_addr().unwrap();
        let dir = data_dir(&format!("http://{address}"));
        let served = std::thread::spawn(move || {
            let (mut stream, _) = daemon.accept().unwrap();
            for _ in 0..3 {
                let request = read(&mut stream).unwrap();
                let body = prove("s3cret")(&request);
                let head = format!("HTTP/1.1 200 OK\r\ncontent-length: {}\r\n\r\n", body.len());
                stream.write_all((head + &body).as_bytes()).unwrap();
            }
        });
        let place = Place { data_dir: Some(dir.path().into()), ..Place::default() };
        let client = place.running().unwrap().expect("proven");
        client.get("/studies").unwrap();
        served.join().unwrap();
        // the daemon is gone, and its connection with it; a client that follows a study asks again
        let stranger = TcpListener::bind(address).unwrap();
        let heard = std::thread::spawn(move || {
            let (mut stream, _) = stranger.accept().unwrap();
            let request = read(&mut stream).unwrap();
            stream.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\n{}").unwrap();
            (request, read(&mut stream))
        });
        assert_eq!(client.get("/studies").unwrap_err().code, crate::failure::NO_DAEMON);
        let (challenge, more) = heard.join().unwrap();
        assert!(
            challenge.starts_with("GET /healthz?challenge=") && !challenge.to_lowercase().contains("authorization")
        );
        assert_eq!(more, None);
    }

    #[test]
    fn a_url_from_the_environment_is_challenged_too() {
        let (url, heard) = listener(prove("another"));
        let place = Place { url: Some(url), token: Some("s3cret".into()), ..Place::default() };
        let failure = place.running().unwrap_err();
        assert_eq!(failure.code, crate::failure::NO_DAEMON);
        assert!(!heard.recv_timeout(Duration::from_secs(5)).unwrap().to_lowercase().contains("authorization"));
    }

    #[test]
    fn nobody_listening_is_no_daemon() {
        let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
        let url = format!("http://{port}");
        let dir = data_dir(&url);
        let place = Place { data_dir: Some(dir.path().into()), ..Place::default() };
        assert!(place.running().unwrap().is_none());
        let named = Place { url: Some(url), token: Some("t".into()), ..Place::default() };
        assert_eq!(named.running().unwrap_err().code, crate::failure::NO_DAEMON);
        let tokenless = Place { url: Some("http://127.0.0.1:1".into()), ..Place::default() };
        assert_eq!(tokenless.running().unwrap_err().code, crate::failure::USAGE);
    }

    #[test]
    fn half_an_api_file_is_no_daemon_yet() {
        let dir = tempfile::tempdir().unwrap();
        std::fs::write(dir.path().join("api.json"), "{\"url\": \"http").unwrap();
        let place = Place { data_dir: Some(dir.path().into()), ..Place::default() };
        assert!(place.running().unwrap().is_none());
    }

    #[cfg(unix)]
    #[test]
    fn an_api_file_of_another_user_is_not_believed() {
        let dir = data_dir("http://127.0.0.1:1");
        let mine = dir.path().join("api.json");
        assert_eq!(ours(&mine), Ok(()));
        // Root can give a file away; anybody else finds one of root's.
        let theirs = match std::os::unix::fs::chown(&mine, Some(12345), None) {
            Ok(()) => mine,
            Err(_) => "/etc/passwd".into(),
        };
        assert_eq!(ours(&theirs).unwrap_err().code, crate::failure::NO_DAEMON);
    }
}

//! A client as lean as they come, to measure the daemon and not the client: kept connections, one per thread, no library.
//!
//! `asktell URL STUDY THREADS TRIALS [REPORTS CHUNK]` with the token in `METAOPT_TOKEN`: each thread asks and tells TRIALS
//! times, with REPORTS reports in between, CHUNK at a time. Prints `{"seconds": …, "refused": …}` (calls that the daemon
//! answered with 429 and that were made again) and then waits for the end of its input.

use std::{
    io::{BufRead, BufReader, Read, Write},
    net::TcpStream,
    time::{Duration, Instant},
};

use serde_json::Value;

type Fallible<T> = Result<T, String>;

/// Pause after a 429. Shorter than it asks for, so that the daemon's limit is measured and not this client's patience.
const BUSY: Duration = Duration::from_millis(20);

/// One kept connection.
struct Connection {
    stream: BufReader<TcpStream>,
    head: String,
    message: Vec<u8>,
    body: Vec<u8>,
    refused: u64,
}

impl Connection {
    fn open(place: &str, token: &str) -> Fallible<Self> {
        let stream = TcpStream::connect(place).map_err(|e| format!("cannot connect to {place}: {e}"))?;
        stream.set_nodelay(true).map_err(|e| e.to_string())?;
        let head = format!("Host: {place}\r\nAuthorization: Bearer {token}\r\nContent-Type: application/json\r\n");
        Ok(Self { stream: BufReader::new(stream), head, message: Vec::new(), body: Vec::new(), refused: 0 })
    }

    /// One call; made again while the daemon says that it has too many.
    fn post(&mut self, path: &str, body: &str) -> Fallible<Value> {
        loop {
            match self.once(path, body)? {
                Some(answer) => return Ok(answer),
                None => self.refused += 1,
            }
            std::thread::sleep(BUSY);
        }
    }

    fn once(&mut self, path: &str, body: &str) -> Fallible<Option<Value>> {
        self.message.clear();
        let Self { head, message, .. } = self;
        write!(message, "POST /api/v1{path} HTTP/1.1\r\n{head}Content-Length: {}\r\n\r\n{body}", body.len())
            .and_then(|()| self.stream.get_mut().write_all(message))
            .map_err(|e| format!("cannot send: {e}"))?;
        let (mut status, mut length) = (0u16, None);
        let mut line = String::new();
        loop {
            line.clear();
            self.stream.read_line(&mut line).map_err(|e| format!("cannot read: {e}"))?;
            match line.trim_end() {
                "" => break,
                text if status == 0 => {
                    status =
                        text.split(' ').nth(1).and_then(|s| s.parse().ok()).ok_or_else(|| format!("got {text:?}"))?;
                }
                text => {
                    if let Some((name, value)) = text.split_once(':')
                        && name.eq_ignore_ascii_case("content-length")
                    {
                        length = value.trim().parse().ok();
                    }
                }
            }
        }
        self.body.resize(length.ok_or("an answer without a length")?, 0);
        self.stream.read_exact(&mut self.body).map_err(|e| format!("cannot read: {e}"))?;
        if status == 429 {
            return Ok(None);
        }
        if status >= 300 {
            return Err(format!("{path}: {status} {}", String::from_utf8_lossy(&self.body)));
        }
        serde_json::from_slice(&self.body).map(Some).map_err(|e| format!("{path}: {e}"))
    }
}

/// What one thread does.
#[derive(Clone)]
struct Work {
    study: String,
    trials: u32,
    reports: u32,
    chunk: u32,
}

impl Work {
    fn run(&self, connection: &mut Connection) -> Fallible<()> {
        let ask = format!("/studies/{}/trials/suggest", self.study);
        for _ in 0..self.trials {
            let asked = connection.post(&ask, r#"{"count":1}"#)?;
            let trial = &asked["items"][0];
            let id = trial["id"].as_str().ok_or_else(|| format!("nothing to ask: {asked}"))?;
            self.report(connection, id)?;
            let loss: f64 = (0..6).filter_map(|i| trial["params"][format!("f{i}")].as_f64()).sum();
            connection.post(&format!("/trials/{id}/complete"), &format!(r#"{{"values":{{"loss":{loss}}}}}"#))?;
        }
        Ok(())
    }

    fn report(&self, connection: &mut Connection, id: &str) -> Fallible<()> {
        let path = format!("/trials/{id}/reports");
        let steps: Vec<u32> = (1..=self.reports).collect();
        for chunk in steps.chunks(self.chunk as usize) {
            let points: Vec<String> = chunk
                .iter()
                .map(|step| format!(r#"{{"step":{step},"values":{{"loss":{}}}}}"#, 1.0 / f64::from(*step)))
                .collect();
            connection.post(&path, &format!("[{}]", points.join(",")))?;
        }
        Ok(())
    }
}

fn main() -> Fallible<()> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [url, study, numbers @ ..] = arguments.as_slice() else {
        return Err("usage: asktell URL STUDY THREADS TRIALS [REPORTS CHUNK]".into());
    };
    let number = |at: usize, default: Option<u32>| match (numbers.get(at), default) {
        (Some(text), _) => text.parse::<u32>().map_err(|_| format!("`{text}` is not a number")),
        (None, default) => default.ok_or_else(|| "THREADS and TRIALS are needed".to_owned()),
    };
    let threads = number(0, None)?;
    let work = Work {
        study: study.clone(),
        trials: number(1, None)?,
        reports: number(2, Some(0))?,
        chunk: number(3, Some(1))?.max(1),
    };
    let token = std::env::var("METAOPT_TOKEN").map_err(|_| "METAOPT_TOKEN is needed")?;
    let place = url.strip_prefix("http://").ok_or_else(|| format!("{url} is not http://…"))?;
    let connections = (0..threads).map(|_| Connection::open(place, &token)).collect::<Fallible<Vec<_>>>()?;
    let begin = Instant::now();
    let running: Vec<_> = connections
        .into_iter()
        .map(|mut connection| {
            let work = work.clone();
            std::thread::spawn(move || work.run(&mut connection).map(|()| connection.refused))
        })
        .collect();
    let mut refused = 0;
    for thread in running {
        refused += thread.join().map_err(|_| "a thread broke down".to_owned())??;
    }
    println!(r#"{{"seconds": {}, "refused": {refused}}}"#, begin.elapsed().as_secs_f64());
    let _ = std::io::stdin().read(&mut [0]);
    Ok(())
}

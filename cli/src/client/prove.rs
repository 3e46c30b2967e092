//! Every connection proves itself before it is used, not only the first: the daemon may have gone since, and anything may
//! listen in its place.
//!
//! Owns: the challenge on a fresh connection. Must not: send the token.

use serde_json::Value;
use ureq::{
    Error,
    unversioned::transport::{ConnectionDetails, Connector, Transport},
};

use super::challenge;

/// Longest answer to a challenge (bytes).
const LONGEST: usize = 16 * 1024;

/// The listener doesn't know the token.
#[derive(Clone, Copy, Debug, thiserror::Error)]
#[error("the listener does not know the daemon's token; it was not sent")]
pub struct Stranger;

/// Challenges each new connection, between its making and its first use.
#[derive(Debug)]
pub struct Prove {
    /// The token that the listener must know.
    pub token: String,
    /// The listener must prove itself for the very address that was asked; not where a person's own tunnel leads there.
    pub here: bool,
}

impl<In: Transport> Connector<In> for Prove {
    type Out = In;

    fn connect(&self, details: &ConnectionDetails, chained: Option<In>) -> Result<Option<In>, Error> {
        let Some(mut transport) = chained else { return Ok(None) };
        let stranger = || Error::Other(Box::new(Stranger));
        let address = details.uri.authority().map(|authority| authority.as_str()).ok_or_else(stranger)?;
        let challenge = challenge::fresh().map_err(|failure| Error::Other(failure.message.into()))?;
        let request = format!(
            "GET /healthz?challenge={challenge} HTTP/1.1\r\nhost: {address}\r\naccept: application/json\r\n\r\n"
        );
        let (_, output) = transport.buffers().tmp_and_output();
        output.get_mut(..request.len()).ok_or_else(stranger)?.copy_from_slice(request.as_bytes());
        transport.transmit_output(request.len(), details.timeout)?;

        let (length, body) = loop {
            let more = transport.await_input(details.timeout)?;
            let input = transport.buffers().input();
            if let Some(answer) = whole(input) {
                break answer;
            }
            if !more || input.len() > LONGEST {
                return Err(stranger());
            }
        };
        transport.buffers().input_consume(length);
        let name = if self.here { "proof_here" } else { "proof" };
        let proof = body.get(name).and_then(Value::as_str).unwrap_or_default();
        let here = self.here.then_some(address);
        if challenge::is_proof(&self.token, &challenge, here, proof) { Ok(Some(transport)) } else { Err(stranger()) }
    }
}

/// A whole answer with a stated length, and how many bytes it took. Of an answer in any other form nothing is believed.
fn whole(input: &[u8]) -> Option<(usize, Value)> {
    let end = input.windows(4).position(|four| four == b"\r\n\r\n")? + 4;
    let head = std::str::from_utf8(&input[..end]).ok()?.to_ascii_lowercase();
    let length: usize = head.lines().find_map(|line| line.strip_prefix("content-length:"))?.trim().parse().ok()?;
    let body = input.get(end..end.checked_add(length)?)?;
    let ok = head.starts_with("http/1.1 200 ") && !head.contains("\r\nconnection: close");
    let body = if ok { serde_json::from_slice(body).unwrap_or_default() } else { Value::Null };
    Some((end + length, body))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_whole_plain_answer_counts() {
        let answer = b"HTTP/1.1 200 OK\r\nContent-Length: 14\r\n\r\n{\"proof\":\"ab\"}";
        for cut in 0..answer.len() {
            assert!(whole(&answer[..cut]).is_none(), "{cut}");
        }
        let (length, body) = whole(&[answer.as_slice(), b"more"].concat()).unwrap();
        assert_eq!((length, body["proof"].as_str()), (answer.len(), Some("ab")));
        for other in [
            &b"HTTP/1.1 404 Not Found\r\ncontent-length: 14\r\n\r\n{\"proof\":\"ab\"}"[..],
            b"HTTP/1.1 200 OK\r\nconnection: close\r\ncontent-length: 14\r\n\r\n{\"proof\":\"ab\"}",
            b"HTTP/1.1 200 OK\r\ncontent-length: 5\r\n\r\nhello",
        ] {
            assert_eq!(whole(other).unwrap().1, Value::Null);
        }
        assert!(whole(b"HTTP/1.1 200 OK\r\ncontent-length: 18446744073709551615\r\n\r\nx").is_none());
    }
}

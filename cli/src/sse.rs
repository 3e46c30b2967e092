//! Server-sent events: the few rules of the format that a client needs.

use std::io::BufRead;

/// One event.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Event {
    /// `event:`, `message` when it had none.
    pub name: String,
    /// `data:`, lines joined by line feeds.
    pub data: String,
    /// `id:`, where to go on from after a break; empty when it had none.
    pub id: String,
}

/// Reads events from a stream.
#[derive(Debug)]
pub struct Events<R> {
    reader: R,
}

impl<R: BufRead> Events<R> {
    /// Reads from `reader`.
    pub fn new(reader: R) -> Self {
        Self { reader }
    }

    /// The next event with data; `None` at the stream's end.
    pub fn next_event(&mut self) -> std::io::Result<Option<Event>> {
        let mut event = Event::default();
        let mut lines: Vec<String> = Vec::new();
        let mut line = Vec::new();
        loop {
            line.clear();
            if self.reader.read_until(b'\n', &mut line)? == 0 {
                return Ok(None);
            }
            let text = String::from_utf8_lossy(&line);
            let text = text.trim_end_matches(['\n', '\r']);
            if text.is_empty() {
                if lines.is_empty() && event.name.is_empty() {
                    continue;
                }
                event.data = lines.join("\n");
                if event.name.is_empty() {
                    event.name = "message".into();
                }
                return Ok(Some(event));
            }
            let (field, value) = text.split_once(':').unwrap_or((text, ""));
            let value = value.strip_prefix(' ').unwrap_or(value);
            match field {
                "event" => event.name = value.to_owned(),
                "id" => event.id = value.to_owned(),
                "data" => lines.push(value.to_owned()),
                _ => {}
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn events_have_names_data_and_comments_between() {
        let stream =
            ": hello\n\nevent: log\ndata: a\ndata: b\n\ndata: \"x\\n\"\r\n\r\nid: 7\nevent: end\ndata:\n\ndata: cut";
        let mut events = Events::new(stream.as_bytes());
        let first = events.next_event().unwrap().unwrap();
        assert_eq!((first.name.as_str(), first.data.as_str()), ("log", "a\nb"));
        assert_eq!(events.next_event().unwrap().unwrap().data, "\"x\\n\"");
        let end = events.next_event().unwrap().unwrap();
        assert_eq!((end.name.as_str(), end.id.as_str()), ("end", "7"));
        assert_eq!(events.next_event().unwrap(), None, "half an event at the end is none");
    }
}

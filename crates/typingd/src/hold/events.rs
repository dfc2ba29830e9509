//! Server-Sent Events, read as they come.

/// Longer events are nobody's, in bytes.
const LIMIT: usize = 64 * 1024;

/// What has come of the next event.
#[derive(Debug, Default)]
pub(super) struct Events(Vec<u8>);

/// An event.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Event {
    pub(super) name: String,
    pub(super) data: String,
}

/// An event was too long.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct TooLong;

impl Events {
    /// Takes what has come.
    ///
    /// # Errors
    /// [`TooLong`] where more waits than an event may have.
    pub(super) fn push(&mut self, bytes: &[u8]) -> Result<(), TooLong> {
        if self.0.len() + bytes.len() > LIMIT {
            return Err(TooLong);
        }
        // Proxies may end lines as they like; JSON has no bare carriage return.
        self.0.extend(bytes.iter().filter(|byte| **byte != b'\r'));
        Ok(())
    }

    /// The next event that is whole. Comments are none.
    pub(super) fn next(&mut self) -> Option<Event> {
        while let Some(end) = self.0.windows(2).position(|two| two == b"\n\n") {
            let block: Vec<u8> = self.0.drain(..end + 2).collect();
            let mut event = Event::default();
            for line in String::from_utf8_lossy(&block).lines() {
                let Some((field, value)) = line.split_once(':') else { continue };
                let value = value.strip_prefix(' ').unwrap_or(value);
                match field {
                    "event" => value.clone_into(&mut event.name),
                    "data" => event.data.push_str(value),
                    _ => {}
                }
            }
            if !event.name.is_empty() {
                return Some(event);
            }
        }
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn events_are_the_same_wherever_they_are_cut() {
        let text = ": typingd\n\nretry: 1000\n\nid: 1\nevent: ended\ndata: {\"reason\":\"sent\"}\n\nevent:closed\r\ndata:{}\r\n\r\nevent: half\n";
        let expected =
            [("ended", r#"{"reason":"sent"}"#), ("closed", "{}")].map(|(n, d)| (n.to_owned(), d.to_owned()));
        for size in 1..text.len() {
            let (mut events, mut seen) = (Events::default(), Vec::new());
            for piece in text.as_bytes().chunks(size) {
                events.push(piece).unwrap();
                while let Some(Event { name, data }) = events.next() {
                    seen.push((name, data));
                }
            }
            assert_eq!(seen, expected, "in pieces of {size}");
        }
    }

    #[test]
    fn one_that_never_ends_is_not_kept() {
        let mut events = Events::default();
        let line = [b'x'; 1024];
        assert_eq!((0..64).map(|_| events.push(&line)).find(Result::is_err), None);
        assert_eq!(events.push(b"x"), Err(TooLong));
    }
}

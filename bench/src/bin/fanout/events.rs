//! Counts what comes down a connection, and sees to it that nothing is missing.

use anyhow::{Result, bail};

/// What a crowd listens to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    /// A stream of events over HTTP/1.
    Stream,
    /// A WebSocket.
    Socket,
    /// Bare bytes, so many of them for an event.
    Bytes(usize),
}

impl std::str::FromStr for Kind {
    type Err = anyhow::Error;

    fn from_str(text: &str) -> Result<Self> {
        match text {
            "stream" => Ok(Self::Stream),
            "socket" => Ok(Self::Socket),
            size => Ok(Self::Bytes(size.parse()?)),
        }
    }
}

/// What was read of a connection behind its handshake.
pub(crate) struct Heard {
    kind: Kind,
    /// What is no whole event yet.
    rest: Vec<u8>,
    /// Whether the last change was a start.
    was_start: Option<bool>,
    /// Pings that are to be answered.
    pub(crate) pings: usize,
}

impl Heard {
    pub(crate) fn new(kind: Kind) -> Self {
        Self { kind, rest: Vec::new(), was_start: None, pings: 0 }
    }

    /// How many changes are complete with these bytes.
    pub(crate) fn hear(&mut self, bytes: &[u8]) -> Result<usize> {
        if let Kind::Bytes(size) = self.kind {
            let before = self.rest.len();
            let all = before + bytes.len();
            self.rest.resize(all % size, 0);
            return Ok(all / size);
        }
        let mut held = std::mem::take(&mut self.rest);
        held.extend_from_slice(bytes);
        let (mut at, mut count) = (0, 0);
        loop {
            let rest = &held[at..];
            let Some(length) = (if self.kind == Kind::Stream { chunk(rest)? } else { frame(rest) }) else {
                break;
            };
            count += if self.kind == Kind::Stream {
                self.see_events(&rest[..length])?
            } else {
                self.see_frame(&rest[..length])?
            };
            at += length;
        }
        held.drain(..at);
        held.shrink_to(256);
        self.rest = held;
        Ok(count)
    }

    /// The changes in a chunk.
    fn see_events(&mut self, chunk: &[u8]) -> Result<usize> {
        let text = std::str::from_utf8(chunk)?;
        let mut count = 0;
        for name in text.lines().filter_map(|line| line.strip_prefix("event: ")) {
            self.see(name)?;
            count += 1;
        }
        Ok(count)
    }

    /// Starts and stops follow each other.
    fn see(&mut self, name: &str) -> Result<()> {
        let is_start = match name {
            "started" => true,
            "stopped" => false,
            _ => bail!("{name} was not expected"),
        };
        if self.was_start == Some(is_start) {
            bail!("one is missing, or came twice");
        }
        self.was_start = Some(is_start);
        Ok(())
    }

    /// Whether a frame is a change.
    fn see_frame(&mut self, frame: &[u8]) -> Result<usize> {
        if frame[0] == 0x89 {
            self.pings += 1;
            return Ok(0);
        }
        let text = String::from_utf8_lossy(frame);
        let name = text.split(r#""type":""#).nth(1).and_then(|rest| rest.split('"').next());
        self.see(name.unwrap_or_default())?;
        Ok(1)
    }
}

/// How long a whole chunk is, with what is around it.
pub(crate) fn chunk(bytes: &[u8]) -> Result<Option<usize>> {
    let Some(line) = bytes.windows(2).position(|two| two == b"\r\n") else { return Ok(None) };
    let size = usize::from_str_radix(std::str::from_utf8(&bytes[..line])?, 16)?;
    if size == 0 {
        bail!("the stream has ended");
    }
    let whole = line + 2 + size + 2;
    Ok((bytes.len() >= whole).then_some(whole))
}

/// How long a whole frame is, with its head.
pub(crate) fn frame(bytes: &[u8]) -> Option<usize> {
    let (head, length) = match *bytes.get(1)? {
        126 => (4, usize::from(u16::from_be_bytes(bytes.get(2..4)?.try_into().ok()?))),
        127 => (10, usize::try_from(u64::from_be_bytes(bytes.get(2..10)?.try_into().ok()?)).ok()?),
        short => (2, usize::from(short)),
    };
    (bytes.len() >= head + length).then_some(head + length)
}

//! What a socket's client sends, frame by frame, as section 5 of RFC 6455 has it. What is wrong is known as soon as it
//! is there, and nothing is kept while nothing comes.

use std::fmt;
use std::io;
use std::task::{Context, Poll, ready};

use super::form::{CLOSE, PING, PONG, TEXT};
use crate::api;
use crate::listener::Line;

const CONTINUATION: u8 = 0;
const BINARY: u8 = 2;

/// How much is read at once.
const READ: usize = 4096;

/// The longest payload of a frame about the connection itself.
const CONTROL_LIMIT: u64 = 125;

/// What a client sends.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Message {
    /// A text, which is UTF-8.
    Text(Vec<u8>),
    Binary,
    Ping(Vec<u8>),
    Pong,
    /// It goes; with its code, if it gives one.
    Close(Option<[u8; 2]>),
}

/// Why nothing more is read.
#[derive(Debug)]
pub(super) enum Fault {
    /// The connection has failed, or ended.
    Io(io::Error),
    /// It is against the protocol.
    Protocol(&'static str),
    NotUtf8,
    TooLong,
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Io(error) => error.fmt(f),
            Self::Protocol(why) => f.write_str(why),
            Self::NotUtf8 => f.write_str("invalid utf-8"),
            Self::TooLong => f.write_str("too long"),
        }
    }
}

impl From<io::Error> for Fault {
    fn from(error: io::Error) -> Self {
        Self::Io(error)
    }
}

/// The longest message.
const LIMIT: usize = api::BODY_LIMIT;

/// Reads what a client sends.
pub(super) struct Reader {
    pub(super) line: Line,
    /// What has come and is not read: less than a frame's head, or what is behind it.
    bytes: Vec<u8>,
    /// What has come of a frame and of a message, where it is not all of them. Mostly nothing has.
    parts: Option<Box<Parts>>,
}

/// What has come of a frame and of a message.
#[derive(Default)]
struct Parts {
    /// The frame whose payload comes.
    frame: Option<Frame>,
    /// The message that comes, up to its last frame.
    message: Option<Begun>,
    /// What came of a frame about the connection, which may come amid a message.
    control: Vec<u8>,
}

#[derive(Clone, Copy, Debug)]
struct Frame {
    opcode: u8,
    is_final: bool,
    mask: [u8; 4],
    /// Bytes that are still to come.
    left: usize,
}

#[derive(Debug)]
struct Begun {
    is_text: bool,
    payload: Vec<u8>,
    /// Up to where it is UTF-8; behind that there is less than a letter.
    sound: usize,
}

impl Reader {
    pub(super) fn new(line: Line) -> Self {
        Self { line, bytes: Vec::new(), parts: None }
    }

    /// The next message. It may be asked for again after it was given up.
    pub(super) fn poll(&mut self, cx: &mut Context<'_>) -> Poll<Result<Message, Fault>> {
        let mut parts = self.parts.take().map_or_else(Parts::default, |parts| *parts);
        let polled = self.poll_on(&mut parts, cx);
        self.parts = parts.is_any().then(|| Box::new(parts));
        polled
    }

    fn poll_on(&mut self, parts: &mut Parts, cx: &mut Context<'_>) -> Poll<Result<Message, Fault>> {
        loop {
            if let Some(message) = parts.next(&mut self.bytes)? {
                return Poll::Ready(Ok(message));
            }
            if self.bytes.is_empty() {
                self.bytes = Vec::new();
            }
            if ready!(self.line.poll_read(cx, &mut self.bytes, READ))? == 0 {
                return Poll::Ready(Err(Fault::Io(io::ErrorKind::UnexpectedEof.into())));
            }
        }
    }
}

impl Parts {
    fn is_any(&self) -> bool {
        self.frame.is_some() || self.message.is_some()
    }

    /// The next message of what has come.
    fn next(&mut self, bytes: &mut Vec<u8>) -> Result<Option<Message>, Fault> {
        loop {
            let frame = match self.frame {
                Some(frame) => frame,
                None => match self.head(bytes)? {
                    Some(frame) => frame,
                    None => return Ok(None),
                },
            };
            let come = frame.left.min(bytes.len());
            let Frame { mask, .. } = frame;
            let mut payload: Vec<u8> = bytes.drain(..come).collect();
            payload.iter_mut().zip(mask.iter().cycle()).for_each(|(byte, mask)| *byte ^= mask);
            let mut frame = Frame { left: frame.left - come, ..frame };
            frame.mask.rotate_left(come % 4);
            self.frame = Some(frame);
            let is_control = frame.opcode >= CLOSE;
            if is_control {
                self.control.append(&mut payload);
            } else if let Some(begun) = &mut self.message {
                begun.add(&payload, frame.left == 0 && frame.is_final)?;
            }
            if frame.left > 0 {
                return Ok(None);
            }
            self.frame = None;
            if is_control {
                return control(frame.opcode, std::mem::take(&mut self.control)).map(Some);
            }
            if frame.is_final
                && let Some(Begun { is_text, payload, .. }) = self.message.take()
            {
                return Ok(Some(if is_text { Message::Text(payload) } else { Message::Binary }));
            }
        }
    }

    /// The head of a frame, once it is there, which is good only if it may come here.
    fn head(&mut self, bytes: &mut Vec<u8>) -> Result<Option<Frame>, Fault> {
        let [first, second, rest @ ..] = bytes.as_slice() else { return Ok(None) };
        let (is_final, opcode) = (first & 0x80 != 0, first & 0xf);
        let length = second & 0x7f;
        if first & 0x70 != 0 {
            return Err(Fault::Protocol("invalid extension"));
        }
        match (opcode, &self.message) {
            (CLOSE | PING | PONG, _) if !is_final => {
                return Err(Fault::Protocol("fragmented control frame"));
            }
            (CLOSE | PING | PONG, _) | (CONTINUATION, Some(_)) | (TEXT | BINARY, None) => {}
            _ => return Err(Fault::Protocol("invalid opcode")),
        }
        if second & 0x80 == 0 {
            return Err(Fault::Protocol("unexpected unmasked frame"));
        }
        let is_control = opcode >= CLOSE;
        let (length, least, rest) = match (length, rest) {
            (126 | 127, _) if is_control => (u64::MAX, 0, rest),
            (126, [a, b, rest @ ..]) => (u64::from(u16::from_be_bytes([*a, *b])), 126, rest),
            (127, [a, b, c, d, e, f, g, h, rest @ ..]) => {
                (u64::from_be_bytes([*a, *b, *c, *d, *e, *f, *g, *h]), 0x1_0000, rest)
            }
            (126 | 127, _) => return Ok(None),
            (short, rest) => (u64::from(short), 0, rest),
        };
        if length < least || (is_control && length > CONTROL_LIMIT) || (opcode == CLOSE && length == 1) {
            return Err(Fault::Protocol("invalid payload length"));
        }
        let before = self.message.as_ref().filter(|_| !is_control).map_or(0, |begun| begun.payload.len());
        let left = usize::try_from(length).ok().filter(|length| before.saturating_add(*length) <= LIMIT);
        let left = left.ok_or(Fault::TooLong)?;
        let Some(&mask) = rest.first_chunk() else { return Ok(None) };
        let rest = rest.len() - mask.len();
        bytes.drain(..bytes.len() - rest);
        if opcode == TEXT || opcode == BINARY {
            self.message = Some(Begun { is_text: opcode == TEXT, payload: Vec::new(), sound: 0 });
        }
        Ok(Some(Frame { opcode, is_final, mask, left }))
    }
}

impl Begun {
    fn add(&mut self, payload: &[u8], is_end: bool) -> Result<(), Fault> {
        self.payload.extend_from_slice(payload);
        if !self.is_text {
            return Ok(());
        }
        if let Err(error) = std::str::from_utf8(&self.payload[self.sound..]) {
            if is_end || error.error_len().is_some() {
                return Err(Fault::NotUtf8);
            }
            self.sound += error.valid_up_to();
        } else {
            self.sound = self.payload.len();
        }
        Ok(())
    }
}

fn control(opcode: u8, payload: Vec<u8>) -> Result<Message, Fault> {
    match opcode {
        PING => Ok(Message::Ping(payload)),
        PONG => Ok(Message::Pong),
        _ => match payload.split_first_chunk() {
            None => Ok(Message::Close(None)),
            Some((code, reason)) => match u16::from_be_bytes(*code) {
                1000..=1003 | 1007..=1014 | 3000..=4999 if std::str::from_utf8(reason).is_ok() => {
                    Ok(Message::Close(Some(*code)))
                }
                1000..=1003 | 1007..=1014 | 3000..=4999 => Err(Fault::NotUtf8),
                _ => Err(Fault::Protocol("invalid close code")),
            },
        },
    }
}

//! Rows of what a client sends, byte by byte, and of what becomes of it.

use serde_json::{Value, json};
use tokio::io::{AsyncRead, AsyncWrite};

use crate::socket::client::{Client, encode, open};
use crate::support::InProcess;

/// The largest payload of a frame and of a message, in bytes.
pub const LIMIT: usize = 16 * 1024;

pub const PROTOCOL: u16 = 1002;
pub const UNSUPPORTED: u16 = 1003;
pub const NOT_UTF8: u16 = 1007;
pub const TOO_BIG: u16 = 1009;

/// The close code that is sent behind each row, and that comes back where nothing in the row ends the socket. Where
/// something does, it shows that nobody listens any more.
pub const BEHIND: u16 = 1000;

pub const CONTINUATION: u8 = 0;
pub const TEXT: u8 = 1;
pub const BINARY: u8 = 2;
pub const CLOSE: u8 = 8;
pub const PING: u8 = 9;
pub const PONG: u8 = 10;

/// What comes down before the close frame.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Down {
    /// The answer to a text that asks for one, with what it repeats.
    Answer(String),
    /// A text was taken, and means nothing.
    Refused,
    Pong(Vec<u8>),
}

pub struct Row {
    pub what: String,
    pub sent: Vec<u8>,
    pub heard: Vec<Down>,
    pub code: u16,
}

pub fn row(
    what: impl Into<String>,
    sent: impl IntoIterator<Item = Vec<u8>>,
    heard: impl Into<Vec<Down>>,
    code: u16,
) -> Row {
    let sent = sent.into_iter().flatten().collect();
    Row { what: what.into(), sent, heard: heard.into(), code }
}

/// A text that asks for an answer.
pub fn asking(reference: &str) -> Vec<u8> {
    json!({"type": "ping", "ref": reference}).to_string().into_bytes()
}

/// The same in so many bytes. What is repeated comes last, so that nothing of the text can be missing.
pub fn asking_in(size: usize, reference: &str) -> Vec<u8> {
    let short = asking(reference);
    let (begin, end) = short.split_at(1);
    [begin, &b" ".repeat(size - short.len()), end].concat()
}

/// A whole text frame that asks for an answer.
pub fn ask(reference: &str) -> Vec<u8> {
    encode(true, TEXT, &asking(reference))
}

pub fn answer(reference: &str) -> Down {
    Down::Answer(reference.to_owned())
}

/// A message in fragments of this many bytes.
pub fn in_fragments(opcode: u8, payload: &[u8], size: usize) -> Vec<Vec<u8>> {
    let last = payload.len().div_ceil(size) - 1;
    let fragment = |(at, piece)| encode(at == last, if at == 0 { opcode } else { CONTINUATION }, piece);
    payload.chunks(size).enumerate().map(fragment).collect()
}

/// Sends a row, and the frame behind it, in pieces of this many bytes; what comes down is what the row says, and then
/// nothing.
pub async fn check<IO: AsyncRead + AsyncWrite + Unpin>(client: &mut Client<IO>, row: &Row, piece: usize) {
    let what = format!("{}, in pieces of {piece}", row.what);
    let sent = [&row.sent[..], &encode(true, CLOSE, &BEHIND.to_be_bytes())].concat();
    client.send_in_pieces(&sent, piece).await;
    let mut heard = Vec::new();
    let code = loop {
        let frame = client.frame().await.unwrap_or_else(|| panic!("no close frame: {what}: {heard:?}"));
        match frame.opcode {
            CLOSE => break frame.close().0,
            PONG => heard.push(Down::Pong(frame.payload)),
            TEXT => heard.push(read(&frame.payload)),
            _ => panic!("{frame:?}: {what}"),
        }
    };
    assert_eq!((heard, code), (row.heard.clone(), row.code), "{what}");
    assert_eq!(client.frame().await, None, "nothing behind the close frame: {what}");
}

fn read(text: &[u8]) -> Down {
    let text: Value = serde_json::from_slice(text).unwrap();
    match text["type"].as_str() {
        Some("pong") => Down::Answer(text["ref"].as_str().unwrap_or_default().to_owned()),
        Some("error") => Down::Refused,
        _ => panic!("{text}"),
    }
}

/// Each row on a socket of its own: all at once, and byte by byte or, where that would be many, in pieces.
pub async fn check_all(rows: &[Row]) {
    let gateway = InProcess::start();
    for row in rows {
        let pieces = if row.sent.len() < 2_000 { [usize::MAX, 1] } else { [1_009, 64] };
        for piece in pieces {
            let (mut client, _) = open(&gateway, &json!({"side": "agent", "access": "read"})).await;
            check(&mut client, row, piece).await;
        }
    }
}

//! What it takes to get into a conversation with a server: connections of one's own, asked and read to a word.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

use anyhow::{Context, Result, bail};
use memchr::memmem;

/// Whoever says nothing for so long says nothing any more.
const PATIENCE: Duration = Duration::from_secs(20);

/// A connection, with an answer waited for at most so long.
pub(crate) fn connect(address: SocketAddr) -> Result<TcpStream> {
    let stream = TcpStream::connect(address).with_context(|| format!("{address} does not answer"))?;
    stream.set_nodelay(true)?;
    stream.set_read_timeout(Some(PATIENCE))?;
    Ok(stream)
}

/// Sends something and reads until a word has come; gives all that came.
pub(crate) fn ask(stream: &mut TcpStream, said: &[u8], word: &str) -> Result<String> {
    stream.write_all(said)?;
    let mut read = Vec::new();
    let mut chunk = [0; 4096];
    while memmem::find(&read, word.as_bytes()).is_none() {
        let length = stream.read(&mut chunk);
        let text = || format!("{word:?} does not come, but {:?}", String::from_utf8_lossy(&read));
        match length.with_context(text)? {
            0 => bail!("the connection is closed: {}", text()),
            length => read.extend_from_slice(&chunk[..length]),
        }
    }
    Ok(String::from_utf8_lossy(&read).into_owned())
}

/// What stands between two words.
pub(crate) fn between<'t>(text: &'t str, before: &str, after: &str) -> Result<&'t str> {
    let rest = text.split_once(before).map(|(_, rest)| rest);
    let found = rest.and_then(|rest| rest.split_once(after)).map(|(found, _)| found);
    found.with_context(|| format!("{before} is missing in {text}"))
}

/// Asks for a WebSocket and reads until a word has come.
pub(crate) fn websocket(address: SocketAddr, path: &str, word: &str) -> Result<TcpStream> {
    let mut stream = connect(address)?;
    let request = format!(
        "GET {path} HTTP/1.1\r\nHost: {address}\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\
         Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"
    );
    ask(&mut stream, request.as_bytes(), word)?;
    Ok(stream)
}

/// A client's frame of RFC 6455: a short text, masked as it must be.
pub(crate) fn text_frame(text: &str) -> Vec<u8> {
    frame(0x81, text.as_bytes())
}

/// A pong, which nobody asked for.
pub(crate) fn pong_frame() -> Vec<u8> {
    frame(0x8a, b"")
}

fn frame(head: u8, payload: &[u8]) -> Vec<u8> {
    const MASK: [u8; 4] = [0x37, 0xfa, 0x21, 0x3d];
    let length = u8::try_from(payload.len()).ok().filter(|&length| length < 126).expect("it is short");
    let mut frame = vec![head, 0x80 | length];
    frame.extend_from_slice(&MASK);
    frame.extend(payload.iter().zip(MASK.iter().cycle()).map(|(byte, mask)| byte ^ mask));
    frame
}

/// A request with a body.
pub(crate) fn request(method: &str, path: &str, headers: &str, body: &str) -> Vec<u8> {
    let length = body.len();
    format!(
        "{method} {path} HTTP/1.1\r\nHost: bench\r\n{headers}Content-Type: application/json\r\n\
         Content-Length: {length}\r\n\r\n{body}"
    )
    .into_bytes()
}

//! Whoever causes the changes.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpStream};

use anyhow::{Result, bail};

use crate::gateway::KEY;

/// Causes changes, on a connection that is kept.
pub(super) struct Signals {
    stream: BufReader<TcpStream>,
    is_on: bool,
}

impl Signals {
    pub(super) fn connect(address: SocketAddr) -> Result<Self> {
        let stream = TcpStream::connect(address)?;
        stream.set_nodelay(true)?;
        Ok(Self { stream: BufReader::new(stream), is_on: false })
    }

    /// A start where nobody types, an end where somebody does.
    fn next(&mut self) -> Vec<u8> {
        self.is_on = !self.is_on;
        request("watched", 0, if self.is_on { "composing" } else { "sent" })
    }

    pub(super) fn change(&mut self) -> Result<()> {
        self.change_often(1)
    }

    /// All at once, as fast as they are taken.
    pub(super) fn change_often(&mut self, count: usize) -> Result<()> {
        let requests: Vec<Vec<u8>> = (0..count).map(|_| self.next()).collect();
        self.send(requests)
    }

    /// Lets so many others type.
    pub(super) fn clog(&mut self, count: usize) -> Result<()> {
        self.send((0..count).map(|user| request("elsewhere", user, "composing")))
    }

    fn send(&mut self, requests: impl IntoIterator<Item = Vec<u8>>) -> Result<()> {
        let requests: Vec<Vec<u8>> = requests.into_iter().collect();
        // As many as the gateway takes in one piece, so that it never waits for us.
        for requests in requests.chunks(16) {
            self.stream.get_mut().write_all(&requests.concat())?;
            for _ in requests {
                self.answer()?;
            }
        }
        Ok(())
    }

    fn answer(&mut self) -> Result<()> {
        let (mut line, mut length) = (String::new(), 0);
        self.stream.read_line(&mut line)?;
        if !line.starts_with("HTTP/1.1 200") {
            bail!("refused: {line}");
        }
        loop {
            line.clear();
            self.stream.read_line(&mut line)?;
            if line == "\r\n" {
                break;
            }
            if let Some(text) = line.to_ascii_lowercase().strip_prefix("content-length:") {
                length = text.trim().parse()?;
            }
        }
        self.stream.read_exact(&mut vec![0; length])?;
        Ok(())
    }
}

fn request(agent: &str, user: usize, state: &str) -> Vec<u8> {
    let body = format!(
        r#"{{"channel":"pinnacle","agent":"{agent}","user":"+1415{user:07}","composer":"user","state":"{state}","ttl_ms":60000}}"#
    );
    format!(
        "POST /typing/v1/signals HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer {KEY}\r\n\
         Content-Type: application/json\r\nContent-Length: {}\r\n\r\n{body}",
        body.len()
    )
    .into_bytes()
}

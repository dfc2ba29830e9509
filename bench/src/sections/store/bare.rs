//! The script alone: what a node asked a server for, recorded once, and asked for again without the node.

use std::io::{Read, Write};
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use memchr::memmem;
use tokio::io::{AsyncReadExt, AsyncWriteExt, copy};
use tokio::net::{TcpListener, TcpStream};

use crate::wire;

/// What the commit's script gives where it has written.
const DONE: &[u8] = b"$4\r\ndone\r\n";

/// How many keys that script has.
const KEYS: &[u8] = b"5";

/// Where the channel stands in the command: it is the last key.
const CHANNEL: usize = 7;

/// Whatever is said to a server over this, in the order of each connection.
pub(super) struct Recorder {
    pub(super) address: SocketAddr,
    heard: Arc<Mutex<Vec<Vec<u8>>>>,
}

impl Recorder {
    /// Stands before a server, on this thread, for as long as it runs.
    pub(super) async fn before(server: SocketAddr) -> Result<Self> {
        let listener = TcpListener::bind("127.0.0.1:0").await?;
        let recorder = Self { address: listener.local_addr()?, heard: Arc::default() };
        let heard = recorder.heard.clone();
        tokio::task::spawn_local(async move {
            while let Ok((client, _)) = listener.accept().await {
                tokio::task::spawn_local(pass(client, server, heard.clone()));
            }
        });
        Ok(recorder)
    }

    /// Begins anew, between one command and the next.
    pub(super) fn forget(&self) {
        self.heard.lock().unwrap_or_else(PoisonError::into_inner).iter_mut().for_each(Vec::clear);
    }

    /// The commits, as they were asked for by their script's hash.
    pub(super) fn commits(&self) -> Result<Vec<Vec<u8>>> {
        let heard = self.heard.lock().unwrap_or_else(PoisonError::into_inner);
        let mut commits = Vec::new();
        for connection in heard.iter() {
            let mut rest = connection.as_slice();
            while !rest.is_empty() {
                let (words, length) = command(rest).context("what was recorded is no command")?;
                if words[0].eq_ignore_ascii_case(b"EVALSHA") && words.get(2).is_some_and(|&keys| keys == KEYS)
                {
                    commits.push(rest[..length].to_vec());
                }
                rest = &rest[length..];
            }
        }
        Ok(commits)
    }
}

async fn pass(client: TcpStream, server: SocketAddr, heard: Arc<Mutex<Vec<Vec<u8>>>>) -> Result<()> {
    let number = {
        let mut heard = heard.lock().unwrap_or_else(PoisonError::into_inner);
        heard.push(Vec::new());
        heard.len() - 1
    };
    let (mut from_client, mut to_client) = client.into_split();
    let (mut from_server, mut to_server) = TcpStream::connect(server).await?.into_split();
    tokio::task::spawn_local(async move { copy(&mut from_server, &mut to_client).await });
    let mut chunk = vec![0; 65_536];
    loop {
        let length = from_client.read(&mut chunk).await?;
        if length == 0 {
            return Ok(());
        }
        heard.lock().unwrap_or_else(PoisonError::into_inner)[number].extend_from_slice(&chunk[..length]);
        to_server.write_all(&chunk[..length]).await?;
    }
}

/// The words of the first command, and how long it is.
fn command(bytes: &[u8]) -> Option<(Vec<&[u8]>, usize)> {
    let (count, mut at) = number(bytes, 0, b'*')?;
    let mut words = Vec::new();
    for _ in 0..count {
        let (length, start) = number(bytes, at, b'$')?;
        words.push(bytes.get(start..start + length)?);
        at = start + length + 2;
    }
    Some((words, at))
}

/// A number behind its sign, and where its line ends.
fn number(bytes: &[u8], at: usize, sign: u8) -> Option<(usize, usize)> {
    let line = bytes.get(at..)?.strip_prefix(&[sign])?;
    let end = memmem::find(line, b"\r\n")?;
    Some((std::str::from_utf8(&line[..end]).ok()?.parse().ok()?, at + 1 + end + 2))
}

/// Somebody who hears what the commits publish, as every node does that has something to do with it. It ends when this
/// is dropped.
pub(super) struct Hearer(std::net::TcpStream);

impl Hearer {
    /// Subscribes to whatever these commits publish to.
    pub(super) fn of(server: SocketAddr, commits: &[Vec<u8>]) -> Result<Self> {
        let mut channels: Vec<&[u8]> =
            commits.iter().filter_map(|commit| command(commit)?.0.get(CHANNEL).copied()).collect();
        channels.sort_unstable();
        channels.dedup();
        let mut stream = wire::connect(server)?;
        for channel in channels {
            let mut subscribe = format!("*2\r\n$10\r\nSSUBSCRIBE\r\n${}\r\n", channel.len()).into_bytes();
            subscribe.extend_from_slice(channel);
            subscribe.extend_from_slice(b"\r\n");
            wire::ask(&mut stream, &subscribe, "ssubscribe")?;
        }
        let mut hears = stream.try_clone()?;
        hears.set_read_timeout(None)?;
        std::thread::spawn(move || {
            let mut chunk = vec![0; 262_144];
            while matches!(hears.read(&mut chunk), Ok(1..)) {}
        });
        Ok(Self(stream))
    }
}

impl Drop for Hearer {
    fn drop(&mut self) {
        let _ = self.0.shutdown(std::net::Shutdown::Both);
    }
}

/// Asks for all of them over and over, with so many on their way. Gives how many were done, and in what time.
pub(super) fn replay(
    server: SocketAddr,
    commits: &[Vec<u8>],
    window: usize,
    lasts: Duration,
) -> Result<(u64, Duration)> {
    let mut stream = wire::connect(server)?;
    let mut next = commits.iter().cycle();
    let (mut said, mut done) = (0, 0);
    let (mut out, mut read, mut chunk) = (Vec::new(), Vec::new(), vec![0; 262_144]);
    let began = Instant::now();
    loop {
        // It ends where it began, so that it can be begun again.
        let is_over = began.elapsed() >= lasts;
        out.clear();
        while said - done < window as u64 && !(is_over && said % commits.len() as u64 == 0) {
            out.extend_from_slice(next.next().context("nothing was recorded")?);
            said += 1;
        }
        if said == done {
            return Ok((done, began.elapsed()));
        }
        stream.write_all(&out)?;
        let length = stream.read(&mut chunk)?;
        read.extend_from_slice(&chunk[..length]);
        let mut from = 0;
        while let Some(at) = memmem::find(&read[from..], DONE) {
            from += at + DONE.len();
            done += 1;
        }
        if length == 0 || memmem::find(&read, b"stale").is_some() || memmem::find(&read, b"\r\n-").is_some() {
            bail!("not done: {:?}", String::from_utf8_lossy(&read));
        }
        read.drain(..from.max(read.len().saturating_sub(DONE.len())));
    }
}

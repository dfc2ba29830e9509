//! Signals from one party to another: how many pass a server, and how long each takes.
//!
//! A pair has two connections: over one somebody says something, over the other somebody sees it. All pairs are driven
//! by one thread with the least it takes, so that the load costs little beside the server.

use std::collections::VecDeque;
use std::io::{ErrorKind, Read, Write};
use std::net::TcpStream;
use std::ops::Range;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use hdrhistogram::Histogram;
use memchr::memmem;
use mio::{Events, Interest, Poll, Token};

use crate::http::{histogram, nanos};

/// Who waits longer than that for a signal waits for ever.
const PATIENCE: Duration = Duration::from_secs(10);

/// How much of what was read is kept, to say what came in place of what was waited for.
const KEPT: usize = 400;

/// One signal: the bytes that say it, and what is in the bytes that come of it, nowhere else and in this order.
#[derive(Clone, Default)]
pub(crate) struct Signal {
    pub(crate) said: Vec<u8>,
    /// In the answer to whoever said it; nothing where none is waited for.
    pub(crate) answered: &'static str,
    /// In what the other one sees; nothing where it sees nothing.
    pub(crate) seen: &'static str,
}

/// What is asked of the pairs.
#[derive(Clone, Copy)]
pub(crate) struct Turn {
    /// How many signals of a pair may be on their way.
    pub(crate) window: u64,
    /// How many each pair says at most.
    pub(crate) each: u64,
    /// When none is begun any more.
    pub(crate) lasts: Duration,
}

/// What came of a turn.
pub(crate) struct Passed {
    pub(crate) signals: u64,
    pub(crate) wall: Duration,
    /// From before a signal is said to when it was seen, or answered where nothing is seen, in nanoseconds.
    pub(crate) latency: Histogram<u64>,
}

/// The pairs of one server.
pub(crate) struct Relay {
    poll: Poll,
    pairs: Vec<Pair>,
}

struct Pair {
    says: Party,
    sees: Party,
    said: u64,
    is_busy: bool,
    began: VecDeque<Instant>,
}

struct Party {
    stream: mio::net::TcpStream,
    read: Vec<u8>,
    /// How many signals came to it.
    count: u64,
}

impl Relay {
    /// Pairs whose connections are open and ready.
    pub(crate) fn new(pairs: impl IntoIterator<Item = (TcpStream, TcpStream)>) -> Result<Self> {
        let mut relay = Self { poll: Poll::new()?, pairs: Vec::new() };
        for (says, sees) in pairs {
            let at = relay.pairs.len();
            relay.pairs.push(Pair {
                says: relay.party(says, 2 * at)?,
                sees: relay.party(sees, 2 * at + 1)?,
                said: 0,
                is_busy: false,
                began: VecDeque::new(),
            });
        }
        Ok(relay)
    }

    fn party(&self, stream: TcpStream, token: usize) -> Result<Party> {
        stream.set_nodelay(true)?;
        stream.set_nonblocking(true)?;
        let mut stream = mio::net::TcpStream::from_std(stream);
        self.poll.registry().register(&mut stream, Token(token), Interest::READABLE)?;
        Ok(Party { stream, read: Vec::new(), count: 0 })
    }

    pub(crate) fn len(&self) -> usize {
        self.pairs.len()
    }

    /// Puts new connections in the place of those over which something is said.
    pub(crate) fn reconnect(&mut self, open: impl Fn() -> Result<TcpStream>) -> Result<()> {
        for at in 0..self.pairs.len() {
            self.pairs[at].says = self.party(open()?, 2 * at)?;
        }
        Ok(())
    }

    /// Sends something over every connection that nothing comes of.
    pub(crate) fn mention(&mut self, bytes: &[u8]) -> Result<()> {
        for pair in &mut self.pairs {
            pair.says.write(bytes)?;
            pair.sees.write(bytes)?;
        }
        Ok(())
    }

    /// Has some of the pairs say their signals, over and over. Each ends after a whole number of times.
    pub(crate) fn turn(&mut self, who: Range<usize>, signals: &[Vec<Signal>], turn: Turn) -> Result<Passed> {
        let mut events = Events::with_capacity(1024);
        let mut latency = histogram();
        let mut out = Vec::new();
        let mut passed = 0;
        for pair in &mut self.pairs[who.clone()] {
            (pair.said, pair.says.count, pair.sees.count) = (0, 0, 0);
        }
        let began = Instant::now();
        let mut busy = 0;
        for at in who.clone() {
            self.pairs[at].speak(&signals[at], turn, began, &mut out)?;
            busy += usize::from(self.pairs[at].is_busy);
        }
        let mut touched = Vec::new();
        while busy > 0 {
            self.poll.poll(&mut events, Some(PATIENCE))?;
            if events.is_empty() {
                let stuck = who.clone().find(|&at| self.pairs[at].is_busy).expect("somebody waits");
                bail!("{}", self.pairs[stuck].complaint(&signals[stuck]));
            }
            touched.clear();
            for event in &events {
                let (at, is_seen) = (event.token().0 / 2, event.token().0 % 2 == 1);
                let pair = &mut self.pairs[at];
                if !who.contains(&at) {
                    let party = if is_seen { &mut pair.sees } else { &mut pair.says };
                    party.hear(&[], |_| "")?;
                    continue;
                }
                passed += pair.hear(is_seen, &signals[at], &mut latency)?;
                touched.push(at);
            }
            touched.dedup();
            for &at in &touched {
                if !self.pairs[at].is_busy {
                    continue;
                }
                self.pairs[at].speak(&signals[at], turn, began, &mut out)?;
                busy -= usize::from(!self.pairs[at].is_busy);
            }
        }
        Ok(Passed { signals: passed, wall: began.elapsed(), latency })
    }
}

impl Pair {
    /// How many signals have come wherever they are to come.
    fn done(&self, signals: &[Signal]) -> u64 {
        let of = |party: &Party, marker: &str| if marker.is_empty() { u64::MAX } else { party.count };
        of(&self.says, signals[0].answered).min(of(&self.sees, signals[0].seen))
    }

    /// Says as many signals as may be on their way, until it is over.
    fn speak(&mut self, signals: &[Signal], turn: Turn, start: Instant, out: &mut Vec<u8>) -> Result<()> {
        let done = self.done(signals);
        let now = Instant::now();
        let is_over = now.duration_since(start) >= turn.lasts;
        out.clear();
        while self.said - done < turn.window {
            let next = (self.said % signals.len() as u64) as usize;
            if next == 0 && (is_over || self.said >= turn.each) {
                break;
            }
            out.extend_from_slice(&signals[next].said);
            self.began.push_back(now);
            self.said += 1;
        }
        if !out.is_empty() {
            self.says.write(out)?;
        }
        self.is_busy = self.said > done;
        Ok(())
    }

    /// Reads what has come. Gives how many signals are over by that.
    fn hear(&mut self, is_seen: bool, signals: &[Signal], latency: &mut Histogram<u64>) -> Result<u64> {
        let before = self.done(signals);
        let is_timed = is_seen != signals[0].seen.is_empty();
        let came = if is_seen {
            self.sees.hear(signals, |signal| signal.seen)
        } else {
            self.says.hear(signals, |signal| signal.answered)
        };
        for _ in 0..came.with_context(|| self.complaint(signals))? {
            if is_timed {
                let began = self.began.pop_front().context("more was seen than was said")?;
                latency.record(nanos(began.elapsed()))?;
            }
        }
        Ok(self.done(signals) - before)
    }

    fn complaint(&self, signals: &[Signal]) -> String {
        let of = |party: &Party, marker: fn(&Signal) -> &'static str| {
            let next = &signals[(party.count % signals.len() as u64) as usize];
            let read = String::from_utf8_lossy(&party.read).into_owned();
            format!("{} of {} came, then in place of {:?}: {read:?}", party.count, self.said, marker(next))
        };
        format!(
            "signals are lost. Answered: {}. Seen: {}",
            of(&self.says, |signal| signal.answered),
            of(&self.sees, |signal| signal.seen)
        )
    }
}

impl Party {
    /// So little is always taken.
    fn write(&mut self, bytes: &[u8]) -> Result<()> {
        let written = self.stream.write(bytes)?;
        if written < bytes.len() {
            bail!("a server does not take {} bytes at once", bytes.len());
        }
        Ok(())
    }

    /// Reads all there is, and gives how many signals were in it.
    fn hear(&mut self, signals: &[Signal], marker: fn(&Signal) -> &'static str) -> Result<u64> {
        let mut chunk = [0; 16_384];
        loop {
            match self.stream.read(&mut chunk) {
                Ok(0) => bail!("a server has closed a connection"),
                Ok(length) => {
                    self.read.extend_from_slice(&chunk[..length]);
                    if length < chunk.len() {
                        break;
                    }
                }
                Err(error) if error.kind() == ErrorKind::WouldBlock => break,
                Err(error) => return Err(error.into()),
            }
        }
        let (mut came, mut from) = (0, 0);
        while let Some(signal) = signals.get(((self.count + came) % signals.len().max(1) as u64) as usize) {
            let marker = marker(signal).as_bytes();
            let Some(at) = memmem::find(&self.read[from..], marker).filter(|_| !marker.is_empty()) else {
                break;
            };
            from += at + marker.len();
            came += 1;
        }
        self.count += came;
        self.read.drain(..from.max(self.read.len().saturating_sub(KEPT)));
        Ok(came)
    }
}

//! Load over HTTP/1: connections that are kept, each with one request at a time.

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use hdrhistogram::Histogram;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::task::JoinSet;

/// What came of a load.
pub(crate) struct Load {
    pub(crate) answers: u64,
    pub(crate) wall: Duration,
    /// From a request's first byte to its answer's last, in nanoseconds.
    pub(crate) latency: Histogram<u64>,
}

/// A connection that is kept.
pub(crate) struct Connection {
    stream: TcpStream,
    read: Vec<u8>,
}

impl Connection {
    pub(crate) async fn open(address: SocketAddr) -> Result<Self> {
        let stream =
            TcpStream::connect(address).await.with_context(|| format!("{address} does not answer"))?;
        stream.set_nodelay(true)?;
        Ok(Self { stream, read: Vec::with_capacity(4096) })
    }

    /// Asks, and gives the answer's body, in the chunks that it came in.
    pub(crate) async fn get(&mut self, request: &[u8]) -> Result<&[u8]> {
        self.ask(request).await?;
        let head = self.read.windows(4).position(|four| four == b"\r\n\r\n").map_or(0, |end| end + 4);
        Ok(&self.read[head..])
    }

    /// Sends a request and waits for the whole answer, which must be a success.
    pub(crate) async fn ask(&mut self, request: &[u8]) -> Result<()> {
        self.stream.write_all(request).await?;
        self.read.clear();
        loop {
            if self.stream.read_buf(&mut self.read).await? == 0 {
                bail!("the connection was closed");
            }
            if let Some(length) = whole(&self.read)? {
                if self.read.len() > length {
                    bail!("more was answered than was asked for");
                }
                if self.read.len() == length {
                    return Ok(());
                }
            }
        }
    }
}

/// How long an answer is, once its head is there.
fn whole(read: &[u8]) -> Result<Option<usize>> {
    let Some(end) = read.windows(4).position(|four| four == b"\r\n\r\n") else { return Ok(None) };
    let head = std::str::from_utf8(&read[..end]).context("the head is no text")?;
    if !head.starts_with("HTTP/1.1 2") {
        bail!("refused: {}", String::from_utf8_lossy(read));
    }
    let value_of = |wanted: &str| {
        let mut lines = head.lines().filter_map(|line| line.split_once(':'));
        lines.find(|(name, _)| name.eq_ignore_ascii_case(wanted)).map(|(_, value)| value.trim())
    };
    if value_of("transfer-encoding").is_some() {
        return Ok(read.ends_with(b"\r\n0\r\n\r\n").then_some(read.len()));
    }
    let length = value_of("content-length").and_then(|value| value.parse::<usize>().ok());
    Ok(Some(end + 4 + length.unwrap_or(0)))
}

/// Keeps `requests.len()` connections busy for as long as `turn`, each with its own requests in turn.
pub(crate) fn closed_loop(address: SocketAddr, requests: Vec<Vec<Vec<u8>>>, turn: Duration) -> Result<Load> {
    run(async move {
        let until = Instant::now() + turn;
        let mut workers = JoinSet::new();
        for requests in requests {
            let mut connection = Connection::open(address).await?;
            workers.spawn_local(async move {
                let mut latency = histogram();
                for request in requests.iter().cycle() {
                    let began = Instant::now();
                    if began >= until {
                        break;
                    }
                    connection.ask(request).await?;
                    latency.record(nanos(began.elapsed()))?;
                }
                anyhow::Ok(latency)
            });
        }
        gather(workers, turn).await
    })
}

/// Sends each connection's requests once, one after the other, over all connections at the same time.
pub(crate) fn once(address: SocketAddr, requests: Vec<Vec<Vec<u8>>>) -> Result<()> {
    run(async move {
        let mut workers = JoinSet::new();
        for requests in requests {
            let mut connection = Connection::open(address).await?;
            workers.spawn_local(async move {
                for request in &requests {
                    connection.ask(request).await?;
                }
                anyhow::Ok(())
            });
        }
        while let Some(done) = workers.join_next().await {
            done??;
        }
        Ok(())
    })
}

/// Asks `rate` times a second, evenly, whether the answers come or not; the time runs from when a request was due.
pub(crate) fn open_loop(
    address: SocketAddr,
    requests: Vec<Vec<Vec<u8>>>,
    rate: f64,
    turn: Duration,
) -> Result<Load> {
    run(async move {
        let start = Instant::now();
        let mut workers = JoinSet::new();
        let every = Duration::from_secs_f64(requests.len() as f64 / rate);
        for (at, requests) in requests.into_iter().enumerate() {
            let mut connection = Connection::open(address).await?;
            let mut due = start + Duration::from_millis(50) + Duration::from_secs_f64(at as f64 / rate);
            workers.spawn_local(async move {
                let mut latency = histogram();
                for request in requests.iter().cycle() {
                    if due >= start + turn {
                        break;
                    }
                    wait_until(due).await;
                    connection.ask(request).await?;
                    latency.record(nanos(due.elapsed()))?;
                    due += every;
                }
                anyhow::Ok(latency)
            });
        }
        gather(workers, turn).await
    })
}

/// Waits more exactly than a timer does, which is late by up to a millisecond: that would be taken for the server's doing.
async fn wait_until(due: Instant) {
    const TIMER: Duration = Duration::from_millis(2);
    if let Some(early) = due.checked_sub(TIMER).filter(|early| Instant::now() < *early) {
        tokio::time::sleep_until(early.into()).await;
    }
    while Instant::now() < due {
        tokio::task::yield_now().await;
    }
}

/// Runs on this thread alone.
pub(crate) fn run<T>(work: impl Future<Output = Result<T>>) -> Result<T> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(tokio::task::LocalSet::new().run_until(work))
}

async fn gather(mut workers: JoinSet<Result<Histogram<u64>>>, wall: Duration) -> Result<Load> {
    let mut latency = histogram();
    while let Some(of_one) = workers.join_next().await {
        latency.add(of_one??)?;
    }
    Ok(Load { answers: latency.len(), wall, latency })
}

pub(crate) fn histogram() -> Histogram<u64> {
    let mut histogram = Histogram::new(3).expect("three digits are allowed");
    histogram.auto(true);
    histogram
}

pub(crate) fn nanos(duration: Duration) -> u64 {
    u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX)
}

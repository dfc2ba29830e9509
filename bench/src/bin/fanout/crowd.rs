//! A crowd of subscribers in a process of its own, which counts what each of them is told.
//!
//! Lines on its standard input: `expect N` waits until everybody has N more, `deaf` and `hear` stop and resume the
//! reading. Each is answered by a line; that to `expect` has the bytes that came since the last one.

use std::cell::{Cell, RefCell};
use std::io::{BufRead, stdin};
use std::net::SocketAddr;
use std::rc::Rc;
use std::time::Duration;

use anyhow::{Context, Result, bail};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpSocket, TcpStream};
use tokio::sync::{Notify, mpsc, watch};
use tokio::task::LocalSet;

use crate::events::{Heard, Kind, chunk, frame};
use crate::limit::LISTENS;

/// What the kernel holds for one that does not read, about twice of it.
const RECEIVE_BUFFER: u32 = 16 * 1024;

/// How many shake hands at the same time.
const AT_ONCE: usize = 32;

/// How long a delivery may take.
const PATIENCE: Duration = Duration::from_secs(60);

struct Crowd {
    kind: Kind,
    address: SocketAddr,
    key: String,
    scope: String,
    /// What each has heard, and all together.
    heard: RefCell<Vec<u64>>,
    total: Cell<u64>,
    bytes: Cell<u64>,
    failure: RefCell<Option<anyhow::Error>>,
    has_changed: Notify,
    scratch: RefCell<Vec<u8>>,
}

pub(crate) fn run(kind: Kind, address: SocketAddr, count: usize, key: &str, scope: &str) -> Result<()> {
    let crowd = Rc::new(Crowd {
        kind,
        address,
        key: key.to_owned(),
        scope: scope.to_owned(),
        heard: RefCell::new(vec![0; count]),
        total: Cell::new(0),
        bytes: Cell::new(0),
        failure: RefCell::new(None),
        has_changed: Notify::new(),
        scratch: RefCell::new(vec![0; 64 * 1024]),
    });
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(LocalSet::new().run_until(crowd.listen(count)))
}

impl Crowd {
    async fn listen(self: Rc<Self>, count: usize) -> Result<()> {
        let (hears, listening) = watch::channel(true);
        let next = Rc::new(Cell::new(0));
        let mut connecting = tokio::task::JoinSet::new();
        for _ in 0..AT_ONCE {
            let (crowd, next, listening) = (self.clone(), next.clone(), listening.clone());
            connecting.spawn_local(async move {
                let mut asking = None;
                while next.get() < count {
                    let number = next.replace(next.get() + 1);
                    let socket = crowd.connect(&mut asking).await?;
                    tokio::task::spawn_local(crowd.clone().hear(number, socket, listening.clone()));
                }
                anyhow::Ok(())
            });
        }
        while let Some(connected) = connecting.join_next().await {
            connected??;
        }
        println!("connected");
        let (orders, mut ordered) = mpsc::channel(1);
        std::thread::spawn(move || {
            for line in stdin().lock().lines().map_while(Result::ok) {
                if orders.blocking_send(line).is_err() {
                    return;
                }
            }
        });
        let mut expected = 0;
        while let Some(order) = ordered.recv().await {
            match order.split_once(' ') {
                Some(("expect", more)) => {
                    expected += more.parse::<u64>()?;
                    self.wait_for(expected, count as u64).await?;
                    println!("{}", self.bytes.take());
                }
                _ => {
                    hears.send_replace(order == "hear");
                    println!("{order}");
                }
            }
        }
        Ok(())
    }

    /// Waits until each has so many, and nobody more.
    async fn wait_for(&self, expected: u64, count: u64) -> Result<()> {
        while self.total.get() < expected * count {
            let changed = tokio::time::timeout(PATIENCE, self.has_changed.notified()).await;
            if let Some(failure) = self.failure.take() {
                return Err(failure);
            }
            changed.with_context(|| format!("{} of {}", self.total.get(), expected * count))?;
        }
        if self.heard.borrow().iter().any(|&heard| heard != expected) {
            bail!("some have more than others");
        }
        Ok(())
    }

    async fn hear(self: Rc<Self>, number: usize, socket: TcpStream, listening: watch::Receiver<bool>) {
        if let Err(failure) = self.hear_to_the_end(number, socket, listening).await {
            self.failure.replace(Some(failure));
            self.has_changed.notify_one();
        }
    }

    async fn hear_to_the_end(
        &self,
        number: usize,
        mut socket: TcpStream,
        mut listening: watch::Receiver<bool>,
    ) -> Result<()> {
        let mut heard = Heard::new(self.kind);
        let goal = self.heard.borrow().len() as u64;
        loop {
            listening.wait_for(|hears| *hears).await?;
            socket.readable().await?;
            if !*listening.borrow() {
                continue;
            }
            let (read, count) = self.read(&socket, &mut heard)?;
            for _ in 0..std::mem::take(&mut heard.pings) {
                socket.write_all(&[0x8a, 0x80, 0, 0, 0, 0]).await?;
            }
            if count > 0 {
                self.bytes.set(self.bytes.get() + read as u64);
                self.heard.borrow_mut()[number] += count;
                self.total.set(self.total.get() + count);
                if self.total.get().is_multiple_of(goal) {
                    self.has_changed.notify_one();
                }
            }
        }
    }

    /// Reads what is there: how many bytes, and how many changes are complete with them.
    fn read(&self, socket: &TcpStream, heard: &mut Heard) -> Result<(usize, u64)> {
        let mut scratch = self.scratch.borrow_mut();
        match socket.try_read(&mut scratch) {
            Ok(0) => bail!("the connection has ended"),
            Ok(read) => Ok((read, heard.hear(&scratch[..read])? as u64)),
            Err(error) if error.kind() == std::io::ErrorKind::WouldBlock => Ok((0, 0)),
            Err(error) => Err(error.into()),
        }
    }

    /// A connection on which only changes are still to come.
    async fn connect(&self, asking: &mut Option<TcpStream>) -> Result<TcpStream> {
        let socket = TcpSocket::new_v4()?;
        socket.set_recv_buffer_size(RECEIVE_BUFFER)?;
        let mut socket = socket.connect(self.address).await?;
        socket.set_nodelay(true)?;
        let Self { kind, key, scope, .. } = self;
        match kind {
            Kind::Bytes(_) => socket.write_all(LISTENS).await?,
            Kind::Stream => {
                let request = format!(
                    "GET /typing/v1/stream{scope} HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer {key}\r\n\r\n"
                );
                socket.write_all(request.as_bytes()).await?;
                let mut read = head(&mut socket, "HTTP/1.1 200").await?;
                // The hello and the snapshot are one chunk.
                while chunk(&read)?.is_none_or(|length| length > read.len()) {
                    more(&mut socket, &mut read).await?;
                }
            }
            Kind::Socket => {
                let ticket = self.ticket(asking).await?;
                let request = format!(
                    "GET /typing/v1/socket?ticket={ticket} HTTP/1.1\r\nHost: localhost\r\nUpgrade: websocket\r\n\
                     Connection: Upgrade\r\nSec-WebSocket-Version: 13\r\n\
                     Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"
                );
                socket.write_all(request.as_bytes()).await?;
                let mut read = head(&mut socket, "HTTP/1.1 101").await?;
                let asked = br#"{"type":"subscribe","id":"a"}"#;
                let mut sent = vec![0x81, 0x80 | asked.len() as u8, 0, 0, 0, 0];
                sent.extend(asked);
                socket.write_all(&sent).await?;
                for _ in ["hello", "snapshot"] {
                    let length = loop {
                        match frame(&read) {
                            Some(length) => break length,
                            None => more(&mut socket, &mut read).await?,
                        }
                    };
                    read.drain(..length);
                }
            }
        }
        Ok(socket)
    }

    async fn ticket(&self, asking: &mut Option<TcpStream>) -> Result<String> {
        let socket = match asking {
            Some(socket) => socket,
            None => asking.insert(TcpStream::connect(self.address).await?),
        };
        let body = r#"{"side":"agent","access":"read"}"#;
        let request = format!(
            "POST /typing/v1/tickets HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer {}\r\n\
             Content-Type: application/json\r\nContent-Length: {}\r\n\r\n{body}",
            self.key,
            body.len()
        );
        socket.write_all(request.as_bytes()).await?;
        let mut read = head(socket, "HTTP/1.1 200").await?;
        while !read.ends_with(b"}") {
            more(socket, &mut read).await?;
        }
        let text = String::from_utf8(read)?;
        let ticket = text.split(r#""ticket":""#).nth(1).and_then(|rest| rest.split('"').next());
        Ok(ticket.context("no ticket")?.to_owned())
    }
}

/// Reads an answer's head, which must begin so; what came behind it.
async fn head(socket: &mut TcpStream, begin: &str) -> Result<Vec<u8>> {
    let mut read = Vec::new();
    loop {
        more(socket, &mut read).await?;
        if let Some(end) = read.windows(4).position(|four| four == b"\r\n\r\n") {
            if !read.starts_with(begin.as_bytes()) {
                bail!("refused: {}", String::from_utf8_lossy(&read));
            }
            return Ok(read.split_off(end + 4));
        }
    }
}

async fn more(socket: &mut TcpStream, read: &mut Vec<u8>) -> Result<()> {
    if socket.read_buf(read).await? == 0 {
        bail!("the connection was closed: {}", String::from_utf8_lossy(read));
    }
    Ok(())
}

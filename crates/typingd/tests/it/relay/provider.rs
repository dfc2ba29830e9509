//! A provider to be called: a server that does as it is told, byte by byte, and remembers what it was asked and when.

use std::collections::BTreeSet;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpSocket, TcpStream};
use tokio::sync::Notify;
use tokio::task::JoinSet;
use tokio::time::timeout;
use typingd::clock::Clock;

/// Longer than anything is waited for.
const PATIENCE: Duration = Duration::from_secs(20);

/// What becomes of a request.
#[derive(Clone, Debug)]
pub enum Act {
    /// This is written after a while, and the connection kept.
    Answer(Duration, Vec<u8>),
    /// Nothing is written.
    Hang,
    /// This is written, and the connection reset.
    Reset(Vec<u8>),
    /// This is written, and the connection closed.
    Close(Vec<u8>),
    /// This is written a byte at a time, with so much time between any two.
    Drip(Duration, Vec<u8>),
    /// This is written, and after it the same bytes again and again.
    Endless(Vec<u8>),
}

impl Act {
    /// An answer at once, with these headers, each with the end of its line.
    pub fn answer(status: u16, headers: &str, body: &str) -> Self {
        Self::Answer(Duration::ZERO, answer(status, headers, body))
    }

    /// The answer of a provider that takes everything, in words that each of them would use.
    pub fn yes() -> Self {
        Self::answer(200, "", YES)
    }

    /// The same after so many milliseconds.
    pub fn yes_after(ms: u64) -> Self {
        Self::Answer(Duration::from_millis(ms), answer(200, "", YES))
    }
}

const YES: &str = r#"{"success":true}"#;

/// An answer's bytes.
pub fn answer(status: u16, headers: &str, body: &str) -> Vec<u8> {
    let length = body.len();
    let head = format!("HTTP/1.1 {status} x\r\nContent-Type: application/json\r\n{headers}");
    format!("{head}Content-Length: {length}\r\n\r\n{body}").into_bytes()
}

/// A request, as it came.
#[derive(Clone, Debug)]
pub struct Asked {
    pub head: String,
    pub body: String,
    /// When the whole of it was there.
    pub at: Duration,
    /// When its answer was written.
    pub answered_at: Option<Duration>,
    /// When the caller had gone before that.
    pub left_at: Option<Duration>,
    /// How many bytes of its answer could be written.
    pub written: usize,
}

impl Asked {
    /// Its path, with the query.
    pub fn path(&self) -> &str {
        self.head.split(' ').nth(1).unwrap()
    }

    pub fn header(&self, name: &str) -> Option<&str> {
        header(&self.head, name)
    }

    /// Whether it is a call about typing.
    pub fn is_typing(&self) -> bool {
        ["/typing", "/events", "/agentEvents"].iter().any(|path| self.path().contains(path))
            || self.body.contains("TypingSt")
    }
}

/// What becomes of which request, with the number of those before it.
type Script = dyn Fn(&Asked, usize) -> Act + Send + Sync;

struct Told {
    clock: Clock,
    script: Mutex<Arc<Script>>,
    asked: Mutex<Vec<Asked>>,
    changes: Notify,
}

pub struct Provider {
    pub address: SocketAddr,
    told: Arc<Told>,
    _serving: JoinSet<()>,
}

impl Provider {
    /// One that does this with every request.
    pub async fn that(act: Act) -> Self {
        Self::start(move |_, _| act.clone()).await
    }

    pub async fn start(script: impl Fn(&Asked, usize) -> Act + Send + Sync + 'static) -> Self {
        let socket = TcpSocket::new_v4().unwrap();
        // The less its kernel keeps, the better it is seen what nobody takes.
        socket.set_send_buffer_size(64 * 1024).unwrap();
        socket.bind("127.0.0.1:0".parse().unwrap()).unwrap();
        let listener = socket.listen(1_024).unwrap();
        let address = listener.local_addr().unwrap();
        let told = Arc::new(Told {
            clock: Clock::start(),
            script: Mutex::new(Arc::new(script)),
            asked: Mutex::default(),
            changes: Notify::new(),
        });
        let mut serving = JoinSet::new();
        let of_all = told.clone();
        serving.spawn(async move {
            let mut connections = JoinSet::new();
            while let Ok((mut socket, _)) = listener.accept().await {
                let told = of_all.clone();
                connections.spawn(async move { while told.exchange(&mut socket).await.is_some() {} });
            }
        });
        Self { address, told, _serving: serving }
    }

    pub fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// From now on it does something else.
    pub fn turn(&self, script: impl Fn(&Asked, usize) -> Act + Send + Sync + 'static) {
        *self.told.script.lock().unwrap() = Arc::new(script);
    }

    pub fn now(&self) -> Duration {
        self.told.clock.elapsed()
    }

    pub fn asked(&self) -> Vec<Asked> {
        self.told.asked.lock().unwrap().clone()
    }

    /// Those whom it was asked about: everything that stands behind `to`, or in a path behind `phones`.
    pub fn recipients(&self) -> BTreeSet<String> {
        let behind = |text: &str, mark: &str| {
            let rest = text.split(mark).nth(1)?;
            Some(rest.chars().take_while(|c| *c == '+' || c.is_ascii_digit()).collect())
        };
        let asked = self.asked();
        let one = |asked: &Asked| behind(&asked.body, r#""to":""#).or(behind(asked.path(), "/phones/"));
        asked.iter().filter_map(one).collect()
    }

    /// Waits until what it was asked is such.
    pub async fn until(&self, is_such: impl Fn(&[Asked]) -> bool) -> Vec<Asked> {
        let waiting = async {
            loop {
                let changed = self.told.changes.notified();
                let asked = self.asked();
                if is_such(&asked) {
                    return asked;
                }
                changed.await;
            }
        };
        let waited = timeout(PATIENCE, waiting).await;
        waited.unwrap_or_else(|_| panic!("not so in time: {:?}", self.asked()))
    }

    /// Waits until it was asked so often.
    pub async fn times(&self, count: usize) -> Vec<Asked> {
        self.until(|asked| asked.len() >= count).await
    }

    /// Whether it is not asked anything for so long.
    pub async fn is_left_alone(&self, span: Duration) -> bool {
        let before = self.asked().len();
        timeout(span, self.times(before + 1)).await.is_err()
    }
}

impl Told {
    /// One exchange; `None` where the connection ended with it.
    async fn exchange(&self, socket: &mut TcpStream) -> Option<()> {
        let (head, body) = read(socket).await?;
        let (at, written) = (self.clock.elapsed(), 0);
        let asked = Asked { head, body, at, answered_at: None, left_at: None, written };
        let number = {
            let mut all = self.asked.lock().unwrap();
            all.push(asked.clone());
            all.len() - 1
        };
        self.changes.notify_waiters();
        let script = self.script.lock().unwrap().clone();
        let act = script(&asked, number);
        let is_kept = self.act(socket, number, act).await;
        self.changes.notify_waiters();
        is_kept
    }

    async fn act(&self, socket: &mut TcpStream, number: usize, act: Act) -> Option<()> {
        match act {
            Act::Answer(after, bytes) => {
                if !after.is_zero() && has_left(socket, after).await {
                    self.note(number, |asked, now| asked.left_at = Some(now));
                    return None;
                }
                self.write(socket, number, &bytes).await?;
                self.note(number, |asked, now| asked.answered_at = Some(now));
                Some(())
            }
            Act::Hang => {
                has_left(socket, Duration::MAX).await;
                self.note(number, |asked, now| asked.left_at = Some(now));
                None
            }
            Act::Reset(bytes) => {
                self.write(socket, number, &bytes).await?;
                socket.set_zero_linger().unwrap();
                None
            }
            Act::Close(bytes) => self.write(socket, number, &bytes).await.and(None),
            Act::Drip(pause, bytes) => {
                for byte in bytes {
                    self.write(socket, number, &[byte]).await?;
                    if has_left(socket, pause).await {
                        break;
                    }
                }
                None
            }
            Act::Endless(bytes) => {
                while self.write(socket, number, &bytes).await.is_some() {}
                None
            }
        }
    }

    async fn write(&self, socket: &mut TcpStream, number: usize, bytes: &[u8]) -> Option<()> {
        let mut left = bytes;
        while !left.is_empty() {
            let written = socket.write(left).await.ok().filter(|written| *written > 0)?;
            left = &left[written..];
            self.note(number, |asked, _| asked.written += written);
        }
        Some(())
    }

    fn note(&self, number: usize, note: impl FnOnce(&mut Asked, Duration)) {
        note(&mut self.asked.lock().unwrap()[number], self.clock.elapsed());
    }
}

/// Whether the caller goes within so long.
async fn has_left(socket: &mut TcpStream, within: Duration) -> bool {
    matches!(timeout(within, socket.read(&mut [0])).await, Ok(Ok(0) | Err(_)))
}

/// A request: its head, and a body of the length that it says.
async fn read(socket: &mut TcpStream) -> Option<(String, String)> {
    let mut bytes = Vec::new();
    let end = loop {
        if let Some(end) = bytes.windows(4).position(|four| four == b"\r\n\r\n") {
            break end + 4;
        }
        let is_http = bytes.first().is_none_or(u8::is_ascii_alphabetic);
        if !is_http || socket.read_buf(&mut bytes).await.ok()? == 0 {
            return None;
        }
    };
    let head = String::from_utf8(bytes[..end].to_vec()).unwrap();
    let length: usize = header(&head, "content-length").map_or(0, |length| length.parse().unwrap());
    while bytes.len() < end + length {
        if socket.read_buf(&mut bytes).await.ok()? == 0 {
            return None;
        }
    }
    Some((head, String::from_utf8_lossy(&bytes[end..]).into_owned()))
}

fn header<'h>(head: &'h str, name: &str) -> Option<&'h str> {
    let mut lines = head.lines().skip(1).filter_map(|line| line.split_once(": "));
    lines.find(|(header, _)| header.eq_ignore_ascii_case(name)).map(|(_, value)| value)
}

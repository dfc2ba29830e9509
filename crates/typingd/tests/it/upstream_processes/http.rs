//! HTTP/1.1 as it is on the wire: what a gateway was sent, and what it answered, to the byte.

use std::time::Duration;

use tokio::io::{AsyncBufReadExt, AsyncRead, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::{TcpListener, TcpStream, ToSocketAddrs};
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};
use tokio::task::JoinHandle;
use tokio::time::timeout;

/// Longer than anything is waited for.
pub const PATIENCE: Duration = Duration::from_secs(30);

/// A request or a response, whole: its body without the frames it came in.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Message {
    /// The first line.
    pub line: String,
    /// In their order, names in lower case.
    pub headers: Vec<(String, String)>,
    pub body: Vec<u8>,
}

impl Message {
    /// Reads one that is complete already.
    pub async fn of(bytes: &[u8]) -> Self {
        let mut io = BufReader::new(bytes);
        Self::read(&mut io).await.expect("a whole message")
    }

    async fn read<IO: AsyncRead + Unpin>(io: &mut BufReader<IO>) -> Option<Self> {
        let head = Self::head(io).await?;
        head.with_body(io).await
    }

    async fn head<IO: AsyncRead + Unpin>(io: &mut BufReader<IO>) -> Option<Self> {
        let line = line(io).await?;
        let mut headers = Vec::new();
        loop {
            let line = self::line(io).await?;
            let Some((name, value)) = line.split_once(':') else { break };
            headers.push((name.to_ascii_lowercase(), value.trim().to_owned()));
        }
        Some(Self { line, headers, body: Vec::new() })
    }

    async fn with_body<IO: AsyncRead + Unpin>(mut self, io: &mut BufReader<IO>) -> Option<Self> {
        if self.header("transfer-encoding") == Some("chunked") {
            loop {
                let size = usize::from_str_radix(&line(io).await?, 16).ok()?;
                let begun = self.body.len();
                self.body.resize(begun + size, 0);
                io.read_exact(&mut self.body[begun..]).await.ok()?;
                line(io).await?;
                if size == 0 {
                    return Some(self);
                }
            }
        }
        let length = self.header("content-length").map_or(0, |length| length.parse().unwrap());
        self.body.resize(length, 0);
        io.read_exact(&mut self.body).await.ok()?;
        Some(self)
    }

    pub fn header(&self, name: &str) -> Option<&str> {
        let found = self.headers.iter().find(|(header, _)| header == name);
        found.map(|(_, value)| value.as_str())
    }

    pub fn status(&self) -> u16 {
        self.line.split(' ').nth(1).unwrap().parse().unwrap()
    }

    /// The method and what is asked for.
    pub fn asks(&self) -> &str {
        self.line.strip_suffix(" HTTP/1.1").unwrap()
    }

    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }

    /// All but these headers, sorted.
    pub fn headers_but(&self, names: &[&str]) -> Vec<(String, String)> {
        let kept = self.headers.iter().filter(|(name, _)| !names.contains(&name.as_str()));
        let mut kept: Vec<_> = kept.cloned().collect();
        kept.sort();
        kept
    }
}

async fn line<IO: AsyncRead + Unpin>(io: &mut BufReader<IO>) -> Option<String> {
    let mut line = Vec::new();
    let read = io.read_until(b'\n', &mut line).await.ok()?;
    (read > 0).then(|| String::from_utf8_lossy(&line).trim_end().to_owned())
}

/// A connection to a gateway.
pub struct Client(BufReader<TcpStream>);

impl Client {
    pub async fn connect(address: impl ToSocketAddrs) -> Self {
        Self(BufReader::new(TcpStream::connect(address).await.unwrap()))
    }

    pub async fn send(&mut self, bytes: &[u8]) {
        timeout(PATIENCE, self.0.get_mut().write_all(bytes)).await.expect("taken, in time").unwrap();
    }

    pub async fn answer(&mut self) -> Message {
        timeout(PATIENCE, Message::read(&mut self.0)).await.expect("an answer, in time").expect("an answer")
    }
}

/// One exchange on a connection of its own.
pub async fn exchange(address: impl ToSocketAddrs, request: &[u8]) -> Message {
    let mut client = Client::connect(address).await;
    client.send(request).await;
    client.answer().await
}

/// A server that records every byte, and answers as it is told to.
pub struct Recorder {
    pub address: String,
    begun: UnboundedReceiver<Message>,
    whole: UnboundedReceiver<Message>,
    serving: JoinHandle<()>,
}

impl Recorder {
    /// Answers each request with these bytes.
    pub async fn start(answer: impl Fn(&Message) -> Vec<u8> + Clone + Send + 'static) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap().to_string();
        let ((began, begun), (came, whole)) = (unbounded_channel(), unbounded_channel());
        let serving = tokio::spawn(async move {
            while let Ok((socket, _)) = listener.accept().await {
                tokio::spawn(record(socket, answer.clone(), began.clone(), came.clone()));
            }
        });
        Self { address, begun, whole, serving }
    }

    /// The next request of which the head has come.
    pub async fn begun(&mut self) -> Message {
        timeout(PATIENCE, self.begun.recv()).await.expect("a head, in time").unwrap()
    }

    /// The next request that has come whole.
    pub async fn next(&mut self) -> Message {
        timeout(PATIENCE, self.whole.recv()).await.expect("a request, in time").unwrap()
    }

    /// Whether every request has been looked at.
    pub fn is_read(&mut self) -> bool {
        self.whole.try_recv().is_err()
    }
}

impl Drop for Recorder {
    fn drop(&mut self) {
        self.serving.abort();
    }
}

async fn record(
    socket: TcpStream,
    answer: impl Fn(&Message) -> Vec<u8>,
    began: UnboundedSender<Message>,
    came: UnboundedSender<Message>,
) {
    let mut io = BufReader::new(socket);
    while let Some(head) = Message::head(&mut io).await {
        // Whoever does not look needs none.
        let _ = began.send(head.clone());
        let Some(request) = head.with_body(&mut io).await else { return };
        let answer = answer(&request);
        let _ = came.send(request);
        if io.get_mut().write_all(&answer).await.is_err() {
            return;
        }
    }
}

/// A response with a JSON body.
pub fn json(status: &str, body: &str) -> Vec<u8> {
    let length = body.len();
    format!("HTTP/1.1 {status}\r\nContent-Type: application/json\r\nContent-Length: {length}\r\n\r\n{body}")
        .into_bytes()
}

/// A captured request with other texts in it, and its length put right.
pub fn retold(capture: &str, replacements: &[(&str, &str)]) -> Vec<u8> {
    let mut text = capture.to_owned();
    for (old, new) in replacements {
        assert!(text.contains(old), "{old} in {capture}");
        text = text.replace(old, new);
    }
    let (head, body) = text.split_once("\r\n\r\n").unwrap();
    let length = |line: &str| line.to_ascii_lowercase().starts_with("content-length:");
    let lines = head.lines().map(|line| match length(line) {
        true => format!("Content-Length: {}", body.len()),
        false => line.to_owned(),
    });
    format!("{}\r\n\r\n{body}", lines.collect::<Vec<_>>().join("\r\n")).into_bytes()
}

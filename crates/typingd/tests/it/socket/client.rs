//! A WebSocket seen from its client, frame by frame.

use serde_json::{Value, json};
use tokio::io::{AsyncRead, AsyncWrite, DuplexStream};
use tokio::task::yield_now;

use crate::support::{Answer, InProcess, Wire, post};

/// What asks for a socket, with the example key of RFC 6455.
pub fn handshake(ticket: &str) -> Vec<u8> {
    format!(
        "GET /typing/v1/socket?ticket={ticket} HTTP/1.1\r\nHost: t\r\nUpgrade: websocket\r\nConnection: keep-alive, \
         Upgrade\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"
    )
    .into_bytes()
}

/// What asks for a ticket, by the API key.
pub fn asking_for_ticket(key: &str, asked: &Value) -> Vec<u8> {
    post("/typing/v1/tickets", &format!("Authorization: Bearer {key}\r\n"), &asked.to_string())
}

/// The ticket of an answer that has one.
pub fn issued(answer: &Answer) -> String {
    assert_eq!(answer.status, 200, "{}", answer.body);
    answer.json()["ticket"].as_str().unwrap().to_owned()
}

/// A new ticket for `asked`, by the API key.
pub async fn ticket(gateway: &InProcess, key: &str, asked: &Value) -> String {
    issued(&gateway.exchange(&asking_for_ticket(key, asked)).await)
}

/// A socket of `acme`'s by a new ticket, after its hello.
pub async fn open(gateway: &InProcess, asked: &Value) -> (Client<DuplexStream>, Value) {
    let ticket = ticket(gateway, "acme-key", asked).await;
    let mut client = Client::shake_hands(gateway.connect(), &handshake(&ticket)).await.unwrap();
    let hello = client.next().await;
    assert_eq!(hello["type"], "hello");
    (client, hello)
}

/// A frame as it comes from the gateway.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Frame {
    pub opcode: u8,
    pub payload: Vec<u8>,
}

impl Frame {
    /// The code and the reason of a close frame.
    pub fn close(&self) -> (u16, &str) {
        assert_eq!(self.opcode, 8, "{self:?}");
        let (code, reason) = self.payload.split_at(2.min(self.payload.len()));
        let code = code.try_into().map(u16::from_be_bytes).unwrap_or(1005);
        (code, std::str::from_utf8(reason).unwrap())
    }
}

pub struct Client<IO>(Wire<IO>);

impl<IO: AsyncRead + AsyncWrite + Unpin> Client<IO> {
    /// Asks for a socket; the answer where it is refused.
    pub async fn shake_hands(mut wire: Wire<IO>, request: &[u8]) -> Result<Self, Answer> {
        let answer = wire.exchange(request).await;
        if answer.status != 101 {
            return Err(answer);
        }
        assert_eq!(answer.header("sec-websocket-accept"), Some("s3pPLMBiTxaQ9kYGzzhZRbK+xOo="));
        assert_eq!(answer.header("upgrade"), Some("websocket"));
        Ok(Self(wire))
    }

    /// Sends a whole text frame.
    pub async fn say(&mut self, frame: Value) {
        self.send_frame(true, 1, frame.to_string().as_bytes()).await;
    }

    /// Sends a frame, masked as a client must.
    pub async fn send_frame(&mut self, is_final: bool, opcode: u8, payload: &[u8]) {
        self.send_bytes(&encode(is_final, opcode, payload)).await;
    }

    pub async fn send_bytes(&mut self, bytes: &[u8]) {
        self.0.send(bytes).await;
    }

    /// Sends bytes a few at a time, each before the gateway has the next.
    pub async fn send_in_pieces(&mut self, bytes: &[u8], size: usize) {
        for piece in bytes.chunks(size) {
            self.send_bytes(piece).await;
            yield_now().await;
        }
    }

    /// The next frame; `None` where the connection ends.
    pub async fn frame(&mut self) -> Option<Frame> {
        let [first, second] = self.0.bytes(2).await?.try_into().unwrap();
        assert_eq!(first & 0xf0, 0x80, "the gateway sends whole frames");
        let length = match second {
            126 => usize::from(u16::from_be_bytes(self.0.bytes(2).await?.try_into().unwrap())),
            127 => usize::try_from(u64::from_be_bytes(self.0.bytes(8).await?.try_into().unwrap())).unwrap(),
            short => usize::from(short),
        };
        Some(Frame { opcode: first & 0xf, payload: self.0.bytes(length).await? })
    }

    /// The next text frame; pings are answered, as browsers do it.
    pub async fn next(&mut self) -> Value {
        loop {
            let frame = self.frame().await.expect("a frame");
            match frame.opcode {
                1 => return serde_json::from_slice(&frame.payload).unwrap(),
                9 => self.send_frame(true, 10, &frame.payload).await,
                _ => panic!("{frame:?} {}", String::from_utf8_lossy(&frame.payload)),
            }
        }
    }

    /// What is said, and what is answered.
    pub async fn ask(&mut self, frame: Value) -> Value {
        self.say(frame).await;
        self.next().await
    }

    /// Subscribes to all that the ticket shows; the snapshot's leases.
    pub async fn watch(&mut self) -> Value {
        let mut snapshot = self.ask(json!({"type": "subscribe", "id": "a"})).await;
        assert_eq!((&snapshot["type"], &snapshot["subscription"]), (&json!("snapshot"), &json!("a")));
        snapshot["leases"].take()
    }

    /// The next text frame's type, with the reason where it has one.
    pub async fn what(&mut self) -> String {
        let frame = self.next().await;
        let word = frame["type"].as_str().unwrap();
        frame["reason"].as_str().map_or_else(|| word.to_owned(), |reason| format!("{word} {reason}"))
    }

    /// The close frame that the gateway ends with, once all else is passed over; then nothing comes any more.
    pub async fn closed(&mut self) -> (u16, String) {
        loop {
            let frame = self.frame().await.expect("a close frame");
            if frame.opcode == 8 {
                let (code, reason) = frame.close();
                let closed = (code, reason.to_owned());
                assert_eq!(self.frame().await, None, "nothing after it");
                return closed;
            }
        }
    }
}

/// A frame as a client sends it.
pub fn encode(is_final: bool, opcode: u8, payload: &[u8]) -> Vec<u8> {
    const MASK: [u8; 4] = [0x37, 0xfa, 0x21, 0x3d];
    let mut frame = vec![u8::from(is_final) << 7 | opcode];
    match payload.len() {
        short @ 0..=125 => frame.push(0x80 | short as u8),
        middle @ 126..=0xffff => {
            frame.push(0x80 | 126);
            frame.extend((middle as u16).to_be_bytes());
        }
        long => {
            frame.push(0x80 | 127);
            frame.extend((long as u64).to_be_bytes());
        }
    }
    frame.extend(MASK);
    frame.extend(payload.iter().zip(MASK.iter().cycle()).map(|(byte, mask)| byte ^ mask));
    frame
}

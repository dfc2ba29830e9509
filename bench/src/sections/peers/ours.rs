//! typingd: signals by `POST` to streams, and from sockets to sockets.

use std::net::SocketAddr;
use std::rc::Rc;
use std::time::Duration;

use anyhow::Result;

use super::peer::{Care, Relayed, Script};
use crate::gateway::KEY;
use crate::relay::Signal;
use crate::server::Server;
use crate::wire;

/// A socket may send 60 frames at once after a rest of 3 s.
pub(super) const REST: Duration = Duration::from_millis(3_200);

/// `POST /typing/v1/signals`, seen on `GET /typing/v1/stream`.
pub(super) fn http(server: &Rc<Server>, pairs: usize) -> Result<Relayed> {
    let address = server.address;
    let mut connections = Vec::new();
    for at in 0..pairs {
        let mut stream = wire::connect(address)?;
        let request = format!(
            "GET /typing/v1/stream?channel=pinnacle&agent=agent_http&user=%2B{} HTTP/1.1\r\nHost: bench\r\n\
             Authorization: Bearer {KEY}\r\n\r\n",
            number(at)
        );
        wire::ask(&mut stream, request.as_bytes(), "\"type\":\"snapshot\"")?;
        connections.push((wire::connect(address)?, stream));
    }
    let say = |at: usize, state: &str| {
        let body = format!(
            r#"{{"channel":"pinnacle","agent":"agent_http","user":"+{}","composer":"agent","state":"{state}"}}"#,
            number(at)
        );
        wire::request("POST", "/typing/v1/signals", &authorization(), &body)
    };
    let scripts = (0..pairs).map(|at| script(|state| say(at, state))).collect();
    let care = Care::Reconnect(Box::new(move || wire::connect(address)));
    Relayed::new("typingd, HTTP", server.clone(), connections, scripts, care)
}

/// A socket that says it, and a socket that sees it. Who has said much rests before more.
pub(super) fn websocket(server: &Rc<Server>, pairs: usize, rest: Duration) -> Result<Relayed> {
    let address = server.address;
    let mut connections = Vec::new();
    for at in 0..pairs {
        let says = socket(address, at, "agent", "read_write")?;
        let mut sees = socket(address, at, "user", "read")?;
        let subscribe = wire::text_frame(r#"{"type":"subscribe","id":"s"}"#);
        wire::ask(&mut sees, &subscribe, "\"type\":\"snapshot\"")?;
        connections.push((says, sees));
    }
    let say = |state: &str| wire::text_frame(&format!(r#"{{"type":"{state}"}}"#));
    let scripts = (0..pairs).map(|_| script(say)).collect();
    let care = Care::Mention { bytes: wire::pong_frame(), rest };
    Relayed::new("typingd, WebSocket", server.clone(), connections, scripts, care)
}

fn script(say: impl Fn(&str) -> Vec<u8>) -> Script {
    let signal = |state, answered, seen| Signal { said: say(state), answered, seen };
    Script {
        edges: [
            signal("composing", r#""decision":"started""#, r#""type":"started""#),
            signal("paused", r#""decision":"ended""#, r#""type":"stopped""#),
        ],
        repeat: signal("composing", r#""decision":"extended""#, ""),
    }
}

fn socket(address: SocketAddr, at: usize, side: &str, access: &str) -> Result<std::net::TcpStream> {
    let body = format!(
        r#"{{"channel":"pinnacle","agent":"agent_socket","user":"+{}","side":"{side}","access":"{access}"}}"#,
        number(at)
    );
    let request = wire::request("POST", "/typing/v1/tickets", &authorization(), &body);
    let answer = wire::ask(&mut wire::connect(address)?, &request, "}")?;
    let ticket = wire::between(&answer, "\"ticket\":\"", "\"")?;
    wire::websocket(address, &format!("/typing/v1/socket?ticket={ticket}"), "\"type\":\"hello\"")
}

fn number(at: usize) -> String {
    format!("1415555{at:04}")
}

fn authorization() -> String {
    format!("Authorization: Bearer {KEY}\r\n")
}

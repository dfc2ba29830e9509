//! A relay on socket.io, over WebSocket alone.

use std::process::Command;
use std::rc::Rc;

use anyhow::{Context, Result};

use super::peer::{Care, Relayed, Script};
use crate::relay::Signal;
use crate::server::{self, Server};
use crate::wire;

pub(super) fn start(pairs: usize) -> Result<Relayed> {
    let address = server::free_address()?;
    let mut command = Command::new("node");
    command.arg("relay.js").arg(address.port().to_string());
    command.current_dir(server::directory()?.join("socketio")).env("NODE_ENV", "production");
    let server = Rc::new(Server::start("socketio", &mut command, address)?);
    let mut connections = Vec::new();
    for at in 0..pairs {
        let open = || {
            let mut stream = wire::websocket(address, "/socket.io/?EIO=4&transport=websocket", "0{")?;
            let join = wire::text_frame(&format!(r#"40{{"room":"{at}"}}"#));
            wire::ask(&mut stream, &join, "40{").context("the room is not entered")?;
            anyhow::Ok(stream)
        };
        connections.push((open()?, open()?));
    }
    let signal = |state: &str, seen| Signal {
        said: wire::text_frame(&format!(r#"42["typing","{state}"]"#)),
        answered: "",
        seen,
    };
    let start = signal("composing", "\"composing\"");
    let scripts = (0..pairs)
        .map(|_| Script { edges: [start.clone(), signal("paused", "\"paused\"")], repeat: start.clone() });
    Relayed::new("socket.io", server, connections, scripts.collect(), Care::None)
}

//! ejabberd: chat states (XEP-0085) from one session to another.

use std::fs;
use std::net::{SocketAddr, TcpStream};
use std::process::Command;
use std::rc::Rc;

use anyhow::{Context, Result};

use super::peer::{Care, Relayed, Script};
use crate::relay::Signal;
use crate::server::{self, Server};
use crate::wire;

pub(super) fn start(pairs: usize) -> Result<Relayed> {
    let address = server::free_address()?;
    let directory = fs::canonicalize(server::directory()?)?.join("ejabberd");
    // It keeps what it knows of its hosts, and nothing of that is wanted twice.
    let _ = fs::remove_dir_all(&directory);
    fs::create_dir_all(&directory)?;
    let file = directory.join("ejabberd.yml");
    fs::write(&file, configuration(address.port()))?;
    let library = program()?;
    let mut command = Command::new("erl");
    // Without a name it asks no other program for one. Waiting in a loop would be CPU time that does nothing.
    command.args([
        "-noinput",
        "+K",
        "true",
        "+P",
        "250000",
        "+S",
        "1:1",
        "+sbwt",
        "none",
        "+sbwtdcpu",
        "none",
    ]);
    command.args(["+sbwtdio", "none", "-mnesia", "dir"]).arg(format!("{:?}", directory.join("mnesia")));
    command.arg("-pa").arg(library.join("ebin")).args(["-s", "ejabberd"]);
    command.env("EJABBERD_CONFIG_PATH", &file).env("EJABBERD_LOG_PATH", directory.join("ejabberd.log"));
    command.env("HOME", &directory);
    let server = Rc::new(Server::start("ejabberd", &mut command, address)?);
    let (mut connections, mut scripts) = (Vec::new(), Vec::new());
    for _ in 0..pairs {
        let (says, _) = session(address)?;
        let (sees, name) = session(address)?;
        connections.push((says, sees));
        let signal = |state: &str, seen| {
            Signal {
            said: format!(
                "<message to='{name}' type='chat'><{state} xmlns='http://jabber.org/protocol/chatstates'/></message>"
            )
            .into_bytes(),
            answered: "",
            seen,
        }
        };
        let start = signal("composing", "<composing ");
        scripts.push(Script { edges: [start.clone(), signal("paused", "<paused ")], repeat: start });
    }
    Relayed::new("ejabberd", server, connections, scripts, Care::None)
}

/// Where Debian has put it.
fn program() -> Result<std::path::PathBuf> {
    let libraries = format!("/usr/lib/{}-linux-gnu", std::env::consts::ARCH);
    let mut all = fs::read_dir(&libraries)?.flatten().map(|entry| entry.path());
    let is_it = |path: &std::path::PathBuf| path.join("ebin/ejabberd.beam").exists();
    all.find(is_it).with_context(|| format!("ejabberd is not in {libraries}"))
}

/// A session with a name of its own, and that name.
fn session(address: SocketAddr) -> Result<(TcpStream, String)> {
    const OPEN: &str = "<stream:stream to='localhost' xmlns='jabber:client' \
                        xmlns:stream='http://etherx.jabber.org/streams' version='1.0'>";
    const FEATURES: &str = "</stream:features>";
    let mut stream = wire::connect(address)?;
    wire::ask(&mut stream, OPEN.as_bytes(), FEATURES)?;
    let auth = "<auth xmlns='urn:ietf:params:xml:ns:xmpp-sasl' mechanism='ANONYMOUS'/>";
    wire::ask(&mut stream, auth.as_bytes(), "<success")?;
    wire::ask(&mut stream, OPEN.as_bytes(), FEATURES)?;
    let bind = "<iq type='set' id='b'><bind xmlns='urn:ietf:params:xml:ns:xmpp-bind'/></iq>";
    let bound = wire::ask(&mut stream, bind.as_bytes(), "</iq>")?;
    let name = wire::between(&bound, "<jid>", "</jid>")?.to_owned();
    wire::ask(&mut stream, b"<presence/>", "<presence")?;
    Ok((stream, name))
}

/// No modules, no encryption, no limits, and nothing logged but errors.
fn configuration(port: u16) -> String {
    format!(
        "loglevel: error
hosts:
  - localhost
auth_method: anonymous
anonymous_protocol: sasl_anon
allow_multiple_connections: true
listen:
  -
    port: {port}
    ip: \"127.0.0.1\"
    module: ejabberd_c2s
    access: all
modules: {{}}
"
    )
}

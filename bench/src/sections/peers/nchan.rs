//! nchan on nginx: what is published by `POST` comes to an `EventSource`.

use std::fs;
use std::process::Command;
use std::rc::Rc;

use anyhow::Result;

use super::peer::{Care, Relayed, Script};
use crate::relay::Signal;
use crate::server::{self, Server};
use crate::wire;

pub(super) fn start(pairs: usize) -> Result<Relayed> {
    let address = server::free_address()?;
    let directory = fs::canonicalize(server::directory()?)?.join("nchan");
    fs::create_dir_all(&directory)?;
    let file = directory.join("nginx.conf");
    fs::write(&file, configuration(&address.to_string()))?;
    let mut command = Command::new("nginx");
    command.arg("-p").arg(&directory).arg("-c").arg(&file).args(["-e", "error.log"]);
    let server = Rc::new(Server::start("nchan", &mut command, address)?);
    let mut connections = Vec::new();
    for at in 0..pairs {
        let mut stream = wire::connect(address)?;
        let request =
            format!("GET /sub?id={at} HTTP/1.1\r\nHost: bench\r\nAccept: text/event-stream\r\n\r\n");
        wire::ask(&mut stream, request.as_bytes(), ": hi")?;
        connections.push((wire::connect(address)?, stream));
    }
    let script = |at: usize| {
        let signal = |state: &str, seen| Signal {
            said: wire::request("POST", &format!("/pub?id={at}"), "", &format!(r#"{{"type":"{state}"}}"#)),
            // Somebody is there who gets it.
            answered: "201 Created",
            seen,
        };
        let start = signal("composing", r#""type":"composing""#);
        Script { edges: [start.clone(), signal("paused", r#""type":"paused""#)], repeat: start }
    };
    let scripts = (0..pairs).map(script).collect();
    let care = Care::Reconnect(Box::new(move || wire::connect(address)));
    Relayed::new("nchan", server, connections, scripts, care)
}

/// Nothing is logged, and nothing is kept for those who come later.
fn configuration(address: &str) -> String {
    format!(
        "load_module /usr/lib/nginx/modules/ngx_nchan_module.so;
daemon off;
worker_processes 1;
pid nginx.pid;
events {{ worker_connections 4096; }}
http {{
  access_log off;
  client_body_temp_path body;
  proxy_temp_path proxy;
  fastcgi_temp_path fastcgi;
  uwsgi_temp_path uwsgi;
  scgi_temp_path scgi;
  keepalive_requests 1000000000;
  keepalive_timeout 1h;
  nchan_store_messages off;
  server {{
    listen {address};
    location = /pub {{ nchan_publisher http; nchan_channel_id $arg_id; }}
    location = /sub {{ nchan_subscriber eventsource; nchan_channel_id $arg_id; nchan_subscriber_first_message newest; }}
  }}
}}
"
    )
}

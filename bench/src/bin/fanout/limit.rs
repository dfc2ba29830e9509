//! The limit: a process that writes given bytes to every socket it has, and does nothing else.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};

use anyhow::{Result, bail};

/// What a connection says first: that it is one of the crowd.
pub(crate) const LISTENS: &[u8; 4] = b"ears";

/// Or that it gives orders: each a size in four bytes, answered by one byte when so much was written to everybody.
const ORDERS: &[u8; 4] = b"boss";

pub(crate) fn serve(address: SocketAddr) -> Result<()> {
    let listener = TcpListener::bind(address)?;
    rustix::net::listen(&listener, 16_384)?;
    let bytes = vec![b'x'; 65_536];
    let mut crowd = Vec::new();
    loop {
        let (mut stream, _) = listener.accept()?;
        stream.set_nodelay(true)?;
        let mut word = [0; 4];
        match stream.read_exact(&mut word) {
            Ok(()) if word == *LISTENS => {
                stream.set_nonblocking(true)?;
                crowd.push(stream);
            }
            Ok(()) if word == *ORDERS => obey(&mut stream, &crowd, &bytes)?,
            // Somebody who looked whether it is up.
            _ => {}
        }
    }
}

fn obey(orders: &mut TcpStream, crowd: &[TcpStream], bytes: &[u8]) -> Result<()> {
    let mut size = [0; 4];
    while orders.read_exact(&mut size).is_ok() {
        let bytes = &bytes[..u32::from_be_bytes(size) as usize];
        for mut socket in crowd {
            if socket.write(bytes)? != bytes.len() {
                bail!("a socket did not take it all");
            }
        }
        orders.write_all(b".")?;
    }
    Ok(())
}

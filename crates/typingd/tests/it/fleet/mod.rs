//! Several gateways on one store, each in a process of its own: what is said to one of them is seen at all, and what
//! becomes of that when a node or the store dies. What is counted is printed; what is asserted about time is generous.

mod any_node;
mod away;
mod calls;
mod clients;
mod cluster;
mod killed;
mod redis;
mod refused;
mod restarts;
mod spray;
mod watcher;

use std::net::SocketAddr;
use std::time::Duration;

use crate::load::client::percentile;
use crate::load::program::{ACME, Program, Setup};

/// What all of them have.
const KEYS: &str = r#"
[keys]
pepper = "00112233445566778899aabbccddeeff00112233445566778899aabbccddeeff"
tokens = ["ffeeddccbbaa99887766554433221100ffeeddccbbaa99887766554433221100"]
"#;

/// Starts so many nodes on the store that the section is about, with `acme` and what more it has.
async fn start<const N: usize>(name: &str, store: &str, more: &str) -> [Program; N] {
    let tenants = format!("{store}{KEYS}{ACME}{more}");
    let mut nodes = Vec::new();
    for number in 0..N {
        let name = format!("fleet-{name}-{number}");
        let setup =
            Setup { name: &name, tenants: &tenants, limits: "drain_notice_ms = 100", ..Setup::default() };
        nodes.push(Program::start(setup).await);
    }
    nodes.try_into().unwrap_or_else(|_| unreachable!("so many were started"))
}

fn addresses(nodes: &[Program]) -> Vec<SocketAddr> {
    nodes.iter().map(|node| node.address).collect()
}

/// The median, the 99th percentile and the longest.
fn spread(mut took: Vec<Duration>) -> [Duration; 3] {
    if took.is_empty() {
        return [Duration::ZERO; 3];
    }
    [50, 99, 100].map(|percent| percentile(&mut took, percent))
}

//! typingd as an operator runs it, with one tenant that no quota stops.

use std::fs;
use std::net::SocketAddr;
use std::path::Path;

use anyhow::Result;

use crate::server::{self, Server};

/// The key of the native API, and of the Pinnacle door.
pub(crate) const KEY: &str = "bench-key";

/// Basic credentials of the Kaleyra door, `bench:bench`, and its key.
pub(crate) const BASIC: &str = "Basic YmVuY2g6YmVuY2g=";

/// The account's id in the paths of the Kaleyra door.
pub(crate) const SID: &str = "BENCH000000";

/// The bearer token of the Salesforce door, its org and its authorization context.
pub(crate) const TOKEN: &str = "bench-token";
pub(crate) const ORG: &str = "00DBENCH0000000";
pub(crate) const CONTEXT: &str = "Bench_Channel";

/// Nobody else's: the pepper, and what tokens are signed with.
const PEPPER: &str = "8f1d3c5ea7b90246f8e1d3c5ba7902468f1d3c5ea7b90246f8e1d3c5ba790246";

/// What is asked of the gateway beside what every run asks.
#[derive(Default)]
pub(crate) struct Settings<'s> {
    /// More lines of its file.
    pub(crate) more: &'s str,
    /// Where its instructions are counted, if they are.
    pub(crate) counts: Option<&'s Path>,
}

/// Starts a gateway from a file in `target/bench`.
pub(crate) fn start(name: &str, settings: &Settings<'_>) -> Result<Server> {
    let address = server::free_address()?;
    let operators = server::free_address()?;
    let file = server::directory()?.join(format!("{name}.toml"));
    fs::write(&file, configuration(address, operators, settings.more))?;
    let mut command = server::command("typingd", settings.counts)?;
    Server::start(name, command.args(["serve", "--config"]).arg(&file), address)
}

fn configuration(address: SocketAddr, operators: SocketAddr, more: &str) -> String {
    format!(
        r#"[listen]
address = "{address}"

[operators]
address = "{operators}"

[keys]
pepper = "{PEPPER}"
tokens = ["{PEPPER}"]

{more}
[[tenants]]
name = "bench"
api_keys = ["{KEY}"]

[tenants.quota]
requests_per_second = 1000000
burst = 1000000
streams = 12000
leases = 2000000
sides = 2000000

# However slowly a machine counts, what types goes on typing.
[[tenants.kaleyra]]
ttl_ms = 60000
sid = "{SID}"
basics = ["bench:bench"]
api_keys = ["{KEY}"]
agents = ["*"]

[[tenants.pinnacle]]
ttl_ms = 60000
api_keys = ["{KEY}"]
agents = ["*"]

[[tenants.salesforce]]
ttl_ms = 60000
org_id = "{ORG}"
tokens = ["{TOKEN}"]
addresses = ["*"]
contexts = {{ {CONTEXT} = ["*"] }}
"#
    )
}

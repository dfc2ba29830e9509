//! typingd as an operator runs it, with one tenant that no quota stops.

use std::fs;
use std::process::Command;

use anyhow::Result;

use crate::server::{self, Server};

/// The key of the native API, and of the Pinnacle door.
pub(crate) const KEY: &str = "bench-key";

/// Basic credentials of the Kaleyra door, `bench:bench`, and its key.
pub(crate) const BASIC: &str = "Basic YmVuY2g6YmVuY2g=";

/// The bearer token of the Salesforce door.
pub(crate) const TOKEN: &str = "bench-token";

/// What is asked of the gateway beside what every run asks.
#[derive(Default)]
pub(crate) struct Settings<'s> {
    /// More lines of its file.
    pub(crate) more: &'s str,
}

/// Starts a gateway from a file in `target/bench`.
pub(crate) fn start(name: &str, settings: &Settings<'_>) -> Result<Server> {
    let address = server::free_address()?;
    let file = server::directory()?.join(format!("{name}.toml"));
    fs::write(&file, configuration(&address.to_string(), settings.more))?;
    Server::start(
        name,
        Command::new(server::program("typingd")?).args(["serve", "--config"]).arg(&file),
        address,
    )
}

fn configuration(address: &str, more: &str) -> String {
    format!(
        r#"[listen]
address = "{address}"

[keys]
pepper = "of-a-benchmark-and-nobody-else-32"

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

[[tenants.kaleyra]]
sid = "BENCH000000"
basics = ["bench:bench"]
api_keys = ["{KEY}"]
agents = ["*"]

[[tenants.pinnacle]]
api_keys = ["{KEY}"]
agents = ["*"]

[[tenants.salesforce]]
org_id = "00DBENCH0000000"
tokens = ["{TOKEN}"]
agents = ["*"]
authorization_context = "optional"
"#
    )
}

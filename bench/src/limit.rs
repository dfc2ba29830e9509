//! The program `limit`: what nobody can go below.

use std::path::Path;

use anyhow::Result;

use crate::server::{self, Server};

/// Starts an empty handler of axum, with its instructions counted if they are to be.
pub(crate) fn start(name: &str, counts: Option<&Path>) -> Result<Server> {
    let address = server::free_address()?;
    let mut command = server::command("limit", counts)?;
    Server::start(name, command.arg("empty").arg(address.to_string()), address)
}

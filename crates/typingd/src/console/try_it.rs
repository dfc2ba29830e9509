//! Commands to paste, for this gateway.

use axum::extract::Request;
use serde::Serialize;
use typingd_core::Name;
use typingd_providers::{AccountId, Example};

use super::gate;
use crate::dev;
use crate::directory::Directory;
use crate::gateway::Gateway;
use crate::origins::Scheme;

/// A command, and what it does.
#[derive(Serialize)]
pub(super) struct Command {
    title: &'static str,
    command: String,
}

/// One for each account of the tenant. In dev mode they have its credentials, which everybody knows, and elsewhere
/// variables.
pub(super) fn commands(
    gateway: &Gateway,
    directory: &Directory,
    tenant: &Name,
    request: &Request,
) -> Vec<Command> {
    let base_url = base_url(request);
    let accounts = directory.doors.iter().flat_map(|door| {
        let accounts = (0..).map(AccountId).map_while(|id| Some((id, door.account(id)?)));
        let own = accounts.filter(|(_, account)| account.tenant == *tenant);
        own.filter_map(|(id, _)| door.example(id, &base_url)).collect::<Vec<_>>()
    });
    let is_open = gateway.console.is_open();
    let filled_in = |Example { title, command }: Example| {
        let command = if is_open { dev::with_credentials(&command) } else { command };
        Command { title, command }
    };
    accounts.map(filled_in).collect()
}

/// Where the caller finds this gateway: by the name it has called it by.
fn base_url(request: &Request) -> String {
    let scheme = request.extensions().get().map_or("http", |scheme: &Scheme| scheme.as_str());
    let host = gate::host(request.headers()).map_or_else(|| "localhost".to_owned(), |host| host.to_string());
    format!("{scheme}://{host}")
}

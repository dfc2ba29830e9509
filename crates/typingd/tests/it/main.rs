//! The gateway as its callers meet it: over sockets, or in process under a clock that the test stops.
#![allow(
    clippy::unwrap_used,
    clippy::print_stdout,
    reason = "a test that cannot go on has failed, and figures are shown"
)]
#![allow(unreachable_pub, reason = "the support module is this binary's own")]

mod auth;
mod canary;
mod captures;
mod clients;
mod config;
mod config_upstreams;
mod connector;
mod console;
mod drain;
mod explain;
mod explain_calls;
mod fleet;
mod hardening;
mod hold_command;
mod holds;
mod life;
mod load;
mod native;
mod operators;
mod relay;
mod reload;
mod socket;
mod stream;
mod support;
mod tenants;
mod tls;
mod upstream_processes;
mod webhooks;

//! The socket, as a browser and as a stranger meet it.

mod claims;
pub mod client;
mod endings;
mod frames;
mod handshake;
mod quotas;
mod scope;
mod streams;
mod subscriptions;
mod talk;
mod tickets;
mod turns;

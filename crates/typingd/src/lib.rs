//! The typing-indicator gateway: every socket, task and clock of typingd lives in this crate.
//!
//! A signal's road, readable in this order: [`ingress`] finds the door, whose exchange asks the provider's codec, the engine
//! decides and its store commits, [`hub`] puts the change on the queues of those who watch, and [`subscribe::sse`]
//! writes it to the socket. Expiry enters the engine from [`sweeper`] and takes the same road.

pub mod api;
pub mod app;
pub mod body;
pub mod census;
pub mod client;
pub mod clock;
pub mod commits;
pub mod config;
pub mod console;
pub mod dev;
pub mod directory;
mod exchange;
pub mod fleet;
pub mod gateway;
pub mod history;
pub mod hmac;
pub mod hold;
pub mod holds;
pub mod hub;
pub mod ids;
pub mod ingress;
pub mod keys;
pub mod listener;
pub mod log;
pub mod metrics;
pub mod opened;
pub mod operators;
pub mod origins;
pub mod relay;
pub mod rsa;
pub mod serve;
mod shelf;
pub mod store;
pub mod subscribe;
pub mod sweeper;
pub mod tenants;
pub mod throttle;
mod through;
pub mod tickets;
pub mod tls;
pub mod webhooks;
pub mod wire;

//! The store against real servers, started here and stopped at the end.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

mod contract;
mod credentials;
mod faults;
mod fleet;
mod following;
mod keeping;
mod memory;
mod nodes;
mod servers;
mod told;
mod world;

//! The simulation's own tests.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

mod command;
mod runs;

//! The real program under load, and where it fails: killed, drained, reloaded, out of descriptors, beside those who
//! never read. What is asserted about time is generous; the figures themselves are printed.
//!
//! The tests take turns, so that one's load is not in another's figures.

pub mod client;
mod clock;
mod drain;
mod exhausted;
mod log;
pub mod program;
mod reload;
mod restart;
mod slow;

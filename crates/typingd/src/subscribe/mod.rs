//! Those who watch: what they are sent, and how.

pub mod attach;
pub mod event;
mod frame;
pub mod sse;
pub mod watch;
pub mod ws;

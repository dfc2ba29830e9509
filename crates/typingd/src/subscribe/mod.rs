//! Those who watch: what they are sent, and how.

pub mod attach;
pub mod event;
pub mod form;
mod frame;
mod part;
mod reader;
pub mod sse;
pub mod watch;
pub mod ws;

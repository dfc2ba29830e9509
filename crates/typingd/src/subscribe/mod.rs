//! Those who watch: what they are sent, and how.

pub mod event;
pub mod sse;

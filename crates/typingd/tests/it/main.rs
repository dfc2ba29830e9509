//! The gateway as its callers meet it: over sockets, or in process under a clock that the test stops.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

mod captures;
mod drain;
mod life;
mod native;
mod stream;
mod support;

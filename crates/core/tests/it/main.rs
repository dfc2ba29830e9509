//! The core's tests, from the table of single decisions to random schedules.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

mod near;
mod pacing;
mod schedules;
mod store;
mod transition;

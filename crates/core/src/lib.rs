//! Who is composing to whom, until when.
//!
//! This crate knows conversations, signals, leases and the rules that join them. It refuses to know where a signal
//! came from, what a provider is, how anything is written on a wire, and what time it is: it is handed a [`Time`] with
//! every call, and whoever drives it asks when the next deadline is. It has no runtime, and starts no task.
//!
//! A signal's road: [`Engine::say`] → [`Store::update`] → [`transition`] → the store commits, and publishes to its
//! [`Feed`]. Expiry takes the same road from [`Engine::sweep`].
//!
//! The words are those of RFC 3994 (composing), XEP-0085 (paused) and of leases; the glossary has them all.
//!
//! [`transition`]: transition::transition
//! [`Feed`]: store::Feed
//! [`Store::update`]: store::Store::update

pub mod conversation;
pub mod engine;
pub mod fleet;
pub mod lease;
pub mod pacing;
pub mod policy;
pub mod signal;
pub mod store;
pub mod time;
pub mod transition;

#[cfg(any(test, feature = "contract"))]
pub mod contract;

pub use conversation::{Conversation, Name, Role, Scope, Side, User};
pub use engine::Engine;
pub use lease::LeaseView;
pub use policy::Policy;
pub use signal::{Marks, Signal, Source, Utterance};
pub use store::Store;
pub use time::Time;
pub use transition::{ChangeKind, IgnoreReason, Outcome, StopReason, Verdict};

//! The one place where randomness is read.

use std::time::Duration;

use typingd_core::Conversation;
use typingd_providers::KeyHasher;
use uuid::{Builder, Uuid};

/// A name that nothing else has, and in which no order shows.
#[must_use]
#[expect(clippy::disallowed_methods, reason = "this is the place")]
pub fn unique() -> Uuid {
    Uuid::new_v4()
}

/// A hasher whose key lives as long as this process.
#[must_use]
pub fn key_hasher() -> KeyHasher {
    let mut key = [0; 32];
    key[..16].copy_from_slice(unique().as_bytes());
    key[16..].copy_from_slice(unique().as_bytes());
    KeyHasher::new(key)
}

/// Somewhere between `from` and `to`, so that many who were told at once do not come back at once.
#[must_use]
pub fn jitter(from: Duration, to: Duration) -> Duration {
    let random = unique().as_u128() as u32;
    from + to.saturating_sub(from).mul_f64(f64::from(random) / f64::from(u32::MAX))
}

/// The name of a conversation: the same for the same conversation, on every node and after every restart.
#[must_use]
pub fn of_conversation(conversation: &Conversation) -> Uuid {
    let mut hasher = blake3::Hasher::new_derive_key("typingd 2026 conversation identifier");
    let parts: [&str; 4] =
        [conversation.tenant(), conversation.channel(), conversation.agent(), conversation.user().as_str()];
    for part in parts {
        hasher.update(&(part.len() as u64).to_le_bytes()).update(part.as_bytes());
    }
    let mut bytes = [0; 16];
    bytes.copy_from_slice(&hasher.finalize().as_bytes()[..16]);
    Builder::from_custom_bytes(bytes).into_uuid()
}

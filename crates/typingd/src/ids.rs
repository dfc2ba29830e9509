//! The one place where randomness is read.

use std::cell::RefCell;
use std::hash::{Hash, Hasher};
use std::sync::LazyLock;
use std::time::Duration;

use blake3::hazmat::{ContextKey, HasherExt, hash_derive_key_context};
use http::HeaderName;
use smallvec::SmallVec;
use typingd_core::{Conversation, Name};
use uuid::{Builder, Uuid};

/// A name that nothing else has, and in which no order shows.
#[must_use]
pub fn unique() -> Uuid {
    Builder::from_random_bytes(POOL.with_borrow_mut(Pool::take)).into_uuid()
}

/// How many random bytes are asked of the system at once: a call to it costs more than they do.
const POOL_BYTES: usize = 4_096;

thread_local! {
    static POOL: RefCell<Pool> = const { RefCell::new(Pool { bytes: [0; POOL_BYTES], given: POOL_BYTES }) };
}

/// Random bytes that nobody has been given yet.
struct Pool {
    bytes: [u8; POOL_BYTES],
    given: usize,
}

impl Pool {
    #[expect(clippy::disallowed_methods, reason = "this is the place")]
    fn take(&mut self) -> [u8; 16] {
        if self.given == POOL_BYTES {
            getrandom::fill(&mut self.bytes).expect("the system has randomness");
            self.given = 0;
        }
        let mut taken = [0; 16];
        // What is given is not kept.
        self.bytes[self.given..self.given + 16].swap_with_slice(&mut taken);
        self.given += 16;
        taken
    }
}

/// A number that nothing else in the fleet has.
#[must_use]
pub fn number() -> u64 {
    unique().as_u64_pair().1
}

/// A key that nobody else has.
#[must_use]
pub fn secret_key() -> [u8; 32] {
    let mut key = [0; 32];
    key[..16].copy_from_slice(unique().as_bytes());
    key[16..].copy_from_slice(unique().as_bytes());
    key
}

/// What opens something to whoever shows it: 64 hexadecimal digits that nobody can guess, of 256 bits.
#[must_use]
pub fn token() -> String {
    // Of a unique name's 128 bits, 122 are random.
    let mut hasher = blake3::Hasher::new_derive_key("typingd 2026 token");
    (0..3).for_each(|_| {
        hasher.update(unique().as_bytes());
    });
    hasher.finalize().to_hex().to_string()
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
    static CONTEXT: LazyLock<ContextKey> =
        LazyLock::new(|| hash_derive_key_context("typingd 2026 conversation identifier"));
    let mut hasher = blake3::Hasher::new_from_context_key(&CONTEXT);
    let parts: [&str; 4] =
        [conversation.tenant(), conversation.channel(), conversation.agent(), conversation.user().as_str()];
    // All at once: each of several updates costs more than this copy.
    let mut whole: SmallVec<[u8; 256]> = SmallVec::new();
    for part in parts {
        whole.extend_from_slice(&(part.len() as u64).to_le_bytes());
        whole.extend_from_slice(part.as_bytes());
    }
    hasher.update(&whole);
    let mut bytes = [0; 16];
    bytes.copy_from_slice(&hasher.finalize().as_bytes()[..16]);
    Builder::from_custom_bytes(bytes).into_uuid()
}

/// A number by which to look a conversation up in this process. It was made under a key of the process's own with the
/// conversation, so that no stranger can choose it; two conversations may have the same.
#[must_use]
pub fn in_process(conversation: &Conversation) -> u64 {
    let mut hash = AsItIs::default();
    conversation.hash(&mut hash);
    hash.finish()
}

/// Takes a number that is a hash already for its hash.
#[derive(Debug, Default)]
pub(crate) struct AsItIs(u64);

impl Hasher for AsItIs {
    fn write(&mut self, bytes: &[u8]) {
        self.0 = bytes.iter().fold(self.0, |hash, byte| hash.rotate_left(8) ^ u64::from(*byte));
    }

    fn write_u64(&mut self, hash: u64) {
        self.0 = hash;
    }

    fn finish(&self) -> u64 {
        self.0
    }
}

/// A payload's id as it is remembered: of one size, whatever the caller made of it.
#[must_use]
pub fn of_payload(id: &str) -> Name {
    const DIGITS: &[u8; 16] = b"0123456789abcdef";
    let mut digits = [0; 24];
    let (twos, _) = digits.as_chunks_mut::<2>();
    for (two, byte) in twos.iter_mut().zip(blake3::hash(id.as_bytes()).as_bytes()) {
        *two = [byte >> 4, byte & 0xf].map(|half| DIGITS[usize::from(half)]);
    }
    Name::from_utf8(digits).expect("digits are text")
}

/// The header by which a caller may name its request, and by which it is named in the answer.
pub const REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");

/// The name of a request in the log: the caller's, where it can be no number of anybody's, else a new one.
#[must_use]
pub fn of_request(given: Option<&str>) -> String {
    let is_usable = |id: &&str| Uuid::try_parse(id).is_ok() || is_harmless(id);
    given.filter(is_usable).map_or_else(|| text(unique()), str::to_owned)
}

/// A name as text.
#[must_use]
pub fn text(name: Uuid) -> String {
    name.hyphenated().encode_lower(&mut Uuid::encode_buffer()).to_owned()
}

/// Short, of plain characters, and without as many digits as a phone number has, however it is divided.
fn is_harmless(id: &str) -> bool {
    let is_divider = |byte: u8| b"-_.".contains(&byte);
    let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || is_divider(byte);
    let undivided: Vec<u8> = id.bytes().filter(|byte| !is_divider(*byte)).collect();
    let longest_number = undivided.split(|byte| !byte.is_ascii_digit()).map(<[u8]>::len).max().unwrap_or(0);
    (1..=64).contains(&id.len()) && id.bytes().all(is_plain) && longest_number < 7
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_request_keeps_a_name_that_is_nobodys_number() {
        for (given, is_kept) in [
            ("abc-123", true),
            ("4bf92f35-77b3-4da6-a3ce-929d0e0e4736", true),
            ("4bf92f3577b34da6a3ce929d0e0e4736", true),
            ("14155550123", false),
            ("call-14155550123", false),
            ("1-415-555-0123", false),
            ("call.415.555.0123", false),
            ("2026-11-a", true),
            ("+1 415", false),
            ("", false),
            ("a b", false),
        ] {
            assert_eq!(of_request(Some(given)) == given, is_kept, "{given}");
        }
        assert_ne!(of_request(None), of_request(None));
    }
}

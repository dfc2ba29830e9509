//! Credentials: secrets that do not print themselves, and look-up that does not leak them.

use std::collections::HashMap;
use std::fmt;

use blake3::Hash;

/// A credential in clear. It prints itself masked and is never written out.
#[derive(Clone, PartialEq, Eq)]
pub struct Secret(String);

impl Secret {
    /// Takes a credential in clear.
    pub fn new(clear: impl Into<String>) -> Self {
        Self(clear.into())
    }

    /// The credential in clear, to be compared or sent.
    #[must_use]
    pub fn expose(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret(…)")
    }
}

/// Hashes credentials under a key of its own, so that neither a digest nor the time a look-up takes tells anything
/// about a credential to somebody who does not know the key.
#[derive(Clone)]
pub struct KeyHasher([u8; 32]);

impl KeyHasher {
    /// Hashes under this key, which should be random.
    #[must_use]
    pub const fn new(key: [u8; 32]) -> Self {
        Self(key)
    }

    /// The digest of a credential. Comparing two takes the same time wherever they differ.
    #[must_use]
    pub fn hash(&self, credential: &[u8]) -> Hash {
        blake3::keyed_hash(&self.0, credential)
    }
}

impl fmt::Debug for KeyHasher {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("KeyHasher(…)")
    }
}

/// Credentials, and what each stands for. Known or not, a look-up does the same work.
#[derive(Debug)]
pub struct KeyRing<T> {
    hasher: KeyHasher,
    held: HashMap<Hash, T>,
}

impl<T> KeyRing<T> {
    /// An empty ring.
    #[must_use]
    pub fn new(hasher: &KeyHasher) -> Self {
        Self { hasher: hasher.clone(), held: HashMap::new() }
    }

    /// Adds a credential. `what` says what it is, should it be refused.
    ///
    /// # Errors
    /// [`Claimed`] where the ring has it already.
    pub fn insert(&mut self, secret: &Secret, stands_for: T, what: &'static str) -> Result<(), Claimed> {
        match self.held.insert(self.hasher.hash(secret.expose().as_bytes()), stands_for) {
            None => Ok(()),
            Some(_) => Err(Claimed(what)),
        }
    }

    /// What a presented credential stands for.
    #[must_use]
    pub fn get(&self, presented: &[u8]) -> Option<&T> {
        self.held.get(&self.hasher.hash(presented))
    }
}

/// Two accounts claim what only one can have.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Claimed(pub &'static str);

impl fmt::Display for Claimed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "the same {} is claimed twice", self.0)
    }
}

impl std::error::Error for Claimed {}

//! Credentials: secrets that do not print themselves, and look-up that does not leak them.

use std::collections::{HashMap, HashSet};
use std::fmt;
use std::hash::{BuildHasherDefault, Hasher};

use blake3::Hash;

/// A credential: in clear, or as its digest under the gateway's key. It prints itself masked.
#[derive(Clone, PartialEq, Eq)]
pub enum Secret {
    /// In clear.
    Clear(String),
    /// As [`KeyHasher::hash`] gives it.
    Hashed(Hash),
}

impl Secret {
    /// Takes a credential in clear.
    pub fn new(clear: impl Into<String>) -> Self {
        Self::Clear(clear.into())
    }

    /// What it is, where that is known: a digest can be checked against and not be sent.
    #[must_use]
    pub fn clear(&self) -> Option<&str> {
        match self {
            Self::Clear(clear) => Some(clear),
            Self::Hashed(_) => None,
        }
    }

    /// Its digest.
    #[must_use]
    pub fn digest(&self, hasher: &KeyHasher) -> Hash {
        match self {
            Self::Clear(clear) => hasher.hash(clear.as_bytes()),
            Self::Hashed(digest) => *digest,
        }
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

/// A map by digest. A digest under a key that nobody knows is as good a hash as there is.
pub type ByDigest<T> = HashMap<Hash, T, BuildHasherDefault<DigestHasher>>;

/// A set of digests.
pub type Digests = HashSet<Hash, BuildHasherDefault<DigestHasher>>;

/// Takes the beginning of a digest for its hash.
#[derive(Debug, Default)]
pub struct DigestHasher(u64);

impl Hasher for DigestHasher {
    fn write(&mut self, digest: &[u8]) {
        self.0 = digest.first_chunk().map_or(0, |beginning| u64::from_le_bytes(*beginning));
    }

    fn write_usize(&mut self, _: usize) {}

    fn finish(&self) -> u64 {
        self.0
    }
}

/// Credentials, and what each stands for. Known or not, a look-up does the same work.
#[derive(Debug)]
pub struct KeyRing<T> {
    hasher: KeyHasher,
    held: ByDigest<T>,
}

impl<T> KeyRing<T> {
    /// An empty ring.
    #[must_use]
    pub fn new(hasher: &KeyHasher) -> Self {
        Self { hasher: hasher.clone(), held: ByDigest::default() }
    }

    /// Adds a credential. Says whether it was new to the ring.
    pub fn insert(&mut self, secret: &Secret, stands_for: T) -> bool {
        self.held.insert(secret.digest(&self.hasher), stands_for).is_none()
    }

    /// What a presented credential stands for.
    #[must_use]
    pub fn get(&self, presented: &[u8]) -> Option<&T> {
        self.held.get(&self.hasher.hash(presented))
    }
}

/// Two accounts claim what only one can have.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Claimed {
    /// The door at which.
    pub door: &'static str,
    /// The account that claims it as well, by its place among the door's accounts.
    pub account: usize,
    /// What it is; never the thing itself where it is a secret.
    pub what: &'static str,
    /// Where it can be said: the thing itself.
    pub by: Option<String>,
}

impl fmt::Display for Claimed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self { what, by: None, .. } => write!(f, "the same {what} is claimed twice"),
            Self { what, by: Some(claims), .. } => write!(f, "the same {what} is claimed twice: {claims}"),
        }
    }
}

impl std::error::Error for Claimed {}

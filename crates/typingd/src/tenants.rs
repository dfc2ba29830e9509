//! Maps by tenant. Whoever names tenants runs the gateway and has no reason to make its maps slow, so that their names need
//! no hash that withstands strangers.

use std::collections::HashMap;
use std::hash::{BuildHasherDefault, Hasher};

use typingd_core::Name;

/// A map by a tenant's name.
pub type ByTenant<T> = HashMap<Name, T, BuildHasherDefault<Fnv>>;

/// FNV-1a, of 64 bits.
#[derive(Debug)]
pub struct Fnv(u64);

impl Default for Fnv {
    fn default() -> Self {
        Self(0xcbf2_9ce4_8422_2325)
    }
}

impl Hasher for Fnv {
    fn write(&mut self, bytes: &[u8]) {
        self.0 =
            bytes.iter().fold(self.0, |hash, byte| (hash ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3));
    }

    fn finish(&self) -> u64 {
        self.0
    }
}

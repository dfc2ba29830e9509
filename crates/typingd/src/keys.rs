//! Making keys: peppers, token keys, and credentials with the digests that a configuration file may hold in their place.

use blake3::Hash;
use typingd_providers::KeyHasher;

use crate::config::secret::HASHED;
use crate::ids;

/// A new key of 32 bytes, as the configuration file has it.
#[must_use]
pub fn secret() -> String {
    Hash::from_bytes(ids::secret_key()).to_hex().to_string()
}

/// The digest of a credential, for the configuration file; and the credential too, where it is a new one.
#[must_use]
pub fn credential(hasher: &KeyHasher, given: Option<&str>) -> String {
    let digest = |clear: &str| format!("{HASHED}{}", hasher.hash(clear.as_bytes()).to_hex());
    match given {
        Some(clear) => digest(clear),
        None => {
            let clear = format!("tk_{}", secret());
            format!("credential  {clear}\nin the file  {}", digest(&clear))
        }
    }
}

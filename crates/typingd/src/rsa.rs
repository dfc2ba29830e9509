//! RS256 signatures, for the assertions that connected apps sign.

use std::fmt;

use aws_lc_rs::rsa::PublicEncryptingKey;
use aws_lc_rs::signature::{RSA_PKCS1_2048_8192_SHA256, UnparsedPublicKey};
use rustls_pki_types::SubjectPublicKeyInfoDer;
use rustls_pki_types::pem::PemObject;
use typingd_providers::salesforce::AssertionKey;

/// An RSA public key of 2048 bits or more.
pub struct RsaKey(UnparsedPublicKey<Vec<u8>>);

impl RsaKey {
    /// Reads a key in PEM form, `BEGIN PUBLIC KEY`; `None` where it is none, of another kind, or too short.
    #[must_use]
    pub fn from_pem(pem: &[u8]) -> Option<Self> {
        let key = SubjectPublicKeyInfoDer::from_pem_slice(pem).ok()?;
        PublicEncryptingKey::from_der(key.as_ref()).ok().filter(|key| key.key_size_bits() >= 2_048)?;
        let key = UnparsedPublicKey::new(&RSA_PKCS1_2048_8192_SHA256, key.as_ref().to_vec());
        Some(Self(key))
    }
}

impl AssertionKey for RsaKey {
    fn verifies(&self, message: &[u8], signature: &[u8]) -> bool {
        self.0.verify(message, signature).is_ok()
    }
}

impl fmt::Debug for RsaKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("RsaKey(…)")
    }
}

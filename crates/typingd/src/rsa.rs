//! RS256 signatures, for assertions: those that connected apps show us, and those by which we ask for tokens.

use std::fmt;

use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::rsa::{KeyPair, PublicEncryptingKey};
use aws_lc_rs::signature::{RSA_PKCS1_2048_8192_SHA256, RSA_PKCS1_SHA256, UnparsedPublicKey};
use rustls_pki_types::pem::PemObject;
use rustls_pki_types::{PrivateKeyDer, SubjectPublicKeyInfoDer};
use typingd_providers::salesforce::AssertionKey;
use typingd_providers::upstream::AssertionSigner;

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

/// An RSA private key of 2048 bits or more.
pub struct Signer(KeyPair);

impl Signer {
    /// Reads a key in PEM form, `BEGIN PRIVATE KEY` or `BEGIN RSA PRIVATE KEY`; `None` where it is none, of another
    /// kind, or too short.
    #[must_use]
    pub fn from_pem(pem: &[u8]) -> Option<Self> {
        let key = match PrivateKeyDer::from_pem_slice(pem).ok()? {
            PrivateKeyDer::Pkcs8(der) => KeyPair::from_pkcs8(der.secret_pkcs8_der()),
            PrivateKeyDer::Pkcs1(der) => KeyPair::from_der(der.secret_pkcs1_der()),
            _ => return None,
        };
        key.ok().filter(|key| key.public_modulus_len() >= 2_048 / 8).map(Self)
    }
}

impl AssertionSigner for Signer {
    fn sign(&self, message: &[u8]) -> Option<Vec<u8>> {
        let mut signature = vec![0; self.0.public_modulus_len()];
        // This kind of signature has nothing random in it; the interface asks for it all the same.
        self.0.sign(&RSA_PKCS1_SHA256, &SystemRandom::new(), message, &mut signature).ok()?;
        Some(signature)
    }
}

impl fmt::Debug for Signer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Signer(…)")
    }
}

//! HMAC-SHA512, by which Google signs what it tells.

use std::fmt;

use aws_lc_rs::hmac::{self, HMAC_SHA512};
use typingd_providers::rbm::BodyMac;

/// What messages are signed with.
pub struct HmacKey(hmac::Key);

impl HmacKey {
    /// Takes a key as it stands.
    #[must_use]
    pub fn new(key: &[u8]) -> Self {
        Self(hmac::Key::new(HMAC_SHA512, key))
    }
}

impl BodyMac for HmacKey {
    fn verifies(&self, message: &[u8], mac: &[u8]) -> bool {
        hmac::verify(&self.0, message, mac).is_ok()
    }
}

impl fmt::Debug for HmacKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("HmacKey(…)")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// RFC 4231: a key, a message, and what it comes to under HMAC-SHA-512.
    const KNOWN: [(&[u8], &[u8], &str); 3] = [
        (
            &[0x0b; 20],
            b"Hi There",
            "87aa7cdea5ef619d4ff0b4241a1d6cb02379f4e2ce4ec2787ad0b30545e17cdedaa833b7d6b8a702038b274eaea3f4e4be9d914eeb61f1702e696c203a126854",
        ),
        (
            b"Jefe",
            b"what do ya want for nothing?",
            "164b7a7bfcf819e2e395fbe73b56e0a387bd64222e831fd610270cd7ea2505549758bf75c05a994a6d034f65f8f0e6fdcaeab1a34d4a6b4b636e070a38bce737",
        ),
        (
            &[0xaa; 131],
            b"Test Using Larger Than Block-Size Key - Hash Key First",
            "80b24263c7c1a3ebb71493c1dd7be8b49b46d1f41b4aeec1121b013783f8f3526b56d037e05f2598bd0fd2215d6a1e5295e64f73f63f0aec8b915a985d786598",
        ),
    ];

    fn bytes(hex: &str) -> Vec<u8> {
        let digits = hex.as_bytes().chunks(2).map(|pair| std::str::from_utf8(pair).unwrap());
        digits.map(|pair| u8::from_str_radix(pair, 16).unwrap()).collect()
    }

    #[test]
    fn known_macs_verify_and_nothing_else_does() {
        for (key, message, mac) in KNOWN {
            let (key, mac) = (HmacKey::new(key), bytes(mac));
            assert!(key.verifies(message, &mac));
            assert!(!key.verifies(&message[1..], &mac), "another message");
            assert!(!HmacKey::new(b"other").verifies(message, &mac), "another key");
            for wrong in [&mac[..63], &mac[..32], &[], &[mac.as_slice(), &[0]].concat()] {
                assert!(!key.verifies(message, wrong), "{} bytes", wrong.len());
            }
            for at in [0, 31, 63] {
                let mut wrong = mac.clone();
                wrong[at] ^= 1;
                assert!(!key.verifies(message, &wrong), "byte {at}");
            }
        }
    }

    #[test]
    fn a_key_does_not_print_itself() {
        assert_eq!(format!("{:?}", HmacKey::new(b"secret")), "HmacKey(…)");
    }
}

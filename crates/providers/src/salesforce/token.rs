//! Access tokens that typingd issues itself: stateless and signed, so that a restart, or another node with the same
//! keys, takes them.
//!
//! A token is `<org id>!<payload>.<signature>`: the org's 15 characters in clear, as the vendor's tokens begin, then
//! base64url. The signature covers all that stands before it. Nothing of a token is believed before its signature is.

use std::fmt;

use base64::Engine;
use base64::prelude::BASE64_URL_SAFE_NO_PAD;
use blake3::Hash;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};

/// The longest token, in bytes.
const MAX_TOKEN: usize = 4 * 1024;

/// The keys of the tokens that typingd issues: the first signs, all verify, so that keys can be changed while tokens
/// are about. Every node has the same. They print themselves masked.
#[derive(Clone)]
pub struct TokenKeys {
    signing: [u8; 32],
    older: Vec<[u8; 32]>,
}

/// What a token stands for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Grant {
    /// The org's id, of 15 characters.
    pub(super) org_id: String,
    /// The connected app that asked for it; `None` where whoever asked was believed.
    pub(super) issuer: Option<String>,
    /// The user in whose name.
    pub(super) subject: String,
    /// The authorization contexts it is good for; `None` for all that the account has.
    pub(super) contexts: Option<Vec<String>>,
    /// From when on it is worth nothing, to the second.
    pub(super) expires_at: Timestamp,
}

/// What is signed beside the org's id. What one version does not know it must not pass over: it may be a limit.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Payload {
    #[serde(default, skip_serializing_if = "Option::is_none")]
    iss: Option<String>,
    sub: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    contexts: Option<Vec<String>>,
    exp: i64,
}

impl TokenKeys {
    /// Signs with the first of these secrets and takes what the older ones signed, too. They should be random.
    pub fn new(signing: [u8; 32], older: impl IntoIterator<Item = [u8; 32]>) -> Self {
        // What is signed here can be taken for nothing else, even where somebody uses a secret twice.
        let derive = |secret: [u8; 32]| blake3::derive_key("typingd 2026 Salesforce access token", &secret);
        Self { signing: derive(signing), older: older.into_iter().map(derive).collect() }
    }

    /// Writes a token; `None` where what it stands for is too long for one.
    pub(super) fn issue(&self, grant: &Grant) -> Option<String> {
        let payload = Payload {
            iss: grant.issuer.clone(),
            sub: grant.subject.clone(),
            contexts: grant.contexts.clone(),
            exp: grant.expires_at.as_second(),
        };
        let payload = serde_json::to_vec(&payload).expect("texts and numbers can always be written as JSON");
        let signed = format!("{}!{}", grant.org_id, BASE64_URL_SAFE_NO_PAD.encode(payload));
        let signature = blake3::keyed_hash(&self.signing, signed.as_bytes());
        let token = format!("{signed}.{}", BASE64_URL_SAFE_NO_PAD.encode(signature.as_bytes()));
        (token.len() <= MAX_TOKEN).then_some(token)
    }

    /// What a token stands for at `now`; `None` where it is nobody's, changed, or expired.
    pub(super) fn verify(&self, token: &str, now: Timestamp) -> Option<Grant> {
        if token.len() > MAX_TOKEN {
            return None;
        }
        let (signed, signature) = token.rsplit_once('.')?;
        let signature = BASE64_URL_SAFE_NO_PAD.decode(signature).ok()?;
        if !self.have_signed(signed, Hash::from_bytes(signature.try_into().ok()?)) {
            return None;
        }
        let (org_id, payload) = signed.split_once('!')?;
        let payload = BASE64_URL_SAFE_NO_PAD.decode(payload).ok()?;
        let Payload { iss, sub, contexts, exp } = serde_json::from_slice(&payload).ok()?;
        (now.as_second() < exp).then_some(Grant {
            org_id: org_id.to_owned(),
            issuer: iss,
            subject: sub,
            contexts,
            expires_at: Timestamp::from_second(exp).ok()?,
        })
    }

    /// Takes the same time wherever signatures differ, and whichever key it was.
    fn have_signed(&self, signed: &str, signature: Hash) -> bool {
        let keys = std::iter::once(&self.signing).chain(&self.older);
        keys.fold(false, |found, key| found | (blake3::keyed_hash(key, signed.as_bytes()) == signature))
    }
}

impl fmt::Debug for TokenKeys {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("TokenKeys(…)")
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const NOW: Timestamp = Timestamp::constant(1_762_336_800, 0);

    fn keys() -> TokenKeys {
        TokenKeys::new([1; 32], [])
    }

    fn grant() -> Grant {
        Grant {
            org_id: "00Ddev000000000".to_owned(),
            issuer: Some("3MVG9app".to_owned()),
            subject: "connector@acme.example".to_owned(),
            contexts: Some(vec!["Dev_Channel".to_owned()]),
            expires_at: Timestamp::constant(1_762_336_800 + 7_200, 0),
        }
    }

    #[test]
    fn a_token_stands_for_what_was_granted() {
        for grant in [
            grant(),
            Grant { issuer: None, contexts: None, ..grant() },
            Grant { contexts: Some(vec![]), ..grant() },
        ] {
            let token = keys().issue(&grant).unwrap();
            assert!(
                token.starts_with("00Ddev000000000!") && token.bytes().all(|byte| byte.is_ascii_graphic())
            );
            assert_eq!(keys().verify(&token, NOW), Some(grant));
        }
    }

    #[test]
    fn a_token_lasts_until_the_second_it_names() {
        let token = keys().issue(&grant()).unwrap();
        let at = |second: i64, nanosecond: i32| Timestamp::new(1_762_336_800 + second, nanosecond).unwrap();
        for (now, is_good) in [
            (at(0, 0), true),
            (at(7_199, 999_999_999), true),
            (at(7_200, 0), false),
            (at(7_201, 0), false),
            (Timestamp::MAX, false),
            (Timestamp::MIN, true),
        ] {
            assert_eq!(keys().verify(&token, now).is_some(), is_good, "{now}");
        }
    }

    #[test]
    fn keys_change_without_a_gap() {
        let (old, both, new) =
            (keys(), TokenKeys::new([2; 32], [[1; 32], [0; 32]]), TokenKeys::new([2; 32], []));
        let (of_old, of_both) = (old.issue(&grant()).unwrap(), both.issue(&grant()).unwrap());
        for (what, keys, token, is_good) in [
            ("an older key still verifies", &both, &of_old, true),
            ("the first key signs", &new, &of_both, true),
            ("a key to come is not known", &old, &of_both, false),
            ("a key taken away verifies nothing", &new, &of_old, false),
        ] {
            assert_eq!(keys.verify(token, NOW).is_some(), is_good, "{what}");
        }
        assert_eq!(format!("{both:?}"), "TokenKeys(…)");
    }

    #[test]
    fn a_token_changed_anywhere_is_worth_nothing() {
        let token = keys().issue(&grant()).unwrap();
        for at in 0..token.len() {
            for with in ["A", "B", "!", ".", "=", " ", "é", ""] {
                let mut changed = token.clone();
                changed.replace_range(at..=at, with);
                assert_eq!(keys().verify(&changed, NOW).is_some(), changed == token, "{changed}");
            }
            assert_eq!(keys().verify(&token[..at], NOW), None, "cut off at {at}");
        }
    }

    #[test]
    fn what_is_no_token_is_worth_nothing() {
        let token = keys().issue(&grant()).unwrap();
        let (signed, signature) = token.rsplit_once('.').unwrap();
        let mac = |signed: &str| {
            BASE64_URL_SAFE_NO_PAD.encode(blake3::keyed_hash(&keys().signing, signed.as_bytes()).as_bytes())
        };
        let own = |signed: &str| format!("{signed}.{}", mac(signed));
        let unknown = BASE64_URL_SAFE_NO_PAD.encode(r#"{"iss":"a","sub":"b","exp":9999999999,"limit":1}"#);
        let foreign = blake3::keyed_hash(&[1; 32], signed.as_bytes());
        for (what, token) in [
            ("nothing", String::new()),
            ("null", "null".to_owned()),
            ("a dot", ".".to_owned()),
            ("another org's", token.replace("00Ddev000000000", "00Ddev000000002")),
            ("no signature", format!("{signed}.")),
            ("a longer signature", format!("{token}AAAA")),
            ("a padded signature", format!("{token}=")),
            ("twice", format!("{token}.{signature}")),
            (
                "signed without derivation",
                format!("{signed}.{}", BASE64_URL_SAFE_NO_PAD.encode(foreign.as_bytes())),
            ),
            ("well signed, no payload", own("00Ddev000000000!")),
            ("well signed, no org", own("e30")),
            ("well signed, not base64url", own("00Ddev000000000!{}")),
            ("well signed, with a claim not known", own(&format!("00Ddev000000000!{unknown}"))),
            ("huge", own(&"A".repeat(MAX_TOKEN))),
        ] {
            assert_eq!(keys().verify(&token, NOW), None, "{what}");
        }
    }

    #[test]
    fn what_would_make_a_token_too_long_gets_none() {
        let long = |length| Grant { subject: "x".repeat(length), ..grant() };
        assert_eq!(keys().issue(&long(MAX_TOKEN)), None);
        let longest = (0..MAX_TOKEN).rev().find_map(|length| keys().issue(&long(length))).unwrap();
        assert!(longest.len() > MAX_TOKEN - 4);
        assert!(keys().verify(&longest, NOW).is_some());
    }

    proptest! {
        #[test]
        fn any_text_is_verified(text in any::<String>(), near in "[A-Za-z0-9_!.-]{0,120}") {
            prop_assert_eq!(keys().verify(&text, NOW), None);
            prop_assert_eq!(keys().verify(&near, NOW), None);
        }
    }
}

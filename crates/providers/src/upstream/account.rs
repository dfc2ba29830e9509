//! What an upstream account has at every provider: where it is, and what our agents are called there.

use std::collections::BTreeMap;
use std::fmt;

use http::uri::{PathAndQuery, Scheme};
use http::{HeaderValue, Uri};
use typingd_core::Name;

use crate::keys::Secret;

/// The part of an upstream account that all providers share.
#[derive(Clone, Debug)]
pub struct Account {
    /// Where its API is, as in `https://api.example` or with a path before the paths.
    pub base_url: String,
    /// Our agents, and what they are called there. Those not among them have one name.
    pub agents: BTreeMap<Name, Name>,
}

/// A setting with which nothing could be sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Unusable {
    /// The provider.
    pub provider: &'static str,
    /// The setting's name.
    pub setting: &'static str,
    /// What it should be.
    pub expected: &'static str,
}

impl fmt::Display for Unusable {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { setting, expected, .. } = self;
        write!(f, "`{setting}` is not valid: expected {expected}")
    }
}

impl std::error::Error for Unusable {}

/// An account's shared part, checked.
#[derive(Clone, Debug)]
pub(crate) struct Site {
    pub(crate) base: BaseUrl,
    agents: BTreeMap<Name, Name>,
}

impl Site {
    pub(crate) fn new(provider: &'static str, account: Account) -> Result<Self, Unusable> {
        let base = BaseUrl::parse(provider, "base_url", &account.base_url)?;
        Ok(Self { base, agents: account.agents })
    }

    /// What the provider calls an agent of ours.
    pub(crate) fn agent<'a>(&'a self, ours: &'a str) -> &'a str {
        self.agents.get(ours).map_or(ours, Name::as_str)
    }
}

/// Where an API is: a scheme, a host, and a path without a slash at its end.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct BaseUrl(String);

impl BaseUrl {
    pub(crate) fn parse(provider: &'static str, setting: &'static str, text: &str) -> Result<Self, Unusable> {
        let expected = "an http or https URL without user, query and fragment";
        let parsed = text.parse::<Uri>().ok().filter(|uri| {
            let has_host = uri.authority().is_some_and(|host| !host.as_str().contains('@'));
            let is_http = uri.scheme().is_some_and(|one| *one == Scheme::HTTP || *one == Scheme::HTTPS);
            // A fragment is dropped without a word where a URI is parsed.
            has_host && is_http && uri.query().is_none() && !text.contains('#')
        });
        let base = parsed.map(|_| Self(text.trim_end_matches('/').to_owned()));
        base.ok_or(Unusable { provider, setting, expected })
    }

    /// What is found there under this path.
    pub(crate) fn at(&self, path_and_query: &str) -> Option<Uri> {
        // A path that cannot be one must not turn into another host's.
        path_and_query.parse::<PathAndQuery>().ok()?;
        format!("{}{path_and_query}", self.0).parse().ok()
    }
}

/// A header's value that prints itself masked, made of a secret in clear. One that is known by its digest alone cannot
/// be sent to anybody.
pub(crate) fn header(
    provider: &'static str,
    setting: &'static str,
    secret: &Secret,
    dress: impl FnOnce(&str) -> String,
) -> Result<HeaderValue, Unusable> {
    let expected = "a secret in clear, not empty, that can stand in a header";
    let clear = secret.clear().filter(|clear| !clear.is_empty());
    let value = clear.and_then(|clear| HeaderValue::from_str(&dress(clear)).ok());
    let mut value = value.ok_or(Unusable { provider, setting, expected })?;
    value.set_sensitive(true);
    Ok(value)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_base_url_is_a_place_and_nothing_more() {
        for (text, expected) in [
            ("https://api.example", Some("https://api.example/v1?a=b")),
            ("https://api.example/", Some("https://api.example/v1?a=b")),
            ("http://127.0.0.1:8080/pinnacle", Some("http://127.0.0.1:8080/pinnacle/v1?a=b")),
            ("https://[::1]:1/a/", Some("https://[::1]:1/a/v1?a=b")),
            ("HTTPS://api.example", Some("https://api.example/v1?a=b")),
            ("", None),
            ("api.example", None),
            ("/v1", None),
            ("ftp://api.example", None),
            ("https://user:secret@api.example", None),
            ("https://api.example?a=b", None),
            ("https://api.example/#a", None),
            ("https://", None),
        ] {
            let base = BaseUrl::parse("test", "base_url", text).ok();
            let seen = base.map(|base| base.at("/v1?a=b").map(|uri| uri.to_string()));
            assert_eq!(seen.flatten().as_deref(), expected, "{text}");
        }
        let base = BaseUrl::parse("test", "base_url", "https://api.example").unwrap();
        for path in ["", "v1", ".evil.example/", "@evil.example/", "/a b", "/\n"] {
            assert_eq!(base.at(path), None, "{path:?}");
        }
    }

    #[test]
    fn a_secret_in_a_header_is_in_clear_and_masked() {
        let of = |secret: Secret| header("test", "key", &secret, |clear| format!("Bearer {clear}"));
        let value = of(Secret::new("s3cret")).unwrap();
        assert_eq!(value.to_str().ok(), Some("Bearer s3cret"));
        assert_eq!(format!("{value:?}"), "Sensitive");
        for secret in
            [Secret::new(""), Secret::new("a\nb"), Secret::Hashed(blake3::Hash::from_bytes([1; 32]))]
        {
            assert!(of(secret).is_err());
        }
    }
}

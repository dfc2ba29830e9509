//! Reading a request's head.

use http::header::{AUTHORIZATION, AsHeaderName, CONTENT_TYPE, HeaderMap, HeaderValue};
use memchr::memchr;

/// What was sent of one header.
#[derive(Clone, Copy, Debug, Default)]
pub enum Sent<'h> {
    /// Nothing.
    #[default]
    Nothing,
    /// One value.
    Once(&'h HeaderValue),
    /// More than one.
    Again,
}

impl<'h> Sent<'h> {
    /// The one value; `None` where it is missing, sent twice or not text.
    #[must_use]
    pub fn text(self) -> Option<&'h str> {
        if let Self::Once(value) = self { value.to_str().ok() } else { None }
    }

    /// Whether the header was sent at all.
    #[must_use]
    pub fn is_sent(self) -> bool {
        !matches!(self, Self::Nothing)
    }
}

/// What was sent of each of these headers, named in lower case: one look over all that came costs less than a search for
/// each.
#[inline]
#[must_use]
pub fn pick<'h, const COUNT: usize>(headers: &'h HeaderMap, names: [&str; COUNT]) -> [Sent<'h>; COUNT] {
    let mut picked = [Sent::Nothing; COUNT];
    for (name, value) in headers {
        let name = name.as_str();
        if let Some(at) = names.iter().position(|wanted| *wanted == name) {
            picked[at] = if picked[at].is_sent() { Sent::Again } else { Sent::Once(value) };
        }
    }
    picked
}

/// The one value of a header; `None` where it is missing, sent twice or not text.
#[must_use]
pub fn single(headers: &HeaderMap, name: impl AsHeaderName) -> Option<&str> {
    let mut values = headers.get_all(name).iter();
    let value = values.next()?;
    if values.next().is_some() { None } else { value.to_str().ok() }
}

/// Whether the header was sent at all.
#[must_use]
pub fn is_sent(headers: &HeaderMap, name: impl AsHeaderName) -> bool {
    headers.contains_key(name)
}

/// What follows the scheme of `Authorization`, if it is this scheme, in any letter case.
#[must_use]
pub fn authorization<'h>(headers: &'h HeaderMap, scheme: &str) -> Option<&'h str> {
    credentials(single(headers, AUTHORIZATION)?, scheme)
}

/// What follows the scheme in a value of `Authorization`, if it is this scheme, in any letter case.
#[must_use]
pub fn credentials<'h>(authorization: &'h str, scheme: &str) -> Option<&'h str> {
    let (sent, credentials) = authorization.split_at_checked(scheme.len())?;
    let mut credentials = credentials.strip_prefix(' ')?;
    while let Some(rest) = credentials.strip_prefix(' ') {
        credentials = rest;
    }
    (sent == scheme || sent.eq_ignore_ascii_case(scheme)).then_some(credentials)
}

/// Whether a path is this one or one below it.
#[must_use]
pub fn is_under(path: &str, base: &str) -> bool {
    path.strip_prefix(base).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
}

/// Whether a path is one that the gateway serves itself, beside its doors: no provider is meant.
#[must_use]
pub fn is_own_path(path: &str) -> bool {
    path == "/" || is_under(path, "/typing") || is_under(path, "/webhooks") || path.starts_with("/console")
}

/// Whether the body is said to be of this media type, in any letter case, whatever its parameters.
#[must_use]
pub fn is_media_type(headers: &HeaderMap, media_type: &str) -> bool {
    names_media_type(single(headers, CONTENT_TYPE), media_type)
}

/// Whether a value of `Content-Type` names this media type, in any letter case, whatever its parameters.
#[must_use]
pub fn names_media_type(content_type: Option<&str>, media_type: &str) -> bool {
    let sent = content_type.unwrap_or_default();
    let end = memchr(b';', sent.as_bytes()).unwrap_or(sent.len());
    let sent = sent[..end].trim_ascii();
    sent == media_type || sent.eq_ignore_ascii_case(media_type)
}

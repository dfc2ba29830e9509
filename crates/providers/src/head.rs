//! Reading a request's head.

use http::header::{AUTHORIZATION, AsHeaderName, CONTENT_TYPE, HeaderMap};
use memchr::memchr;

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
    let (sent, credentials) = single(headers, AUTHORIZATION)?.split_at_checked(scheme.len())?;
    let is_it = sent.eq_ignore_ascii_case(scheme) && credentials.starts_with(' ');
    is_it.then(|| credentials.trim_start_matches(' '))
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
    let sent = single(headers, CONTENT_TYPE).unwrap_or_default();
    let end = memchr(b';', sent.as_bytes()).unwrap_or(sent.len());
    sent[..end].trim().eq_ignore_ascii_case(media_type)
}

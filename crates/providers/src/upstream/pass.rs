//! A request that came to a door, on its way to the provider's own API: what stays of it, and what must not.

use bytes::Bytes;
use http::header::{
    AUTHORIZATION, CONNECTION, CONTENT_LENGTH, COOKIE, EXPECT, FORWARDED, HOST, TE, TRAILER,
    TRANSFER_ENCODING, UPGRADE, VIA,
};
use http::request::Parts;
use http::{HeaderMap, HeaderName, HeaderValue, Request};
use typingd_core::Name;

use super::BaseUrl;
use super::query;
use crate::head;

/// What holds of one connection, or says where somebody came from; `proxy-…` and `x-forwarded-…` beside them.
const NEARBY: [HeaderName; 15] = [
    CONNECTION,
    COOKIE,
    EXPECT,
    FORWARDED,
    HOST,
    HeaderName::from_static("keep-alive"),
    TE,
    TRAILER,
    TRANSFER_ENCODING,
    UPGRADE,
    VIA,
    HeaderName::from_static("cf-connecting-ip"),
    HeaderName::from_static("true-client-ip"),
    HeaderName::from_static("x-client-ip"),
    HeaderName::from_static("x-real-ip"),
];

/// The credentials at any door, and at the providers' other APIs: not one is passed to any provider.
const CREDENTIALS: [HeaderName; 11] = [
    AUTHORIZATION,
    HeaderName::from_static("api-key"),
    HeaderName::from_static("authorizationcontext"),
    HeaderName::from_static("orgid"),
    HeaderName::from_static("pinnacle-api-key"),
    HeaderName::from_static("pinnacle-signing-secret"),
    HeaderName::from_static("x-access-token"),
    HeaderName::from_static("x-api-key"),
    HeaderName::from_static("x-auth-token"),
    HeaderName::from_static("x-goog-api-key"),
    HeaderName::from_static("x-sfdc-session"),
];

/// A request that a door took and that goes on to the provider.
pub struct Passing<'a> {
    /// Its head.
    pub head: &'a Parts,
    /// Its path, as [`Provider::path_inside`](crate::Provider::path_inside) gave it.
    pub path: &'a str,
    /// The whole body, or its lead; empty where nothing was read.
    pub lead: Bytes,
    /// The provider's name for an agent as this door calls it; `None` where it stays as it is.
    pub rename: &'a dyn Fn(&str) -> Option<Name>,
}

impl Passing<'_> {
    /// Its query, without credentials.
    pub(crate) fn query(&self) -> Option<String> {
        let query = self.head.uri.query().and_then(query::without_credentials);
        query.map(std::borrow::Cow::into_owned)
    }

    /// The request without any credentials, at this path and query, with `lead` in place of its own where that changed;
    /// `None` where it cannot be made. What follows the lead stays as it is.
    pub(crate) fn request(
        &self,
        base: &BaseUrl,
        path: &str,
        query: Option<&str>,
        lead: Option<Vec<u8>>,
    ) -> Option<Request<Bytes>> {
        if !is_path(path) {
            return None;
        }
        let uri = match query {
            Some(query) => base.at(&format!("{path}?{query}"))?,
            None => base.at(path)?,
        };
        let mut headers = kept(&self.head.headers);
        let lead = match lead {
            Some(lead) => {
                correct_length(&mut headers, self.lead.len(), lead.len())?;
                lead.into()
            }
            None => self.lead.clone(),
        };
        let mut request = Request::new(lead);
        *request.method_mut() = self.head.method.clone();
        *request.uri_mut() = uri;
        *request.headers_mut() = headers;
        Some(request)
    }
}

/// Whether a path says in one way only where it leads: without dots as segments, which would climb out of what was
/// checked, without empty segments, and without escapes of what needs none or of what divides, by which one path is
/// written as another.
#[must_use]
pub fn is_path(path: &str) -> bool {
    let is_odd = |segment: &str| segment == "." || segment.starts_with("..");
    let inner = path.strip_prefix('/').unwrap_or(path);
    let has_empty = path.contains("//");
    let escapes = path.split('%').skip(1);
    path.starts_with('/')
        && !has_empty
        && !path.contains(['?', '#', '\\'])
        && !inner.split('/').any(is_odd)
        && escapes.map(|rest| rest.get(..2)).all(|digits| digits.is_some_and(is_needed))
}

/// Whether a character must be escaped to stand in a path, by the two digits of its escape, and is no divider.
fn is_needed(digits: &str) -> bool {
    let byte = u8::from_str_radix(digits, 16).ok().filter(|_| !digits.starts_with('+'));
    let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-._~".contains(&byte);
    byte.is_some_and(|byte| !is_plain(byte) && !b"/\\".contains(&byte) && !byte.is_ascii_control())
}

/// What goes on of a request's headers, in their order.
fn kept(headers: &HeaderMap) -> HeaderMap {
    let named = named_by_connection(headers);
    let is_length_unsure = headers.contains_key(TRANSFER_ENCODING);
    let stays = |name: &HeaderName| {
        let text = name.as_str();
        !(NEARBY.contains(name)
            || CREDENTIALS.contains(name)
            || text.starts_with("proxy-")
            || text.starts_with("x-forwarded-")
            || named.contains(name)
            || is_length_unsure && name == CONTENT_LENGTH)
    };
    let mut kept = HeaderMap::with_capacity(headers.len());
    for (name, value) in headers.iter().filter(|(name, _)| stays(name)) {
        kept.append(name, value.clone());
    }
    kept
}

/// The headers that hold of this connection only because `Connection` says so.
fn named_by_connection(headers: &HeaderMap) -> Vec<HeaderName> {
    let values = headers.get_all(CONNECTION).iter();
    let names = values.flat_map(|value| value.as_bytes().split(|byte| *byte == b','));
    names.filter_map(|name| HeaderName::from_bytes(name.trim_ascii()).ok()).collect()
}

/// Says the length that the body has now; `None` where it said one that cannot be.
fn correct_length(headers: &mut HeaderMap, old: usize, new: usize) -> Option<()> {
    if !headers.contains_key(CONTENT_LENGTH) {
        return Some(());
    }
    let said: u64 = head::single(headers, CONTENT_LENGTH.as_str())?.parse().ok()?;
    let rest = said.checked_sub(u64::try_from(old).ok()?)?;
    let length = rest.checked_add(u64::try_from(new).ok()?)?;
    headers.insert(CONTENT_LENGTH, HeaderValue::from(length));
    Some(())
}

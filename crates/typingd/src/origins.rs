//! Which web pages may come in.

use std::net::IpAddr;

use http::header::{ACCESS_CONTROL_ALLOW_ORIGIN, HOST, HeaderMap, HeaderValue, ORIGIN, VARY};
use http::uri::Authority;
use typingd_providers::head;

/// The origins whose pages may open sockets and streams.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Origins {
    /// Those listed, as in `https://desk.example.com`.
    pub allowed: Vec<String>,
    /// Whether only this machine's own browsers come in: then pages of this machine may, whatever their port.
    pub is_local: bool,
}

impl Origins {
    /// Lets pages of the same origin and of those listed in, and callers that are no pages.
    ///
    /// # Errors
    /// [`ForeignPage`] for every other.
    pub fn check(&self, headers: &HeaderMap) -> Result<(), ForeignPage> {
        if self.is_local && !is_to_this_machine(headers) {
            // A name that a stranger had resolved to this machine makes his page look like one of ours.
            return Err(ForeignPage);
        }
        if !headers.contains_key(ORIGIN) {
            return Ok(());
        }
        let origin = head::single(headers, ORIGIN.as_str()).ok_or(ForeignPage)?;
        let is_allowed = self.allowed.iter().any(|allowed| allowed == origin)
            || is_own(headers)
            || (self.is_local && authority(origin).is_some_and(is_local_host));
        if is_allowed { Ok(()) } else { Err(ForeignPage) }
    }

    /// Whether a text is an origin as browsers write it.
    #[must_use]
    pub fn is_origin(text: &str) -> bool {
        authority(text).is_some_and(|authority| {
            authority.parse::<Authority>().is_ok_and(|read| read.as_str() == authority)
                && !authority.contains(['@', '*'])
                && !authority.bytes().any(|byte| byte.is_ascii_uppercase())
        })
    }

    /// Lets the page that a request came from read the answer. The request was let in before.
    pub fn expose(headers: &HeaderMap, answer: &mut HeaderMap<HeaderValue>) {
        if let Some(origin) = headers.get(ORIGIN) {
            answer.insert(ACCESS_CONTROL_ALLOW_ORIGIN, origin.clone());
        }
        answer.insert(VARY, HeaderValue::from_static("Origin"));
    }
}

/// A request is of a web page that may not come in.
#[derive(Clone, Copy, Debug)]
pub struct ForeignPage;

/// Whether a request calls the gateway by a name of this machine.
pub(crate) fn is_to_this_machine(headers: &HeaderMap) -> bool {
    head::single(headers, HOST.as_str()).is_some_and(is_local_host)
}

/// Whether a request is of a page that came from here.
pub(crate) fn is_own(headers: &HeaderMap) -> bool {
    let origin = head::single(headers, ORIGIN.as_str());
    let host = head::single(headers, HOST.as_str());
    origin.and_then(authority).zip(host).is_some_and(|(origin, host)| origin.eq_ignore_ascii_case(host))
}

fn authority(origin: &str) -> Option<&str> {
    origin.strip_prefix("https://").or_else(|| origin.strip_prefix("http://"))
}

/// Whether an authority, with or without a port, is this machine under a name of its own.
fn is_local_host(authority: &str) -> bool {
    let host = match authority.rsplit_once(':') {
        Some((host, port)) if port.bytes().all(|byte| byte.is_ascii_digit()) => host,
        _ => authority,
    };
    let address = host.strip_prefix('[').and_then(|host| host.strip_suffix(']')).unwrap_or(host);
    host.eq_ignore_ascii_case("localhost")
        || address.parse::<IpAddr>().is_ok_and(|address| address.is_loopback())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(origins: &Origins, host: &str, origin: &str) -> bool {
        let mut headers = HeaderMap::new();
        headers.insert(HOST, HeaderValue::try_from(host).unwrap());
        if !origin.is_empty() {
            headers.insert(ORIGIN, HeaderValue::try_from(origin).unwrap());
        }
        origins.check(&headers).is_ok()
    }

    #[test]
    fn pages_come_in_from_where_was_said() {
        let listed = Origins { allowed: vec!["https://desk.example.com".into()], is_local: false };
        let local = Origins { allowed: Vec::new(), is_local: true };
        for (origins, host, origin, is_let_in) in [
            (&listed, "typing.example.com", "", true),
            (&listed, "typing.example.com", "https://desk.example.com", true),
            (&listed, "typing.example.com", "https://typing.example.com", true),
            (&listed, "typing.example.com", "http://desk.example.com", false),
            (&listed, "typing.example.com", "https://desk.example.com.evil.example", false),
            (&listed, "typing.example.com", "https://desk.example.com:8443", false),
            (&listed, "typing.example.com", "http://localhost:3000", false),
            (&listed, "typing.example.com", "null", false),
            (&local, "127.0.0.1:8080", "", true),
            (&local, "localhost:8080", "http://localhost:8080", true),
            (&local, "[::1]:8080", "http://127.0.0.1:3000", true),
            (&local, "127.0.0.1:8080", "https://evil.example", false),
            (&local, "evil.example:8080", "http://evil.example:8080", false),
            (&local, "evil.example:8080", "", false),
            (&local, "localhost.evil.example", "", false),
            (&local, "127.0.0.1:8080", "http://127.0.0.1.evil.example", false),
        ] {
            assert_eq!(check(origins, host, origin), is_let_in, "{host} {origin}");
        }
    }
}

//! Which web pages may come in.

use std::net::IpAddr;

use http::header::{ACCESS_CONTROL_ALLOW_ORIGIN, HOST, HeaderMap, HeaderValue, ORIGIN, VARY};
use http::uri::Authority;
use typingd_providers::head::{self, Sent};

/// The header by which browsers say whose page a request is of.
pub const FETCH_SITE: &str = "sec-fetch-site";

/// The origins whose pages may open sockets and streams.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Origins {
    /// Those listed, as in `https://desk.example.com`.
    pub allowed: Vec<String>,
    /// Whether only this machine's own browsers come in: then pages of this machine may, whatever their port.
    pub is_local: bool,
}

impl Origins {
    /// Whether a request calls the gateway by a name that it goes by. Where only this machine's own browsers come in, a
    /// name that a stranger had resolved to this machine makes his page look like one of ours.
    ///
    /// # Errors
    /// Says what is wrong.
    pub fn check_name(&self, headers: &HeaderMap) -> Result<(), &'static str> {
        if self.is_local && !is_to_this_machine(headers) {
            return Err("dev mode is called by a name of this machine alone, such as localhost");
        }
        Ok(())
    }

    /// Lets all in but what a page of another site has made its visitor's browser send. Such a page cannot read the
    /// answer, and could have its visitor's address barred for wrong credentials. `fetch_site` is what was sent of
    /// [`FETCH_SITE`].
    ///
    /// # Errors
    /// Says what is wrong.
    pub fn check_site(
        &self,
        fetch_site: Sent<'_>,
        headers: &HeaderMap,
        scheme: Option<Scheme>,
    ) -> Result<(), &'static str> {
        let is_elsewhere = matches!(fetch_site.text(), Some("cross-site" | "same-site"));
        if is_elsewhere && (!headers.contains_key(ORIGIN) || self.check(headers, scheme).is_err()) {
            return Err("this is not for pages of another site");
        }
        Ok(())
    }

    /// Lets pages of the same origin and of those listed in, and callers that are no pages. `scheme` is what browsers
    /// reach the gateway by, where that is known.
    ///
    /// # Errors
    /// [`ForeignPage`] for every other.
    pub fn check(&self, headers: &HeaderMap, scheme: Option<Scheme>) -> Result<(), ForeignPage> {
        if !headers.contains_key(ORIGIN) {
            return Ok(());
        }
        let origin = head::single(headers, ORIGIN).ok_or(ForeignPage)?;
        let is_allowed = self.allowed.iter().any(|allowed| allowed == origin)
            || is_own(headers, scheme)
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
    head::single(headers, HOST).is_some_and(is_local_host)
}

/// How browsers reach the gateway.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Scheme {
    /// In clear.
    Http,
    /// Over TLS, which the gateway ends or its proxy.
    Https,
}

impl Scheme {
    /// As it is written.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Http => "http",
            Self::Https => "https",
        }
    }

    /// The one of this name.
    pub(crate) fn named(name: &str) -> Option<Self> {
        [Self::Http, Self::Https].into_iter().find(|scheme| scheme.as_str() == name)
    }
}

/// Whether a request is of a page that came from here. Where the gateway's scheme is not known, a page that came in
/// clear counts as one that came over TLS.
pub(crate) fn is_own(headers: &HeaderMap, scheme: Option<Scheme>) -> bool {
    let origin = head::single(headers, ORIGIN).and_then(parts);
    let host = head::single(headers, HOST);
    origin.zip(host).is_some_and(|((of_page, origin), host)| {
        origin.eq_ignore_ascii_case(host) && scheme.is_none_or(|scheme| scheme == of_page)
    })
}

fn parts(origin: &str) -> Option<(Scheme, &str)> {
    let (scheme, authority) = origin.split_once("://")?;
    Some((Scheme::named(scheme)?, authority))
}

fn authority(origin: &str) -> Option<&str> {
    parts(origin).map(|(_, authority)| authority)
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

    #[test]
    fn what_another_sites_page_has_a_browser_send_is_not_let_in() {
        let origins = Origins { allowed: vec!["https://desk.example.com".into()], is_local: false };
        for (site, origin, is_let_in) in [
            ("", "", true),
            ("", "https://evil.example", true),
            ("none", "", true),
            ("same-origin", "", true),
            ("same-site", "", false),
            ("cross-site", "", false),
            ("cross-site", "https://evil.example", false),
            ("cross-site", "null", false),
            ("cross-site", "https://desk.example.com", true),
            ("same-site", "https://desk.example.com", true),
        ] {
            let [site_sent, origin_sent] = [site, origin].map(HeaderValue::from_static);
            let fetch_site = if site.is_empty() { Sent::Nothing } else { Sent::Once(&site_sent) };
            let origins_sent = [(ORIGIN, origin_sent)].into_iter().filter(|(_, value)| !value.is_empty());
            let headers = origins_sent.collect();
            assert_eq!(origins.check_site(fetch_site, &headers, None).is_ok(), is_let_in, "{site} {origin}");
        }
    }

    fn check(origins: &Origins, host: &str, origin: &str) -> bool {
        let mut headers = HeaderMap::new();
        headers.insert(HOST, HeaderValue::try_from(host).unwrap());
        if !origin.is_empty() {
            headers.insert(ORIGIN, HeaderValue::try_from(origin).unwrap());
        }
        origins.check_name(&headers).is_ok() && origins.check(&headers, None).is_ok()
    }

    #[test]
    fn a_page_that_came_in_clear_is_not_of_a_gateway_behind_tls() {
        for (origin, scheme, is_one) in [
            ("https://t", Some(Scheme::Https), true),
            ("http://t", Some(Scheme::Https), false),
            ("http://t", Some(Scheme::Http), true),
            ("https://t", Some(Scheme::Http), false),
            ("http://t", None, true),
            ("https://t", None, true),
            ("ftp://t", None, false),
            ("t", None, false),
        ] {
            let sent = [(HOST, HeaderValue::from_static("t")), (ORIGIN, HeaderValue::from_static(origin))];
            assert_eq!(is_own(&sent.into_iter().collect(), scheme), is_one, "{origin} {scheme:?}");
        }
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

//! Which pages may use the console: its own alone.

use std::sync::Arc;

use axum::extract::{Request, State};
use axum::middleware::Next;
use http::header::X_CONTENT_TYPE_OPTIONS;
use http::header::{CACHE_CONTROL, HOST, HeaderMap, HeaderName, HeaderValue, ORIGIN, REFERRER_POLICY};
use http::uri::Authority;
use typingd_providers::head;

use crate::api::problem::Problem;
use crate::gateway::Gateway;
use crate::listener::Response;
use crate::origins::{self, Scheme};

const CROSS_ORIGIN_RESOURCE_POLICY: HeaderName = HeaderName::from_static("cross-origin-resource-policy");

/// Lets requests of the console's own page in, and keeps what is answered to it.
pub(super) async fn keep(State(gateway): State<Arc<Gateway>>, request: Request, next: Next) -> Response {
    let is_page = request.uri().path() == "/";
    let scheme = request.extensions().get().copied();
    let mut response = match check(request.headers(), scheme, is_page, gateway.console.is_open()) {
        Ok(()) => next.run(request).await,
        Err(why) => Problem::forbidden(why).into(),
    };
    let headers = response.headers_mut();
    headers.entry(CACHE_CONTROL).or_insert(HeaderValue::from_static("no-store"));
    headers.insert(X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    headers.insert(REFERRER_POLICY, HeaderValue::from_static("no-referrer"));
    headers.insert(CROSS_ORIGIN_RESOURCE_POLICY, HeaderValue::from_static("same-origin"));
    response
}

/// The page itself may be come to from anywhere. Where there is no login, what counts is that the browser calls the
/// gateway by a name of this machine: a stranger's name can be made to mean it, and then the stranger's page is of the
/// same origin.
fn check(
    headers: &HeaderMap,
    scheme: Option<Scheme>,
    is_page: bool,
    is_open: bool,
) -> Result<(), &'static str> {
    if is_open && !origins::is_to_this_machine(headers) {
        return Err("dev mode's console is shown under a name of this machine alone");
    }
    let is_own = is_from_own_page(headers, scheme);
    if is_page || is_own { Ok(()) } else { Err("this is for the console's own page alone") }
}

/// Whether a request came from a page of this origin, or from no page at all.
fn is_from_own_page(headers: &HeaderMap, scheme: Option<Scheme>) -> bool {
    let is_same_site = match headers.get("sec-fetch-site").map(HeaderValue::as_bytes) {
        None | Some(b"same-origin" | b"none") => true,
        Some(_) => false,
    };
    is_same_site && (!head::is_sent(headers, ORIGIN.as_str()) || origins::is_own(headers, scheme))
}

/// The name by which the gateway is called, if it is one that stands for nothing else in a command.
pub(super) fn host(headers: &HeaderMap) -> Option<Authority> {
    let host = head::single(headers, HOST.as_str())?;
    let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || b".-:[]".contains(&byte);
    host.bytes().all(is_plain).then(|| host.parse().ok()).flatten()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn headers(sent: &[(&'static str, &str)]) -> HeaderMap {
        sent.iter()
            .map(|(name, value)| (HeaderName::from_static(name), HeaderValue::from_str(value).unwrap()))
            .collect()
    }

    #[test]
    fn a_page_of_another_origin_is_known_by_what_the_browser_says() {
        for (sent, is_own) in [
            (&[("host", "a.example")][..], true),
            (&[("host", "a.example"), ("origin", "https://a.example")], true),
            (&[("host", "A.example:8080"), ("origin", "http://a.example:8080")], true),
            (&[("host", "a.example:8080"), ("origin", "http://a.example")], false),
            (&[("host", "a.example"), ("origin", "https://b.example")], false),
            (&[("host", "a.example"), ("origin", "https://a.example.b.example")], false),
            (&[("host", "a.example"), ("origin", "null")], false),
            (&[("host", "a.example"), ("origin", "")], false),
            (&[("origin", "https://a.example")], false),
            (&[("host", "a"), ("origin", "http://a"), ("origin", "http://b")], false),
            (&[("host", "a"), ("origin", "http://a"), ("sec-fetch-site", "same-origin")], true),
            (&[("host", "a"), ("sec-fetch-site", "none")], true),
            (&[("host", "a"), ("sec-fetch-site", "cross-site")], false),
            (&[("host", "a"), ("sec-fetch-site", "same-site")], false),
        ] {
            let mut map = HeaderMap::new();
            for (name, value) in headers(sent).iter() {
                map.append(name, value.clone());
            }
            sent.iter().skip(map.len()).for_each(|(name, value)| {
                map.append(*name, HeaderValue::from_str(value).unwrap());
            });
            assert_eq!(is_from_own_page(&map, None), is_own, "{sent:?}");
        }
    }

    #[test]
    fn without_a_login_the_gateway_is_called_by_a_name_of_this_machine() {
        for (host, is_let_in) in [
            ("localhost", true),
            ("LOCALHOST:8080", true),
            ("127.0.0.1", true),
            ("127.0.0.1:8080", true),
            ("[::1]:8080", true),
            ("[::1]", true),
            ("evil.example", false),
            ("evil.example:8080", false),
            ("127.0.0.1.evil.example", false),
            ("localhost.evil.example", false),
            ("localhost@evil.example", false),
            ("0.0.0.0", false),
            ("192.168.0.1", false),
            ("", false),
        ] {
            for is_page in [true, false] {
                let check = check(&headers(&[("host", host)]), None, is_page, true);
                assert_eq!(check.is_ok(), is_let_in, "{host}");
            }
            assert!(check(&headers(&[("host", host)]), None, false, false).is_ok(), "a login is asked for");
        }
        assert!(check(&HeaderMap::new(), None, true, true).is_err());
        let twice = HeaderMap::from_iter([(HOST, HeaderValue::from_static("localhost"))]);
        let mut twice = twice;
        twice.append(HOST, HeaderValue::from_static("evil.example"));
        assert!(check(&twice, None, true, true).is_err());
    }
}

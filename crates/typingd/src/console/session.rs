//! `/console/session`: who is logged in, and what the page needs to know of it.

use std::sync::Arc;

use axum::extract::{Request, State};
use http::header::{COOKIE, HeaderMap, HeaderValue, SET_COOKIE};
use http::{Response as Parts, StatusCode};
use serde::Serialize;
use typingd_providers::ChannelKind;

use super::{sessions, try_it};
use crate::api::problem::Problem;
use crate::api::{self, authenticate, tenant};
use crate::config::millis;
use crate::gateway::Gateway;
use crate::listener::Response;

/// With this prefix, browsers take the cookie from this very host alone, and for all of its paths: no neighbour of the
/// same domain can put his own in its place.
const COOKIE_NAME: &str = "__Host-typingd_session";

/// `Secure` without TLS as well: browsers take it for `localhost`, and anywhere else a session must not travel in clear.
const ATTRIBUTES: &str = "HttpOnly; SameSite=Strict; Secure; Path=/";

/// `GET`: the session.
pub(super) async fn show(State(gateway): State<Arc<Gateway>>, request: Request) -> Result<Response, Problem> {
    #[derive(Serialize)]
    struct Channel<'a> {
        name: &'a str,
        kind: &'static str,
        ttl_ms: u64,
    }
    #[derive(Serialize)]
    struct Session<'a> {
        mode: &'static str,
        tenant: &'a str,
        keeps_messages: bool,
        explains: bool,
        channels: Vec<Channel<'a>>,
        try_it: Vec<try_it::Command>,
    }
    let directory = gateway.directory.load_full();
    let login = gateway.viewer(&directory, request.headers())?;
    let channels = tenant(&directory, &login)?.channels.iter().map(|(name, info)| Channel {
        name,
        kind: match info.kind {
            ChannelKind::Rcs => "rcs",
            ChannelKind::Opaque => "opaque",
        },
        ttl_ms: millis(info.ttl),
    });
    let session = Session {
        mode: if gateway.console.is_open() { "dev" } else { "serve" },
        tenant: &login.tenant,
        keeps_messages: gateway.console.transcript.is_some(),
        explains: gateway.history.is_on(),
        channels: channels.collect(),
        try_it: try_it::commands(&gateway, &directory, &login.tenant, &request),
    };
    Ok(api::json(&session))
}

/// `POST`: logs in whoever shows a native API key.
pub(super) async fn log_in(
    State(gateway): State<Arc<Gateway>>,
    request: Request,
) -> Result<Response, Problem> {
    if gateway.console.is_open() {
        return Ok(nothing(None));
    }
    let directory = gateway.directory.load_full();
    let login = authenticate(&gateway, &directory, &request)?;
    // Who logs in anew has no use for the session before.
    tokens(request.headers()).for_each(|token| gateway.console.sessions.end(token));
    let token = gateway.console.sessions.begin(&login, gateway.clock.now());
    let seconds = sessions::LIFETIME.as_secs();
    Ok(nothing(Some(format!("{COOKIE_NAME}={token}; {ATTRIBUTES}; Max-Age={seconds}"))))
}

/// `DELETE`: logs out, whether anybody was logged in or not.
pub(super) async fn log_out(State(gateway): State<Arc<Gateway>>, request: Request) -> Response {
    if gateway.console.is_open() {
        return nothing(None);
    }
    tokens(request.headers()).for_each(|token| gateway.console.sessions.end(token));
    nothing(Some(format!("{COOKIE_NAME}=; {ATTRIBUTES}; Max-Age=0")))
}

/// The token that came as a cookie; `None` where several came, of which all but one are somebody else's doing.
pub(super) fn token(headers: &HeaderMap) -> Option<&str> {
    let mut tokens = tokens(headers);
    tokens.next().filter(|_| tokens.next().is_none())
}

fn tokens(headers: &HeaderMap) -> impl Iterator<Item = &str> {
    let cookies = headers.get_all(COOKIE).iter().filter_map(|line| line.to_str().ok());
    let pairs = cookies.flat_map(|line| line.split(';')).filter_map(|pair| pair.trim().split_once('='));
    pairs.filter(|(name, _)| *name == COOKIE_NAME).map(|(_, token)| token)
}

fn nothing(cookie: Option<String>) -> Response {
    let mut response: Response = Parts::default();
    *response.status_mut() = StatusCode::NO_CONTENT;
    if let Some(cookie) = cookie {
        let cookie = HeaderValue::try_from(cookie).expect("a token is hexadecimal");
        response.headers_mut().insert(SET_COOKIE, cookie);
    }
    response
}

//! `GET /typing/v1/socket`: a browser sees who is typing, and says that it is.

use std::sync::Arc;

use aws_lc_rs::digest::{SHA1_FOR_LEGACY_USE_ONLY, digest};
use axum::extract::{Request, State};
use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use http::header::{
    CONNECTION, HeaderMap, HeaderValue, SEC_WEBSOCKET_ACCEPT, SEC_WEBSOCKET_KEY, SEC_WEBSOCKET_VERSION,
    UPGRADE,
};
use http::{StatusCode, Version};
use http_body::Body;
use typingd_providers::{Rejection, head};

use super::problem::Problem;
use super::ticket;
use crate::gateway::Gateway;
use crate::listener::{Handover, Response};
use crate::subscribe::ws::Session;

pub(super) async fn get(
    State(gateway): State<Arc<Gateway>>,
    mut request: Request,
) -> Result<Response, Problem> {
    let accept = judge(&request)?;
    let handover = request.extensions_mut().remove::<Handover>().filter(Handover::is_upgrade);
    let handover = handover.ok_or_else(Problem::upgrade_required)?;
    let ticket = ticket::shown(&gateway, &request)?.redeem(&gateway).await?;
    let session = Session::open(gateway, ticket)?;
    handover.to(|line| session.run(line));
    let mut response = Response::default();
    *response.status_mut() = StatusCode::SWITCHING_PROTOCOLS;
    let headers = response.headers_mut();
    headers.insert(CONNECTION, HeaderValue::from_static("upgrade"));
    headers.insert(UPGRADE, HeaderValue::from_static("websocket"));
    headers.insert(SEC_WEBSOCKET_ACCEPT, accept);
    Ok(response)
}

/// Whether a request asks for a WebSocket as RFC 6455 has it; if so, the key that answers its key.
fn judge(request: &Request) -> Result<HeaderValue, Problem> {
    const KEY: &str = "16 random bytes in base64";
    let headers = request.headers();
    let is_asked_for = names(headers, &UPGRADE, "websocket") && names(headers, &CONNECTION, "upgrade");
    let version = head::single(headers, SEC_WEBSOCKET_VERSION.as_str());
    if !is_asked_for || version != Some("13") || request.version() != Version::HTTP_11 {
        return Err(Problem::upgrade_required());
    }
    if !request.body().is_end_stream() {
        return Err(Rejection::Malformed { why: "a request for a WebSocket has no body".into() }.into());
    }
    let key = head::single(headers, SEC_WEBSOCKET_KEY.as_str());
    let key = key.filter(|key| BASE64_STANDARD.decode(key).is_ok_and(|bytes| bytes.len() == 16));
    let key = key.ok_or(Rejection::BadHeader { name: "Sec-WebSocket-Key", expected: KEY })?;
    Ok(answer_to(key))
}

/// Whether a header, which is a list, has this word.
fn names(headers: &HeaderMap, name: &http::HeaderName, word: &str) -> bool {
    let values = headers.get_all(name).iter().filter_map(|value| value.to_str().ok());
    values.flat_map(|value| value.split(',')).any(|item| item.trim().eq_ignore_ascii_case(word))
}

/// Section 4.2.2 of RFC 6455.
fn answer_to(key: &str) -> HeaderValue {
    let text = format!("{key}258EAFA5-E914-47DA-95CA-C5AB0DC85B11");
    let answer = BASE64_STANDARD.encode(digest(&SHA1_FOR_LEGACY_USE_ONLY, text.as_bytes()));
    HeaderValue::try_from(answer).expect("base64 is plain ASCII")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_key_is_answered_as_in_the_rfc() {
        assert_eq!(answer_to("dGhlIHNhbXBsZSBub25jZQ=="), "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=");
    }
}

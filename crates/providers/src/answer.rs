//! Writing an answer: a status, a JSON body, and what HTTP wants said beside it.

use bytes::Bytes;
use http::header::{ALLOW, CONTENT_TYPE, HeaderValue, RETRY_AFTER};
use http::{Response, StatusCode};
use serde::Serialize;

use crate::rejection::Rejection;

/// When to try again what cannot be served just now, in seconds.
const SOON_S: u32 = 1;

/// An answer with this body.
///
/// # Panics
/// Where the body cannot be written as JSON, which texts, numbers and lists of them always can.
#[must_use]
pub fn json(status: StatusCode, body: &impl Serialize) -> Response<Bytes> {
    written(status, serde_json::to_vec(body).expect("texts and numbers can always be written as JSON"))
}

/// An answer with this body, which is JSON already.
pub(crate) fn written(status: StatusCode, body: impl Into<Bytes>) -> Response<Bytes> {
    let mut response = Response::new(body.into());
    *response.status_mut() = status;
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    response
}

/// The status of a provider's refusal, where it is one that can be answered as it is.
#[must_use]
pub fn of_refusal(status: u16) -> Option<StatusCode> {
    StatusCode::from_u16(status).ok().filter(|status| status.is_client_error() || status.is_server_error())
}

/// A refusal with this body: which method the path takes and how long to wait, whoever wants that, are said in
/// headers, too.
#[must_use]
pub fn refusal(status: StatusCode, body: &impl Serialize, rejection: &Rejection) -> Response<Bytes> {
    let mut response = json(status, body);
    match rejection {
        Rejection::MethodNotAllowed { allow } => {
            response.headers_mut().insert(ALLOW, HeaderValue::from_static(allow));
        }
        Rejection::TooMany { retry_after_s }
        | Rejection::Upstream { retry_after_s: Some(retry_after_s), .. } => {
            response.headers_mut().insert(RETRY_AFTER, (*retry_after_s).into());
        }
        Rejection::Unavailable => {
            response.headers_mut().insert(RETRY_AFTER, SOON_S.into());
        }
        _ => {}
    }
    response
}

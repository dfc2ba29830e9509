//! Salesforce's answers: a status, a code, and the same few members each time.

use bytes::Bytes;
use http::header::{ALLOW, CONTENT_TYPE, HeaderValue, RETRY_AFTER};
use http::{Response, StatusCode};
use serde::Serialize;

use crate::Receipt;
use crate::rejection::{Bar, Fault, FaultKind, Refusal, Rejection};

/// The code of everything that has none of its own.
const PARAMETERS: u16 = 10089;

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Accepted<'a> {
    success: bool,
    id: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    conversation_identifier: Option<String>,
    work_item_ids: [&'a str; 0],
}

#[derive(Serialize)]
struct Refused<'a> {
    success: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    id: Option<&'a str>,
    code: u16,
    message: String,
}

/// Says yes to the interaction of this id.
pub(super) fn accepted(id: &str, receipt: &Receipt) -> Response<Bytes> {
    let conversation_identifier = receipt.conversation_id.map(|id| id.to_string());
    json(StatusCode::ACCEPTED, &Accepted { success: true, id, conversation_identifier, work_item_ids: [] })
}

/// Says no.
pub(super) fn refused(refusal: &Refusal) -> Response<Bytes> {
    let Refusal { rejection, reference } = refusal;
    let (status, code) = status_and_code(rejection);
    let body = Refused { success: false, id: reference.as_deref(), code, message: rejection.to_string() };
    let mut response = json(status, &body);
    if let Rejection::MethodNotAllowed { allow } = rejection {
        response.headers_mut().insert(ALLOW, HeaderValue::from_static(allow));
    }
    if let Rejection::TooMany { retry_after_s } = rejection {
        response.headers_mut().insert(RETRY_AFTER, (*retry_after_s).into());
    }
    response
}

fn json(status: StatusCode, body: &impl Serialize) -> Response<Bytes> {
    let body = serde_json::to_vec(body).expect("texts and numbers can always be written as JSON");
    let mut response = Response::new(body.into());
    *response.status_mut() = status;
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    response
}

/// The vendor publishes codes and no statuses: the statuses are the ones that HTTP has for such cases.
fn status_and_code(rejection: &Rejection) -> (StatusCode, u16) {
    match rejection {
        Rejection::BadHeader { .. } => (StatusCode::BAD_REQUEST, 10016),
        Rejection::NoBody => (StatusCode::BAD_REQUEST, 10100),
        Rejection::Malformed { .. } => (StatusCode::BAD_REQUEST, PARAMETERS),
        Rejection::Invalid(faults) => {
            (StatusCode::BAD_REQUEST, faults.first().map_or(PARAMETERS, fault_code))
        }
        Rejection::OutOfScope => (StatusCode::UNAUTHORIZED, 10003),
        Rejection::Unauthenticated => (StatusCode::UNAUTHORIZED, 10004),
        Rejection::ForeignAgent | Rejection::Forbidden(Bar::ContextForAgent) => {
            (StatusCode::FORBIDDEN, 10001)
        }
        Rejection::Forbidden(Bar::Context) => (StatusCode::FORBIDDEN, 10005),
        Rejection::Forbidden(Bar::Permission) => (StatusCode::FORBIDDEN, 10099),
        Rejection::Forbidden(Bar::Recipient) => (StatusCode::FORBIDDEN, 15103),
        Rejection::UnknownAgent => (StatusCode::NOT_FOUND, 10017),
        Rejection::UnknownPath => (StatusCode::NOT_FOUND, PARAMETERS),
        Rejection::MethodNotAllowed { .. } => (StatusCode::METHOD_NOT_ALLOWED, PARAMETERS),
        Rejection::TooSlow => (StatusCode::REQUEST_TIMEOUT, PARAMETERS),
        Rejection::TooLarge => (StatusCode::PAYLOAD_TOO_LARGE, PARAMETERS),
        Rejection::UnsupportedMediaType => (StatusCode::UNSUPPORTED_MEDIA_TYPE, PARAMETERS),
        Rejection::TooMany { .. } => (StatusCode::TOO_MANY_REQUESTS, PARAMETERS),
        Rejection::Internal => (StatusCode::INTERNAL_SERVER_ERROR, 500),
        Rejection::Unavailable | Rejection::Upstream { .. } => (StatusCode::SERVICE_UNAVAILABLE, 10055),
        Rejection::UpstreamTimeout => (StatusCode::GATEWAY_TIMEOUT, 10094),
    }
}

fn fault_code(fault: &Fault) -> u16 {
    match (fault.field.as_ref(), fault.kind) {
        ("to", _) => 10027,
        ("from", _) => 10028,
        ("interactions", FaultKind::Empty) => 20003,
        ("interactions" | "interactions[0]", _) => 10029,
        ("interactions[0].id" | "interactions[0].payload.id", FaultKind::Empty) => 10059,
        ("interactions[0].payload.abstractMessage.id", FaultKind::Contradiction) => 10060,
        ("interactions[0].payload.abstractMessage.messageType", FaultKind::WrongValue) => 10062,
        (field, _) if field.starts_with("interactions[0].payload.abstractMessage") => 10045,
        ("attachments", _) => 10011,
        _ => PARAMETERS,
    }
}

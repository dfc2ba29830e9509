//! What this door answers, in the vendor's words.
//!
//! Typing events and messages have error bodies of different shapes. The vendor documents the codes RCS701, RCS904,
//! RCS1004, RCS405, RCS500 and RBC001 for the first, and 1400, 1405 and 1417 for the second. Failures for which it has
//! none get RCS904 and 1000 plus the status.

use bytes::Bytes;
use http::{Response, StatusCode};
use serde::Serialize;

use crate::json::writer::Writer;
use crate::rejection::{Fault, FaultKind, Rejection};
use crate::{Receipt, answer};

/// Four keys, whatever the outcome.
#[derive(Serialize)]
struct Envelope<C, D, E> {
    code: C,
    message: &'static str,
    data: D,
    error: E,
}

/// `{}`
#[derive(Serialize)]
struct Nothing {}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Message<'a> {
    to: &'a [String],
    message_id: String,
}

#[derive(Serialize)]
struct ErrorText<'a> {
    error_code: &'a str,
    error_message: &'a str,
}

/// The error body of messages: three keys, and a number as the code.
#[derive(Serialize)]
struct MessageFailure<'a> {
    code: u16,
    message: &'static str,
    data: MessageError<'a>,
}

#[derive(Serialize)]
struct MessageError<'a> {
    error: ErrorText<'a>,
}

pub(super) fn typing_accepted(to: &str, receipt: &Receipt) -> Response<Bytes> {
    let body = Writer::with_capacity(256)
        .fixed(r#"{"code":"RCS1002","message":"Event published successfully","data":{"requestId":""#)
        .id(receipt.request_id)
        .fixed(r#"","to":"#)
        .text(to)
        .fixed(r#","messageId":""#)
        .id(receipt.message_id)
        .fixed(r#""},"error":{}}"#)
        .finish();
    answer::written(StatusCode::OK, body)
}

pub(super) fn message_accepted(to: &[String], receipt: &Receipt) -> Response<Bytes> {
    let body = Envelope {
        code: "1200",
        message: "Message Sent Successfully to provider",
        data: Message { to, message_id: receipt.message_id.to_string() },
        error: Nothing {},
    };
    answer::json(StatusCode::OK, &body)
}

pub(super) fn event_refused(rejection: &Rejection, upstream_status: StatusCode) -> Response<Bytes> {
    let (status, code, error_code) = event_failure(rejection, upstream_status);
    let error_message =
        &if error_code == PROV_ERROR { provider_reply(rejection) } else { rejection.to_string() };
    let no_data: [(); 0] = [];
    let error = ErrorText { error_code, error_message };
    let body = Envelope { code, message: "Event publish failed", data: no_data, error };
    answer::refusal(status, &body, rejection)
}

pub(super) fn message_refused(rejection: &Rejection, upstream_status: StatusCode) -> Response<Bytes> {
    let (status, code, error_code) = message_failure(rejection, upstream_status);
    let error_message =
        &if error_code == PROV_ERROR { provider_reply(rejection) } else { rejection.to_string() };
    let data = MessageError { error: ErrorText { error_code, error_message } };
    let body = MessageFailure { code, message: "Message sending failed", data };
    answer::refusal(status, &body, rejection)
}

const PROV_ERROR: &str = "PROV_ERROR";

/// Status, `code` and `error_code` of a refused typing event.
fn event_failure(rejection: &Rejection, upstream: StatusCode) -> (StatusCode, &'static str, &'static str) {
    match rejection {
        Rejection::NoBody | Rejection::Malformed { .. } => {
            (StatusCode::BAD_REQUEST, "RCS701", "INVALID_JSON")
        }
        Rejection::BadHeader { .. } | Rejection::Invalid(_) => {
            (StatusCode::BAD_REQUEST, "RCS904", "INVALID_REQUEST")
        }
        Rejection::Unauthenticated | Rejection::OutOfScope => {
            (StatusCode::UNAUTHORIZED, "RBC001", "UNAUTHORIZED")
        }
        Rejection::UnknownAgent | Rejection::ForeignAgent | Rejection::Forbidden(_) => {
            (StatusCode::BAD_REQUEST, "RCS1004", PROV_ERROR)
        }
        Rejection::UnknownPath => (StatusCode::NOT_FOUND, "RCS904", "NOT_FOUND"),
        Rejection::MethodNotAllowed { .. } => {
            (StatusCode::METHOD_NOT_ALLOWED, "RCS405", "METHOD_NOT_ALLOWED")
        }
        Rejection::TooSlow => (StatusCode::REQUEST_TIMEOUT, "RCS904", "REQUEST_TIMEOUT"),
        Rejection::TooLarge => (StatusCode::PAYLOAD_TOO_LARGE, "RCS904", "PAYLOAD_TOO_LARGE"),
        Rejection::UnsupportedMediaType => {
            (StatusCode::UNSUPPORTED_MEDIA_TYPE, "RCS904", "UNSUPPORTED_MEDIA_TYPE")
        }
        Rejection::TooMany { .. } => (StatusCode::TOO_MANY_REQUESTS, "RCS1004", "THROTTLED"),
        Rejection::Upstream { .. } | Rejection::UpstreamTimeout | Rejection::Unavailable => {
            (upstream, "RCS1004", PROV_ERROR)
        }
        Rejection::Internal => (StatusCode::INTERNAL_SERVER_ERROR, "RCS500", "INTERNAL_ERROR"),
    }
}

/// Status, `code` and `error_code` of a refused message.
fn message_failure(rejection: &Rejection, upstream: StatusCode) -> (StatusCode, u16, &'static str) {
    let (status, error_code) = match rejection {
        Rejection::NoBody | Rejection::Malformed { .. } => (StatusCode::BAD_REQUEST, "INVALID_JSON"),
        Rejection::Invalid(faults) if faults.iter().all(is_of_a_number) => {
            return (StatusCode::BAD_REQUEST, 1417, "INVALID_NUMBER");
        }
        Rejection::BadHeader { .. }
        | Rejection::Invalid(_)
        | Rejection::UnknownAgent
        | Rejection::ForeignAgent
        | Rejection::Forbidden(_) => (StatusCode::BAD_REQUEST, "INVALID_REQUEST"),
        Rejection::Unauthenticated | Rejection::OutOfScope => (StatusCode::UNAUTHORIZED, "UNAUTHORIZED"),
        Rejection::UnknownPath => (StatusCode::NOT_FOUND, "NOT_FOUND"),
        Rejection::MethodNotAllowed { .. } => (StatusCode::METHOD_NOT_ALLOWED, "METHOD_NOT_ALLOWED"),
        Rejection::TooSlow => (StatusCode::REQUEST_TIMEOUT, "REQUEST_TIMEOUT"),
        Rejection::TooLarge => (StatusCode::PAYLOAD_TOO_LARGE, "PAYLOAD_TOO_LARGE"),
        Rejection::UnsupportedMediaType => (StatusCode::UNSUPPORTED_MEDIA_TYPE, "UNSUPPORTED_MEDIA_TYPE"),
        Rejection::TooMany { .. } => (StatusCode::TOO_MANY_REQUESTS, "THROTTLED"),
        Rejection::Upstream { .. } | Rejection::UpstreamTimeout | Rejection::Unavailable => {
            (upstream, PROV_ERROR)
        }
        Rejection::Internal => (StatusCode::INTERNAL_SERVER_ERROR, "INTERNAL_ERROR"),
    };
    (status, 1000 + status.as_u16(), error_code)
}

/// Whether a recipient is text that is no number: the one fault that has a code of its own.
fn is_of_a_number(fault: &Fault) -> bool {
    fault.kind == FaultKind::WrongValue && fault.field.starts_with("to[")
}

/// What the provider behind us said, or would have said, as one string.
fn provider_reply(rejection: &Rejection) -> String {
    let (code, status) = match rejection {
        Rejection::Upstream { body, .. } => return body.clone(),
        Rejection::UnknownAgent => (404, "NOT_FOUND"),
        Rejection::UpstreamTimeout => (504, "DEADLINE_EXCEEDED"),
        Rejection::Unavailable => (503, "UNAVAILABLE"),
        _ => (403, "PERMISSION_DENIED"),
    };
    format!(r#"{{"error":{{"code":{code},"message":"{rejection}","status":"{status}"}}}}"#)
}

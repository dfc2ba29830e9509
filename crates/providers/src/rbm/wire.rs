//! What this door answers, in the words that Google's APIs have in common (AIP-193).

use std::borrow::Cow;

use bytes::Bytes;
use http::{Response, StatusCode};
use jiff::Timestamp;
use serde::Serialize;

use super::path::Target;
use super::request::{Event, EventType};
use crate::json;
use crate::rejection::{Fault, Rejection};
use crate::upstream::GoogleError;
use crate::{Receipt, answer};

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct AgentEvent<'a> {
    name: String,
    event_type: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    message_id: Option<&'a str>,
    send_time: String,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct AgentMessage {
    name: String,
    send_time: String,
}

#[derive(Serialize)]
struct Failure {
    error: Status,
}

#[derive(Serialize)]
struct Status {
    code: u16,
    message: String,
    status: Cow<'static, str>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    details: Vec<BadRequest>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct BadRequest {
    #[serde(rename = "@type")]
    kind: &'static str,
    field_violations: Vec<FieldViolation>,
}

#[derive(Serialize)]
struct FieldViolation {
    field: String,
    description: String,
}

pub(super) fn event_accepted(
    target: &Target,
    event: &Event,
    now: Timestamp,
    receipt: &Receipt,
) -> Response<Bytes> {
    let (event_type, message_id) = match &event.kind {
        EventType::IsTyping => ("IS_TYPING", None),
        EventType::Read { message_id } => ("READ", Some(message_id.as_str())),
    };
    let name = name(target, event.id.as_deref(), receipt);
    answer::json(StatusCode::OK, &AgentEvent { name, event_type, message_id, send_time: rfc_3339(now) })
}

pub(super) fn message_accepted(
    target: &Target,
    id: Option<&str>,
    now: Timestamp,
    receipt: &Receipt,
) -> Response<Bytes> {
    let name = name(target, id, receipt);
    answer::json(StatusCode::OK, &AgentMessage { name, send_time: rfc_3339(now) })
}

/// The resource's name. A caller that gave it none gets one.
fn name(target: &Target, id: Option<&str>, receipt: &Receipt) -> String {
    let (phone, collection) = (target.user.as_str(), target.endpoint.as_str());
    match id {
        Some(id) => format!("phones/{phone}/{collection}/{id}"),
        None => format!("phones/{phone}/{collection}/{}", receipt.message_id),
    }
}

pub(super) fn refused(rejection: &Rejection) -> Response<Bytes> {
    let (code, status) = code_and_status(rejection);
    let details = match rejection {
        Rejection::Invalid(faults) => vec![BadRequest {
            kind: "type.googleapis.com/google.rpc.BadRequest",
            field_violations: faults.iter().map(violation).collect(),
        }],
        _ => Vec::new(),
    };
    let own = || (code, status.into(), rejection.to_string());
    let (code, status, message) = of_google(rejection).unwrap_or_else(own);
    let error = Status { code: code.as_u16(), message, status, details };
    answer::refusal(code, &Failure { error }, rejection)
}

/// Google's own verdict, where that is what its APIs answer.
fn of_google(rejection: &Rejection) -> Option<(StatusCode, Cow<'static, str>, String)> {
    let Rejection::Upstream { status, body, .. } = rejection else { return None };
    let code = answer::of_refusal(*status)?;
    let json = json::parse(body.as_bytes()).ok()?;
    let error = GoogleError::read(&json)?;
    Some((code, error.status.to_owned().into(), error.message.to_owned()))
}

fn violation(fault: &Fault) -> FieldViolation {
    FieldViolation { field: fault.field.to_string(), description: fault.why() }
}

/// HTTP's status and the canonical code. Where HTTP says it better than any canonical code, the nearest one stands
/// beside it.
fn code_and_status(rejection: &Rejection) -> (StatusCode, &'static str) {
    match rejection {
        Rejection::BadHeader { .. }
        | Rejection::NoBody
        | Rejection::Malformed { .. }
        | Rejection::Invalid(_) => (StatusCode::BAD_REQUEST, "INVALID_ARGUMENT"),
        Rejection::Unauthenticated => (StatusCode::UNAUTHORIZED, "UNAUTHENTICATED"),
        Rejection::OutOfScope | Rejection::Forbidden(_) | Rejection::ForeignAgent => {
            (StatusCode::FORBIDDEN, "PERMISSION_DENIED")
        }
        Rejection::UnknownPath | Rejection::UnknownAgent => (StatusCode::NOT_FOUND, "NOT_FOUND"),
        Rejection::MethodNotAllowed { .. } => (StatusCode::METHOD_NOT_ALLOWED, "UNIMPLEMENTED"),
        Rejection::TooSlow => (StatusCode::REQUEST_TIMEOUT, "DEADLINE_EXCEEDED"),
        Rejection::TooLarge => (StatusCode::PAYLOAD_TOO_LARGE, "INVALID_ARGUMENT"),
        Rejection::UnsupportedMediaType => (StatusCode::UNSUPPORTED_MEDIA_TYPE, "INVALID_ARGUMENT"),
        Rejection::TooMany { .. } => (StatusCode::TOO_MANY_REQUESTS, "RESOURCE_EXHAUSTED"),
        Rejection::Upstream { status, .. } => upstream(*status),
        Rejection::UpstreamTimeout => (StatusCode::GATEWAY_TIMEOUT, "DEADLINE_EXCEEDED"),
        Rejection::Unavailable => (StatusCode::SERVICE_UNAVAILABLE, "UNAVAILABLE"),
        Rejection::Internal => (StatusCode::INTERNAL_SERVER_ERROR, "INTERNAL"),
    }
}

/// What the provider behind us said by its status alone, where that concerns the caller. Its trouble with our
/// credentials does not.
fn upstream(status: u16) -> (StatusCode, &'static str) {
    match status {
        400 => (StatusCode::BAD_REQUEST, "INVALID_ARGUMENT"),
        403 => (StatusCode::FORBIDDEN, "PERMISSION_DENIED"),
        404 => (StatusCode::NOT_FOUND, "NOT_FOUND"),
        429 => (StatusCode::TOO_MANY_REQUESTS, "RESOURCE_EXHAUSTED"),
        0..=399 | 401..=402 | 405..=428 | 430.. => (StatusCode::SERVICE_UNAVAILABLE, "UNAVAILABLE"),
    }
}

/// UTC with microseconds, as in `2026-11-05T10:00:00.123456Z`.
fn rfc_3339(time: Timestamp) -> String {
    format!("{time:.6}")
}

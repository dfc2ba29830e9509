//! Salesforce's answers: a status, a code, and the same few members each time.

use bytes::Bytes;
use http::{Response, StatusCode};
use serde::Serialize;

use crate::json::writer::Writer;
use crate::json::{self, Json};
use crate::rejection::{Bar, Fault, FaultKind, Refusal, Rejection};
use crate::{Receipt, answer};

/// The code of everything that has none of its own.
const PARAMETERS: u16 = 10089;

#[derive(Serialize)]
struct Refused<'a> {
    success: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    id: Option<&'a str>,
    code: u64,
    message: String,
}

/// Says yes to the interaction of this id.
pub(super) fn accepted(id: &str, receipt: &Receipt) -> Response<Bytes> {
    let mut body = Writer::with_capacity(160);
    body.fixed(r#"{"success":true,"id":"#).text(id);
    if let Some(conversation) = receipt.conversation_id {
        body.fixed(r#","conversationIdentifier":""#).id(conversation).fixed("\"");
    }
    answer::written(StatusCode::ACCEPTED, body.fixed(r#","workItemIds":[]}"#).finish())
}

/// Says no.
pub(super) fn refused(refusal: &Refusal) -> Response<Bytes> {
    let Refusal { rejection, reference } = refusal;
    let own = || {
        let (status, code) = status_and_code(rejection);
        (status, code.into(), message(rejection))
    };
    let (status, code, message) = of_org(rejection).unwrap_or_else(own);
    let body = Refused { success: false, id: reference.as_deref(), code, message };
    answer::refusal(status, &body, rejection)
}

/// The org's own verdict, where that is what its API answers.
fn of_org(rejection: &Rejection) -> Option<(StatusCode, u64, String)> {
    let Rejection::Upstream { status, body, .. } = rejection else { return None };
    let status = answer::of_refusal(*status)?;
    let json = json::parse(body.as_bytes()).ok()?;
    let code = json.at(&["code"])?.as_u64()?;
    let message = json.at(&["message"]).and_then(Json::as_str);
    Some((status, code, message.map_or_else(|| rejection.to_string(), str::to_owned)))
}

/// What is called an agent elsewhere is a channel address here.
fn message(rejection: &Rejection) -> String {
    match rejection {
        Rejection::UnknownAgent => "there is no such channel address".to_owned(),
        Rejection::ForeignAgent => "the channel address belongs to another account".to_owned(),
        other => other.to_string(),
    }
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

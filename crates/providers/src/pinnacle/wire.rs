//! What this door answers, in the vendor's words.
//!
//! Its SDKs are strict: an answer that lacks one of its fields raises, an error body without a text in `error` fails
//! to be read as an error, and 503 crashes one of them.

use std::collections::BTreeMap;

use bytes::Bytes;
use http::header::RETRY_AFTER;
use http::{Response, StatusCode};
use serde::Serialize;
use typingd_core::User;

use crate::json::writer::Writer;
use crate::json::{self, Json, Object};
use crate::rejection::{Fault, Rejection};
use crate::{Receipt, answer};

/// What a caller is told to wait where the provider behind us says 429.
const UPSTREAM_RETRY_AFTER_S: u32 = 1;

/// The longest text of the provider's that is repeated, in bytes.
const MAX_TEXT: usize = 1024;

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct MessageAnswer<'a> {
    message_id: String,
    segments: u32,
    total_cost: f64,
    sender: &'a str,
    recipient: &'a str,
    status: &'static str,
}

#[derive(Serialize)]
struct Failure {
    error: String,
    #[serde(flatten)]
    details: Option<Details>,
}

/// What a 400 has beside the others.
#[derive(Serialize)]
struct Details {
    description: String,
    errors: Errors,
}

/// What is wrong with the body as a whole, and with each of its fields.
#[derive(Serialize)]
struct Errors {
    errors: Vec<String>,
    properties: BTreeMap<String, FieldErrors>,
}

#[derive(Default, Serialize)]
struct FieldErrors {
    errors: Vec<String>,
}

pub(super) fn typing_accepted(agent_id: &str, recipient: &User, receipt: &Receipt) -> Response<Bytes> {
    let body = Writer::with_capacity(192)
        .fixed(r#"{"success":true,"agentId":"#)
        .text(agent_id)
        .fixed(r#","recipient":"#)
        .text(recipient.as_str())
        .fixed(r#","startedAt":""#)
        .time(receipt.started_at)
        .fixed(r#"","endedAt":""#)
        .time(receipt.ends_at)
        .fixed(r#""}"#)
        .finish();
    answer::written(StatusCode::OK, body)
}

pub(super) fn message_accepted(sender: &str, recipient: &User, receipt: &Receipt) -> Response<Bytes> {
    let body = MessageAnswer {
        message_id: format!("msg_{}", receipt.message_id.simple()),
        segments: 1,
        // Nothing is charged here.
        total_cost: 0.0,
        sender,
        recipient: recipient.as_str(),
        status: "queued",
    };
    answer::json(StatusCode::OK, &body)
}

pub(super) fn refused(rejection: &Rejection) -> Response<Bytes> {
    let status = status(rejection);
    let own = || match status {
        StatusCode::BAD_REQUEST => {
            Failure { error: "the request is not valid".to_owned(), details: Some(details(rejection)) }
        }
        _ => Failure { error: rejection.to_string(), details: None },
    };
    let body = of_pinnacle(rejection, status).unwrap_or_else(own);
    let mut response = answer::refusal(status, &body, rejection);
    if status == StatusCode::TOO_MANY_REQUESTS {
        response.headers_mut().entry(RETRY_AFTER).or_insert(UPSTREAM_RETRY_AFTER_S.into());
    }
    response
}

/// Pinnacle's own verdict, where that is what its API answers.
fn of_pinnacle(rejection: &Rejection, status: StatusCode) -> Option<Failure> {
    let Rejection::Upstream { body, .. } = rejection else { return None };
    let json = json::parse(body.as_bytes()).ok()?;
    let text = |name: &str| json.at(&[name])?.as_str().filter(|text| text.len() <= MAX_TEXT);
    let error = text("error")?.to_owned();
    let details = (status == StatusCode::BAD_REQUEST).then(|| {
        let description = text("description").unwrap_or(&error).to_owned();
        Details { description, errors: said_errors(json.at(&["errors"])) }
    });
    Some(Failure { error, details })
}

/// What Pinnacle says is wrong, as far as it is said as its reference has it.
fn said_errors(errors: Option<&Json<'_>>) -> Errors {
    let texts = |of: Option<&Json<'_>>| {
        let texts = of.and_then(|of| of.at(&["errors"])).and_then(Json::as_array).unwrap_or_default();
        texts.iter().filter_map(Json::as_str).map(str::to_owned).collect()
    };
    let properties = errors.and_then(|errors| errors.at(&["properties"])).and_then(Json::as_object);
    let properties = properties.into_iter().flat_map(Object::iter);
    let by_field = |(name, of): (&str, &Json<'_>)| (name.to_owned(), FieldErrors { errors: texts(Some(of)) });
    Errors { errors: texts(errors), properties: properties.map(by_field).collect() }
}

fn status(rejection: &Rejection) -> StatusCode {
    match rejection {
        Rejection::BadHeader { .. }
        | Rejection::NoBody
        | Rejection::Malformed { .. }
        | Rejection::Invalid(_) => StatusCode::BAD_REQUEST,
        Rejection::Unauthenticated | Rejection::OutOfScope => StatusCode::UNAUTHORIZED,
        Rejection::Forbidden(_) | Rejection::ForeignAgent => StatusCode::FORBIDDEN,
        Rejection::UnknownPath | Rejection::UnknownAgent => StatusCode::NOT_FOUND,
        Rejection::MethodNotAllowed { .. } => StatusCode::METHOD_NOT_ALLOWED,
        Rejection::TooSlow => StatusCode::REQUEST_TIMEOUT,
        Rejection::TooLarge => StatusCode::PAYLOAD_TOO_LARGE,
        Rejection::UnsupportedMediaType => StatusCode::UNSUPPORTED_MEDIA_TYPE,
        Rejection::TooMany { .. } => StatusCode::TOO_MANY_REQUESTS,
        Rejection::Upstream { status, .. } => declared(*status),
        Rejection::UpstreamTimeout | Rejection::Unavailable | Rejection::Internal => {
            StatusCode::INTERNAL_SERVER_ERROR
        }
    }
}

/// The upstream's status where the vendor's clients know it, else 500.
fn declared(upstream: u16) -> StatusCode {
    match StatusCode::from_u16(upstream) {
        Ok(
            status @ (StatusCode::BAD_REQUEST
            | StatusCode::UNAUTHORIZED
            | StatusCode::FORBIDDEN
            | StatusCode::NOT_FOUND
            | StatusCode::TOO_MANY_REQUESTS
            | StatusCode::NOT_IMPLEMENTED),
        ) => status,
        _ => StatusCode::INTERNAL_SERVER_ERROR,
    }
}

fn details(rejection: &Rejection) -> Details {
    let description = rejection.to_string();
    let errors = match rejection {
        Rejection::Invalid(faults) => Errors { errors: Vec::new(), properties: by_field(faults) },
        _ => Errors { errors: vec![description.clone()], properties: BTreeMap::new() },
    };
    Details { description, errors }
}

fn by_field(faults: &[Fault]) -> BTreeMap<String, FieldErrors> {
    let mut properties: BTreeMap<String, FieldErrors> = BTreeMap::new();
    for fault in faults {
        properties.entry(fault.field.to_string()).or_default().errors.push(fault.why());
    }
    properties
}

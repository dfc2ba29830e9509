//! Refusals as RFC 9457 writes them.

use std::borrow::Cow;

use axum::response::IntoResponse;
use http::StatusCode;
use http::header::{ALLOW, CONTENT_TYPE, HeaderValue, RETRY_AFTER, WWW_AUTHENTICATE};
use serde::Serialize;
use typingd_providers::{Fault, Rejection};

use crate::gateway::TooWide;
use crate::listener::Response;

/// What is wrong, as `application/problem+json`. Fields are named, values are never repeated.
#[derive(Debug)]
pub struct Problem {
    status: StatusCode,
    detail: Cow<'static, str>,
    faults: Vec<Fault>,
    header: Option<(http::HeaderName, HeaderValue)>,
}

impl Problem {
    fn new(status: StatusCode, detail: impl Into<Cow<'static, str>>) -> Self {
        Self { status, detail: detail.into(), faults: Vec::new(), header: None }
    }
}

impl From<Rejection> for Problem {
    fn from(rejection: Rejection) -> Self {
        let status = match &rejection {
            Rejection::BadHeader { .. }
            | Rejection::NoBody
            | Rejection::Malformed { .. }
            | Rejection::Invalid(_) => StatusCode::BAD_REQUEST,
            Rejection::Unauthenticated => StatusCode::UNAUTHORIZED,
            Rejection::OutOfScope | Rejection::Forbidden(_) | Rejection::ForeignAgent => {
                StatusCode::FORBIDDEN
            }
            Rejection::UnknownPath | Rejection::UnknownAgent => StatusCode::NOT_FOUND,
            Rejection::MethodNotAllowed { .. } => StatusCode::METHOD_NOT_ALLOWED,
            Rejection::TooSlow => StatusCode::REQUEST_TIMEOUT,
            Rejection::TooLarge => StatusCode::PAYLOAD_TOO_LARGE,
            Rejection::UnsupportedMediaType => StatusCode::UNSUPPORTED_MEDIA_TYPE,
            Rejection::TooMany { .. } => StatusCode::TOO_MANY_REQUESTS,
            Rejection::Internal => StatusCode::INTERNAL_SERVER_ERROR,
            Rejection::Upstream { .. } => StatusCode::BAD_GATEWAY,
            Rejection::Unavailable => StatusCode::SERVICE_UNAVAILABLE,
            Rejection::UpstreamTimeout => StatusCode::GATEWAY_TIMEOUT,
        };
        let header = match &rejection {
            Rejection::Unauthenticated => Some((WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"))),
            Rejection::MethodNotAllowed { allow } => Some((ALLOW, HeaderValue::from_static(allow))),
            Rejection::TooMany { retry_after_s } => Some((RETRY_AFTER, (*retry_after_s).into())),
            _ => None,
        };
        let problem = Self { header, ..Self::new(status, rejection.to_string()) };
        match rejection {
            Rejection::Invalid(faults) => Self { faults, ..problem },
            _ => problem,
        }
    }
}

impl From<TooWide> for Problem {
    fn from(_: TooWide) -> Self {
        Self::new(
            StatusCode::PAYLOAD_TOO_LARGE,
            "more leases live in this scope than one answer holds: narrow it by `channel`, `agent` or `user`",
        )
    }
}

#[derive(Serialize)]
struct Document<'a> {
    r#type: &'static str,
    title: &'a str,
    status: u16,
    detail: &'a str,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    errors: Vec<FieldError<'a>>,
}

#[derive(Serialize)]
struct FieldError<'a> {
    field: &'a str,
    detail: String,
}

impl From<Problem> for Response {
    fn from(problem: Problem) -> Self {
        let Problem { status, detail, faults, header } = problem;
        let errors =
            faults.iter().map(|fault| FieldError { field: &fault.field, detail: fault.why() }).collect();
        let title = status.canonical_reason().unwrap_or("Error");
        let document =
            Document { r#type: "about:blank", title, status: status.as_u16(), detail: &detail, errors };
        let body = serde_json::to_vec(&document).expect("strings and numbers can always be written");
        let mut response = Self::new(body.into());
        *response.status_mut() = status;
        response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("application/problem+json"));
        response.headers_mut().extend(header);
        response
    }
}

impl IntoResponse for Problem {
    fn into_response(self) -> Response {
        self.into()
    }
}

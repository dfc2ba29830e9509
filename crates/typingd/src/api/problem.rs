//! Refusals as RFC 9457 writes them.

use std::borrow::Cow;

use axum::response::IntoResponse;
use http::StatusCode;
use http::header::{ALLOW, CONTENT_TYPE, HeaderValue, RETRY_AFTER, SEC_WEBSOCKET_VERSION, WWW_AUTHENTICATE};
use serde::Serialize;
use typingd_providers::{Fault, Rejection};

use crate::gateway::Unlisted;
use crate::history;
use crate::listener::Response;
use crate::origins::ForeignPage;

/// What is wrong, as `application/problem+json`. Fields are named, values are never repeated.
#[derive(Debug)]
pub struct Problem {
    status: StatusCode,
    detail: Cow<'static, str>,
    faults: Vec<Fault>,
    header: Option<Box<(http::HeaderName, HeaderValue)>>,
}

impl Problem {
    fn new(status: StatusCode, detail: impl Into<Cow<'static, str>>) -> Self {
        Self { status, detail: detail.into(), faults: Vec::new(), header: None }
    }

    /// What is asked for is served over a WebSocket alone.
    pub fn upgrade_required() -> Self {
        let header = (SEC_WEBSOCKET_VERSION, HeaderValue::from_static("13"));
        let detail = "this path speaks WebSocket, version 13, over HTTP/1.1";
        Self { header: Some(Box::new(header)), ..Self::new(StatusCode::UPGRADE_REQUIRED, detail) }
    }

    /// The same as a frame of a socket, which goes on; with the name that came with what is refused.
    #[must_use]
    pub fn to_frame(&self, reference: Option<&str>) -> Vec<u8> {
        #[derive(Serialize)]
        struct Frame<'a> {
            r#type: &'static str,
            #[serde(skip_serializing_if = "Option::is_none")]
            r#ref: Option<&'a str>,
            status: u16,
            detail: &'a str,
            #[serde(skip_serializing_if = "Vec::is_empty")]
            errors: Vec<FieldError<'a>>,
            #[serde(skip_serializing_if = "Option::is_none")]
            retry_after_s: Option<u64>,
        }
        let retry_after = self.header.as_deref().filter(|(name, _)| *name == RETRY_AFTER);
        let frame = Frame {
            r#type: "error",
            r#ref: reference,
            status: self.status.as_u16(),
            detail: &self.detail,
            errors: self.errors(),
            retry_after_s: retry_after.and_then(|(_, seconds)| seconds.to_str().ok()?.parse().ok()),
        };
        serde_json::to_vec(&frame).expect("strings and numbers can always be written")
    }

    fn errors(&self) -> Vec<FieldError<'_>> {
        self.faults.iter().map(|fault| FieldError { field: &fault.field, detail: fault.why() }).collect()
    }

    /// 403, and why.
    pub(crate) fn forbidden(detail: &'static str) -> Self {
        Self::new(StatusCode::FORBIDDEN, detail)
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
            Rejection::Unavailable => Some((RETRY_AFTER, HeaderValue::from_static("1"))),
            _ => None,
        };
        let problem = Self { header: header.map(Box::new), ..Self::new(status, rejection.to_string()) };
        match rejection {
            Rejection::Invalid(faults) => Self { faults, ..problem },
            _ => problem,
        }
    }
}

impl From<ForeignPage> for Problem {
    fn from(_: ForeignPage) -> Self {
        Self::new(StatusCode::FORBIDDEN, "pages of this origin may not come in: see `browsers.origins`")
    }
}

impl From<Unlisted> for Problem {
    fn from(unlisted: Unlisted) -> Self {
        match unlisted {
            Unlisted::TooWide => Self::new(
                StatusCode::PAYLOAD_TOO_LARGE,
                "more leases live in this scope than one answer holds: narrow it by `channel`, `agent` or `user`",
            ),
            Unlisted::Unavailable => Rejection::Unavailable.into(),
        }
    }
}

impl From<history::Off> for Problem {
    fn from(_: history::Off) -> Self {
        Self::new(
            StatusCode::NOT_FOUND,
            "no history is kept here: `history.conversations` is 0 in this gateway's configuration",
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
        let Problem { status, ref detail, ref header, .. } = problem;
        let title = status.canonical_reason().unwrap_or("Error");
        let document = Document {
            r#type: "about:blank",
            title,
            status: status.as_u16(),
            detail,
            errors: problem.errors(),
        };
        let body = serde_json::to_vec(&document).expect("strings and numbers can always be written");
        let mut response = Self::new(body.into());
        *response.status_mut() = status;
        response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("application/problem+json"));
        response.headers_mut().extend(header.as_deref().cloned());
        response
    }
}

impl IntoResponse for Problem {
    fn into_response(self) -> Response {
        self.into()
    }
}

//! Why a provider refused, before anybody decides what that does to other calls.

use std::time::Duration;

use http::StatusCode;

use super::Answer;
use super::retry_after::retry_after;
use crate::rejection::Rejection;

/// As much of a refusal's body as a caller is told, in bytes.
const BODY_LIMIT: usize = 4 * 1024;

/// A provider's refusal.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refused {
    /// Whom it concerns.
    pub kind: RefusalKind,
    /// How long the provider wants to be left alone; at most an hour, whatever it says.
    pub retry_after: Option<Duration>,
    /// Whether the access token may merely be spent. A call refused so is repeated once with a new token, and only a
    /// new token's refusal is the credential's.
    pub is_token_spent: bool,
    /// The status and, where it is a plain one, the provider's code. Nothing that a stranger wrote: no secret, no
    /// phone number.
    pub detail: String,
}

/// Whom a refusal concerns.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RefusalKind {
    /// Everybody who calls with this credential, until it is changed.
    Credential,
    /// This agent, whoever the user.
    Agent,
    /// This user, or this one call.
    Recipient,
    /// Nobody for long: another try may do.
    Transient,
}

impl Refused {
    /// What it counts as that nothing came back: no connection, or no answer in time.
    #[must_use]
    pub fn no_answer() -> Self {
        Self {
            kind: RefusalKind::Transient,
            retry_after: None,
            is_token_spent: false,
            detail: "no answer".to_owned(),
        }
    }

    /// A refusal that this answer is, with the provider's code for it.
    pub(crate) fn of(kind: RefusalKind, answer: &Answer<'_>, code: Option<&str>) -> Self {
        let status = answer.status.as_u16();
        let detail = match code.filter(|code| is_plain_code(code)) {
            Some(code) => format!("{status} {code}"),
            None => status.to_string(),
        };
        Self { kind, retry_after: retry_after(answer.headers, answer.now), is_token_spent: false, detail }
    }

    /// The same, of a call whose access token was granted and may have ended: a 401 says so.
    pub(crate) fn of_token(self, status: StatusCode, is_granted: bool) -> Self {
        let is_refused = self.kind == RefusalKind::Credential && status == StatusCode::UNAUTHORIZED;
        Self { is_token_spent: is_granted && is_refused, ..self }
    }
}

/// The refusal of a call that the provider refused so, for a caller that wants to hear it: with the beginning of the
/// provider's body as text.
#[must_use]
pub fn rejection(refused: &Refused, status: StatusCode, body: &[u8]) -> Rejection {
    // No character is longer than four bytes: the one that stands across the limit is whole here.
    let start = &body[..body.len().min(BODY_LIMIT + 4)];
    let mut body = String::from_utf8_lossy(start).into_owned();
    body.truncate(body.floor_char_boundary(BODY_LIMIT));
    let in_seconds = |wait: Duration| {
        let rounded = wait.as_secs().saturating_add(u64::from(wait.subsec_nanos() > 0));
        u32::try_from(rounded).unwrap_or(u32::MAX)
    };
    Rejection::Upstream { status: status.as_u16(), body, retry_after_s: refused.retry_after.map(in_seconds) }
}

/// Whom a status concerns where the body does not tell. What 403 and 404 mean differs from provider to provider. Other
/// refusals of a request concern that request: leaving its recipient alone is the least that keeps it from being
/// repeated.
pub(crate) fn by_status(status: StatusCode, forbidden: RefusalKind, not_found: RefusalKind) -> RefusalKind {
    match status.as_u16() {
        401 => RefusalKind::Credential,
        403 => forbidden,
        404 | 410 => not_found,
        0..=399 | 408 | 425 | 429 | 500.. => RefusalKind::Transient,
        400 | 402 | 405..=407 | 409 | 411..=424 | 426..=428 | 430..=499 => RefusalKind::Recipient,
    }
}

/// Whether a code is a name or a number of the vendor's, and can be neither a phone number nor a key.
fn is_plain_code(code: &str) -> bool {
    let is_known_byte = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'_';
    let digits = code.bytes().filter(u8::is_ascii_digit).count();
    (1..=32).contains(&code.len()) && code.bytes().all(is_known_byte) && digits < 7
}

#[cfg(test)]
mod tests {
    use http::HeaderMap;
    use jiff::Timestamp;

    use super::*;

    #[test]
    fn a_detail_holds_a_code_and_nothing_else() {
        let headers = HeaderMap::new();
        let answer = Answer {
            status: StatusCode::FORBIDDEN,
            headers: &headers,
            body: b"",
            now: Timestamp::UNIX_EPOCH,
        };
        for (code, expected) in [
            (None, "403"),
            (Some("PERMISSION_DENIED"), "403 PERMISSION_DENIED"),
            (Some("10017"), "403 10017"),
            (Some("RCS1004"), "403 RCS1004"),
            (Some(""), "403"),
            (Some("14155550123"), "403"),
            (Some("to_1415_5550_123"), "403"),
            (Some("+1415"), "403"),
            (Some("no such user"), "403"),
            (Some("aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"), "403"),
        ] {
            assert_eq!(Refused::of(RefusalKind::Agent, &answer, code).detail, expected, "{code:?}");
        }
    }

    #[test]
    fn a_status_alone_tells_whom_it_concerns() {
        use RefusalKind::{Agent, Credential, Recipient, Transient};
        for (statuses, expected) in [
            (&[401][..], Credential),
            (&[403], Agent),
            (&[404, 410], Recipient),
            (&[400, 402, 405, 409, 413, 415, 422, 451, 499], Recipient),
            (&[301, 302, 304, 408, 425, 429, 500, 501, 502, 503, 504, 599, 999], Transient),
        ] {
            for status in statuses {
                let status = StatusCode::from_u16(*status).unwrap();
                assert_eq!(by_status(status, Agent, Recipient), expected, "{status}");
            }
        }
    }
}

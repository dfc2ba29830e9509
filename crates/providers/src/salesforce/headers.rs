//! The headers of an interaction.

use http::header::{HeaderMap, HeaderName};

use super::{Account, AuthorizationContext};
use crate::head;
use crate::rejection::{Bar, Rejection};

/// The header that names the org.
pub(super) const ORG_ID: HeaderName = HeaderName::from_static("orgid");

const CONTEXT: HeaderName = HeaderName::from_static("authorizationcontext");
const REQUEST_ID: HeaderName = HeaderName::from_static("requestid");

/// The same, as the vendor writes them and a refusal names them.
const ORG_ID_AS_WRITTEN: &str = "OrgId";
const CONTEXT_AS_WRITTEN: &str = "AuthorizationContext";
const REQUEST_ID_AS_WRITTEN: &str = "RequestId";

/// How much of an org's id counts: an id of 18 characters ends in a checksum of 3.
const ORG_ID_LENGTH: usize = 15;

/// The part of an org's id that counts; `None` where it is not an org's id.
pub(super) fn short_org_id(id: &str) -> Option<&str> {
    let is_id = [ORG_ID_LENGTH, ORG_ID_LENGTH + 3].contains(&id.len())
        && id.bytes().all(|byte| byte.is_ascii_alphanumeric());
    if is_id { id.get(..ORG_ID_LENGTH) } else { None }
}

/// The part that counts of the org's id that was sent.
pub(super) fn org_id(headers: &HeaderMap) -> Result<&str, Rejection> {
    let expected = "an org's id of 15 or 18 letters and digits";
    let id = required(headers, ORG_ID, ORG_ID_AS_WRITTEN, expected)?;
    short_org_id(id).ok_or(Rejection::BadHeader { name: ORG_ID_AS_WRITTEN, expected })
}

/// The caller's name for the request, which is not read.
pub(super) fn check_request_id(headers: &HeaderMap) -> Result<(), Rejection> {
    required(headers, REQUEST_ID, REQUEST_ID_AS_WRITTEN, "a name for the request").map(|_| ())
}

/// The authorization context.
pub(super) fn context(headers: &HeaderMap) -> Result<&str, Rejection> {
    required(headers, CONTEXT, CONTEXT_AS_WRITTEN, "the developer name of a channel definition")
}

/// Checks that the authorization context is one of the account's, and one of `granted` where those are fewer.
pub(super) fn check_context(
    account: &Account,
    granted: Option<&[String]>,
    headers: &HeaderMap,
) -> Result<(), Rejection> {
    match account.authorization_context {
        AuthorizationContext::Required => {
            let context = context(headers)?;
            let is_granted = granted.is_none_or(|granted| granted.iter().any(|one| one == context));
            let is_theirs = is_granted && (account.takes_anybody() || account.contexts.contains_key(context));
            if is_theirs { Ok(()) } else { Err(Rejection::Forbidden(Bar::Context)) }
        }
        AuthorizationContext::Absent if head::is_sent(headers, CONTEXT) => Err(Rejection::BadHeader {
            name: CONTEXT_AS_WRITTEN,
            expected: "no such header from this product",
        }),
        AuthorizationContext::Absent => Ok(()),
    }
}

/// The one value of a header that must be there and must not be empty.
fn required<'h>(
    headers: &'h HeaderMap,
    name: HeaderName,
    as_written: &'static str,
    expected: &'static str,
) -> Result<&'h str, Rejection> {
    let value = head::single(headers, name).filter(|value| !value.is_empty());
    value.ok_or(Rejection::BadHeader { name: as_written, expected })
}

//! The headers of an interaction.

use http::header::HeaderMap;

use super::{Account, AuthorizationContext};
use crate::head::{self, Sent};
use crate::rejection::{Bar, Rejection};

/// The header that names the org.
pub(super) const ORG_ID: &str = "orgid";

const CONTEXT: &str = "authorizationcontext";
const REQUEST_ID: &str = "requestid";

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

/// What an interaction's head says.
pub(super) struct Headers<'h> {
    pub(super) org_id: Sent<'h>,
    request_id: Sent<'h>,
    context: Sent<'h>,
    pub(super) authorization: Sent<'h>,
    pub(super) content_type: Sent<'h>,
}

impl<'h> Headers<'h> {
    /// Looks at all of them once.
    pub(super) fn of(headers: &'h HeaderMap) -> Self {
        let names = [ORG_ID, REQUEST_ID, CONTEXT, "authorization", "content-type"];
        let [org_id, request_id, context, authorization, content_type] = head::pick(headers, names);
        Self { org_id, request_id, context, authorization, content_type }
    }

    /// The part that counts of the org's id that was sent.
    pub(super) fn org_id(&self) -> Result<&'h str, Rejection> {
        let expected = "an org's id of 15 or 18 letters and digits";
        let id = required(self.org_id, ORG_ID_AS_WRITTEN, expected)?;
        short_org_id(id).ok_or(Rejection::BadHeader { name: ORG_ID_AS_WRITTEN, expected })
    }

    /// The caller's name for the request, which is not read.
    pub(super) fn check_request_id(&self) -> Result<(), Rejection> {
        required(self.request_id, REQUEST_ID_AS_WRITTEN, "a name for the request").map(|_| ())
    }

    /// The authorization context.
    pub(super) fn context(&self) -> Result<&'h str, Rejection> {
        context(self.context)
    }

    /// Checks that the authorization context is one of the account's, and one of `granted` where those are fewer.
    pub(super) fn check_context(
        &self,
        account: &Account,
        granted: Option<&[String]>,
    ) -> Result<(), Rejection> {
        match account.authorization_context {
            AuthorizationContext::Required => {
                let context = self.context()?;
                let is_granted = granted.is_none_or(|granted| granted.iter().any(|one| one == context));
                let is_theirs =
                    is_granted && (account.takes_anybody() || account.contexts.contains_key(context));
                if is_theirs { Ok(()) } else { Err(Rejection::Forbidden(Bar::Context)) }
            }
            AuthorizationContext::Absent if self.context.is_sent() => Err(Rejection::BadHeader {
                name: CONTEXT_AS_WRITTEN,
                expected: "no such header from this product",
            }),
            AuthorizationContext::Absent => Ok(()),
        }
    }
}

/// The two that are looked at again once the body is there: what it is, and the authorization context.
pub(super) fn beside_body(headers: &HeaderMap) -> (Option<&str>, Sent<'_>) {
    let [content_type, context] = head::pick(headers, ["content-type", CONTEXT]);
    (content_type.text(), context)
}

/// The authorization context, where one was sent.
pub(super) fn context(sent: Sent<'_>) -> Result<&str, Rejection> {
    required(sent, CONTEXT_AS_WRITTEN, "the developer name of a channel definition")
}

/// The one value of a header that must be there and must not be empty.
fn required<'h>(
    sent: Sent<'h>,
    as_written: &'static str,
    expected: &'static str,
) -> Result<&'h str, Rejection> {
    let value = sent.text().filter(|value| !value.is_empty());
    value.ok_or(Rejection::BadHeader { name: as_written, expected })
}

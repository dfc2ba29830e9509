//! An error as Google's APIs write it (AIP-193): the RCS platform's own, which other providers quote.

use super::RefusalKind;
use crate::json::Json;

/// `{"error":{"code":…,"message":…,"status":…,"details":[…]}}`
#[derive(Clone, Copy, Debug)]
pub(crate) struct GoogleError<'j> {
    /// The canonical code's name.
    pub(crate) status: &'j str,
    /// What it says to people.
    pub(crate) message: &'j str,
    /// The reason, for a program, where a detail has one.
    reason: Option<&'j str>,
}

impl<'j> GoogleError<'j> {
    pub(crate) fn read(json: &'j Json<'_>) -> Option<Self> {
        let error = json.at(&["error"])?;
        let status = error.at(&["status"])?.as_str()?;
        let message = error.at(&["message"]).and_then(Json::as_str).unwrap_or_default();
        let details = error.at(&["details"]).and_then(Json::as_array).unwrap_or_default();
        let reason = details.iter().find_map(|detail| detail.at(&["reason"])?.as_str());
        Some(Self { status, message, reason })
    }

    /// Whom it concerns; `None` where the code is none of the canonical ones.
    pub(crate) fn kind(&self) -> Option<RefusalKind> {
        let kind = match self.status {
            "UNAUTHENTICATED" => RefusalKind::Credential,
            "PERMISSION_DENIED" => self.denied(),
            // The user has no RCS, or an agent that was not launched there cannot reach it: the same words.
            "NOT_FOUND" => RefusalKind::Recipient,
            "INVALID_ARGUMENT" | "FAILED_PRECONDITION" | "OUT_OF_RANGE" | "ALREADY_EXISTS" => {
                RefusalKind::Recipient
            }
            "RESOURCE_EXHAUSTED" | "UNAVAILABLE" | "DEADLINE_EXCEEDED" | "INTERNAL" | "ABORTED"
            | "CANCELLED" | "UNKNOWN" | "DATA_LOSS" | "UNIMPLEMENTED" => RefusalKind::Transient,
            _ => return None,
        };
        Some(kind)
    }

    /// A denial is the project's, the agent's or, for an agent that may write to some users only, the user's. Where
    /// nothing tells, it is the user's: that silences the fewest.
    fn denied(&self) -> RefusalKind {
        match self.reason {
            Some("SERVICE_DISABLED" | "ACCESS_TOKEN_SCOPE_INSUFFICIENT" | "BILLING_DISABLED") => {
                RefusalKind::Credential
            }
            Some("IAM_PERMISSION_DENIED") => RefusalKind::Agent,
            _ if self.message.starts_with("The caller does not have permission") => RefusalKind::Agent,
            _ => RefusalKind::Recipient,
        }
    }
}

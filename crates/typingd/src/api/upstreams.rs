//! Who is told of a conversation, and how it stands with each: a part of what `explain` tells.

use serde::Serialize;
use typingd_core::Time;
use typingd_core::pacing::BreakerState;

use crate::relay::Standing;

/// A [`Standing`], as it is told.
#[derive(Serialize)]
pub(crate) struct UpstreamBody<'a> {
    channel: &'a str,
    upstream: &'a str,
    provider: &'static str,
    composer: &'static str,
    credential: &'static str,
    /// Until a call may try whether the credential works again.
    #[serde(skip_serializing_if = "Option::is_none")]
    tries_again_in_ms: Option<u128>,
    /// Until the provider wants to hear anything again.
    #[serde(skip_serializing_if = "Option::is_none")]
    waits_ms: Option<u128>,
    #[serde(skip_serializing_if = "Option::is_none")]
    dots_end_in_ms: Option<u128>,
}

impl<'a> UpstreamBody<'a> {
    /// How it stands with one at `now`, about a conversation on this channel.
    pub(crate) fn new(channel: &'a str, standing: &'a Standing, now: Time) -> Self {
        let left = |until: Time| until.since(now).as_millis();
        let ahead = |until: Time| (until > now).then(|| left(until));
        let (credential, tries_again_in_ms) = match standing.breaker {
            BreakerState::Unproven => ("unproven", None),
            BreakerState::Closed => ("accepted", None),
            BreakerState::Open { probe_at } => ("refused", Some(left(probe_at))),
            BreakerState::Probing => ("probing", None),
        };
        Self {
            channel,
            upstream: &standing.upstream,
            provider: standing.provider,
            composer: standing.role.as_str(),
            credential,
            tries_again_in_ms,
            waits_ms: ahead(standing.not_before),
            dots_end_in_ms: standing.dots_until.and_then(ahead),
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use typingd_core::Role;

    use super::*;

    #[test]
    fn an_upstream_is_told_with_what_is_still_to_be_waited_for() {
        let now = Time::from_millis(60_000);
        let at = Time::from_millis;
        let past = |breaker| (breaker, at(60_000), at(59_999));
        for ((breaker, not_before, dots_end), expected) in [
            (past(BreakerState::Unproven), json!({"credential": "unproven"})),
            (past(BreakerState::Closed), json!({"credential": "accepted"})),
            (past(BreakerState::Probing), json!({"credential": "probing"})),
            (
                past(BreakerState::Open { probe_at: at(360_000) }),
                json!({"credential": "refused", "tries_again_in_ms": 300_000}),
            ),
            // With the next call.
            (
                past(BreakerState::Open { probe_at: at(1) }),
                json!({"credential": "refused", "tries_again_in_ms": 0}),
            ),
            (
                (BreakerState::Closed, at(60_001), at(78_000)),
                json!({"credential": "accepted", "waits_ms": 1, "dots_end_in_ms": 18_000}),
            ),
        ] {
            let standing = Standing {
                tenant: "acme".into(),
                upstream: "kaleyra-eu".into(),
                provider: "kaleyra",
                role: Role::Agent,
                breaker,
                not_before,
                dots_until: Some(dots_end),
            };
            let told = serde_json::to_value(UpstreamBody::new("rcs", &standing, now)).unwrap();
            let mut expected: Value = expected;
            for (field, value) in [
                ("channel", "rcs"),
                ("upstream", "kaleyra-eu"),
                ("provider", "kaleyra"),
                ("composer", "agent"),
            ] {
                expected[field] = value.into();
            }
            assert_eq!(told, expected);
        }
    }
}

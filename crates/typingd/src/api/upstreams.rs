//! Who is told of a conversation, and how it stands with each: a part of what `explain` tells.

use serde::Serialize;
use typingd_core::pacing::BreakerState;
use typingd_core::{Name, Role, Time};

/// How it stands with an account at a provider that is told of a conversation.
#[derive(Clone, Debug)]
pub(crate) struct Standing {
    /// The account, by the operator's name for it.
    pub(crate) upstream: Name,
    /// The provider.
    pub(crate) provider: &'static str,
    /// Whose typing it is told.
    pub(crate) role: Role,
    /// What is known of its credential.
    pub(crate) credential: BreakerState,
    /// Until when the provider wants to be left alone; in the past where it does not.
    pub(crate) not_before: Time,
    /// When the dots that it was last known to show end, unless it is told again; in the past where there are none.
    pub(crate) dots_end: Time,
}

/// A [`Standing`], as it is told.
#[derive(Serialize)]
pub(crate) struct UpstreamBody<'a> {
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

/// How it stands with each at `now`.
pub(crate) fn upstreams(standings: &[Standing], now: Time) -> Vec<UpstreamBody<'_>> {
    standings.iter().map(|standing| UpstreamBody::new(standing, now)).collect()
}

impl<'a> UpstreamBody<'a> {
    fn new(standing: &'a Standing, now: Time) -> Self {
        let left = |until: Time| until.since(now).as_millis();
        let ahead = |until: Time| (until > now).then(|| left(until));
        let (credential, tries_again_in_ms) = match standing.credential {
            BreakerState::Unproven => ("unproven", None),
            BreakerState::Closed => ("accepted", None),
            BreakerState::Open { probe_at } => ("refused", Some(left(probe_at))),
            BreakerState::Probing => ("probing", None),
        };
        Self {
            upstream: &standing.upstream,
            provider: standing.provider,
            composer: standing.role.as_str(),
            credential,
            tries_again_in_ms,
            waits_ms: ahead(standing.not_before),
            dots_end_in_ms: ahead(standing.dots_end),
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    #[test]
    fn an_upstream_is_told_with_what_is_still_to_be_waited_for() {
        let now = Time::from_millis(60_000);
        let at = Time::from_millis;
        let past = |credential| (credential, at(60_000), at(59_999));
        for ((credential, not_before, dots_end), expected) in [
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
            let (upstream, provider) = (Name::from("kaleyra-eu"), "kaleyra");
            let standing =
                Standing { upstream, provider, role: Role::Agent, credential, not_before, dots_end };
            let told = serde_json::to_value(upstreams(&[standing], now)).unwrap();
            let mut expected = expected;
            for (field, value) in [("upstream", "kaleyra-eu"), ("provider", "kaleyra"), ("composer", "agent")]
            {
                expected[field] = value.into();
            }
            assert_eq!(told, Value::Array(vec![expected]));
        }
    }
}

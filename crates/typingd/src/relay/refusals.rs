//! What an account was refused of late, for callers who wait for the provider's verdict on a call that is not made any
//! more because of it.

use std::collections::HashMap;
use std::hash::Hash;
use std::time::Duration;

use typingd_core::pacing::{Dropped, Refusal, Verdict};
use typingd_core::{Conversation, Name, User};
use typingd_providers::Rejection;

/// How many agents' refusals are remembered, and how many recipients'; of one more, it alone is.
const REMEMBERED: usize = 256;

/// An account's refusals.
#[derive(Clone, Debug, Default)]
pub(super) struct Refusals {
    credential: Option<Rejection>,
    agents: HashMap<Name, Rejection>,
    recipients: HashMap<User, Rejection>,
}

impl Refusals {
    /// Takes note of a call's end.
    pub(super) fn note(&mut self, verdict: Verdict, about: &Conversation, why: Option<&Rejection>) {
        if verdict == Verdict::Accepted {
            self.credential = None;
            self.agents.remove(about.agent());
            self.recipients.remove(about.user());
        }
        let (Verdict::Refused(refusal), Some(why)) = (verdict, why) else { return };
        match refusal {
            Refusal::Credential => self.credential = Some(why.clone()),
            Refusal::Agent => put(&mut self.agents, about.agent(), why),
            Refusal::Recipient => put(&mut self.recipients, about.user(), why),
            Refusal::Transient { .. } => {}
        }
    }

    /// What is known against a call about this conversation.
    pub(super) fn of(&self, about: &Conversation) -> Option<Rejection> {
        let Self { credential, agents, recipients } = self;
        let known = credential.as_ref().or_else(|| recipients.get(about.user()));
        known.or_else(|| agents.get(about.agent())).cloned()
    }

    /// What to say of a call that was not made, to a provider that wants to be left alone for so long.
    pub(super) fn of_dropped(&self, dropped: Dropped, about: &Conversation, waits: Duration) -> Rejection {
        match dropped {
            Dropped::Breaker | Dropped::Quiet => self.of(about).unwrap_or(Rejection::Unavailable),
            Dropped::Stale if waits.is_zero() => Rejection::UpstreamTimeout,
            Dropped::Stale | Dropped::Limit => Rejection::TooMany { retry_after_s: seconds(waits) },
            Dropped::Failed | Dropped::Coalesced => Rejection::UpstreamTimeout,
        }
    }
}

fn put<K: Clone + Eq + Hash>(refused: &mut HashMap<K, Rejection>, whom: &K, why: &Rejection) {
    if refused.len() >= REMEMBERED && !refused.contains_key(whom) {
        refused.clear();
    }
    refused.insert(whom.clone(), why.clone());
}

/// Whole seconds, rounded up, and one at least.
fn seconds(span: Duration) -> u32 {
    u32::try_from(span.as_millis().div_ceil(1_000)).unwrap_or(u32::MAX).max(1)
}

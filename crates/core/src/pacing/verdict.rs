//! What is asked of a provider, what it answers, and why something was not asked.

use std::time::Duration;

/// What a call says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verb {
    /// Show the dots, for one display time.
    Type,
    /// Take the dots away.
    Stop,
}

/// What became of a call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// The provider took it. That it was shown is more than anybody knows.
    Accepted,
    /// The provider refused it: it had no effect.
    Refused(Refusal),
    /// There is no answer: it failed, timed out or was cancelled. It may have taken effect.
    Unanswered,
}

/// Whom a provider's refusal is about. The provider's adapter tells.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Refusal {
    /// The credential: no call with it will do better.
    Credential,
    /// The agent: other agents of this credential may do better.
    Agent,
    /// The recipient alone.
    Recipient,
    /// Nobody: it may do better later.
    Transient {
        /// How long the provider wants to be left alone, where it says so.
        retry_after: Option<Duration>,
    },
}

/// Why a call that was due was not made.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Dropped {
    /// It could not begin within the profile's freshness.
    Stale,
    /// The credential is refused.
    Breaker,
    /// The agent or the recipient is refused.
    Quiet,
    /// Too much waits already: the latest due is the one to lose.
    Limit,
    /// Another call says it as well.
    Coalesced,
    /// It was made as often as it may be, and did not get through.
    Failed,
}

impl Dropped {
    /// All of them, in the order in which they are counted.
    pub const ALL: [Self; 6] =
        [Self::Stale, Self::Breaker, Self::Quiet, Self::Limit, Self::Coalesced, Self::Failed];

    /// As metrics and logs spell it.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Stale => "stale",
            Self::Breaker => "breaker",
            Self::Quiet => "quiet",
            Self::Limit => "limit",
            Self::Coalesced => "coalesced",
            Self::Failed => "failed",
        }
    }
}

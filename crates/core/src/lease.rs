//! What a side remembers: its leases, the claims that hold them up, and its fence.

use std::collections::VecDeque;
use std::time::Duration;

use compact_str::CompactString;
use smallvec::SmallVec;

use crate::conversation::Name;
use crate::signal::Source;
use crate::time::Time;

/// Says that a composer is typing. It lasts as long as the latest of its claims.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Lease {
    /// Who of the side; `None` where the wire does not say.
    pub participant: Option<Name>,
    /// What people call them, as was said last.
    pub name: Option<Name>,
    /// Since when; an extension leaves it.
    pub started_at: Time,
    /// The end that everybody was told. While the lease lives, it lies ahead, and never after the true end.
    pub announced_until: Time,
    /// How long before the announced end a later one must be told.
    pub guard: Duration,
    /// The highest turn its composer named.
    pub turn: Option<u64>,
    /// The door that started it.
    pub origin: Name,
    /// The reasons for it. Never empty.
    pub claims: SmallVec<[Claim; 1]>,
}

/// One reason for a lease.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Claim {
    /// What must be released, or lapse, for it to end.
    pub source: Source,
    /// When it lapses by itself.
    pub until: Time,
}

impl Lease {
    /// When it ends unless something is said before: the latest end of its claims.
    #[must_use]
    pub fn expires_at(&self) -> Time {
        // Nearly always there is one.
        if let [claim] = *self.claims {
            return claim.until;
        }
        self.claims.iter().map(|claim| claim.until).max().unwrap_or(Time::ZERO)
    }

    /// Whether it ends later than was told, and the time to tell has come.
    pub(crate) fn must_be_told(&self, now: Time) -> bool {
        self.announced_until < self.expires_at() && now >= self.announced_until.before(self.guard)
    }

    /// When it must be looked at next: to tell its later end, or to end it.
    fn deadline(&self) -> Time {
        let expires_at = self.expires_at();
        if self.announced_until < expires_at { self.announced_until.before(self.guard) } else { expires_at }
    }

    /// What others see of it.
    #[must_use]
    pub fn view(&self) -> LeaseView {
        LeaseView {
            participant: self.participant.clone(),
            name: self.name.clone(),
            started_at: self.started_at,
            expires_at: self.expires_at(),
            origin: self.origin.clone(),
        }
    }
}

/// A lease as others see it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LeaseView {
    /// Who of the side; `None` where the wire does not say.
    pub participant: Option<Name>,
    /// What people call them.
    pub name: Option<Name>,
    /// Since when.
    pub started_at: Time,
    /// Until when, unless something is said before; of a lease that stopped, when it did.
    pub expires_at: Time,
    /// The door that started it.
    pub origin: Name,
}

/// What outlives a lease for a while, so that a straggler or a repeat does not start another.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Fence {
    /// The highest turn whose message went out.
    pub last_turn: Option<u64>,
    /// The payload ids seen last, oldest first.
    pub payload_ids: VecDeque<CompactString>,
    /// When it is forgotten, if nothing is live then.
    pub forget_at: Time,
}

/// All that is known of one side. The default is a side of which nothing is known.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct SideState {
    /// At most one per participant, and one for the anonymous one.
    pub leases: SmallVec<[Lease; 1]>,
    /// Boxed: most sides never need one.
    pub fence: Option<Box<Fence>>,
}

impl SideState {
    /// Whether there is nothing to remember.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.leases.is_empty() && self.fence.is_none()
    }

    /// When it must be looked at next; `None` where there is nothing to remember.
    #[must_use]
    pub fn deadline(&self) -> Option<Time> {
        let of_leases = self.leases.iter().map(Lease::deadline).min();
        of_leases.or_else(|| self.fence.as_ref().map(|fence| fence.forget_at))
    }

    /// The highest turn whose message went out, as far as it is remembered.
    #[must_use]
    pub fn last_turn(&self) -> Option<u64> {
        self.fence.as_ref()?.last_turn
    }
}

//! Ends that were heard here and that the store, or others, may not know of.

use std::time::Duration;

use crate::conversation::Name;
use crate::lease::{Claim, Lease, SideState};
use crate::signal::Source;
use crate::time::Time;
use crate::transition::{Change, ChangeKind, Changes, Decision, IgnoreReason, StopReason, Verdict};

/// How long an end holds, once the store knows of it, against news of a beginning before it.
const STANDS: Duration = Duration::from_secs(10);

/// No participant has such a name: names have no control characters.
const NOBODY: &str = "\0";

/// Something ended here.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Ended {
    whose: Whose,
    pub(super) at: Time,
    pub(super) reason: StopReason,
    /// Leases of later turns go on; `None` where there is no such bound.
    up_to: Option<u64>,
    /// Whether somebody said so. That a time ran out here, or that the store has it no more, is no reason to end what
    /// others have prolonged.
    is_said: bool,
    forget_at: Time,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Whose {
    Everybody,
    One(Option<Name>),
}

impl Ended {
    fn new(whose: Whose, at: Time, reason: StopReason) -> Self {
        Self { whose, at, reason, up_to: None, is_said: false, forget_at: at + STANDS }
    }

    /// Whether it is of the same ones, on the same ground, so that the later of the two covers all that the earlier does.
    pub(super) fn is_like(&self, other: &Self) -> bool {
        (&self.whose, self.is_said, self.up_to) == (&other.whose, other.is_said, other.up_to)
    }

    /// The end of a lease that those who follow this node were told of.
    pub(super) fn told(change: &Change, at: Time) -> Option<Self> {
        match change.kind {
            ChangeKind::Stopped(reason) => {
                Some(Self::new(Whose::One(change.lease.participant.clone()), at, reason))
            }
            _ => None,
        }
    }

    /// Whether a lease that began then is one of those that ended.
    pub(super) fn covers(&self, participant: Option<&Name>, started_at: Time) -> bool {
        let is_meant = match &self.whose {
            Whose::Everybody => true,
            Whose::One(whose) => whose.as_ref() == participant,
        };
        // What began with it goes on after it, as some holds do; what was told to be over is.
        is_meant && if self.is_said { started_at < self.at } else { started_at <= self.at }
    }

    /// Whether somebody said so.
    pub(super) fn is_said(&self) -> bool {
        self.is_said
    }

    /// Whether it ends a lease, wherever that is.
    pub(super) fn ends(&self, lease: &Lease) -> bool {
        let is_later = self.up_to.is_some() && lease.turn > self.up_to;
        self.is_said() && self.covers(lease.participant.as_ref(), lease.started_at) && !is_later
    }

    /// When it need not be remembered any more, if the store knows it.
    pub(super) fn forget_at(&self) -> Time {
        self.forget_at
    }

    /// The store knows it from now on.
    pub(super) fn note_known(&mut self, now: Time) {
        self.forget_at = self.forget_at.max(now + STANDS);
    }
}

/// Whose typing an input ends that made this decision here, also where nothing is known of it: what it did, and what it
/// would do to leases that nobody has.
pub(super) fn ended_by(decide: impl Fn(SideState) -> Decision, made: &Decision, now: Time) -> Vec<Ended> {
    if made.outcome.verdict == Verdict::Ignored(IgnoreReason::Duplicate) {
        return Vec::new();
    }
    let said = |changes: &Changes| -> Vec<Ended> {
        let told = changes.iter().filter_map(|change| Ended::told(change, now));
        let said = told.filter(|ended| ended.reason != StopReason::Expired);
        said.map(|ended| Ended { is_said: true, ..ended }).collect()
    };
    let mut ended = said(&made.changes);
    let would = said(&decide(nobodys(None)).changes);
    let would_end = |name: Option<&str>| {
        would
            .iter()
            .find(|ended| matches!(&ended.whose, Whose::One(whose) if whose.as_deref() == name))
            .cloned()
    };
    match (would_end(None), would_end(Some(NOBODY))) {
        (Some(all), Some(_)) => ended.push(Ended { whose: Whose::Everybody, ..all }),
        (Some(nameless), None) => ended.push(nameless),
        _ => {}
    }
    ended.dedup();
    if said(&decide(nobodys(Some(u64::MAX))).changes).is_empty() {
        ended.iter_mut().for_each(|ended| ended.up_to = made.next.last_turn());
    }
    ended
}

/// A side on which nobody types, with and without a name.
fn nobodys(turn: Option<u64>) -> SideState {
    let leases = [None, Some(Name::new(NOBODY))].map(|participant| Lease {
        participant,
        name: None,
        started_at: Time::ZERO,
        announced_until: Time::MAX,
        guard: Duration::ZERO,
        turn,
        origin: Name::new(NOBODY),
        claims: [Claim { source: Source::OneShot, until: Time::MAX }].into_iter().collect(),
    });
    SideState { leases: leases.into_iter().collect(), fence: None }
}

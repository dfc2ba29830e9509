//! What a node may keep to itself for a while: that a lease which others know of lasts longer than they know.

use std::time::Duration;

use smallvec::SmallVec;

use crate::conversation::Name;
use crate::lease::{Claim, Lease, SideState};
use crate::time::Time;

/// The same moment looks this different at most from one look at the store to another: its clock and the node's are
/// compared anew each time.
const APART: Duration = Duration::from_secs(1);

/// Whether two leases of one participant that began then are the same one.
pub(super) fn is_same_start(one: Time, other: Time) -> bool {
    one.since(other).max(other.since(one)) <= APART
}

/// A claim that lasts longer than the store knows.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Extension {
    participant: Option<Name>,
    /// Of the lease: one that began anew is another.
    started_at: Time,
    claim: Claim,
    guard: Duration,
    /// The end of the claim that the store has seen, if any. One that is missing there before has been released.
    known_until: Option<Time>,
}

pub(super) type Extensions = SmallVec<[Extension; 1]>;

/// What leads from one state to the other; `None` where that is more than extensions. Claims that have lapsed by `now`
/// are not missed.
pub(super) fn between(before: &SideState, after: &SideState, now: Time) -> Option<Extensions> {
    if before.leases.len() != after.leases.len() || before.fence != after.fence {
        return None;
    }
    let mut extensions = Extensions::new();
    for (was, is) in before.leases.iter().zip(&after.leases) {
        let is_the_same = (&was.participant, &was.name, was.started_at, was.announced_until, was.turn)
            == (&is.participant, &is.name, is.started_at, is.announced_until, is.turn);
        let keeps_all = was.claims.iter().filter(|claim| claim.until > now).all(|claim| {
            is.claims.iter().any(|kept| kept.source.is(claim.source) && kept.until >= claim.until)
        });
        if !is_the_same || !keeps_all {
            return None;
        }
        extensions.extend(of_lease(was, is));
    }
    Some(extensions)
}

/// The claims of a lease that last longer than they did.
pub(super) fn of_lease<'l>(was: &'l Lease, is: &'l Lease) -> impl Iterator<Item = Extension> + 'l {
    is.claims.iter().filter_map(|claim| {
        let known = was.claims.iter().find(|known| known.source.is(claim.source));
        let is_longer = known.is_none_or(|known| known.until < claim.until);
        is_longer.then(|| Extension {
            participant: is.participant.clone(),
            started_at: is.started_at,
            claim: *claim,
            guard: is.guard,
            known_until: known.map(|known| known.until),
        })
    })
}

impl Extension {
    /// Whether it is about this lease.
    pub(super) fn is_of(&self, lease: &Lease) -> bool {
        lease.participant == self.participant && is_same_start(lease.started_at, self.started_at)
    }

    /// Whether it is about the same claim.
    fn is_about(&self, other: &Self) -> bool {
        self.participant == other.participant
            && self.started_at == other.started_at
            && self.claim.source.is(other.claim.source)
    }

    /// Brings it to a state, where its lease still lives there. Says whether that made a difference.
    pub(super) fn apply(&self, state: &mut SideState, now: Time) -> bool {
        let lease = state.leases.iter_mut().find(|lease| self.is_of(lease));
        lease.is_some_and(|lease| self.join(lease, now))
    }

    /// Gives a lease the claim, unless that was released elsewhere. Says whether that made a difference.
    pub(super) fn join(&self, lease: &mut Lease, now: Time) -> bool {
        let before = lease.expires_at();
        match lease.claims.iter_mut().find(|claim| claim.source.is(self.claim.source)) {
            Some(claim) if claim.until < self.claim.until => claim.until = self.claim.until,
            None if self.known_until.is_none_or(|until| until <= now) => lease.claims.push(self.claim),
            _ => return false,
        }
        if lease.expires_at() > before {
            lease.guard = self.guard;
        }
        true
    }

    /// Puts it in the place of an earlier one of the same claim.
    pub(super) fn merge_into(self, extensions: &mut Extensions) {
        match extensions.iter_mut().find(|other| self.is_about(other)) {
            Some(other) => *other = Self { known_until: other.known_until, ..self },
            None => extensions.push(self),
        }
    }
}

/// The store has seen some of them: those are over, and what was said since is about claims that it knows.
pub(super) fn forget_told(extensions: &mut Extensions, told: &Extensions) {
    extensions.retain(|extension| match told.iter().find(|told| told.is_about(extension)) {
        Some(told) => {
            extension.known_until = Some(told.claim.until);
            told.claim.until < extension.claim.until
        }
        None => true,
    });
}

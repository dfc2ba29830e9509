//! What a node decided by itself while the store was out of reach, and how that is brought to the store afterwards.

use super::ended::Ended;
use super::extension::{Extensions, of_lease};
use crate::lease::{Lease, LeaseView, SideState};
use crate::policy::Policy;
use crate::time::Time;
use crate::transition::{
    Change, ChangeKind, Decision, IgnoreReason, Input, Outcome, StopReason, Verdict, transition,
};

/// What was decided of a side beside the store.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Aside {
    /// What the store had, as far as is known. All that goes beyond was decided here.
    pub(super) base: SideState,
    /// How much was decided.
    pub(super) decisions: u64,
}

impl Aside {
    /// Whether a lease that lives here and not in the store is to be there: not where it is missing before its time, since
    /// then somebody ended it.
    pub(super) fn is_to_be(&self, lease: &Lease, last_turn: Option<u64>, now: Time) -> bool {
        let is_over = lease.turn.is_some() && lease.turn <= last_turn;
        let known = self.base.leases.iter().find(|known| known.participant == lease.participant);
        !is_over && known.is_none_or(|known| known.expires_at() <= now)
    }

    /// The store answers to what it was asked before something was decided beside it. What lasts longer there than was known
    /// was promised, and lasts longer here, too.
    pub(super) fn learn(&mut self, stored: SideState, here: &mut SideState, now: Time) {
        for lease in &mut here.leases {
            let of_it = |state: &SideState| {
                let mut leases = state.leases.iter();
                leases.find(|known| known.participant == lease.participant).cloned()
            };
            if let (Some(known), Some(promised)) = (of_it(&self.base), of_it(&stored)) {
                of_lease(&known, &promised)
                    .filter(|extension| extension.is_of(lease))
                    .collect::<Extensions>()
                    .iter()
                    .for_each(|extension| _ = extension.join(lease, now));
            }
        }
        self.base = stored;
    }

    /// Makes one of what the store has and what was decided beside it: what ended here ends, what was promised here
    /// lives, and fences are kept. Pure, like [`transition`].
    pub(super) fn reconcile(
        &self,
        stored: &SideState,
        here: &SideState,
        ended: &[Ended],
        now: Time,
        policy: &Policy,
    ) -> Decision {
        // What has lapsed there comes back as a beginning: others have let it go by themselves.
        let Decision { mut next, mut changes, .. } = transition(stored.clone(), &Input::Lapse, now, policy);
        next.leases.retain(|lease| {
            let by = ended.iter().find(|ended| ended.ends(lease));
            let Some(by) = by else { return true };
            let view = LeaseView { expires_at: by.at, ..lease.view() };
            changes.push(Change { kind: ChangeKind::Stopped(by.reason), lease: view });
            false
        });
        for lease in here.leases.iter().filter(|lease| lease.expires_at() > now) {
            let none = Lease { claims: [].into_iter().collect(), ..lease.clone() };
            let base = self.base.leases.iter().find(|known| known.participant == lease.participant);
            if let Some(known) = next.leases.iter_mut().find(|known| known.participant == lease.participant) {
                for extension in of_lease(base.unwrap_or(&none), lease) {
                    if known.claims.len() < policy.claims_per_lease {
                        extension.join(known, now);
                    }
                }
                known.turn = known.turn.max(lease.turn);
            } else if self.is_to_be(lease, stored.last_turn(), now)
                && next.leases.len() < policy.leases_per_side
            {
                changes.retain(|change| change.lease.participant != lease.participant || is_said(change));
                let lease = Lease { announced_until: lease.expires_at(), ..lease.clone() };
                changes.push(Change { kind: ChangeKind::Started, lease: lease.view() });
                next.leases.push(lease);
            }
        }
        keep_fence(&mut next, here, policy);
        let Decision { next, changes: settled, .. } = transition(next, &Input::Lapse, now, policy);
        changes.extend(settled);
        let outcome = Outcome {
            verdict: Verdict::Ignored(IgnoreReason::NothingLive),
            lease: None,
            last_turn: next.last_turn(),
            is_local: false,
        };
        Decision { next, outcome, changes }
    }
}

fn is_said(change: &Change) -> bool {
    change.kind != ChangeKind::Stopped(StopReason::Expired)
}

fn keep_fence(next: &mut SideState, here: &SideState, policy: &Policy) {
    let Some(here) = &here.fence else { return };
    let fence = next.fence.get_or_insert_default();
    fence.last_turn = fence.last_turn.max(here.last_turn);
    for id in &here.payload_ids {
        if !fence.payload_ids.contains(id) {
            fence.payload_ids.push_back(id.clone());
        }
    }
    while fence.payload_ids.len() > policy.payload_ids {
        fence.payload_ids.pop_front();
    }
    fence.forget_at = fence.forget_at.max(here.forget_at);
}

//! The one place where a lease changes. Pure and total: the same side, input and time give the same decision.

use std::time::Duration;

use compact_str::CompactString;
use smallvec::SmallVec;

use crate::conversation::Name;
use crate::lease::{Claim, Fence, Lease, LeaseView, SideState};
use crate::policy::Policy;
use crate::signal::{Marks, Signal, Source, Utterance};
use crate::time::Time;

/// What can happen to a side.
#[derive(Clone, Debug)]
pub enum Input {
    /// Somebody says something.
    Say(Utterance),
    /// A connection closed or a hold ended: the claim it was is void.
    Release {
        /// Whose claim it was.
        participant: Option<Name>,
        /// Which one.
        source: Source,
        /// Why, where it was the last one.
        reason: StopReason,
    },
    /// Whoever has a claim goes on. Where it is not there any more, nothing begins.
    Extend {
        /// Whose claim it is.
        participant: Option<Name>,
        /// Which one.
        source: Source,
        /// For how long from now on it holds, unless it holds longer already.
        ttl: Duration,
    },
    /// Every lease of the side ends, because whoever serves it stops serving it.
    Revoke,
    /// Nothing but time.
    Lapse,
}

/// What the input came to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Decision {
    /// The side afterwards.
    pub next: SideState,
    /// What to answer.
    pub outcome: Outcome,
    /// What to tell, in this order.
    pub changes: Changes,
}

/// What whoever spoke is told.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Outcome {
    /// What was decided.
    pub verdict: Verdict,
    /// The speaker's lease as it stands afterwards, where one lives.
    pub lease: Option<LeaseView>,
    /// The highest turn whose message went out on this side, as far as it is remembered: the speaker goes on from it.
    pub last_turn: Option<u64>,
    /// Whether it was decided on this node alone, because the store was out of reach.
    pub is_local: bool,
}

/// What was decided about an input.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// A lease began.
    Started,
    /// A live lease was kept, and lasts at least as long as before.
    Extended,
    /// At least one lease ended.
    Ended,
    /// Nothing changed.
    Ignored(IgnoreReason),
}

/// Why an input changed nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum IgnoreReason {
    /// Nobody was typing.
    NothingLive,
    /// It belongs to a message that went out already.
    Fenced,
    /// Its payload id was seen before.
    Duplicate,
    /// The side, or the lease, holds as many as it may.
    Full,
    /// Other claims hold the lease up.
    Held,
}

/// What subscribers are told about a lease.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Change {
    /// What became of it.
    pub kind: ChangeKind,
    /// The lease then.
    pub lease: LeaseView,
}

/// The kinds of news about a lease.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ChangeKind {
    /// It began.
    Started,
    /// It lives on, and its end is another than was told.
    Refreshed,
    /// It ended.
    Stopped(StopReason),
}

/// Why a lease ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum StopReason {
    /// The composer paused.
    Paused,
    /// The composer's message went out.
    Sent,
    /// Its time ran out.
    Expired,
    /// Whoever vouched for it is gone.
    Revoked,
}

/// The changes of one decision: mostly none or one.
pub type Changes = SmallVec<[Change; 1]>;

/// Decides what `input` at `now` makes of `side`. What time alone brings about is settled first.
#[must_use]
pub fn transition(side: SideState, input: &Input, now: Time, policy: &Policy) -> Decision {
    let mut deciding = Deciding { next: side, changes: Changes::new(), now, policy };
    deciding.settle();
    let (verdict, speaker) = match input {
        Input::Say(utterance) => (deciding.hear(utterance), &utterance.participant),
        Input::Release { participant, source, reason } => {
            (deciding.release(participant, *source, *reason), participant)
        }
        Input::Extend { participant, source, ttl } => {
            (deciding.extend(participant, *source, *ttl), participant)
        }
        Input::Revoke => (deciding.stop(StopReason::Revoked, |_| true), &None),
        Input::Lapse => (Verdict::Ignored(IgnoreReason::NothingLive), &None),
    };
    let lease = deciding.find(speaker).map(|at| deciding.next.leases[at].view());
    let outcome = Outcome { verdict, lease, last_turn: deciding.next.last_turn(), is_local: false };
    Decision { next: deciding.next, outcome, changes: deciding.changes }
}

struct Deciding<'p> {
    next: SideState,
    changes: Changes,
    now: Time,
    policy: &'p Policy,
}

impl Deciding<'_> {
    /// Ends what has lapsed, tells what must be told, forgets what may be forgotten.
    fn settle(&mut self) {
        let now = self.now;
        self.stop(StopReason::Expired, |lease| lease.expires_at() <= now);
        for at in 0..self.next.leases.len() {
            let claims = &mut self.next.leases[at].claims;
            // Nearly always the only one, which lives as its lease does.
            if claims.len() > 1 {
                claims.retain(|claim| claim.until > now);
            }
            self.tell_if_due(at);
        }
        if self.next.leases.is_empty() && self.next.fence.as_ref().is_some_and(|fence| fence.forget_at <= now)
        {
            self.next.fence = None;
        }
    }

    fn hear(&mut self, said: &Utterance) -> Verdict {
        if self.is_duplicate(&said.marks) {
            return Verdict::Ignored(IgnoreReason::Duplicate);
        }
        let verdict = match said.signal {
            Signal::Composing { ttl } => {
                let claim = Claim { source: said.source, until: self.now + ttl };
                self.compose(said, claim, self.policy.guard(ttl))
            }
            Signal::Paused => self.stop_for(said, StopReason::Paused),
            Signal::Sent => self.send(said),
        };
        // Who is refused for want of room may try the same payload again.
        if verdict != Verdict::Ignored(IgnoreReason::Full) {
            self.remember(said.marks.payload_id.as_ref());
        }
        verdict
    }

    fn compose(&mut self, said: &Utterance, claim: Claim, guard: Duration) -> Verdict {
        let turn = said.marks.turn;
        if turn.is_some() && turn <= self.next.last_turn() {
            return Verdict::Ignored(IgnoreReason::Fenced);
        }
        let Some(at) = self.find(&said.participant) else {
            if self.next.leases.len() >= self.policy.leases_per_side {
                return Verdict::Ignored(IgnoreReason::Full);
            }
            self.start(Lease {
                participant: said.participant.clone(),
                name: said.name.clone(),
                started_at: self.now,
                announced_until: self.now,
                guard,
                turn,
                origin: said.origin.clone(),
                claims: SmallVec::from_slice(&[claim]),
            });
            return Verdict::Started;
        };
        let lease = &mut self.next.leases[at];
        let held = match lease.claims.iter().position(|held| held.source.is(claim.source)) {
            Some(held) => held,
            None if lease.claims.len() < self.policy.claims_per_lease => {
                lease.claims.push(Claim { until: self.now, ..claim });
                lease.claims.len() - 1
            }
            None => return Verdict::Ignored(IgnoreReason::Full),
        };
        lease.turn = lease.turn.max(turn);
        if said.name.is_some() {
            lease.name.clone_from(&said.name);
        }
        self.hold(at, held, claim.until, guard);
        Verdict::Extended
    }

    /// Ends what the message ends, raises the fence, and lets holds that continue begin anew.
    fn send(&mut self, said: &Utterance) -> Verdict {
        let ended: SmallVec<[Lease; 1]> =
            self.next.leases.iter().filter(|lease| is_ended_by(lease, said)).cloned().collect();
        let verdict = self.stop_for(said, StopReason::Sent);
        let turn = ended.iter().map(|lease| lease.turn).max().flatten().max(said.marks.turn);
        if turn.is_some() {
            let fence = self.fence();
            fence.last_turn = fence.last_turn.max(turn);
        }
        for mut lease in ended {
            lease.claims.retain(|claim| claim.source.outlives_message());
            if !lease.claims.is_empty() {
                self.start(Lease { started_at: self.now, turn: None, ..lease });
            }
        }
        verdict
    }

    /// Lets a claim hold longer, where it is there.
    fn extend(&mut self, participant: &Option<Name>, source: Source, ttl: Duration) -> Verdict {
        let Some(at) = self.find(participant) else { return Verdict::Ignored(IgnoreReason::NothingLive) };
        let held = self.next.leases[at].claims.iter().position(|claim| claim.source.is(source));
        let Some(held) = held else { return Verdict::Ignored(IgnoreReason::NothingLive) };
        self.hold(at, held, self.now + ttl, self.policy.guard(ttl));
        Verdict::Extended
    }

    /// Makes one of a lease's claims last until then, if it does not last longer.
    fn hold(&mut self, at: usize, claim: usize, until: Time, guard: Duration) {
        let lease = &mut self.next.leases[at];
        let before = lease.expires_at();
        lease.claims[claim].until = lease.claims[claim].until.max(until);
        if lease.expires_at() > before {
            lease.guard = guard;
        }
        self.tell_if_due(at);
    }

    fn release(&mut self, participant: &Option<Name>, source: Source, reason: StopReason) -> Verdict {
        let now = self.now;
        let Some(at) = self.find(participant) else { return Verdict::Ignored(IgnoreReason::NothingLive) };
        let lease = &mut self.next.leases[at];
        let before = lease.expires_at();
        lease.claims.retain(|claim| !claim.source.is(source));
        if lease.claims.is_empty() {
            return self.stop(reason, |lease| lease.expires_at() <= now);
        }
        // A shorter end is news, even where only a snapshot told the longer one: who then loses us would show dots too
        // long.
        if lease.expires_at() < before {
            self.tell(at);
        }
        Verdict::Ignored(IgnoreReason::Held)
    }

    fn start(&mut self, mut lease: Lease) {
        lease.announced_until = lease.expires_at();
        self.changes.push(Change { kind: ChangeKind::Started, lease: lease.view() });
        self.next.leases.push(lease);
    }

    fn stop_for(&mut self, said: &Utterance, reason: StopReason) -> Verdict {
        match self.stop(reason, |lease| is_ended_by(lease, said)) {
            Verdict::Ended => Verdict::Ended,
            _ if self.next.leases.iter().any(|lease| lease.turn > said.marks.turn)
                && said.marks.turn.is_some() =>
            {
                Verdict::Ignored(IgnoreReason::Fenced)
            }
            nothing => nothing,
        }
    }

    fn stop(&mut self, reason: StopReason, ends: impl Fn(&Lease) -> bool) -> Verdict {
        if !self.next.leases.iter().any(&ends) {
            return Verdict::Ignored(IgnoreReason::NothingLive);
        }
        let now = self.now;
        let changes = &mut self.changes;
        self.next.leases.retain(|lease| {
            let stops = ends(lease);
            if stops {
                let view = lease.view();
                let ended_at = if reason == StopReason::Expired { view.expires_at } else { now };
                let lease = LeaseView { expires_at: ended_at, ..view };
                changes.push(Change { kind: ChangeKind::Stopped(reason), lease });
            }
            !stops
        });
        if let Some(fence) = &mut self.next.fence {
            fence.forget_at = now + self.policy.fence;
        }
        Verdict::Ended
    }

    fn tell_if_due(&mut self, at: usize) {
        if self.next.leases[at].must_be_told(self.now) {
            self.tell(at);
        }
    }

    fn tell(&mut self, at: usize) {
        let lease = &mut self.next.leases[at];
        lease.announced_until = lease.expires_at();
        self.changes.push(Change { kind: ChangeKind::Refreshed, lease: lease.view() });
    }

    fn find(&self, participant: &Option<Name>) -> Option<usize> {
        self.next.leases.iter().position(|lease| lease.participant == *participant)
    }

    fn is_duplicate(&self, marks: &Marks) -> bool {
        match (&marks.payload_id, &self.next.fence) {
            (Some(id), Some(fence)) => fence.payload_ids.contains(id),
            _ => false,
        }
    }

    fn remember(&mut self, payload_id: Option<&CompactString>) {
        let Some(id) = payload_id else { return };
        let bound = self.policy.payload_ids;
        let ids = &mut self.fence().payload_ids;
        ids.push_back(id.clone());
        while ids.len() > bound {
            ids.pop_front();
        }
    }

    fn fence(&mut self) -> &mut Fence {
        let fence = self.next.fence.get_or_insert_default();
        fence.forget_at = self.now + self.policy.fence;
        fence
    }
}

/// Without a participant the whole side is meant, with one that participant and the anonymous one. A lease of a later
/// turn is the next message's: a straggler does not end it.
fn is_ended_by(lease: &Lease, said: &Utterance) -> bool {
    let is_meant =
        said.participant.is_none() || lease.participant.is_none() || lease.participant == said.participant;
    let is_later = said.marks.turn.is_some() && lease.turn > said.marks.turn;
    is_meant && !is_later
}

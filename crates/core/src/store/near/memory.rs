//! What a node remembers of a store that it shares with others.

use std::collections::HashMap;
use std::ops::Range;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};

use super::aside::Aside;
use super::ended::{Ended, ended_by};
use super::entry::{Entry, amends};
use super::extension::{Extensions, between, forget_told};
use super::table::{Difference, Table};
use crate::conversation::{Name, Side};
use crate::lease::SideState;
use crate::policy::Policy;
use crate::store::remote::Audience;
use crate::store::{Commit, Position, Presence, StoreError};
use crate::time::Time;
use crate::transition::{ChangeKind, Changes, Decision, Input, Outcome, Verdict, transition};

/// What this node vouches for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Tally {
    /// Leases that live.
    pub leases: usize,
    /// Sides on which they do.
    pub sides: usize,
}

/// What a node remembers of a store that it shares with others.
pub struct NodeMemory<A> {
    tables: Box<[Mutex<Table>]>,
    /// How many sides of a shard may be remembered.
    room: usize,
    tallies: Mutex<HashMap<Name, Tally>>,
    is_away: AtomicBool,
    decisions: AtomicU64,
    audience: A,
}

/// What was made of a side in the store, and which of this node's decisions that was: answers may overtake each other.
#[derive(Clone, Debug, Default)]
pub(super) struct Made {
    pub(super) next: SideState,
    pub(super) count: u64,
}

/// Whether a shard is heard, and whether those who follow this node were told less of it than the store has answered.
#[derive(Clone, Copy, Debug)]
pub(super) struct Followed {
    pub(super) hears: bool,
    pub(super) is_behind: bool,
}

/// What the store has of a side now, what it came to, and how the shard is followed.
pub(super) struct Answer<'o> {
    pub(super) made: Made,
    pub(super) outcome: &'o Outcome,
    pub(super) followed: Followed,
}

/// What a node knew of a side when it asked the store.
#[derive(Clone, Debug, Default)]
pub(super) struct Local {
    pending: Extensions,
    /// What was decided beside the store, where something was, with the side as it is here.
    aside: Option<(Aside, SideState)>,
    ended: Vec<Ended>,
    heard: u64,
    now: Time,
}

impl Local {
    /// Brings what the store has still to learn.
    fn extend(&self, stored: &mut SideState, now: Time) {
        for extension in &self.pending {
            extension.apply(stored, now);
        }
    }

    /// Decides on what the store has and has still to learn. What has lapsed there and goes on is a beginning: others have
    /// let it go by themselves.
    pub(super) fn decide(
        &self,
        stored: SideState,
        now: Time,
        decide: impl FnOnce(SideState) -> Decision,
    ) -> Decision {
        let mut here = stored.clone();
        self.extend(&mut here, now);
        let mut decision = decide(here);
        for change in &mut decision.changes {
            let mut known = stored.leases.iter();
            let known = known.find(|known| known.participant == change.lease.participant);
            let has_lapsed = known.is_some_and(|known| known.expires_at() <= now);
            if change.kind == ChangeKind::Refreshed && has_lapsed {
                change.kind = ChangeKind::Started;
            }
        }
        decision
    }

    pub(super) fn reconcile(&self, stored: &SideState, now: Time, policy: &Policy) -> Decision {
        let none = (Aside::default(), SideState::default());
        let (aside, here) = self.aside.as_ref().unwrap_or(&none);
        aside.reconcile(stored, here, &self.ended, now, policy)
    }
}

impl<A> NodeMemory<A> {
    /// Remembers up to `room` sides of a store with so many shards, and tells `audience` what there is to tell.
    pub fn new(shards: usize, room: usize, audience: A) -> Self {
        Self {
            tables: (0..shards).map(|_| Mutex::default()).collect(),
            room: room.div_ceil(shards.max(1)),
            tallies: Mutex::default(),
            is_away: AtomicBool::new(false),
            decisions: AtomicU64::new(0),
            audience,
        }
    }

    /// Who is told.
    pub fn audience(&self) -> &A {
        &self.audience
    }

    pub(super) fn room(&self) -> usize {
        self.room
    }

    /// One more was decided on what the store has.
    pub(super) fn count(&self) -> u64 {
        self.decisions.fetch_add(1, Ordering::Relaxed) + 1
    }

    pub(super) fn is_away(&self) -> bool {
        self.is_away.load(Ordering::Relaxed)
    }

    pub(super) fn note_away(&self, is_away: bool) {
        self.is_away.store(is_away, Ordering::Relaxed);
    }

    pub(super) fn tally(&self, tenant: &Name) -> Tally {
        let tallies = self.tallies.lock().unwrap_or_else(PoisonError::into_inner);
        tallies.get(tenant).copied().unwrap_or_default()
    }

    pub(super) fn leases(&self) -> usize {
        let tallies = self.tallies.lock().unwrap_or_else(PoisonError::into_inner);
        tallies.values().map(|tally| tally.leases).sum()
    }

    pub(super) fn sides(&self) -> usize {
        self.shards().map(|shard| self.lock(shard).len()).sum()
    }

    pub(super) fn shards(&self) -> Range<usize> {
        0..self.tables.len()
    }

    /// Whether a shard is to be followed from now on, or not any more; `None` where it stays as it is.
    pub(super) fn must_follow(&self, shard: usize) -> Option<bool> {
        let mut table = self.lock(shard);
        let must = table.has_ours();
        let is_new = table.is_followed != must;
        table.is_followed = must;
        is_new.then_some(must)
    }

    /// What is known of a side that the store is about to be asked about.
    pub(super) fn recall(&self, shard: usize, side: &Side, now: Time) -> Local {
        let table = self.lock(shard);
        let pending = table.get(side).map(|entry| entry.pending.clone()).unwrap_or_default();
        Local { pending, heard: table.heard, now, ..Local::default() }
    }

    /// Whether something was decided of a side that the store must be told first.
    pub(super) fn is_aside(&self, shard: usize, side: &Side) -> bool {
        self.lock(shard).get(side).is_some_and(|entry| entry.aside.is_some())
    }

    /// Up to `limit` sides of which something was decided that the store must be told.
    pub(super) fn aside(&self, limit: usize) -> Vec<Side> {
        self.dirty_where(limit, |entry| entry.aside.is_some())
    }

    /// All sides that are otherwise than the store has them.
    pub(super) fn dirty(&self) -> Vec<Side> {
        self.dirty_where(usize::MAX, |_| true)
    }

    /// A side may be otherwise in the store than is known.
    pub(super) fn doubt(&self, shard: usize, side: &Side) {
        let mut table = self.lock(shard);
        if table.get(side).is_some_and(|entry| entry.is_exact) {
            self.change(&mut table, side, |entry| entry.is_exact = false);
        }
    }

    fn dirty_where(&self, limit: usize, is_meant: impl Fn(&Entry) -> bool) -> Vec<Side> {
        let mut sides = Vec::new();
        for shard in 0..self.tables.len() {
            let table = self.lock(shard);
            let of_shard = table.dirty().filter(|side| table.get(side).is_some_and(&is_meant));
            sides.extend(of_shard.take(limit - sides.len()).cloned());
        }
        sides
    }

    /// Up to `limit` sides that are due here, and whether there are more.
    pub(super) fn take_due(&self, now: Time, limit: usize) -> (Vec<Side>, bool) {
        let mut due = Vec::new();
        for shard in 0..self.tables.len() {
            let of_shard = self.lock(shard).take_due(now, self.is_away(), limit - due.len());
            due.extend(of_shard);
        }
        let cut = due.len() == limit;
        (due, cut)
    }

    pub(super) fn next(&self) -> Option<Time> {
        (0..self.tables.len()).filter_map(|shard| self.lock(shard).next()).min()
    }

    pub(super) fn change(&self, table: &mut Table, side: &Side, change: impl FnOnce(&mut Entry)) {
        let Difference { before, after } = table.change(side, change);
        if before == after {
            return;
        }
        let tenant = side.conversation.tenant();
        let mut tallies = self.tallies.lock().unwrap_or_else(PoisonError::into_inner);
        let tally = tallies.entry(tenant.clone()).or_default();
        tally.leases = tally.leases + after - before;
        tally.sides = tally.sides + usize::from(after > 0) - usize::from(before > 0);
        if *tally == Tally::default() {
            tallies.remove(tenant);
        }
    }

    pub(super) fn lock(&self, shard: usize) -> MutexGuard<'_, Table> {
        self.tables[shard].lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl<A: Audience> NodeMemory<A> {
    /// Answers from memory, where that comes to nothing that the store must know now.
    pub(super) fn answer(
        &self,
        shard: usize,
        side: &Side,
        now: Time,
        decide: impl Fn(SideState) -> Decision,
    ) -> Option<Outcome> {
        let mut table = self.lock(shard);
        let entry = table.get(side).filter(|entry| entry.is_exact && entry.aside.is_none())?;
        let here = entry.here(now);
        let Decision { next, outcome, changes } = decide(here.clone());
        if !changes.is_empty() {
            return None;
        }
        let extensions = between(&here, &next, now)?;
        if extensions.is_empty() {
            return Some(outcome);
        }
        self.change(&mut table, side, |entry| {
            if entry.pending.is_empty() {
                entry.not_before = Time::ZERO;
            }
            extensions.into_iter().for_each(|extension| extension.merge_into(&mut entry.pending));
            vouch(entry, &outcome);
        });
        // Nobody is told but the alarm.
        self.publish_here(shard, side, Changes::new(), next.deadline());
        Some(outcome)
    }

    /// The store has answered.
    pub(super) fn keep(&self, shard: usize, side: &Side, asked: &Local, answer: Answer<'_>) {
        let Answer { made: Made { next, count }, outcome, followed } = answer;
        let mut table = self.lock(shard);
        let now = asked.now;
        // What others did meanwhile may be before or behind it.
        let is_certain =
            table.get(side).map_or(table.heard <= asked.heard, |entry| entry.is_certain_since(asked.heard));
        let is_said = matches!(outcome.verdict, Verdict::Started | Verdict::Extended);
        if table.get(side).is_none() && (!is_said || table.len() >= self.room) {
            return;
        }
        let mut changes = Changes::new();
        self.change(&mut table, side, |entry| {
            forget_told(&mut entry.pending, &asked.pending);
            entry.not_before = Time::ZERO;
            if !entry.is_later(count) {
                return vouch(entry, outcome);
            }
            if let Some(aside) = &mut entry.aside {
                aside.learn(next, &mut entry.state, now);
                return vouch(entry, outcome);
            }
            entry.is_exact = followed.hears && is_certain;
            entry.may_be_untold = !entry.is_exact || followed.is_behind;
            if is_certain || entry.state.leases.is_empty() {
                changes = amends(entry, &next, now);
                entry.state = next;
                entry.forget_learned(now);
            } else {
                entry.join(&next);
            }
            vouch(entry, outcome);
        });
        self.tell_amends(shard, side, changes);
    }

    /// Decides without the store. What comes of it is brought there when it is back.
    pub(super) fn decide(
        &self,
        shard: usize,
        side: &Side,
        now: Time,
        policy: &Policy,
        decide: impl Fn(SideState) -> Decision,
    ) -> Result<Outcome, StoreError> {
        let mut table = self.lock(shard);
        if table.get(side).is_none() && table.len() >= self.room {
            return Err(StoreError::Unavailable);
        }
        let here = table.get(side).map(|entry| entry.here(now)).unwrap_or_default();
        let made = decide(here.clone());
        let said = ended_by(&decide, &made, now);
        let Decision { next, outcome, mut changes } = made;
        // What time alone brings about comes about in the store, too.
        let is_more_than_time = next != transition(here, &Input::Lapse, now, policy).next || !said.is_empty();
        let deadline = next.deadline();
        self.change(&mut table, side, |entry| {
            if is_more_than_time || !entry.pending.is_empty() {
                entry.set_aside().base.leases.retain(|lease| !said.iter().any(|ended| ended.ends(lease)));
            }
            entry.is_exact &= next == entry.state;
            entry.pending.clear();
            entry.state = next;
            let told = changes.iter().filter_map(|change| Ended::told(change, now));
            for ended in said.into_iter().chain(told) {
                // Of two alike the later one says all.
                entry.ended.retain(|earlier| !earlier.is_like(&ended));
                entry.ended.push(ended);
            }
            vouch(entry, &outcome);
            if entry.may_be_untold {
                entry.mend(&mut changes);
            }
        });
        self.publish_here(shard, side, changes, deadline);
        Ok(Outcome { is_local: true, ..outcome })
    }

    /// The store is about to be told what was decided of a side.
    pub(super) fn begin_settling(&self, shard: usize, side: &Side, now: Time) -> Local {
        let mut table = self.lock(shard);
        let mut local = Local { heard: table.heard, now, ..Local::default() };
        if table.get(side).is_some() {
            self.change(&mut table, side, |entry| {
                entry.is_settling = true;
                local.pending.clone_from(&entry.pending);
                local.aside = entry.aside.clone().map(|aside| (aside, entry.state.clone()));
                if local.aside.is_some() {
                    local.ended.clone_from(&entry.ended);
                }
            });
        }
        local
    }

    /// The store has been told, and has this now; or could not be told.
    pub(super) fn end_settling(
        &self,
        shard: usize,
        side: &Side,
        told: &Local,
        committed: Option<Made>,
        followed: Followed,
    ) {
        let mut table = self.lock(shard);
        let Some(known) = table.get(side) else { return };
        let now = told.now;
        let is_certain = known.is_certain_since(told.heard);
        let mut changes = Changes::new();
        self.change(&mut table, side, |entry| {
            entry.is_settling = false;
            let Some(Made { next: committed, count }) = committed else { return };
            forget_told(&mut entry.pending, &told.pending);
            entry.not_before = Time::ZERO;
            if !entry.is_later(count) {
                return;
            }
            let decisions = told.aside.as_ref().map(|(aside, _)| aside.decisions);
            if let Some(aside) = &mut entry.aside
                && Some(aside.decisions) != decisions
            {
                // What was decided meanwhile is told next time.
                aside.base = committed;
                return;
            }
            entry.is_exact = followed.hears && is_certain;
            entry.may_be_untold = !entry.is_exact || followed.is_behind;
            if entry.aside.is_none() && !is_certain {
                return;
            }
            changes = amends(entry, &committed, now);
            entry.ended.extend(changes.iter().filter_map(|change| Ended::told(change, now)));
            if entry.aside.take().is_some() {
                entry.ended.iter_mut().for_each(|ended| ended.note_known(now));
            }
            entry.state = committed;
            entry.forget_learned(now);
        });
        self.tell_amends(shard, side, changes);
    }

    fn tell_amends(&self, shard: usize, side: &Side, changes: Changes) {
        if !changes.is_empty() {
            self.publish_here(shard, side, changes, None);
        }
    }

    /// Tells of something that the store does not know. It stands behind all that the store does.
    fn publish_here(&self, shard: usize, side: &Side, changes: Changes, deadline: Option<Time>) {
        self.audience.publish(Commit {
            side: side.clone(),
            changes,
            position: Position { shard, sequence: u64::MAX },
            deadline,
            presence: Presence::Unchanged,
            is_ours: true,
        });
    }
}

/// This node vouches for what somebody says on it.
fn vouch(entry: &mut Entry, outcome: &Outcome) {
    if let (Verdict::Started | Verdict::Extended, Some(lease)) = (outcome.verdict, &outcome.lease) {
        entry.vouch(&lease.participant);
    }
}

//! What a node knows of one side.

use std::time::Duration;

use super::aside::Aside;
use super::ended::Ended;
use super::extension::{Extensions, is_same_start};
use crate::conversation::Name;
use crate::lease::{Claim, Lease, LeaseView, SideState};
use crate::signal::Source;
use crate::time::Time;
use crate::transition::{Change, ChangeKind, Changes, StopReason};

/// What is known of a side.
#[derive(Clone, Debug, Default)]
pub(super) struct Entry {
    /// As the store has it, as far as is known; where something was decided beside it, as it is here.
    pub(super) state: SideState,
    /// Whether the store has exactly this. Otherwise it may be a sketch, made of what was told.
    pub(super) is_exact: bool,
    /// Whether those who follow this node may not have been told of all this.
    pub(super) may_be_untold: bool,
    /// Who said something on this node, so that this node vouches for it.
    pub(super) ours: Vec<Option<Name>>,
    /// What the store has still to learn.
    pub(super) pending: Extensions,
    /// What ended here while the store was out of reach, and for some time after.
    pub(super) ended: Vec<Ended>,
    /// What was decided here that the store must be told.
    pub(super) aside: Option<Aside>,
    /// Whether the store is just being told.
    pub(super) is_settling: bool,
    /// Which of the shard's news was the last that others had of this side.
    pub(super) heard: u64,
    /// Which of this node's decisions made it what it is.
    made_by: u64,
    /// All commits of the shard up to this one are in it, once the answer to this node's last is.
    pub(super) as_of: u64,
    /// Which commit of others was heard last.
    pub(super) last_heard: u64,
    /// When it may be due again.
    pub(super) not_before: Time,
    /// When it is due, as its table knows.
    pub(super) filed: Option<Time>,
}

impl Entry {
    /// The side as it is, with what the store has still to learn.
    pub(super) fn here(&self, now: Time) -> SideState {
        let mut here = self.state.clone();
        for extension in &self.pending {
            extension.apply(&mut here, now);
        }
        here
    }

    /// Whether nobody else changed the side since that was heard, unless before this node's last commit.
    pub(super) fn is_certain_since(&self, heard: u64) -> bool {
        self.heard <= heard || self.last_heard <= self.as_of
    }

    /// Whether a decision came later than the one that is known; it is from now on.
    pub(super) fn is_later(&mut self, decision: u64) -> bool {
        let is_later = decision > self.made_by;
        self.made_by = self.made_by.max(decision);
        is_later
    }

    /// This node vouches for what this composer said.
    pub(super) fn vouch(&mut self, participant: &Option<Name>) {
        if !self.ours.contains(participant) {
            self.ours.push(participant.clone());
        }
    }

    /// Something was decided beside the store.
    pub(super) fn set_aside(&mut self) -> &mut Aside {
        let base = &self.state;
        let aside = self.aside.get_or_insert_with(|| Aside { base: base.clone(), decisions: 0 });
        aside.decisions += 1;
        aside
    }

    /// Lets what lives here last as long as it was seen to last in the store: this node may have promised it.
    pub(super) fn join(&mut self, seen: &SideState) {
        for lease in &mut self.state.leases {
            let is_it = |seen: &&Lease| {
                seen.participant == lease.participant && is_same_start(seen.started_at, lease.started_at)
            };
            if let Some(seen) = seen.leases.iter().find(is_it) {
                seen.claims.iter().for_each(|claim| join(lease, *claim));
            }
        }
    }

    /// Forgets what the store has learned.
    pub(super) fn forget_learned(&mut self, now: Time) {
        let state = &self.state;
        self.pending.retain(|extension| extension.apply(&mut state.clone(), now));
    }

    /// Of whom nothing lives, nobody vouches for anything.
    pub(super) fn tidy(&mut self) {
        let state = &self.state;
        self.ours.retain(|whose| state.leases.iter().any(|lease| lease.participant == *whose));
        if self.is_idle() {
            *self = Self::default();
        }
    }

    pub(super) fn is_idle(&self) -> bool {
        self.state.leases.is_empty() && self.ended.is_empty() && self.aside.is_none() && !self.is_settling
    }

    pub(super) fn is_dirty(&self) -> bool {
        self.aside.is_some() || !self.pending.is_empty()
    }

    pub(super) fn deadline(&self) -> Option<Time> {
        let of_leases = self.tells_at().or_else(|| self.lapses_at());
        let of_ends = self.ended.iter().filter(|_| self.aside.is_none()).map(Ended::forget_at).min();
        of_leases.into_iter().chain(of_ends).min().map(|deadline| deadline.max(self.not_before))
    }

    /// When the store must learn what it has still to learn.
    pub(super) fn tells_at(&self) -> Option<Time> {
        if self.pending.is_empty() { None } else { self.here(Time::MAX).deadline() }
    }

    pub(super) fn lapses_at(&self) -> Option<Time> {
        self.state.leases.iter().map(Lease::expires_at).min()
    }

    /// How many leases it has that this node vouches for.
    pub(super) fn weight(&self) -> usize {
        self.ours.len()
    }

    /// Hears what was committed, and leaves of it what is news to those who follow this node.
    pub(super) fn hear(&mut self, changes: &mut Changes, sequence: u64, is_ours: bool) {
        let is_beside = self.aside.is_some() || self.is_settling || !self.ended.is_empty();
        let is_late = !is_ours && sequence <= self.as_of;
        changes.retain(|change| {
            let is_news = !is_beside || self.is_news(change);
            if !is_late {
                self.take(change, is_news, is_ours);
            }
            is_news
        });
        if is_late {
            return;
        }
        if !is_ours {
            self.is_exact = false;
        }
        let state = &self.state;
        self.pending.retain(|extension| state.leases.iter().any(|lease| extension.is_of(lease)));
    }

    /// Makes whole what this node did, after news were missed or alone, of leases that those who follow this node were not
    /// told of: their beginning may be among them, and is told late.
    pub(super) fn mend(&self, changes: &mut Changes) {
        let is_known = |change: &Change| {
            let mut known = self.state.leases.iter();
            !self.may_be_untold && known.any(|known| known.participant == change.lease.participant)
        };
        let begun = |change: Change| {
            let begins = change.kind != ChangeKind::Started && !is_known(&change);
            let goes_on = !matches!(change.kind, ChangeKind::Stopped(_));
            let beginning = Change { kind: ChangeKind::Started, ..change.clone() };
            [begins.then_some(beginning), (!begins || !goes_on).then_some(change)]
        };
        *changes = std::mem::take(changes).into_iter().flat_map(begun).flatten().collect();
    }

    /// Whether a change says anything to somebody who knows what this node knows. More of what they think is over is a
    /// beginning.
    fn is_news(&self, change: &mut Change) -> bool {
        let lease = &change.lease;
        let known = self.state.leases.iter().find(|known| known.participant == lease.participant);
        let has_ended = |is_meant: fn(&Ended) -> bool| {
            let covers = |ended: &&Ended| ended.covers(lease.participant.as_ref(), lease.started_at);
            self.ended.iter().filter(covers).any(is_meant)
        };
        match change.kind {
            ChangeKind::Stopped(reason) => known.map_or_else(
                || !has_ended(|_| true),
                |known| {
                    let lives_longer = self.aside.is_some() && known.expires_at() > lease.expires_at;
                    is_same_start(known.started_at, lease.started_at)
                        && !(reason == StopReason::Expired && lives_longer)
                },
            ),
            _ if has_ended(Ended::is_said) && known.is_none() => false,
            ChangeKind::Refreshed => {
                if known.is_none() && has_ended(|_| true) {
                    change.kind = ChangeKind::Started;
                }
                true
            }
            // Said again it does no harm, and it may be missing in a listing that is on its way.
            ChangeKind::Started => true,
        }
    }

    /// Takes note of a change.
    fn take(&mut self, change: &Change, is_news: bool, is_ours: bool) {
        let Change { kind, lease } = change;
        let is_stop = matches!(kind, ChangeKind::Stopped(_));
        if !is_stop && !is_news {
            // It was ended here, and whoever brought it did not know.
            if !is_ours {
                self.set_aside();
            }
        } else if self.is_settling || self.aside.is_some() {
            self.take_beside(lease, is_stop, is_news, is_ours);
        } else if !is_ours || !self.is_exact {
            self.state.leases.retain(|known| known.participant != lease.participant);
            self.state.leases.extend((!is_stop).then(|| sketch(lease)));
        }
    }

    /// What was decided here stays; what others do to what the store has is known of that.
    fn take_beside(&mut self, lease: &LeaseView, is_stop: bool, is_news: bool, is_ours: bool) {
        if let Some(aside) = self.aside.as_mut().filter(|_| !is_ours) {
            aside.base.leases.retain(|known| known.participant != lease.participant);
            aside.base.leases.extend((!is_stop).then(|| sketch(lease)));
        }
        let known = self.state.leases.iter().position(|known| known.participant == lease.participant);
        let claim = Claim { source: Source::OneShot, until: lease.expires_at };
        match known {
            Some(known) if is_stop && is_news => _ = self.state.leases.remove(known),
            Some(known) if !is_stop => join(&mut self.state.leases[known], claim),
            None if !is_stop && is_news => self.state.leases.push(sketch(lease)),
            _ => {}
        }
    }
}

/// Lets a lease last as long as others say.
fn join(lease: &mut Lease, claim: Claim) {
    match lease.claims.iter_mut().find(|known| known.source.is(claim.source)) {
        Some(known) => known.until = known.until.max(claim.until),
        None => lease.claims.push(claim),
    }
}

/// A lease as far as it can be known from what was told.
fn sketch(lease: &LeaseView) -> Lease {
    Lease {
        participant: lease.participant.clone(),
        name: lease.name.clone(),
        started_at: lease.started_at,
        announced_until: lease.expires_at,
        guard: Duration::ZERO,
        turn: None,
        origin: lease.origin.clone(),
        claims: [Claim { source: Source::OneShot, until: lease.expires_at }].into_iter().collect(),
    }
}

/// What followers of this node must hear to know what the store has, where that came without a word: what is gone there,
/// and what lives there although it ended here.
pub(super) fn amends(entry: &Entry, stored: &SideState, now: Time) -> Changes {
    let has = |state: &SideState, lease: &Lease| {
        state.leases.iter().any(|other| other.participant == lease.participant)
    };
    let gone = entry.state.leases.iter().filter(|lease| entry.aside.is_some() && !has(stored, lease));
    let gone = gone.map(|lease| Change {
        kind: ChangeKind::Stopped(StopReason::Revoked),
        lease: LeaseView { expires_at: now, ..lease.view() },
    });
    let was_over = |lease: &Lease| {
        let mut ended = entry.ended.iter().filter(|ended| entry.aside.is_some() || !ended.is_said());
        ended.any(|ended| ended.covers(lease.participant.as_ref(), lease.started_at))
    };
    let back = stored.leases.iter().filter(|lease| !has(&entry.state, lease) && was_over(lease));
    let back = back.map(|lease| Change { kind: ChangeKind::Started, lease: lease.view() });
    gone.chain(back).collect()
}

//! What a node adds to a listing: of itself all that it remembers, or what the store has still to learn.

use std::collections::BTreeSet;
use std::ops::Range;

use super::ended::Ended;
use super::entry::Entry;
use super::memory::NodeMemory;
use crate::conversation::{Scope, Side};
use crate::lease::{Lease, LeaseView};
use crate::store::Listing;
use crate::time::Time;

impl<A> NodeMemory<A> {
    /// Lists what is remembered.
    pub(super) fn list(
        &self,
        shards: Range<usize>,
        scope: &Scope,
        now: Time,
        limit: usize,
        listing: &mut Listing,
    ) {
        (listing.leases, listing.cut) = (Vec::new(), false);
        for shard in shards {
            let table = self.lock(shard);
            for (side, entry) in table.iter().filter(|(side, _)| scope.covers(&side.conversation)) {
                let here = entry.here(now);
                here.leases.iter().for_each(|lease| put(listing, side, lease, now, limit));
            }
        }
    }

    /// The sides of a scope that are otherwise than the store has them.
    pub(super) fn dirty_in(&self, shards: Range<usize>, scope: &Scope) -> BTreeSet<Side> {
        let in_scope = |side: &&Side| scope.covers(&side.conversation);
        shards
            .flat_map(|shard| self.lock(shard).dirty().filter(in_scope).cloned().collect::<Vec<_>>())
            .collect()
    }

    /// Puts in what the store has still to learn, or may have learned since it was asked: what was dirty then.
    pub(super) fn correct(
        &self,
        mut dirty: BTreeSet<Side>,
        shards: Range<usize>,
        scope: &Scope,
        now: Time,
        limit: usize,
        listing: &mut Listing,
    ) {
        dirty.extend(self.dirty_in(shards.clone(), scope));
        for shard in shards {
            let table = self.lock(shard);
            for side in &dirty {
                if let Some(entry) = table.get(side) {
                    correct_side(side, entry, now, limit, listing);
                }
            }
        }
    }
}

fn correct_side(side: &Side, entry: &Entry, now: Time, limit: usize, listing: &mut Listing) {
    let here = entry.here(now);
    let has_ended = |lease: &LeaseView| {
        let covers = |ended: &Ended| ended.covers(lease.participant.as_ref(), lease.started_at);
        entry.ended.iter().filter(|ended| ended.is_said()).any(covers)
    };
    listing.leases.retain_mut(|(of, lease)| {
        let known = here.leases.iter().find(|here| here.participant == lease.participant);
        if let Some(known) = known.filter(|_| of == side) {
            lease.expires_at = lease.expires_at.max(known.expires_at());
        }
        of != side || known.is_some() || !has_ended(lease)
    });
    let last_turn = listing.last_turns.of(side.role);
    let is_to_be =
        |lease: &&Lease| entry.aside.as_ref().is_none_or(|aside| aside.is_to_be(lease, last_turn, now));
    for lease in here.leases.iter().filter(is_to_be) {
        let is_it = |(of, listed): &(Side, LeaseView)| of == side && listed.participant == lease.participant;
        if !listing.leases.iter().any(is_it) {
            put(listing, side, lease, now, limit);
        }
    }
}

fn put(listing: &mut Listing, side: &Side, lease: &Lease, now: Time, limit: usize) {
    if lease.expires_at() <= now {
        return;
    }
    if listing.leases.len() >= limit {
        listing.cut = true;
        return;
    }
    listing.leases.push((side.clone(), lease.view()));
}

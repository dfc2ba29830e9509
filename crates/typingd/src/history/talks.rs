//! A tenant's conversations in the order of their latest activity, and what happened in each.

use std::collections::{BTreeSet, VecDeque};
use std::ops::Range;
use std::time::Duration;

use hashbrown::HashTable;
use slab::Slab;
use typingd_core::transition::Change;
use typingd_core::{ChangeKind, Conversation, Name, Role, Scope, StopReason, Time};

use super::{Called, Entry, Heard, Limits, What, Word};
use crate::ids;

/// How many entries back a signal looks for its like: past what others on the conversation say meanwhile.
const BACK: usize = 4;

/// How many entries back a call looks for its like: past what is said and told between two refreshes, several times over.
const CALLS_BACK: usize = 12;

/// For how many entries there is room once there is one.
const FEW: usize = 4;

/// Stands for no place.
const NOWHERE: usize = usize::MAX;

/// A tenant's conversations. Each knows its neighbours in the order of activity, so that to move one to the front, or to
/// forget the last one, costs the same however many there are.
#[derive(Debug)]
pub(super) struct Talks {
    places: Slab<Talk>,
    by_conversation: HashTable<usize>,
    /// Every channel that was ever seen here, which are as many as an operator has named.
    channels: BTreeSet<Name>,
    latest: usize,
    oldest: usize,
}

/// What happened in one conversation.
#[derive(Debug)]
pub(super) struct Talk {
    pub(super) conversation: Conversation,
    hash: u64,
    /// When something happened last.
    pub(super) active: Time,
    /// Nothing of it is past its time before this.
    due: Time,
    later: usize,
    earlier: usize,
    entries: VecDeque<Entry>,
    /// How many of the last entries are changes whose signal is still to be noted, or calls behind one.
    unexplained: usize,
}

impl Default for Talks {
    fn default() -> Self {
        Self {
            places: Slab::new(),
            by_conversation: HashTable::new(),
            channels: BTreeSet::new(),
            latest: NOWHERE,
            oldest: NOWHERE,
        }
    }
}

impl Talks {
    pub(super) fn len(&self) -> usize {
        self.places.len()
    }

    /// How many places there are to look through, taken or not.
    pub(super) fn places(&self) -> usize {
        self.places.capacity()
    }

    /// The conversation's, at the front. Where it is one more than may be, the last one is forgotten.
    pub(super) fn of(&mut self, conversation: &Conversation, now: Time, limits: &Limits) -> &mut Talk {
        let hash = ids::in_process(conversation);
        let place = match self.find(hash, conversation) {
            Some(place) if place == self.latest => place,
            Some(place) => {
                self.take_out(place);
                self.put_in_front(place);
                place
            }
            None => {
                let mut entries = VecDeque::new();
                while self.len() >= limits.conversations && self.oldest != NOWHERE {
                    entries = self.forget(self.oldest);
                }
                let place = self.add(hash, conversation, room_of(entries), now + limits.span);
                self.put_in_front(place);
                place
            }
        };
        let talk = &mut self.places[place];
        talk.active = talk.active.max(now);
        talk
    }

    fn find(&self, hash: u64, conversation: &Conversation) -> Option<usize> {
        self.by_conversation.find(hash, |&place| self.places[place].conversation == *conversation).copied()
    }

    fn add(&mut self, hash: u64, conversation: &Conversation, entries: VecDeque<Entry>, due: Time) -> usize {
        if !self.channels.contains(conversation.channel()) {
            self.channels.insert(conversation.channel().clone());
        }
        let place = self.places.insert(Talk {
            conversation: conversation.clone(),
            hash,
            active: Time::ZERO,
            due,
            later: NOWHERE,
            earlier: NOWHERE,
            entries,
            unexplained: 0,
        });
        self.by_conversation.insert_unique(hash, place, |&place| self.places[place].hash);
        place
    }

    /// Forgets a conversation, and gives what happened in it.
    fn forget(&mut self, place: usize) -> VecDeque<Entry> {
        self.take_out(place);
        let Talk { hash, entries, .. } = self.places.remove(place);
        if let Ok(found) = self.by_conversation.find_entry(hash, |&held| held == place) {
            found.remove();
        }
        entries
    }

    fn take_out(&mut self, place: usize) {
        let Talk { later, earlier, .. } = self.places[place];
        match self.places.get_mut(later) {
            Some(talk) => talk.earlier = earlier,
            None => self.latest = earlier,
        }
        match self.places.get_mut(earlier) {
            Some(talk) => talk.later = later,
            None => self.oldest = later,
        }
    }

    fn put_in_front(&mut self, place: usize) {
        let second = std::mem::replace(&mut self.latest, place);
        let talk = &mut self.places[place];
        (talk.later, talk.earlier) = (NOWHERE, second);
        match self.places.get_mut(second) {
            Some(talk) => talk.later = place,
            None => self.oldest = place,
        }
    }

    /// All of them, the one in which something happened last before the others.
    pub(super) fn latest_first(&self) -> impl Iterator<Item = &Talk> {
        let first = self.places.get(self.latest);
        std::iter::successors(first, |talk| self.places.get(talk.earlier))
    }

    /// Those between an agent and a user, by channel.
    pub(super) fn within<'a>(&'a self, scope: &'a Scope) -> impl Iterator<Item = &'a Talk> {
        let given = scope.channel.iter();
        let all = self.channels.iter().take_while(|_| scope.channel.is_none());
        given.chain(all).filter_map(|channel| {
            let one = Scope { channel: Some(channel.clone()), ..scope.clone() };
            let one = one.as_conversation()?;
            self.places.get(self.find(ids::in_process(&one), &one)?)
        })
    }

    /// Forgets what is past its time in some of the places, and says when more of it will be.
    pub(super) fn purge(&mut self, places: Range<usize>, now: Time, span: Duration) -> Time {
        let mut next = now + span;
        for place in places {
            let Some(talk) = self.places.get_mut(place) else { continue };
            if talk.due <= now {
                talk.purge(now, span);
                if talk.active + span <= now {
                    self.forget(place);
                    continue;
                }
            }
            next = next.min(talk.due);
        }
        next
    }
}

/// The room that entries took, where it is no more than a conversation takes from its beginning: whoever forgets one
/// for each that it remembers need not ask for room each time.
fn room_of(mut entries: VecDeque<Entry>) -> VecDeque<Entry> {
    if entries.capacity() > FEW {
        return VecDeque::new();
    }
    entries.clear();
    entries
}

impl Talk {
    pub(super) fn entries(&self) -> impl ExactSizeIterator<Item = &Entry> {
        self.entries.iter()
    }

    /// Notes a change at its end.
    pub(super) fn change(&mut self, role: Role, change: &Change, now: Time, bound: usize) {
        let (kind, lease) = (change.kind, &change.lease);
        let what = What::Change { kind, until: lease.expires_at };
        let participant = lease.participant.clone();
        self.make_room(bound);
        let at = self.not_before_others(now, self.entries.len());
        self.entries.push_back(Entry { at, role, participant, what });
        match kind {
            ChangeKind::Started
            | ChangeKind::Refreshed
            | ChangeKind::Stopped(StopReason::Paused | StopReason::Sent) => self.unexplained += 1,
            // Nobody said so.
            ChangeKind::Stopped(StopReason::Expired | StopReason::Revoked) => self.unexplained = 0,
        }
    }

    /// Notes a signal before what it has changed, or counts it with its like.
    pub(super) fn hear(&mut self, role: Role, heard: Heard, now: Time, bound: usize) {
        let Heard { door, participant, signal, decision } = heard;
        let word = Word::from(signal);
        let mut place = self.before_its_changes(role, now);
        self.unexplained = 0;
        let mut back = self.entries.range_mut(..place).rev().take(BACK);
        let is_composers = |entry: &&mut Entry| {
            entry.role == role && entry.participant == participant && !matches!(entry.what, What::Call { .. })
        };
        let of_composer = back.find(is_composers);
        if let Some(What::Signal { word: a, door: b, decision: c, times, last }) =
            of_composer.map(|entry| &mut entry.what)
            && (*a, *b, *c) == (word, door, decision)
        {
            *times = times.saturating_add(1);
            *last = now.max(*last);
            return;
        }
        place = place.saturating_sub(self.make_room(bound));
        let at = self.not_before_others(now, place);
        let what = What::Signal { word, door, decision, times: 1, last: at };
        self.entries.insert(place, Entry { at, role, participant, what });
    }

    /// Notes a call at its end, or counts it with its like since the side's dots last went on or off.
    pub(super) fn call(&mut self, role: Role, called: Called, now: Time, bound: usize) {
        let since = self.entries.iter_mut().rev().take(CALLS_BACK).filter(|entry| entry.role == role);
        let mut since = since.take_while(|entry| !entry.is_turn());
        let is_upstreams =
            |what: &What| matches!(what, What::Call { called: last, .. } if last.upstream == called.upstream);
        if let Some(What::Call { called: before, times, last }) =
            since.find(|entry| is_upstreams(&entry.what)).map(|entry| &mut entry.what)
            && before.is_like(&called)
        {
            *times = times.saturating_add(1);
            *last = now.max(*last);
            **before = called;
            return;
        }
        self.make_room(bound);
        let at = self.not_before_others(now, self.entries.len());
        let what = What::Call { called: Box::new(called), times: 1, last: at };
        self.entries.push_back(Entry { at, role, participant: None, what });
        if self.unexplained > 0 {
            self.unexplained += 1;
        }
    }

    /// Where a signal of `now` belongs: the store commits what it changes before it is answered.
    fn before_its_changes(&self, role: Role, now: Time) -> usize {
        let is_its = |entry: &&Entry| entry.role == role && now <= entry.at;
        let last = self.entries.iter().rev().take(self.unexplained);
        self.entries.len() - last.take_while(is_its).count()
    }

    /// Forgets the oldest where there are as many as may be, and says how many.
    fn make_room(&mut self, bound: usize) -> usize {
        if self.entries.len() < bound {
            return 0;
        }
        let excess = (self.entries.len() + 1).saturating_sub(bound).min(self.entries.len());
        self.entries.drain(..excess);
        self.unexplained = self.unexplained.min(self.entries.len());
        excess
    }

    /// The time of an entry at this place. Each caller reads the clock when it begins, so that one may overtake another.
    fn not_before_others(&self, now: Time, place: usize) -> Time {
        place.checked_sub(1).map_or(now, |before| self.entries[before].at.max(now))
    }

    fn purge(&mut self, now: Time, span: Duration) {
        self.entries.retain(|entry| now < entry.last() + span);
        self.unexplained = self.unexplained.min(self.entries.len());
        let first = self.entries.iter().map(Entry::last).min().unwrap_or(self.active);
        self.due = first.min(self.active) + span;
    }
}

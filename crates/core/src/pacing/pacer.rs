//! Many streams and the credentials they share: what a caller drives.

mod dispatch;
mod due;
mod fleet;

use std::collections::{BTreeSet, HashMap};

use slab::Slab;

use super::breaker::News;
use super::counters::Counters;
use super::credential::{Credential, Limits, Ticket};
use super::jitter::Jitter;
use super::profile::Profile;
use super::share::Share;
use super::stream::{Stream, Timing};
use super::upstream::{Place, Upstream, Upstreams};
use super::verdict::{Dropped, Verb, Verdict};
use crate::conversation::Side;
use crate::time::Time;
use crate::transition::StopReason;

pub use due::{Call, CallId, DroppedSend, Due, Gate, UpstreamId};

type Key = (UpstreamId, Side);

/// What every provider is to be told of every side, and when.
///
/// Time must not run backwards from one step to the next. No step takes longer for there being many streams, but for
/// the logarithm of their number.
#[derive(Debug)]
pub struct Pacer {
    upstreams: Upstreams,
    streams: Slab<Entry>,
    by_key: HashMap<Key, usize>,
    timers: BTreeSet<(Time, usize)>,
    jitter: Jitter,
    capacity: usize,
    calls: u64,
    due: Due,
    /// Calls in flight of sides that this node left: only their credentials hear of their answers.
    strays: HashMap<CallId, (Key, Ticket)>,
    share: Share,
    is_among_others: bool,
}

#[derive(Debug)]
struct Entry {
    key: Key,
    stream: Stream,
    filed_at: Option<Time>,
    place: Option<Place>,
    call: Option<(CallId, Ticket, Verb)>,
}

impl Pacer {
    /// A pacer of up to `capacity` streams, whose chance comes from `seed`.
    #[must_use]
    pub fn new(capacity: usize, seed: u64) -> Self {
        Self {
            upstreams: Upstreams::default(),
            streams: Slab::new(),
            by_key: HashMap::new(),
            timers: BTreeSet::new(),
            jitter: Jitter::new(seed),
            capacity,
            calls: 0,
            due: Due::default(),
            strays: HashMap::new(),
            share: Share::ALL,
            is_among_others: false,
        }
    }

    /// Adds an account at a provider.
    pub fn add(&mut self, profile: Profile, limits: &Limits) -> UpstreamId {
        let mut upstream = Upstream::new(profile, limits);
        upstream.credential.set_share(self.share, Time::ZERO);
        if self.is_among_others {
            upstream.credential.ask_others();
        }
        UpstreamId(self.upstreams.insert(upstream))
    }

    /// Takes an account away: of its streams nothing is known any more, and what is in flight is answered to nobody.
    pub fn remove(&mut self, upstream: UpstreamId) {
        if !self.upstreams.remove(upstream.0) {
            return;
        }
        let of_it = self.streams.iter().filter(|(_, entry)| entry.key.0 == upstream);
        for at in of_it.map(|(at, _)| at).collect::<Vec<_>>() {
            self.take_out(at);
        }
        self.strays.retain(|_, ((other, _), _)| *other != upstream);
        self.due.dropped.retain(|dropped| dropped.upstream != upstream);
        self.due.looks.retain(|(other, _)| *other != upstream);
        self.due.news.retain(|(other, _)| *other != upstream);
    }

    /// A lease on this side that began at `since` lives until `until`; of several on the side, the latest. To be said
    /// again where one lives on after the message of another composer took the dots away, with the message's time.
    pub fn begin(&mut self, upstream: UpstreamId, side: &Side, since: Time, until: Time, now: Time) {
        self.start(upstream, side, now, |stream, profile| stream.begin(profile, since, until, now));
    }

    /// A listing, asked for at `asked`, says that a lease on this side that began at `since` lives until `until`: also past
    /// messages of other composers that the news had told of by then.
    pub fn resume(
        &mut self,
        upstream: UpstreamId,
        side: &Side,
        since: Time,
        until: Time,
        asked: Time,
        now: Time,
    ) {
        self.start(upstream, side, now, |stream, profile| stream.resume(profile, since, until, asked, now));
    }

    fn start(
        &mut self,
        upstream: UpstreamId,
        side: &Side,
        now: Time,
        begin: impl FnOnce(&mut Stream, &Profile) -> bool,
    ) {
        let Some(at) = self.open(upstream, side) else { return };
        let Upstream { profile, counters, .. } = &mut self.upstreams[upstream.0];
        if !begin(&mut self.streams[at].stream, profile) {
            counters.count_drop(Dropped::Coalesced);
        }
        self.file(at, now);
    }

    /// The lease on this side lives until `until`, later or earlier than was said. Mostly that is only noted.
    pub fn extend(&mut self, upstream: UpstreamId, side: &Side, until: Time, now: Time) {
        let Some(at) = self.find(upstream, side) else { return };
        let Upstream { profile, counters, .. } = &mut self.upstreams[upstream.0];
        if self.streams[at].stream.extend(profile, until, now) {
            self.file(at, now);
        } else {
            counters.count_drop(Dropped::Coalesced);
        }
    }

    /// The last lease on this side ended at `at`.
    pub fn end(&mut self, upstream: UpstreamId, side: &Side, reason: StopReason, at: Time, now: Time) {
        self.step(upstream, side, now, |stream, profile| stream.end(profile, reason, at, now));
    }

    /// A message of this side is about to be sent to the provider. Nothing starts until [`Self::after_message`].
    pub fn before_message(&mut self, upstream: UpstreamId, side: &Side, now: Time) -> Gate {
        let Some(at) = self.open(upstream, side) else { return Gate::Open };
        self.file(at, now);
        let entry = &mut self.streams[at];
        let until = entry.stream.before_message(now);
        match (until, &entry.call) {
            (Some(until), Some((call, ..))) => Gate::Wait { call: *call, until },
            _ => Gate::Open,
        }
    }

    /// The provider accepted the message, or refused it; nothing typed before is shown after an acceptance, and nothing
    /// starts until a lease begins. After a refusal the lease goes on. To be said once for each
    /// [`Self::before_message`].
    pub fn after_message(&mut self, upstream: UpstreamId, side: &Side, is_accepted: bool, now: Time) {
        self.step(upstream, side, now, |stream, profile| stream.after_message(profile, is_accepted, now));
    }

    /// A call came to its end. Of a call that is not known nothing is made.
    pub fn answered(&mut self, call: CallId, verdict: Verdict, now: Time) {
        if let Some((key, ticket)) = self.strays.remove(&call) {
            if self.settle(&key, ticket, verdict, now) {
                self.unpark(key.0, now);
            }
            return;
        }
        let Some(entry) = self.streams.get_mut(call.stream) else { return };
        let Some((_, ticket, verb)) = entry.call.take_if(|(id, ..)| *id == call) else { return };
        let key = entry.key.clone();
        let works_again = self.settle(&key, ticket, verdict, now);
        let timing = self.timing(key.0);
        let profile = &self.upstreams[key.0.0].profile;
        let dropped = self.streams[call.stream].stream.answered(profile, verdict, &timing, now);
        if let Some(reason) = dropped {
            self.note_drop(call.stream, verb, reason);
        }
        self.file(call.stream, now);
        if works_again {
            self.unpark(key.0, now);
        }
    }

    /// Forgets what this account was refused: its credential is a new one, or an operator says that it works.
    pub fn reset(&mut self, upstream: UpstreamId, now: Time) {
        if let Some(known) = self.upstreams.get_mut(upstream.0) {
            known.credential.reset();
            self.wake_all(upstream, now);
        }
    }

    /// The credential of an account, to be looked at.
    #[must_use]
    pub fn credential(&self, upstream: UpstreamId) -> Option<&Credential> {
        self.upstreams.get(upstream.0).map(|upstream| &upstream.credential)
    }

    /// What an account was told so far.
    #[must_use]
    pub fn counters(&self, upstream: UpstreamId) -> Option<&Counters> {
        self.upstreams.get(upstream.0).map(|upstream| &upstream.counters)
    }

    /// How many calls of an account are due and wait for its limits.
    #[must_use]
    pub fn waiting(&self, upstream: UpstreamId) -> usize {
        self.upstreams.get(upstream.0).map_or(0, |upstream| upstream.queue.len())
    }

    /// Whether a call about this side is in flight, or due and waiting for its turn.
    #[must_use]
    pub fn is_pending(&self, upstream: UpstreamId, side: &Side) -> bool {
        let entry = self.find(upstream, side).map(|at| &self.streams[at]);
        entry.is_some_and(|entry| entry.call.is_some() || entry.place.is_some())
    }

    /// Whether a lease lives on this side, as far as is known here.
    #[must_use]
    pub fn is_live(&self, upstream: UpstreamId, side: &Side) -> bool {
        self.find(upstream, side).is_some_and(|at| self.streams[at].stream.is_live())
    }

    /// Whether the other side sees dots for certain, if the provider does what it says.
    #[must_use]
    pub fn is_shown(&self, upstream: UpstreamId, side: &Side, now: Time) -> bool {
        self.find(upstream, side).is_some_and(|at| self.streams[at].stream.is_shown(now))
    }

    /// Until when the other side may see dots, by the model of what it sees; `None` where it sees none at `now`.
    #[must_use]
    pub fn shows_until(&self, upstream: UpstreamId, side: &Side, now: Time) -> Option<Time> {
        let until = self.streams[self.find(upstream, side)?].stream.shows_until();
        (until > now).then_some(until)
    }

    /// How many streams it remembers.
    #[must_use]
    pub fn streams(&self) -> usize {
        self.streams.len()
    }

    fn step(
        &mut self,
        upstream: UpstreamId,
        side: &Side,
        now: Time,
        step: impl FnOnce(&mut Stream, &Profile),
    ) {
        if let Some(at) = self.find(upstream, side) {
            step(&mut self.streams[at].stream, &self.upstreams[upstream.0].profile);
            self.file(at, now);
        }
    }

    /// A call's credential hears of its answer. Says whether it works again after it did not.
    fn settle(&mut self, key: &Key, ticket: Ticket, verdict: Verdict, now: Time) -> bool {
        let (upstream, side) = key;
        let Upstream { credential, counters, .. } = &mut self.upstreams[upstream.0];
        counters.count_verdict(verdict);
        let before = credential.breaker();
        let works_again = credential.answered(ticket, &side.conversation, verdict, now);
        let news = News::between(before, credential.breaker());
        self.due.news.extend(news.filter(|_| self.is_among_others).map(|news| (*upstream, news)));
        works_again
    }

    fn timing(&mut self, upstream: UpstreamId) -> Timing {
        let Upstream { profile, credential, .. } = &self.upstreams[upstream.0];
        Timing { p99: credential.round_trips().p99(), jitter: self.jitter.up_to(profile.max_jitter()) }
    }

    /// Of this stream nothing is known any more.
    fn take_out(&mut self, at: usize) -> Entry {
        let entry = self.streams.remove(at);
        self.by_key.remove(&entry.key);
        if let Some(filed_at) = entry.filed_at {
            self.timers.remove(&(filed_at, at));
        }
        if let Some(upstream) = self.upstreams.get_mut(entry.key.0.0) {
            upstream.parked.remove(&at);
            entry.place.map(|place| upstream.queue.remove(&place));
        }
        entry
    }

    fn find(&self, upstream: UpstreamId, side: &Side) -> Option<usize> {
        self.by_key.get(&(upstream, side.clone())).copied()
    }

    /// The stream of this side, a new one if need be; `None` for want of room, which is counted.
    fn open(&mut self, upstream: UpstreamId, side: &Side) -> Option<usize> {
        let known = self.upstreams.get_mut(upstream.0)?;
        let key = (upstream, side.clone());
        if let Some(at) = self.by_key.get(&key) {
            return Some(*at);
        }
        if self.streams.len() >= self.capacity {
            let (side, verb, reason) = (side.clone(), Verb::Type, Dropped::Limit);
            known.counters.count_drop(reason);
            self.due.dropped.push(DroppedSend { upstream, side, verb, reason });
            return None;
        }
        let stream = Stream::default();
        let at =
            self.streams.insert(Entry { key: key.clone(), stream, filed_at: None, place: None, call: None });
        self.by_key.insert(key, at);
        Some(at)
    }
}

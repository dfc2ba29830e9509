//! From what is due to calls: the timers, the queues, and who must go.

use std::time::Duration;

use super::{Call, CallId, DroppedSend, Due, Pacer, UpstreamId};
use crate::pacing::credential::Admission;
use crate::pacing::stream::{Action, Slot};
use crate::pacing::upstream::Upstream;
use crate::pacing::verdict::{Dropped, Verb};
use crate::time::Time;

/// The shortest wait there is: who was looked at is not looked at again in the same millisecond.
const INSTANT: Duration = Duration::from_millis(1);

impl Pacer {
    /// What is to be done at `now`. To be asked after anything was told, and at the deadline.
    pub fn due(&mut self, now: Time) -> Due {
        self.look_at_due(now);
        for upstream in self.upstreams.iter().map(|(at, _)| at).collect::<Vec<_>>() {
            self.upstreams[upstream].credential.lapse(now);
            self.admit(upstream, now);
            while self.send_probe(upstream, now) {
                self.admit(upstream, now);
            }
        }
        // Who was dropped is looked at once more, so that it is filed for when it is due again.
        self.look_at_due(now);
        for (at, upstream) in self.upstreams.iter_mut() {
            if upstream.credential.asks(upstream.waits(), now) {
                self.due.permits.push(UpstreamId(at));
            }
        }
        std::mem::take(&mut self.due)
    }

    /// When something is due although nothing happens; `None` where nothing will be. In the past where something was
    /// told since [`Self::due`] was asked.
    #[must_use]
    pub fn deadline(&self) -> Option<Time> {
        let timer = self.timers.first().map(|(at, _)| *at);
        let upstreams = self.upstreams.iter().flat_map(|(_, upstream)| {
            let is_parked = upstream.queue.is_empty() && !upstream.parked.is_empty();
            let probe_at = upstream.credential.probe_at().filter(|_| is_parked);
            [upstream.wake_at, probe_at, upstream.credential.asks_at(upstream.waits())]
        });
        upstreams.chain([timer]).flatten().min()
    }

    /// Files a stream to be looked at: earlier if need be, never later. It is looked at again when it comes out.
    pub(super) fn file(&mut self, at: usize, deadline: Time) {
        let entry = &mut self.streams[at];
        if entry.filed_at.is_none_or(|filed_at| deadline < filed_at) {
            if let Some(filed_at) = entry.filed_at.replace(deadline) {
                self.timers.remove(&(filed_at, at));
            }
            self.timers.insert((deadline, at));
        }
    }

    /// The credential works again: whoever waits for that is due.
    pub(super) fn unpark(&mut self, upstream: UpstreamId, now: Time) {
        for at in std::mem::take(&mut self.upstreams[upstream.0].parked) {
            self.wake(at, now);
        }
    }

    /// What kept the streams of an account from calls is no more.
    pub(super) fn wake_all(&mut self, upstream: UpstreamId, now: Time) {
        self.upstreams[upstream.0].parked.clear();
        let streams = self.streams.iter().filter(|(_, entry)| entry.key.0 == upstream);
        for at in streams.map(|(at, _)| at).collect::<Vec<_>>() {
            self.wake(at, now);
        }
    }

    fn wake(&mut self, at: usize, now: Time) {
        self.streams[at].stream.wake(now);
        self.file(at, now);
    }

    pub(super) fn note_drop(&mut self, at: usize, verb: Verb, reason: Dropped) {
        let (upstream, side) = self.streams[at].key.clone();
        self.upstreams[upstream.0].counters.count_drop(reason);
        self.due.dropped.push(DroppedSend { upstream, side, verb, reason });
    }

    fn look_at_due(&mut self, now: Time) {
        while let Some(&(filed_at, at)) = self.timers.first()
            && filed_at <= now
        {
            self.look_at(at, now);
        }
    }

    fn look_at(&mut self, at: usize, now: Time) {
        let entry = &mut self.streams[at];
        if let Some(filed_at) = entry.filed_at.take() {
            self.timers.remove(&(filed_at, at));
        }
        let upstream = &mut self.upstreams[entry.key.0.0];
        let mut action = entry.stream.next(&upstream.profile, now);
        if action == Action::Look {
            self.due.looks.push(entry.key.clone());
            entry.stream.looked();
            action = entry.stream.next(&upstream.profile, now);
        }
        upstream.counters.add(entry.stream.take_tally());
        if !matches!(action, Action::Send { .. })
            && let Some(place) = entry.place.take()
        {
            upstream.queue.remove(&place);
        }
        match action {
            Action::Send { verb, slot } => self.wait_in_line(at, verb, slot, now),
            Action::Wait(until) => self.file(at, until.max(now + INSTANT)),
            Action::Look | Action::Nothing => self.forget(at, now),
        }
    }

    /// A call is due: it waits for its turn as long as it is fresh.
    fn wait_in_line(&mut self, at: usize, verb: Verb, slot: Slot, now: Time) {
        let entry = &mut self.streams[at];
        let upstream = &mut self.upstreams[entry.key.0.0];
        if now > slot.not_after {
            let again = now + upstream.profile.rest();
            return self.drop_send(at, verb, slot, Dropped::Stale, again, now);
        }
        upstream.parked.remove(&at);
        if entry.place.is_none() {
            let (place, loser) = upstream.enqueue(at, slot);
            entry.place = Some(place);
            if let Some(loser) = loser {
                self.lose(loser.stream, now);
            }
        }
        if self.streams[at].place.is_some() {
            self.file(at, slot.not_after.max(now) + INSTANT);
        }
    }

    /// The queue is full, and this stream is the latest due of those in it.
    fn lose(&mut self, at: usize, now: Time) {
        let entry = &mut self.streams[at];
        entry.place = None;
        let profile = &self.upstreams[entry.key.0.0].profile;
        let again = now + profile.rest();
        match entry.stream.next(profile, now) {
            Action::Send { verb, slot } => self.drop_send(at, verb, slot, Dropped::Limit, again, now),
            _ => self.file(at, now),
        }
    }

    /// One call every now and then finds out whether the credential works again. Says whether one was woken for it.
    fn send_probe(&mut self, upstream: usize, now: Time) -> bool {
        let Upstream { credential, queue, parked, .. } = &mut self.upstreams[upstream];
        let is_due = credential.probe_at().is_some_and(|at| at <= now);
        let Some(at) = (is_due && queue.is_empty()).then(|| parked.pop_first()).flatten() else {
            return false;
        };
        self.wake(at, now);
        self.look_at(at, now);
        true
    }

    /// Begins what the credential lets begin, who waits longest first. Whoever is stale has been dropped by its timer.
    fn admit(&mut self, upstream: usize, now: Time) {
        self.upstreams[upstream].wake_at = None;
        while let Some(&place) = self.upstreams[upstream].queue.first() {
            let at = place.stream;
            let entry = &mut self.streams[at];
            let known = &mut self.upstreams[upstream];
            let Action::Send { verb, slot } = entry.stream.next(&known.profile, now) else {
                self.look_at(at, now);
                continue;
            };
            match known.credential.admit(&entry.key.1.conversation, now) {
                Admission::Go => self.begin_call(at, verb, slot, now),
                Admission::Busy => return,
                // It cannot begin while it is fresh: it is due anew when the provider may be asked again.
                Admission::Wait(until) if until > slot.not_after => {
                    self.drop_send(at, verb, slot, Dropped::Stale, until, now);
                }
                Admission::Wait(until) => {
                    known.wake_at = Some(until);
                    return;
                }
                Admission::Quiet(until) => self.drop_send(at, verb, slot, Dropped::Quiet, until, now),
                Admission::Refused => self.park(at, verb, slot, now),
            }
        }
    }

    fn begin_call(&mut self, at: usize, verb: Verb, slot: Slot, now: Time) {
        let entry = &mut self.streams[at];
        let (upstream, side) = entry.key.clone();
        let known = &mut self.upstreams[upstream.0];
        if let Some(place) = entry.place.take() {
            known.queue.remove(&place);
        }
        self.calls += 1;
        let id = CallId { stream: at, number: self.calls };
        entry.stream.started(verb, slot, now);
        entry.call = Some((id, known.credential.started(now), verb));
        known.counters.count_send(verb);
        let shows_until = if verb == Verb::Type { now + known.profile.display } else { now };
        self.due.calls.push(Call { id, upstream, side, verb, due: slot.due, shows_until });
    }

    /// The credential is refused: the stream waits until it works again, or its lease ends.
    fn park(&mut self, at: usize, verb: Verb, slot: Slot, now: Time) {
        self.drop_send(at, verb, slot, Dropped::Breaker, Time::MAX, now);
        if verb == Verb::Type {
            self.upstreams[self.streams[at].key.0.0].parked.insert(at);
        }
    }

    fn drop_send(&mut self, at: usize, verb: Verb, slot: Slot, reason: Dropped, again: Time, now: Time) {
        let entry = &mut self.streams[at];
        if let Some(place) = entry.place.take() {
            self.upstreams[entry.key.0.0].queue.remove(&place);
        }
        entry.stream.dropped(verb, slot, again);
        self.note_drop(at, verb, reason);
        self.file(at, now);
    }

    fn forget(&mut self, at: usize, now: Time) {
        let entry = &self.streams[at];
        if entry.stream.is_over(&self.upstreams[entry.key.0.0].profile, now) {
            self.take_out(at);
        }
    }
}

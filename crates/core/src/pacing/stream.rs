//! What one provider is told of one side.

mod words;

use std::time::Duration;

use super::counters::Tally;
use super::fence::Fence;
use super::profile::{Profile, Refresh};
use super::screen::Screen;
use super::verdict::{Dropped, Refusal, Verb, Verdict};
use crate::time::Time;

/// How often one send is tried.
const ATTEMPTS: u8 = 3;

/// How long after a first failure it is tried again; after a second one, twice as long.
const BACKOFF: Duration = Duration::from_millis(500);

/// How much later than a lease's end it may be heard that it lasts longer.
const LATE_NEWS: Duration = Duration::from_secs(2);

/// One provider's view of one side: its lease, its dots, and the one call that may be in flight. Every step is handed
/// the same profile.
#[derive(Clone, Debug, Default)]
pub struct Stream {
    lease: Option<Live>,
    /// The last lease, where it ended by itself and nobody has said yet that it did.
    lapsed: Option<Lapsed>,
    /// Since when there is no lease and the dots are to be taken away.
    owes_stop: Option<Time>,
    fence: Fence,
    screen: Screen,
    in_flight: Option<InFlight>,
    last_start: Option<Time>,
    /// Nothing is due before this: the last call was still in flight, or a dropped or failed one rests.
    rest_until: Time,
    /// Since when it waits for its turn, through drops and failures: who waits longest goes first.
    waits_since: Option<Time>,
    retry: Option<Retry>,
    has_looked: bool,
    tallied_to: Time,
    tally: Tally,
}

#[derive(Clone, Debug)]
struct Live {
    /// When it began, by its own account.
    since: Time,
    until: Time,
    /// When the need for a call arose, if one is needed.
    asked_at: Time,
    /// When it was first heard of, for the tally.
    heard_at: Time,
    fewest_calls: u64,
}

/// A lease whose time was over as far as was known here. That it lasts longer may be heard after that.
#[derive(Clone, Copy, Debug)]
struct Lapsed {
    since: Time,
    at: Time,
}

#[derive(Clone, Debug)]
struct InFlight {
    verb: Verb,
    slot: Slot,
    started: Time,
}

#[derive(Clone, Debug)]
struct Retry {
    failures: u8,
    not_after: Time,
}

/// When a call is to be made.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Slot {
    /// When it is due.
    pub due: Time,
    /// Since when the stream waits for one: the place in the queue.
    pub waits_since: Time,
    /// After this it is dropped.
    pub not_after: Time,
}

/// What a stream is to do next.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Action {
    /// Begin this call, as soon as the credential lets it.
    Send {
        /// What it says.
        verb: Verb,
        /// When it is due.
        slot: Slot,
    },
    /// Look how long the lease lasts: the dots are to be refreshed now unless it ends before they fade, as it does as
    /// far as is known. A longer one is an extension.
    Look,
    /// Ask again at this moment, if nothing happens before.
    Wait(Time),
    /// Ask again when something happened.
    Nothing,
}

/// What it takes to time the next call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Timing {
    /// The 99th percentile of the provider's round trips.
    pub p99: Duration,
    /// By how much a refresh comes early, by chance; at most [`Profile::max_jitter`].
    pub jitter: Duration,
}

impl Stream {
    /// What to do next. To be asked after every step, and when a wait is over.
    pub fn next(&mut self, profile: &Profile, now: Time) -> Action {
        self.settle(profile, now);
        if self.in_flight.is_some() {
            return Action::Nothing;
        }
        self.tally_to(profile, now);
        let wanted = match &self.lease {
            Some(live) => self.wanted_type(live, profile, now),
            None => self.wanted_stop(profile, now),
        };
        match wanted {
            Some((verb, slot)) if slot.due <= now => Action::Send { verb, slot },
            Some((_, slot)) => {
                Action::Wait(self.lease.as_ref().map_or(slot.due, |live| live.until.min(slot.due)))
            }
            None if self.lease.is_some() => self.idle(profile, now),
            None => self.fade(profile, now),
        }
    }

    /// A call begins, in this slot.
    pub fn started(&mut self, verb: Verb, slot: Slot, now: Time) {
        debug_assert!(self.in_flight.is_none(), "one call at a time");
        self.in_flight = Some(InFlight { verb, slot, started: now });
        self.last_start = Some(now);
        match verb {
            Verb::Type => self.has_looked = false,
            Verb::Stop => self.screen.unsettle(),
        }
    }

    /// The call in flight came to its end. Gives the reason where it will not be tried again although it should.
    pub fn answered(
        &mut self,
        profile: &Profile,
        verdict: Verdict,
        timing: &Timing,
        now: Time,
    ) -> Option<Dropped> {
        let flight = self.in_flight.take()?;
        self.settle(profile, now);
        self.rest_until = self.rest_until.max(now);
        match (flight.verb, verdict) {
            (Verb::Type, Verdict::Accepted) => {
                let effect = flight.started + now.since(flight.started) / 2;
                self.tally_to(profile, effect);
                self.screen.accept(profile, flight.started, effect, now, timing);
            }
            (Verb::Stop, Verdict::Accepted) => {
                self.tally_to(profile, now);
                self.screen.clear();
                self.owes_stop = None;
            }
            (Verb::Type, Verdict::Unanswered) => self.screen.doubt(profile, now),
            (Verb::Stop, Verdict::Refused(refusal)) if !matches!(refusal, Refusal::Transient { .. }) => {
                self.owes_stop = None;
            }
            _ => {}
        }
        let is_wanted_still = (flight.verb == Verb::Type) == self.lease.is_some();
        match verdict {
            Verdict::Unanswered | Verdict::Refused(Refusal::Transient { .. }) if is_wanted_still => {
                self.try_again(profile, &flight, now)
            }
            Verdict::Accepted => {
                (self.retry, self.waits_since) = (None, None);
                None
            }
            _ => {
                self.retry = None;
                None
            }
        }
    }

    /// The call that was due in this slot is not made. The next is due at `again`, if there is a lease still; its place
    /// in the queue is kept.
    pub fn dropped(&mut self, verb: Verb, slot: Slot, again: Time) {
        self.retry = None;
        match verb {
            Verb::Type => {
                self.rest_until = self.rest_until.max(again);
                self.waits_since = Some(slot.waits_since);
            }
            Verb::Stop => self.owes_stop = None,
        }
    }

    /// It was looked at how long the lease lasts: no need to look again before the next call.
    pub fn looked(&mut self) {
        self.has_looked = true;
    }

    /// What it rested for is over: a call that is wanted is due at once.
    pub fn wake(&mut self, now: Time) {
        self.rest_until = self.rest_until.min(now);
    }

    /// Whether there is a lease, as far as is known.
    #[must_use]
    pub fn is_live(&self) -> bool {
        self.lease.is_some()
    }

    /// Whether the other side sees dots for certain at `now`.
    #[must_use]
    pub fn is_shown(&self, now: Time) -> bool {
        self.screen.surely_until > now
    }

    /// Until when the other side may see dots, as far as the model knows.
    #[must_use]
    pub fn shows_until(&self) -> Time {
        self.screen.perhaps_until
    }

    /// What was tallied since the last time.
    pub fn take_tally(&mut self) -> Tally {
        std::mem::take(&mut self.tally)
    }

    fn try_again(&mut self, profile: &Profile, flight: &InFlight, now: Time) -> Option<Dropped> {
        let failures = self.retry.as_ref().map_or(0, |retry| retry.failures) + 1;
        let again = now + BACKOFF * u32::from(failures);
        let not_after = flight.slot.not_after;
        let reason = if failures >= ATTEMPTS {
            Dropped::Failed
        } else if again > not_after {
            Dropped::Stale
        } else {
            self.retry = Some(Retry { failures, not_after });
            self.rest_until = again;
            self.waits_since = Some(flight.slot.waits_since);
            return None;
        };
        self.dropped(flight.verb, flight.slot, now + profile.rest());
        Some(reason)
    }

    fn wanted_type(&self, live: &Live, profile: &Profile, now: Time) -> Option<(Verb, Slot)> {
        // A lease that ends before the dots fade needs no more of them.
        if self.fence.bars(live.since, now) || live.until <= self.screen.surely_until {
            return None;
        }
        let due = live.asked_at.max(self.screen.refresh_at);
        Some((Verb::Type, self.slot(profile, due)))
    }

    fn wanted_stop(&self, profile: &Profile, now: Time) -> Option<(Verb, Slot)> {
        let slot = self.slot(profile, self.owes_stop?);
        let fades_before = self.screen.perhaps_until <= slot.due.max(now);
        (!fades_before && self.fence.gives_up_at().is_none()).then_some((Verb::Stop, slot))
    }

    fn slot(&self, profile: &Profile, due: Time) -> Slot {
        let due = due.max(self.rest_until).max(self.floor_at(profile));
        let not_after = self.retry.as_ref().map_or(due + profile.freshness, |retry| retry.not_after);
        Slot { due, waits_since: self.waits_since.unwrap_or(due), not_after }
    }

    fn floor_at(&self, profile: &Profile) -> Time {
        self.last_start.map_or(Time::ZERO, |start| start + profile.floor)
    }

    /// A lease lives and no call is wanted: a message is on its way, or the dots last as long as the lease.
    fn idle(&self, profile: &Profile, now: Time) -> Action {
        let Some(live) = &self.lease else { return Action::Nothing };
        let refresh_at = self.screen.refresh_at;
        if let Some(gives_up_at) = self.fence.gives_up_at() {
            let then = if gives_up_at > now { gives_up_at } else { live.until };
            return Action::Wait(live.until.min(then));
        }
        if self.has_looked || profile.refresh == Refresh::Forbidden {
            return Action::Wait(live.until);
        }
        if refresh_at > now {
            return Action::Wait(live.until.min(refresh_at));
        }
        Action::Look
    }

    /// There is no lease, and nothing is wanted. It remains to be remembered for a while.
    fn fade(&self, profile: &Profile, now: Time) -> Action {
        let forget_at = self.forget_at(profile);
        if forget_at > now { Action::Wait(forget_at) } else { Action::Nothing }
    }

    fn forget_at(&self, profile: &Profile) -> Time {
        let news_until = self.lapsed.map_or(Time::ZERO, |lapsed| lapsed.at + LATE_NEWS);
        self.screen.dark_at().max(self.floor_at(profile)).max(self.fence.forget_at()).max(news_until)
    }

    /// Whether it may be forgotten: it is as a new one would be.
    #[must_use]
    pub fn is_over(&self, profile: &Profile, now: Time) -> bool {
        self.lease.is_none() && self.in_flight.is_none() && self.forget_at(profile) <= now
    }
}

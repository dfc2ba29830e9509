//! What all streams of one account share.

use std::num::NonZeroU32;
use std::time::Duration;

use super::breaker::{Breaker, BreakerState, Pass};
use super::bucket::{Bucket, Rate};
use super::quiet::Quiet;
use super::round_trips::RoundTrips;
use super::share::Share;
use super::verdict::{Dropped, Refusal, Verdict};
use crate::conversation::{Conversation, Name, User};
use crate::time::Time;

/// No provider is left alone for longer than this because of one answer.
const MAX_RETRY_AFTER: Duration = Duration::from_secs(3_600);

/// What may be asked of a provider with one credential.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Calls in a time.
    pub rate: Rate,
    /// Calls in flight.
    pub concurrency: NonZeroU32,
    /// Calls that wait because of the above; of one more, the latest due is dropped.
    pub queue: usize,
    /// How long an agent that was refused is left in peace.
    pub agent_quiet: Duration,
    /// How long a recipient that was refused is left in peace.
    pub recipient_quiet: Duration,
    /// How many agents, and how many recipients, are left in peace at a time.
    pub quiet: usize,
}

impl Default for Limits {
    fn default() -> Self {
        let [rate, burst, concurrency] = [50, 50, 64].map(|n| NonZeroU32::new(n).unwrap_or(NonZeroU32::MIN));
        Self {
            rate: Rate { calls: rate, per: Duration::from_secs(1), burst },
            concurrency,
            queue: 10_000,
            agent_quiet: Duration::from_secs(60),
            recipient_quiet: Duration::from_secs(600),
            quiet: 10_000,
        }
    }
}

/// What a credential says to one more call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Admission {
    /// It may begin.
    Go,
    /// Not before this moment.
    Wait(Time),
    /// Not before a call in flight is answered.
    Busy,
    /// Not now: the agent or the recipient is left in peace until then.
    Quiet(Time),
    /// Not while the credential is refused.
    Refused,
}

impl Admission {
    /// The reason where a call is dropped for it.
    #[must_use]
    pub const fn dropped(self) -> Option<Dropped> {
        match self {
            Self::Quiet(_) => Some(Dropped::Quiet),
            Self::Refused => Some(Dropped::Breaker),
            Self::Go | Self::Wait(_) | Self::Busy => None,
        }
    }
}

/// Goes with a call from its beginning to its answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Ticket {
    /// Of which credential: a reload puts a new one in the old one's place.
    epoch: u32,
    is_probe: bool,
    started: Time,
}

/// One account at a provider, with its limits and what is known of it.
#[derive(Clone, Debug)]
pub struct Credential {
    /// How many calls may be in flight with all of it, and with this node's share.
    whole: NonZeroU32,
    concurrency: u32,
    share: Share,
    bucket: Bucket,
    breaker: Breaker,
    in_flight: u32,
    not_before: Time,
    agents: Quiet<Name>,
    recipients: Quiet<User>,
    round_trips: RoundTrips,
    epoch: u32,
}

impl Credential {
    /// A credential of which nothing is known.
    #[must_use]
    pub fn new(limits: &Limits) -> Self {
        Self {
            whole: limits.concurrency,
            concurrency: limits.concurrency.get(),
            share: Share::ALL,
            bucket: Bucket::new(limits.rate),
            breaker: Breaker::new(),
            in_flight: 0,
            not_before: Time::ZERO,
            agents: Quiet::new(limits.agent_quiet, limits.quiet),
            recipients: Quiet::new(limits.recipient_quiet, limits.quiet),
            round_trips: RoundTrips::default(),
            epoch: 0,
        }
    }

    /// Whether one more call may begin at `now`, about this conversation.
    #[must_use]
    pub fn admit(&self, about: &Conversation, now: Time) -> Admission {
        let quiet = self.agents.until(about.agent(), now).max(self.recipients.until(about.user(), now));
        if let Some(until) = quiet {
            return Admission::Quiet(until);
        }
        match self.breaker.pass(self.in_flight, now) {
            Pass::No => return Admission::Refused,
            Pass::Later => return Admission::Busy,
            Pass::Yes => {}
        }
        let ready_at = self.not_before.max(self.bucket.ready_at());
        if ready_at > now {
            Admission::Wait(ready_at)
        } else if self.in_flight >= self.concurrency {
            Admission::Busy
        } else {
            Admission::Go
        }
    }

    /// A call begins that was admitted.
    pub fn started(&mut self, now: Time) -> Ticket {
        self.bucket.take(now);
        self.in_flight += 1;
        Ticket { epoch: self.epoch, is_probe: self.breaker.started(), started: now }
    }

    /// A call came to its end. Says whether the credential works again after it did not.
    pub fn answered(&mut self, ticket: Ticket, about: &Conversation, verdict: Verdict, now: Time) -> bool {
        self.in_flight = self.in_flight.saturating_sub(1);
        if ticket.epoch != self.epoch {
            return false;
        }
        match verdict {
            Verdict::Accepted => self.round_trips.record(now.since(ticket.started)),
            Verdict::Refused(Refusal::Agent) => self.agents.put(about.agent(), now),
            Verdict::Refused(Refusal::Recipient) => self.recipients.put(about.user(), now),
            Verdict::Refused(Refusal::Transient { retry_after: Some(span) }) => {
                self.not_before = self.not_before.max(now + span.min(MAX_RETRY_AFTER));
                // Who was told "too many" comes back with what trickles in, not with a burst.
                self.bucket.empty_until(self.not_before);
            }
            Verdict::Refused(Refusal::Transient { retry_after: None } | Refusal::Credential)
            | Verdict::Unanswered => {}
        }
        self.breaker.answered(ticket.is_probe, verdict, now)
    }

    /// Forgets every refusal: the credential is a new one, or an operator says that it works. What is in flight counts
    /// as in flight still, and its answers prove nothing.
    pub fn reset(&mut self) {
        self.epoch = self.epoch.wrapping_add(1);
        self.breaker.reset();
        self.not_before = Time::ZERO;
        self.bucket.refill();
        self.agents.clear();
        self.recipients.clear();
    }

    /// Only this share of its limits may be used from now on.
    pub(super) fn set_share(&mut self, share: Share, now: Time) {
        if std::mem::replace(&mut self.share, share) != share {
            self.concurrency = share.of_calls(self.whole);
            self.bucket.set_share(share, now);
        }
    }

    /// Others use it too: see [`Pacer::among_others`].
    ///
    /// [`Pacer::among_others`]: super::Pacer::among_others
    pub(super) fn ask_others(&mut self) {
        self.breaker.ask_others();
    }

    pub(super) fn permit(&mut self, until: Time) {
        self.breaker.permit(until);
    }

    /// Forgets a permission that is over.
    pub(super) fn lapse(&mut self, now: Time) {
        self.breaker.lapse(now);
    }

    /// Another node found that it is accepted. Says whether that is new.
    pub(super) fn prove(&mut self) -> bool {
        self.breaker.prove()
    }

    /// Another node found that it is refused, and is not to be tried before this.
    pub(super) fn refuse(&mut self, probe_at: Time) {
        self.breaker.refuse(probe_at);
    }

    /// When permission is to be asked for, given whether somebody waits; `None` where none is needed.
    pub(super) fn asks_at(&self, waits: bool) -> Option<Time> {
        self.breaker.asks_at(waits, self.in_flight)
    }

    /// Whether permission is asked for now.
    pub(super) fn asks(&mut self, waits: bool, now: Time) -> bool {
        self.breaker.asks(waits, self.in_flight, now)
    }

    /// When one call may find out whether it works again.
    pub(super) fn probe_at(&self) -> Option<Time> {
        self.breaker.probe_at()
    }

    /// What is known of it.
    #[must_use]
    pub fn breaker(&self) -> BreakerState {
        self.breaker.state()
    }

    /// Calls in flight.
    #[must_use]
    pub fn in_flight(&self) -> u32 {
        self.in_flight
    }

    /// Until when the provider wants to be left alone; in the past where it does not.
    #[must_use]
    pub fn not_before(&self) -> Time {
        self.not_before
    }

    /// How long the provider takes to answer.
    #[must_use]
    pub fn round_trips(&self) -> &RoundTrips {
        &self.round_trips
    }
}

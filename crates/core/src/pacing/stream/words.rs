//! What a stream is told about its side: leases and messages.

use super::{Lapsed, Live, Stream, Timing};
use crate::pacing::fence::MESSAGE_PATIENCE;
use crate::pacing::profile::Profile;
use crate::time::Time;
use crate::transition::StopReason;

impl Stream {
    /// A lease that began at `since` lives until `until`; of several on the side, the latest. One that began
    /// before a message that passed is a straggler, and ignored. Says whether it began something: where a lease lived
    /// already it is an extension.
    pub fn begin(&mut self, profile: &Profile, since: Time, until: Time, now: Time) -> bool {
        self.begin_from(profile, self.fence.in_order(since), until, now)
    }

    fn begin_from(&mut self, profile: &Profile, since: Time, until: Time, now: Time) -> bool {
        self.settle(profile, now);
        if self.fence.ended(since) || until <= now {
            return false;
        }
        if let Some(live) = &mut self.lease {
            live.since = live.since.max(since);
            self.extend(profile, until, now);
            return false;
        }
        self.tally_to(profile, now);
        self.lease = Some(Live { since, until, asked_at: now, heard_at: now, fewest_calls: 0 });
        (self.owes_stop, self.lapsed) = (None, None);
        self.turn();
        true
    }

    /// A listing, asked for at `asked`, says that a lease that began at `since` lives until `until`. It may have begun before
    /// messages that the news had told of by then, and is no straggler. Otherwise as [`Self::begin`].
    pub fn resume(&mut self, profile: &Profile, since: Time, until: Time, asked: Time, now: Time) -> bool {
        self.begin_from(profile, self.fence.outlived(since, asked), until, now)
    }

    /// Another node told of the side until now. Its lease, if one lives, began and ends at these moments. Before its
    /// last call that node noted that dots show until `shown_until`, if it noted anything.
    pub fn adopt(
        &mut self,
        profile: &Profile,
        lease: Option<(Time, Time)>,
        shown_until: Option<Time>,
        timing: &Timing,
        now: Time,
    ) {
        // What came before is in the other node's tally.
        self.tally_to(profile, now);
        if let Some(shown_until) = shown_until {
            self.screen.take_over(profile, shown_until, timing);
            if profile.has_stop && shown_until <= now {
                // It may have been a stop, just now: what is said too soon after it might be overtaken by it.
                self.last_start = self.last_start.max(Some(shown_until));
            } else if (shown_until + profile.floor).before(profile.display) > now {
                self.last_start = self.last_start.max(Some(shown_until.before(profile.display)));
            }
        }
        if let Some((since, until)) = lease {
            self.begin(profile, since, until, now);
        }
        if self.lease.is_none() && shown_until > Some(now) {
            self.owes_stop = profile.has_stop.then_some(now);
        }
    }

    /// The side's lease lives until `until`, which may be earlier or later than was known, also where it was over by what
    /// was known here. Says whether the stream must be asked again for it: most extensions change nothing yet.
    pub fn extend(&mut self, profile: &Profile, until: Time, now: Time) -> bool {
        self.settle(profile, now);
        let surely_until = self.screen.surely_until;
        let Some(live) = &mut self.lease else {
            return self.lapsed.is_some_and(|lapsed| self.begin(profile, lapsed.since, until, now));
        };
        let was_needed = live.until > surely_until;
        let is_shorter = until < live.until;
        live.until = until;
        if !was_needed && until > surely_until {
            live.asked_at = now;
        }
        self.settle(profile, now);
        is_shorter || !was_needed
    }

    /// The side's last lease ended at `at`. News about a lease that ended before the present one began are ignored.
    pub fn end(&mut self, profile: &Profile, reason: StopReason, at: Time, now: Time) {
        self.settle(profile, now);
        let is_past = self.lease.as_ref().is_some_and(|live| live.since > at);
        if reason == StopReason::Sent {
            self.fence.pass_in_order(at, now);
        }
        if is_past {
            return;
        }
        self.lapsed = self.lapsed.filter(|lapsed| lapsed.since > at);
        self.finish(profile, at);
        if reason == StopReason::Sent {
            self.pass_message(profile, at);
        }
    }

    /// A message of this side sets out to the provider. Nothing starts until [`Self::after_message`]. Gives the moment
    /// until which the call in flight is to be waited for, and after which it is to be cancelled; `None` where there is
    /// none.
    pub fn before_message(&mut self, now: Time) -> Option<Time> {
        self.fence.raise(now);
        self.in_flight.as_ref().map(|_| now + MESSAGE_PATIENCE)
    }

    /// The message was accepted at `at`, or refused: then the lease goes on. To be said once for each
    /// [`Self::before_message`].
    pub fn after_message(&mut self, profile: &Profile, is_accepted: bool, at: Time) {
        self.settle(profile, at);
        self.fence.lower();
        if is_accepted {
            self.fence.pass(at);
            if self.lease.as_ref().is_some_and(|live| self.fence.ended(live.since)) {
                self.finish(profile, at);
            }
            self.pass_message(profile, at);
        } else if let Some(live) = &mut self.lease {
            // What was put off for the message is due now, and not stale for having waited.
            live.asked_at = live.asked_at.max(at);
        }
    }

    /// Ends the lease if it has lapsed: it does so by itself, told or not.
    pub(super) fn settle(&mut self, profile: &Profile, now: Time) {
        if let Some(live) = &self.lease
            && live.until <= now
        {
            let lapsed = Lapsed { since: live.since, at: live.until };
            self.finish(profile, lapsed.at);
            self.lapsed = Some(lapsed);
        }
    }

    pub(super) fn tally_to(&mut self, profile: &Profile, to: Time) {
        let from = self.tallied_to;
        if to <= from {
            return;
        }
        self.tallied_to = to;
        let seen = self.screen.seen_within(from, to);
        match &mut self.lease {
            Some(live) => {
                let lived = to.since(live.heard_at.max(from));
                self.tally.gap_ms += as_millis(lived.saturating_sub(seen));
                let fewest_calls = profile.fewest_calls(to.since(live.heard_at));
                self.tally.fewest_calls += fewest_calls - live.fewest_calls.min(fewest_calls);
                live.fewest_calls = live.fewest_calls.max(fewest_calls);
            }
            None => self.tally.ghost_ms += as_millis(seen),
        }
    }

    fn finish(&mut self, profile: &Profile, at: Time) {
        self.tally_to(profile, at);
        if self.lease.take().is_some() {
            self.owes_stop = profile.has_stop.then_some(at);
            self.turn();
        }
    }

    /// What a message does to the dots. Where it does not take them away, the stop that is owed still is.
    fn pass_message(&mut self, profile: &Profile, at: Time) {
        if !profile.cleared_by_message {
            return;
        }
        self.tally_to(profile, at);
        let may_come_back = self.screen.clear_by_message(at);
        match &mut self.lease {
            Some(live) => live.asked_at = live.asked_at.max(at),
            None => self.owes_stop = (may_come_back && profile.has_stop).then_some(at),
        }
    }

    /// Another verb is wanted than before: failures with the last one say nothing about it.
    fn turn(&mut self) {
        self.retry = None;
        self.waits_since = None;
        self.rest_until = Time::ZERO;
    }
}

fn as_millis(span: std::time::Duration) -> u64 {
    u64::try_from(span.as_millis()).unwrap_or(u64::MAX)
}

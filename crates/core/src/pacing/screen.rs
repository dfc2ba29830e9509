//! What the other side sees, as far as that can be known from here.

use std::time::Duration;

use super::profile::{Order, Profile, Refresh};
use super::stream::Timing;
use crate::time::Time;

/// Three answers to "until when are there dots", since a call takes effect somewhere between its beginning and its
/// answer. Everything is at the origin while there are none.
#[derive(Clone, Debug, Default)]
pub(super) struct Screen {
    /// When they are to be refreshed.
    pub(super) refresh_at: Time,
    /// Until then for certain, if the provider does what it says.
    pub(super) surely_until: Time,
    /// Not after this.
    pub(super) perhaps_until: Time,
    /// The best guess, for the tally.
    seen_from: Time,
    seen_until: Time,
    /// Until when a call without an answer may show, and a message may not take it away.
    stray_until: Time,
}

impl Screen {
    /// A call that began at `started` was accepted at `now`, and is thought to have taken effect at `effect`.
    pub(super) fn accept(
        &mut self,
        profile: &Profile,
        started: Time,
        effect: Time,
        now: Time,
        timing: &Timing,
    ) {
        let display = profile.display;
        self.show(profile, started + display, now + display, timing);
        if self.seen_until < effect {
            self.seen_from = effect;
        }
        self.seen_until = effect + display;
    }

    /// Another node noted before its call that dots show until then: longer, by as much as the call took.
    pub(super) fn take_over(&mut self, profile: &Profile, shown_until: Time, timing: &Timing) {
        if shown_until > self.surely_until {
            self.show(profile, shown_until, shown_until + timing.p99, timing);
            self.seen_until = self.seen_until.max(shown_until + timing.p99 / 2);
        }
    }

    fn show(&mut self, profile: &Profile, surely_until: Time, perhaps_until: Time, timing: &Timing) {
        self.refresh_at = match profile.refresh {
            Refresh::Resets => surely_until.before(profile.lead(timing.p99) + timing.jitter),
            Refresh::Forbidden => perhaps_until,
        };
        self.surely_until = surely_until;
        self.perhaps_until = self.perhaps_until.max(perhaps_until);
    }

    /// A call has no answer at `now`: it may have taken effect just then.
    pub(super) fn doubt(&mut self, profile: &Profile, now: Time) {
        self.perhaps_until = self.perhaps_until.max(now + profile.display);
        if profile.order == Order::Unordered {
            self.stray_until = now + profile.display;
        }
    }

    /// The dots are being taken away: nothing is sure any more.
    pub(super) fn unsettle(&mut self) {
        self.refresh_at = Time::ZERO;
        self.surely_until = Time::ZERO;
    }

    /// The dots are gone.
    pub(super) fn clear(&mut self) {
        *self = Self { stray_until: self.stray_until, ..Self::default() };
    }

    /// A message took the dots away at `at`. What has no order may bring them back: that is taken for granted, so that
    /// it is counted and stopped where it can be. Says whether it is so.
    pub(super) fn clear_by_message(&mut self, at: Time) -> bool {
        let stray_until = self.stray_until;
        *self = Self::default();
        if stray_until <= at {
            return false;
        }
        (self.seen_from, self.seen_until) = (at, stray_until);
        self.perhaps_until = stray_until;
        self.stray_until = stray_until;
        true
    }

    /// When there is nothing to see, nor to count, any more.
    pub(super) fn dark_at(&self) -> Time {
        self.perhaps_until.max(self.seen_until)
    }

    /// For how long between these moments there were dots, by the best guess.
    pub(super) fn seen_within(&self, from: Time, to: Time) -> Duration {
        self.seen_until.min(to).since(self.seen_from.max(from))
    }
}

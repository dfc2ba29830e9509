//! The other side: what it truly shows, against who truly types.

use typingd_core::Time;
use typingd_core::pacing::{Profile, Refresh, Verb};

/// One side's dots, and the lease they stand for. It knows everything, and pacing knows nothing of it.
#[derive(Debug, Default)]
pub(super) struct Handset {
    known_to: Time,
    lit_until: Time,
    pub(super) live: Option<(Time, Time)>,
    /// How many leases began so far.
    pub(super) leases: u64,
    is_after_message: bool,
    pub(super) live_ms: u64,
    pub(super) gap_ms: u64,
    pub(super) ghost_ms: u64,
    /// Of these, those since a message arrived and before the next lease began.
    pub(super) ghost_after_message_ms: u64,
    /// Calls that came while the dots still showed, where that is forbidden.
    pub(super) lost: u64,
}

impl Handset {
    pub(super) fn is_live(&self, now: Time) -> bool {
        self.live.is_some_and(|(_, until)| now < until)
    }

    /// Tallies what happened until `now`: nothing but fading and lapsing since the last time.
    pub(super) fn pass_to(&mut self, now: Time) {
        let from = self.known_to;
        let lit = now.min(self.lit_until).since(from).as_millis();
        let live = self.live.map_or(0, |(_, until)| now.min(until).since(from).as_millis());
        let [lit, live] = [lit, live].map(|millis| u64::try_from(millis).unwrap());
        self.known_to = now;
        self.live_ms += live;
        self.gap_ms += live.saturating_sub(lit);
        self.ghost_ms += lit.saturating_sub(live);
        if self.is_after_message {
            self.ghost_after_message_ms += lit.saturating_sub(live);
        }
    }

    pub(super) fn begin(&mut self, now: Time, until: Time) {
        self.pass_to(now);
        self.live = Some((now, until));
        self.leases += 1;
        self.is_after_message = false;
    }

    pub(super) fn end(&mut self, now: Time) {
        self.pass_to(now);
        self.live = None;
    }

    pub(super) fn hear(&mut self, profile: &Profile, verb: Verb, now: Time) {
        self.pass_to(now);
        match verb {
            Verb::Type if profile.refresh == Refresh::Forbidden && now < self.lit_until => self.lost += 1,
            Verb::Type => self.lit_until = now + profile.display,
            Verb::Stop => self.lit_until = now,
        }
    }

    /// A message arrives that set out when so many leases had begun: the last of them is over.
    pub(super) fn receive(&mut self, profile: &Profile, leases: u64, now: Time) {
        self.pass_to(now);
        // What a later lease leaves behind is not the message's doing.
        if self.leases == leases {
            self.live = None;
            self.is_after_message = true;
        }
        if profile.cleared_by_message {
            self.lit_until = now;
        }
    }
}

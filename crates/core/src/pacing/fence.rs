//! Keeps typing from landing after the message it preceded.

use std::time::Duration;

use crate::time::Time;

/// How long a message waits for a call in flight, at most; then the call is cancelled.
pub const MESSAGE_PATIENCE: Duration = Duration::from_millis(250);

/// A message whose end nobody told within this time holds up no later lease.
const MESSAGE_LIMIT: Duration = Duration::from_secs(30);

/// How long after a message the start of an earlier lease may still come in.
const MEMORY: Duration = Duration::from_secs(10);

/// Clocks of different nodes are this far apart at most, as news show.
const APART: Duration = Duration::from_secs(1);

/// The messages of one side: those on their way, and the last that passed.
#[derive(Clone, Debug, Default)]
pub(super) struct Fence {
    on_their_way: u32,
    raised_at: Time,
    /// Leases that began before this are over.
    passed: Time,
    /// When the last message passed that the leases' own news told of, and when they did.
    told: Time,
    heard_at: Time,
}

impl Fence {
    /// A message sets out.
    pub(super) fn raise(&mut self, now: Time) {
        self.on_their_way = self.on_their_way.saturating_add(1);
        self.raised_at = self.raised_at.max(now);
    }

    /// A message came to its end.
    pub(super) fn lower(&mut self) {
        self.on_their_way = self.on_their_way.saturating_sub(1);
    }

    /// A message was accepted at `at`. A lease that began in the same millisecond began before it, as far as anybody
    /// knows here.
    pub(super) fn pass(&mut self, at: Time) {
        self.passed = self.passed.max(at + Duration::from_millis(1));
    }

    /// The leases' own news say that a message ended one at `at`. News come in order, so what begins from here on
    /// began after the message, even if in the same millisecond.
    pub(super) fn pass_in_order(&mut self, at: Time, now: Time) {
        (self.told, self.heard_at) = (self.told.max(at), now);
        let is_same = self.passed == at + Duration::from_millis(1);
        self.passed = if is_same { at } else { self.passed.max(at) };
    }

    /// Whether a lease that began at `since` is over because a message passed.
    pub(super) fn ended(&self, since: Time) -> bool {
        since < self.passed
    }

    /// From when on a lease counts whose beginning, at `since` by the clock of the node where it began, is told now: news
    /// come in order, so it began after the last message that they told of, unless clocks cannot be that far apart.
    pub(super) fn in_order(&self, since: Time) -> Time {
        if since + APART < self.told { since } else { since.max(self.told) }
    }

    /// From when on a lease counts that began at `since`, and that lives by an answer to what was asked at `asked`: what
    /// the news had told by then of messages, it has outlived.
    pub(super) fn outlived(&self, since: Time, asked: Time) -> Time {
        if self.heard_at <= asked { since.max(self.told) } else { since }
    }

    /// Whether a message on its way keeps calls from starting, for a lease that began at `since`.
    pub(super) fn bars(&self, since: Time, now: Time) -> bool {
        self.on_their_way > 0 && (since <= self.raised_at || now < self.raised_at + MESSAGE_LIMIT)
    }

    /// When a message on its way is given up on.
    pub(super) fn gives_up_at(&self) -> Option<Time> {
        (self.on_their_way > 0).then(|| self.raised_at + MESSAGE_LIMIT)
    }

    /// When there is nothing to remember any more.
    pub(super) fn forget_at(&self) -> Time {
        let passed = if self.passed == Time::ZERO { Time::ZERO } else { self.passed + MEMORY };
        self.gives_up_at().map_or(passed, |at| at.max(passed))
    }
}

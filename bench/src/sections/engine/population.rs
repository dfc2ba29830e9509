//! Who talks to whom, with names as long as real ones, and how they are let say something.

use std::hint::black_box;
use std::pin::pin;
use std::task::{Context, Poll, Waker};

use typingd_core::{Conversation, Engine, Marks, Role, Side, Signal, Source, Store, Time, User, Utterance};

/// How many agents there are for a million conversations: each talks to a thousand.
const USERS_OF_AN_AGENT: u64 = 1_000;

const TENANTS: u64 = 20;

/// Conversations between an agent and a phone number; the agent types.
pub(super) struct Population {
    first: u64,
    count: u64,
}

impl Population {
    pub(super) fn new(count: u64) -> Self {
        Self { first: 0, count }
    }

    /// As many others.
    pub(super) fn others(&self) -> Self {
        Self { first: self.first + self.count, count: self.count }
    }

    fn side(&self, number: u64) -> Side {
        let number = self.first + number % self.count;
        let agent = number % (self.count / USERS_OF_AN_AGENT).max(1);
        let tenant = agent % TENANTS;
        // Multiplied by an odd number, so that neighbours do not look alike.
        let user = number.wrapping_mul(7_368_787) % 9_000_000_000;
        let conversation = Conversation::new(
            format!("tenant-{tenant}"),
            "pinnacle",
            format!("agent_support_{agent}"),
            User::new(format!("+1{}", 1_000_000_000 + user)),
        );
        Side { conversation, role: Role::Agent }
    }

    /// Everybody once, some at a time, so that they need no room themselves.
    pub(super) fn in_order(&self) -> impl Iterator<Item = Vec<Side>> {
        (0..self.count / super::BATCH).map(|at| self.batch(at))
    }

    /// Some, others each time until all had their turn.
    pub(super) fn batch(&self, at: u64) -> Vec<Side> {
        let batch = super::BATCH;
        (at * batch..(at + 1) * batch).map(|number| self.side(number)).collect()
    }

    /// So many at random, each at most once.
    pub(super) fn at_random(&self, random: &mut u64, count: u64) -> Vec<Side> {
        let start = next(random);
        // Steps of a fixed width from a random place are as far apart in memory as random ones.
        let width = (self.count / count).max(1);
        (0..count).map(|at| self.side(start % self.count + at * width + next(random) % width)).collect()
    }
}

/// The next number of a small generator, as SplitMix64 has it.
pub(super) fn next(state: &mut u64) -> u64 {
    *state = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
    let mixed = (*state ^ (*state >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    mixed ^ (mixed >> 31)
}

/// A store in memory is ready at once.
pub(super) fn ready<T>(future: impl Future<Output = T>) -> T {
    match pin!(future).poll(&mut Context::from_waker(Waker::noop())) {
        Poll::Ready(value) => value,
        Poll::Pending => unreachable!("a store in memory waits for nothing"),
    }
}

pub(super) fn say<S: Store>(engine: &Engine<S>, side: &Side, signal: Signal, now: Time) {
    let utterance = Utterance {
        participant: None,
        name: None,
        signal,
        source: Source::OneShot,
        origin: "pinnacle".into(),
        marks: Marks::default(),
    };
    black_box(ready(engine.say(side, utterance, now))).expect("there is room");
}

pub(super) fn settle<S: Store>(engine: &Engine<S>, side: &Side, now: Time) {
    black_box(ready(engine.settle(side, now))).expect("there is room");
}

/// A batch of those whose time has come.
pub(super) fn due<S: Store>(engine: &Engine<S>, now: Time) -> Vec<Side> {
    ready(engine.due(now)).sides
}

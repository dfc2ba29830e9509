//! What must hold. Each property has a file of its own, which says what excuses it.

mod announced;
mod gap;
mod message;
mod order;
mod promises;
mod quiet;
mod told;
mod views;

use std::collections::BTreeMap;

use typingd_core::{ChangeKind, Name, Side, StopReason};

use crate::plan::{Fault, Plan};

pub(crate) use announced::{NAME as ANNOUNCED, left_alone};
pub(crate) use gap::{Gaps, Sight};
pub(crate) use message::Messages;
pub(crate) use order::Order;
pub(crate) use promises::{JUMP, Promise, Promises};
pub(crate) use quiet::{NAME as QUIET, is_quiet};
pub(crate) use told::Told;
pub(crate) use views::{NAME as VIEWS, is_same};

/// How far clocks may be apart: half a round trip at each of two nodes, and a millisecond each for rounding.
pub(crate) const TOLERANCE: u64 = 260;

/// How much too early a lease may end in the store by a clock that jumped twice.
const EARLY: i64 = (2 * JUMP + TOLERANCE).cast_signed();

/// How long news take to everybody.
const SPREADS: u64 = 20;

/// Who composes on which side.
pub(crate) type Key = (Side, Option<Name>);

/// A property that did not hold.
#[derive(Clone, Debug)]
pub struct Violation {
    /// Which one.
    pub property: &'static str,
    /// When, in virtual milliseconds.
    pub at: u64,
    /// What was seen.
    pub what: String,
}

/// All that is looked at while a run goes on. Of several violations the first one counts.
#[derive(Default)]
pub(crate) struct Checks {
    pub(crate) violation: Option<Violation>,
    pub(crate) order: Order,
    pub(crate) promises: Promises,
    pub(crate) messages: Messages,
    pub(crate) told: Told,
    pub(crate) gaps: Gaps,
    /// When something was published last of each.
    published: BTreeMap<Key, u64>,
}

impl Checks {
    /// Takes note of what one property found.
    pub(crate) fn expect(&mut self, property: &'static str, at: u64, found: Result<(), String>) {
        if let (Err(what), None) = (found, &self.violation) {
            self.violation = Some(Violation { property, at, what });
        }
    }

    /// Whether news are on their way to everybody.
    pub(crate) fn is_news(&self, key: &Key, now: u64) -> bool {
        self.published.get(key).is_some_and(|at| now < at + SPREADS)
    }

    /// The store has published a change of a lease that has so many milliseconds left there.
    pub(crate) fn committed(&mut self, key: &Key, kind: ChangeKind, left: i64, plan: &Plan, now: u64) {
        self.published.insert(key.clone(), now);
        let is_early = kind == ChangeKind::Stopped(StopReason::Expired) && left > 0;
        if is_early && left <= EARLY && plan.had(&Fault::CLOCK, 0, now) {
            return self.promises.cut_short(key);
        }
        let found = self.promises.ended(key, kind, None, plan, now);
        self.expect(promises::NAME, now, found);
    }
}

//! Nothing expires early: nobody is told that a lease expired before the latest end that its composer was promised, and
//! what was promised lives.
//!
//! Excused where the node that promised has died, and where the store has lost everything since. Where the store failed
//! after the promise, others could not know of it; five seconds after the last failure it must live again. A word that
//! crosses a stop on its way may be lost until it is repeated, so that what is said within a second after a stop, or
//! three where news are late or lost, is not counted; nor what was typed on a side before a stop was brought to the
//! store that a node heard alone; nor what a node out of reach took for more of a lease that had been ended elsewhere.
//! Clocks that jump add as much as they jump, and a node whose clock is ahead may end a lease before others brought what
//! the store had still to learn of it.

use std::collections::BTreeMap;

use typingd_core::{ChangeKind, StopReason};

use super::{Key, TOLERANCE};
use crate::plan::{Fault, Plan};
use crate::world::NodeId;

pub(crate) const NAME: &str = "nothing expires early";

/// How much later a stop may be brought to the store than it was said.
const LATE: u64 = 15_000;

/// How far a clock jumps at most.
pub(crate) const JUMP: u64 = 400;

#[derive(Clone, Copy, Debug)]
pub(crate) struct Promise {
    pub(crate) by: NodeId,
    pub(crate) spoken: u64,
    pub(crate) until: u64,
    /// Whether it was given by a node alone, for a lease that lived as far as that knew.
    pub(crate) is_alone: bool,
    /// Whether a hold was promised it. What is promised to a call takes the place of what calls were promised before.
    pub(crate) is_of_hold: bool,
}

#[derive(Default)]
pub(crate) struct Promises {
    given: BTreeMap<Key, Vec<Promise>>,
    voided: BTreeMap<Key, u64>,
}

impl Promises {
    pub(crate) const NAME: &str = NAME;

    /// A composer was promised that its lease lasts.
    pub(crate) fn give(&mut self, key: &Key, promise: Promise, plan: &Plan) {
        let voided = self.voided.get(key).copied();
        let is_deaf = plan.had(&Fault::FEED, promise.spoken.saturating_sub(3_000), promise.spoken);
        let crosses = if is_deaf { 3_000 } else { 1_000 };
        let counts = |voided| {
            let was_out_of_reach = promise.is_alone && plan.had(&Fault::STORE, voided, promise.spoken);
            voided + crosses < promise.spoken && !was_out_of_reach
        };
        if voided.is_none_or(counts) {
            let given = self.given.entry(key.clone()).or_default();
            if !promise.is_of_hold {
                given.retain(|earlier| earlier.is_of_hold || earlier.spoken > promise.spoken);
            }
            given.push(promise);
        }
    }

    /// A composer said that it stops, whatever was promised.
    pub(crate) fn void(&mut self, key: &Key, at: u64) {
        self.given.remove(key);
        self.voided.insert(key.clone(), at);
    }

    /// A clock that jumped ended a lease in the store before its time.
    pub(crate) fn cut_short(&mut self, key: &Key) {
        self.given.remove(key);
    }

    /// A node is gone, and nobody knows what it promised.
    pub(crate) fn died(&mut self, node: NodeId) {
        self.given.values_mut().for_each(|given| given.retain(|promise| promise.by != node));
    }

    /// The store has lost everything.
    pub(crate) fn restarted(&mut self) {
        self.given.clear();
    }

    /// It was published that a lease ended, by the store or by one node alone.
    pub(crate) fn ended(
        &mut self,
        key: &Key,
        kind: ChangeKind,
        by: Option<NodeId>,
        plan: &Plan,
        now: u64,
    ) -> Result<(), String> {
        let ChangeKind::Stopped(reason) = kind else { return Ok(()) };
        if reason != StopReason::Expired {
            if by.is_none() && plan.had(&Fault::STORE, now.saturating_sub(LATE), now) {
                self.given.remove(key);
            }
            return Ok(());
        }
        let Some(given) = self.given.get_mut(key) else { return Ok(()) };
        given.retain(|promise| now <= promise.until);
        let jumps = if plan.had(&Fault::CLOCK, 0, now) { 4 * JUMP } else { 0 };
        let may_count = |promise: &&Promise| match by {
            Some(by) => by == promise.by,
            None => !plan.had(&Fault::STORE, promise.spoken.saturating_sub(3_000), now),
        };
        let broken = given.iter().filter(may_count).find(|promise| now + TOLERANCE + jumps < promise.until);
        broken.map_or(Ok(()), |promise| {
            let left = promise.until - now;
            Err(format!(
                "{} expired {left} ms before the end that n{} promised at {}",
                name(key),
                promise.by,
                promise.spoken
            ))
        })
    }

    /// What the store has, to be compared with what was promised.
    pub(crate) fn look(&self, lives: impl Fn(&Key) -> bool, plan: &Plan, now: u64) -> Result<(), String> {
        let faults: Vec<Fault> = [&Fault::STORE[..], &Fault::FEED].concat();
        if plan.had(&faults, now.saturating_sub(5_000), now) {
            return Ok(());
        }
        let jumps = if plan.had(&Fault::CLOCK, 0, now) { 4 * JUMP } else { 0 };
        for (key, given) in &self.given {
            let is_due =
                |promise: &&Promise| promise.spoken + 500 < now && now + TOLERANCE + jumps < promise.until;
            if let Some(promise) = given.iter().find(is_due).filter(|_| !lives(key)) {
                let Promise { by, spoken, until, .. } = promise;
                let name = name(key);
                return Err(format!("{name} does not live, which n{by} promised at {spoken} until {until}"));
            }
        }
        Ok(())
    }
}

pub(super) fn name(key: &Key) -> String {
    crate::server::name_of(&key.0, &key.1)
}

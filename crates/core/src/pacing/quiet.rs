//! Those whom a provider refused: they are left in peace for a while.

use std::collections::{HashMap, VecDeque};
use std::hash::Hash;
use std::time::Duration;

use crate::time::Time;

/// A bounded set whose members leave after one and the same span. When it is full the oldest leaves early: at worst
/// it is called once more.
#[derive(Clone, Debug)]
pub(super) struct Quiet<K> {
    span: Duration,
    bound: usize,
    until: HashMap<K, Time>,
    /// In the order of leaving. Who was put in again is in it more than once; the last time counts.
    leaving: VecDeque<(Time, K)>,
}

impl<K: Clone + Eq + Hash> Quiet<K> {
    pub(super) fn new(span: Duration, bound: usize) -> Self {
        Self { span, bound: bound.max(1), until: HashMap::new(), leaving: VecDeque::new() }
    }

    pub(super) fn put(&mut self, who: &K, now: Time) {
        let until = now + self.span;
        self.until.insert(who.clone(), until);
        self.leaving.push_back((until, who.clone()));
        while self.leaving.len() > self.bound || self.leaving.front().is_some_and(|(until, _)| *until <= now)
        {
            self.leave();
        }
    }

    /// Until when they are left in peace; `None` where they are not.
    pub(super) fn until(&self, who: &K, now: Time) -> Option<Time> {
        self.until.get(who).copied().filter(|until| *until > now)
    }

    pub(super) fn clear(&mut self) {
        self.until.clear();
        self.leaving.clear();
    }

    fn leave(&mut self) {
        if let Some((until, who)) = self.leaving.pop_front()
            && self.until.get(&who) == Some(&until)
        {
            self.until.remove(&who);
        }
    }
}

//! Sides whose time has come: claimed, so that one node has each.
//!
//! A node looks where it knows of a deadline that has come, and once in a while wherever it is the one to look after
//! what others left: deadlines of nodes that died, and sides that a node claimed and did not settle, are found then.

use std::sync::atomic::Ordering;
use std::time::Duration;

use futures_util::future::join_all;
use typingd_core::fleet::Groups;
use typingd_core::store::remote::Audience;
use typingd_core::store::{Due, StoreError};
use typingd_core::{Side, Time};

use crate::keys::side_named;
use crate::node::Node;
use crate::server::bytes;

/// How many shards one call looks at.
const LOOKS: usize = 256;

/// How many times more seldom a shard is looked at that is followed, and that another node looks after.
const FOLLOWED: u32 = 5;

/// How many at the same time.
const AT_ONCE: usize = 64;

impl<A: Audience> Node<A> {
    pub(crate) async fn due(&self, now: Time, limit: usize) -> Due {
        let mut due = Due::default();
        let mut waiting = self.shards_to_look_at(now);
        due.cut = waiting.len() > LOOKS;
        waiting.truncate(LOOKS);
        if let Some(last) = waiting.last() {
            self.turn.store(last + 1, Ordering::Relaxed);
        }
        while !waiting.is_empty() && due.sides.len() < limit && due.failed.is_none() {
            let room = limit - due.sides.len();
            let some: Vec<usize> = waiting.drain(..waiting.len().min(AT_ONCE).min(room)).collect();
            let each = room / some.len();
            let looks = some.iter().map(|&shard| self.bounded(shard, self.look(shard, now, each)));
            for (&shard, found) in some.iter().zip(join_all(looks).await) {
                match found {
                    Ok((sides, has_more)) => {
                        due.sides.extend(sides);
                        waiting.extend(has_more.then_some(shard));
                    }
                    Err(error) => due.failed = Some(error),
                }
            }
        }
        due.cut |= !waiting.is_empty();
        due.next = (0..self.shards.len()).filter_map(|shard| self.next(shard)).min();
        due
    }

    /// Those where something is due, or may be, from where the last call stopped.
    fn shards_to_look_at(&self, now: Time) -> Vec<usize> {
        let count = self.shards.len();
        let first = self.turn.load(Ordering::Relaxed) % count;
        let in_turn = (first..count).chain(0..first);
        in_turn
            .filter(|&shard| self.shards[shard].must_be_looked_at(now, self.shift(shard), self.poll(shard)))
            .take(LOOKS + 1)
            .collect()
    }

    /// How often to look where nothing is known to be due: for what other nodes left, where this node answers for it; and
    /// whether something was not heard, where it follows.
    fn poll(&self, shard: usize) -> Option<Duration> {
        if self.looked_after().has(Groups::of_shard(shard)) {
            return Some(self.config.poll);
        }
        self.wanted.has(shard).then_some(self.config.poll * FOLLOWED)
    }

    /// Claims up to `limit` of a shard's sides, and says whether there are more.
    async fn look(&self, number: usize, now: Time, limit: usize) -> Result<(Vec<Side>, bool), StoreError> {
        let shard = &self.shards[number];
        let shift = self.measured(number).await?;
        let server_now = shift.to_server(now);
        let claimed_until = shift.to_server(now + self.config.claim);
        let before = Forgotten { node: self, number, next: shard.take_next() };
        let mut answer = self.ask_due(number, server_now, claimed_until, limit).await?;
        let sequence = crate::node::sequence(answer.next()).ok_or(StoreError::Unavailable)?;
        let next = answer.next().and_then(bytes).ok_or(StoreError::Unavailable)?;
        let next = std::str::from_utf8(&next).ok().and_then(|next| next.parse::<f64>().ok());
        before.replaced();
        // A deadline is a whole number that a float holds exactly.
        let next = next.map(|next| next.max(0.0) as u64);
        next.into_iter().for_each(|next| shard.expect(next));
        shard.note_look(now);
        if shard.order().is_late(sequence, answer.time(), self.now()) {
            self.wanted.renew();
        }
        let mut sides = Vec::new();
        for name in answer.filter_map(bytes) {
            match side_named(&name) {
                Ok(side) => sides.push(side),
                Err(error) => self.audience.unreadable(number, error),
            }
        }
        Ok((sides, next.is_some_and(|next| next <= server_now)))
    }

    fn next(&self, shard: usize) -> Option<Time> {
        let next = self.shards[shard].next()?;
        self.shift(shard).map(|shift| shift.to_node(next))
    }
}

/// The next deadline of a shard, while somebody asks for it; if they get no answer, it is still the next.
struct Forgotten<'n, A> {
    node: &'n Node<A>,
    number: usize,
    next: u64,
}

impl<A> Forgotten<'_, A> {
    fn replaced(mut self) {
        self.next = u64::MAX;
    }
}

impl<A> Drop for Forgotten<'_, A> {
    fn drop(&mut self) {
        self.node.shards[self.number].expect(self.next);
    }
}

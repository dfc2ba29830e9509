//! One side's update: decided here, and committed if the state is still what was decided on.

use tokio::sync::MutexGuard;
use typingd_core::lease::SideState;
use typingd_core::store::remote::Audience;
use typingd_core::store::{Commit, Position, Presence, StoreError};
use typingd_core::transition::{Decision, Outcome};
use typingd_core::{Side, Time};

use crate::cache::Cache;
use crate::keys::name_of;
use crate::node::{Node, sequence, text};
use crate::server::{COMMIT, bytes};
use crate::state::{News, read_state, write_news, write_state};

/// How often a state may turn out to be another one. It takes as many nodes at the same side at the same moment.
const TRIES: usize = 32;

enum Answer {
    Done(u64),
    Stale(Vec<u8>),
    Full,
}

/// While it lives, what is heard of an own commit waits for its answer.
struct Asking<'n, A: Audience> {
    node: &'n Node<A>,
    shard: usize,
}

impl<'n, A: Audience> Asking<'n, A> {
    fn begin(node: &'n Node<A>, shard: usize) -> Self {
        node.shards[shard].order().ask();
        Self { node, shard }
    }
}

impl<A: Audience> Drop for Asking<'_, A> {
    fn drop(&mut self) {
        self.node.shards[self.shard].order().answered(self.shard, &self.node.audience);
    }
}

impl<A: Audience> Node<A> {
    pub(crate) async fn update(
        &self,
        side: &Side,
        now: Time,
        decide: impl Fn(SideState) -> Decision + Send + Sync,
    ) -> Result<Outcome, StoreError> {
        let shard = self.keys.shard_of(&side.conversation);
        // Who waits for this node's own others says nothing about the server.
        let gate = tokio::time::timeout(self.config.timeout, self.shards[shard].gate.lock()).await;
        let cache = gate.map_err(|_| StoreError::Unavailable)?;
        self.bounded(shard, self.decide_and_commit(shard, cache, side, now, decide)).await
    }

    async fn decide_and_commit(
        &self,
        number: usize,
        mut cache: MutexGuard<'_, Cache>,
        side: &Side,
        now: Time,
        decide: impl Fn(SideState) -> Decision + Send + Sync,
    ) -> Result<Outcome, StoreError> {
        let shard = &self.shards[number];
        let name = name_of(side);
        self.measured(number).await?;
        // What is taken out is put back when it is committed: who gives up in between knows nothing.
        let mut believed = cache.take(&name);
        for _ in 0..TRIES {
            // One and the same for reading and for writing: what is not touched stays as it is.
            let shift = self.shift(number).ok_or(StoreError::Unavailable)?;
            let state = self.readable(number, read_state(&believed, shift));
            let Decision { next, outcome, changes } = decide(state);
            let deadline = next.deadline();
            let written = write_state(&next, shift);
            let presence = match (believed.is_empty(), written.is_empty()) {
                (true, false) => Presence::Appeared,
                (false, true) => Presence::Vanished,
                _ => Presence::Unchanged,
            };
            let news = News { side: side.clone(), changes, deadline, presence };
            let is_told = !news.changes.is_empty() || presence != Presence::Unchanged;
            let ttl = deadline.map_or(self.config.grace, |deadline| deadline.since(now) + self.config.grace);
            let args = [
                believed,
                written.clone(),
                text(deadline.map_or(0, |deadline| shift.to_server(deadline))),
                text(ttl.as_millis()),
                text(u8::from(!next.leases.is_empty())),
                name.clone(),
                text((self.config.capacity / self.shards.len()).max(1)),
                if is_told { [&self.tag[..], &write_news(&news, shift)].concat() } else { Vec::new() },
            ];
            let _asking = is_told.then(|| Asking::begin(self, number));
            match self.commit(number, &args).await? {
                Answer::Done(sequence) => {
                    cache.put(name, written);
                    if let Some(deadline) = deadline {
                        shard.expect(shift.to_server(deadline));
                    }
                    let News { side, changes, deadline, presence } = news;
                    let position = Position { shard: number, sequence };
                    let commit = Commit { side, changes, position, deadline, presence, is_ours: true };
                    if is_told {
                        shard.order().tell_own(commit, &self.audience);
                    } else {
                        shard.order().note_answer(sequence);
                        self.audience.publish(commit);
                    }
                    return Ok(outcome);
                }
                Answer::Stale(current) => believed = current,
                Answer::Full => return Err(StoreError::Full),
            }
        }
        Err(StoreError::Unavailable)
    }

    async fn commit(&self, shard: usize, args: &[Vec<u8>]) -> Result<Answer, StoreError> {
        let keys = [
            self.keys.side(shard, &args[5]),
            self.keys.deadlines(shard),
            self.keys.index(shard),
            self.keys.sequence(shard),
            self.keys.channel(shard),
        ];
        let mut answer = self.run(shard, &COMMIT, &keys, args).await?;
        let kind = answer.next().and_then(bytes).unwrap_or_default();
        match (kind.as_slice(), answer.next()) {
            (b"done", place) => sequence(place).map(Answer::Done),
            (b"stale", current) => current.and_then(bytes).map(Answer::Stale),
            (b"full", _) => Some(Answer::Full),
            _ => None,
        }
        .ok_or(StoreError::Unavailable)
    }
}

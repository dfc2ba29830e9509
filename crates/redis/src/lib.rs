//! The sides of typingd on Redis or Valkey, for several nodes at once.
//!
//! The same contract as the store in memory: this crate knows how a state is kept, compared and told. It refuses to know
//! what a state means: every decision is made by the core, on the node, and committed if the state is still the one
//! that was decided on.
//!
//! An update's road: [`RedisStore`] (`update.rs`) → `lua/commit.lua` → the shard's `order.rs` → the node's [`Feed`].
//! What other nodes commit comes in by `subscription.rs` and takes the same last steps. `link.rs` keeps the way to the
//! servers; nobody waits for it at the start.
//!
//! Beside the sides, nodes share which of them answers for what ([`Fleet`]), what the providers were told (`told.rs`), and
//! what is known of credentials (`credentials.rs`).
//!
//! [`Feed`]: typingd_core::store::Feed

mod breaker;
mod bytes;
mod cache;
mod config;
mod credentials;
mod due;
mod fleet;
mod keys;
mod link;
mod listing;
mod node;
mod offset;
mod order;
mod server;
mod shard;
mod shelf;
mod state;
mod subscription;
mod told;
mod topology;
mod update;

use std::sync::Arc;
use std::time::Duration;

use tokio::task::JoinHandle;
use typingd_core::fleet::Groups;
use typingd_core::store::remote::{Audience, Remote};
use typingd_core::store::{Due, Listing, Store, StoreError};
use typingd_core::transition::{Decision, Outcome};
use typingd_core::{Conversation, Scope, Side, Time};

pub use config::{Config, ConfigError, Servers};
pub use credentials::{Credential, Credentials};
pub use fleet::{Fleet, LEASE, TICK, Ticked};
use node::Node;
pub use told::Told;

/// Sides that several nodes share. They outlive a node, and nothing else.
pub struct RedisStore<A: Audience + 'static> {
    node: Arc<Node<A>>,
    tasks: [JoinHandle<()>; 2],
}

impl<A: Audience + 'static> RedisStore<A> {
    /// Begins to connect to the servers. It does not wait for them: calls fail until they are there. `clock` is the
    /// node's: every `Time` that is handed to the store, or comes from it, is counted by it. What began before its
    /// origin has its origin's time, so that should lie far back.
    ///
    /// # Errors
    /// Where the configuration makes no sense.
    ///
    /// # Panics
    /// Outside of a tokio runtime.
    pub fn connect(
        config: Config,
        clock: impl Fn() -> Duration + Send + Sync + 'static,
        audience: A,
    ) -> Result<Self, ConfigError> {
        let node = Arc::new(Node::new(config, Box::new(clock), audience)?);
        let linked = node.clone();
        let keeping = tokio::spawn(async move { linked.keep_link().await });
        let following = tokio::spawn(subscription::follow(node.clone()));
        Ok(Self { node, tasks: [keeping, following] })
    }

    /// Waits until these shards, which somebody follows, are heard: a listing that is taken then misses nothing.
    pub async fn heard(&self, shards: impl IntoIterator<Item = usize>) {
        self.node.wanted.heard(shards.into_iter().collect()).await;
    }

    /// This node as one of a fleet. The name must be no other node's, nor that of a node before it that just ended.
    #[must_use]
    pub fn fleet(&self, name: impl Into<String>) -> Fleet<A> {
        Fleet::new(self.node.clone(), name.into())
    }

    /// Notes that an upstream is about to be told of a side, and until when that shows.
    ///
    /// # Errors
    /// [`StoreError::Unavailable`]
    pub async fn note_told(&self, upstream: &str, side: &Side, until: Time) -> Result<(), StoreError> {
        self.node.note_told(upstream, side, Some(until)).await
    }

    /// Forgets that an upstream was told of a side.
    ///
    /// # Errors
    /// [`StoreError::Unavailable`]
    pub async fn forget_told(&self, upstream: &str, side: &Side) -> Result<(), StoreError> {
        self.node.note_told(upstream, side, None).await
    }

    /// What the upstreams were told in these groups and what shows still.
    ///
    /// # Errors
    /// [`StoreError::Unavailable`] where one of the shards could not be asked.
    pub async fn told(&self, groups: Groups) -> Result<Vec<Told>, StoreError> {
        self.node.told(groups).await
    }

    /// Looks only in these groups for what nodes left that are gone; at first it is all of them. In the others somebody
    /// else does.
    pub fn look_after(&self, groups: Groups) {
        self.node.look_after(groups);
    }

    /// Puts something down for all nodes, for a while. The name has no braces.
    ///
    /// # Errors
    /// [`StoreError::Unavailable`]
    pub async fn put(&self, name: &str, value: &[u8], lasts: Duration) -> Result<(), StoreError> {
        self.node.put(name, value, lasts).await
    }

    /// Takes something away that was put down; of several who come for it, one gets it.
    ///
    /// # Errors
    /// [`StoreError::Unavailable`]
    pub async fn take(&self, name: &str) -> Result<Option<Vec<u8>>, StoreError> {
        self.node.take(name).await
    }

    /// What was put down, and for how long it still lies there.
    ///
    /// # Errors
    /// [`StoreError::Unavailable`]
    pub async fn look_at(&self, name: &str) -> Result<Option<(Vec<u8>, Duration)>, StoreError> {
        self.node.look_at(name).await
    }

    /// Why calls fail, in a few words without address, user or password. `None` while they succeed.
    #[must_use]
    pub fn trouble(&self) -> Option<String> {
        self.node.trouble()
    }

    /// How many times it has asked a server and waited for the answer.
    #[must_use]
    pub fn round_trips(&self) -> u64 {
        self.node.round_trips()
    }
}

impl<A: Audience + 'static> Drop for RedisStore<A> {
    fn drop(&mut self) {
        self.tasks.iter().for_each(JoinHandle::abort);
    }
}

impl<A: Audience + 'static> Remote for RedisStore<A> {
    fn shard_of(&self, conversation: &Conversation) -> usize {
        self.node.keys.shard_of(conversation)
    }

    fn shards_of(&self, scope: &Scope) -> std::ops::Range<usize> {
        self.node.keys.shards_of(scope)
    }

    fn follow(&self, shard: usize) {
        if shard < self.node.shards.len() {
            self.node.wanted.follow(shard);
        }
    }

    fn unfollow(&self, shard: usize) {
        self.node.wanted.unfollow(shard);
    }

    fn hears(&self, shard: usize) -> bool {
        self.node.wanted.hears(shard)
    }

    fn is_behind(&self, shard: usize) -> bool {
        self.node.shards[shard].order().is_behind()
    }
}

impl<A: Audience + 'static> Store for RedisStore<A> {
    async fn update(
        &self,
        side: &Side,
        now: Time,
        decide: impl Fn(typingd_core::lease::SideState) -> Decision + Send + Sync,
    ) -> Result<Outcome, StoreError> {
        self.node.update(side, now, decide).await
    }

    async fn due(&self, now: Time, limit: usize) -> Due {
        self.node.due(now, limit).await
    }

    async fn leases(&self, scope: &Scope, now: Time, limit: usize) -> Listing {
        self.node.leases(scope, now, limit).await
    }
}

//! Where the leases are kept: in this process, or on servers that several nodes share.

use std::ops::Range;
use std::sync::Arc;
use std::time::Duration;

use tokio::time::timeout;
use typingd_core::lease::SideState;
use typingd_core::store::memory::MemoryStore;
use typingd_core::store::near::{NearStore, NodeMemory, Tally, WhenAway};
use typingd_core::store::remote::Remote;
use typingd_core::store::{Due, Listing, StoreError};
use typingd_core::transition::Decision;
use typingd_core::{Name, Outcome, Policy, Scope, Side, Store, Time};
use typingd_redis::{ConfigError, RedisStore};

use crate::clock::Clock;
use crate::commits::Commits;
use crate::config::SharedStore;

/// How long a snapshot waits until what happens after it is heard.
const HEARING: Duration = Duration::from_millis(500);

/// What keeps the sides.
pub enum Sides {
    /// This process.
    Memory(MemoryStore<Commits>),
    /// Servers that other nodes use too, and what this node remembers of them.
    Shared(Box<Shared>),
}

/// The store on servers.
pub type Shared = NearStore<RedisStore<Arc<NodeMemory<Commits>>>, Commits>;

impl Sides {
    /// Keeps up to `sides` here.
    #[must_use]
    pub fn here(sides: usize, commits: Commits) -> Self {
        Self::Memory(MemoryStore::new(sides, commits))
    }

    /// Keeps them on the servers. They need not be there yet.
    ///
    /// # Errors
    /// Where the settings make no sense.
    pub fn shared(
        settings: &SharedStore,
        commits: Commits,
        policy: Policy,
        clock: Clock,
    ) -> Result<Self, ConfigError> {
        let SharedStore { servers, when_away } = settings;
        let memory = Arc::new(NodeMemory::new(servers.shards, servers.capacity, commits));
        let remote = RedisStore::connect(servers.clone(), move || clock.since_origin(), memory.clone())?;
        Ok(Self::Shared(Box::new(NearStore::new(remote, memory, policy, *when_away))))
    }

    /// The store on servers, where it is that.
    #[must_use]
    pub fn as_shared(&self) -> Option<&Shared> {
        match self {
            Self::Memory(_) => None,
            Self::Shared(shared) => Some(shared),
        }
    }

    /// Whether what is known here counts while the store is out of reach.
    #[must_use]
    pub fn serves_when_away(&self) -> bool {
        self.as_shared().is_none_or(|shared| shared.when_away() == WhenAway::Serve)
    }

    /// Why the store is out of reach, where it is.
    #[must_use]
    pub fn trouble(&self) -> Option<String> {
        self.as_shared().and_then(|shared| shared.remote().trouble())
    }

    /// How many sides this node remembers.
    #[must_use]
    pub fn sides(&self) -> usize {
        match self {
            Self::Memory(memory) => memory.sides(),
            Self::Shared(shared) => shared.sides(),
        }
    }

    /// What this node vouches for of a tenant's, where others vouch for more.
    #[must_use]
    pub fn tally(&self, tenant: &Name) -> Option<Tally> {
        self.as_shared().map(|shared| shared.tally(tenant))
    }

    /// How many leases this node vouches for, where others vouch for more.
    #[must_use]
    pub fn leases_here(&self) -> Option<usize> {
        self.as_shared().map(|shared| shared.leases_here())
    }

    /// The shard of a side.
    #[must_use]
    pub fn shard_of(&self, side: &Side) -> usize {
        self.as_shared().map_or(0, |shared| shared.shard_of(&side.conversation))
    }

    /// Where a scope's leases may be.
    #[must_use]
    pub fn shards_of(&self, scope: &Scope) -> Range<usize> {
        self.as_shared().map_or(0..1, |shared| shared.shards_of(scope))
    }

    /// Wants to hear what others commit there.
    pub fn follow(&self, shards: Range<usize>) {
        if let Some(shared) = self.as_shared() {
            shards.for_each(|shard| shared.follow(shard));
        }
    }

    /// Takes that back.
    pub fn unfollow(&self, shards: Range<usize>) {
        if let Some(shared) = self.as_shared() {
            shards.for_each(|shard| shared.unfollow(shard));
        }
    }

    /// Waits a while until what others commit in these shards is heard, so that a listing misses nothing.
    pub async fn heard(&self, shards: impl IntoIterator<Item = usize>) {
        if let Some(shared) = self.as_shared() {
            let _ = timeout(HEARING, shared.remote().heard(shards)).await;
        }
    }

    /// All shards.
    #[must_use]
    pub fn shards(&self) -> Range<usize> {
        // Of no tenant, which may be anywhere.
        self.shards_of(&Scope::tenant(""))
    }

    /// Notes that an upstream is about to be told of a side, and until when that shows, for a node that takes over.
    pub async fn note_told(&self, upstream: &str, side: &Side, until: Time) {
        if let Some(shared) = self.as_shared() {
            // Who takes over without it tells once more.
            let _ = shared.remote().note_told(upstream, side, until).await;
        }
    }

    /// Forgets that.
    pub async fn forget_told(&self, upstream: &str, side: &Side) {
        if let Some(shared) = self.as_shared() {
            // It ends by itself.
            let _ = shared.remote().forget_told(upstream, side).await;
        }
    }
}

/// What waits for servers is boxed, so that what need not wait takes no room for it.
impl Store for Sides {
    async fn update(
        &self,
        side: &Side,
        now: Time,
        decide: impl Fn(SideState) -> Decision + Send + Sync,
    ) -> Result<Outcome, StoreError> {
        match self {
            Self::Memory(memory) => memory.update(side, now, decide).await,
            Self::Shared(shared) => Box::pin(shared.update(side, now, decide)).await,
        }
    }

    async fn due(&self, now: Time, limit: usize) -> Due {
        match self {
            Self::Memory(memory) => memory.due(now, limit).await,
            Self::Shared(shared) => Box::pin(shared.due(now, limit)).await,
        }
    }

    async fn leases(&self, scope: &Scope, now: Time, limit: usize) -> Listing {
        match self {
            Self::Memory(memory) => memory.leases(scope, now, limit).await,
            Self::Shared(shared) => Box::pin(shared.leases(scope, now, limit)).await,
        }
    }
}

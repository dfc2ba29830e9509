//! One gateway: an engine over what it remembers of the store, its sweeper, those who follow it, and its pacer.

use std::sync::Arc;
use std::time::Duration;

use typingd_core::lease::SideState;
use typingd_core::store::near::{NearStore, NodeMemory, WhenAway};
use typingd_core::store::remote::Remote;
use typingd_core::store::{Due, Listing, Store, StoreError};
use typingd_core::transition::{Decision, Outcome};
use typingd_core::{Engine, Policy, Scope, Side, Time};

use crate::clock::NodeClock;
use crate::ears::Ears;
use crate::executor::Owner;
use crate::mutants::Mutant;
use crate::provider::Provider;
use crate::registry::Registry;
use crate::relay::Relay;
use crate::remote::SimRemote;
use crate::server::{SHARDS, Server};
use crate::world::{NodeId, World};

/// How many sides a node remembers.
const ROOM: usize = 4_096;

/// How long a sweeper sleeps at most: what other nodes left is found by looking.
const LOOK: Duration = Duration::from_secs(1);

/// The store of a gateway, where two of the mutants sit.
pub(crate) struct Through {
    near: NearStore<SimRemote, Arc<Ears>>,
    world: Arc<World>,
}

pub(crate) struct Gateway {
    pub(crate) id: NodeId,
    pub(crate) world: Arc<World>,
    pub(crate) clock: Arc<NodeClock>,
    pub(crate) engine: Engine<Through>,
    pub(crate) ears: Arc<Ears>,
    pub(crate) relay: Arc<Relay>,
}

/// What all gateways share beside the world.
#[derive(Clone)]
pub(crate) struct Around {
    pub(crate) server: Arc<Server>,
    pub(crate) registry: Arc<Registry>,
    pub(crate) provider: Arc<Provider>,
}

impl Gateway {
    pub(crate) fn start(id: NodeId, world: &Arc<World>, around: &Around) -> Arc<Self> {
        let (begins, ppm) = world.chance(|rng| (rng.u64(10_000_000..500_000_000), rng.i64(-300..=300)));
        let ppm = if world.is_on(crate::plan::Fault::ClockDrift) { ppm } else { 0 };
        let clock = Arc::new(NodeClock::new(world.executor.clone(), begins, ppm));
        let ears = Arc::new(Ears::new(id, world.clone()));
        let policy = Policy::default();
        let memory = Arc::new(NodeMemory::new(SHARDS, ROOM, ears.clone()));
        let remote = SimRemote::new(id, world.clone(), around.server.clone(), clock.clone(), memory.clone());
        let near = NearStore::new(remote, memory, policy.clone(), WhenAway::Serve);
        let engine = Engine::new(Through { near, world: world.clone() }, policy);
        let relay = Relay::new(id, world, around, &ears);
        let gateway = Arc::new(Self { id, world: world.clone(), clock, engine, ears, relay });
        world.executor.spawn(Owner::Node(id), gateway.clone().sweep());
        world.executor.spawn(Owner::Node(id), crate::relay::run(gateway.clone()));
        world.executor.spawn(Owner::Node(id), crate::relay::renew(gateway.clone()));
        world.note(|| format!("n{id} is there"));
        gateway
    }

    pub(crate) fn now(&self) -> Time {
        self.clock.now()
    }

    pub(crate) fn near(&self) -> &NearStore<SimRemote, Arc<Ears>> {
        &self.engine.store().near
    }

    /// Virtual milliseconds until a moment of its clock.
    pub(crate) fn until(&self, moment: Time) -> Duration {
        moment.since(self.now())
    }

    /// Whether it hears all of these shards.
    pub(crate) fn hears(&self, shards: impl IntoIterator<Item = usize>) -> bool {
        shards.into_iter().all(|shard| self.near().hears(shard))
    }

    pub(crate) async fn list(&self, scope: &Scope) -> Listing {
        self.engine.leases(scope, self.now(), 10_000).await
    }

    async fn sweep(self: Arc<Self>) {
        loop {
            self.ears.alarm.plan(Time::MAX);
            let ahead = Duration::from_secs(if self.world.has(Mutant::EarlySweep) { 2 } else { 0 });
            let due = self.engine.due(self.now() + ahead).await;
            let mut failed = due.failed;
            for side in &due.sides {
                failed = self.engine.settle(side, self.now() + ahead).await.err().or(failed);
            }
            if due.cut && failed.is_none() {
                continue;
            }
            let next = due.next.filter(|_| failed.is_none()).unwrap_or(Time::MAX).min(self.now() + LOOK);
            self.ears.alarm.plan(next);
            let wait = self.until(next).max(Duration::from_millis(1));
            self.world.executor.timeout(wait, self.ears.alarm.bell.rung()).await;
        }
    }
}

impl Store for Through {
    async fn update(
        &self,
        side: &Side,
        now: Time,
        decide: impl Fn(SideState) -> Decision + Send + Sync,
    ) -> Result<Outcome, StoreError> {
        self.near.update(side, now, decide).await
    }

    async fn due(&self, now: Time, limit: usize) -> Due {
        if self.world.has(Mutant::NeverFlushed) {
            return self.near.remote().due(now, limit).await;
        }
        self.near.due(now, limit).await
    }

    async fn leases(&self, scope: &Scope, now: Time, limit: usize) -> Listing {
        self.near.leases(scope, now, limit).await
    }
}

//! Who answers for which groups, by leases of 1,200 ms, and what was told until when. It lies where the store lies.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex};

use typingd_core::Side;
use typingd_core::fleet::Groups;

use crate::executor::{Answer, Owner, lock};
use crate::plan::Fault;
use crate::server::SHARDS;
use crate::world::{NodeId, World};

/// How long a node may be sure of its groups.
pub(crate) const LEASE: u64 = 1_200;

/// How many groups have shards.
const USED: usize = SHARDS;

/// Dots of a side at an upstream.
pub(crate) type Shown = (usize, Side);

#[derive(Default)]
struct State {
    begun: u64,
    nodes: BTreeMap<NodeId, u64>,
    owners: BTreeMap<usize, (NodeId, u64)>,
    notes: BTreeMap<Shown, u64>,
}

pub(crate) struct Registry {
    world: Arc<World>,
    state: Mutex<State>,
}

/// What a node is asked to answer for.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Granted {
    pub(crate) groups: Groups,
    pub(crate) nodes: usize,
}

impl Registry {
    pub(crate) fn new(world: Arc<World>) -> Arc<Self> {
        Arc::new(Self { world, state: Mutex::default() })
    }

    /// Begins anew: nothing is granted until all that was granted before is over.
    pub(crate) fn restart(&self) {
        *lock(&self.state) = State { begun: self.world.now(), ..State::default() };
    }

    /// A node lives: renews what it has, and takes what is free up to its fair share.
    pub(crate) async fn renew(self: &Arc<Self>, node: NodeId, keeps: Groups) -> Option<Granted> {
        self.ask(node, move |state, now| {
            state.nodes.insert(node, now + LEASE);
            state.nodes.retain(|_, until| *until > now);
            state
                .owners
                .retain(|group, (owner, until)| *until > now && (*owner != node || keeps.has(*group)));
            for (owner, until) in state.owners.values_mut() {
                if *owner == node {
                    *until = now + LEASE;
                }
            }
            let fair = USED.div_ceil(state.nodes.len());
            let mut mine = state.owners.values().filter(|(owner, _)| *owner == node).count();
            for group in 0..USED {
                if mine < fair && !state.owners.contains_key(&group) && now >= state.begun + LEASE {
                    state.owners.insert(group, (node, now + LEASE));
                    mine += 1;
                }
            }
            let groups =
                state.owners.iter().filter(|(_, (owner, _))| *owner == node).map(|(group, _)| *group);
            Granted { groups: groups.collect(), nodes: state.nodes.len() }
        })
        .await
    }

    /// A node gives groups back.
    pub(crate) async fn release(self: &Arc<Self>, node: NodeId, groups: Groups) {
        self.ask(node, move |state, _| {
            state.owners.retain(|group, (owner, _)| *owner != node || !groups.has(*group));
        })
        .await;
    }

    /// A node leaves.
    pub(crate) async fn leave(self: &Arc<Self>, node: NodeId) {
        self.ask(node, move |state, _| {
            state.owners.retain(|_, (owner, _)| *owner != node);
            state.nodes.remove(&node);
        })
        .await;
    }

    /// Notes until when dots may show. Says whether that was done.
    pub(crate) async fn note(self: &Arc<Self>, node: NodeId, shown: Shown, remaining: u64) -> bool {
        let noted = self.ask(node, move |state, now| {
            state.notes.retain(|_, until| *until > now);
            state.notes.insert(shown, now + remaining);
        });
        noted.await.is_some()
    }

    /// What was noted of some groups, and for how long it is still shown.
    pub(crate) async fn notes(self: &Arc<Self>, node: NodeId, groups: Groups) -> Option<Vec<(Shown, u64)>> {
        self.ask(node, move |state, now| {
            let of_groups = state.notes.iter().filter(|((_, side), _)| {
                groups.has(Groups::of_shard(crate::server::shard_of(&side.conversation)))
            });
            of_groups.map(|(shown, until)| (shown.clone(), until.saturating_sub(now))).collect()
        })
        .await
    }

    /// Groups that nobody has.
    pub(crate) fn nobodys(&self) -> BTreeSet<usize> {
        let state = lock(&self.state);
        (0..USED).filter(|group| !state.owners.contains_key(group)).collect()
    }

    async fn ask<T: Send + 'static>(
        self: &Arc<Self>,
        node: NodeId,
        serve: impl FnOnce(&mut State, u64) -> T + Send + 'static,
    ) -> Option<T> {
        let (world, answer) = (self.world.clone(), Answer::new());
        let (registry, given) = (self.clone(), answer.clone());
        let (there, back) = world.chance(|rng| (rng.u64(1..4), rng.u64(1..4)));
        world.executor.spawn(Owner::World, async move {
            let world = registry.world.clone();
            world.executor.sleep(there).await;
            let is_reached = || !world.is_cut_off(node) && !world.is_on(Fault::Outage);
            if !is_reached() {
                return;
            }
            let served = serve(&mut lock(&registry.state), world.now());
            world.executor.sleep(back).await;
            if is_reached() {
                given.give(served);
            }
        });
        world.executor.timeout(crate::remote::TIMEOUT, answer.get()).await
    }
}

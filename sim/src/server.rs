//! The store that all nodes share: compares and swaps in one step, keeps deadlines, numbers what it publishes.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::{Arc, Mutex, Weak};

use typingd_core::lease::SideState;
use typingd_core::store::Presence;
use typingd_core::transition::Changes;
use typingd_core::{ChangeKind, Conversation, Role, Side};

use crate::clock::STORE_BEGINS;
use crate::executor::{Executor, Owner, lock};
use crate::mutants::Mutant;
use crate::plan::Fault;
use crate::world::{NodeId, World};

/// How many shards there are.
pub(crate) const SHARDS: usize = 8;

/// What one is asked. Times are the store's.
#[derive(Clone, Debug)]
#[expect(clippy::large_enum_variant, reason = "there are a few at a time")]
pub(crate) enum Request {
    Commit { side: Side, believed: SideState, next: SideState, news: Option<News> },
    Due { shard: usize, now: u64, claimed_until: u64, limit: usize },
    List { shard: usize },
    Subscribe { shard: usize, link: u64 },
    Unsubscribe { shard: usize, link: u64 },
    Ping,
}

/// What it says.
#[derive(Clone, Debug)]
pub(crate) enum Said {
    Done(u64),
    Stale(SideState),
    Due {
        sequence: u64,
        next: Option<u64>,
        sides: Vec<Side>,
    },
    List {
        sequence: u64,
        sides: Vec<(Side, SideState)>,
    },
    Pong,
    /// The connection is not there any more.
    Broken,
}

/// What it says, and what its clock shows.
#[derive(Clone, Debug)]
pub(crate) struct Reply {
    pub(crate) said: Said,
    /// In microseconds.
    pub(crate) time: i64,
    /// Another one after each empty beginning.
    pub(crate) life: u64,
}

/// What is published.
#[derive(Clone, Debug)]
pub(crate) struct News {
    pub(crate) side: Side,
    pub(crate) changes: Changes,
    pub(crate) deadline: Option<u64>,
    pub(crate) presence: Presence,
}

/// Where news of a connection go.
pub(crate) trait Listener: Send + Sync {
    fn heard(&self, link: u64, shard: usize, sequence: u64, news: &News);
    fn broken(&self, link: u64);
}

struct Link {
    node: NodeId,
    shards: BTreeSet<usize>,
    listener: Weak<dyn Listener>,
    waiting: VecDeque<(usize, u64, News)>,
    last_arrival: u64,
}

#[derive(Default)]
struct Shard {
    sides: BTreeMap<Side, SideState>,
    deadlines: BTreeMap<Side, u64>,
    sequence: u64,
}

pub(crate) struct Server {
    world: Arc<World>,
    state: Mutex<State>,
    myself: Weak<Server>,
}

struct State {
    life: u64,
    shards: Vec<Shard>,
    links: BTreeMap<u64, Link>,
    serial: u64,
}

/// The shard of a conversation.
pub(crate) fn shard_of(conversation: &Conversation) -> usize {
    let user = conversation.user().as_str().bytes();
    user.fold(0_usize, |hash, byte| hash.wrapping_mul(31).wrapping_add(usize::from(byte))) % SHARDS
}

impl Server {
    pub(crate) fn new(world: Arc<World>) -> Arc<Self> {
        let shards = (0..SHARDS).map(|_| Shard::default()).collect();
        let state = State { life: 1, shards, links: BTreeMap::new(), serial: 0 };
        Arc::new_cyclic(|myself| Self { world, state: Mutex::new(state), myself: myself.clone() })
    }

    /// What its clock shows, in milliseconds.
    pub(crate) fn time(&self) -> u64 {
        STORE_BEGINS + self.world.now()
    }

    /// All that it has.
    pub(crate) fn sides(&self) -> Vec<(Side, SideState)> {
        let state = lock(&self.state);
        let sides = state.shards.iter().flat_map(|shard| &shard.sides);
        sides.map(|(side, state)| (side.clone(), state.clone())).collect()
    }

    /// One side.
    pub(crate) fn side(&self, side: &Side) -> SideState {
        let state = lock(&self.state);
        state.shards[shard_of(&side.conversation)].sides.get(side).cloned().unwrap_or_default()
    }

    /// A connection for news.
    pub(crate) fn link(&self, node: NodeId, listener: Weak<dyn Listener>) -> u64 {
        let mut state = lock(&self.state);
        state.serial += 1;
        let id = state.serial;
        let link =
            Link { node, shards: BTreeSet::new(), listener, waiting: VecDeque::new(), last_arrival: 0 };
        state.links.insert(id, link);
        id
    }

    pub(crate) fn unlink(&self, link: u64) {
        lock(&self.state).links.remove(&link);
    }

    /// Breaks the connections of some.
    pub(crate) fn cut(&self, is_meant: impl Fn(NodeId) -> bool) {
        let mut state = lock(&self.state);
        let meant = state.links.iter().filter(|(_, link)| is_meant(link.node));
        let meant: Vec<u64> = meant.map(|(id, _)| *id).collect();
        let gone: Vec<(u64, Link)> =
            meant.into_iter().filter_map(|id| state.links.remove(&id).map(|link| (id, link))).collect();
        drop(state);
        for (id, link) in gone {
            link.listener.upgrade().into_iter().for_each(|listener| listener.broken(id));
        }
    }

    /// Begins anew, with nothing in it.
    pub(crate) fn restart(&self) {
        let mut state = lock(&self.state);
        state.life += 1;
        state.shards = (0..SHARDS).map(|_| Shard::default()).collect();
        drop(state);
        self.cut(|_| true);
    }

    /// Does as asked, in one step.
    pub(crate) fn serve(&self, request: Request) -> Reply {
        let time = (self.time() * 1_000).cast_signed();
        let mut state = lock(&self.state);
        let life = state.life;
        let said = match request {
            Request::Commit { side, believed, next, news } => {
                self.commit(&mut state, &side, &believed, next, news)
            }
            Request::Due { shard, now, claimed_until, limit } => {
                let shard = &mut state.shards[shard];
                if shard.sequence == 0 {
                    shard.sequence = time.unsigned_abs();
                }
                let due = shard.deadlines.iter().filter(|(_, deadline)| **deadline <= now);
                let sides: Vec<Side> = due.take(limit).map(|(side, _)| side.clone()).collect();
                for side in &sides {
                    shard.deadlines.insert(side.clone(), claimed_until);
                }
                Said::Due { sequence: shard.sequence, next: shard.deadlines.values().min().copied(), sides }
            }
            Request::List { shard } => {
                let shard = &state.shards[shard];
                let sides = shard.sides.iter().map(|(side, state)| (side.clone(), state.clone())).collect();
                let ahead = if self.world.has(Mutant::ListingAhead) { 3 } else { 0 };
                Said::List { sequence: shard.sequence + ahead, sides }
            }
            Request::Subscribe { shard, link } => match state.links.get_mut(&link) {
                Some(link) => {
                    link.shards.insert(shard);
                    Said::Pong
                }
                None => Said::Broken,
            },
            Request::Unsubscribe { shard, link } => {
                state.links.get_mut(&link).into_iter().for_each(|link| _ = link.shards.remove(&shard));
                Said::Pong
            }
            Request::Ping => Said::Pong,
        };
        Reply { said, time, life }
    }

    fn commit(
        &self,
        state: &mut State,
        side: &Side,
        believed: &SideState,
        next: SideState,
        news: Option<News>,
    ) -> Said {
        let number = shard_of(&side.conversation);
        let shard = &mut state.shards[number];
        let current = shard.sides.get(side).cloned().unwrap_or_default();
        if current != *believed && !self.world.has(Mutant::NoComparison) {
            return Said::Stale(current);
        }
        let deadline = next.deadline().map(typingd_core::Time::as_millis);
        match deadline {
            Some(deadline) => {
                shard.deadlines.insert(side.clone(), deadline);
                shard.sides.insert(side.clone(), next);
            }
            None => {
                shard.deadlines.remove(side);
                shard.sides.remove(side);
            }
        }
        let Some(mut news) = news else { return Said::Done(shard.sequence) };
        if self.world.has(Mutant::SilentStop) {
            news.changes.retain(|change| !matches!(change.kind, ChangeKind::Stopped(_)));
        }
        shard.sequence = if shard.sequence == 0 { self.time() * 1_000 } else { shard.sequence + 1 };
        let sequence = shard.sequence;
        for change in &news.changes {
            let kind = change.kind;
            let left = change.lease.expires_at.as_millis().cast_signed() - self.time().cast_signed();
            self.world.note(|| {
                format!("store #{sequence} {} {kind:?} {:+}", name_of(side, &change.lease.participant), left)
            });
            let key = (side.clone(), change.lease.participant.clone());
            self.world.check(|checks, plan, now| checks.committed(&key, kind, left, plan, now));
        }
        let followers: Vec<u64> =
            state.links.iter().filter(|(_, link)| link.shards.contains(&number)).map(|(id, _)| *id).collect();
        for id in followers {
            if let Some(link) = state.links.get_mut(&id) {
                self.push(id, link, (number, sequence, news.clone()));
            }
        }
        Said::Done(sequence)
    }

    fn push(&self, id: u64, link: &mut Link, news: (usize, u64, News)) {
        let world = &self.world;
        if world.is_on(Fault::FeedHoles) && world.happens(0.15) {
            return;
        }
        let latency = if world.is_on(Fault::FeedLate) { 1..150 } else { 1..8 };
        let arrival = (world.now() + world.chance(|rng| rng.u64(latency))).max(link.last_arrival);
        link.last_arrival = arrival;
        link.waiting.push_back(news);
        let Some(server) = self.myself.upgrade() else { return };
        let sleep = world.executor.sleep(arrival - world.now());
        world.executor.spawn(Owner::World, async move {
            sleep.await;
            server.deliver(id);
        });
    }

    /// News of a connection come in order.
    fn deliver(&self, id: u64) {
        let mut state = lock(&self.state);
        let Some(link) = state.links.get_mut(&id) else { return };
        let (node, listener, next) = (link.node, link.listener.upgrade(), link.waiting.pop_front());
        drop(state);
        if self.world.is_cut_off(node) {
            return;
        }
        if let (Some(listener), Some((shard, sequence, news))) = (listener, next) {
            listener.heard(id, shard, sequence, &news);
        }
    }

    /// A node's way to it: calls take a while, and may not arrive, or not come back.
    pub(crate) async fn call(self: &Arc<Self>, node: NodeId, request: Request) -> Option<Reply> {
        let (world, executor) = (&self.world, self.world.executor.clone());
        let answer = crate::executor::Answer::new();
        let fate = Fate::draw(world, matches!(request, Request::Commit { .. }));
        if fate.is_refused {
            executor.sleep(1).await;
            return None;
        }
        let (server, given) = (self.clone(), answer.clone());
        executor.clone().spawn(Owner::World, async move {
            let world = server.world.clone();
            executor.sleep(fate.there).await;
            if !server.is_reached_by(node) {
                return;
            }
            let reply = server.serve(request);
            executor.sleep(fate.back).await;
            if !fate.is_lost && server.is_reached_by(node) {
                given.give(reply);
            }
            drop(world);
        });
        Some(answer.get().await)
    }

    fn is_reached_by(&self, node: NodeId) -> bool {
        !self.world.is_cut_off(node) && !self.world.is_on(Fault::Outage)
    }
}

/// What becomes of one call.
struct Fate {
    is_refused: bool,
    is_lost: bool,
    there: u64,
    back: u64,
}

impl Fate {
    fn draw(world: &World, is_commit: bool) -> Self {
        let slow = world.is_on(Fault::Slow);
        let trip = || world.chance(|rng| if slow { rng.u64(5..140) } else { rng.u64(1..4) });
        let mut fate = Self { is_refused: false, is_lost: false, there: trip(), back: trip() };
        fate.is_refused = world.is_on(Fault::Refused) && world.happens(0.4);
        if is_commit && world.is_on(Fault::AnswersLost) && world.happens(0.4) {
            fate.is_lost = true;
        }
        if is_commit && world.is_on(Fault::Late) && world.happens(0.4) {
            (fate.is_lost, fate.there) = (true, world.chance(|rng| rng.u64(250..1_500)));
        }
        fate
    }
}

/// A side and who of it, for people.
pub(crate) fn name_of(side: &Side, participant: &Option<typingd_core::Name>) -> String {
    let role = if side.role == Role::Agent { "agent" } else { "user" };
    format!("{}/{role}/{}", side.conversation.user().as_str(), participant.as_deref().unwrap_or("-"))
}

/// A way to run tasks for those who have a server.
impl Server {
    pub(crate) fn executor(&self) -> &Executor {
        &self.world.executor
    }
}

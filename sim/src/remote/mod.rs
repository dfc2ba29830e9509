//! The store as one node reaches it: decides here, compares there. As on Redis, with a wire that fails.

mod breaker;
mod offset;
mod order;
mod session;

use std::collections::BTreeMap;
use std::ops::Range;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use typingd_core::lease::SideState;
use typingd_core::store::near::NodeMemory;
use typingd_core::store::remote::{Loss, Remote};
use typingd_core::store::{AsOf, Commit, Due, Feed, Listing, Position, Presence, Store, StoreError};
use typingd_core::transition::{Decision, Outcome};
use typingd_core::{ChangeKind, Conversation, IgnoreReason, Role, Scope, Side, StopReason, Time, Verdict};

use crate::clock::NodeClock;
use crate::ears::Ears;
use crate::executor::{Bell, Gate, Owner, lock};
use crate::mutants::Mutant;
use crate::server::{News, Reply, Request, SHARDS, Said, Server, shard_of};
use crate::world::{NodeId, World};
use breaker::Breaker;
use offset::{Offset, Shift};
use order::{Order, Teller};

/// How long a call may take.
pub(crate) const TIMEOUT: Duration = Duration::from_millis(250);
const CLAIM: Duration = Duration::from_secs(2);
const POLL: u64 = 1_000;
const TRIES: usize = 32;

pub(crate) type Memory = NodeMemory<Arc<Ears>>;

/// Who hears what comes in: the memory, unless a mutant lies to it.
pub(crate) struct Hearing {
    pub(crate) memory: Arc<Memory>,
    pub(crate) world: Arc<World>,
}

struct Shard {
    gate: Gate,
    cache: Mutex<BTreeMap<Side, SideState>>,
    order: Mutex<Order>,
    offset: Mutex<Offset>,
    /// The next deadline known, in the store's time.
    next: Mutex<Option<u64>>,
    looked: Mutex<Option<Time>>,
}

pub(crate) struct Node {
    id: NodeId,
    world: Arc<World>,
    server: Arc<Server>,
    clock: Arc<NodeClock>,
    audience: Arc<Hearing>,
    shards: Vec<Shard>,
    breaker: Mutex<Breaker>,
    /// Shards that are followed, and how many want that.
    wanted: Mutex<BTreeMap<usize, usize>>,
    changed: Bell,
    link: Mutex<Option<u64>>,
    /// Which life of the store was seen last.
    lives: Mutex<Vec<Option<u64>>>,
}

#[derive(Clone)]
pub(crate) struct SimRemote(Arc<Node>);

impl SimRemote {
    pub(crate) fn new(
        id: NodeId,
        world: Arc<World>,
        server: Arc<Server>,
        clock: Arc<NodeClock>,
        memory: Arc<Memory>,
    ) -> Self {
        let shard = |_| Shard {
            gate: Gate::default(),
            cache: Mutex::default(),
            order: Mutex::default(),
            offset: Mutex::default(),
            next: Mutex::default(),
            looked: Mutex::default(),
        };
        let audience = Arc::new(Hearing { memory, world: world.clone() });
        let node = Arc::new(Node {
            id,
            server,
            clock,
            audience,
            shards: (0..SHARDS).map(shard).collect(),
            breaker: Mutex::default(),
            wanted: Mutex::default(),
            changed: Bell::default(),
            link: Mutex::default(),
            lives: Mutex::new(vec![None; SHARDS]),
            world,
        });
        node.world.executor.spawn(Owner::Node(id), session::follow(node.clone()));
        Self(node)
    }
}

impl Node {
    fn shift(&self, shard: usize) -> Option<Shift> {
        lock(&self.shards[shard].offset).shift(self.clock.micros())
    }

    fn teller(&self, shard: usize) -> Option<Teller<'_, Hearing>> {
        self.shift(shard).map(|shift| Teller { shard, shift, audience: &*self.audience })
    }

    /// Asks, and takes note of what the store's clock shows.
    async fn ask(&self, shard: usize, request: Request) -> Result<Reply, StoreError> {
        let sent = self.clock.micros();
        let reply = self.server.call(self.id, request).await.ok_or(StoreError::Unavailable)?;
        lock(&self.shards[shard].offset).note(sent, self.clock.micros(), reply.time);
        Ok(reply)
    }

    async fn bounded<T>(&self, call: impl Future<Output = Result<T, StoreError>>) -> Result<T, StoreError> {
        if !lock(&self.breaker).admits(self.world.now()) {
            return Err(StoreError::Unavailable);
        }
        let result = self.world.executor.timeout(TIMEOUT, call).await;
        let result = result.unwrap_or(Err(StoreError::Unavailable));
        lock(&self.breaker).note(!matches!(result, Err(StoreError::Unavailable)), self.world.now());
        result
    }

    async fn sequence(&self, shard: usize) -> Option<(u64, u64)> {
        let request = Request::Due { shard, now: 0, claimed_until: 0, limit: 0 };
        let reply = self.ask(shard, request).await.ok()?;
        match reply.said {
            Said::Due { sequence, .. } => Some((sequence, reply.life)),
            _ => None,
        }
    }

    async fn measured(&self, shard: usize) -> Result<Shift, StoreError> {
        if let Some(shift) = self.shift(shard) {
            return Ok(shift);
        }
        self.sequence(shard).await.ok_or(StoreError::Unavailable)?;
        self.shift(shard).ok_or(StoreError::Unavailable)
    }

    async fn decide_and_commit(
        &self,
        side: &Side,
        decide: impl Fn(SideState) -> Decision + Send + Sync,
    ) -> Result<Outcome, StoreError> {
        let number = shard_of(&side.conversation);
        let shard = &self.shards[number];
        let _gate = shard.gate.enter().await;
        self.measured(number).await?;
        let mut believed = lock(&shard.cache).remove(side).unwrap_or_default();
        for _ in 0..TRIES {
            let shift = self.shift(number).ok_or(StoreError::Unavailable)?;
            let state = shift.state_to_node(&believed);
            let decision = spoilt(&self.world, &state, decide(state.clone()));
            let Decision { next, outcome, changes } = decision;
            let deadline = next.deadline();
            let written = shift.state_to_server(&next);
            let presence = match (believed.is_empty(), written.is_empty()) {
                (true, false) => Presence::Appeared,
                (false, true) => Presence::Vanished,
                _ => Presence::Unchanged,
            };
            let is_told = !changes.is_empty() || presence != Presence::Unchanged;
            let is_message =
                changes.iter().any(|change| change.kind == ChangeKind::Stopped(StopReason::Sent));
            if is_message && self.world.has(Mutant::LateStop) {
                let (world, late, side) = (self.world.clone(), self.server.clone(), side.clone());
                let news = News {
                    side: side.clone(),
                    changes: shift.changes_to_server(&changes),
                    deadline: deadline.map(|deadline| shift.to_server(deadline).as_millis()),
                    presence,
                };
                let request =
                    Request::Commit { side, believed: believed.clone(), next: written, news: Some(news) };
                world.executor.clone().spawn(Owner::World, async move {
                    world.executor.sleep(3_000).await;
                    late.serve(request);
                });
                return Ok(outcome);
            }
            let news = is_told.then(|| News {
                side: side.clone(),
                changes: shift.changes_to_server(&changes),
                deadline: deadline.map(|deadline| shift.to_server(deadline).as_millis()),
                presence,
            });
            let request = Request::Commit { side: side.clone(), believed, next: written.clone(), news };
            match self.ask(number, request).await?.said {
                Said::Done(sequence) => {
                    lock(&shard.cache).insert(side.clone(), written);
                    if let Some(deadline) = deadline {
                        self.expect(number, shift.to_server(deadline).as_millis());
                    }
                    let position = Position { shard: number, sequence };
                    let commit =
                        Commit { side: side.clone(), changes, position, deadline, presence, is_ours: true };
                    if is_told {
                        lock(&shard.order).tell_own(commit, &*self.audience);
                    } else {
                        lock(&shard.order).note_answer(sequence);
                        self.audience.publish(commit);
                    }
                    return Ok(outcome);
                }
                Said::Stale(current) => believed = current,
                _ => return Err(StoreError::Unavailable),
            }
        }
        Err(StoreError::Unavailable)
    }

    fn expect(&self, shard: usize, deadline: u64) {
        let mut next = lock(&self.shards[shard].next);
        *next = Some(next.map_or(deadline, |next| next.min(deadline)));
    }

    fn must_be_looked_at(&self, number: usize, now: Time) -> bool {
        let shard = &self.shards[number];
        let looked = *lock(&shard.looked);
        let is_known = looked.is_some_and(|looked| now < looked + Duration::from_millis(POLL));
        match self.shift(number) {
            Some(shift) if is_known => {
                lock(&shard.next).is_some_and(|next| next <= shift.to_server(now).as_millis())
            }
            _ => true,
        }
    }

    async fn look(&self, number: usize, now: Time, limit: usize) -> Result<Vec<Side>, StoreError> {
        let shard = &self.shards[number];
        let shift = self.measured(number).await?;
        let request = Request::Due {
            shard: number,
            now: shift.to_server(now).as_millis(),
            claimed_until: shift.to_server(now + CLAIM).as_millis(),
            limit,
        };
        let before = lock(&shard.next).take();
        let reply = self.ask(number, request).await.inspect_err(|_| {
            before.into_iter().for_each(|next| self.expect(number, next));
        })?;
        let Said::Due { sequence, next, sides } = reply.said else { return Err(StoreError::Unavailable) };
        for side in &sides {
            self.world.note(|| format!("n{} claims {}", self.id, crate::server::name_of(side, &None)));
        }
        next.into_iter().for_each(|next| self.expect(number, next));
        *lock(&shard.looked) = Some(now);
        if lock(&shard.order).is_late(sequence, self.world.now()) {
            self.world.note(|| format!("n{} finds {number} late", self.id));
            *lock(&self.link) = None;
            self.changed.ring();
        }
        Ok(sides)
    }
}

/// What two of the mutants make of a decision: what is brought to the store later is not a word of the speaker.
fn spoilt(world: &World, state: &SideState, mut decision: Decision) -> Decision {
    let is_brought = decision.outcome.verdict == Verdict::Ignored(IgnoreReason::NothingLive);
    if is_brought && world.has(Mutant::EndsDropped) {
        let is_end =
            |kind: ChangeKind| matches!(kind, ChangeKind::Stopped(reason) if reason != StopReason::Expired);
        for change in decision.changes.iter().filter(|change| is_end(change.kind)) {
            let ended = state.leases.iter().find(|lease| lease.participant == change.lease.participant);
            decision.next.leases.extend(ended.cloned());
        }
        decision.changes.retain(|change| !is_end(change.kind));
    }
    if is_brought && world.has(Mutant::PromisesDropped) {
        let is_new = |participant| !state.leases.iter().any(|lease| lease.participant == participant);
        decision.next.leases.retain(|lease| !is_new(lease.participant.clone()));
        decision.changes.retain(|change| change.kind != ChangeKind::Started);
    }
    decision
}

impl Store for SimRemote {
    async fn update(
        &self,
        side: &Side,
        _now: Time,
        decide: impl Fn(SideState) -> Decision + Send + Sync,
    ) -> Result<Outcome, StoreError> {
        self.0.bounded(self.0.decide_and_commit(side, decide)).await
    }

    async fn due(&self, now: Time, limit: usize) -> Due {
        let mut due = Due::default();
        for shard in 0..SHARDS {
            if !self.0.must_be_looked_at(shard, now) {
                continue;
            }
            match self.0.bounded(self.0.look(shard, now, limit)).await {
                Ok(sides) => due.sides.extend(sides),
                Err(error) => {
                    due.failed = Some(error);
                    break;
                }
            }
        }
        let next = |shard: usize| {
            let next: Option<u64> = *lock(&self.0.shards[shard].next);
            let next = next?;
            self.0.shift(shard).map(|shift| shift.to_node(Time::from_millis(next)))
        };
        due.next = (0..SHARDS).filter_map(next).min();
        due
    }

    async fn leases(&self, scope: &Scope, now: Time, limit: usize) -> Listing {
        let mut listing = Listing::default();
        let mut sequences = Vec::new();
        let shards = self.shards_of(scope);
        for shard in shards.clone() {
            let asking = async {
                self.0.measured(shard).await?;
                self.0.ask(shard, Request::List { shard }).await
            };
            let reply = self.0.bounded(asking).await;
            let (Ok(Reply { said: Said::List { sequence, sides }, .. }), Some(shift)) =
                (reply, self.0.shift(shard))
            else {
                listing.failed = Some(StoreError::Unavailable);
                break;
            };
            sequences.push(sequence);
            for (side, state) in sides.iter().filter(|(side, _)| scope.covers(&side.conversation)) {
                let state = shift.state_to_node(state);
                if scope.as_conversation().is_some() {
                    match side.role {
                        Role::Agent => listing.last_turns.agent = state.last_turn(),
                        Role::User => listing.last_turns.user = state.last_turn(),
                    }
                }
                let live = state.leases.iter().filter(|lease| lease.expires_at() > now);
                listing.leases.extend(live.map(|lease| (side.clone(), lease.view())));
            }
        }
        listing.cut = listing.leases.len() > limit;
        listing.leases.truncate(limit);
        listing.as_of = AsOf::new(shards.start, sequences);
        listing
    }
}

impl Remote for SimRemote {
    fn shard_of(&self, conversation: &Conversation) -> usize {
        shard_of(conversation)
    }

    fn shards_of(&self, scope: &Scope) -> Range<usize> {
        match &scope.user {
            Some(user) => {
                let shard = shard_of(&Conversation::new("", "", "", user.clone()));
                shard..shard + 1
            }
            None => 0..SHARDS,
        }
    }

    fn follow(&self, shard: usize) {
        *lock(&self.0.wanted).entry(shard).or_default() += 1;
        self.0.changed.ring();
    }

    fn unfollow(&self, shard: usize) {
        let mut wanted = lock(&self.0.wanted);
        if let Some(count) = wanted.get_mut(&shard) {
            *count -= 1;
            if *count == 0 {
                wanted.remove(&shard);
                self.0.changed.ring();
            }
        }
    }

    fn hears(&self, shard: usize) -> bool {
        lock(&self.0.shards[shard].order).is_following()
    }

    fn is_behind(&self, shard: usize) -> bool {
        lock(&self.0.shards[shard].order).is_behind()
    }
}

impl Feed for Hearing {
    fn publish(&self, commit: Commit) {
        self.memory.publish(commit);
    }
}

impl typingd_core::store::remote::Audience for Hearing {
    fn lost(&self, shard: usize, loss: Loss) {
        if !self.world.has(Mutant::LossIgnored) {
            self.memory.lost(shard, loss);
        }
    }

    fn unreadable(&self, shard: usize, error: typingd_core::store::remote::Unreadable) {
        self.memory.unreadable(shard, error);
    }
}

//! Who tells upstreams on a node: of the sides in its groups, what its pacer says. It takes groups over, gives them back,
//! and lets go of them when its time is over.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use typingd_core::fleet::{Groups, Tenure};
use typingd_core::pacing::{Call, CallId, Limits, Pacer, Refusal, UpstreamId, Verb, Verdict};
use typingd_core::store::remote::Remote;
use typingd_core::store::{AsOf, Listing, Position};
use typingd_core::transition::Change;
use typingd_core::{ChangeKind, Name, Role, Scope, Side, StopReason, Time};

use crate::composers::TENANT;
use crate::ears::{Delivery, Ears, Queue};
use crate::executor::{Bell, Owner, lock};
use crate::gateway::{Around, Gateway};
use crate::mutants::Mutant;
use crate::provider::{CALL, UPSTREAMS, profile};
use crate::registry::{LEASE, Shown};
use crate::server::{SHARDS, shard_of};
use crate::world::{NodeId, World};

/// How often it renews.
const TICK: u64 = 400;

/// How long it waits for news of a shard before it looks without them.
const PATIENCE: u64 = 300;

type Leases = BTreeMap<Option<Name>, (Time, Time)>;

struct State {
    pacer: Pacer,
    upstreams: Vec<UpstreamId>,
    sides: BTreeMap<Side, Leases>,
    /// Sides that the pacer was told of.
    touched: BTreeSet<Side>,
    tenure: Tenure,
    /// Groups that it tells of.
    active: Groups,
    /// Groups that it has not taken over yet.
    strange: Groups,
    /// Groups of which it must look at all leases.
    unsure: Groups,
    /// Groups that it does not want to keep.
    unwanted: Groups,
    /// Up to where each group was looked at.
    as_of: BTreeMap<usize, AsOf>,
    flights: BTreeSet<CallId>,
    leaves: bool,
}

/// What was found of some groups; with notes of what was told, where they were another's.
struct Looked {
    groups: Groups,
    listing: Listing,
    notes: Option<Vec<(Shown, u64)>>,
    asked: Time,
    is_firm: bool,
}

pub(crate) struct Relay {
    id: NodeId,
    around: Around,
    queue: Arc<Queue>,
    state: Mutex<State>,
    landed: Bell,
}

fn group_of(side: &Side) -> usize {
    Groups::of_shard(shard_of(&side.conversation))
}

impl Relay {
    pub(crate) fn new(id: NodeId, world: &Arc<World>, around: &Around, ears: &Arc<Ears>) -> Arc<Self> {
        let mut pacer = Pacer::new(10_000, world.chance(|rng| rng.u64(..)));
        let upstreams = (0..UPSTREAMS).map(|at| pacer.add(profile(at), &Limits::default())).collect();
        let state = State {
            pacer,
            upstreams,
            sides: BTreeMap::new(),
            touched: BTreeSet::new(),
            tenure: Tenure { groups: Groups::default(), until: Time::ZERO, nodes: 1 },
            active: Groups::default(),
            strange: Groups::default(),
            unsure: Groups::default(),
            unwanted: Groups::default(),
            as_of: BTreeMap::new(),
            flights: BTreeSet::new(),
            leaves: false,
        };
        let landed = Bell::default();
        Arc::new(Self { id, around: around.clone(), queue: ears.queue(), state: Mutex::new(state), landed })
    }

    /// Gives all groups back, and wants no more.
    pub(crate) fn leave(&self) {
        lock(&self.state).leaves = true;
        self.queue.bell.ring();
    }

    /// Whether it has nothing to tell of any more.
    pub(crate) fn has_left(&self) -> bool {
        let state = lock(&self.state);
        state.leaves && state.active == Groups::default() && state.flights.is_empty()
    }
}

/// Renews the tenure for ever.
pub(crate) async fn renew(gateway: Arc<Gateway>) {
    let relay = &gateway.relay;
    loop {
        let (sent, keeps, leaves) = {
            let state = lock(&relay.state);
            (gateway.now(), Groups::ALL.without(state.unwanted), state.leaves)
        };
        if leaves {
            return;
        }
        if let Some(granted) = relay.around.registry.renew(gateway.id, keeps).await {
            let mut state = lock(&relay.state);
            let until = sent + Duration::from_millis(LEASE);
            state.tenure = Tenure { groups: granted.groups, until, nodes: granted.nodes };
            let part = u32::try_from(granted.nodes).unwrap_or(1);
            state.pacer.set_share(1, part, gateway.now());
        }
        relay.queue.bell.ring();
        gateway.world.executor.sleep(TICK).await;
    }
}

/// Tells for ever.
pub(crate) async fn run(gateway: Arc<Gateway>) {
    let relay = gateway.relay.clone();
    (0..SHARDS).for_each(|shard| gateway.near().follow(shard));
    loop {
        keep_groups(&gateway).await;
        while let Some(delivery) = relay.queue.take() {
            relay.hear(delivery, gateway.now());
        }
        let strange = lock(&relay.state).strange;
        if strange != Groups::default() {
            look(&gateway, strange, true).await;
        }
        let unsure = lock(&relay.state).unsure;
        if unsure != Groups::default() {
            look(&gateway, unsure, false).await;
        }
        let now = gateway.now();
        let (due, deadline, tenure_until) = {
            let mut state = lock(&relay.state);
            let due = state.pacer.due(now);
            (due, state.pacer.deadline(), state.tenure.until)
        };
        for (upstream, side) in due.looks {
            let listing = gateway.list(&Scope::one(&side.conversation)).await;
            let latest =
                listing.leases.iter().filter(|(of, _)| *of == side).map(|(_, lease)| lease.expires_at).max();
            if let Some(until) = latest {
                let mut state = lock(&relay.state);
                if let Some(leases) = state.sides.get_mut(&side) {
                    for (_, lease) in listing.leases.iter().filter(|(of, _)| *of == side) {
                        if let Some(known) = leases.get_mut(&lease.participant) {
                            known.1 = lease.expires_at;
                        }
                    }
                    state.pacer.extend(upstream, &side, until, gateway.now());
                }
            }
        }
        for call in due.calls {
            lock(&relay.state).flights.insert(call.id);
            gateway.world.executor.spawn(Owner::Node(gateway.id), make(gateway.clone(), call));
        }
        let next = deadline.unwrap_or(Time::MAX).min(tenure_until.max(now + Duration::from_millis(1)));
        let wait = gateway.until(next).clamp(Duration::from_millis(1), Duration::from_secs(1));
        gateway.world.executor.timeout(wait, relay.queue.bell.rung()).await;
    }
}

/// Takes over what came, gives back what is too much, lets go of what is lost.
async fn keep_groups(gateway: &Arc<Gateway>) {
    let relay = &gateway.relay;
    let now = gateway.now();
    let (gone, come, too_many) = {
        let mut state = lock(&relay.state);
        let is_sure = now < state.tenure.until || gateway.world.has(Mutant::Overstay);
        let has = if is_sure { state.tenure.groups } else { Groups::default() };
        let fair = SHARDS.div_ceil(state.tenure.nodes.max(1));
        let keeps = if state.leaves { 0 } else { fair };
        let too_many: Groups = has.iter().skip(keeps).collect();
        let has = has.without(too_many);
        let kept = if gateway.world.has(Mutant::Overstay) { state.active } else { has };
        let gone = state.active.without(kept);
        let come = has.without(state.active);
        state.active = kept.iter().chain(has.iter()).collect();
        state.unwanted = too_many;
        (gone, come, too_many)
    };
    if gone != Groups::default() {
        gateway.world.note(|| format!("n{} lets go of {:?}", gateway.id, gone.iter().collect::<Vec<_>>()));
        let flights = lock(&relay.state).drop_groups(gone);
        while flights.iter().any(|call| lock(&relay.state).flights.contains(call)) {
            relay.landed.rung().await;
        }
    }
    if too_many != Groups::default() {
        relay.around.registry.release(gateway.id, too_many).await;
        let mut state = lock(&relay.state);
        state.tenure.groups = state.tenure.groups.without(too_many);
        state.unwanted = Groups::default();
    }
    if lock(&relay.state).leaves {
        relay.around.registry.leave(gateway.id).await;
    }
    if come != Groups::default() {
        gateway.world.note(|| format!("n{} takes {:?}", gateway.id, come.iter().collect::<Vec<_>>()));
        let mut waited = 0;
        while !gateway.hears(come.iter()) && waited < PATIENCE {
            gateway.world.executor.sleep(10).await;
            waited += 10;
        }
        if !gateway.world.has(Mutant::BlindAdoption) {
            let mut state = lock(&relay.state);
            state.strange = state.strange.iter().chain(come.iter()).collect();
        }
    }
}

/// Looks at all leases of some groups, and takes them for what lives there.
async fn look(gateway: &Arc<Gateway>, groups: Groups, adopts: bool) {
    let relay = &gateway.relay;
    let is_heard = gateway.hears(groups.iter());
    let notes = match adopts && !gateway.world.has(Mutant::NoNotes) {
        true => relay.around.registry.notes(gateway.id, groups).await,
        false => Some(Vec::new()),
    };
    let asked = gateway.now();
    let listing = gateway.list(&Scope::tenant(TENANT)).await;
    let is_firm = is_heard && listing.failed.is_none() && notes.is_some();
    if notes.is_some() {
        let looked = Looked { groups, listing, notes: notes.filter(|_| adopts), asked, is_firm };
        lock(&relay.state).take(looked, gateway.now());
    }
    if !is_firm {
        gateway.world.executor.sleep(100).await;
    }
}

fn latest(leases: &Leases) -> Option<(Time, Time)> {
    leases.values().map(|(since, until)| (*until, *since)).max()
}

/// Makes a call, if that is still this node's to do.
async fn make(gateway: Arc<Gateway>, call: Call) {
    let relay = &gateway.relay;
    let at = lock(&relay.state).upstreams.iter().position(|upstream| *upstream == call.upstream).unwrap_or(0);
    let shown = (at, call.side.clone());
    let until = if call.verb == Verb::Type { call.shows_until } else { gateway.now() };
    let remaining = u64::try_from(until.since(gateway.now()).as_millis()).unwrap_or(0);
    let is_noted = relay.around.registry.note(gateway.id, shown, remaining).await;
    let may = {
        let state = lock(&relay.state);
        let over = gateway.now() + Duration::from_millis(CALL);
        let group = group_of(&call.side);
        let holds = state.tenure.holds(group, over) || gateway.world.has(Mutant::Overstay);
        is_noted && holds && state.active.has(group)
    };
    let verdict = match may {
        false => Verdict::Refused(Refusal::Transient { retry_after: None }),
        true if relay.around.provider.call(gateway.id, at, &call.side, call.verb).await => Verdict::Accepted,
        true => Verdict::Unanswered,
    };
    let mut state = lock(&relay.state);
    state.flights.remove(&call.id);
    state.pacer.answered(call.id, verdict, gateway.now());
    drop(state);
    relay.landed.ring();
    relay.queue.bell.ring();
}

impl Relay {
    fn hear(&self, delivery: Delivery, now: Time) {
        let mut state = lock(&self.state);
        match delivery {
            Delivery::Lost { shard } => {
                let group = Groups::of_shard(shard);
                if state.active.has(group) {
                    state.unsure = state.unsure.with(group);
                }
            }
            Delivery::Commit { side, changes, position } => {
                let is_meant = side.role == Role::Agent && state.active.has(group_of(&side));
                if is_meant && !state.has_seen(position) {
                    state.apply(&side, &changes, now);
                    let is_message = |change: &Change| change.kind == ChangeKind::Stopped(StopReason::Sent);
                    if changes.iter().any(is_message) {
                        drop(state);
                        self.clear_notes(side);
                    }
                }
            }
        }
    }

    /// A message took the dots away: who takes the side over need not wait for them to fade.
    fn clear_notes(&self, side: Side) {
        let (registry, node) = (self.around.registry.clone(), self.id);
        self.around.server.executor().spawn(Owner::Node(node), async move {
            for upstream in 0..UPSTREAMS {
                registry.note(node, (upstream, side.clone()), 0).await;
            }
        });
    }
}

impl State {
    fn has_seen(&self, position: Position) -> bool {
        self.as_of.get(&Groups::of_shard(position.shard)).is_some_and(|as_of| as_of.includes(position))
    }

    /// Takes what was listed of some groups for all that lives there.
    fn take(&mut self, looked: Looked, now: Time) {
        let Looked { groups, listing, notes, asked, is_firm } = looked;
        let adopts = notes.is_some();
        self.strange = self.strange.without(groups);
        let mut there: BTreeMap<Side, Leases> = BTreeMap::new();
        for (side, lease) in listing.leases {
            if side.role == Role::Agent && groups.has(group_of(&side)) && self.active.has(group_of(&side)) {
                let leases = there.entry(side).or_default();
                leases.insert(lease.participant, (lease.started_at, lease.expires_at));
            }
        }
        let notes: BTreeMap<(usize, Side), Time> = notes
            .into_iter()
            .flatten()
            .map(|(shown, left)| (shown, now + Duration::from_millis(left)))
            .collect();
        let known = self.sides.keys().filter(|side| groups.has(group_of(side))).cloned();
        let known: BTreeSet<Side> =
            known.chain(there.keys().cloned()).chain(notes.keys().map(|(_, side)| side.clone())).collect();
        for side in known {
            self.touched.insert(side.clone());
            let leases = there.remove(&side).unwrap_or_default();
            let latest = latest(&leases);
            for (at, upstream) in self.upstreams.clone().into_iter().enumerate() {
                if adopts {
                    let (until, since) = latest.unzip();
                    let shown = notes.get(&(at, side.clone())).copied();
                    self.pacer.adopt(upstream, &side, since.unwrap_or(now), until, shown, now);
                    continue;
                }
                match latest {
                    Some((until, since)) => {
                        self.pacer.resume(upstream, &side, since, until, asked, now);
                        self.pacer.extend(upstream, &side, until, now);
                    }
                    None => self.pacer.end(upstream, &side, StopReason::Revoked, now, now),
                }
            }
            if leases.is_empty() {
                self.sides.remove(&side);
            } else {
                self.sides.insert(side, leases);
            }
        }
        self.as_of.extend(groups.iter().map(|group| (group, listing.as_of.clone())));
        if is_firm {
            self.unsure = self.unsure.without(groups);
        } else {
            self.unsure = self.unsure.iter().chain(groups.iter()).collect();
        }
    }

    fn apply(&mut self, side: &Side, changes: &[Change], now: Time) {
        self.touched.insert(side.clone());
        let leases = self.sides.entry(side.clone()).or_default();
        let was_live = !leases.is_empty();
        let mut stop = None;
        let mut start = None;
        for Change { kind, lease } in changes {
            leases.remove(&lease.participant);
            match kind {
                ChangeKind::Stopped(reason) if !matches!(stop, Some((StopReason::Sent, _))) => {
                    stop = Some((*reason, lease.expires_at));
                }
                ChangeKind::Stopped(_) => {}
                ChangeKind::Started => start = start.max(Some(lease.started_at)),
                ChangeKind::Refreshed => {}
            }
            if !matches!(kind, ChangeKind::Stopped(_)) {
                leases.insert(lease.participant.clone(), (lease.started_at, lease.expires_at));
            }
        }
        let latest = latest(leases);
        if latest.is_none() {
            self.sides.remove(side);
        }
        let message = stop.and_then(|(reason, at)| (reason == StopReason::Sent).then_some(at));
        for upstream in self.upstreams.clone() {
            if let Some((reason, at)) = stop
                && was_live
                && (latest.is_none() || message.is_some())
            {
                self.pacer.end(upstream, side, reason, at, now);
            }
            match latest {
                Some((until, since)) if !was_live || start.is_some() || message.is_some() => {
                    let since = start.max(message).unwrap_or(since);
                    self.pacer.begin(upstream, side, since, until, now);
                }
                Some((until, _)) => self.pacer.extend(upstream, side, until, now),
                None => {}
            }
        }
    }

    /// Nothing is known of these groups any more. Gives the calls that are in flight.
    fn drop_groups(&mut self, groups: Groups) -> Vec<CallId> {
        self.sides.retain(|side, _| !groups.has(group_of(side)));
        self.unsure = self.unsure.without(groups);
        self.strange = self.strange.without(groups);
        let (gone, kept) =
            std::mem::take(&mut self.touched).into_iter().partition(|side| groups.has(group_of(side)));
        self.touched = kept;
        let gone: BTreeSet<Side> = gone;
        gone.iter().flat_map(|side| self.pacer.leave(side)).collect()
    }
}

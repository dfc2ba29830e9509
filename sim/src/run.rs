//! One run: a world, its faults, and what became of it.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};

use fastrand::Rng;
use typingd_core::lease::Lease;
use typingd_core::{Role, Scope, Time, User};

use crate::checks::{
    ANNOUNCED, Gaps, JUMP, Key, Messages, Promises, QUIET as NOTHING_ON, Sight, TOLERANCE, VIEWS, Violation,
    is_quiet, is_same,
};
use crate::clock::STORE_BEGINS;
use crate::composers::{self, Fleet, MAX_TTL, TENANT};
use crate::executor::{Owner, lock};
use crate::gateway::{Around, Gateway};
use crate::mutants::Mutant;
use crate::plan::{Fault, Plan, QUIET, Window};
use crate::provider::{Provider, UPSTREAMS};
use crate::registry::Registry;
use crate::server::Server;
use crate::subscriber::Subscriber;
use crate::world::World;

/// When what went wrong has been made up for.
const SETTLED: u64 = QUIET + 9_000;

/// When the last lease must be over, and swept.
const OVER: u64 = QUIET + MAX_TTL + 15_000;

/// How often the world is looked at.
pub(crate) const LOOK: u64 = 50;

/// What became of a run.
#[derive(Clone, Debug)]
pub struct Report {
    /// What decided it.
    pub seed: u64,
    /// The first property that did not hold.
    pub violation: Option<Violation>,
    /// How many steps tasks made.
    pub steps: u64,
    /// What went wrong in it, by name.
    pub faults: Vec<String>,
    /// What happened, where that was asked for.
    pub trace: Vec<String>,
}

struct Run {
    world: Arc<World>,
    around: Around,
    fleet: Fleet,
    subscribers: Vec<Arc<Subscriber>>,
    nodes: usize,
}

/// Runs one seed, with a deliberate fault or none.
#[must_use]
pub fn run(seed: u64, mutant: Option<Mutant>, is_traced: bool) -> Report {
    let mut rng = Rng::with_seed(seed);
    let plan = Plan::draw(&mut rng);
    let world = Arc::new(World::new(plan.clone(), rng.fork(), mutant, is_traced));
    let around = Around {
        server: Server::new(world.clone()),
        registry: Registry::new(world.clone()),
        provider: Provider::new(world.clone()),
    };
    let fleet = Arc::new(Mutex::new(Vec::new()));
    let mut run = Run { world: world.clone(), around, fleet, subscribers: Vec::new(), nodes: 0 };
    (0..plan.nodes).for_each(|_| run.join());
    for composer in composers::all(&world, &run.fleet, &run.around.provider) {
        world.executor.spawn(Owner::Actors, composer.live());
    }
    run.drive(&mut rng);
    let violation = lock(&world.checks).violation.clone();
    let mut faults: Vec<Fault> = plan.windows.iter().map(|window| window.fault).collect();
    faults.sort();
    faults.dedup();
    let faults = faults.iter().map(|fault| format!("{fault:?}")).collect();
    for node in 0..run.nodes {
        world.executor.kill(Owner::Node(node));
    }
    world.executor.kill(Owner::Actors);
    world.executor.kill(Owner::World);
    Report { seed, violation, steps: world.executor.steps(), faults, trace: world.take_trace() }
}

impl Run {
    fn drive(&mut self, rng: &mut Rng) {
        let mut coming: Vec<Window> = self.world.plan.windows.iter().rev().copied().collect();
        let mut is_compared = false;
        while self.world.now() < OVER && lock(&self.world.checks).violation.is_none() {
            self.world.executor.run_until(self.world.now() + LOOK, rng);
            while let Some(window) = coming.pop_if(|window| window.from <= self.world.now()) {
                self.strike(window);
            }
            self.look();
            if !is_compared && self.world.now() >= SETTLED {
                is_compared = true;
                self.compare();
            }
        }
        if lock(&self.world.checks).violation.is_none() {
            self.count();
        }
    }

    fn join(&mut self) {
        let gateway = Gateway::start(self.nodes, &self.world, &self.around);
        self.nodes += 1;
        let user = ["+1", "+2", "+3", "+4"][gateway.id % 4];
        let one = Scope { user: Some(User::new(user)), ..Scope::tenant(TENANT) };
        for (at, scope) in [Scope::tenant(TENANT), one].into_iter().enumerate() {
            let id = gateway.id * 2 + at;
            self.subscribers.push(Subscriber::start(id, &gateway, scope, &self.around.server));
        }
        lock(&self.fleet).push(gateway);
    }

    fn strike(&mut self, window: Window) {
        let world = self.world.clone();
        world.note(|| format!("fault {:?} until {}", window.fault, window.to));
        let count = lock(&self.fleet).len();
        let chosen = lock(&self.fleet)[world.chance(|rng| rng.usize(..count))].clone();
        match window.fault {
            Fault::Partition => world.cut_off(chosen.id, window.to),
            Fault::Restart => {
                self.around.server.restart();
                self.around.registry.restart();
                world.check(|checks, _, _| checks.promises.restarted());
            }
            Fault::FeedCut => self.around.server.cut(|node| node == chosen.id),
            Fault::Outage => self.around.server.cut(|_| true),
            Fault::ClockJump => chosen.clock.jump(world.chance(|rng| rng.i64(50..=JUMP.cast_signed()))),
            Fault::ClockStall => chosen.clock.jump(-world.chance(|rng| rng.i64(50..=JUMP.cast_signed()))),
            Fault::Join => self.join(),
            Fault::Death if count > 1 => {
                lock(&self.fleet).retain(|gateway| gateway.id != chosen.id);
                self.end(&chosen);
                world.check(|checks, _, _| checks.promises.died(chosen.id));
            }
            Fault::Drain if count > 1 => {
                lock(&self.fleet).retain(|gateway| gateway.id != chosen.id);
                self.drain(chosen);
            }
            _ => {}
        }
    }

    fn end(&mut self, gateway: &Arc<Gateway>) {
        self.world.note(|| format!("n{} is gone", gateway.id));
        self.world.executor.kill(Owner::Node(gateway.id));
        self.around.server.cut(|node| node == gateway.id);
        self.subscribers.retain(|subscriber| subscriber.gateway.id != gateway.id);
    }

    /// A node leaves: brings what the store has still to learn, gives its groups back, and goes.
    fn drain(&mut self, gateway: Arc<Gateway>) {
        let (world, server) = (self.world.clone(), self.around.server.clone());
        self.subscribers.retain(|subscriber| subscriber.gateway.id != gateway.id);
        world.executor.clone().spawn(Owner::World, async move {
            world.note(|| format!("n{} drains", gateway.id));
            // Calls that came before are answered first.
            world.executor.sleep(1_000).await;
            gateway.relay.leave();
            let begun = world.now();
            let mut is_flushed = false;
            while world.now() < begun + 15_000 && !(is_flushed && gateway.relay.has_left()) {
                is_flushed = true;
                for side in gateway.near().unsettled() {
                    is_flushed &= gateway.near().bring(&side, gateway.now()).await.is_ok();
                }
                world.executor.sleep(50).await;
            }
            if !is_flushed {
                world.check(|checks, _, _| checks.promises.died(gateway.id));
            }
            world.note(|| format!("n{} has left, flushed={is_flushed}", gateway.id));
            world.executor.kill(Owner::Node(gateway.id));
            server.cut(|node| node == gateway.id);
        });
    }

    /// Looks at what can be seen at any time.
    fn look(&self) {
        let now = Time::from_millis(self.around.server.time());
        let sides: BTreeMap<_, _> = self.around.server.sides().into_iter().collect();
        let lives = |key: &Key| {
            let leases = sides.get(&key.0).into_iter().flat_map(|state| &state.leases);
            leases.into_iter().any(|lease| lease.participant == key.1 && lease.expires_at() > now)
        };
        self.world.check(|checks, plan, at| {
            let found = checks.promises.look(lives, plan, at);
            checks.expect(Promises::NAME, at, found);
        });
        for (side, state) in sides {
            self.world.check(|checks, plan, at| {
                let found = checks.messages.look(&side, &state, plan, at);
                checks.expect(Messages::NAME, at, found);
            });
            if side.role == Role::User {
                continue;
            }
            for upstream in 0..UPSTREAMS {
                let lives = state.leases.iter().any(|lease| lease.expires_at() > now);
                let provider = &self.around.provider;
                let shows = provider.shows(upstream, &side)
                    || provider.is_blurred(&side)
                    || provider.is_misjudged(&side);
                let sight = Sight { upstream, side: side.clone(), lives, shows };
                self.world.check(|checks, plan, at| {
                    let found = checks.gaps.look(&sight, plan, at);
                    checks.expect(Gaps::NAME, at, found);
                });
            }
        }
    }

    /// Compares what everybody sees with what there is.
    fn compare(&self) {
        let now = Time::from_millis(self.around.server.time());
        let mut there: BTreeMap<Key, Lease> = BTreeMap::new();
        for (side, state) in self.around.server.sides() {
            // What begins or ends at this moment is seen or not.
            let is_sure = |lease: &&Lease| lease.expires_at().since(now).as_millis() > 2_000;
            for lease in state.leases.iter().filter(is_sure) {
                there.insert((side.clone(), lease.participant.clone()), lease.clone());
            }
        }
        for subscriber in &self.subscribers {
            let in_scope = |key: &Key| subscriber.scope.covers(&key.0.conversation);
            let there = there.iter().filter(|(key, _)| in_scope(key));
            let there: BTreeMap<Key, Lease> =
                there.map(|(key, lease)| (key.clone(), lease.clone())).collect();
            let mut seen = subscriber.view();
            seen.retain(|key, until| there.contains_key(key) || *until > self.world.now() + 2_500);
            self.world.check(|checks, plan, at| {
                let jumps = if plan.had(&Fault::CLOCK, 0, at) { 4 * JUMP } else { 0 };
                let found = is_same(subscriber.id, &seen, &there, STORE_BEGINS, TOLERANCE + jumps);
                checks.expect(VIEWS, at, found);
            });
        }
    }

    /// Counts what is still on when nothing may be.
    fn count(&self) {
        let stored: usize = self.around.server.sides().iter().map(|(_, state)| state.leases.len()).sum();
        let fleet = lock(&self.fleet).clone();
        let vouched: usize = fleet.iter().map(|gateway| gateway.near().tally(&TENANT.into()).leases).sum();
        let seen: usize = self.subscribers.iter().map(|subscriber| subscriber.view().len()).sum();
        let counts = [
            ("leases in the store", stored),
            ("leases that nodes vouch for", vouched),
            ("leases that followers see", seen),
            ("dots", self.around.provider.count()),
            ("groups that nobody has", self.around.registry.nobodys().len()),
        ];
        self.world.check(|checks, _, at| checks.expect(NOTHING_ON, at, is_quiet(&counts)));
    }
}

/// The names of all properties that are looked at.
#[must_use]
pub fn properties() -> [&'static str; 8] {
    use crate::checks::{Order, Told};
    [VIEWS, Order::NAME, Promises::NAME, ANNOUNCED, Messages::NAME, Told::NAME, Gaps::NAME, NOTHING_ON]
}

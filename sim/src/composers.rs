//! Those who type: they start, repeat, pause, send, and hold, each call on some node.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use typingd_core::store::StoreError;
use typingd_core::{
    Conversation, Marks, Name, Outcome, Role, Side, Signal, Source, StopReason, User, Utterance, Verdict,
};

use crate::checks::{Key, Promise};
use crate::executor::{Answer, Owner, lock};
use crate::gateway::Gateway;
use crate::plan::QUIET;
use crate::provider::Provider;
use crate::server::name_of;
use crate::world::World;

pub(crate) const TENANT: &str = "acme";

/// The longest that a signal vouches for, in milliseconds.
pub(crate) const MAX_TTL: u64 = 20_000;

/// How long a composer waits for an answer.
const PATIENCE: Duration = Duration::from_millis(900);

/// The gateways that there are just now.
pub(crate) type Fleet = Arc<Mutex<Vec<Arc<Gateway>>>>;

/// One who types.
pub(crate) struct Composer {
    world: Arc<World>,
    fleet: Fleet,
    provider: Arc<Provider>,
    key: Key,
    /// Whether its client counts its messages.
    turn: Option<u64>,
    /// Whether its signals have ids.
    has_ids: bool,
    ids: u64,
    hold: Option<Source>,
}

/// All who type in a run.
pub(crate) fn all(world: &Arc<World>, fleet: &Fleet, provider: &Arc<Provider>) -> Vec<Composer> {
    let mut composers = Vec::new();
    for (at, user) in ["+1", "+2", "+3", "+4"].into_iter().enumerate() {
        let conversation = Conversation::new(TENANT, "rcs", "support", User::new(user));
        for (role, who) in [(Role::Agent, Some("a")), (Role::Agent, Some("b")), (Role::User, None)] {
            let participant = who.map(Name::new);
            if (at, who) == (3, Some("b")) {
                continue;
            }
            composers.push(Composer {
                world: world.clone(),
                fleet: fleet.clone(),
                provider: provider.clone(),
                key: (Side { conversation: conversation.clone(), role }, participant),
                turn: (at % 2 == 0 && who != Some("b")).then_some(1),
                has_ids: at == 1,
                ids: 0,
                hold: None,
            });
        }
    }
    composers
}

/// What the speaker does.
#[derive(Clone, Copy, Debug)]
enum Act {
    Type(u64),
    Hold(u64, bool),
    Pause,
    Send,
    Release,
}

impl Composer {
    pub(crate) async fn live(mut self) {
        let world = self.world.clone();
        let mut gateway = self.pick();
        while world.now() < QUIET {
            let (wait, count, ttl, then) = world.chance(|rng| {
                let ttl = [2_000, 3_000, 5_000, 8_000, 12_000][rng.usize(..5)];
                (rng.u64(50..4_000), rng.u64(1..9), ttl, rng.u8(..10))
            });
            world.executor.sleep(wait).await;
            if world.happens(0.5) {
                gateway = self.pick();
            }
            if world.happens(0.15) && self.hold.is_none() {
                let continues = world.happens(0.4);
                let ttl = world.chance(|rng| rng.u64(5_000..MAX_TTL));
                self.act(&gateway, Act::Hold(ttl, continues)).await;
            }
            for _ in 0..count {
                if world.now() >= QUIET {
                    return;
                }
                if world.happens(0.15) {
                    gateway = self.pick();
                }
                self.act(&gateway, Act::Type(ttl)).await;
                let pause = world.chance(|rng| rng.u64(100..1_500));
                world.executor.sleep(pause).await;
            }
            match then {
                0..=2 => self.act(&gateway, Act::Send).await,
                3 => {
                    // A straggler: typing and the message cross on different nodes.
                    let other = self.pick();
                    self.act(&other, Act::Send).await;
                    self.act(&gateway, Act::Type(ttl)).await;
                }
                4..=5 => self.act(&gateway, Act::Pause).await,
                _ => {}
            }
            if self.hold.is_some() && world.happens(0.4) {
                let other = self.pick();
                self.act(&other, Act::Release).await;
            }
        }
    }

    fn pick(&self) -> Arc<Gateway> {
        let fleet = lock(&self.fleet);
        fleet[self.world.chance(|rng| rng.usize(..fleet.len()))].clone()
    }

    async fn act(&mut self, gateway: &Arc<Gateway>, act: Act) {
        let is_there = lock(&self.fleet).iter().any(|other| other.id == gateway.id);
        let gateway = if is_there { gateway.clone() } else { self.pick() };
        let world = self.world.clone();
        let spoken = world.now();
        let key = self.key.clone();
        world.note(|| format!("{} {act:?} turn={:?} on n{}", name_of(&key.0, &key.1), self.turn, gateway.id));
        let turn = self.turn;
        match act {
            Act::Type(_) | Act::Hold(..) => world.check(|checks, _, now| checks.messages.typed(&key, now)),
            Act::Send => {
                if let Some(turn) = &mut self.turn {
                    *turn += 1;
                }
                if key.0.role == Role::Agent {
                    self.provider.message(&key.0);
                }
                self.void_all_meant(spoken);
            }
            Act::Pause => self.void_all_meant(spoken),
            Act::Release => world.check(|checks, _, now| checks.promises.void(&key, now)),
        }
        let outcome = self.ask(&gateway, act, turn).await;
        let Some((ago, Ok(outcome))) = outcome else { return };
        world.note(|| {
            let left = outcome.lease.as_ref().map(|lease| lease.expires_at.since(ago));
            let alone = if outcome.is_local { " alone" } else { "" };
            format!("{} is answered {:?}{alone} {left:?}", name_of(&key.0, &key.1), outcome.verdict)
        });
        match act {
            Act::Type(_) | Act::Hold(..)
                if matches!(outcome.verdict, Verdict::Started | Verdict::Extended) =>
            {
                let Some(lease) = outcome.lease else { return };
                let left = u64::try_from(lease.expires_at.since(ago).as_millis()).unwrap_or(0);
                let is_alone = outcome.is_local && outcome.verdict == Verdict::Extended;
                let is_of_hold = matches!(act, Act::Hold(..));
                let promise = Promise { by: gateway.id, spoken, until: spoken + left, is_alone, is_of_hold };
                world.check(|checks, plan, _| checks.promises.give(&key, promise, plan));
            }
            Act::Send => {
                if matches!(outcome.verdict, Verdict::Ignored(_)) {
                    self.provider.note_unheard(&key.0, spoken);
                }
                world.check(|checks, _, _| checks.messages.sent(&key, turn, spoken));
            }
            Act::Release => self.hold = None,
            _ => {}
        }
    }

    /// Whoever types on this side with this composer may be ended by what it says.
    fn void_all_meant(&self, at: u64) {
        let (side, participant) = &self.key;
        let all = [None, Some("a"), Some("b")].map(|who| who.map(Name::new));
        for who in all {
            let is_meant = participant.is_none() || who.is_none() || who == *participant;
            if is_meant {
                self.world.check(|checks, _, _| checks.promises.void(&(side.clone(), who.clone()), at));
            }
        }
    }

    async fn ask(
        &mut self,
        gateway: &Arc<Gateway>,
        act: Act,
        turn: Option<u64>,
    ) -> Option<(typingd_core::Time, Result<Outcome, StoreError>)> {
        let world = self.world.clone();
        let payload_id = self.has_ids.then(|| {
            // Every tenth is said again, but for messages.
            self.ids += u64::from(matches!(act, Act::Send) || !world.happens(0.1));
            format!("{}-{}", self.key.1.as_deref().unwrap_or("u"), self.ids).into()
        });
        if let Act::Hold(_, continues) = act {
            self.hold = Some(Source::Hold { id: world.chance(|rng| rng.u64(..)), continues });
        }
        let (signal, source) = match act {
            Act::Type(ttl) => (Signal::Composing { ttl: Duration::from_millis(ttl) }, Source::OneShot),
            Act::Hold(ttl, _) => (Signal::Composing { ttl: Duration::from_millis(ttl) }, self.hold?),
            Act::Pause => (Signal::Paused, Source::OneShot),
            Act::Send => (Signal::Sent, Source::OneShot),
            Act::Release => (Signal::Paused, self.hold?),
        };
        let (side, participant) = self.key.clone();
        let marks = Marks { turn, payload_id };
        let (answer, gateway) = (Answer::new(), gateway.clone());
        let given = answer.clone();
        world.executor.spawn(Owner::Node(gateway.id), async move {
            let now = gateway.now();
            let outcome = if matches!(act, Act::Release) {
                gateway.engine.release(&side, participant, source, StopReason::Paused, now).await
            } else {
                let said =
                    Utterance { participant, name: None, signal, source, origin: "http".into(), marks };
                gateway.engine.say(&side, said, now).await
            };
            given.give((now, outcome));
        });
        world.executor.timeout(PATIENCE, answer.get()).await
    }
}

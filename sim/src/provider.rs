//! Two providers, as they are: dots show for a while after each call, and a message takes them away.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use typingd_core::Side;
use typingd_core::pacing::{Order, Profile, Refresh, Verb};

use crate::checks::Told;
use crate::executor::{Answer, Owner, lock};
use crate::plan::Fault;
use crate::world::{NodeId, World};

/// How long a call takes at most, in milliseconds.
pub(crate) const CALL: u64 = 300;

/// How long a message that crossed a call leaves unclear what shows: the longest display.
const BLURS: u64 = 6_000;

/// How many there are.
pub(crate) const UPSTREAMS: usize = 2;

/// The last message of a side and the last call about it, and until when it is unclear what shows.
#[derive(Default)]
struct Crossing {
    message: u64,
    call: u64,
    blurred_until: u64,
    /// Until when dots may be off that a message took away of which nobody else heard.
    unheard_until: u64,
}

pub(crate) struct Provider {
    world: Arc<World>,
    shown: Mutex<BTreeMap<(usize, Side), u64>>,
    crossings: Mutex<BTreeMap<Side, Crossing>>,
}

/// How each behaves: one can be refreshed and stopped, the other not.
pub(crate) fn profile(upstream: usize) -> Profile {
    let can = upstream == 0;
    Profile {
        display: Duration::from_secs(if can { 6 } else { 4 }),
        refresh: if can { Refresh::Resets } else { Refresh::Forbidden },
        floor: Duration::from_millis(500),
        has_stop: can,
        cleared_by_message: true,
        order: Order::ByArrival,
        freshness: Duration::from_secs(3),
    }
}

impl Provider {
    pub(crate) fn new(world: Arc<World>) -> Arc<Self> {
        Arc::new(Self { world, shown: Mutex::default(), crossings: Mutex::default() })
    }

    /// Whether there are dots.
    pub(crate) fn shows(&self, upstream: usize, side: &Side) -> bool {
        lock(&self.shown).get(&(upstream, side.clone())).is_some_and(|until| *until > self.world.now())
    }

    /// How many there are dots of.
    pub(crate) fn count(&self) -> usize {
        let now = self.world.now();
        lock(&self.shown).values().filter(|until| **until > now).count()
    }

    /// A message arrives, and takes the dots away.
    pub(crate) fn message(&self, side: &Side) {
        lock(&self.shown).retain(|(_, of), _| of != side);
        self.cross(side, |crossing, now| crossing.message = now);
    }

    /// Whether a message crossed a call of which dots may still show.
    pub(crate) fn is_blurred(&self, side: &Side) -> bool {
        lock(&self.crossings).get(side).is_some_and(|crossing| self.world.now() < crossing.blurred_until)
    }

    /// Nothing was committed of the message that was sent then: its composer had no lease.
    pub(crate) fn note_unheard(&self, side: &Side, sent: u64) {
        lock(&self.crossings).entry(side.clone()).or_default().unheard_until = sent + BLURS;
    }

    /// Whether dots may be off that whoever tells of the side takes for shown.
    pub(crate) fn is_misjudged(&self, side: &Side) -> bool {
        lock(&self.crossings).get(side).is_some_and(|crossing| self.world.now() < crossing.unheard_until)
    }

    fn cross(&self, side: &Side, note: impl FnOnce(&mut Crossing, u64)) {
        let now = self.world.now();
        let mut crossings = lock(&self.crossings);
        let crossing = crossings.entry(side.clone()).or_default();
        note(crossing, now);
        if crossing.message.abs_diff(crossing.call) < CALL {
            crossing.blurred_until = now + 2 * CALL + BLURS;
        }
    }

    /// A node calls. Whether it was accepted; nothing where there is no answer in time.
    pub(crate) async fn call(
        self: &Arc<Self>,
        node: NodeId,
        upstream: usize,
        side: &Side,
        verb: Verb,
    ) -> bool {
        let (world, answer) = (self.world.clone(), Answer::new());
        world.note(|| format!("n{node} calls {upstream} {verb:?} {}", crate::server::name_of(side, &None)));
        world.check(|checks, plan, now| {
            let found = checks.told.begins(node, upstream, side, plan, now);
            checks.expect(Told::NAME, now, found);
        });
        self.cross(side, |crossing, now| crossing.call = now);
        let (there, back) = world.chance(|rng| (rng.u64(10..140), rng.u64(10..140)));
        let is_mute = world.is_on(Fault::ProviderMute) && world.happens(0.3);
        let (provider, given, about) = (self.clone(), answer.clone(), side.clone());
        world.executor.spawn(Owner::World, async move {
            let world = provider.world.clone();
            world.executor.sleep(there).await;
            provider.take(upstream, &about, verb);
            world.executor.sleep(if is_mute { CALL - there } else { back }).await;
            world.check(|checks, _, _| checks.told.ends(node, upstream, &about));
            if !is_mute {
                given.give(());
            }
        });
        world.executor.timeout(Duration::from_millis(CALL), answer.get()).await.is_some()
    }

    fn take(&self, upstream: usize, side: &Side, verb: Verb) {
        let (now, profile) = (self.world.now(), profile(upstream));
        self.cross(side, |crossing, now| crossing.call = now);
        let is_blurred = self.is_blurred(side);
        let key = (upstream, side.clone());
        let mut shown = lock(&self.shown);
        if verb == Verb::Stop {
            shown.remove(&key);
            return;
        }
        let left = shown.get(&key).map_or(0, |until| until.saturating_sub(now));
        if left > 0 && profile.refresh == Refresh::Forbidden {
            self.world.check(|checks, plan, now| {
                if is_blurred {
                    return;
                }
                checks.expect(Told::NAME, now, Told::wasted(side, left, plan, now));
            });
            return;
        }
        shown.insert(key, now + u64::try_from(profile.display.as_millis()).unwrap_or(0));
    }
}

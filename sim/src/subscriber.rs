//! One who follows: a snapshot, then what it has not seen. Lets go of what nobody prolonged when the end has come that it
//! knows, as a client would.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use typingd_core::store::remote::Remote;
use typingd_core::{ChangeKind, Scope, Time};

use crate::checks::{ANNOUNCED, Key, Order, left_alone};
use crate::ears::Delivery;
use crate::executor::{Owner, lock};
use crate::gateway::Gateway;
use crate::server::Server;

/// How long a snapshot that may miss something stands.
const LOOSE: Duration = Duration::from_millis(300);

pub(crate) struct Subscriber {
    pub(crate) id: usize,
    pub(crate) scope: Scope,
    pub(crate) gateway: Arc<Gateway>,
    view: Mutex<BTreeMap<Key, Time>>,
}

impl Subscriber {
    pub(crate) fn start(id: usize, gateway: &Arc<Gateway>, scope: Scope, server: &Arc<Server>) -> Arc<Self> {
        let subscriber = Arc::new(Self { id, scope, gateway: gateway.clone(), view: Mutex::default() });
        let following = subscriber.clone().follow(server.clone());
        gateway.world.executor.spawn(Owner::Node(gateway.id), following);
        subscriber
    }

    /// What it sees, and until when in the world's time.
    pub(crate) fn view(&self) -> BTreeMap<Key, u64> {
        let (now, here) = (self.gateway.world.now(), self.gateway.now());
        let in_world = |until: &Time| (now + until.as_millis()).saturating_sub(here.as_millis());
        lock(&self.view).iter().map(|(key, until)| (key.clone(), in_world(until))).collect()
    }

    async fn follow(self: Arc<Self>, server: Arc<Server>) {
        let gateway = &self.gateway;
        let shards = gateway.near().shards_of(&self.scope);
        let queue = gateway.ears.queue();
        shards.clone().for_each(|shard| gateway.near().follow(shard));
        loop {
            let is_heard = gateway.hears(shards.clone());
            let listing = gateway.list(&self.scope).await;
            queue.forget_local();
            let is_firm = is_heard && listing.failed.is_none();
            let listed = listing.leases.iter();
            let listed =
                listed.map(|(side, lease)| ((side.clone(), lease.participant.clone()), lease.expires_at));
            *lock(&self.view) = listed.collect();
            let keys: Vec<Key> = lock(&self.view).keys().cloned().collect();
            gateway.world.note(|| format!("n{} s{} sees {} firm={is_firm}", gateway.id, self.id, keys.len()));
            gateway.world.check(|checks, _, _| checks.order.snapshot(self.id, keys.iter(), is_firm));
            let taken = gateway.now();
            let mut is_lost = false;
            while !is_lost && (is_firm || gateway.now() < taken + LOOSE) {
                while let Some(delivery) = queue.take() {
                    match delivery {
                        Delivery::Lost { shard } if shards.contains(&shard) => {
                            is_lost = true;
                            break;
                        }
                        Delivery::Lost { .. } => {}
                        Delivery::Commit { side, changes, position } => {
                            if !self.scope.covers(&side.conversation) || listing.as_of.includes(position) {
                                continue;
                            }
                            for change in changes {
                                let key = (side.clone(), change.lease.participant.clone());
                                self.told(key, change.kind, change.lease.expires_at);
                            }
                        }
                    }
                }
                if !is_lost {
                    self.let_go(&server);
                    let next = lock(&self.view).values().min().copied().unwrap_or(Time::MAX);
                    let loose = if is_firm { Time::MAX } else { taken + LOOSE };
                    let wait = gateway.until(next.min(loose)).max(Duration::from_millis(1));
                    let wait = wait.min(Duration::from_secs(100));
                    gateway.world.executor.timeout(wait, queue.bell.rung()).await;
                }
            }
        }
    }

    fn told(&self, key: Key, kind: ChangeKind, until: Time) {
        let name = crate::server::name_of(&key.0, &key.1);
        self.gateway.world.note(|| format!("s{} hears {name} {kind:?}", self.id));
        self.gateway.world.check(|checks, plan, now| {
            let found = checks.order.told(self.id, &key, kind, plan, now);
            checks.expect(Order::NAME, now, found);
        });
        let mut view = lock(&self.view);
        match kind {
            ChangeKind::Stopped(_) => _ = view.remove(&key),
            _ => _ = view.insert(key, until),
        }
    }

    fn let_go(&self, server: &Server) {
        let now = self.gateway.now();
        let mut view = lock(&self.view);
        let over: Vec<Key> =
            view.iter().filter(|(_, until)| **until <= now).map(|(key, _)| key.clone()).collect();
        for key in over {
            view.remove(&key);
            let state = server.side(&key.0);
            self.gateway.world.check(|checks, plan, now| {
                if !checks.is_news(&key, now) {
                    checks.expect(ANNOUNCED, now, left_alone(&key, &state, plan, now));
                }
            });
        }
    }
}

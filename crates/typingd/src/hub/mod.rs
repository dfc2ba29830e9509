//! Who is watching, and the road of a change from the store to each of them.
//!
//! The store publishes to the [`Outlet`], a bounded queue in commit order. One task takes from it, writes each change
//! once, and puts the same bytes on the queue of everybody whose scope covers it. Nobody is waited for: whose queue is
//! full is closed, and where the outlet itself overflows, everybody is told to take a new snapshot.

mod distribution;

use std::collections::HashMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};

use blake3::Hash;
use bytes::Bytes;
use tokio::sync::mpsc;
use typingd_core::store::Position;
use typingd_core::{Name, Scope};

pub use distribution::{Distribution, Outlet};

use crate::census::Census;
use crate::clock::Clock;
use crate::metrics::{Metrics, Queue};
use crate::sweeper::Alarm;
use distribution::{Item, OUTLET};

/// Knows the subscribers.
pub struct Hub {
    subscribers: Mutex<Subscribers>,
    items: mpsc::Sender<Item>,
    next_id: AtomicU64,
    limits: Limits,
    metrics: Arc<Metrics>,
}

/// How many may watch, and how far they may fall behind.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Subscribers at a time; one more is refused.
    pub subscribers: usize,
    /// Events that may wait for one of them; at one more it is closed. More than one call or one sweep can cause.
    pub backlog: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self { subscribers: 12_000, backlog: 4_096 }
    }
}

#[derive(Default)]
struct Subscribers {
    by_scope: HashMap<Scope, HashMap<u64, Subscriber>>,
    by_tenant: HashMap<Name, usize>,
    count: usize,
    closed: Option<Farewell>,
}

struct Subscriber {
    queue: mpsc::Sender<Delivery>,
    /// By which credential it came.
    key: Hash,
    farewell: Arc<OnceLock<Farewell>>,
}

/// What a subscriber is told.
#[derive(Clone, Debug)]
pub enum Delivery {
    /// A change, ready to be written. A snapshot that has seen its position has it already.
    Change {
        /// Where it stands in the order of commits.
        position: Position,
        /// The event.
        event: Bytes,
    },
    /// Changes were lost: only a new snapshot tells what is.
    Lost,
}

/// Why a subscription ends by our doing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Farewell {
    /// It did not take its events in time.
    TooSlow,
    /// More leases live in its scope than a snapshot holds.
    TooWide,
    /// The credential it came by is not good any more.
    Revoked,
    /// The gateway is going away.
    Draining,
}

impl Hub {
    /// A hub, the outlet that feeds it, and the work that joins them.
    #[must_use]
    pub fn new(
        limits: Limits,
        clock: Clock,
        alarm: Arc<Alarm>,
        census: Arc<Census>,
        metrics: Arc<Metrics>,
    ) -> (Arc<Self>, Outlet, Distribution) {
        let (items, waiting) = mpsc::channel(OUTLET);
        let hub = Arc::new(Self {
            subscribers: Mutex::default(),
            items: items.clone(),
            next_id: AtomicU64::new(0),
            limits,
            metrics: metrics.clone(),
        });
        let outlet = Outlet { items, loss: Arc::default(), alarm, census, metrics, clock };
        let distribution = Distribution::new(hub.clone(), waiting, &outlet);
        (hub, outlet, distribution)
    }

    /// Starts to queue all that happens in a scope, for somebody who came by the credential `key`; `None` where there
    /// are as many subscribers as may be, or the tenant has `quota` of them. Take the snapshot afterwards, and nothing
    /// is missed.
    #[must_use]
    pub fn subscribe(self: &Arc<Self>, scope: Scope, key: Hash, quota: usize) -> Option<Subscription> {
        let (queue, deliveries) = mpsc::channel(self.limits.backlog);
        let id = self.next_id.fetch_add(1, Ordering::Relaxed);
        let farewell = Arc::new(OnceLock::new());
        let mut subscribers = self.lock();
        let of_tenant = subscribers.by_tenant.get(&scope.tenant).copied().unwrap_or(0);
        if subscribers.count >= self.limits.subscribers || of_tenant >= quota {
            return None;
        }
        if let Some(closed) = subscribers.closed {
            farewell.get_or_init(|| closed);
        } else {
            let subscriber = Subscriber { queue, key, farewell: farewell.clone() };
            subscribers.by_scope.entry(scope.clone()).or_default().insert(id, subscriber);
            subscribers.count += 1;
            *subscribers.by_tenant.entry(scope.tenant.clone()).or_default() += 1;
            self.metrics.subscribers.inc();
        }
        drop(subscribers);
        Some(Subscription { hub: self.clone(), scope, id, deliveries, farewell })
    }

    /// Says farewell to everybody, now and from now on, after all that was committed before.
    pub async fn close(&self, farewell: Farewell) {
        // The work ends with the runtime only, so there is always somebody to take it.
        let _ = self.items.send(Item::Close(farewell)).await;
    }

    /// Closes whoever came by a credential that `is_good` does not know any more.
    pub fn close_revoked(&self, is_good: impl Fn(&Name, Hash) -> bool) {
        let mut subscribers = self.lock();
        let gone = subscribers.retain(|scope, subscriber| {
            let stays = is_good(&scope.tenant, subscriber.key);
            if !stays {
                subscriber.farewell.get_or_init(|| Farewell::Revoked);
            }
            stays
        });
        self.left(gone);
    }

    /// So many could not keep up.
    fn fell_behind(&self, count: usize) {
        (0..count).for_each(|_| self.metrics.dropped(Queue::Subscriber));
        self.left(count);
    }

    fn left(&self, count: usize) {
        self.metrics.subscribers.dec_by(i64::try_from(count).unwrap_or(i64::MAX));
    }

    fn lock(&self) -> MutexGuard<'_, Subscribers> {
        self.subscribers.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Subscribers {
    /// Puts a delivery on the queue of each who watches this scope, and says how many fell behind.
    fn deliver(&mut self, scope: &Scope, delivery: &Delivery) -> usize {
        let Some(watching) = self.by_scope.get_mut(scope) else { return 0 };
        let before = watching.len();
        watching.retain(|_, subscriber| subscriber.take(delivery));
        let gone = before - watching.len();
        self.leave(&scope.tenant, gone);
        gone
    }

    fn deliver_to_all(&mut self, delivery: &Delivery) -> usize {
        self.retain(|_, subscriber| subscriber.take(delivery))
    }

    /// Keeps whom `stays` says, and says how many went.
    fn retain(&mut self, stays: impl Fn(&Scope, &Subscriber) -> bool) -> usize {
        let mut gone = Vec::new();
        for (scope, watching) in &mut self.by_scope {
            let before = watching.len();
            watching.retain(|_, subscriber| stays(scope, subscriber));
            gone.push((scope.tenant.clone(), before - watching.len()));
        }
        gone.into_iter().map(|(tenant, count)| self.leave(&tenant, count)).sum()
    }

    /// So many of a tenant have gone.
    fn leave(&mut self, tenant: &Name, count: usize) -> usize {
        self.count -= count;
        if let Some(of_tenant) = self.by_tenant.get_mut(tenant) {
            *of_tenant -= count;
            if *of_tenant == 0 {
                self.by_tenant.remove(tenant);
            }
        }
        count
    }

    fn close(&mut self, farewell: Farewell) -> usize {
        self.closed = Some(farewell);
        self.retain(|_, subscriber| {
            subscriber.farewell.get_or_init(|| farewell);
            false
        })
    }
}

impl Subscriber {
    /// Whether it is still to be served.
    fn take(&self, delivery: &Delivery) -> bool {
        // Whoever has gone has left the hub before, so that the queue can only be full.
        let has_room = self.queue.try_send(delivery.clone()).is_ok();
        if !has_room {
            self.farewell.get_or_init(|| Farewell::TooSlow);
        }
        has_room
    }
}

/// A place in the hub; dropping it gives it up.
pub struct Subscription {
    hub: Arc<Hub>,
    scope: Scope,
    id: u64,
    deliveries: mpsc::Receiver<Delivery>,
    farewell: Arc<OnceLock<Farewell>>,
}

impl Subscription {
    /// What is watched.
    #[must_use]
    pub fn scope(&self) -> &Scope {
        &self.scope
    }

    /// Waits for news and takes up to `limit` of them; none means that the subscription has ended.
    pub async fn take(&mut self, limit: usize) -> Vec<Delivery> {
        let mut taken = Vec::new();
        self.deliveries.recv_many(&mut taken, limit).await;
        taken
    }

    /// Why it ended.
    #[must_use]
    pub fn farewell(&self) -> Option<Farewell> {
        self.farewell.get().copied()
    }
}

impl Drop for Subscription {
    fn drop(&mut self) {
        let mut subscribers = self.hub.lock();
        let Some(watching) = subscribers.by_scope.get_mut(&self.scope) else { return };
        let was_there = watching.remove(&self.id).is_some();
        if watching.is_empty() {
            subscribers.by_scope.remove(&self.scope);
        }
        let gone = subscribers.leave(&self.scope.tenant, usize::from(was_there));
        self.hub.left(gone);
    }
}

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
use tokio::sync::mpsc;
use typingd_core::store::Position;
use typingd_core::{Name, Scope};

pub use distribution::{Distribution, Outlet};

use crate::census::Census;
use crate::clock::Clock;
use crate::history::History;
use crate::metrics::{Metrics, Queue};
use crate::subscribe::event::Told;
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

/// Those who watch, and what each of them watches.
#[derive(Default)]
struct Subscribers {
    members: HashMap<u64, Member>,
    by_scope: HashMap<Scope, HashMap<(u64, Tag), mpsc::Sender<Delivery>>>,
    by_tenant: HashMap<Name, usize>,
    closed: Option<Farewell>,
}

struct Member {
    tenant: Name,
    queue: mpsc::Sender<Delivery>,
    /// By which credential it came.
    key: Hash,
    watching: Vec<(Tag, Scope)>,
    farewell: Arc<OnceLock<Farewell>>,
}

/// Tells one subscriber's scopes apart.
pub type Tag = u32;

/// What a subscriber is told.
#[derive(Clone, Debug)]
pub enum Delivery {
    /// A change. A snapshot that has seen its position has it already.
    Change {
        /// Which of the subscriber's scopes covers it.
        tag: Tag,
        /// Where it stands in the order of commits.
        position: Position,
        /// What to write.
        told: Told,
    },
    /// Changes were lost: only new snapshots tell what is.
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

impl Farewell {
    /// As the native API spells it.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::TooSlow => "too_slow",
            Self::TooWide => "too_wide",
            Self::Revoked => "revoked",
            Self::Draining => "draining",
        }
    }
}

impl Hub {
    /// A hub, the outlet that feeds it, and the work that joins them.
    #[must_use]
    pub fn new(
        limits: Limits,
        clock: Clock,
        alarm: Arc<Alarm>,
        census: Arc<Census>,
        history: Arc<History>,
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
        let outlet = Outlet { items, loss: Arc::default(), alarm, census, history, metrics, clock };
        let distribution = Distribution::new(hub.clone(), waiting, &outlet);
        (hub, outlet, distribution)
    }

    /// A place for somebody of a tenant who came by the credential `key`; `None` where there are as many subscribers as
    /// may be, or the tenant has `quota` of them.
    #[must_use]
    pub fn subscribe(self: &Arc<Self>, tenant: Name, key: Hash, quota: usize) -> Option<Subscription> {
        let (queue, deliveries) = mpsc::channel(self.limits.backlog);
        let id = self.next_id.fetch_add(1, Ordering::Relaxed);
        let farewell = Arc::new(OnceLock::new());
        let mut subscribers = self.lock();
        let of_tenant = subscribers.by_tenant.get(&tenant).copied().unwrap_or(0);
        if subscribers.members.len() >= self.limits.subscribers || of_tenant >= quota {
            return None;
        }
        if let Some(closed) = subscribers.closed {
            farewell.get_or_init(|| closed);
        } else {
            *subscribers.by_tenant.entry(tenant.clone()).or_default() += 1;
            let member = Member { tenant, queue, key, watching: Vec::new(), farewell: farewell.clone() };
            subscribers.members.insert(id, member);
            self.metrics.subscribers.inc();
        }
        drop(subscribers);
        Some(Subscription { hub: self.clone(), id, next_tag: 0, deliveries, farewell })
    }

    /// Says farewell to everybody, now and from now on, after all that was committed before.
    pub async fn close(&self, farewell: Farewell) {
        // The work ends with the runtime only, so there is always somebody to take it.
        let _ = self.items.send(Item::Close(farewell)).await;
    }

    /// Closes whoever came by a credential that `is_good` does not know any more.
    pub fn close_revoked(&self, is_good: impl Fn(&Name, Hash) -> bool) {
        let gone = self.lock().dismiss(Farewell::Revoked, |member| is_good(&member.tenant, member.key));
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
    fn is_empty(&self) -> bool {
        self.members.is_empty()
    }

    /// Puts a change on the queue of each who watches this scope, and says how many fell behind.
    fn deliver(&mut self, scope: &Scope, position: Position, told: &Told) -> usize {
        let Some(watching) = self.by_scope.get(scope) else { return 0 };
        let is_full = |((id, tag), queue): (&(u64, Tag), &mpsc::Sender<Delivery>)| {
            // Whoever has gone has left the hub before, so that the queue can only be full.
            let delivery = Delivery::Change { tag: *tag, position, told: told.clone() };
            queue.try_send(delivery).is_err().then_some(*id)
        };
        let slow: Vec<u64> = watching.iter().filter_map(is_full).collect();
        self.let_fall(&slow)
    }

    /// Tells everybody that changes were lost, and says how many fell behind.
    fn deliver_loss(&mut self) -> usize {
        let is_full =
            |(id, member): (&u64, &Member)| member.queue.try_send(Delivery::Lost).is_err().then_some(*id);
        let slow: Vec<u64> = self.members.iter().filter_map(is_full).collect();
        self.let_fall(&slow)
    }

    fn let_fall(&mut self, slow: &[u64]) -> usize {
        slow.iter().filter_map(|id| self.remove(*id)).map(|member| member.bid(Farewell::TooSlow)).count()
    }

    /// Says farewell to all but those who `stay`, and says how many went.
    fn dismiss(&mut self, farewell: Farewell, stays: impl Fn(&Member) -> bool) -> usize {
        let gone: Vec<u64> =
            self.members.iter().filter(|(_, member)| !stays(member)).map(|(id, _)| *id).collect();
        gone.iter().filter_map(|id| self.remove(*id)).map(|member| member.bid(farewell)).count()
    }

    fn close(&mut self, farewell: Farewell) -> usize {
        self.closed = Some(farewell);
        self.dismiss(farewell, |_| false)
    }

    fn remove(&mut self, id: u64) -> Option<Member> {
        let member = self.members.remove(&id)?;
        for (tag, scope) in &member.watching {
            self.unwatch(scope, id, *tag);
        }
        if let Some(of_tenant) = self.by_tenant.get_mut(&member.tenant) {
            *of_tenant -= 1;
            if *of_tenant == 0 {
                self.by_tenant.remove(&member.tenant);
            }
        }
        Some(member)
    }

    fn unwatch(&mut self, scope: &Scope, id: u64, tag: Tag) {
        let Some(watching) = self.by_scope.get_mut(scope) else { return };
        watching.remove(&(id, tag));
        if watching.is_empty() {
            self.by_scope.remove(scope);
        }
    }
}

impl Member {
    fn bid(self, farewell: Farewell) {
        self.farewell.get_or_init(|| farewell);
    }
}

/// A place in the hub; dropping it gives it up.
pub struct Subscription {
    hub: Arc<Hub>,
    id: u64,
    next_tag: Tag,
    deliveries: mpsc::Receiver<Delivery>,
    farewell: Arc<OnceLock<Farewell>>,
}

impl Subscription {
    /// Starts to queue all that happens in a scope. Take the snapshot afterwards, and nothing is missed.
    pub fn watch(&mut self, scope: Scope) -> Tag {
        let tag = self.next_tag;
        self.next_tag += 1;
        let mut subscribers = self.hub.lock();
        // Who has been dismissed is not told anything any more.
        if let Some(member) = subscribers.members.get_mut(&self.id) {
            member.watching.push((tag, scope.clone()));
            let queue = member.queue.clone();
            subscribers.by_scope.entry(scope).or_default().insert((self.id, tag), queue);
        }
        tag
    }

    /// Stops to queue what happens in a scope. What is queued already stays.
    pub fn unwatch(&mut self, tag: Tag) {
        let mut subscribers = self.hub.lock();
        let Some(member) = subscribers.members.get_mut(&self.id) else { return };
        let Some(at) = member.watching.iter().position(|(watched, _)| *watched == tag) else { return };
        let (_, scope) = member.watching.swap_remove(at);
        subscribers.unwatch(&scope, self.id, tag);
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
        let was_there = self.hub.lock().remove(self.id).is_some();
        self.hub.left(usize::from(was_there));
    }
}

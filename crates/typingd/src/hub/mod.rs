//! Who is watching, and the road of a change from the store to each of them.
//!
//! The store publishes to the [`Outlet`], a bounded queue in commit order. One task takes from it, writes each change
//! once, and puts the same bytes on the queue of everybody whose scope covers it. Nobody is waited for: whose queue is
//! full is closed, and where the outlet itself overflows, everybody is told to take a new snapshot.

mod distribution;

use std::collections::{BTreeSet, HashMap};
use std::future::pending;
use std::ops::Range;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::{SetOnce, mpsc};
use typingd_core::store::Position;
use typingd_core::{Conversation, Name, Scope};

pub use distribution::{Distribution, Outlet};

use crate::clock::Clock;
use crate::directory::Login;
use crate::metrics::{self, Metrics};
use crate::subscribe::event::Told;
use distribution::{Item, OUTLET, scopes_over};

/// Knows the subscribers.
pub struct Hub {
    subscribers: Mutex<Subscribers>,
    items: mpsc::Sender<Item>,
    next_id: AtomicU64,
    /// How many commits came by that were decided beside the store.
    beside: Arc<AtomicU64>,
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
    by_scope: HashMap<Scope, HashMap<u64, Arc<Queue>>>,
    by_tenant: HashMap<Name, usize>,
    /// How many changes were told.
    told: u64,
    closed: Option<Farewell>,
}

struct Member {
    /// What it came by.
    login: Login,
    queue: Arc<Queue>,
    /// Its scopes, with the shards where their leases may be; one that it watches twice is here twice.
    watching: Vec<(Scope, Range<usize>)>,
    /// Whether its last snapshot has only what is known here.
    is_owed: Arc<AtomicBool>,
    dismissal: Dismissal,
}

/// Where a subscriber's deliveries wait.
struct Queue {
    deliveries: mpsc::Sender<Delivery>,
    /// The last change that was put here, by its number, so that each is once, whichever scopes cover it.
    last_told: AtomicU64,
}

/// What a subscriber is told.
#[derive(Clone, Debug)]
pub enum Delivery {
    /// A change.
    Change(Arc<News>),
    /// Changes were lost: only new snapshots tell what is.
    Lost,
    /// Changes that others make are not heard of for now.
    Degraded,
}

/// A change as it is delivered.
#[derive(Debug)]
pub struct News {
    /// Where it happened.
    pub conversation: Conversation,
    /// Where it stands in the order of commits: a snapshot that has seen its position has it already.
    pub position: Position,
    /// Its number among those that were decided beside the store, where it is one: in that order it has no other place.
    pub beside: Option<u64>,
    /// What to write.
    pub told: Told,
}

/// Why a subscription ends by our doing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Farewell {
    /// It did not take its events in time.
    TooSlow,
    /// More leases live in its scope than a snapshot holds.
    TooWide,
    /// The credential it came by is not good any more, or the console's session is over.
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

    /// Whether what is queued is not told any more.
    const fn is_at_once(self) -> bool {
        match self {
            Self::TooSlow | Self::TooWide | Self::Revoked => true,
            Self::Draining => false,
        }
    }
}

/// Whether somebody was told farewell.
#[derive(Clone, Debug, Default)]
pub struct Dismissal(Arc<SetOnce<Farewell>>);

impl Dismissal {
    fn dismiss(&self, farewell: Farewell) {
        // The first one counts.
        let _ = self.0.set(farewell);
    }

    /// Why the subscription has ended, if it has.
    #[must_use]
    pub fn farewell(&self) -> Option<Farewell> {
        self.0.get().copied()
    }

    /// Waits for a farewell behind which nothing is told any more, also of what is queued.
    pub async fn at_once(&self) -> Farewell {
        let farewell = self.whenever().await;
        if farewell.is_at_once() { farewell } else { pending().await }
    }

    async fn whenever(&self) -> Farewell {
        *self.0.wait().await
    }
}

impl Hub {
    /// A hub, the outlet that feeds it, and the work that joins them.
    #[must_use]
    pub fn new(limits: Limits, clock: Clock, metrics: Arc<Metrics>) -> (Arc<Self>, Outlet, Distribution) {
        let (items, waiting) = mpsc::channel(OUTLET);
        let beside = Arc::<AtomicU64>::default();
        let hub = Arc::new(Self {
            subscribers: Mutex::default(),
            items: items.clone(),
            next_id: AtomicU64::new(0),
            beside: beside.clone(),
            limits,
            metrics: metrics.clone(),
        });
        let outlet = Outlet { items, beside, loss: Arc::default(), metrics };
        let distribution = Distribution::new(hub.clone(), waiting, &outlet, clock);
        (hub, outlet, distribution)
    }

    /// A place for whoever came by `login`; `None` where there are as many subscribers as may be, or the tenant has
    /// `quota` of them.
    #[must_use]
    pub fn subscribe(self: &Arc<Self>, login: Login, quota: usize) -> Option<Subscription> {
        let (sender, deliveries) = mpsc::channel(self.limits.backlog);
        let id = self.next_id.fetch_add(1, Ordering::Relaxed);
        let (dismissal, is_owed) = (Dismissal::default(), Arc::<AtomicBool>::default());
        let mut subscribers = self.lock();
        let of_tenant = subscribers.by_tenant.get(&login.tenant).copied().unwrap_or(0);
        if subscribers.members.len() >= self.limits.subscribers || of_tenant >= quota {
            return None;
        }
        if let Some(closed) = subscribers.closed {
            dismissal.dismiss(closed);
        } else {
            *subscribers.by_tenant.entry(login.tenant.clone()).or_default() += 1;
            let queue = Arc::new(Queue { deliveries: sender, last_told: AtomicU64::new(0) });
            let (is_owed, dismissal) = (is_owed.clone(), dismissal.clone());
            let member = Member { login, queue, watching: Vec::new(), is_owed, dismissal };
            subscribers.members.insert(id, member);
            self.metrics.subscribers.inc();
        }
        drop(subscribers);
        Some(Subscription { hub: self.clone(), id, deliveries, is_owed, dismissal })
    }

    /// Says farewell to everybody, now and from now on, after all that was committed before.
    pub async fn close(&self, farewell: Farewell) {
        // The work ends with the runtime only, so there is always somebody to take it.
        let _ = self.items.send(Item::Close(farewell)).await;
    }

    /// Tells everybody, behind all that was committed before, that what others do is not heard of for now. What is heard
    /// again begins with new snapshots.
    pub async fn tell_degraded(&self) {
        let _ = self.items.send(Item::Degraded).await;
    }

    /// What others do is heard of again: everybody takes a new snapshot.
    pub fn tell_recovered(&self) {
        let gone = self.lock().deliver_loss(|_| true);
        self.fell_behind(gone);
    }

    /// The store answers: whoever had a snapshot of what is known here alone takes another one.
    pub fn pay_debts(&self) {
        let gone = self.lock().deliver_loss(|member| member.is_owed.swap(false, Ordering::Relaxed));
        self.fell_behind(gone);
    }

    /// How many commits came by that were decided beside the store: who lists what lives knows all of them.
    #[must_use]
    pub fn beside(&self) -> u64 {
        self.beside.load(Ordering::SeqCst)
    }

    /// Closes whoever came by a login that is not good any more.
    pub fn close_revoked(&self, is_good: impl Fn(&Login) -> bool) {
        let gone = self.lock().dismiss(Farewell::Revoked, |member| is_good(&member.login));
        self.left(gone);
    }

    /// So many could not keep up.
    fn fell_behind(&self, count: usize) {
        (0..count).for_each(|_| self.metrics.dropped(metrics::Queue::Subscriber));
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

    /// Puts a change on the queue of each who watches it, once, and says how many fell behind.
    fn deliver(&mut self, news: &Arc<News>) -> usize {
        self.told += 1;
        let mut slow = Vec::new();
        for scope in scopes_over(&news.conversation) {
            let watching = self.by_scope.get(&scope).into_iter().flatten();
            slow.extend(watching.filter_map(|(id, queue)| {
                let is_told = queue.last_told.swap(self.told, Ordering::Relaxed) == self.told;
                // Whoever has gone has left the hub before, so that the queue can only be full.
                (!is_told && !queue.takes(Delivery::Change(news.clone()))).then_some(*id)
            }));
        }
        self.let_fall(&slow)
    }

    /// Tells those concerned that changes were lost, and says how many fell behind.
    fn deliver_loss(&mut self, is_concerned: impl Fn(&Member) -> bool) -> usize {
        self.deliver_to(is_concerned, &Delivery::Lost)
    }

    /// Tells everybody that others are not heard, and says how many fell behind.
    fn deliver_degraded(&mut self) -> usize {
        self.deliver_to(|_| true, &Delivery::Degraded)
    }

    fn deliver_to(&mut self, is_concerned: impl Fn(&Member) -> bool, delivery: &Delivery) -> usize {
        let concerned = self.members.iter().filter(|(_, member)| is_concerned(member));
        let is_full = |(id, member): (&u64, &Member)| (!member.queue.takes(delivery.clone())).then_some(*id);
        let slow: Vec<u64> = concerned.filter_map(is_full).collect();
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
        for (scope, _) in &member.watching {
            self.unwatch(scope, id);
        }
        if let Some(of_tenant) = self.by_tenant.get_mut(&member.login.tenant) {
            *of_tenant -= 1;
            if *of_tenant == 0 {
                self.by_tenant.remove(&member.login.tenant);
            }
        }
        Some(member)
    }

    fn unwatch(&mut self, scope: &Scope, id: u64) {
        let Some(watching) = self.by_scope.get_mut(scope) else { return };
        watching.remove(&id);
        if watching.is_empty() {
            self.by_scope.remove(scope);
        }
    }
}

impl Queue {
    /// Whether there was room.
    fn takes(&self, delivery: Delivery) -> bool {
        self.deliveries.try_send(delivery).is_ok()
    }
}

impl Member {
    fn watches_any(&self, lost: &BTreeSet<usize>) -> bool {
        self.watching.iter().any(|(_, shards)| lost.range(shards.clone()).next().is_some())
    }

    fn bid(self, farewell: Farewell) {
        self.dismissal.dismiss(farewell);
    }
}

/// A place in the hub; dropping it gives it up.
pub struct Subscription {
    hub: Arc<Hub>,
    id: u64,
    deliveries: mpsc::Receiver<Delivery>,
    is_owed: Arc<AtomicBool>,
    dismissal: Dismissal,
}

impl Subscription {
    /// Starts to queue all that happens in a scope, whose leases may be in these shards. Take the snapshot afterwards, and
    /// nothing is missed. What several scopes cover is queued once.
    pub fn watch(&mut self, scope: Scope, shards: Range<usize>) {
        let mut subscribers = self.hub.lock();
        // Who has been dismissed is not told anything any more.
        if let Some(member) = subscribers.members.get_mut(&self.id) {
            member.watching.push((scope.clone(), shards));
            let queue = member.queue.clone();
            subscribers.by_scope.entry(scope).or_default().insert(self.id, queue);
        }
    }

    /// Stops to queue what happens in a scope, unless it is watched once more. What is queued already stays.
    pub fn unwatch(&mut self, scope: &Scope) {
        let mut subscribers = self.hub.lock();
        let Some(member) = subscribers.members.get_mut(&self.id) else { return };
        let Some(at) = member.watching.iter().position(|(watched, _)| watched == scope) else { return };
        member.watching.swap_remove(at);
        if !member.watching.iter().any(|(watched, _)| watched == scope) {
            subscribers.unwatch(scope, self.id);
        }
    }

    /// Waits for news and takes up to `limit` of them.
    ///
    /// # Errors
    /// A farewell where the subscription has ended. What was queued before the gateway goes away comes first.
    pub async fn take(&mut self, limit: usize) -> Result<Vec<Delivery>, Farewell> {
        let mut taken = Vec::new();
        tokio::select! {
            biased;
            farewell = self.dismissal.at_once() => return Err(farewell),
            _ = self.deliveries.recv_many(&mut taken, limit) => {}
        }
        // Only who is dismissed loses its queue.
        if taken.is_empty() { Err(self.dismissal.whenever().await) } else { Ok(taken) }
    }

    /// To be set where a snapshot had only what is known here.
    #[must_use]
    pub fn is_owed(&self) -> &Arc<AtomicBool> {
        &self.is_owed
    }

    /// Whether it has ended.
    #[must_use]
    pub fn dismissal(&self) -> &Dismissal {
        &self.dismissal
    }
}

impl Drop for Subscription {
    fn drop(&mut self) {
        let was_there = self.hub.lock().remove(self.id).is_some();
        self.hub.left(usize::from(was_there));
    }
}

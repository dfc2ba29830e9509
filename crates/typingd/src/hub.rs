//! Who is watching, and the road of a change from the store to each of them.
//!
//! The store publishes to the [`Outlet`], a bounded queue in commit order. One task takes from it, writes each change
//! once, and puts the same bytes on the queue of everybody whose scope covers it. Nobody is waited for: whose queue is
//! full is closed, and where the outlet itself overflows, everybody is told to take a new snapshot.

use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};

use bytes::Bytes;
use tokio::sync::{Notify, mpsc};
use tracing::warn;
use typingd_core::store::{Commit, Feed, Position};
use typingd_core::{Conversation, Scope};

use crate::clock::Clock;
use crate::subscribe::event::Events;
use crate::sweeper::Alarm;

/// How many commits may wait for the hub; the next one is lost, and everybody takes a new snapshot.
const OUTLET: usize = 65_536;

/// The store's feed: what it commits goes to the hub, and each side's next deadline to the sweeper.
pub struct Outlet {
    items: mpsc::Sender<Item>,
    loss: Arc<Loss>,
    alarm: Arc<Alarm>,
}

/// That commits found no room in the outlet.
#[derive(Default)]
struct Loss {
    has_happened: AtomicBool,
    rings: Notify,
}

enum Item {
    Commit(Commit),
    Close(Farewell),
}

impl Feed for Outlet {
    fn publish(&self, commit: Commit) {
        if let Some(deadline) = commit.deadline {
            self.alarm.set(deadline);
        }
        if !commit.changes.is_empty() && self.items.try_send(Item::Commit(commit)).is_err() {
            self.loss.has_happened.store(true, Ordering::Release);
            self.loss.rings.notify_one();
        }
    }
}

/// Knows the subscribers.
pub struct Hub {
    subscribers: Mutex<Subscribers>,
    items: mpsc::Sender<Item>,
    next_id: AtomicU64,
    limits: Limits,
}

/// How many may watch, and how far they may fall behind.
#[derive(Clone, Copy, Debug)]
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
    count: usize,
    closed: Option<Farewell>,
}

struct Subscriber {
    queue: mpsc::Sender<Delivery>,
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
    /// The gateway is going away.
    Draining,
}

/// The hub's own work, to be run as a task.
pub struct Distribution {
    hub: Arc<Hub>,
    items: mpsc::Receiver<Item>,
    loss: Arc<Loss>,
    events: Events,
}

impl Hub {
    /// A hub, the outlet that feeds it, and the work that joins them.
    #[must_use]
    pub fn new(limits: Limits, clock: Clock, alarm: Arc<Alarm>) -> (Arc<Self>, Outlet, Distribution) {
        let (sender, items) = mpsc::channel(OUTLET);
        let loss = Arc::new(Loss::default());
        let hub = Arc::new(Self {
            subscribers: Mutex::default(),
            items: sender.clone(),
            next_id: AtomicU64::new(0),
            limits,
        });
        let outlet = Outlet { items: sender, loss: loss.clone(), alarm };
        let distribution = Distribution { hub: hub.clone(), items, loss, events: Events::new(clock) };
        (hub, outlet, distribution)
    }

    /// Starts to queue all that happens in a scope; `None` where there are as many subscribers as may be. Take the
    /// snapshot afterwards, and nothing is missed.
    #[must_use]
    pub fn subscribe(self: &Arc<Self>, scope: Scope) -> Option<Subscription> {
        let (queue, deliveries) = mpsc::channel(self.limits.backlog);
        let id = self.next_id.fetch_add(1, Ordering::Relaxed);
        let farewell = Arc::new(OnceLock::new());
        let mut subscribers = self.lock();
        if subscribers.count >= self.limits.subscribers {
            return None;
        }
        if let Some(closed) = subscribers.closed {
            farewell.get_or_init(|| closed);
        } else {
            let subscriber = Subscriber { queue, farewell: farewell.clone() };
            subscribers.by_scope.entry(scope.clone()).or_default().insert(id, subscriber);
            subscribers.count += 1;
        }
        drop(subscribers);
        Some(Subscription { hub: self.clone(), scope, id, deliveries, farewell })
    }

    /// Says farewell to everybody, now and from now on, after all that was committed before.
    pub async fn close(&self, farewell: Farewell) {
        // The work ends with the runtime only, so there is always somebody to take it.
        let _ = self.items.send(Item::Close(farewell)).await;
    }

    fn lock(&self) -> MutexGuard<'_, Subscribers> {
        self.subscribers.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Subscribers {
    fn deliver(&mut self, scope: &Scope, delivery: &Delivery) {
        let Some(watching) = self.by_scope.get_mut(scope) else { return };
        let before = watching.len();
        watching.retain(|_, subscriber| subscriber.take(delivery));
        self.count -= before - watching.len();
    }

    fn deliver_to_all(&mut self, delivery: &Delivery) {
        let scopes: Vec<Scope> = self.by_scope.keys().cloned().collect();
        scopes.iter().for_each(|scope| self.deliver(scope, delivery));
    }

    fn close(&mut self, farewell: Farewell) {
        self.closed = Some(farewell);
        self.count = 0;
        for subscriber in self.by_scope.drain().flat_map(|(_, watching)| watching.into_values()) {
            subscriber.farewell.get_or_init(|| farewell);
        }
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

impl Distribution {
    /// Passes on what is committed, for as long as there is an outlet.
    pub async fn run(mut self) {
        loop {
            let item = tokio::select! {
                item = self.items.recv() => item,
                () = self.loss.rings.notified() => {
                    self.make_up_for_loss();
                    continue;
                }
            };
            match item {
                Some(Item::Commit(commit)) => self.distribute(&commit),
                Some(Item::Close(farewell)) => self.hub.lock().close(farewell),
                None => return,
            }
        }
    }

    /// Everybody takes a new snapshot, in which all that waits here is, too.
    fn make_up_for_loss(&mut self) {
        if !self.loss.has_happened.swap(false, Ordering::Acquire) {
            return;
        }
        warn!("changes were lost on the way to the subscribers: all take a new snapshot");
        let mut closing = None;
        while let Ok(item) = self.items.try_recv() {
            if let Item::Close(farewell) = item {
                closing = Some(farewell);
            }
        }
        let mut subscribers = self.hub.lock();
        subscribers.deliver_to_all(&Delivery::Lost);
        if let Some(farewell) = closing {
            subscribers.close(farewell);
        }
    }

    fn distribute(&mut self, commit: &Commit) {
        let mut subscribers = self.hub.lock();
        if subscribers.count == 0 {
            return;
        }
        for change in &commit.changes {
            let event = self.events.change(&commit.side, change);
            let delivery = Delivery::Change { position: commit.position, event };
            for scope in scopes_over(&commit.side.conversation) {
                subscribers.deliver(&scope, &delivery);
            }
        }
    }
}

/// Every scope that covers the conversation.
fn scopes_over(conversation: &Conversation) -> impl Iterator<Item = Scope> {
    (0..8).map(|given| Scope {
        tenant: conversation.tenant().clone(),
        channel: (given & 1 != 0).then(|| conversation.channel().clone()),
        agent: (given & 2 != 0).then(|| conversation.agent().clone()),
        user: (given & 4 != 0).then(|| conversation.user().clone()),
    })
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
        subscribers.count -= usize::from(was_there);
    }
}

//! Who is watching, and the road of a change from the store to each of them.
//!
//! The store publishes to the [`Outlet`], a bounded queue in commit order. One task takes from it, writes each change
//! once, and sends the same bytes to everybody whose scope covers it, to the socket itself where that takes them. Nobody
//! is waited for: who takes nothing has an outbox, and is closed where that is full; and where the outlet itself
//! overflows, everybody is told to take a new snapshot.

mod distribution;
mod outbox;
mod roster;
mod subscriber;
mod subscription;

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::mpsc;
use typingd_core::store::Position;
use typingd_core::{Conversation, Scope};

pub use distribution::{Distribution, Outlet};
pub use subscriber::Call;
pub use subscription::{Membership, Subscription};

use crate::clock::Clock;
use crate::directory::Login;
use crate::metrics::{self, Metrics};
use crate::subscribe::event::Told;
use distribution::{Item, OUTLET};
use roster::Roster;
use subscriber::{Delivery, Receipt, Subscriber};

/// Knows the subscribers.
pub struct Hub {
    roster: Mutex<Roster>,
    items: mpsc::Sender<Item>,
    next_id: AtomicU64,
    /// How many commits came by that were decided beside the store.
    beside: Arc<AtomicU64>,
    /// How many commits came into the outlet, and how many of those everybody was told.
    published: Arc<AtomicU64>,
    passed: AtomicU64,
    limits: Limits,
    clock: Clock,
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

impl Hub {
    /// A hub, the outlet that feeds it, and the work that joins them.
    #[must_use]
    pub fn new(limits: Limits, clock: Clock, metrics: Arc<Metrics>) -> (Arc<Self>, Outlet, Distribution) {
        let (items, waiting) = mpsc::channel(OUTLET);
        let (beside, published) = (Arc::<AtomicU64>::default(), Arc::<AtomicU64>::default());
        let hub = Arc::new(Self {
            roster: Mutex::default(),
            items: items.clone(),
            next_id: AtomicU64::new(0),
            beside: beside.clone(),
            published: published.clone(),
            passed: AtomicU64::new(0),
            limits,
            clock,
            metrics: metrics.clone(),
        });
        let outlet = Outlet { items, beside, published, loss: Arc::default(), metrics };
        let distribution = Distribution::new(hub.clone(), waiting, &outlet, clock);
        (hub, outlet, distribution)
    }

    /// A place for whoever came by `login`; `None` where there are as many subscribers as may be, or the tenant has
    /// `quota` of them.
    #[must_use]
    pub fn subscribe(self: &Arc<Self>, login: Arc<Login>, quota: usize) -> Option<Subscription> {
        let id = self.next_id.fetch_add(1, Ordering::Relaxed);
        let mut roster = self.lock();
        if roster.len() >= self.limits.subscribers || roster.of_tenant(&login.tenant) >= quota {
            return None;
        }
        let subscriber = Arc::new(Subscriber::new(id, login));
        if let Some(closed) = roster.closed {
            subscriber.dismiss(closed);
        } else {
            roster.add(subscriber.clone());
            self.metrics.subscribers.inc();
        }
        drop(roster);
        Some(Subscription::new(self.clone(), subscriber))
    }

    /// A scope, which all who watch it have together.
    #[must_use]
    pub fn shared(&self, scope: Scope) -> Arc<Scope> {
        self.lock().shared(scope)
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
        self.tell_some(&Delivery::Lost, |_| true);
    }

    /// The store answers: whoever had a snapshot of what is known here alone takes another one.
    pub fn pay_debts(&self) {
        self.tell_some(&Delivery::Lost, Subscriber::take_debt);
    }

    /// How many commits came by that were decided beside the store: who lists what lives knows all of them.
    #[must_use]
    pub fn beside(&self) -> u64 {
        self.beside.load(Ordering::SeqCst)
    }

    /// Closes whoever came by a login that is not good any more.
    pub fn close_revoked(&self, is_good: impl Fn(&Login) -> bool) {
        self.dismiss(Farewell::Revoked, |subscriber| !is_good(&subscriber.login));
    }

    /// Tells those concerned something that is no change.
    fn tell_some(&self, delivery: &Delivery, is_concerned: impl Fn(&Subscriber) -> bool) {
        let (now, all) = (self.clock.now(), self.lock().all());
        for subscriber in all.iter().filter(|subscriber| is_concerned(subscriber)) {
            if subscriber.tell(delivery, None, now, self.limits.backlog, false) == Receipt::TooMuch {
                self.let_fall(subscriber);
            }
        }
    }

    /// Says farewell to some.
    fn dismiss(&self, farewell: Farewell, is_concerned: impl Fn(&Subscriber) -> bool) {
        let all = self.lock().all();
        for subscriber in all.iter().filter(|subscriber| is_concerned(subscriber)) {
            if self.forget(subscriber) {
                subscriber.dismiss(farewell);
            }
        }
    }

    /// Says farewell to everybody, now and from now on.
    fn end(&self, farewell: Farewell) {
        self.lock().closed = Some(farewell);
        self.dismiss(farewell, |_| true);
    }

    /// It could not keep up.
    fn let_fall(&self, subscriber: &Subscriber) {
        if self.forget(subscriber) {
            subscriber.dismiss(Farewell::TooSlow);
            self.metrics.dropped(metrics::Queue::Subscriber);
        }
    }

    /// It is not told anything any more. Whether it was.
    fn forget(&self, subscriber: &Subscriber) -> bool {
        let was_there = self.lock().remove(subscriber);
        if was_there {
            self.metrics.subscribers.dec();
        }
        was_there
    }

    fn lock(&self) -> MutexGuard<'_, Roster> {
        self.roster.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

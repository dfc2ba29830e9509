//! The road of a change from the store to the queues of those who watch.

use std::collections::BTreeSet;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::{Notify, mpsc};
use tokio::task::yield_now;
use tokio::time::sleep_until;
use tracing::warn;
use typingd_core::store::Commit;

use super::subscriber::{Delivery, Receipt, Subscriber};
use super::{Farewell, Hub, News};
use crate::clock::Clock;
use crate::metrics::{Metrics, Queue};
use crate::subscribe::event::Events;

/// How many commits may wait for the hub; the next one is lost, and everybody takes a new snapshot.
pub(super) const OUTLET: usize = 65_536;

/// How many commits go out together, where as many wait.
const AT_ONCE: usize = 64;

/// How many subscribers are told something before others have their turn.
const TURN: usize = 64;

/// How long lost shards are gathered, so that nobody takes a snapshot for each of them.
const GATHERING: Duration = Duration::from_millis(100);

/// The way from the store to the hub.
#[derive(Clone)]
pub struct Outlet {
    pub(super) items: mpsc::Sender<Item>,
    pub(super) beside: Arc<AtomicU64>,
    pub(super) published: Arc<AtomicU64>,
    pub(super) loss: Arc<Loss>,
    pub(super) metrics: Arc<Metrics>,
}

/// Which commits did not come here.
#[derive(Default)]
pub(super) struct Loss {
    lost: Mutex<Lost>,
    rings: Notify,
}

#[derive(Default)]
struct Lost {
    /// They found no room in the outlet: any may be missing.
    any: bool,
    /// They were not heard of in these shards.
    shards: BTreeSet<usize>,
}

impl Loss {
    fn lock(&self) -> MutexGuard<'_, Lost> {
        self.lost.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

pub(super) enum Item {
    /// With its number among those that were decided beside the store.
    Commit(Commit, Option<u64>),
    Degraded,
    Close(Farewell),
}

impl Outlet {
    /// Passes a commit on. It waits for nothing: what finds no room is made up for by new snapshots.
    pub fn put(&self, commit: Commit) {
        let is_beside = commit.position.sequence == u64::MAX;
        let beside = is_beside.then(|| self.beside.fetch_add(1, Ordering::SeqCst) + 1);
        if self.items.try_send(Item::Commit(commit, beside)).is_ok() {
            self.published.fetch_add(1, Ordering::SeqCst);
        } else {
            self.loss.lock().any = true;
            self.loss.rings.notify_one();
            self.metrics.dropped(Queue::Feed);
        }
    }

    /// Commits of a shard that others made were not heard of.
    pub fn lose(&self, shard: usize) {
        self.loss.lock().shards.insert(shard);
        self.loss.rings.notify_one();
    }
}

/// The hub's own work, to be run as a task.
pub struct Distribution {
    hub: Arc<Hub>,
    items: mpsc::Receiver<Item>,
    loss: Arc<Loss>,
    events: Events,
    clock: Clock,
    /// How many changes were told.
    told: u64,
    /// For whom something is put down that is not sent yet.
    behind: Vec<Arc<Subscriber>>,
    /// What was written since others had their turn.
    turn: usize,
}

impl Distribution {
    pub(super) fn new(hub: Arc<Hub>, items: mpsc::Receiver<Item>, outlet: &Outlet, clock: Clock) -> Self {
        let (loss, events) = (outlet.loss.clone(), Events::new(clock));
        Self { hub, items, loss, events, clock, told: 0, behind: Vec::new(), turn: 0 }
    }

    /// Passes on what is committed, for as long as there is an outlet.
    pub async fn run(mut self) {
        let mut gathered = None;
        loop {
            let item = tokio::select! {
                item = self.items.recv() => item,
                () = self.loss.rings.notified() => {
                    if self.loss.lock().any {
                        self.make_up_for_loss();
                    } else {
                        gathered.get_or_insert_with(|| self.clock.now() + GATHERING);
                    }
                    continue;
                }
                () = sleep_until(self.clock.instant(gathered.unwrap_or_default())), if gathered.is_some() => {
                    gathered = None;
                    self.make_up_for_loss();
                    continue;
                }
            };
            let Some(item) = item else { return };
            self.pass_on(item).await;
        }
    }

    /// Passes on an item and, in the same writes, some of those behind it.
    async fn pass_on(&mut self, first: Item) {
        let mut next = Some(first);
        let mut left = AT_ONCE;
        while let Some(item) = next.take() {
            left -= 1;
            let to_come = left > 0 && !self.items.is_empty();
            match item {
                Item::Commit(commit, beside) => {
                    self.distribute(&commit, beside, to_come).await;
                    self.hub.passed.fetch_add(1, Ordering::SeqCst);
                }
                Item::Degraded => self.hub.tell_some(&Delivery::Degraded, |_| true),
                Item::Close(farewell) => {
                    self.send_all().await;
                    self.hub.end(farewell);
                }
            }
            if to_come {
                next = self.items.try_recv().ok();
            }
        }
        self.send_all().await;
    }

    /// Who may have missed something takes a new snapshot.
    fn make_up_for_loss(&mut self) {
        let Lost { any, shards } = std::mem::take(&mut *self.loss.lock());
        if !any {
            return self.hub.tell_some(&Delivery::Lost, |subscriber| subscriber.watches_any(&shards));
        }
        warn!("changes were lost on the way to the subscribers: all take a new snapshot");
        let mut closing = None;
        let mut passed_over = 0;
        while let Ok(item) = self.items.try_recv() {
            match item {
                Item::Commit(..) => passed_over += 1,
                Item::Close(farewell) => closing = Some(farewell),
                Item::Degraded => {}
            }
        }
        // What waited here is in their snapshots, too.
        self.hub.tell_some(&Delivery::Lost, |_| true);
        self.hub.passed.fetch_add(passed_over, Ordering::SeqCst);
        if let Some(farewell) = closing {
            self.hub.end(farewell);
        }
    }

    /// Tells each change of a commit to everybody who watches it, once.
    async fn distribute(&mut self, commit: &Commit, beside: Option<u64>, to_come: bool) {
        let audiences = self.hub.lock().audiences(&commit.side.conversation);
        if audiences.is_empty() {
            return;
        }
        for (at, change) in commit.changes.iter().enumerate() {
            let to_come = to_come || at + 1 < commit.changes.len();
            let told = self.events.change(&commit.side, change);
            let conversation = commit.side.conversation.clone();
            let news = News { conversation, position: commit.position, beside, told };
            self.told += 1;
            let (delivery, now) = (Delivery::Change(Arc::new(news), self.told), self.clock.now());
            for (scope, audience) in &audiences {
                for subscriber in audience.iter() {
                    match subscriber.tell(&delivery, Some(scope), now, self.hub.limits.backlog, to_come) {
                        Receipt::Done => {}
                        Receipt::Waits => self.behind.push(subscriber.clone()),
                        Receipt::TooMuch => self.hub.let_fall(subscriber),
                    }
                    if self.is_over_its_turn() {
                        yield_now().await;
                    }
                }
            }
        }
    }

    /// Sends what was put down.
    async fn send_all(&mut self) {
        for subscriber in std::mem::take(&mut self.behind) {
            subscriber.send();
            if self.is_over_its_turn() {
                yield_now().await;
            }
        }
    }

    /// A change for many takes long to tell, and others have work to do as well.
    fn is_over_its_turn(&mut self) -> bool {
        self.turn = (self.turn + 1) % TURN;
        self.turn == 0
    }
}

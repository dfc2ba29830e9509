//! The road of a change from the store to the queues of those who watch.

use std::collections::BTreeSet;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::{Notify, mpsc};
use tokio::time::sleep_until;
use tracing::warn;
use typingd_core::store::Commit;
use typingd_core::{Conversation, Scope};

use super::{Farewell, Hub, News};
use crate::clock::Clock;
use crate::metrics::{Metrics, Queue};
use crate::subscribe::event::Events;

/// How many commits may wait for the hub; the next one is lost, and everybody takes a new snapshot.
pub(super) const OUTLET: usize = 65_536;

/// How long lost shards are gathered, so that nobody takes a snapshot for each of them.
const GATHERING: Duration = Duration::from_millis(100);

/// The way from the store to the hub.
#[derive(Clone)]
pub struct Outlet {
    pub(super) items: mpsc::Sender<Item>,
    pub(super) beside: Arc<AtomicU64>,
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
        if self.items.try_send(Item::Commit(commit, beside)).is_err() {
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
}

impl Distribution {
    pub(super) fn new(hub: Arc<Hub>, items: mpsc::Receiver<Item>, outlet: &Outlet, clock: Clock) -> Self {
        Self { hub, items, loss: outlet.loss.clone(), events: Events::new(clock), clock }
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
            match item {
                Some(Item::Commit(commit, beside)) => self.distribute(&commit, beside),
                Some(Item::Degraded) => {
                    let gone = self.hub.lock().deliver_degraded();
                    self.hub.fell_behind(gone);
                }
                Some(Item::Close(farewell)) => self.close(farewell),
                None => return,
            }
        }
    }

    /// Who may have missed something takes a new snapshot.
    fn make_up_for_loss(&mut self) {
        let Lost { any, shards } = std::mem::take(&mut *self.loss.lock());
        if !any {
            let gone = self.hub.lock().deliver_loss(|member| member.watches_any(&shards));
            return self.hub.fell_behind(gone);
        }
        warn!("changes were lost on the way to the subscribers: all take a new snapshot");
        let mut closing = None;
        while let Ok(item) = self.items.try_recv() {
            if let Item::Close(farewell) = item {
                closing = Some(farewell);
            }
        }
        // What waited here is in their snapshots, too.
        let gone = self.hub.lock().deliver_loss(|_| true);
        self.hub.fell_behind(gone);
        if let Some(farewell) = closing {
            self.close(farewell);
        }
    }

    fn close(&self, farewell: Farewell) {
        let gone = self.hub.lock().close(farewell);
        self.hub.left(gone);
    }

    fn distribute(&mut self, commit: &Commit, beside: Option<u64>) {
        let mut subscribers = self.hub.lock();
        if subscribers.is_empty() {
            return;
        }
        let mut gone = 0;
        for change in &commit.changes {
            let told = self.events.change(&commit.side, change);
            let conversation = commit.side.conversation.clone();
            let news = News { conversation, position: commit.position, beside, told };
            gone += subscribers.deliver(&Arc::new(news));
        }
        self.hub.fell_behind(gone);
    }
}

/// Every scope that covers the conversation.
pub(super) fn scopes_over(conversation: &Conversation) -> impl Iterator<Item = Scope> {
    (0..8).map(|given| Scope {
        tenant: conversation.tenant().clone(),
        channel: (given & 1 != 0).then(|| conversation.channel().clone()),
        agent: (given & 2 != 0).then(|| conversation.agent().clone()),
        user: (given & 4 != 0).then(|| conversation.user().clone()),
    })
}

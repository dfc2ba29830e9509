//! The road of a change from the store to the queues of those who watch.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use tokio::sync::{Notify, mpsc};
use tracing::warn;
use typingd_core::store::Commit;
use typingd_core::{Conversation, Scope};

use super::{Farewell, Hub, News};
use crate::clock::Clock;
use crate::metrics::{Metrics, Queue};
use crate::subscribe::event::Events;

/// How many commits may wait for the hub; the next one is lost, and everybody takes a new snapshot.
pub(super) const OUTLET: usize = 65_536;

/// The way from the store to the hub.
pub struct Outlet {
    pub(super) items: mpsc::Sender<Item>,
    pub(super) loss: Arc<Loss>,
    pub(super) metrics: Arc<Metrics>,
}

/// That commits found no room in the outlet.
#[derive(Default)]
pub(super) struct Loss {
    has_happened: AtomicBool,
    rings: Notify,
}

pub(super) enum Item {
    Commit(Commit),
    Close(Farewell),
}

impl Outlet {
    /// Passes a commit on. It waits for nothing: what finds no room is made up for by new snapshots.
    pub fn put(&self, commit: Commit) {
        if self.items.try_send(Item::Commit(commit)).is_err() {
            self.loss.has_happened.store(true, Ordering::Release);
            self.loss.rings.notify_one();
            self.metrics.dropped(Queue::Feed);
        }
    }
}

/// The hub's own work, to be run as a task.
pub struct Distribution {
    hub: Arc<Hub>,
    items: mpsc::Receiver<Item>,
    loss: Arc<Loss>,
    events: Events,
}

impl Distribution {
    pub(super) fn new(hub: Arc<Hub>, items: mpsc::Receiver<Item>, outlet: &Outlet, clock: Clock) -> Self {
        Self { hub, items, loss: outlet.loss.clone(), events: Events::new(clock) }
    }

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
                Some(Item::Close(farewell)) => self.close(farewell),
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
        let gone = self.hub.lock().deliver_loss();
        self.hub.fell_behind(gone);
        if let Some(farewell) = closing {
            self.close(farewell);
        }
    }

    fn close(&self, farewell: Farewell) {
        let gone = self.hub.lock().close(farewell);
        self.hub.left(gone);
    }

    fn distribute(&mut self, commit: &Commit) {
        let mut subscribers = self.hub.lock();
        if subscribers.is_empty() {
            return;
        }
        let mut gone = 0;
        for change in &commit.changes {
            let told = self.events.change(&commit.side, change);
            let conversation = commit.side.conversation.clone();
            gone += subscribers.deliver(&Arc::new(News { conversation, position: commit.position, told }));
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

//! Who listens on a node: the sweeper's alarm, those who follow, and who tells upstreams.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex};

use typingd_core::store::remote::{Audience, Loss, Unreadable};
use typingd_core::store::{Commit, Feed, Position};
use typingd_core::transition::Change;
use typingd_core::{Side, Time};

use crate::checks::Promises;
use crate::executor::{Bell, lock};
use crate::server::name_of;
use crate::world::{NodeId, World};

/// What a follower is told.
#[derive(Clone, Debug)]
pub(crate) enum Delivery {
    Commit { side: Side, changes: Vec<Change>, position: Position },
    Lost { shard: usize },
}

/// Where deliveries wait.
#[derive(Default)]
pub(crate) struct Queue {
    waiting: Mutex<VecDeque<Delivery>>,
    pub(crate) bell: Bell,
}

impl Queue {
    /// A listing is complete: what the node decided alone until now is in it, whatever place it stands at.
    pub(crate) fn forget_local(&self) {
        let is_local = |delivery: &Delivery| matches!(delivery, Delivery::Commit { position, .. } if position.sequence == u64::MAX);
        lock(&self.waiting).retain(|delivery| !is_local(delivery));
    }

    pub(crate) fn take(&self) -> Option<Delivery> {
        lock(&self.waiting).pop_front()
    }
}

/// Wakes the sweeper for a deadline that comes before the one it sleeps to.
pub(crate) struct Alarm {
    planned: Mutex<Time>,
    pub(crate) bell: Bell,
}

impl Alarm {
    pub(crate) fn plan(&self, next: Time) {
        *lock(&self.planned) = next;
    }
}

pub(crate) struct Ears {
    id: NodeId,
    world: Arc<World>,
    pub(crate) alarm: Alarm,
    queues: Mutex<Vec<Arc<Queue>>>,
}

impl Ears {
    pub(crate) fn new(id: NodeId, world: Arc<World>) -> Self {
        let alarm = Alarm { planned: Mutex::new(Time::MAX), bell: Bell::default() };
        Self { id, world, alarm, queues: Mutex::default() }
    }

    /// One more who is told.
    pub(crate) fn queue(&self) -> Arc<Queue> {
        let queue = Arc::new(Queue::default());
        lock(&self.queues).push(queue.clone());
        queue
    }

    fn put(&self, delivery: &Delivery) {
        for queue in lock(&self.queues).iter() {
            lock(&queue.waiting).push_back(delivery.clone());
            queue.bell.ring();
        }
    }
}

impl Feed for Ears {
    fn publish(&self, commit: Commit) {
        if let Some(deadline) = commit.deadline
            && deadline < *lock(&self.alarm.planned)
        {
            self.alarm.bell.ring();
        }
        let Commit { side, changes, position, .. } = commit;
        let is_local = position.sequence == u64::MAX;
        for change in &changes {
            let (name, kind) = (name_of(&side, &change.lease.participant), change.kind);
            let place = if is_local { "alone".to_owned() } else { format!("#{}", position.sequence) };
            self.world.note(|| format!("n{} tells {place} {name} {kind:?}", self.id));
            if is_local {
                let key = (side.clone(), change.lease.participant.clone());
                self.world.check(|checks, plan, now| {
                    let found = checks.promises.ended(&key, kind, Some(self.id), plan, now);
                    checks.expect(Promises::NAME, now, found);
                });
            }
        }
        if !changes.is_empty() {
            self.put(&Delivery::Commit { side, changes: changes.into_vec(), position });
        }
    }
}

impl Audience for Ears {
    fn lost(&self, shard: usize, loss: Loss) {
        self.world.note(|| format!("n{} lost {loss:?} of {shard}", self.id));
        self.put(&Delivery::Lost { shard });
    }

    fn unreadable(&self, _shard: usize, _error: Unreadable) {}
}

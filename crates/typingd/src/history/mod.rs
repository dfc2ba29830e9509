//! What was said, what changed and what providers were told in each conversation of late, so that it can be told why the
//! dots are on, or not.
//!
//! It knows who said what, by which door, and what came of it; never what a message says. It is bounded in three ways:
//! conversations of a tenant, entries of a conversation, and time. What is past its time goes unasked, because it holds
//! phone numbers.

mod entry;
mod news;
mod talks;

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::Notify;
use typingd_core::store::Commit;
use typingd_core::{Conversation, Name, Scope, Side, Time};

pub use entry::{Called, Decision, Entry, Fate, Heard, Refused, What, Word};
pub use news::Watch;

use crate::clock::Clock;
use crate::tenants::ByTenant;
use news::News;
use talks::{Talk, Talks};

/// How many conversations are looked through at once for what is past its time.
const BATCH: usize = 256;

/// How long what is past its time may wait for more of it.
const PURGE_EVERY: Duration = Duration::from_secs(1);

/// How much is remembered, and for how long.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Conversations of one tenant; the one in which nothing happened for longest is forgotten first. 0 remembers
    /// nothing.
    pub conversations: usize,
    /// Entries of one conversation; the oldest is forgotten first.
    pub entries: usize,
    /// How long an entry is remembered.
    pub span: Duration,
}

impl Default for Limits {
    fn default() -> Self {
        Self { conversations: 2_000, entries: 100, span: Duration::from_secs(15 * 60) }
    }
}

/// What happened of late, by tenant and conversation.
#[derive(Debug)]
pub struct History {
    limits: Limits,
    clock: Clock,
    held: Mutex<ByTenant<Talks>>,
    /// Rings when there is something to remember again.
    begins: Notify,
    news: Arc<News>,
}

/// That no history is kept.
#[derive(Clone, Copy, Debug)]
pub struct Off;

/// An entry, with the channel it belongs to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Noted {
    /// The conversation's channel.
    pub channel: Name,
    /// What happened.
    pub entry: Entry,
}

impl History {
    /// Nothing so far.
    #[must_use]
    pub fn new(limits: Limits, clock: Clock) -> Self {
        Self { limits, clock, held: Mutex::default(), begins: Notify::new(), news: Arc::default() }
    }

    /// Whether anything is remembered at all.
    #[must_use]
    pub fn is_on(&self) -> bool {
        self.limits.conversations > 0
    }

    /// How long an entry is remembered.
    #[must_use]
    pub fn span(&self) -> Duration {
        self.limits.span
    }

    /// A composer of `side` said something at `now`. What it changed was noted before.
    pub fn note_signal(&self, side: &Side, heard: Heard, now: Time) {
        self.note(&side.conversation, now, |talk| talk.hear(side.role, heard, now, self.limits.entries));
    }

    /// Notes the changes of a commit at `now`.
    pub fn note_commit(&self, commit: &Commit, now: Time) {
        let Side { conversation, role } = &commit.side;
        if !commit.changes.is_empty() {
            self.note(conversation, now, |talk| {
                commit.changes.iter().for_each(|change| talk.change(*role, change, now, self.limits.entries));
            });
        }
    }

    /// A call about `side` came to its end at `now`, or was not made.
    pub fn note_call(&self, side: &Side, called: Called, now: Time) {
        self.note(&side.conversation, now, |talk| talk.call(side.role, called, now, self.limits.entries));
    }

    /// Something happened at `now` that says nothing about typing.
    pub fn touch(&self, conversation: &Conversation, now: Time) {
        self.note(conversation, now, |_| {});
    }

    fn note(&self, conversation: &Conversation, now: Time, write: impl FnOnce(&mut Talk)) {
        if !self.is_on() {
            return;
        }
        let mut held = self.lock();
        let begins = held.is_empty();
        let talks = match held.get_mut(conversation.tenant()) {
            Some(talks) => talks,
            None => held.entry(conversation.tenant().clone()).or_default(),
        };
        write(talks.of(conversation, now, &self.limits));
        drop(held);
        if begins {
            self.begins.notify_one();
        }
        self.news.tell(conversation);
    }

    /// The tenant's conversations in which something is noted, from now on.
    #[must_use]
    pub fn watch(&self, tenant: &Name) -> Watch {
        self.news.watch(tenant)
    }

    /// A tenant's conversations in which something happened, up to `limit`, each with when it last did: the latest first.
    #[must_use]
    pub fn recent(&self, tenant: &Name, limit: usize, now: Time) -> Vec<(Conversation, Time)> {
        let held = self.lock();
        let Some(talks) = held.get(tenant) else { return Vec::new() };
        let recent = talks.latest_first().filter(|talk| now < talk.active + self.limits.span);
        recent.take(limit).map(|talk| (talk.conversation.clone(), talk.active)).collect()
    }

    /// What happened between an agent and a user, oldest first: over one channel, or over all where the scope names
    /// none. A scope that leaves out either of the two has no such history.
    ///
    /// # Errors
    /// [`Off`] where none is kept.
    pub fn explain(&self, scope: &Scope, now: Time) -> Result<Vec<Noted>, Off> {
        if !self.is_on() {
            return Err(Off);
        }
        let mut timeline = Vec::new();
        if let Some(talks) = self.lock().get(&scope.tenant) {
            for talk in talks.within(scope) {
                let live = talk.entries().filter(|entry| now < entry.last() + self.limits.span);
                let channel = talk.conversation.channel();
                timeline.extend(live.map(|entry| Noted { channel: channel.clone(), entry: entry.clone() }));
            }
        }
        // Those of one conversation are in order already, and stay as they are.
        timeline.sort_by_key(|noted| noted.entry.at);
        Ok(timeline)
    }

    /// Forgets all that is a tenant's.
    pub fn forget(&self, tenant: &Name) {
        self.lock().remove(tenant);
    }

    /// How many conversations are in memory.
    #[must_use]
    pub fn conversations(&self) -> usize {
        self.lock().values().map(Talks::len).sum()
    }

    /// How many entries are in memory.
    #[must_use]
    pub fn entries(&self) -> usize {
        self.lock().values().flat_map(Talks::latest_first).map(|talk| talk.entries().len()).sum()
    }

    /// Forgets for ever what is past its time. It sleeps while there is nothing of the kind.
    pub async fn run(self: Arc<Self>) {
        loop {
            let now = self.clock.now();
            match self.purge(now).await {
                None => self.begins.notified().await,
                Some(due) => {
                    tokio::time::sleep_until(self.clock.instant(due.max(now + PURGE_EVERY))).await;
                }
            }
        }
    }

    /// Forgets what is past its time at `now`, and says when more will be; `None` where nothing is left.
    async fn purge(&self, now: Time) -> Option<Time> {
        // What is noted from here on is due later than this.
        let mut due = now + self.limits.span;
        let tenants: Vec<Name> = self.lock().keys().cloned().collect();
        for tenant in &tenants {
            let mut from = Some(0);
            while let Some(batch) = from {
                from = self.purge_batch(tenant, batch, now, &mut due);
                tokio::task::yield_now().await;
            }
        }
        (!self.lock().is_empty()).then_some(due)
    }

    /// Looks through one batch, and says where the next one begins.
    fn purge_batch(&self, tenant: &Name, from: usize, now: Time, due: &mut Time) -> Option<usize> {
        let mut held = self.lock();
        let talks = held.get_mut(tenant)?;
        let to = from + BATCH;
        *due = talks.purge(from..to, now, self.limits.span).min(*due);
        if to < talks.places() {
            return Some(to);
        }
        if talks.len() == 0 {
            held.remove(tenant);
        }
        None
    }

    fn lock(&self) -> MutexGuard<'_, ByTenant<Talks>> {
        self.held.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

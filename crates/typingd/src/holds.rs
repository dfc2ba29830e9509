//! Holds: somebody works on an answer and says so once, in place of a repeat every few seconds.
//!
//! A hold is a claim in the engine; what is kept here is what it takes to prolong and to end it. Two caps bound it: an
//! idle one, which only evidence of work moves, and an absolute one, which nothing moves.

use std::collections::{BTreeSet, HashMap};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::Duration;

use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;
use typingd_core::{
    IgnoreReason, Marks, Name, Outcome, Side, Signal, Source, StopReason, Time, Utterance, Verdict,
};
use typingd_providers::Rejection;
use uuid::Uuid;

use crate::clock::Clock;
use crate::gateway::Gateway;
use crate::ids;

/// A hold.
#[derive(Clone, Debug)]
pub struct Hold {
    /// Whose typing it holds.
    pub side: Side,
    /// Who of that side.
    pub participant: Option<Name>,
    /// What people call them.
    pub name: Option<Name>,
    /// What the work is, in its owner's words.
    pub note: Option<String>,
    /// Its claim in the engine.
    pub source: Source,
    /// How long it lasts without evidence of work.
    pub idle: Duration,
    /// When it ends whatever happens.
    pub ends_by: Time,
    /// Whether dots show already.
    pub has_begun: bool,
    /// Told when it has ended.
    pub is_over: CancellationToken,
    /// Why it has ended.
    pub why: Arc<OnceLock<StopReason>>,
}

impl Hold {
    /// How long it lasts from `now` on, if nothing is heard of the work.
    #[must_use]
    pub fn lasts(&self, now: Time) -> Duration {
        self.idle.min(self.ends_by.since(now))
    }
}

/// The holds there are.
#[derive(Debug, Default)]
pub struct Holds {
    held: Mutex<Held>,
    is_new: Notify,
}

#[derive(Debug, Default)]
struct Held {
    by_id: HashMap<Uuid, (Hold, Time)>,
    by_side: HashMap<Side, Vec<Uuid>>,
    by_tenant: HashMap<Name, usize>,
    /// When each is over at the latest.
    ends: BTreeSet<(Time, Uuid)>,
}

impl Holds {
    /// Begins a hold, of which a tenant may have `quota`; `None` where it has.
    #[must_use]
    pub fn begin(&self, hold: Hold, quota: usize, now: Time) -> Option<Uuid> {
        let id = ids::unique();
        let mut held = self.lock();
        let tenant = hold.side.conversation.tenant();
        let of_tenant = held.by_tenant.get(tenant).copied().unwrap_or(0);
        if of_tenant >= quota {
            return None;
        }
        held.insert(id, hold, now);
        drop(held);
        self.is_new.notify_one();
        Some(id)
    }

    /// Takes over a hold that began at another node.
    pub(crate) fn adopt(&self, id: Uuid, hold: Hold, now: Time) {
        let mut held = self.lock();
        if held.by_id.contains_key(&id) {
            return;
        }
        held.insert(id, hold, now);
        drop(held);
        self.is_new.notify_one();
    }

    /// A hold of this tenant's.
    #[must_use]
    pub fn find(&self, id: Uuid, tenant: &Name) -> Option<Hold> {
        let held = self.lock();
        let (hold, _) = held.by_id.get(&id)?;
        (hold.side.conversation.tenant() == tenant).then(|| hold.clone())
    }

    /// The holds of a side, with the time that each has left.
    #[must_use]
    pub fn of(&self, side: &Side, now: Time) -> Vec<(Hold, Duration)> {
        let held = self.lock();
        let ids = held.by_side.get(side).into_iter().flatten();
        ids.filter_map(|id| held.by_id.get(id)).map(|(hold, end)| (hold.clone(), end.since(now))).collect()
    }

    /// There is evidence of work.
    pub fn prolong(&self, id: Uuid, now: Time) {
        let mut held = self.lock();
        let Held { by_id, ends, .. } = &mut *held;
        if let Some((hold, end)) = by_id.get_mut(&id) {
            ends.remove(&(*end, id));
            *end = (*end).max(now + hold.lasts(now));
            ends.insert((*end, id));
        }
    }

    /// Notes that the dots of a hold show from now on; false where it has ended before.
    pub fn note_begun(&self, id: Uuid) -> bool {
        let mut held = self.lock();
        held.by_id.get_mut(&id).is_some_and(|(hold, _)| {
            hold.has_begun = true;
            true
        })
    }

    /// Ends a hold.
    pub fn end(&self, id: Uuid, reason: StopReason) {
        self.lock().remove(id, reason);
    }

    /// The side's message went out, or it paused: holds that have not begun do not begin, and the others are over, unless
    /// they outlive a message. With a participant, theirs and the nameless ones are meant.
    pub fn side_ended(&self, side: &Side, is_message: bool, participant: Option<&Name>) {
        let is_meant = |hold: &Hold| {
            participant.is_none() || hold.participant.is_none() || hold.participant.as_ref() == participant
        };
        let mut held = self.lock();
        let Some(ids) = held.by_side.get(side) else { return };
        let ends = |hold: &Hold| {
            let outlives = matches!(hold.source, Source::Hold { continues: true, .. }) && is_message;
            is_meant(hold) && !outlives
        };
        let gone: Vec<Uuid> =
            ids.iter().filter(|id| held.by_id.get(id).is_some_and(|(hold, _)| ends(hold))).copied().collect();
        let reason = if is_message { StopReason::Sent } else { StopReason::Paused };
        for id in gone {
            held.remove(id, reason);
        }
    }

    /// Forgets holds that have lapsed, with nobody asking. Their claims have lapsed with them.
    pub async fn forget(&self, clock: Clock) {
        loop {
            let first = self.lock().ends.first().map(|(end, _)| *end);
            match first {
                Some(end) => tokio::select! {
                    () = tokio::time::sleep_until(clock.instant(end)) => {}
                    () = self.is_new.notified() => {}
                },
                None => self.is_new.notified().await,
            }
            let now = clock.now();
            let mut held = self.lock();
            while let Some((_, id)) = held.ends.first().filter(|(end, _)| *end <= now).copied() {
                held.remove(id, StopReason::Expired);
            }
        }
    }

    fn lock(&self) -> MutexGuard<'_, Held> {
        self.held.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Held {
    fn insert(&mut self, id: Uuid, hold: Hold, now: Time) {
        *self.by_tenant.entry(hold.side.conversation.tenant().clone()).or_default() += 1;
        let end = now + hold.lasts(now);
        self.by_side.entry(hold.side.clone()).or_default().push(id);
        self.ends.insert((end, id));
        self.by_id.insert(id, (hold, end));
    }

    fn remove(&mut self, id: Uuid, reason: StopReason) {
        let Some((hold, end)) = self.by_id.remove(&id) else { return };
        self.ends.remove(&(end, id));
        if let Some(ids) = self.by_side.get_mut(&hold.side) {
            ids.retain(|other| *other != id);
            if ids.is_empty() {
                self.by_side.remove(&hold.side);
            }
        }
        let tenant = hold.side.conversation.tenant();
        if let Some(of_tenant) = self.by_tenant.get_mut(tenant) {
            *of_tenant -= 1;
            if *of_tenant == 0 {
                self.by_tenant.remove(tenant);
            }
        }
        let _ = hold.why.set(reason);
        hold.is_over.cancel();
    }
}

/// By what door holds come in.
const HOLD: &str = "hold";

/// How a hold ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ended {
    /// With the message.
    Sent,
    /// Without one, for now or at all.
    Paused,
    /// Whoever held it is gone.
    Vanished,
}

impl Gateway {
    /// Lets the dots of a hold begin.
    ///
    /// # Errors
    /// Where there is no room for them: then there is no hold either.
    pub async fn begin_hold(&self, id: Uuid, hold: &Hold, now: Time) -> Result<Outcome, Rejection> {
        let signal = Signal::Composing { ttl: hold.lasts(now) };
        let outcome = self.hear(HOLD, &hold.side, hold.says(signal), now).await;
        if outcome.is_err() {
            self.holds.end(id, StopReason::Revoked);
        } else if !self.holds.note_begun(id) {
            // It ended just before its dots began: nobody else would take them back.
            self.end_hold(id, hold, Ended::Vanished, now).await?;
        }
        outcome
    }

    /// Lets the dots of a hold begin at `start`, unless it ends before, here or, where it `is_shared`, anywhere.
    pub fn begin_hold_later(self: Arc<Self>, id: Uuid, hold: Hold, start: Time, is_shared: bool) {
        tokio::spawn(async move {
            let asked_at = self.clock.now();
            tokio::select! {
                () = hold.is_over.cancelled() => {}
                () = tokio::time::sleep_until(self.clock.instant(start)) => {
                    if is_shared && self.was_ended_elsewhere(id, &hold, asked_at).await {
                        return self.holds.end(id, StopReason::Revoked);
                    }
                    // Who asked for it has been answered: where there is no room, nothing begins.
                    let _ = self.begin_hold(id, &hold, self.clock.now()).await;
                }
            }
        });
    }

    /// There is evidence of work on a hold.
    ///
    /// # Errors
    /// Whatever the store says.
    pub async fn beat(&self, id: Uuid, hold: &Hold, now: Time) -> Result<Outcome, Rejection> {
        self.holds.prolong(id, now);
        let participant = hold.participant.clone();
        let prolonged = self.engine.extend(&hold.side, participant, hold.source, hold.lasts(now), now).await;
        let outcome = prolonged.map_err(|_| Rejection::Unavailable)?;
        if hold.has_begun && outcome.verdict == Verdict::Ignored(IgnoreReason::NothingLive) {
            // It was ended at another node, or has lapsed.
            self.holds.end(id, StopReason::Revoked);
            self.forget_hold(id).await;
        }
        Ok(outcome)
    }

    /// Ends a hold. What others hold up goes on, unless the message went out.
    ///
    /// # Errors
    /// Whatever the engine says.
    pub async fn end_hold(&self, id: Uuid, hold: &Hold, how: Ended, now: Time) -> Result<Outcome, Rejection> {
        let reason = match how {
            Ended::Sent => StopReason::Sent,
            Ended::Paused => StopReason::Paused,
            Ended::Vanished => StopReason::Revoked,
        };
        self.holds.end(id, reason);
        self.forget_hold(id).await;
        // First, or one that continues would begin anew with the message.
        let participant = hold.participant.clone();
        let released = self.engine.release(&hold.side, participant, hold.source, reason, now).await;
        let released = released.map_err(|_| Rejection::Unavailable)?;
        if how != Ended::Sent {
            return Ok(released);
        }
        let sent = self.hear(HOLD, &hold.side, hold.says(Signal::Sent), now).await?;
        Ok(if released.verdict == Verdict::Ended { released } else { sent })
    }
}

impl Hold {
    fn says(&self, signal: Signal) -> Utterance {
        Utterance {
            participant: self.participant.clone(),
            name: self.name.clone(),
            signal,
            source: self.source,
            origin: HOLD.into(),
            marks: Marks::default(),
        }
    }
}

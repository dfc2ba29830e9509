//! The engine: the rules applied to whatever store keeps the sides.

use std::time::Duration;

use crate::conversation::{Name, Scope, Side};
use crate::policy::Policy;
use crate::signal::{Signal, Source, Utterance};
use crate::store::{Due, Listing, Store, StoreError};
use crate::time::Time;
use crate::transition::{IgnoreReason, Input, Outcome, StopReason, Verdict, transition};

/// How many sides one sweep or one round of a revocation takes.
const BATCH: usize = 1_024;

/// Knows who is composing to whom, until when. It is handed the time, and does nothing by itself.
#[derive(Debug)]
pub struct Engine<S> {
    store: S,
    policy: Policy,
}

impl<S: Store> Engine<S> {
    /// An engine with these numbers over this store.
    pub fn new(store: S, policy: Policy) -> Self {
        Self { store, policy }
    }

    /// The numbers it goes by.
    pub fn policy(&self) -> &Policy {
        &self.policy
    }

    /// Where it keeps the sides.
    pub fn store(&self) -> &S {
        &self.store
    }

    /// Hears what a composer of `side` says.
    ///
    /// # Errors
    /// [`StoreError::Full`] for a `Composing` that there is no room for. What ends something never fails for want of
    /// room: on a side that is not remembered there is nothing to end, and its fence is what is lost.
    pub async fn say(&self, side: &Side, utterance: Utterance, now: Time) -> Result<Outcome, StoreError> {
        let is_start = matches!(utterance.signal, Signal::Composing { .. });
        match self.update(side, &Input::Say(utterance), now).await {
            Err(StoreError::Full) if !is_start => Ok(Outcome {
                verdict: Verdict::Ignored(IgnoreReason::NothingLive),
                lease: None,
                last_turn: None,
                is_local: false,
            }),
            outcome => outcome,
        }
    }

    /// Voids a claim: its connection closed, or its hold ended. Where it was the last one, the lease ends for this reason.
    ///
    /// # Errors
    /// Whatever the store says.
    pub async fn release(
        &self,
        side: &Side,
        participant: Option<Name>,
        source: Source,
        reason: StopReason,
        now: Time,
    ) -> Result<Outcome, StoreError> {
        self.update(side, &Input::Release { participant, source, reason }, now).await
    }

    /// Lets a claim hold for `ttl` from now on. Where it is not there any more, nothing begins.
    ///
    /// # Errors
    /// Whatever the store says.
    pub async fn extend(
        &self,
        side: &Side,
        participant: Option<Name>,
        source: Source,
        ttl: Duration,
        now: Time,
    ) -> Result<Outcome, StoreError> {
        self.update(side, &Input::Extend { participant, source, ttl }, now).await
    }

    /// Settles a batch of the sides whose time has come. One that fails does not keep the others waiting.
    ///
    /// # Errors
    /// Whatever the store said last.
    pub async fn sweep(&self, now: Time) -> Result<Swept, StoreError> {
        let due = self.due(now).await;
        let mut failed = due.failed;
        for side in &due.sides {
            failed = self.settle(side, now).await.err().or(failed);
        }
        if let Some(error) = failed {
            return Err(error);
        }
        // A side that was settled has a new deadline, which the feed has told.
        Ok(Swept { cut: due.cut, next: due.next })
    }

    /// Takes a batch of the sides whose time has come. Each is to be settled.
    pub async fn due(&self, now: Time) -> Due {
        self.store.due(now, BATCH).await
    }

    /// Does what time alone brings about on a side.
    ///
    /// # Errors
    /// Whatever the store says.
    pub async fn settle(&self, side: &Side, now: Time) -> Result<Outcome, StoreError> {
        self.update(side, &Input::Lapse, now).await
    }

    /// Ends a batch of the scope's leases, because whoever serves it stops serving it. Says whether there are more.
    ///
    /// # Errors
    /// Whatever the store says.
    pub async fn revoke(&self, scope: &Scope, now: Time) -> Result<bool, StoreError> {
        let listing = self.store.leases(scope, now, BATCH).await;
        for (side, _) in &listing.leases {
            self.revoke_side(side, now).await?;
        }
        listing.failed.map_or(Ok(listing.cut), Err)
    }

    /// Ends every lease of one side.
    ///
    /// # Errors
    /// Whatever the store says.
    pub async fn revoke_side(&self, side: &Side, now: Time) -> Result<Outcome, StoreError> {
        self.update(side, &Input::Revoke, now).await
    }

    /// The leases of the scope that live at `now`, up to `limit` of them.
    pub async fn leases(&self, scope: &Scope, now: Time, limit: usize) -> Listing {
        self.store.leases(scope, now, limit).await
    }

    async fn update(&self, side: &Side, input: &Input, now: Time) -> Result<Outcome, StoreError> {
        self.store.update(side, now, |state| transition(state, input, now, &self.policy)).await
    }
}

/// What a sweep found.
#[derive(Clone, Copy, Debug)]
pub struct Swept {
    /// Whether more is due already.
    pub cut: bool,
    /// No deadline that was known before the sweep comes before this one.
    pub next: Option<Time>,
}

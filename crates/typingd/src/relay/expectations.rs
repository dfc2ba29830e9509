//! Callers who wait for a provider's verdict on what they say.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::oneshot;
use tokio::time::timeout;
use typingd_core::Side;
use typingd_core::pacing::UpstreamId;
use typingd_providers::Rejection;

use super::Relay;
use super::account::patience;

/// What became of a call.
pub(super) type Told = Result<(), Rejection>;

type Key = (UpstreamId, Side);

/// Who waits for what.
#[derive(Debug, Default)]
pub(super) struct Expectations {
    waiting: HashMap<Key, Vec<Expected>>,
    count: u64,
}

#[derive(Debug)]
struct Expected {
    number: u64,
    verdict: oneshot::Sender<Told>,
    /// Whether what it waits for has been said: if no call is due for it then, none is needed.
    is_said: bool,
}

impl Expectations {
    fn add(&mut self, key: Key) -> (u64, oneshot::Receiver<Told>) {
        let (verdict, receiver) = oneshot::channel();
        self.count += 1;
        let number = self.count;
        self.waiting.entry(key).or_default().push(Expected { number, verdict, is_said: false });
        (number, receiver)
    }

    fn said(&mut self, key: &Key, number: u64) {
        let of_key = self.waiting.get_mut(key).into_iter().flatten();
        of_key.filter(|expected| expected.number == number).for_each(|expected| expected.is_said = true);
    }

    fn remove(&mut self, key: &Key, number: u64) {
        if let Some(of_key) = self.waiting.get_mut(key) {
            of_key.retain(|expected| expected.number != number);
            if of_key.is_empty() {
                self.waiting.remove(key);
            }
        }
    }

    /// How many there were so far.
    pub(super) fn count(&self) -> u64 {
        self.count
    }

    /// A call has ended, or was not made: those who wait for it are told, who are the first so many there were.
    pub(super) fn meet(&mut self, upstream: UpstreamId, side: &Side, first: u64, told: &Told) {
        if self.waiting.is_empty() {
            return;
        }
        let key = (upstream, side.clone());
        let Some(of_key) = self.waiting.get_mut(&key) else { return };
        for Expected { verdict, .. } in of_key.extract_if(.., |expected| expected.number <= first) {
            // Whoever has gone meanwhile needs no answer.
            let _ = verdict.send(told.clone());
        }
        if of_key.is_empty() {
            self.waiting.remove(&key);
        }
    }

    /// An account was taken away: nobody waits for it any more.
    pub(super) fn forget(&mut self, upstream: UpstreamId) {
        self.waiting.retain(|(of, _), _| *of != upstream);
    }

    /// Tells those for whom no call is due, as `known` has it.
    pub(super) fn meet_known(&mut self, known: impl Fn(UpstreamId, &Side) -> Option<Told>) {
        self.waiting.retain(|(upstream, side), of_key| {
            if of_key.iter().any(|expected| expected.is_said)
                && let Some(told) = known(*upstream, side)
            {
                for Expected { verdict, .. } in of_key.extract_if(.., |expected| expected.is_said) {
                    let _ = verdict.send(told.clone());
                }
            }
            !of_key.is_empty()
        });
    }
}

/// A caller's wait for a provider's verdict. It begins before what it waits for is said.
#[derive(Debug)]
pub(crate) struct Expectation {
    relay: Arc<Relay>,
    key: Key,
    number: u64,
    receiver: oneshot::Receiver<Told>,
    limit: Duration,
}

impl Relay {
    /// Waits for what the first account that is told of this side will answer; `None` where nobody is told.
    pub(crate) fn expect(self: &Arc<Self>, side: &Side) -> Option<Expectation> {
        let upstream = self.routes.load().of(side).next()?.upstream;
        let key = (upstream, side.clone());
        let mut state = self.lock();
        let limit = patience(state.account(upstream)?.limits());
        let (number, receiver) = state.expectations.add(key.clone());
        drop(state);
        Some(Expectation { relay: self.clone(), key, number, receiver, limit })
    }
}

impl Expectation {
    /// What it waits for has been said.
    ///
    /// # Errors
    /// What the provider, or pacing in its place, has against it.
    pub(crate) async fn verdict(mut self) -> Told {
        self.relay.lock().expectations.said(&self.key, self.number);
        self.relay.rings.notify_one();
        match timeout(self.limit, &mut self.receiver).await {
            Ok(Ok(told)) => told,
            // The account was taken away, or the provider takes its time.
            Ok(Err(_)) | Err(_) => Err(Rejection::UpstreamTimeout),
        }
    }
}

impl Drop for Expectation {
    fn drop(&mut self) {
        self.relay.lock().expectations.remove(&self.key, self.number);
    }
}

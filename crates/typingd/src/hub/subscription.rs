//! A place among those who watch, as its owner has it.

use std::future::poll_fn;
use std::io;
use std::ops::Range;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use bytes::Bytes;
use tokio::time::timeout;
use typingd_core::store::AsOf;
use typingd_core::{Scope, Time};

use super::subscriber::{Call, Subscriber};
use super::{Farewell, Hub};
use crate::directory::Login;
use crate::listener::Line;
use crate::subscribe::form::Form;

/// A place in the hub; dropping it gives it up.
pub struct Subscription {
    hub: Arc<Hub>,
    subscriber: Arc<Subscriber>,
}

/// That somebody has a place, or had: who knows of it hears why it ends.
#[derive(Clone)]
pub struct Membership(Arc<Subscriber>);

impl Membership {
    /// Why the subscription has ended, if it has.
    #[must_use]
    pub fn farewell(&self) -> Option<Farewell> {
        self.0.farewell()
    }

    /// Waits for a farewell behind which nothing is told any more, also of what waits.
    pub fn at_once(&self) -> impl Future<Output = Farewell> {
        self.0.at_once()
    }

    /// Waits for any farewell.
    pub fn whenever(&self) -> impl Future<Output = Farewell> {
        self.0.whenever()
    }
}

impl Subscription {
    pub(super) fn new(hub: Arc<Hub>, subscriber: Arc<Subscriber>) -> Self {
        Self { hub, subscriber }
    }

    /// What it came by.
    #[must_use]
    pub fn login(&self) -> &Login {
        &self.subscriber.login
    }

    /// Starts to hear of all that happens in a scope, whose leases may be in these shards, under the number that comes
    /// back. Take the snapshot afterwards, and nothing is missed. What several scopes cover is told once.
    pub fn watch(&self, scope: Scope, shards: Range<usize>) -> u32 {
        let scope = self.hub.shared(scope);
        let number = self.subscriber.watch(scope.clone(), shards);
        self.hub.lock().watch(scope, &self.subscriber);
        number
    }

    /// Stops to hear of what happens in a scope, unless it is watched once more. What waits already stays.
    pub fn unwatch(&self, number: u32) {
        if let Some(scope) = self.subscriber.unwatch(number) {
            self.hub.lock().unwatch(&scope, self.subscriber.id);
        }
    }

    /// What is watched under a number.
    #[must_use]
    pub fn scope(&self, number: u32) -> Option<Arc<Scope>> {
        self.subscriber.scope(number)
    }

    /// A snapshot of what is watched under this number has all of that: it is not told any more. What is known from it
    /// need not be kept for long where all commits are made here.
    pub fn has_seen(&self, number: u32, as_of: AsOf, beside: u64, is_all_made_here: bool) {
        let known_until = is_all_made_here.then(|| self.hub.published.load(Ordering::SeqCst));
        self.subscriber.has_seen(number, as_of, known_until, beside);
    }

    /// A snapshot had only what is known here.
    pub fn owe(&self) {
        self.subscriber.owe();
    }

    /// From now on it is told in this form, over this line.
    pub fn connect(&self, line: &Line, form: Form) {
        self.subscriber.connect(line.socket().cloned(), form);
    }

    /// Sends what its own task has to say, behind what it was told.
    pub fn write(&self, piece: Bytes) {
        self.subscriber.write(piece);
    }

    /// Has something written with what comes next.
    pub fn queue(&self, piece: Bytes) {
        self.subscriber.queue(piece);
    }

    /// Lets what happens from now on wait, as it does from the beginning.
    pub fn hold(&self) {
        self.subscriber.hold();
    }

    /// Tells what was held, and from now on what happens as it happens. Not where changes were lost: list everything,
    /// and come again.
    #[must_use]
    pub fn release(&self) -> bool {
        // What is passed by now is among what was held, or told.
        let passed = self.hub.passed.load(Ordering::SeqCst);
        self.subscriber.release(self.hub.clock.now(), passed)
    }

    /// When it was told something last; zero where it was not.
    #[must_use]
    pub fn last_told_at(&self) -> Time {
        self.subscriber.last_told_at()
    }

    /// Waits until there is something to do.
    pub fn call(&self) -> impl Future<Output = Call> {
        self.subscriber.call()
    }

    /// Waits until all that it was told has gone over the line.
    ///
    /// # Errors
    /// Where it cannot, or the peer takes nothing for too long.
    pub async fn flush(&self, line: &mut Line) -> io::Result<()> {
        loop {
            let patience = line.write_timeout;
            if timeout(patience, poll_fn(|cx| self.subscriber.poll_flush(line, cx))).await?? {
                return Ok(());
            }
        }
    }

    /// Gives the place up: nothing is told any more, but for what waits and what its own task has still to say.
    pub fn leave(&self) {
        self.subscriber.leave();
        self.hub.forget(&self.subscriber);
    }

    /// What can be kept by somebody else.
    #[must_use]
    pub fn membership(&self) -> Membership {
        Membership(self.subscriber.clone())
    }
}

impl Drop for Subscription {
    fn drop(&mut self) {
        self.leave();
        // Whoever is about to tell it something has it for a moment longer, but not its socket.
        self.subscriber.connect(None, Form::Bare);
    }
}

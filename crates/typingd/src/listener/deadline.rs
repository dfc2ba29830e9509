//! A deadline that moves with every request, and costs no more than a look at the clock when it does.

use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use tokio::task::coop::has_budget_remaining;
use tokio::time::{Instant, Sleep, sleep_until};

use crate::clock::Clock;

/// When something is too late. Mostly it moves later: the timer stays where it is then, and is looked at again when it
/// goes off.
pub(super) struct Deadline {
    at: Instant,
    /// Goes off no later than that.
    timer: Pin<Box<Sleep>>,
    /// Whom the timer wakes, once it runs.
    task: Option<Waker>,
}

impl Deadline {
    pub(super) fn after(time: Duration) -> Self {
        let at = Clock::from_now(time);
        Self { at, timer: Box::pin(sleep_until(at)), task: None }
    }

    /// Moves it to so long from now.
    pub(super) fn move_to(&mut self, time: Duration) {
        self.at = Clock::from_now(time);
        if self.at < self.timer.deadline() {
            self.timer.as_mut().reset(self.at);
            self.task = None;
        }
    }

    /// Is ready once it is past.
    pub(super) fn poll(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        let is_running = self.task.as_ref().is_some_and(|task| task.will_wake(cx.waker()));
        if is_running && !self.timer.is_elapsed() {
            return Poll::Pending;
        }
        loop {
            // A task that has done its share for now is sent away without the timer having been started.
            let will_run = has_budget_remaining();
            if self.timer.as_mut().poll(cx).is_pending() {
                self.task = will_run.then(|| cx.waker().clone());
                return Poll::Pending;
            }
            if self.at <= self.timer.deadline() {
                return Poll::Ready(());
            }
            self.timer.as_mut().reset(self.at);
        }
    }
}

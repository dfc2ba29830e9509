//! A future that is polled along with one that is woken far more often.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll, Wake, Waker};

use futures_util::task::AtomicWaker;

/// Polls a future when it was woken itself, and not with every wake of the task it is part of.
pub(crate) struct Seldom<F> {
    future: Pin<Box<F>>,
    call: Arc<Call>,
    waker: Waker,
    /// Whom the call goes to.
    task: Option<Waker>,
}

/// Whether the future has called.
struct Call {
    has_come: AtomicBool,
    task: AtomicWaker,
}

impl Wake for Call {
    fn wake(self: Arc<Self>) {
        self.has_come.store(true, Ordering::Release);
        self.task.wake();
    }
}

impl<F: Future> Seldom<F> {
    pub(crate) fn new(future: F) -> Self {
        let call = Arc::new(Call { has_come: AtomicBool::new(true), task: AtomicWaker::new() });
        Self { future: Box::pin(future), waker: Waker::from(call.clone()), call, task: None }
    }
}

impl<F: Future> Future for Seldom<F> {
    type Output = F::Output;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<F::Output> {
        let this = &mut *self;
        if !this.task.as_ref().is_some_and(|task| task.will_wake(cx.waker())) {
            this.call.task.register(cx.waker());
            this.task = Some(cx.waker().clone());
        }
        // A call that comes from here on wakes the task again.
        if !this.call.has_come.load(Ordering::Relaxed) || !this.call.has_come.swap(false, Ordering::AcqRel) {
            return Poll::Pending;
        }
        this.future.as_mut().poll(&mut Context::from_waker(&this.waker))
    }
}

#[cfg(test)]
mod tests {
    use std::future::poll_fn;
    use std::pin::pin;

    use futures_util::{FutureExt, poll};
    use tokio_util::sync::CancellationToken;

    use super::*;

    #[tokio::test]
    async fn it_is_polled_when_it_calls() {
        let (token, mut polls) = (CancellationToken::new(), 0);
        let mut cancelled = Box::pin(token.cancelled());
        let counted = poll_fn(|cx| {
            polls += 1;
            cancelled.poll_unpin(cx)
        });
        let mut seldom = pin!(Seldom::new(counted));
        for _ in 0..3 {
            assert!(poll!(seldom.as_mut()).is_pending());
        }
        token.cancel();
        seldom.await;
        assert_eq!(polls, 2);
    }
}

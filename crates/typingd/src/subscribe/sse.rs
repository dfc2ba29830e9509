//! Server-Sent Events: a snapshot, then what changes, for as long as the client listens.

use std::future::poll_fn;
use std::io;
use std::sync::Arc;
use std::task::{Poll, ready};
use std::time::Duration;

use axum::body::Body;
use bytes::Bytes;
use http::header::{CACHE_CONTROL, CONTENT_TYPE, HeaderName, HeaderValue};
use tokio::time::{sleep_until, timeout};
use typingd_core::{Role, Scope, Time};

use super::event;
use super::form::{Form, LAST_CHUNK};
use super::watch::{Snapshot, Watch};
use crate::api::problem::Problem;
use crate::directory::Login;
use crate::gateway::{Gateway, Unlisted};
use crate::hub::{Call, Farewell, Subscription};
use crate::listener::{Line, Response};

/// How often a quiet stream says that it is there.
const HEARTBEAT: Duration = Duration::from_secs(15);

/// How long hanging up may take.
const LINGER: Duration = Duration::from_secs(2);

/// A stream of events, as an answer.
pub(crate) fn response(events: Body) -> Response {
    let mut response = Response::new(events);
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("text/event-stream"));
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-cache, no-transform"));
    // Without it, nginx holds the events back.
    headers.insert(HeaderName::from_static("x-accel-buffering"), HeaderValue::from_static("no"));
    response
}

/// A stream of all that happens in a scope. Its head is written by then; the rest of the connection is its own.
pub struct Stream {
    gateway: Arc<Gateway>,
    subscription: Subscription,
    watch: Watch,
    /// What it begins with.
    hello: Vec<Bytes>,
}

impl Stream {
    /// A stream for somebody who came by `login`, of this side if of any.
    ///
    /// # Errors
    /// A problem where there are as many streams as may be, where the credential has just been revoked, or where more
    /// leases live in the scope than a snapshot holds.
    pub async fn open(
        gateway: Arc<Gateway>,
        scope: Scope,
        side: Option<Role>,
        login: &Arc<Login>,
    ) -> Result<Box<Self>, Problem> {
        let subscription = gateway.subscribe(login)?;
        let watch = Watch::start(&gateway, &subscription, scope, side);
        let snapshot = watch.snapshot(&subscription, None).await?;
        let mut hello = vec![event::COMMENT, event::retry()];
        hello.extend(pieces(&snapshot));
        Ok(Box::new(Self { gateway, subscription, watch, hello }))
    }

    /// Tells what happens, to the stream's end.
    pub fn run(mut self: Box<Self>, mut line: Line, form: Form) -> impl Future<Output = ()> + Send {
        self.subscription.connect(&line, form);
        self.subscription.write(form.join(&std::mem::take(&mut self.hello)));
        // What a block captures is there once for as long as it runs; the arguments of an `async fn`, twice.
        async move {
            let Ok(farewell) = self.tell(&mut line, form).await else { return };
            self.subscription.leave();
            self.subscription.write(form.join(&[event::closed(farewell)]));
            if form == Form::Chunks {
                self.subscription.write(LAST_CHUNK);
            }
            if self.subscription.flush(&mut line).await.is_ok() {
                drop(self);
                let _ = timeout(LINGER, line.close()).await;
            }
        }
    }

    /// Why it ends by our doing; an error where its client ended it.
    async fn tell(&self, line: &mut Line, form: Form) -> io::Result<Farewell> {
        let clock = &self.gateway.clock;
        let membership = self.subscription.membership();
        let mut beat_at = clock.now();
        if let Err(farewell) = self.release(form).await {
            return Ok(farewell);
        }
        loop {
            // Whoever is dismissed is not waited for, whatever it has still to take.
            tokio::select! {
                biased;
                farewell = membership.at_once() => return Ok(farewell),
                flushed = self.subscription.flush(line) => flushed?,
            }
            let quiet_since = beat_at.max(self.subscription.last_told_at());
            tokio::select! {
                call = self.subscription.call() => match call {
                    Call::Flush => {}
                    Call::List => if let Err(farewell) = self.release(form).await {
                        return Ok(farewell);
                    },
                    Call::Leave(farewell) => return Ok(farewell),
                },
                end = gone(line) => return Err(end),
                () = sleep_until(clock.instant(quiet_since + HEARTBEAT)) => {
                    beat_at = self.beat(quiet_since, form);
                }
            }
        }
    }

    /// Says that it is there, unless it was told something meanwhile. When it said so last.
    fn beat(&self, quiet_since: Time, form: Form) -> Time {
        if self.subscription.last_told_at() > quiet_since {
            return quiet_since;
        }
        self.subscription.write(form.join(&[event::COMMENT]));
        self.gateway.clock.now()
    }

    /// Tells what was held, behind a new snapshot where changes were lost.
    async fn release(&self, form: Form) -> Result<(), Farewell> {
        while !self.subscription.release() {
            // Of what is held, the snapshot has all that it has not passed over.
            let snapshot = Box::pin(self.watch.snapshot(&self.subscription, None)).await;
            let pieces = match snapshot {
                Ok(snapshot) => pieces(&snapshot),
                Err(Unlisted::TooWide) => return Err(Farewell::TooWide),
                Err(Unlisted::Unavailable) => vec![event::degraded().event().clone()],
            };
            self.subscription.write(form.join(&pieces));
        }
        Ok(())
    }
}

fn pieces(snapshot: &Snapshot) -> Vec<Bytes> {
    let degraded = snapshot.is_degraded.then(event::degraded);
    std::iter::once(&snapshot.text).chain(&degraded).map(|text| text.event().clone()).collect()
}

/// Waits until the client hangs up. What it says is not read: from then on, only a write can tell whether it is there.
fn gone(line: &mut Line) -> impl Future<Output = io::Error> {
    poll_fn(|cx| match ready!(line.poll_read(cx, &mut Vec::new(), 1)) {
        Ok(1..) => Poll::Pending,
        Ok(_) => Poll::Ready(io::ErrorKind::UnexpectedEof.into()),
        Err(error) => Poll::Ready(error),
    })
}

//! Server-Sent Events: a snapshot, then what changes, for as long as the client listens.

use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use axum::body::Body;
use bytes::{Bytes, BytesMut};
use futures_util::{StreamExt, stream};
use http::header::{CACHE_CONTROL, CONTENT_TYPE, HeaderName, HeaderValue};
use tokio::time::{Interval, interval};
use typingd_core::{Role, Scope};

use super::event;
use super::watch::Watch;
use crate::api::problem::Problem;
use crate::directory::Login;
use crate::gateway::{Gateway, Unlisted};
use crate::hub::{Delivery, Farewell, Subscription};
use crate::listener::Response;

/// How often a quiet stream says that it is there.
const HEARTBEAT: Duration = Duration::from_secs(15);

/// How many events are written at once to somebody who has fallen behind.
const BATCH: usize = 64;

/// A stream of all that happens in the scope, for somebody who came by `login`, of this side if of any.
///
/// # Errors
/// A problem where there are as many streams as may be, where the credential has just been revoked, or where more leases
/// live in the scope than a snapshot holds.
pub async fn stream(
    gateway: Arc<Gateway>,
    scope: Scope,
    side: Option<Role>,
    login: &Login,
) -> Result<Response, Problem> {
    let mut subscription = gateway.subscribe(login)?;
    let mut watch = Watch::start(&gateway, &mut subscription, scope, side);
    let snapshot = watch.snapshot(None).await?;
    let mut heartbeat = interval(HEARTBEAT);
    heartbeat.reset();
    let session = Session { subscription, watch, heartbeat, is_over: false };
    let degraded = if snapshot.is_degraded { event::degraded().event().clone() } else { Bytes::new() };
    let hello = [&event::COMMENT, &event::retry(), snapshot.told.event(), &degraded];
    let hello = Bytes::from(hello.map(Bytes::as_ref).concat());
    let rest =
        stream::unfold(
            session,
            |mut session| async move { session.next().await.map(|bytes| (bytes, session)) },
        );
    let events = stream::iter([hello]).chain(rest).map(Ok::<_, Infallible>);
    Ok(response(Body::from_stream(events)))
}

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

struct Session {
    subscription: Subscription,
    watch: Watch,
    heartbeat: Interval,
    is_over: bool,
}

impl Session {
    /// What to write next; `None` at the end.
    async fn next(&mut self) -> Option<Bytes> {
        while !self.is_over {
            let news = tokio::select! {
                news = self.subscription.take(BATCH) => news,
                _ = self.heartbeat.tick() => return Some(event::COMMENT),
            };
            let news = match news {
                Ok(news) => news,
                Err(farewell) => {
                    self.is_over = true;
                    return Some(event::closed(farewell));
                }
            };
            let mut written = BytesMut::new();
            if news.iter().any(|delivery| matches!(delivery, Delivery::Lost)) {
                // Of what is on the queue, the snapshot has all that it has not passed over.
                match self.watch.snapshot(None).await {
                    Ok(snapshot) => {
                        written.extend_from_slice(snapshot.told.event());
                        if snapshot.is_degraded {
                            written.extend_from_slice(event::degraded().event());
                        }
                    }
                    Err(Unlisted::TooWide) => {
                        self.is_over = true;
                        return Some(event::closed(Farewell::TooWide));
                    }
                    Err(Unlisted::Unavailable) => written.extend_from_slice(event::degraded().event()),
                }
            }
            for delivery in news {
                match delivery {
                    Delivery::Change(news) if self.watch.has_news(&news) => {
                        written.extend_from_slice(news.told.event());
                    }
                    Delivery::Degraded => written.extend_from_slice(event::degraded().event()),
                    Delivery::Change(_) | Delivery::Lost => {}
                }
            }
            if !written.is_empty() {
                self.heartbeat.reset();
                return Some(written.freeze());
            }
        }
        None
    }
}

//! A hold that lives as long as a connection: a quiet stream whose end, by whoever's doing, ends the hold.

use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use axum::body::Body;
use bytes::Bytes;
use futures_util::{StreamExt, stream};
use tokio::time::{Interval, interval};
use uuid::Uuid;

use super::{event, sse};
use crate::api::problem::Problem;
use crate::directory::Login;
use crate::gateway::Gateway;
use crate::holds::{Ended, Hold};
use crate::hub::{Membership, Subscription};
use crate::listener::Response;

/// How often the connection is written to, and the hold beaten for, unless its idle cap would pass meanwhile.
const HEARTBEAT: Duration = Duration::from_secs(15);

/// Keeps a hold for as long as the response is read.
///
/// # Errors
/// Where there are as many streams as may be.
pub fn stream(gateway: Arc<Gateway>, id: Uuid, hold: Hold, login: &Arc<Login>) -> Result<Response, Problem> {
    // It watches nothing, and takes a place as any stream does; so it hears of the key's end and of the drain.
    let subscription = gateway.subscribe(login)?;
    let heartbeat = interval(HEARTBEAT.min(hold.idle / 2));
    let membership = subscription.membership();
    let attached =
        Attached { gateway, id, hold, membership, _subscription: subscription, heartbeat, is_over: false };
    let events = stream::unfold(attached, |mut attached| async move {
        attached.next().await.map(|bytes| (bytes, attached))
    });
    let events = stream::iter([event::COMMENT]).chain(events).map(Ok::<_, Infallible>);
    Ok(sse::response(Body::from_stream(events)))
}

struct Attached {
    gateway: Arc<Gateway>,
    id: Uuid,
    hold: Hold,
    membership: Membership,
    _subscription: Subscription,
    heartbeat: Interval,
    is_over: bool,
}

impl Attached {
    async fn next(&mut self) -> Option<Bytes> {
        if self.is_over {
            return None;
        }
        tokio::select! {
            () = self.hold.is_over.cancelled() => {
                self.is_over = true;
                Some(event::ended(self.hold.why.get().copied()))
            }
            farewell = self.membership.whenever() => {
                self.is_over = true;
                Some(event::closed(farewell))
            }
            _ = self.heartbeat.tick() => {
                let now = self.gateway.clock.now();
                // Where nothing is left to prolong, the hold has ended, and says so itself.
                let _ = self.gateway.beat(self.id, &self.hold, now).await;
                Some(event::COMMENT)
            }
        }
    }
}

impl Drop for Attached {
    fn drop(&mut self) {
        if self.hold.is_over.is_cancelled() || self.gateway.hands_over() {
            return;
        }
        let (gateway, id, hold) = (self.gateway.clone(), self.id, self.hold.clone());
        tokio::spawn(async move {
            let now = gateway.clock.now();
            let _ = gateway.end_hold(id, &hold, Ended::Vanished, now).await;
        });
    }
}

//! The operators' listener: is it alive, is it ready, and what does it count.

use std::iter;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use axum::Router;
use axum::body::Body;
use axum::extract::State;
use axum::routing::get;
use http::StatusCode;
use http::header::CONTENT_TYPE;
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;
use tower::ServiceExt;
use typingd_providers::Rejection;

use crate::api::problem::Problem;
use crate::gateway::Gateway;
use crate::listener::{self, Framing, Request, Response};

/// Connections of operators at a time.
const CONNECTIONS: usize = 64;

/// `/livez`, `/readyz` and `/metrics`.
fn router(gateway: Arc<Gateway>) -> Router {
    Router::new()
        .route("/livez", get(async || "alive\n"))
        .route("/readyz", get(ready))
        .route("/metrics", get(metrics))
        .with_state(gateway)
}

/// Whether it should be sent callers. It says no from the drain's beginning on.
///
/// Whether the store is out of reach, and which providers refuse us, it says below: callers are served all the same.
async fn ready(State(gateway): State<Arc<Gateway>>) -> (StatusCode, String) {
    let is_leaving = gateway.is_leaving.load(Ordering::Relaxed);
    let (status, word) = match is_leaving {
        true => (StatusCode::SERVICE_UNAVAILABLE, "draining"),
        false => (StatusCode::OK, "ready"),
    };
    let now = gateway.clock.now();
    let activity = gateway.relay.activity();
    let refused = activity.iter().filter_map(|one| one.standing.trouble(now));
    let store = gateway.fleet.as_ref().and_then(|fleet| fleet.trouble(&gateway));
    let lines = iter::once(word.to_owned()).chain(store).chain(refused);
    (status, lines.map(|line| line + "\n").collect())
}

async fn metrics(State(gateway): State<Arc<Gateway>>) -> ([(http::HeaderName, &'static str); 1], String) {
    gateway.metrics.set_upstreams(&gateway.relay.activity());
    let as_gauge = |count: usize| i64::try_from(count).unwrap_or(i64::MAX);
    if let Some(leases) = gateway.engine.store().leases_here() {
        // Others' ends are not counted one by one.
        gateway.metrics.leases.set(as_gauge(leases));
    }
    gateway.metrics.sides.set(as_gauge(gateway.engine.store().sides()));
    let text = "application/openmetrics-text; version=1.0.0; charset=utf-8";
    ([(CONTENT_TYPE, text)], gateway.metrics.text())
}

/// Serves operators for ever.
pub async fn serve(listener: TcpListener, gateway: Arc<Gateway>) {
    let router = router(gateway.clone());
    listener::accept(listener, CONNECTIONS, |socket, _, place| {
        let (router, limits) = (router.clone(), gateway.limits.listener.clone());
        let service = move |request, framing| answer(router.clone(), request, framing);
        tokio::spawn(async move {
            let _place = place;
            listener::connection(socket, limits, service, CancellationToken::new()).await;
        });
    })
    .await;
}

async fn answer(router: Router, request: Request, framing: Framing) -> Response {
    match framing {
        Err(why) => Problem::from(Rejection::Malformed { why: why.into() }).into(),
        Ok(()) => router.oneshot(request.map(Body::new)).await.unwrap_or_else(|never| match never {}),
    }
}

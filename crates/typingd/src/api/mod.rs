//! The native API, under `/typing/v1`.

pub(crate) mod explain;
pub(crate) mod fields;
mod holds;
mod leases;
pub mod problem;
mod scope;
mod signals;
mod socket;
mod stream;
mod ticket;
pub(crate) mod tickets;
mod upstreams;

use std::sync::Arc;

use axum::Router;
use axum::extract::Request;
use axum::handler::Handler;
use axum::routing::{get, post};
use http::header::{CACHE_CONTROL, CONTENT_TYPE, HeaderValue};
use serde::Serialize;
use typingd_providers::{Rejection, head};

use crate::console;
use crate::directory::{Directory, Login, TenantInfo};
use crate::gateway::Gateway;
use crate::ingress::Address;
use crate::listener::Response;
use problem::Problem;

/// All paths of the native API, and the answer to every path that is nobody's.
pub fn router(gateway: Arc<Gateway>) -> Router {
    // Where a ticket is spent, a HEAD is no GET.
    Router::new()
        .route("/typing/v1/signals", post(signals::post).fallback(only("POST")))
        .route("/typing/v1/leases", get(leases::get).fallback(only("GET")))
        .route("/typing/v1/stream", get(stream::get).head(only("GET")).fallback(only("GET")))
        .route("/typing/v1/socket", get(socket::get).head(only("GET")).fallback(only("GET")))
        .route("/typing/v1/tickets", post(tickets::post).fallback(only("POST")))
        .route("/typing/v1/holds", post(holds::post).fallback(only("POST")))
        .route("/typing/v1/holds/{id}/beats", post(holds::beat).fallback(only("POST")))
        .route("/typing/v1/holds/{id}/end", post(holds::end).fallback(only("POST")))
        .route("/typing/v1/holds/{id}/attach", get(holds::attach).fallback(only("GET")))
        .route("/typing/v1/explain", get(explain::get).fallback(only("GET")))
        .merge(console::router(&gateway))
        .fallback(async || Problem::from(Rejection::UnknownPath))
        .with_state(gateway)
}

/// More than any request or frame takes, in bytes.
pub(crate) const BODY_LIMIT: usize = 16 * 1024;

/// The answer to every method but those that a path takes.
pub(crate) fn only<S: Clone + Send + Sync + 'static>(allow: &'static str) -> impl Handler<((),), S> {
    async move || Problem::from(Rejection::MethodNotAllowed { allow })
}

/// A document, as an answer.
pub(crate) fn json(document: &impl Serialize) -> Response {
    let body = serde_json::to_vec(document).expect("strings and numbers can always be written");
    let mut response = Response::new(body.into());
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    response
}

/// The native API's name among the doors.
pub const NATIVE: &str = "native";

/// Who calls, within its rate.
pub(crate) fn authenticate(
    gateway: &Gateway,
    directory: &Directory,
    request: &Request,
) -> Result<Arc<Login>, Rejection> {
    let now = gateway.clock.now();
    let Some(&Address(address)) = request.extensions().get() else { return Err(Rejection::Internal) };
    gateway.failures.check(address, now)?;
    let key = head::authorization(request.headers(), "Bearer").unwrap_or_default();
    let Some(login) = directory.login(key) else {
        gateway.note_failure(NATIVE, address, now);
        return Err(Rejection::Unauthenticated);
    };
    tenant(directory, &login)?.rate.spend()?;
    Ok(login)
}

/// What is known of who calls.
pub(crate) fn tenant<'d>(directory: &'d Directory, login: &Login) -> Result<&'d TenantInfo, Rejection> {
    directory.tenant(&login.tenant).ok_or(Rejection::Unauthenticated)
}

/// The answer is of this moment, or nobody else's business.
pub(crate) fn forbid_storing(response: &mut Response) {
    response.headers_mut().insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
}

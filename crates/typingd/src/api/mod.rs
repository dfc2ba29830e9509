//! The native API, under `/typing/v1`.

mod leases;
pub mod problem;
mod scope;
mod signals;
mod stream;

use std::sync::Arc;

use axum::Router;
use axum::routing::{get, post};
use http::header::HeaderMap;
use typingd_core::Name;
use typingd_providers::{Rejection, head};

use crate::gateway::Gateway;
use problem::Problem;

/// All paths of the native API, and the answer to every path that is nobody's.
pub fn router(gateway: Arc<Gateway>) -> Router {
    let only = |allow| move || async move { Problem::from(Rejection::MethodNotAllowed { allow }) };
    Router::new()
        .route("/typing/v1/signals", post(signals::post).fallback(only("POST")))
        .route("/typing/v1/leases", get(leases::get).fallback(only("GET")))
        .route("/typing/v1/stream", get(stream::get).fallback(only("GET")))
        .fallback(async || Problem::from(Rejection::UnknownPath))
        .with_state(gateway)
}

/// Whose API key the request carries.
fn authenticate(gateway: &Gateway, headers: &HeaderMap) -> Result<Name, Rejection> {
    let key = head::authorization(headers, "Bearer").unwrap_or_default();
    gateway.tenants.of_key(key).cloned().ok_or(Rejection::Unauthenticated)
}

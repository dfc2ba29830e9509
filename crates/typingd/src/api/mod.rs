//! The native API, under `/typing/v1`.

mod leases;
pub mod problem;
mod scope;
mod signals;
mod stream;

use std::sync::Arc;

use axum::Router;
use axum::extract::Request;
use axum::routing::{get, post};
use typingd_providers::{Rejection, head};

use crate::directory::{Directory, Login, TenantInfo};
use crate::gateway::Gateway;
use crate::ingress::Address;
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

/// The native API's name among the doors.
pub const NATIVE: &str = "native";

/// Who calls, within its rate.
fn authenticate(gateway: &Gateway, directory: &Directory, request: &Request) -> Result<Login, Rejection> {
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
fn tenant<'d>(directory: &'d Directory, login: &Login) -> Result<&'d TenantInfo, Rejection> {
    directory.tenant(&login.tenant).ok_or(Rejection::Unauthenticated)
}

//! `GET /typing/v1/stream`: who is typing, from now on.

use std::sync::Arc;

use axum::extract::{Request, State};

use super::problem::Problem;
use super::{authenticate, scope};
use crate::gateway::Gateway;
use crate::listener::Response;
use crate::subscribe::sse;

pub(super) async fn get(State(gateway): State<Arc<Gateway>>, request: Request) -> Result<Response, Problem> {
    let tenant = authenticate(&gateway, request.headers())?;
    let channels = gateway.tenants.channels(&tenant);
    let scope = scope::parse(request.uri(), tenant, channels)?;
    sse::stream(gateway, scope).await
}

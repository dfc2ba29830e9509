//! `GET /typing/v1/stream`: who is typing, from now on.

use std::sync::Arc;

use axum::extract::{Request, State};

use super::problem::Problem;
use super::{authenticate, scope, tenant};
use crate::gateway::Gateway;
use crate::listener::Response;
use crate::subscribe::sse;

pub(super) async fn get(State(gateway): State<Arc<Gateway>>, request: Request) -> Result<Response, Problem> {
    let directory = gateway.directory.load_full();
    let login = authenticate(&gateway, &directory, &request)?;
    let info = tenant(&directory, &login)?;
    let scope = scope::parse(request.uri(), login.tenant.clone(), &info.channels)?;
    sse::stream(gateway, scope, login.key, info.quota.streams).await
}

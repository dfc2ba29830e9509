//! What the native API answers, for whoever looks at the console.

use std::sync::Arc;

use axum::extract::{Request, State};

use crate::api::problem::Problem;
use crate::api::{explain, tickets};
use crate::gateway::Gateway;
use crate::listener::Response;

/// `POST /console/tickets`: a ticket for the page's own socket.
pub(super) async fn ticket(
    State(gateway): State<Arc<Gateway>>,
    request: Request,
) -> Result<Response, Problem> {
    let directory = gateway.directory.load_full();
    let login = gateway.viewer(&directory, request.headers())?;
    tickets::issue(&gateway, login, request).await
}

/// `GET /console/explain`.
pub(super) async fn explanation(
    State(gateway): State<Arc<Gateway>>,
    request: Request,
) -> Result<Response, Problem> {
    let directory = gateway.directory.load_full();
    let viewer = gateway.viewer(&directory, request.headers())?;
    explain::document(&gateway, &viewer.tenant, request.uri()).await
}

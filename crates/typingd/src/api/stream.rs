//! `GET /typing/v1/stream`: who is typing, from now on.

use std::sync::Arc;

use axum::extract::{Request, State};
use typingd_core::Scope;

use super::problem::Problem;
use super::{authenticate, scope, tenant, ticket};
use crate::gateway::Gateway;
use crate::listener::Response;
use crate::origins::Origins;
use crate::subscribe::sse;

pub(super) async fn get(State(gateway): State<Arc<Gateway>>, request: Request) -> Result<Response, Problem> {
    let directory = gateway.directory.load_full();
    let is_by_ticket = ticket::of(&request).is_some();
    let (login, within, side) = if is_by_ticket {
        let ticket = ticket::shown(&gateway, &request)?.redeem(&gateway).await?;
        (ticket.login, ticket.scope, Some(ticket.role))
    } else {
        let login = authenticate(&gateway, &directory, &request)?;
        let within = Scope::tenant(login.tenant.clone());
        (login, within, None)
    };
    let channels = &tenant(&directory, &login)?.channels;
    let scope = scope::parse(request.uri(), &[ticket::PARAMETER], &within, channels)?;
    let mut response = sse::stream(gateway, scope, side, &login).await?;
    if is_by_ticket {
        Origins::expose(request.headers(), response.headers_mut());
    }
    Ok(response)
}

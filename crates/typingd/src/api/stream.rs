//! `GET /typing/v1/stream`: who is typing, from now on.

use std::convert::Infallible;
use std::sync::Arc;

use axum::body::Body;
use axum::extract::{Request, State};
use bytes::Bytes;
use futures_util::stream;
use http::Version;
use typingd_core::Scope;

use super::problem::Problem;
use super::{authenticate, scope, tenant, ticket};
use crate::gateway::Gateway;
use crate::listener::{Handover, Response};
use crate::origins::Origins;
use crate::subscribe::form::Form;
use crate::subscribe::sse::{self, Stream};

pub(super) async fn get(
    State(gateway): State<Arc<Gateway>>,
    mut request: Request,
) -> Result<Response, Problem> {
    let handover = request.extensions_mut().remove::<Handover>();
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
    let opened = Stream::open(gateway, scope, side, &login).await?;
    let form = if request.version() == Version::HTTP_10 { Form::Bare } else { Form::Chunks };
    if let Some(handover) = handover {
        handover.to(move |line| opened.run(line, form));
    }
    // Of a length that nobody knows.
    let mut response = sse::response(Body::from_stream(stream::pending::<Result<Bytes, Infallible>>()));
    if is_by_ticket {
        Origins::expose(request.headers(), response.headers_mut());
    }
    Ok(response)
}

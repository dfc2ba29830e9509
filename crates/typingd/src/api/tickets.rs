//! `POST /typing/v1/tickets`: lets a browser in, for as much as its server says.

use std::sync::Arc;

use axum::extract::{Request, State};
use bytes::Bytes;
use serde::Serialize;
use typingd_core::Scope;
use typingd_providers::json::{self, Fields};
use typingd_providers::{FaultKind, Faults, Rejection, head};

use super::problem::Problem;
use super::{BODY_LIMIT, authenticate, fields};
use crate::body;
use crate::directory::{Channels, Login};
use crate::gateway::Gateway;
use crate::listener::Response;
use crate::tickets::{self, Ticket};

const FIELDS: [&str; 7] = ["channel", "agent", "user", "side", "participant", "name", "access"];

pub(super) async fn post(State(gateway): State<Arc<Gateway>>, request: Request) -> Result<Response, Problem> {
    let directory = gateway.directory.load_full();
    let login = authenticate(&gateway, &directory, &request)?;
    issue(&gateway, login, request).await
}

/// Issues a ticket to somebody who is logged in.
///
/// # Errors
/// A problem with what is asked for, or where the tenant has as many tickets waiting as it may.
pub(crate) async fn issue(
    gateway: &Gateway,
    login: Arc<Login>,
    request: Request,
) -> Result<Response, Problem> {
    #[derive(Serialize)]
    struct Issued {
        ticket: String,
        expires_in_ms: u128,
    }
    let directory = gateway.directory.load_full();
    let info = super::tenant(&directory, &login)?;
    let (head, body) = request.into_parts();
    if !head::is_media_type(&head.headers, "application/json") {
        return Err(Rejection::UnsupportedMediaType.into());
    }
    let body = body::read(&head.headers, body, BODY_LIMIT, gateway.limits.body_timeout).await?;
    let ticket = read(&body, login, &info.channels)?;
    let text = gateway.tickets.issue(ticket.clone(), info.quota.streams, gateway.clock.now())?;
    gateway.share_ticket(&text, &ticket).await;
    let mut response = super::json(&Issued { ticket: text, expires_in_ms: tickets::LIFETIME.as_millis() });
    super::forbid_storing(&mut response);
    Ok(response)
}

fn read(body: &Bytes, login: Arc<Login>, channels: &Channels) -> Result<Ticket, Rejection> {
    let body = json::parse(body)?;
    let fields = Fields::of_body(&body)?;
    let mut faults = Faults::default();
    let scope = fields::scope(&fields, &mut faults, &Scope::tenant(login.tenant.clone()), channels);
    let role = fields::word(&fields, &mut faults, "side", &fields::ROLES, fields::ROLE);
    let participant = fields::name(&fields, &mut faults, "participant", false);
    let name = fields::name(&fields, &mut faults, "name", false);
    let accesses = [("read", false), ("read_write", true)];
    let may_write = fields::word(&fields, &mut faults, "access", &accesses, "`read` or `read_write`");
    fields.only(&mut faults, &FIELDS, "one of the documented fields");
    // Whoever is a user is one of them.
    if role == Some(typingd_core::Role::User) && fields.get("user").is_none() {
        fields.fault(
            &mut faults,
            "user",
            FaultKind::Missing,
            "whom the ticket is for, where `side` is `user`",
        );
    }
    faults.none()?;
    let (Some(role), Some(may_write)) = (role, may_write) else {
        unreachable!("a required field that could not be read is a fault");
    };
    let (participant, name) = (participant.map(Into::into), name.map(Into::into));
    Ok(Ticket { login, scope, role, participant, name, may_write })
}

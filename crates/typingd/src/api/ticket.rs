//! Coming in by a ticket: `?ticket=…`, which a browser may send where it can send no header.

use axum::extract::Request;
use typingd_providers::Rejection;

use super::NATIVE;
use super::problem::Problem;
use crate::gateway::Gateway;
use crate::ingress::Address;
use crate::tickets::Ticket;

/// The parameter's name.
pub(super) const PARAMETER: &str = "ticket";

/// The ticket's text, where a request shows one.
pub(super) fn of(request: &Request) -> Option<String> {
    let query = request.uri().query()?;
    let (_, ticket) = form_urlencoded::parse(query.as_bytes()).find(|(name, _)| name == PARAMETER)?;
    Some(ticket.into_owned())
}

/// Takes in the ticket of a request from a page that may come in.
///
/// # Errors
/// A problem for another page, which spends nothing, and where the ticket is not good, or not any more.
pub(super) fn redeem(gateway: &Gateway, request: &Request) -> Result<Ticket, Problem> {
    let now = gateway.clock.now();
    let Some(&Address(address)) = request.extensions().get() else { return Err(Rejection::Internal.into()) };
    let scheme = request.extensions().get().copied();
    gateway.failures.check(address, now)?;
    gateway.origins.check(request.headers(), scheme)?;
    let ticket = gateway.tickets.redeem(&of(request).unwrap_or_default(), now);
    let Some(ticket) = ticket else {
        gateway.note_failure(NATIVE, address, now);
        return Err(Rejection::Unauthenticated.into());
    };
    let directory = gateway.directory.load();
    directory.tenant(&ticket.login.tenant).ok_or(Rejection::Unauthenticated)?.rate.spend()?;
    Ok(ticket)
}

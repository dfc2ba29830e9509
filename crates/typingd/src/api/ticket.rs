//! Coming in by a ticket: `?ticket=…`, which a browser may send where it can send no header.

use std::net::IpAddr;

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

/// A ticket that a page shows which may come in.
pub(super) struct Shown {
    text: String,
    address: IpAddr,
}

/// The ticket of a request from a page that may come in.
///
/// # Errors
/// A problem for another page, which spends nothing.
pub(super) fn shown(gateway: &Gateway, request: &Request) -> Result<Shown, Problem> {
    let Some(&Address(address)) = request.extensions().get() else { return Err(Rejection::Internal.into()) };
    let scheme = request.extensions().get().copied();
    gateway.failures.check(address, gateway.clock.now())?;
    gateway.origins.check(request.headers(), scheme)?;
    Ok(Shown { text: of(request).unwrap_or_default(), address })
}

impl Shown {
    /// Takes it in.
    ///
    /// # Errors
    /// Where it is not good, or not any more.
    pub(super) async fn redeem(self, gateway: &Gateway) -> Result<Ticket, Problem> {
        let now = gateway.clock.now();
        let Some(ticket) = gateway.redeem_ticket(&self.text, now).await else {
            gateway.note_failure(NATIVE, self.address, now);
            return Err(Rejection::Unauthenticated.into());
        };
        let directory = gateway.directory.load();
        directory.tenant(&ticket.login.tenant).ok_or(Rejection::Unauthenticated)?.rate.spend()?;
        Ok(ticket)
    }
}

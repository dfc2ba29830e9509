//! `GET /typing/v1/leases`: who is typing now.

use std::sync::Arc;

use axum::extract::{Request, State};
use serde::Serialize;
use typingd_core::Scope;
use typingd_core::store::Listing;

use super::problem::Problem;
use super::{authenticate, scope, tenant};
use crate::gateway::Gateway;
use crate::listener::Response;
use crate::wire::LeaseBody;

pub(super) async fn get(State(gateway): State<Arc<Gateway>>, request: Request) -> Result<Response, Problem> {
    #[derive(Serialize)]
    struct Leases<'a> {
        leases: Vec<LeaseBody<'a>>,
    }
    let directory = gateway.directory.load_full();
    let login = authenticate(&gateway, &directory, &request)?;
    let info = tenant(&directory, &login)?;
    let scope = scope::parse(request.uri(), &[], &Scope::tenant(login.tenant.clone()), &info.channels)?;
    let now = gateway.clock.now();
    let mut listing = gateway.list(&scope, now).await?;
    sort(&mut listing);
    let leases =
        listing.leases.iter().map(|(side, lease)| LeaseBody::new(side, lease, now, &gateway.clock)).collect();
    let mut response = super::json(&Leases { leases });
    super::forbid_storing(&mut response);
    Ok(response)
}

/// Puts them in the order in which they are shown.
pub(super) fn sort(listing: &mut Listing) {
    listing.leases.sort_by(|(a, a_lease), (b, b_lease)| {
        a.cmp(b).then_with(|| a_lease.participant.cmp(&b_lease.participant))
    });
}

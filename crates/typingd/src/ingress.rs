//! A signal's way in: which face a request is for.

use std::borrow::Cow;
use std::net::IpAddr;
use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use axum::Router;
use axum::body::Body;
use futures_util::FutureExt;
use http::StatusCode;
use http::header::{CONNECTION, HeaderValue};
use tower::ServiceExt;
use tracing::{Instrument, debug, debug_span, error};
use typingd_providers::head::pick;
use typingd_providers::{Provider, Refusal, Rejection};

use crate::api::NATIVE;
use crate::api::problem::Problem;
use crate::console::CONSOLE;
use crate::exchange::Exchange;
use crate::gateway::Gateway;
use crate::ids;
use crate::listener::{Framing, Request, Response};
use crate::origins::FETCH_SITE;
use crate::webhooks::{self, WEBHOOK};

/// The caller behind a request, for those who look at it later.
#[derive(Clone, Copy, Debug)]
pub struct Address(pub IpAddr);

/// Serves one request: at the door that its path belongs to, or on the native API.
pub async fn serve(
    gateway: Arc<Gateway>,
    native: Router,
    peer: IpAddr,
    request: Request,
    framing: Framing,
) -> Response {
    let began = gateway.clock.elapsed();
    let (head, body) = request.into_parts();
    let address = gateway.caller(peer, &head.headers);
    let [given, fetch_site] = pick(&head.headers, [ids::REQUEST_ID.as_str(), FETCH_SITE]);
    let given = given.text();
    let id = ids::of_request(given);
    let directory = gateway.directory.load_full();
    // Whose credential came as a name gets it back as ever, so that nothing can be learned from it.
    let is_credential = given == Some(&*id) && directory.is_credential(&id);
    let logged_id = if is_credential { Cow::Owned(ids::text(ids::unique())) } else { Cow::Borrowed(&*id) };
    let path = head.uri.path();
    let is_webhook = webhooks::owns(path);
    let is_for_people = gateway.console.owns(path);
    let doors = || directory.doors.iter().map(AsRef::as_ref).filter(|_| !is_webhook);
    // What else a provider's clients ask goes through to it, where it is behind its door.
    let is_meant = |door: &&dyn Provider| gateway.relay.leads_through(door.name()) && door.is_meant(&head);
    let door = doors().find(|door| door.owns(path));
    let door = door.or_else(|| doors().find(is_meant).filter(|_| !is_for_people));
    let name = match door {
        Some(door) => door.name(),
        None if is_webhook => WEBHOOK,
        None if is_for_people => CONSOLE,
        None => NATIVE,
    };

    let is_sound = framing.is_ok();
    let scheme = gateway.scheme(peer, &head.headers);
    // The console lets links from anywhere lead to its page.
    let is_of_own_site =
        if name == CONSOLE { Ok(()) } else { gateway.origins.check_site(fetch_site, &head.headers, scheme) };
    let bar = gateway.origins.check_name(&head.headers).and(is_of_own_site);
    // Boxed, because it is moved about as a whole.
    let answer = Box::pin(async {
        match (door, framing, bar) {
            (Some(door), framing, bar) => {
                let is_fit = framing.and(bar).map_err(|why| Rejection::Malformed { why: why.into() });
                let exchange =
                    Exchange { gateway: &gateway, directory: &directory, door, head: &head, address };
                exchange.run(body, is_fit).await
            }
            (None, Err(why), _) => Problem::from(Rejection::Malformed { why: why.into() }).into(),
            (None, Ok(()), Err(why)) => Problem::forbidden(why).into(),
            (None, Ok(()), Ok(())) if is_webhook => {
                Box::pin(webhooks::serve(&gateway, &directory, &head, body, address)).await
            }
            (None, Ok(()), Ok(())) => {
                let mut head = head.clone();
                head.extensions.insert(Address(address));
                if let Some(scheme) = scheme {
                    head.extensions.insert(scheme);
                }
                let request = http::Request::from_parts(head, Body::new(body));
                Box::pin(native.oneshot(request)).await.unwrap_or_else(|never| match never {})
            }
        }
    });
    let answer = AssertUnwindSafe(answer)
        .catch_unwind()
        .instrument(debug_span!("request", id = &*logged_id, door = name))
        .await;
    let mut response = answer.unwrap_or_else(|_| {
        error!(id = &*logged_id, door = name, "a request could not be served: this is a bug");
        let refusal = Refusal::from(Rejection::Internal);
        door.map_or_else(
            || Problem::from(Rejection::Internal).into(),
            |door| door.refuse(&head, &refusal).map(Body::from),
        )
    });

    let status = response.status().as_u16();
    let took = gateway.clock.elapsed().saturating_sub(began);
    gateway.metrics.answered(name, status, took);
    debug!(id = &*logged_id, door = name, status, took_us = took.as_micros(), "answered");
    if let Ok(id) = HeaderValue::try_from(id) {
        response.headers_mut().insert(ids::REQUEST_ID, id);
    }
    // Who keeps its connection while the gateway goes away sends the next request to nobody.
    let stays_http = status != StatusCode::SWITCHING_PROTOCOLS;
    if stays_http && (!is_sound || gateway.is_leaving.load(Ordering::Relaxed)) {
        response.headers_mut().insert(CONNECTION, HeaderValue::from_static("close"));
    }
    response
}

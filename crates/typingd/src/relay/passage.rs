//! Requests that go through to a provider, and its answers that come back.

use std::sync::Arc;
use std::time::Duration;

use axum::body::Body;
use bytes::{Bytes, BytesMut};
use futures_util::{StreamExt, stream};
use http::header::{CONNECTION, CONTENT_LENGTH, HeaderName, TRAILER, TRANSFER_ENCODING, UPGRADE};
use http::request::Parts;
use http::{HeaderMap, Response, StatusCode};
use http_body::Body as _;
use http_body_util::BodyExt;
use hyper::body::Incoming;
use tokio::sync::OwnedSemaphorePermit;
use tokio::time::timeout;
use typingd_core::Name;
use typingd_providers::upstream::{ANSWER_LIMIT, Passing};
use typingd_providers::{Account as DoorAccount, RefusalKind, Refused, Rejection};

use super::Relay;
use super::account::{Account, No};
use crate::client::Failure;

/// What holds of one connection alone.
const OF_CONNECTION: [HeaderName; 7] = [
    CONNECTION,
    HeaderName::from_static("keep-alive"),
    HeaderName::from_static("proxy-authenticate"),
    HeaderName::from_static("proxy-connection"),
    TRAILER,
    TRANSFER_ENCODING,
    UPGRADE,
];

/// A request that is to go through.
pub(crate) struct Parcel {
    /// Its head, as it came.
    pub(crate) head: Parts,
    /// Its path, without what the sender's account has before it.
    pub(crate) path: String,
    /// What was read of its body.
    pub(crate) lead: Bytes,
    /// Whose it is.
    pub(crate) sender: DoorAccount,
}

/// A provider's answer, on its way back.
pub(crate) struct Returned {
    response: Response<Incoming>,
    place: OwnedSemaphorePermit,
    patience: Duration,
}

impl Relay {
    /// Where what an account of a door says about an agent of ours goes through to, or what it says about none; `None`
    /// where its own provider is not behind it.
    pub(crate) fn through(
        &self,
        door: &str,
        account: &DoorAccount,
        agent: Option<&str>,
    ) -> Option<Arc<Account>> {
        self.routes.load().through(door, account, agent).cloned()
    }

    /// Whether anything that comes to a door goes through.
    pub(crate) fn leads_through(&self, door: &str) -> bool {
        self.routes.load().lead_through(door)
    }
}

impl Account {
    /// Lets a request through, with what follows of its body, and gives the answer as soon as its head is there.
    ///
    /// # Errors
    /// What the caller is to be told where there is none.
    pub(crate) async fn pass(&self, parcel: Parcel, rest: Option<Body>) -> Result<Returned, Rejection> {
        const FULL: Rejection = Rejection::TooMany { retry_after_s: 1 };
        let place = self.places.clone().try_acquire_owned().map_err(|_| FULL)?;
        let patience = self.limits().message_timeout;
        let rest = rest.filter(|rest| !rest.is_end_stream());
        let is_whole = rest.is_none();
        let mut response = self.try_to_pass(&parcel, rest).await;
        if is_whole && matches!(&response, Ok((_, true))) {
            // The token was spent, and is a new one now.
            response = self.try_to_pass(&parcel, None).await;
        }
        let (response, _) = response.map_err(|no| no.rejection())?;
        Ok(Returned { response, place, patience })
    }

    /// Lets a request through. Says with the answer whether it was refused for a token that has been given up since.
    async fn try_to_pass(
        &self,
        parcel: &Parcel,
        rest: Option<Body>,
    ) -> Result<(Response<Incoming>, bool), No> {
        let Parcel { head, path, lead, sender } = parcel;
        let upstream = &*self.settings.upstream;
        let rename = |theirs: &str| -> Option<Name> {
            let ours = sender.aliases.get(theirs).map_or(theirs, Name::as_str);
            Some(upstream.agent(ours)).filter(|name| *name != theirs).map(Name::from)
        };
        let token = self.token().await?;
        let fresh = self.fresh(token.as_ref());
        let passing = Passing { head, path, lead: lead.clone(), rename: &rename };
        let request = upstream.pass(passing, &fresh).ok_or(No::Unsayable(RefusalKind::Recipient))?;
        let request = request.map(|lead| match rest {
            None => Body::from(lead),
            Some(rest) => Body::from_stream(stream::iter([Ok(lead)]).chain(rest.into_data_stream())),
        });
        let response = self.client.send(request, self.limits().message_timeout).await.map_err(No::Failed)?;
        if response.status().is_informational() {
            // Nobody has asked for another protocol.
            return Err(No::Failed(Failure::Broken));
        }
        let is_new = match token.filter(|_| response.status() == StatusCode::UNAUTHORIZED) {
            // A path that always says so must not have a token asked for with each call.
            Some(spent) => self.tokens.forget_old(&spent, self.clock.now()).await,
            None => false,
        };
        Ok((response, is_new))
    }

    /// Whether the provider took what was passed to it. As much of the answer as that takes is read here, and comes back
    /// with it.
    ///
    /// # Errors
    /// [`Rejection::UpstreamTimeout`] where the answer breaks off: nobody can tell what became of it.
    pub(crate) async fn judge(
        &self,
        returned: Returned,
    ) -> Result<(Response<Body>, Result<(), Refused>), Rejection> {
        let (head, mut body) = returned.response.into_parts();
        let mut read = BytesMut::new();
        while read.len() <= ANSWER_LIMIT {
            let Some(frame) = body.frame().await else { break };
            let frame = frame.map_err(|_| Rejection::UpstreamTimeout)?;
            read.extend_from_slice(frame.data_ref().map_or(&[], |data| data));
        }
        let read = read.freeze();
        let verdict = self.verdict(head.status, &head.headers, &read);
        let returned = Returned { response: Response::from_parts(head, body), ..returned };
        Ok((returned.into_response(read), verdict))
    }

    /// How long the answer to a request that goes through may take.
    pub(crate) fn patience(&self) -> Duration {
        self.limits().message_timeout
    }
}

impl Returned {
    /// The answer for the caller, as it comes, after what was read of it already.
    pub(crate) fn into_response(self, read: Bytes) -> Response<Body> {
        let Self { response, place, patience } = self;
        let (mut head, body) = response.into_parts();
        drop_of_connection(&mut head.headers);
        if body.is_end_stream() {
            return Response::from_parts(head, Body::from(read));
        }
        let rest = stream::try_unfold((body, place), move |(mut body, place)| async move {
            loop {
                let frame = timeout(patience, body.frame()).await.map_err(|_| Failure::TimedOut)?;
                let Some(frame) = frame else { return Ok(None) };
                if let Ok(data) = frame.map_err(|_| Failure::Broken)?.into_data() {
                    return Ok(Some((data, (body, place))));
                }
            }
        });
        let first = stream::iter((!read.is_empty()).then_some(Ok::<Bytes, Failure>(read)));
        Response::from_parts(head, Body::from_stream(first.chain(rest)))
    }
}

fn drop_of_connection(headers: &mut HeaderMap) {
    if headers.contains_key(TRANSFER_ENCODING) {
        // It went before the length, which says nothing then.
        headers.remove(CONTENT_LENGTH);
    }
    let named: Vec<HeaderName> = headers
        .get_all(CONNECTION)
        .iter()
        .flat_map(|value| value.as_bytes().split(|byte| *byte == b','))
        .filter_map(|name| HeaderName::from_bytes(name.trim_ascii()).ok())
        .collect();
    for name in OF_CONNECTION.iter().chain(&named) {
        headers.remove(name);
    }
}

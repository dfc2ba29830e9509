//! The console: a page for people, and the API behind it.
//!
//! It shows what the tenant's own keys can see, and knows nobody else: in `serve` whoever logs in with a native API key
//! has a session, in dev mode everybody on this machine is let in, and there alone the text of messages is kept. It
//! refuses to know how a lease comes about: the page speaks through the native API's tickets like any other client.

mod assets;
mod feed;
mod feed_event;
mod gate;
mod messages;
mod native;
mod places;
mod session;
mod sessions;
mod transcript;
pub(crate) mod try_it;

use std::sync::Arc;

use axum::Router;
use axum::middleware::from_fn_with_state;
use axum::routing::{get, post};
use http::HeaderMap;
use tokio::sync::watch;
use typingd_providers::Rejection;

pub use transcript::{Speaker, Transcript};

use crate::api::only;
use crate::clock::Clock;
use crate::config;
use crate::directory::{Directory, Login};
use crate::gateway::Gateway;
use places::Places;
use sessions::Sessions;

/// The console's name among the doors.
pub const CONSOLE: &str = "console";

/// What the console keeps.
pub struct Console {
    mode: config::Console,
    /// Who is logged in.
    sessions: Sessions,
    /// What was said, in dev mode; `None` anywhere else.
    pub transcript: Option<Transcript>,
    /// Places for feeds.
    feeds: Arc<Places>,
    /// Tells the feeds to look again whether they may go on, and whether the gateway is going away.
    is_closing: watch::Sender<bool>,
}

impl Console {
    /// A console in this mode.
    #[must_use]
    pub fn new(mode: config::Console) -> Self {
        Self {
            mode,
            sessions: Sessions::default(),
            transcript: (mode == config::Console::Open).then(Transcript::default),
            feeds: Arc::default(),
            is_closing: watch::Sender::new(false),
        }
    }

    /// Whether requests on this path are for the console.
    #[must_use]
    pub fn owns(&self, path: &str) -> bool {
        self.mode != config::Console::Off && (path == "/" || path.starts_with("/console/"))
    }

    /// Has every feed look again whether it may go on.
    pub fn recheck(&self) {
        self.is_closing.send_modify(|_| {});
    }

    /// Ends every feed, for the gateway is going away.
    pub fn close(&self) {
        self.is_closing.send_replace(true);
    }

    /// Whether a login's session goes on; one without a session needs none.
    pub(crate) fn is_on(&self, login: &Login, clock: Clock) -> bool {
        login.session.is_none_or(|session| self.sessions.is_live(session, clock.now()))
    }

    /// Ends the sessions of such logins.
    pub(crate) fn end_sessions(&self, of: impl Fn(&Login) -> bool) {
        self.sessions.end_all(of);
    }

    fn is_open(&self) -> bool {
        self.mode == config::Console::Open
    }
}

/// All paths of the console; none where it is off.
pub fn router(gateway: &Arc<Gateway>) -> Router<Arc<Gateway>> {
    if gateway.console.mode == config::Console::Off {
        return Router::new();
    }
    let session = get(session::show).post(session::log_in).delete(session::log_out);
    let mut router = assets::router()
        .route("/console/tickets", post(native::ticket).fallback(only("POST")))
        .route("/console/session", session.fallback(only("GET, HEAD, POST, DELETE")))
        .route("/console/explain", get(native::explanation).fallback(only("GET, HEAD")))
        .route("/console/feed", get(feed::get).fallback(only("GET, HEAD")));
    if gateway.console.transcript.is_some() {
        router = router.route("/console/messages", post(messages::post).fallback(only("POST")));
    }
    router.route_layer(from_fn_with_state(gateway.clone(), gate::keep))
}

/// Closes what a session has opened when it ends, with nobody asking.
pub async fn close_with_sessions(gateway: &Gateway) {
    loop {
        gateway.console.sessions.ended(gateway.clock).await;
        gateway.close_revoked();
    }
}

impl Gateway {
    /// Who looks at the console, within its tenant's rate.
    fn viewer(&self, directory: &Directory, headers: &HeaderMap) -> Result<Arc<Login>, Rejection> {
        let viewer = if self.console.is_open() {
            directory.sole_login()
        } else {
            let now = self.clock.now();
            session::token(headers).and_then(|token| self.console.sessions.find(token, now))
        };
        let viewer = viewer.filter(|login| directory.is_good(login)).ok_or(Rejection::Unauthenticated)?;
        directory.tenant(&viewer.tenant).ok_or(Rejection::Unauthenticated)?.rate.spend()?;
        Ok(viewer)
    }
}

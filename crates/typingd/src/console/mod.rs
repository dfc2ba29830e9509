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
mod session;
mod sessions;
mod transcript;
pub(crate) mod try_it;

use std::sync::Arc;

use axum::Router;
use axum::middleware::from_fn_with_state;
use axum::routing::{get, post};
use http::HeaderMap;
use tokio::sync::{Semaphore, watch};
use typingd_providers::Rejection;

pub use transcript::{Speaker, Transcript};

use crate::api::only;
use crate::config;
use crate::directory::{Directory, Login};
use crate::gateway::Gateway;
use sessions::Sessions;

/// The console's name among the doors.
pub const CONSOLE: &str = "console";

/// How many feeds there may be at a time; one more is answered 429.
const FEEDS: usize = 64;

/// What the console keeps.
pub struct Console {
    mode: config::Console,
    /// Who is logged in.
    sessions: Sessions,
    /// What was said, in dev mode; `None` anywhere else.
    pub transcript: Option<Transcript>,
    /// Places for feeds.
    feeds: Arc<Semaphore>,
    /// Tells the feeds to look again whether they may go on, and whether the gateway is going away.
    is_closing: watch::Sender<bool>,
    /// Whether callers come in over TLS.
    has_tls: bool,
}

/// Who looks at the console.
#[derive(Clone, Debug)]
struct Viewer {
    login: Login,
    /// The session, where it takes one.
    session: Option<sessions::Id>,
}

impl Console {
    /// A console in this mode, for callers who come over TLS or not.
    #[must_use]
    pub fn new(mode: config::Console, has_tls: bool) -> Self {
        Self {
            mode,
            sessions: Sessions::default(),
            transcript: (mode == config::Console::Open).then(Transcript::default),
            feeds: Arc::new(Semaphore::new(FEEDS)),
            is_closing: watch::Sender::new(false),
            has_tls,
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

impl Gateway {
    /// Who looks at the console, within its tenant's rate.
    fn viewer(&self, directory: &Directory, headers: &HeaderMap) -> Result<Viewer, Rejection> {
        let viewer = if self.console.is_open() {
            directory.sole_login().map(|login| Viewer { login, session: None })
        } else {
            let now = self.clock.now();
            let found = session::tokens(headers).find_map(|token| self.console.sessions.find(token, now));
            found.map(|(id, login)| Viewer { login, session: Some(id) })
        };
        let viewer = viewer.filter(|viewer| directory.is_good(&viewer.login.tenant, viewer.login.key));
        let viewer = viewer.ok_or(Rejection::Unauthenticated)?;
        directory.tenant(&viewer.login.tenant).ok_or(Rejection::Unauthenticated)?.rate.spend()?;
        Ok(viewer)
    }

    /// Whether a viewer who was let in may still look.
    fn may_view(&self, viewer: &Viewer) -> bool {
        let Login { tenant, key } = &viewer.login;
        let has_session =
            viewer.session.is_none_or(|session| self.console.sessions.is_live(session, self.clock.now()));
        has_session && self.directory.load().is_good(tenant, *key)
    }
}

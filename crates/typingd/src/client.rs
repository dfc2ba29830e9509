//! Calls to other people's servers: connections that are kept, TLS, HTTP/2 where it is offered.
//!
//! No redirect is followed, no proxy is taken from the environment, and nothing is added to a request: what is asked for
//! is what is sent.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use axum::body::Body;
use bytes::{Bytes, BytesMut};
use http::{HeaderMap, Request, Response, StatusCode};
use http_body_util::BodyExt;
use hyper::body::Incoming;
use hyper_rustls::builderstates::WantsSchemes;
use hyper_rustls::{HttpsConnector, HttpsConnectorBuilder};
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::{TokioExecutor, TokioTimer};
use rustls::crypto::aws_lc_rs::default_provider;
use rustls::{ClientConfig, RootCertStore};
use tokio::time::timeout;
use tracing::warn;
use typingd_providers::upstream::ANSWER_LIMIT;

/// How long it may take to reach a server.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(3);

/// How long a connection is kept that nobody uses: less than servers usually keep theirs.
const IDLE_TIMEOUT: Duration = Duration::from_secs(50);

/// How many idle connections are kept for each server.
const IDLE_CONNECTIONS: usize = 64;

/// As much as is taken of an answer's head, in bytes.
const HEAD_LIMIT: usize = 64 * 1024;

/// How often a connection that several calls share is asked whether it lives, and how long it may take to say so.
const PING_EVERY: Duration = Duration::from_secs(5);

/// Who calls. Clones share their connections.
#[derive(Clone, Debug)]
pub struct Client {
    connector: HttpsConnector<HttpConnector>,
    pool: hyper_util::client::legacy::Client<HttpsConnector<HttpConnector>, Body>,
}

/// An answer, whole: its body as far as it is looked at.
#[derive(Debug)]
pub struct Answer {
    /// Its status.
    pub status: StatusCode,
    /// Its headers.
    pub headers: HeaderMap,
    /// Its body, up to one byte more than [`ANSWER_LIMIT`].
    pub body: Bytes,
}

/// Why there is no answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Failure {
    /// There was no connection: nothing was sent.
    Unreachable,
    /// The connection ended before the answer did.
    Broken,
    /// It took too long.
    TimedOut,
}

impl Client {
    /// Trusts whom the system trusts; `SSL_CERT_FILE` names other authorities.
    #[must_use]
    pub fn new() -> Self {
        let provider = default_provider();
        let builder = HttpsConnectorBuilder::new();
        let builder = builder.with_provider_and_native_roots(provider).unwrap_or_else(|error| {
            warn!(%error, "the system trusts no authority: nobody can be called over TLS");
            HttpsConnectorBuilder::new().with_tls_config(tls_trusting(RootCertStore::empty()))
        });
        Self::with(builder)
    }

    /// Trusts these authorities alone.
    #[must_use]
    pub fn trusting(authorities: RootCertStore) -> Self {
        Self::with(HttpsConnectorBuilder::new().with_tls_config(tls_trusting(authorities)))
    }

    fn with(builder: HttpsConnectorBuilder<WantsSchemes>) -> Self {
        let mut http = HttpConnector::new();
        http.enforce_http(false);
        http.set_nodelay(true);
        http.set_connect_timeout(Some(CONNECT_TIMEOUT));
        let connector = builder.https_or_http().enable_all_versions().wrap_connector(http);
        Self::over(connector)
    }

    /// One that trusts the same authorities and has connections of its own: what a server sends on one of them that
    /// nobody asked for can reach nobody else.
    #[must_use]
    pub fn apart(&self) -> Self {
        Self::over(self.connector.clone())
    }

    fn over(connector: HttpsConnector<HttpConnector>) -> Self {
        let pool = hyper_util::client::legacy::Client::builder(TokioExecutor::new())
            .timer(TokioTimer::new())
            .pool_timer(TokioTimer::new())
            .pool_idle_timeout(IDLE_TIMEOUT)
            .pool_max_idle_per_host(IDLE_CONNECTIONS)
            .http1_max_buf_size(HEAD_LIMIT)
            .http2_keep_alive_interval(PING_EVERY)
            .http2_keep_alive_timeout(PING_EVERY)
            .http2_keep_alive_while_idle(true)
            .build(connector.clone());
        Self { connector, pool }
    }

    /// Sends a request, and gives the answer as soon as its head is there.
    ///
    /// # Errors
    /// [`Failure`] where none comes within `limit`.
    pub async fn send(&self, request: Request<Body>, limit: Duration) -> Result<Response<Incoming>, Failure> {
        let answer = timeout(limit, self.pool.request(request)).await.map_err(|_| Failure::TimedOut)?;
        answer.map_err(|error| if error.is_connect() { Failure::Unreachable } else { Failure::Broken })
    }

    /// Sends a request, and reads the answer: of a longer one no more than anybody looks at.
    ///
    /// # Errors
    /// [`Failure`] where it is not there within `limit`.
    pub async fn exchange(&self, request: Request<Bytes>, limit: Duration) -> Result<Answer, Failure> {
        let exchange = async {
            let (head, body) = self.send(request.map(Body::from), limit).await?.into_parts();
            Ok(Answer { status: head.status, headers: head.headers, body: read(body).await? })
        };
        timeout(limit, exchange).await.map_err(|_| Failure::TimedOut)?
    }
}

impl Default for Client {
    fn default() -> Self {
        Self::new()
    }
}

async fn read(mut body: Incoming) -> Result<Bytes, Failure> {
    let mut whole = BytesMut::new();
    while whole.len() <= ANSWER_LIMIT {
        let Some(frame) = body.frame().await else { break };
        if let Ok(data) = frame.map_err(|_| Failure::Broken)?.into_data() {
            let left = ANSWER_LIMIT + 1 - whole.len();
            whole.extend_from_slice(&data[..data.len().min(left)]);
        }
    }
    Ok(whole.freeze())
}

fn tls_trusting(authorities: RootCertStore) -> ClientConfig {
    let config = ClientConfig::builder_with_provider(Arc::new(default_provider()));
    let config = config.with_safe_default_protocol_versions().expect("the provider has TLS 1.2 and 1.3");
    config.with_root_certificates(authorities).with_no_client_auth()
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Unreachable => "it cannot be reached",
            Self::Broken => "the connection broke",
            Self::TimedOut => "it did not answer in time",
        })
    }
}

impl std::error::Error for Failure {}

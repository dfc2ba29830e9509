//! All wiring, top to bottom: what a gateway consists of, how it starts and how it goes away.

use std::net::IpAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use arc_swap::ArcSwap;
use axum::Router;
use futures_util::future::BoxFuture;
use prometheus_client::metrics::gauge::Gauge;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpListener;
use tokio::task::JoinSet;
use tokio::time::timeout;
use tokio_rustls::TlsAcceptor;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use tracing::{debug, error, info, warn};
use typingd_core::Engine;
use typingd_providers::KeyHasher;

use crate::census::Census;
use crate::clock::Clock;
use crate::commits::Commits;
use crate::config::{Config, Limits};
use crate::console::Console;
use crate::directory::Directory;
use crate::fleet::Fleet;
use crate::gateway::Gateway;
use crate::history::History;
use crate::holds::Holds;
use crate::hub::{Distribution, Farewell, Hub, Outlet};
use crate::listener::{self, Handed};
use crate::metrics::Metrics;
use crate::opened::Opened;
use crate::relay::Relay;
use crate::store::Sides;
use crate::sweeper::{self, Alarm};
use crate::throttle::Failures;
use crate::tickets::Tickets;
use crate::{api, console, ingress};

/// How long requests that are being served may take when the gateway goes away, before the leases end.
const LAST_REQUESTS: Duration = Duration::from_secs(2);

/// How long providers may take to be told that nobody types any more.
const LAST_WORDS: Duration = Duration::from_secs(2);

/// How often the store is asked what is due there, whoever filed it.
const POLL: Duration = Duration::from_secs(1);

/// A gateway at work.
pub struct App {
    gateway: Arc<Gateway>,
    native: Router,
    /// Requests that are being served.
    busy: TaskTracker,
    /// Connections that are open.
    open: TaskTracker,
    /// Tells the connections to finish what they began.
    closing: CancellationToken,
    /// Cuts the connections that are left.
    cutting: CancellationToken,
    /// Ends with the gateway.
    background: JoinSet<()>,
}

impl App {
    /// Builds a gateway and starts its background work.
    ///
    /// # Errors
    /// Where the configuration contradicts itself.
    pub fn start(config: Config) -> anyhow::Result<Self> {
        let parts = Parts::new(config.limits.clone(), config.keys.hasher.clone(), config.store.is_some());
        let commits = parts.commits();
        let sides = match &config.store {
            Some(store) => Sides::shared(store, commits, config.policy.clone(), parts.clock)?,
            None => Sides::here(config.limits.sides, commits),
        };
        parts.assemble(config, sides)
    }

    /// What all its faces share.
    #[must_use]
    pub fn gateway(&self) -> &Arc<Gateway> {
        &self.gateway
    }

    /// Accepts connections until `shutdown`, then drains.
    pub async fn run(mut self, listener: TcpListener, tls: Option<TlsAcceptor>, shutdown: CancellationToken) {
        let mut background = std::mem::take(&mut self.background);
        let connections = self.gateway.limits.listener.connections;
        let accept = listener::accept(listener, connections, |socket, peer, place| match &tls {
            None => self.serve(socket, peer, place),
            Some(tls) => self.serve_tls(tls.clone(), socket, peer, place),
        });
        tokio::select! {
            () = accept => {}
            _ = background.join_next() => error!("the gateway's own work has ended, which is a bug: it goes away"),
            () = self.leave(shutdown) => {}
        }
        self.background = background;
        self.drain().await;
    }

    /// Waits for `shutdown`, then for as long as load balancers take to notice.
    async fn leave(&self, shutdown: CancellationToken) {
        shutdown.cancelled().await;
        info!("leaving");
        self.gateway.is_leaving.store(true, Ordering::Relaxed);
        tokio::time::sleep(self.gateway.limits.drain_notice).await;
    }

    /// Serves one connection, and keeps `place` for as long as it is open.
    pub fn serve<IO, P>(&self, io: IO, peer: IpAddr, place: P)
    where
        IO: AsyncRead + AsyncWrite + Unpin + Send + 'static,
        P: Send + 'static,
    {
        let connection = self.connection(peer);
        // What HTTP takes is given back where the connection goes on without it.
        self.keep(place, Box::pin(connection.serve(io)));
    }

    /// Serves one connection once both have agreed on keys, which takes no longer than a head may.
    fn serve_tls<IO, P>(&self, tls: TlsAcceptor, io: IO, peer: IpAddr, place: P)
    where
        IO: AsyncRead + AsyncWrite + Unpin + Send + 'static,
        P: Send + 'static,
    {
        let limit = self.gateway.limits.listener.head_timeout;
        let connection = self.connection(peer);
        let served = async move {
            match timeout(limit, tls.accept(io)).await {
                Ok(Ok(io)) => return connection.serve(io).await,
                Ok(Err(error)) => debug!(%error, "no TLS connection came about"),
                Err(_) => debug!("no TLS connection came about in time"),
            }
            None
        };
        self.keep(place, Box::pin(served));
    }

    /// Serves a connection by HTTP and then by whatever goes on over it, unless it is cut.
    fn keep<P: Send + 'static>(&self, place: P, http: BoxFuture<'static, Option<(Counted, Handed)>>) {
        let cutting = self.cutting.clone();
        self.open.spawn(async move {
            let _place = place;
            let handed = tokio::select! {
                biased;
                handed = http => handed,
                () = listener::Seldom::new(cutting.cancelled()) => None,
            };
            if let Some((_counted, handed)) = handed {
                cutting.run_until_cancelled(handed.serve()).await;
            }
        });
    }

    fn connection(&self, peer: IpAddr) -> Connection {
        Connection {
            gateway: self.gateway.clone(),
            native: self.native.clone(),
            busy: self.busy.clone(),
            closing: self.closing.clone(),
            peer,
        }
    }

    /// Goes away within the drain's limit: what is being served is answered, then every lease ends, then everybody who
    /// watches is told, and the connections close.
    pub async fn drain(mut self) {
        info!("draining");
        self.gateway.is_leaving.store(true, Ordering::Relaxed);
        let limit = self.gateway.limits.drain_timeout;
        if timeout(limit, self.let_go()).await.is_err() {
            warn!("the drain took too long: the connections that are left are cut");
        }
        self.cutting.cancel();
        self.background.shutdown().await;
    }

    async fn let_go(&self) {
        self.closing.cancel();
        self.busy.close();
        if timeout(LAST_REQUESTS, self.busy.wait()).await.is_err() {
            warn!("some requests are still being served");
        }
        if let Some(fleet) = &self.gateway.fleet {
            fleet.stop().await;
        }
        self.gateway.let_go().await;
        if timeout(LAST_WORDS, self.gateway.relay.settle()).await.is_err() {
            warn!("some providers were not told that nobody types any more");
        }
        if let Some(fleet) = &self.gateway.fleet {
            fleet.leave().await;
        }
        self.gateway.hub.close(Farewell::Draining).await;
        self.gateway.console.close();
        self.open.close();
        self.open.wait().await;
    }
}

/// What there is before it is known where the leases are kept, which tells all of these.
struct Parts {
    is_shared: bool,
    clock: Clock,
    alarm: Arc<Alarm>,
    census: Arc<Census>,
    metrics: Arc<Metrics>,
    history: Arc<History>,
    relay: Arc<Relay>,
    hub: Arc<Hub>,
    outlet: Outlet,
    distribution: Distribution,
}

impl Parts {
    fn new(limits: Limits, hasher: KeyHasher, is_shared: bool) -> Self {
        let clock = if is_shared { Clock::start_late() } else { Clock::start() };
        let metrics = Arc::new(Metrics::default());
        let history = Arc::new(History::new(limits.history, clock));
        let relay = Arc::new(Relay::new(history.clone(), clock, hasher, is_shared));
        let (hub, outlet, distribution) = Hub::new(limits.hub, clock, metrics.clone());
        let (alarm, census) = (Arc::default(), Arc::default());
        Self { is_shared, clock, alarm, census, metrics, history, relay, hub, outlet, distribution }
    }

    /// Who is told what the store commits.
    fn commits(&self) -> Commits {
        let Self { clock, alarm, census, metrics, history, relay, outlet, is_shared, .. } = self;
        Commits {
            alarm: alarm.clone(),
            census: (!is_shared).then(|| census.clone()),
            history: history.clone(),
            relay: relay.clone(),
            metrics: metrics.clone(),
            outlet: outlet.clone(),
            clock: *clock,
        }
    }

    /// A gateway of these, and its background work.
    fn assemble(self, config: Config, sides: Sides) -> anyhow::Result<App> {
        let Config { server, tenancy, keys, origins, policy, console, limits, .. } = config;
        let Self { clock, alarm, census, metrics, history, relay, hub, distribution, .. } = self;
        relay.reload(&tenancy.upstreams, &tenancy.routes);
        let at_least = sides.as_shared().map(|_| POLL);
        let fleet = sides.as_shared().map(Fleet::new);
        let gateway = Arc::new(Gateway {
            engine: Engine::new(sides, policy),
            hub,
            clock,
            directory: ArcSwap::from_pointee(Directory::new(tenancy, &keys, clock, None)?),
            holds: Holds::default(),
            relay: relay.clone(),
            fleet,
            tickets: Tickets::new(keys.hasher.clone()),
            keys,
            origins,
            census,
            history: history.clone(),
            failures: Failures::new(limits.failed_authentications_per_minute),
            opened: Opened::new(limits.opened),
            console: Console::new(console),
            has_tls: server.tls.is_some(),
            metrics,
            is_leaving: AtomicBool::new(false),
            is_draining: AtomicBool::new(false),
            limits,
        });
        let mut background = JoinSet::new();
        background.spawn(distribution.run());
        background.spawn(history.run());
        background.spawn({
            let gateway = gateway.clone();
            async move { relay.run(&gateway).await }
        });
        background.spawn({
            let gateway = gateway.clone();
            async move {
                match &gateway.fleet {
                    Some(fleet) => tokio::join!(fleet.run(&gateway), fleet.catch_up(&gateway)).0,
                    None => std::future::pending().await,
                }
            }
        });
        background.spawn({
            let gateway = gateway.clone();
            async move { gateway.holds.forget(gateway.clock).await }
        });
        background.spawn({
            let gateway = gateway.clone();
            async move { gateway.tickets.forget(gateway.clock).await }
        });
        background.spawn({
            let gateway = gateway.clone();
            async move { console::close_with_sessions(&gateway).await }
        });
        background.spawn({
            let gateway = gateway.clone();
            async move { sweeper::run(&gateway.engine, gateway.clock, &alarm, at_least).await }
        });
        Ok(App {
            native: api::router(gateway.clone()),
            gateway,
            busy: TaskTracker::new(),
            open: TaskTracker::new(),
            closing: CancellationToken::new(),
            cutting: CancellationToken::new(),
            background,
        })
    }
}

/// A connection that is to be served, whatever it runs over.
struct Connection {
    gateway: Arc<Gateway>,
    native: Router,
    busy: TaskTracker,
    closing: CancellationToken,
    peer: IpAddr,
}

impl Connection {
    /// Serves it for as long as it speaks HTTP.
    async fn serve(
        self,
        io: impl AsyncRead + AsyncWrite + Unpin + Send + 'static,
    ) -> Option<(Counted, Handed)> {
        let Self { gateway, native, busy, closing, peer } = self;
        let counted = Counted::new(gateway.metrics.connections.clone());
        let limits = gateway.limits.listener.clone();
        let service = move |request, framing| {
            busy.track_future(ingress::serve(gateway.clone(), native.clone(), peer, request, framing))
        };
        let handed = listener::connection(io, limits, service, closing).await?;
        Some((counted, handed))
    }
}

/// One that is counted until it is dropped, also by a panic.
struct Counted(Gauge);

impl Counted {
    fn new(gauge: Gauge) -> Self {
        gauge.inc();
        Self(gauge)
    }
}

impl Drop for Counted {
    fn drop(&mut self) {
        self.0.dec();
    }
}

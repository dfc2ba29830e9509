//! All wiring, top to bottom: what a gateway consists of, how it starts and how it goes away.

use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::time::Duration;

use axum::Router;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpListener;
use tokio::task::JoinSet;
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use tracing::{error, info, warn};
use typingd_core::Engine;
use typingd_core::store::memory::MemoryStore;

use crate::clock::Clock;
use crate::config::Config;
use crate::gateway::{Gateway, Tenants};
use crate::hub::{Farewell, Hub};
use crate::opened::Opened;
use crate::sweeper::{self, Alarm};
use crate::{api, ids, ingress, listener};

/// How long requests that are being served may take when the gateway goes away, before the leases end.
const LAST_REQUESTS: Duration = Duration::from_secs(2);

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
        let clock = Clock::start();
        let hasher = ids::key_hasher();
        let alarm = Arc::new(Alarm::default());
        let (hub, outlet, distribution) = Hub::new(config.limits.hub, clock, alarm.clone());
        let doors = typingd_providers::doors(config.accounts, &hasher)?;
        let gateway = Arc::new(Gateway {
            engine: Engine::new(MemoryStore::new(config.limits.sides, outlet), config.policy),
            hub,
            clock,
            tenants: Tenants::new(config.tenants, &doors, &hasher)?,
            doors,
            opened: Opened::new(config.limits.opened),
            is_draining: AtomicBool::new(false),
            limits: config.limits,
        });
        let mut background = JoinSet::new();
        background.spawn(distribution.run());
        background.spawn({
            let gateway = gateway.clone();
            async move { sweeper::run(&gateway.engine, gateway.clock, &alarm).await }
        });
        Ok(Self {
            native: api::router(gateway.clone()),
            gateway,
            busy: TaskTracker::new(),
            open: TaskTracker::new(),
            closing: CancellationToken::new(),
            cutting: CancellationToken::new(),
            background,
        })
    }

    /// Accepts connections until `shutdown`, then drains.
    pub async fn run(mut self, listener: TcpListener, shutdown: CancellationToken) {
        let mut background = std::mem::take(&mut self.background);
        let connections = self.gateway.limits.listener.connections;
        tokio::select! {
            () = listener::accept(listener, connections, |socket, place| self.serve(socket, place)) => {}
            _ = background.join_next() => error!("the gateway's own work has ended, which is a bug: it goes away"),
            () = shutdown.cancelled() => {}
        }
        self.background = background;
        self.drain().await;
    }

    /// Serves one connection, and keeps `place` for as long as it is open.
    pub fn serve<IO, P>(&self, io: IO, place: P)
    where
        IO: AsyncRead + AsyncWrite + Unpin + Send + 'static,
        P: Send + 'static,
    {
        let (gateway, native, busy) = (self.gateway.clone(), self.native.clone(), self.busy.clone());
        let limits = self.gateway.limits.listener.clone();
        let service = move |request, framing| {
            busy.track_future(ingress::serve(gateway.clone(), native.clone(), request, framing))
        };
        let connection = listener::connection(io, limits, service, self.closing.clone());
        let cutting = self.cutting.clone();
        self.open.spawn(async move {
            let _place = place;
            cutting.run_until_cancelled(connection).await;
        });
    }

    /// Goes away within the drain's limit: what is being served is answered, then every lease ends, then everybody who
    /// watches is told, and the connections close.
    pub async fn drain(mut self) {
        info!("draining");
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
        self.gateway.revoke_all().await;
        self.gateway.hub.close(Farewell::Draining).await;
        self.open.close();
        self.open.wait().await;
    }
}

//! Our own accept loop: connections bounded in number, and each in what it may send and in how slowly.
//!
//! `axum::serve` has no time-out for headers, and hyper's own is its keep-alive limit too, so the deadlines live here,
//! in `guard`. What hyper lets pass and a proxy might read in another way is refused in `framing`.

mod connection;
mod deadline;
mod framing;
mod guard;
mod line;
mod seldom;

use std::convert::Infallible;
use std::future::{Future, poll_fn};
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::pin::Pin;
use std::sync::Arc;
use std::task::Poll;
use std::time::Duration;

use futures_util::future::BoxFuture;
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, TcpSocket, TcpStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio_util::sync::CancellationToken;
use tracing::{debug, warn};

pub use connection::{Handover, Request, RequestBody, Response};
pub use line::Line;

pub(crate) use seldom::Seldom;

use connection::{Connection, Successor};
use guard::Guarded;

/// Whether a request can be delimited and addressed in one way only, and if not, what is wrong with it.
pub type Framing = Result<(), &'static str>;

/// How much and how slowly a connection may send.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Connections at a time; the next one waits in the kernel's queue.
    pub connections: usize,
    /// Header lines of one request; one more is answered 431.
    pub headers: usize,
    /// Bytes of one request's head; more is answered 431.
    pub head_bytes: usize,
    /// From the first byte of a head, or from the connection's start, to the head's end.
    pub head_timeout: Duration,
    /// Between two requests.
    pub idle_timeout: Duration,
    /// How long a peer may take nothing of what is written to it.
    pub write_timeout: Duration,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            connections: 16_384,
            headers: 64,
            head_bytes: 16 * 1024,
            head_timeout: Duration::from_secs(9),
            idle_timeout: Duration::from_secs(75),
            write_timeout: Duration::from_secs(9),
        }
    }
}

/// Connections that may wait in the kernel's queue, where the system allows as many: as many as come at once after a
/// restart. Whom it has no room for tries again a second later.
const WAITING: u32 = 16_384;

/// Listens at an address.
///
/// # Errors
/// Where it cannot be had.
pub fn bind(address: SocketAddr) -> io::Result<TcpListener> {
    let socket = if address.is_ipv4() { TcpSocket::new_v4()? } else { TcpSocket::new_v6()? };
    socket.set_reuseaddr(true)?;
    socket.bind(address)?;
    socket.listen(WAITING)
}

/// Accepts for ever, up to `connections` at a time: what comes with a socket is its place among them.
pub async fn accept(
    listener: TcpListener,
    connections: usize,
    accepted: impl Fn(TcpStream, IpAddr, OwnedSemaphorePermit),
) {
    let places = Arc::new(Semaphore::new(connections));
    loop {
        let place = places.clone().acquire_owned().await.expect("the semaphore is never closed");
        match listener.accept().await {
            Ok((socket, peer)) => {
                // A socket that cannot be set up is one whose peer has gone.
                let _ = socket.set_nodelay(true);
                accepted(socket, peer.ip(), place);
            }
            Err(error) => {
                warn!(%error, "cannot accept a connection");
                // Out of file descriptors, mostly: what frees one is a connection that ends.
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
        }
    }
}

/// A connection that was handed over by whoever answered its last request.
pub struct Handed {
    line: Line,
    successor: Successor,
}

impl Handed {
    /// Goes on over it to its end.
    #[must_use]
    pub fn serve(self) -> BoxFuture<'static, ()> {
        (self.successor)(self.line)
    }
}

/// Serves one connection for as long as it speaks HTTP. From `closing` on, it only finishes what it began.
pub async fn connection<IO, S, F>(
    io: IO,
    limits: Limits,
    service: S,
    closing: CancellationToken,
) -> Option<Handed>
where
    IO: AsyncRead + AsyncWrite + Unpin + Send + 'static,
    S: Fn(Request, Framing) -> F + Clone + Send + Sync + Unpin + 'static,
    F: Future<Output = Response> + Send + 'static,
{
    let state = Connection::new();
    let served = state.clone();
    let guarded = Guarded::new(io, state.clone(), &limits);
    let service = service_fn(move |request: http::Request<Incoming>| {
        let (state, service) = (served.clone(), service.clone());
        async move {
            let (request, head) = state.begin(request);
            let framing = framing::check(&request, head);
            Ok::<_, Infallible>(state.end(service(request, framing).await))
        }
    });
    let mut connection = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(None)
        .max_headers(limits.headers)
        .max_buf_size(limits.head_bytes)
        // Answers are small: a copy of the body behind its head costs less than to write them apart.
        .writev(false)
        .serve_connection(TokioIo::new(guarded), service);
    let ended = tokio::select! {
        biased;
        ended = served_by_hyper(&mut connection, &state) => ended,
        () = Seldom::new(closing.cancelled()) => {
            Pin::new(&mut connection).graceful_shutdown();
            served_by_hyper(&mut connection, &state).await
        }
    };
    if let Err(error) = ended {
        debug!(%error, "a connection was cut");
        return None;
    }
    let successor = state.lock().take_successor()?;
    let parts = connection.into_parts();
    let line = Line::new(parts.io.into_inner().into_socket(), parts.read_buf, limits.write_timeout);
    Some(Handed { line, successor })
}

/// Until the connection's end, or until somebody else goes on with it.
async fn served_by_hyper(
    connection: &mut (impl Future<Output = hyper::Result<()>> + Unpin),
    state: &Connection,
) -> hyper::Result<()> {
    poll_fn(|cx| {
        let polled = Pin::new(&mut *connection).poll(cx);
        if state.lock().is_taken_over() { Poll::Ready(Ok(())) } else { polled }
    })
    .await
}

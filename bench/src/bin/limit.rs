//! What nobody can go below who builds on the same ground: programs that do nothing, as fast as that can be done.
//!
//! `limit empty ADDRESS` is an empty axum handler behind a plain accept loop, on the runtime, the allocator and the
//! connection settings that typingd has. It has none of its deadlines.

use std::net::SocketAddr;

use anyhow::{Context, Result, bail};
use axum::Router;
use axum::body::Body;
use axum::routing::post;
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use mimalloc::MiMalloc;
use tokio::net::{TcpListener, TcpStream};
use tokio::runtime::Runtime;
use tokio::signal::unix::{SignalKind, signal};
use tower::ServiceExt;

#[global_allocator]
static ALLOCATOR: MiMalloc = MiMalloc;

fn main() -> Result<()> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let runtime = Runtime::new()?;
    match arguments.iter().map(String::as_str).collect::<Vec<_>>().as_slice() {
        ["empty", address] => runtime.block_on(serve_nothing(address.parse()?)),
        _ => bail!("usage: limit empty ADDRESS"),
    }
}

/// Serves the paths of the doors, until it is asked to end.
async fn serve_nothing(address: SocketAddr) -> Result<()> {
    let paths = ["/v1/BENCH000000/rcs/events", "/messages/send/typing", "/api/v1/interactions"];
    let router = paths.iter().fold(Router::new(), |router, path| router.route(path, post(async || ())));
    let listener = TcpListener::bind(address).await.with_context(|| format!("{address} is not to be had"))?;
    let mut terminate = signal(SignalKind::terminate())?;
    let accepting = async {
        loop {
            if let Ok((socket, _)) = listener.accept().await {
                let _ = socket.set_nodelay(true);
                tokio::spawn(serve(socket, router.clone()));
            }
        }
    };
    tokio::select! {
        () = accepting => {}
        _ = terminate.recv() => {}
    }
    Ok(())
}

async fn serve(socket: TcpStream, router: Router) {
    let service = service_fn(move |request: http::Request<Incoming>| {
        let router = router.clone();
        async move { router.oneshot(request.map(Body::new)).await }
    });
    // A connection that fails is one that the load has closed.
    let _ = http1::Builder::new()
        .header_read_timeout(None)
        .max_headers(64)
        .max_buf_size(16 * 1024)
        .serve_connection(TokioIo::new(socket), service)
        .with_upgrades()
        .await;
}

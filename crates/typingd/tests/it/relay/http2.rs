//! HTTP/2 where a provider offers it, over one connection however many calls there are.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use axum::body::Body;
use bytes::Bytes;
use futures_util::future::join_all;
use http::{Request, Response, Version};
use hyper::server::conn::{http1, http2};
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo};
use rustls::RootCertStore;
use rustls_pki_types::CertificateDer;
use tokio::net::TcpListener;
use tokio::task::JoinSet;
use typingd::client::{Client, Failure};

use crate::tls;

const LIMIT: Duration = Duration::from_secs(5);

/// A server over TLS that counts its connections and notes what is spoken.
pub struct Server {
    pub url: String,
    pub certificate: CertificateDer<'static>,
    connections: Arc<AtomicUsize>,
    spoken: Arc<Mutex<Vec<Version>>>,
    _serving: JoinSet<()>,
}

impl Server {
    /// One that offers these protocols. `name` is nobody else's.
    pub async fn start(name: &str, protocols: &[&[u8]]) -> Self {
        let (acceptor, certificate) = tls::acceptor(name, protocols).await;
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("https://{}", listener.local_addr().unwrap());
        let (connections, spoken) = (Arc::new(AtomicUsize::new(0)), Arc::new(Mutex::new(Vec::new())));
        let (count, note) = (connections.clone(), spoken.clone());
        let mut serving = JoinSet::new();
        serving.spawn(async move {
            let mut open = JoinSet::new();
            while let Ok((socket, _)) = listener.accept().await {
                let Ok(socket) = acceptor.accept(socket).await else { continue };
                count.fetch_add(1, Ordering::Relaxed);
                let is_h2 = socket.get_ref().1.alpn_protocol() == Some(b"h2");
                let note = note.clone();
                let service = service_fn(move |request: Request<hyper::body::Incoming>| {
                    note.lock().unwrap().push(request.version());
                    async { Ok::<_, std::convert::Infallible>(Response::new(Body::from("here"))) }
                });
                let socket = TokioIo::new(socket);
                if is_h2 {
                    open.spawn(async move {
                        let _ =
                            http2::Builder::new(TokioExecutor::new()).serve_connection(socket, service).await;
                    });
                } else {
                    open.spawn(async move {
                        let _ = http1::Builder::new().serve_connection(socket, service).await;
                    });
                }
            }
        });
        Self { url, certificate, connections, spoken, _serving: serving }
    }

    /// Somebody who trusts it, and nobody else.
    pub fn client(&self) -> Client {
        let mut authorities = RootCertStore::empty();
        authorities.add(self.certificate.clone()).unwrap();
        Client::trusting(authorities)
    }
}

pub fn request(url: &str) -> Request<Bytes> {
    Request::post(url).body(Bytes::from_static(b"{}")).unwrap()
}

#[tokio::test]
async fn http_2_is_spoken_where_it_is_offered() {
    let (h2, h1): (&[u8], &[u8]) = (b"h2", b"http/1.1");
    for (name, offered, expected) in [
        ("relay-h2", &[h2, h1][..], Version::HTTP_2),
        ("relay-h1", &[h1], Version::HTTP_11),
        ("relay-none", &[], Version::HTTP_11),
    ] {
        let server = Server::start(name, offered).await;
        let client = server.client();
        let ask = async || {
            let answer = client.exchange(request(&format!("{}/path", server.url)), LIMIT).await.unwrap();
            assert_eq!((answer.status.as_u16(), &answer.body[..]), (200, &b"here"[..]), "{name}");
        };
        ask().await;
        join_all((0..50).map(|_| ask())).await;
        assert_eq!(*server.spoken.lock().unwrap(), [expected; 51], "{name}");
        let connections = server.connections.load(Ordering::Relaxed);
        println!("{name}: {expected:?}, {connections} connections for 51 calls");
        assert!(expected != Version::HTTP_2 || connections == 1, "{name}: {connections} connections");

        // Whoever does not trust it asks nothing.
        let stranger = Client::trusting(RootCertStore::empty());
        let refused = stranger.exchange(request(&server.url), LIMIT).await.unwrap_err();
        assert_eq!(refused, Failure::Unreachable, "{name}");
        assert_eq!(server.spoken.lock().unwrap().len(), 51, "{name}");
    }
}

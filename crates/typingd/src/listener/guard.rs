//! What stands between hyper and a socket: deadlines for reading and writing, and an eye on each request's head.

use std::future::Future;
use std::io;
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, ready};
use std::time::Duration;

use axum::body::Body;
use bytes::Bytes;
use http::header::{CONNECTION, HeaderValue};
use http_body::{Frame, SizeHint};
use hyper::body::Incoming;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::time::{Sleep, sleep};

use super::Limits;
use super::framing::{Head, HeadWatch};

/// A request, whose body knows whether it was read to its end.
pub type Request = http::Request<RequestBody>;

/// A response.
pub type Response = http::Response<Body>;

/// What a connection is busy with. Shared by the socket's guard, which keeps the deadlines, and the bodies, which know
/// where a request ends.
#[derive(Clone)]
pub(super) struct Connection(Arc<Mutex<State>>);

struct State {
    phase: Phase,
    /// Rises with each phase, so that a deadline is set once for each.
    epoch: u64,
    /// What was seen of the head that is, or will be, served.
    head: Head,
    /// Whether the request's body has not been read to its end.
    is_body_left: bool,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Phase {
    /// A request's head is awaited, or has begun.
    Head,
    /// A request is being served; its body has deadlines of its own.
    Serving,
    /// Nothing is awaited.
    Idle,
}

impl Connection {
    pub(super) fn new() -> Self {
        let state = State { phase: Phase::Head, epoch: 0, head: Head::Unseen, is_body_left: false };
        Self(Arc::new(Mutex::new(state)))
    }

    /// A request's head is complete. Says what was seen of it.
    pub(super) fn begin(&self, request: http::Request<Incoming>) -> (Request, Head) {
        let mut state = self.lock();
        state.enter(Phase::Serving);
        state.is_body_left = !http_body::Body::is_end_stream(request.body());
        let head = std::mem::replace(&mut state.head, Head::Unseen);
        drop(state);
        (request.map(|body| RequestBody { body, connection: self.clone() }), head)
    }

    /// The request is answered. A connection on which a piece of its body is still to come cannot be used again.
    pub(super) fn end(&self, mut response: Response) -> http::Response<ResponseBody> {
        if self.lock().is_body_left {
            response.headers_mut().insert(CONNECTION, HeaderValue::from_static("close"));
        }
        response.map(|body| ResponseBody { body, connection: self.clone() })
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    fn enter(&mut self, phase: Phase) {
        self.phase = phase;
        self.epoch += 1;
    }
}

/// A request's body on its way in.
pub struct RequestBody {
    body: Incoming,
    connection: Connection,
}

impl http_body::Body for RequestBody {
    type Data = Bytes;
    type Error = hyper::Error;

    fn poll_frame(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, hyper::Error>>> {
        let this = self.get_mut();
        let frame = ready!(Pin::new(&mut this.body).poll_frame(cx));
        if frame.is_none() || this.body.is_end_stream() {
            this.connection.lock().is_body_left = false;
        }
        Poll::Ready(frame)
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

/// A response's body on its way out. Its end, or its being given up, is the request's end.
pub(super) struct ResponseBody {
    body: Body,
    connection: Connection,
}

impl http_body::Body for ResponseBody {
    type Data = Bytes;
    type Error = axum::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, axum::Error>>> {
        Pin::new(&mut self.body).poll_frame(cx)
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

impl Drop for ResponseBody {
    fn drop(&mut self) {
        self.connection.lock().enter(Phase::Idle);
    }
}

/// A socket that fails with [`io::ErrorKind::TimedOut`] when its peer is too slow.
pub(super) struct Guarded<IO> {
    socket: IO,
    connection: Connection,
    watch: HeadWatch,
    head_timeout: Duration,
    idle_timeout: Duration,
    write_timeout: Duration,
    /// Runs while a head is awaited or the connection is idle, for the epoch beside it.
    read_deadline: Pin<Box<Sleep>>,
    read_epoch: u64,
    /// Runs while the peer takes nothing.
    write_deadline: Option<Pin<Box<Sleep>>>,
}

impl<IO> Guarded<IO> {
    pub(super) fn new(socket: IO, connection: Connection, limits: &Limits) -> Self {
        Self {
            socket,
            connection,
            watch: HeadWatch::default(),
            head_timeout: limits.head_timeout,
            idle_timeout: limits.idle_timeout,
            write_timeout: limits.write_timeout,
            read_deadline: Box::pin(sleep(limits.head_timeout)),
            read_epoch: 0,
            write_deadline: None,
        }
    }

    fn note_read(&mut self, bytes: &[u8]) {
        let mut state = self.connection.lock();
        if state.phase == Phase::Idle {
            state.enter(Phase::Head);
        }
        if state.phase == Phase::Head
            && state.head == Head::Unseen
            && let Some(head) = self.watch.see(bytes)
        {
            state.head = head;
        }
    }

    fn poll_read_deadline(&mut self, cx: &mut Context<'_>) -> Poll<io::Error> {
        let (phase, epoch) = {
            let state = self.connection.lock();
            (state.phase, state.epoch)
        };
        let timeout = match phase {
            Phase::Serving => return Poll::Pending,
            Phase::Head => self.head_timeout,
            Phase::Idle => self.idle_timeout,
        };
        if self.read_epoch != epoch {
            self.read_epoch = epoch;
            self.read_deadline.set(sleep(timeout));
        }
        self.read_deadline.as_mut().poll(cx).map(|()| io::ErrorKind::TimedOut.into())
    }

    fn guard_write<T>(&mut self, cx: &mut Context<'_>, written: Poll<io::Result<T>>) -> Poll<io::Result<T>> {
        if written.is_ready() {
            self.write_deadline = None;
            return written;
        }
        let timeout = self.write_timeout;
        let deadline = self.write_deadline.get_or_insert_with(|| Box::pin(sleep(timeout)));
        deadline.as_mut().poll(cx).map(|()| Err(io::ErrorKind::TimedOut.into()))
    }
}

impl<IO: AsyncRead + Unpin> AsyncRead for Guarded<IO> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let before = buf.filled().len();
        match Pin::new(&mut self.socket).poll_read(cx, buf) {
            Poll::Ready(read) => {
                self.note_read(&buf.filled()[before..]);
                Poll::Ready(read)
            }
            Poll::Pending => self.poll_read_deadline(cx).map(Err),
        }
    }
}

impl<IO: AsyncWrite + Unpin> AsyncWrite for Guarded<IO> {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        let written = Pin::new(&mut self.socket).poll_write(cx, bytes);
        self.guard_write(cx, written)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        slices: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let written = Pin::new(&mut self.socket).poll_write_vectored(cx, slices);
        self.guard_write(cx, written)
    }

    fn is_write_vectored(&self) -> bool {
        self.socket.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.socket).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.socket).poll_shutdown(cx)
    }
}

//! What a connection is busy with: where its requests begin and end, as far as can be seen from its bytes and bodies.

use std::future::Future;
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, ready};

use axum::body::Body;
use bytes::Bytes;
use futures_util::future::BoxFuture;
use http::header::{CONNECTION, HeaderValue};
use http::{Method, StatusCode};
use http_body::{Frame, SizeHint};
use hyper::body::Incoming;
use hyper::upgrade::OnUpgrade;

use super::Line;
use super::framing::{Head, HeadWatch};

/// A request, whose body knows whether it was read to its end.
pub type Request = http::Request<RequestBody>;

/// A response.
pub type Response = http::Response<Body>;

/// What a connection is busy with. Shared by the socket's guard, which keeps the deadlines, and the bodies, which know
/// where a request ends.
#[derive(Clone)]
pub(super) struct Connection(Arc<Mutex<State>>);

pub(super) struct State {
    pub(super) phase: Phase,
    /// Rises with each phase, so that a deadline is set once for each.
    pub(super) epoch: u64,
    /// What was seen of the head that is, or will be, served.
    head: Head,
    /// Whether the request's body has not been read to its end.
    is_body_left: bool,
    /// How long the request's body is; `None` where it is chunked.
    body_length: Option<u64>,
    /// What was read since the head that was seen.
    after_head: AfterHead,
    /// Whether a request was, or may have been, sent behind another before that one was answered. From then on, nobody
    /// here knows where a head begins, nor whether one has.
    is_pipelined: bool,
    /// Who has the connection once it speaks HTTP no more.
    successor: Option<Successor>,
    /// What was written to it of the answer with which it is handed over.
    farewell: Farewell,
}

/// What goes on over a connection that was handed over.
pub(super) type Successor = Box<dyn FnOnce(Line) -> BoxFuture<'static, ()> + Send>;

/// How much of the answer with which a connection is handed over was written.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Farewell {
    Nothing,
    /// Its head is in hyper's hands, and so may be what was before it.
    Handled,
    /// Nothing is in hyper's hands any more.
    Written,
}

/// What was read behind a head: the request's body and, if it is more, the beginning of the next head.
#[derive(Clone, Copy, Default)]
struct AfterHead {
    length: u64,
    /// The last bytes.
    last: [u8; 4],
}

impl AfterHead {
    fn note(&mut self, bytes: &[u8]) {
        self.length += bytes.len() as u64;
        let kept = bytes.len().min(4);
        self.last.rotate_left(kept);
        self.last[4 - kept..].copy_from_slice(&bytes[bytes.len() - kept..]);
    }

    /// Whether it can be more than a body of this length. Where the length is not known, the end tells: a chunked body
    /// ends in an empty line, and a part of a head does not.
    fn exceeds(&self, body_length: Option<u64>) -> bool {
        body_length.map_or(self.last != *b"\r\n\r\n", |length| self.length > length)
    }
}

#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Phase {
    /// A request's head is awaited, or has begun.
    Head,
    /// A request is being served; its body has deadlines of its own.
    Serving,
    /// Nothing is awaited.
    Idle,
    /// It speaks another protocol now, which has deadlines of its own.
    HandedOver,
}

impl Connection {
    pub(super) fn new() -> Self {
        let state = State {
            phase: Phase::Head,
            epoch: 0,
            head: Head::Unseen,
            is_body_left: false,
            body_length: None,
            after_head: AfterHead::default(),
            is_pipelined: false,
            successor: None,
            farewell: Farewell::Nothing,
        };
        Self(Arc::new(Mutex::new(state)))
    }

    /// A request's head is complete. Says what was seen of it.
    pub(super) fn begin(&self, mut request: http::Request<Incoming>) -> (Request, Head) {
        // What is handed over is asked for by GET.
        if request.method() == Method::GET {
            let is_upgrade = request.extensions_mut().remove::<OnUpgrade>().is_some();
            request.extensions_mut().insert(Handover { connection: self.clone(), is_upgrade });
        }
        let mut state = self.lock();
        state.enter(Phase::Serving);
        state.is_body_left = !http_body::Body::is_end_stream(request.body());
        state.body_length = http_body::Body::size_hint(request.body()).exact();
        let head = std::mem::replace(&mut state.head, Head::Unseen);
        state.is_pipelined |= head == Head::Unseen;
        drop(state);
        (request.map(|body| RequestBody { body, connection: self.clone() }), head)
    }

    /// The request is answered. A connection on which a piece of its body is still to come cannot be used again.
    pub(super) fn end(&self, mut response: Response) -> http::Response<ResponseBody> {
        let mut state = self.lock();
        let is_upgrade = response.status() == StatusCode::SWITCHING_PROTOCOLS;
        if !is_upgrade && response.status() != StatusCode::OK {
            state.successor = None;
        }
        let is_handed_over = is_upgrade || state.successor.is_some();
        if is_handed_over {
            state.enter(Phase::HandedOver);
        }
        if !is_upgrade && (is_handed_over || state.is_body_left) {
            response.headers_mut().insert(CONNECTION, HeaderValue::from_static("close"));
        }
        drop(state);
        let is_theirs = is_handed_over && !is_upgrade;
        response.map(|body| ResponseBody { body: (!is_theirs).then_some(body), connection: self.clone() })
    }

    pub(super) fn lock(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    fn enter(&mut self, phase: Phase) {
        self.phase = phase;
        self.epoch += 1;
    }

    /// Nothing is in hyper's hands.
    pub(super) fn note_flush(&mut self) {
        if self.farewell == Farewell::Handled {
            self.farewell = Farewell::Written;
        }
    }

    /// Whether the successor goes on with an answer whose head is written.
    pub(super) fn is_taken_over(&self) -> bool {
        self.farewell == Farewell::Written
    }

    /// Who goes on over the connection, where it was handed over.
    pub(super) fn take_successor(&mut self) -> Option<Successor> {
        self.successor.take().filter(|_| self.phase == Phase::HandedOver)
    }

    /// A request has had its answer. The next head may have begun behind it, and then is as urgent as any.
    fn finish(&mut self) {
        if self.phase == Phase::HandedOver {
            return;
        }
        self.is_pipelined |= self.after_head.exceeds(self.body_length);
        self.enter(if self.is_pipelined { Phase::Head } else { Phase::Idle });
    }

    /// Bytes have come.
    pub(super) fn note_read(&mut self, bytes: &[u8], watch: &mut HeadWatch) {
        if self.is_pipelined || self.phase == Phase::HandedOver {
            return;
        }
        if self.phase == Phase::Idle {
            self.enter(Phase::Head);
        }
        if self.phase == Phase::Serving || self.head != Head::Unseen {
            self.after_head.note(bytes);
        } else if let Some((head, rest)) = watch.see(bytes) {
            self.head = head;
            self.after_head = AfterHead::default();
            self.after_head.note(&bytes[bytes.len() - rest..]);
        }
    }
}

/// Lets whoever answers a request go on over its connection without HTTP: behind a 101, or with the body of a 200. It is
/// among the extensions of a request by GET.
#[derive(Clone)]
pub struct Handover {
    connection: Connection,
    is_upgrade: bool,
}

impl Handover {
    /// Whether another protocol was asked for.
    #[must_use]
    pub fn is_upgrade(&self) -> bool {
        self.is_upgrade
    }

    /// From the answer's head on, the connection is the successor's. It ends with what the successor does, and counts
    /// among the open ones until then.
    pub fn to<F>(self, successor: impl FnOnce(Line) -> F + Send + 'static)
    where
        F: Future<Output = ()> + Send + 'static,
    {
        let run = Box::new(move |line| Box::pin(successor(line)) as BoxFuture<'static, ()>);
        self.connection.lock().successor = Some(run);
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
    /// `None` where the connection's successor writes it.
    body: Option<Body>,
    connection: Connection,
}

impl http_body::Body for ResponseBody {
    type Data = Bytes;
    type Error = axum::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, axum::Error>>> {
        match &mut self.body {
            Some(body) => Pin::new(body).poll_frame(cx),
            None => {
                // Whoever asks for it has the head. It may ask again once it is written.
                let farewell = &mut self.connection.lock().farewell;
                if *farewell == Farewell::Nothing {
                    *farewell = Farewell::Handled;
                }
                Poll::Pending
            }
        }
    }

    fn is_end_stream(&self) -> bool {
        self.body.as_ref().is_some_and(Body::is_end_stream)
    }

    fn size_hint(&self) -> SizeHint {
        self.body.as_ref().map(Body::size_hint).unwrap_or_default()
    }
}

impl Drop for ResponseBody {
    fn drop(&mut self) {
        self.connection.lock().finish();
    }
}

//! A socket: what its client asks for and says, what it is told, and why it ends.
//!
//! What a socket says holds for as long as it is open, and no longer: each of its signals is a claim of its own, which
//! is released with it.

use std::collections::HashMap;
use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use futures_util::{FutureExt, SinkExt, StreamExt};
use hyper::upgrade::Upgraded;
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::time::{interval, timeout, timeout_at};
use tokio_websockets::{CloseCode, Error, Limits, Message, Payload, ServerBuilder, WebSocketStream};
use tracing::error;
use typingd_core::{Side, Signal, Source, StopReason, Time, Utterance};
use typingd_providers::{FaultKind, Rejection};

use super::event;
use super::frame::{self, Asked, Reader, Refused, SOCKET};
use super::watch::Watch;
use crate::api::{self, problem::Problem};
use crate::gateway::{Gateway, Unlisted};
use crate::hub::{Delivery, Farewell, Subscription};
use crate::ids;
use crate::throttle::{Budget, Exhausted};
use crate::tickets::Ticket;
use crate::wire::DecisionBody;

/// How often the client is asked whether it is there.
const HEARTBEAT: Duration = Duration::from_secs(15);

/// Who says nothing for so long, not even that it is there, is gone.
const SILENCE: Duration = Duration::from_secs(40);

/// How long a client may take to make room for a close frame, and all that is on its way before it.
const LAST_WORD: Duration = Duration::from_secs(9);

/// How long a socket that ends waits for its client to take that in.
const LINGER: Duration = Duration::from_secs(2);

/// How many events are written at once to somebody who has fallen behind, and how many frames are answered at once.
const BATCH: usize = 64;

/// Subscriptions of one socket.
const SUBSCRIPTIONS: usize = 32;

/// Conversations in which one socket may be composing.
const CLAIMS: usize = 256;

type Socket = WebSocketStream<TokioIo<Upgraded>>;

/// A socket's place and state.
pub struct Session {
    gateway: Arc<Gateway>,
    ticket: Ticket,
    subscription: Subscription,
    /// What is watched, under the names that the client gave.
    watches: Vec<(String, Watch)>,
    source: Source,
    /// Where something is claimed.
    claims: HashMap<Side, Claim>,
    budget: Budget,
    last_heard: Time,
}

struct Claim {
    until: Time,
    /// Whether what ends it was paid for, which what began it does once.
    is_end_paid: bool,
}

/// How a socket ends.
enum End {
    /// By its client's doing, or with its connection.
    Theirs,
    /// With a code that says why.
    Ours(CloseCode, &'static str),
}

impl Session {
    /// A place for whoever came by a ticket.
    ///
    /// # Errors
    /// Where there is none.
    pub fn open(gateway: Arc<Gateway>, ticket: Ticket) -> Result<Self, Rejection> {
        let subscription = gateway.subscribe(&ticket.login)?;
        let source = Source::Socket(ids::number());
        let last_heard = gateway.clock.now();
        let (watches, claims, budget) = (Vec::new(), HashMap::new(), Budget::new());
        Ok(Self { gateway, ticket, subscription, watches, source, claims, budget, last_heard })
    }

    /// Serves a connection on which both have agreed to speak WebSocket, to its end.
    pub async fn run(mut self, connection: Upgraded) {
        let limits = Limits::default().max_payload_len(Some(api::BODY_LIMIT));
        let mut socket = ServerBuilder::new().limits(limits).serve(TokioIo::new(connection));
        let dismissal = self.subscription.dismissal().clone();
        let served = tokio::select! {
            biased;
            // Whoever is dismissed is not waited for, whatever it has still to take.
            farewell = dismissal.at_once() => Ok(Ok(end(farewell))),
            served = AssertUnwindSafe(self.serve(&mut socket)).catch_unwind() => served,
        };
        // Who goes on at another node is still typing.
        if !self.gateway.hands_over() {
            self.release().await;
        }
        let end = match served {
            Ok(Ok(end)) => end,
            // The library has said so to all but this one.
            Ok(Err(Error::PayloadTooLong { .. })) => End::Ours(CloseCode::MESSAGE_TOO_BIG, "too_large"),
            Ok(Err(_)) => End::Theirs,
            // What it left of the socket is good for nothing.
            Err(_) => return error!("a socket has ended in a panic, which is a bug"),
        };
        part(socket, end).await;
    }

    async fn serve(&mut self, socket: &mut Socket) -> Result<End, Error> {
        let hello = self.hello().await;
        socket.send(text(hello)).await?;
        let mut heartbeat = interval(HEARTBEAT);
        heartbeat.reset();
        loop {
            let silent = self.gateway.clock.instant(self.last_heard + SILENCE);
            let end = tokio::select! {
                // What has come by then counts.
                message = timeout_at(silent, socket.next()) => match message {
                    Ok(Some(message)) => self.hear_all(socket, message?).await?,
                    Ok(None) => Some(End::Theirs),
                    Err(_) => Some(End::Ours(code(4408), "silent")),
                },
                news = self.subscription.take(BATCH) => match news {
                    Ok(news) => self.tell(socket, news).await?,
                    Err(farewell) => Some(end(farewell)),
                },
                _ = heartbeat.tick() => {
                    self.release_on_gone_channels().await;
                    socket.send(Message::ping(Bytes::new())).await?;
                    None
                }
            };
            if let Some(end) = end {
                return Ok(end);
            }
        }
    }

    async fn hello(&self) -> Vec<u8> {
        let now = self.gateway.clock.now();
        let last_turn = match self.ticket.scope.as_conversation() {
            Some(_) => self
                .gateway
                .list(&self.ticket.scope, now)
                .await
                .ok()
                .and_then(|listing| listing.last_turns.of(self.ticket.role)),
            None => None,
        };
        frame::hello(&self.ticket, last_turn)
    }

    /// Passes on what happens in the scopes that are watched.
    async fn tell(&mut self, socket: &mut Socket, news: Vec<Delivery>) -> Result<Option<End>, Error> {
        if news.iter().any(|delivery| matches!(delivery, Delivery::Lost)) {
            // Of what is on the queue, the snapshots have all that they have not passed over.
            for (id, watch) in &mut self.watches {
                match watch.snapshot(Some(id.as_str())).await {
                    Ok(snapshot) => {
                        socket.feed(text(snapshot.told.frame())).await?;
                        if snapshot.is_degraded {
                            socket.feed(text(event::degraded().frame())).await?;
                        }
                    }
                    Err(Unlisted::TooWide) => return Ok(Some(end(Farewell::TooWide))),
                    Err(Unlisted::Unavailable) => socket.feed(text(event::degraded().frame())).await?,
                }
            }
        }
        for delivery in news {
            match delivery {
                Delivery::Change(news) if self.watches.iter().any(|(_, watch)| watch.has_news(&news)) => {
                    socket.feed(text(news.told.frame())).await?;
                }
                Delivery::Degraded if !self.watches.is_empty() => {
                    socket.feed(text(event::degraded().frame())).await?;
                }
                Delivery::Change(_) | Delivery::Degraded | Delivery::Lost => {}
            }
        }
        socket.flush().await?;
        Ok(None)
    }

    /// Does what the client asks for, and what it asks for behind that, where it is here already: what it is answered goes
    /// out together.
    async fn hear_all(&mut self, socket: &mut Socket, first: Message) -> Result<Option<End>, Error> {
        let mut end = self.hear(socket, first).await?;
        for _ in 1..BATCH {
            if end.is_some() {
                break;
            }
            end = match socket.next().now_or_never() {
                Some(Some(Ok(message))) => self.hear(socket, message).await?,
                Some(Some(Err(error))) => {
                    // What came before it has its answers.
                    let _ = socket.flush().await;
                    return Err(error);
                }
                Some(None) => Some(End::Theirs),
                None => break,
            };
        }
        socket.flush().await?;
        Ok(end)
    }

    /// Does what one frame asks for. The answer waits to be sent.
    async fn hear(&mut self, socket: &mut Socket, message: Message) -> Result<Option<End>, Error> {
        self.last_heard = self.gateway.clock.now();
        if self.subscription.dismissal().farewell().is_some() {
            // It has nothing to say any more, though it may have something to take.
            return Ok(None);
        }
        if message.is_binary() {
            return Ok(Some(End::Ours(CloseCode::UNSUPPORTED_DATA, "text_only")));
        }
        if !message.is_text() {
            // The library answers pings and closes. Who does not take what is owed is not asked what more it wants.
            socket.flush().await?;
            return Ok(None);
        }
        let frame = message.into_payload();
        if std::str::from_utf8(&frame).is_err() {
            // The library has seen all but the end of a text whose last frame is empty.
            return Ok(Some(End::Ours(CloseCode::INVALID_FRAME_PAYLOAD_DATA, "not_utf8")));
        }
        let answer = match self.budget.spend(self.last_heard) {
            Ok(Ok(())) => self.answer(&frame).await,
            // It is not read, nor does its tenant pay for it.
            Ok(Err(refused)) => Err((refused.into(), None)),
            Err(Exhausted) => return Ok(Some(End::Ours(CloseCode::POLICY_VIOLATION, "too_many"))),
        };
        let answer = answer.unwrap_or_else(|(problem, reference)| problem.to_frame(reference.as_deref()));
        socket.feed(text(answer)).await?;
        Ok(None)
    }

    async fn answer(&mut self, frame: &[u8]) -> Result<Vec<u8>, (Problem, Option<String>)> {
        let gateway = self.gateway.clone();
        let directory = gateway.directory.load_full();
        let info = api::tenant(&directory, &self.ticket.login).map_err(|no| (no.into(), None))?;
        let reader = Reader {
            ticket: &self.ticket,
            channels: &info.channels,
            policy: gateway.engine.policy(),
            source: self.source,
        };
        let read = reader.read(frame);
        if read.is_err() {
            // It may be about a channel on which nothing can be said any more.
            self.release_on_gone_channels().await;
        }
        // What ends something was paid for by what began it. What is refused has to be read as well.
        let is_paid_for = match &read {
            Ok((Asked::Say { side, utterance, .. }, _)) if !is_start(utterance) => {
                self.claims.get_mut(side).is_some_and(|claim| std::mem::take(&mut claim.is_end_paid))
            }
            _ => false,
        };
        let spent = if is_paid_for { Ok(()) } else { info.rate.spend() };
        let (asked, reference) = match read {
            Ok((asked, reference)) => (spent.map(|()| asked), reference),
            Err(Refused { reference, rejection }) => (spent.and(Err(rejection)), reference),
        };
        let answer = match asked {
            Err(rejection) => Err(rejection.into()),
            Ok(Asked::Ping) => Ok(frame::pong(reference.as_deref())),
            Ok(Asked::Subscribe { id, scope }) => self.subscribe(id, scope).await,
            Ok(Asked::Unsubscribe { id }) => self.unsubscribe(&id).map_err(Problem::from),
            Ok(Asked::Say { side, utterance, clamped_ttl_ms }) => {
                let outcome = self.say(&side, utterance).await.map_err(Problem::from);
                outcome.map(|(outcome, now)| {
                    let decision = DecisionBody::new(&side, &outcome, clamped_ttl_ms, now, &gateway.clock);
                    frame::write(&decision.framed(reference.as_deref()))
                })
            }
        };
        answer.map_err(|problem| (problem, reference))
    }

    /// Watches a scope from now on; the answer is its snapshot.
    async fn subscribe(&mut self, id: String, scope: typingd_core::Scope) -> Result<Vec<u8>, Problem> {
        if self.watches.iter().any(|(known, _)| *known == id) {
            let expected = "a name that no live subscription of this socket has";
            return Err(Rejection::field("id", FaultKind::Repeated, expected).into());
        }
        if self.watches.len() >= SUBSCRIPTIONS {
            return Err(Rejection::TooMany { retry_after_s: 1 }.into());
        }
        let mut watch = Watch::start(&self.gateway, &mut self.subscription, scope, Some(self.ticket.role));
        match watch.snapshot(Some(id.as_str())).await {
            Ok(snapshot) => {
                self.watches.push((id, watch));
                Ok(snapshot.told.frame().to_vec())
            }
            Err(too_wide) => {
                watch.end(&mut self.subscription);
                Err(too_wide.into())
            }
        }
    }

    fn unsubscribe(&mut self, id: &str) -> Result<Vec<u8>, Rejection> {
        let at = self.watches.iter().position(|(known, _)| known == id).ok_or_else(|| {
            Rejection::field("id", FaultKind::WrongValue, "the name of a live subscription of this socket")
        })?;
        let (_, watch) = self.watches.remove(at);
        watch.end(&mut self.subscription);
        Ok(frame::unsubscribed(id))
    }

    async fn say(
        &mut self,
        side: &Side,
        utterance: Utterance,
    ) -> Result<(typingd_core::Outcome, Time), Rejection> {
        let now = self.gateway.clock.now();
        match utterance.signal {
            Signal::Composing { ttl } => {
                self.claims.retain(|_, claim| claim.until > now);
                if self.claims.len() >= CLAIMS && !self.claims.contains_key(side) {
                    return Err(Rejection::TooMany { retry_after_s: 1 });
                }
                // It is noted before it is said: whatever becomes of the saying, it is released.
                let claim = self.claims.entry(side.clone());
                let claim = claim.or_insert(Claim { until: now, is_end_paid: true });
                *claim = Claim { until: claim.until.max(now + ttl), is_end_paid: true };
            }
            Signal::Paused | Signal::Sent => {}
        }
        let is_end = !is_start(&utterance);
        let outcome = self.gateway.hear(SOCKET, side, utterance, now).await?;
        if is_end && outcome.lease.is_none() {
            self.claims.remove(side);
        }
        Ok((outcome, now))
    }

    /// Takes back what this socket alone vouched for.
    async fn release(&mut self) {
        for side in std::mem::take(&mut self.claims).into_keys() {
            self.release_one(&side).await;
        }
    }

    /// Takes back what was said on channels that a reload has taken away.
    async fn release_on_gone_channels(&mut self) {
        let directory = self.gateway.directory.load_full();
        let Ok(info) = api::tenant(&directory, &self.ticket.login) else { return };
        let is_gone = |side: &&Side| !info.channels.contains_key(side.conversation.channel());
        let gone: Vec<Side> = self.claims.keys().filter(is_gone).cloned().collect();
        for side in gone {
            self.release_one(&side).await;
            self.claims.remove(&side);
        }
    }

    async fn release_one(&self, side: &Side) {
        let gateway = &self.gateway;
        let participant = self.ticket.participant.clone();
        let now = gateway.clock.now();
        let reason = StopReason::Revoked;
        let released = gateway.engine.release(side, participant, self.source, reason, now).await;
        if let Err(error) = released {
            error!(%error, "a socket's claim could not be released");
        }
    }
}

fn is_start(utterance: &Utterance) -> bool {
    matches!(utterance.signal, Signal::Composing { .. })
}

/// Says why, and waits a while until the client has taken it in or hangs up.
async fn part(mut socket: Socket, end: End) {
    if let End::Ours(code, why) = end {
        // Where the library has closed it already, it does not close twice.
        let _ = timeout(LAST_WORD, socket.send(Message::close(Some(code), why))).await;
    }
    let _ = timeout(LINGER, linger(socket)).await;
}

async fn linger(mut socket: Socket) {
    while let Some(Ok(_)) = socket.next().await {}
    let mut connection = socket.into_inner();
    let _ = connection.shutdown().await;
    // What was not read when a socket is closed makes the system throw away what was written last.
    let mut rest = [0; 1024];
    while matches!(connection.read(&mut rest).await, Ok(1..)) {}
}

fn end(farewell: Farewell) -> End {
    let code = match farewell {
        Farewell::Draining => CloseCode::GOING_AWAY,
        Farewell::TooSlow => CloseCode::SERVICE_OVERLOAD,
        Farewell::Revoked => code(4401),
        Farewell::TooWide => code(4413),
    };
    End::Ours(code, farewell.as_str())
}

/// A code of our own.
fn code(number: u16) -> CloseCode {
    CloseCode::try_from(number).expect("4000 to 4999 are for applications")
}

fn text(frame: impl Into<Bytes>) -> Message {
    Message::text(Payload::from(frame.into()))
}

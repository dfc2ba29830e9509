//! A socket: what its client asks for and says, what it is told, and why it ends.
//!
//! What a socket says holds for as long as it is open, and no longer: each of its signals is a claim of its own, which
//! is released with it.

use std::collections::BTreeMap;
use std::future::poll_fn;
use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::time::Duration;

use futures_util::FutureExt;
use smallvec::SmallVec;
use tokio::time::timeout_at;
use tracing::error;
use typingd_core::{Name, Side, Signal, Source, StopReason, Time, Utterance};
use typingd_providers::{FaultKind, Rejection};

use super::event;
use super::form::{Form, PING, PONG, TEXT, frame as framed};
use super::frame::{self, Asked, Bearer, Refused, SOCKET};
use super::part::{End, end, part};
use super::reader::{Fault, Message, Reader};
use super::watch::Watch;
use crate::api::{self, problem::Problem};
use crate::gateway::{Gateway, Unlisted};
use crate::hub::{Call, Farewell, Subscription};
use crate::ids;
use crate::listener::Line;
use crate::throttle::{Budget, Exhausted};
use crate::tickets::Ticket;
use crate::wire::DecisionBody;

/// How often the client is asked whether it is there.
const HEARTBEAT: Duration = Duration::from_secs(15);

/// Who says nothing for so long, not even that it is there, is gone.
const SILENCE: Duration = Duration::from_secs(40);

/// How many messages are answered at once.
const AT_ONCE: usize = 64;

/// Subscriptions of one socket.
const SUBSCRIPTIONS: usize = 32;

/// Conversations in which one socket may be composing.
const CLAIMS: usize = 256;

/// A socket's place and state.
pub struct Session {
    gateway: Arc<Gateway>,
    bearer: Bearer,
    subscription: Subscription,
    /// What is watched, under the names that the client gave. Most watch one scope and no more.
    watches: SmallVec<[(Name, Watch); 1]>,
    /// By which its claims are known.
    number: u64,
    /// Where something is claimed.
    claims: BTreeMap<Side, Claim>,
    budget: Budget,
    last_heard: Time,
}

struct Claim {
    until: Time,
    /// Whether what ends it was paid for, which what began it does once.
    is_end_paid: bool,
}

impl Session {
    /// A place for whoever came by a ticket.
    ///
    /// # Errors
    /// Where there is none.
    pub fn open(gateway: Arc<Gateway>, ticket: Ticket) -> Result<Box<Self>, Rejection> {
        let subscription = gateway.subscribe(&ticket.login)?;
        let Ticket { scope, role, participant, name, may_write, .. } = ticket;
        let bearer = Bearer { scope: gateway.hub.shared(scope), role, participant, name, may_write };
        let (number, last_heard) = (ids::number(), gateway.clock.now());
        let (watches, claims, budget) = (SmallVec::new(), BTreeMap::new(), Budget::new());
        Ok(Box::new(Self { gateway, bearer, subscription, watches, number, claims, budget, last_heard }))
    }

    /// Serves a connection on which both have agreed to speak WebSocket, to its end.
    pub fn run(mut self: Box<Self>, line: Line) -> impl Future<Output = ()> + Send {
        self.subscription.connect(&line, Form::Frames);
        let membership = self.subscription.membership();
        let mut reader = Reader::new(line);
        // What a block captures is there once for as long as it runs; the arguments of an `async fn`, twice.
        async move {
            let served = tokio::select! {
                biased;
                // Whoever is dismissed is not waited for, whatever it has still to take.
                farewell = membership.at_once() => Ok(Ok(end(farewell))),
                served = AssertUnwindSafe(self.serve(&mut reader)).catch_unwind() => served,
            };
            // Who goes on at another node is still typing.
            if !self.gateway.hands_over() {
                Box::pin(self.release()).await;
            }
            let end = match served {
                Ok(Ok(end)) => end,
                Ok(Err(Fault::Io(_))) => End::Theirs,
                Ok(Err(Fault::Protocol(why))) => End::Ours(1002, why),
                Ok(Err(Fault::NotUtf8)) => End::Ours(1007, "not_utf8"),
                Ok(Err(Fault::TooLong)) => End::Ours(1009, "too_large"),
                // What it left of the socket is good for nothing.
                Err(_) => return error!("a socket has ended in a panic, which is a bug"),
            };
            Box::pin(part(self.subscription, reader, end)).await;
        }
    }

    async fn serve(&mut self, reader: &mut Reader) -> Result<End, Fault> {
        self.write(&Box::pin(self.hello()).await);
        if let Err(farewell) = Box::pin(self.tell()).await {
            return Ok(end(farewell));
        }
        let mut ping_at = self.gateway.clock.now() + HEARTBEAT;
        loop {
            // Who does not take what is owed is not asked what more it wants.
            self.subscription.flush(&mut reader.line).await?;
            let silent_at = self.last_heard + SILENCE;
            let due = self.gateway.clock.instant(ping_at.min(silent_at));
            let ended = tokio::select! {
                // What has come by then counts.
                message = timeout_at(due, poll_fn(|cx| reader.poll(cx))) => match message {
                    Ok(message) => Box::pin(self.hear_all(message?, reader)).await?,
                    Err(_) if self.gateway.clock.now() >= silent_at => Some(End::Ours(4408, "silent")),
                    Err(_) => {
                        ping_at = ping_at + HEARTBEAT;
                        Box::pin(self.release_on_gone_channels()).await;
                        self.subscription.write(framed(PING, b""));
                        None
                    }
                },
                call = self.subscription.call() => match call {
                    Call::Flush => None,
                    Call::List => Box::pin(self.tell()).await.err().map(end),
                    Call::Leave(farewell) => Some(end(farewell)),
                },
            };
            if let Some(ended) = ended {
                return Ok(ended);
            }
        }
    }

    fn source(&self) -> Source {
        Source::Socket(self.number)
    }

    fn write(&self, text: &[u8]) {
        self.subscription.write(framed(TEXT, text));
    }

    async fn hello(&self) -> Vec<u8> {
        let now = self.gateway.clock.now();
        let Bearer { scope, role, .. } = &self.bearer;
        let last_turn = match scope.as_conversation() {
            Some(_) => {
                let listing = self.gateway.list(scope, now).await.ok();
                listing.and_then(|listing| listing.last_turns.of(*role))
            }
            None => None,
        };
        frame::hello(&self.bearer, last_turn)
    }

    /// Passes on what happens in the scopes that are watched, and what was held; behind new snapshots of them where
    /// changes were lost.
    async fn tell(&mut self) -> Result<(), Farewell> {
        while !self.subscription.release() {
            // Of what is held, the snapshots have all that they have not passed over.
            for (id, watch) in &self.watches {
                match watch.snapshot(&self.subscription, Some(id.as_str())).await {
                    Ok(snapshot) => {
                        self.write(&snapshot.text.data());
                        if snapshot.is_degraded {
                            self.write(&event::degraded().data());
                        }
                    }
                    Err(Unlisted::TooWide) => return Err(Farewell::TooWide),
                    Err(Unlisted::Unavailable) => self.write(&event::degraded().data()),
                }
            }
        }
        Ok(())
    }

    /// Does what the client asks for, and what it asks for behind that, where it is here already: what it is answered goes
    /// out together.
    async fn hear_all(&mut self, first: Message, reader: &mut Reader) -> Result<Option<End>, Fault> {
        let mut ended = self.hear(first).await;
        for _ in 1..AT_ONCE {
            if ended.is_some() {
                break;
            }
            let Some(message) = poll_fn(|cx| reader.poll(cx)).now_or_never() else { break };
            ended = self.hear(message?).await;
        }
        if ended.is_none() {
            ended = self.tell().await.err().map(end);
        }
        Ok(ended)
    }

    /// Does what one message asks for. The answer waits to be sent.
    async fn hear(&mut self, message: Message) -> Option<End> {
        self.last_heard = self.gateway.clock.now();
        let text = match message {
            Message::Close(code) => return Some(End::Answered(code)),
            Message::Ping(payload) => {
                self.subscription.write(framed(PONG, &payload));
                return None;
            }
            // It has nothing to say any more, though it may have something to take.
            _ if self.subscription.membership().farewell().is_some() => return None,
            Message::Pong => return None,
            Message::Binary => return Some(End::Ours(1003, "text_only")),
            Message::Text(text) => text,
        };
        // What comes of what it says is told behind the answer.
        self.subscription.hold();
        let answer = match self.budget.spend(self.last_heard) {
            Ok(Ok(())) => self.answer(&text).await,
            // It is not read, nor does its tenant pay for it.
            Ok(Err(refused)) => Err((refused.into(), None)),
            Err(Exhausted) => return Some(End::Ours(1008, "too_many")),
        };
        let answer = answer.unwrap_or_else(|(problem, reference)| problem.to_frame(reference.as_deref()));
        self.subscription.queue(framed(TEXT, &answer));
        None
    }

    async fn answer(&mut self, frame: &[u8]) -> Result<Vec<u8>, (Problem, Option<String>)> {
        let gateway = self.gateway.clone();
        let directory = gateway.directory.load_full();
        let info = api::tenant(&directory, self.subscription.login()).map_err(|no| (no.into(), None))?;
        let reader = frame::Reader {
            bearer: &self.bearer,
            channels: &info.channels,
            policy: gateway.engine.policy(),
            source: self.source(),
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
        let watch = Watch::start(&self.gateway, &self.subscription, scope, Some(self.bearer.role));
        match watch.snapshot(&self.subscription, Some(id.as_str())).await {
            Ok(snapshot) => {
                self.watches.push((id.into(), watch));
                Ok(snapshot.text.data().to_vec())
            }
            Err(too_wide) => {
                watch.end(&self.subscription);
                Err(too_wide.into())
            }
        }
    }

    fn unsubscribe(&mut self, id: &str) -> Result<Vec<u8>, Rejection> {
        let at = self.watches.iter().position(|(known, _)| known == id).ok_or_else(|| {
            Rejection::field("id", FaultKind::WrongValue, "the name of a live subscription of this socket")
        })?;
        let (_, watch) = self.watches.remove(at);
        watch.end(&self.subscription);
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
        let Ok(info) = api::tenant(&directory, self.subscription.login()) else { return };
        let is_gone = |side: &&Side| !info.channels.contains_key(side.conversation.channel());
        let gone: Vec<Side> = self.claims.keys().filter(is_gone).cloned().collect();
        for side in gone {
            self.release_one(&side).await;
            self.claims.remove(&side);
        }
    }

    async fn release_one(&self, side: &Side) {
        let gateway = &self.gateway;
        let participant = self.bearer.participant.clone();
        let now = gateway.clock.now();
        let reason = StopReason::Revoked;
        let released = gateway.engine.release(side, participant, self.source(), reason, now).await;
        if let Err(error) = released {
            error!(%error, "a socket's claim could not be released");
        }
    }
}

fn is_start(utterance: &Utterance) -> bool {
    matches!(utterance.signal, Signal::Composing { .. })
}

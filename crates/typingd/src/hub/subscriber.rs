//! One who watches: what it is told, and where that is while it is on its way.
//!
//! Whoever has news for it writes them to its socket there and then. They wait in its outbox while the socket takes
//! nothing, and are held as they are while its task makes a snapshot, which may have them already, or an answer, which
//! comes first. The task has all other work, and sleeps while there is none.

use std::borrow::Cow;
use std::collections::BTreeSet;
use std::future::poll_fn;
use std::io;
use std::ops::Range;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Waker, ready};

use bytes::Bytes;
use smallvec::SmallVec;
use tokio::net::TcpStream;
use typingd_core::store::AsOf;
use typingd_core::{Scope, Time};

use super::outbox::Outbox;
use super::{Farewell, News};
use crate::directory::Login;
use crate::listener::Line;
use crate::subscribe::event;
use crate::subscribe::form::Form;

/// What a subscriber is told.
#[derive(Clone, Debug)]
pub(super) enum Delivery {
    /// A change, by its number among all.
    Change(Arc<News>, u64),
    /// Changes were lost: only new snapshots tell what is.
    Lost,
    /// Changes that others make are not heard of for now.
    Degraded,
}

/// What becomes of a delivery.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Receipt {
    /// It needs nothing more.
    Done,
    /// It is the first that waits to be sent.
    Waits,
    /// There is no room for it.
    TooMuch,
}

/// What a subscriber's task is called for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Call {
    /// Something waits that the socket did not take.
    Flush,
    /// Changes were lost, and nothing is told until new snapshots are.
    List,
    /// It has ended, and all that is still to be told has been.
    Leave(Farewell),
}

/// One who watches.
pub(super) struct Subscriber {
    pub(super) id: u64,
    /// What it came by.
    pub(super) login: Arc<Login>,
    state: Mutex<State>,
}

struct State {
    outbox: Outbox,
    form: Form,
    /// One scope that is watched twice is here twice. Most watch one and no more.
    watching: SmallVec<[Watching; 1]>,
    /// The last change that it was told, so that each is told once, whichever scopes cover it.
    last_told: u64,
    last_told_at: Time,
    /// What waits for its task, which makes something that comes before.
    held: Option<Vec<Delivery>>,
    /// Whether the task has to list everything anew.
    is_behind: bool,
    /// Whether its last snapshot has only what is known here.
    is_owed: bool,
    /// Why it was ended, if it was.
    farewell: Option<Farewell>,
    /// Whether its task has ended it.
    has_left: bool,
    task: Option<Waker>,
}

/// A scope, and what is known of it from its last snapshot.
struct Watching {
    number: u32,
    scope: Arc<Scope>,
    /// Where its leases may be.
    shards: Range<usize>,
    /// For as long as something may come that is known from it.
    seen: Option<Box<Seen>>,
    /// How many commits it knows that were decided beside the store.
    beside: u64,
}

/// What a snapshot has seen.
struct Seen {
    as_of: AsOf,
    /// When so many commits have been told, nothing comes any more that is known from it, if that is known.
    known_until: Option<u64>,
}

impl Watching {
    /// Whether it happened in the scope, and the last snapshot does not have it already. In a scope `by` which its watcher
    /// was found it did.
    fn has_news(&self, news: &News, by: Option<&Arc<Scope>>) -> bool {
        let is_known = match news.beside {
            Some(beside) => beside <= self.beside,
            None => self.seen.as_ref().is_some_and(|seen| seen.as_of.includes(news.position)),
        };
        let is_within =
            by.is_some_and(|by| Arc::ptr_eq(by, &self.scope)) || self.scope.covers(&news.conversation);
        is_within && !is_known
    }
}

impl Subscriber {
    /// One to whom nothing is told before its task has told it what there is.
    pub(super) fn new(id: u64, login: Arc<Login>) -> Self {
        let state = State {
            outbox: Outbox::default(),
            form: Form::Bare,
            watching: SmallVec::new(),
            last_told: 0,
            last_told_at: Time::ZERO,
            held: Some(Vec::new()),
            is_behind: false,
            is_owed: false,
            farewell: None,
            has_left: false,
            task: None,
        };
        Self { id, login, state: Mutex::new(state) }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Tells it something, or lets that wait: at most `backlog` pieces may. Where more is `to_come`, it is not sent yet. A
    /// change comes with the scope `by` which it was found.
    pub(super) fn tell(
        &self,
        delivery: &Delivery,
        by: Option<&Arc<Scope>>,
        now: Time,
        backlog: usize,
        to_come: bool,
    ) -> Receipt {
        let state = &mut *self.lock();
        if state.has_left || state.farewell.is_some() {
            return Receipt::Done;
        }
        if let Delivery::Change(_, number) = delivery
            && std::mem::replace(&mut state.last_told, *number) == *number
        {
            return Receipt::Done;
        }
        let is_first = state.outbox.is_empty();
        let waiting = state.outbox.len() + state.held.as_ref().map_or(0, Vec::len);
        if let Some(held) = &mut state.held {
            if waiting >= backlog {
                return Receipt::TooMuch;
            }
            state.is_behind |= matches!(delivery, Delivery::Lost);
            held.push(delivery.clone());
            return Receipt::Done;
        }
        let piece = match state.form_of(delivery, by) {
            Some(piece) => piece,
            None if matches!(delivery, Delivery::Lost) => {
                state.held = Some(Vec::new());
                state.is_behind = true;
                state.wake();
                return Receipt::Done;
            }
            None => return Receipt::Done,
        };
        if waiting >= backlog {
            state.outbox.flush();
            if state.outbox.len() >= backlog {
                return Receipt::TooMuch;
            }
        }
        state.last_told_at = now;
        if to_come {
            state.outbox.push(piece.into_owned());
            return if is_first { Receipt::Waits } else { Receipt::Done };
        }
        state.outbox.send(&piece);
        if is_first {
            state.settle();
        } else {
            // Its task knows that something waits, or will be told.
            state.outbox.flush();
        }
        Receipt::Done
    }

    /// Sends what it was told, as far as its socket takes it.
    pub(super) fn send(&self) {
        self.lock().settle();
    }

    /// Ends it, unless it has ended.
    pub(super) fn dismiss(&self, farewell: Farewell) {
        let mut state = self.lock();
        if state.farewell.is_none() && !state.has_left {
            state.farewell = Some(farewell);
            if farewell.is_at_once() {
                state.held = None;
                state.outbox.drop_waiting();
            }
            state.wake();
        }
    }

    /// Its task has its last word.
    pub(super) fn leave(&self) {
        self.lock().has_left = true;
    }

    pub(super) fn watches_any(&self, lost: &BTreeSet<usize>) -> bool {
        self.lock().watching.iter().any(|watching| lost.range(watching.shards.clone()).next().is_some())
    }

    /// Takes the note that it had a snapshot of what is known here alone.
    pub(super) fn take_debt(&self) -> bool {
        std::mem::take(&mut self.lock().is_owed)
    }

    pub(super) fn owe(&self) {
        self.lock().is_owed = true;
    }

    pub(super) fn watch(&self, scope: Arc<Scope>, shards: Range<usize>) -> u32 {
        let mut state = self.lock();
        let number = state.watching.last().map_or(0, |last| last.number + 1);
        state.watching.push(Watching { number, scope, shards, seen: None, beside: 0 });
        number
    }

    /// Watches a scope no more; it, where nothing else does.
    pub(super) fn unwatch(&self, number: u32) -> Option<Arc<Scope>> {
        let mut state = self.lock();
        let at = state.watching.iter().position(|watching| watching.number == number)?;
        let scope = state.watching.remove(at).scope;
        (!state.watching.iter().any(|watching| watching.scope == scope)).then_some(scope)
    }

    pub(super) fn scope(&self, number: u32) -> Option<Arc<Scope>> {
        let state = self.lock();
        state.watching.iter().find(|watching| watching.number == number).map(|found| found.scope.clone())
    }

    /// All that it watches.
    pub(super) fn scopes(&self) -> Vec<Arc<Scope>> {
        self.lock().watching.iter().map(|watching| watching.scope.clone()).collect()
    }

    /// What a snapshot of a scope has is not told any more.
    pub(super) fn has_seen(&self, number: u32, as_of: AsOf, known_until: Option<u64>, beside: u64) {
        if let Some(watching) = self.lock().watching.iter_mut().find(|watching| watching.number == number) {
            watching.seen = Some(Box::new(Seen { as_of, known_until }));
            watching.beside = beside;
        }
    }

    pub(super) fn connect(&self, socket: Option<Arc<TcpStream>>, form: Form) {
        let mut state = self.lock();
        state.outbox.connect(socket);
        state.form = form;
    }

    pub(super) fn write(&self, piece: Bytes) {
        self.lock().outbox.send(&piece);
    }

    pub(super) fn queue(&self, piece: Bytes) {
        self.lock().outbox.push(piece);
    }

    pub(super) fn hold(&self) {
        self.lock().held.get_or_insert_default();
    }

    /// Tells what was held; not where all is to be listed anew. So many commits have been told by then.
    pub(super) fn release(&self, now: Time, passed: u64) -> bool {
        let mut state = self.lock();
        if std::mem::take(&mut state.is_behind) {
            return false;
        }
        for delivery in state.held.take().unwrap_or_default() {
            if let Some(piece) = state.form_of(&delivery, None) {
                state.outbox.push(piece.into_owned());
                state.last_told_at = now;
            }
        }
        state.outbox.flush();
        for watching in &mut state.watching {
            watching.seen.take_if(|seen| seen.known_until.is_some_and(|until| until <= passed));
        }
        true
    }

    pub(super) fn last_told_at(&self) -> Time {
        self.lock().last_told_at
    }

    pub(super) fn farewell(&self) -> Option<Farewell> {
        self.lock().farewell
    }

    /// Waits for a farewell behind which nothing is told any more.
    pub(super) fn at_once(&self) -> impl Future<Output = Farewell> {
        self.farewell_that(Farewell::is_at_once)
    }

    pub(super) fn whenever(&self) -> impl Future<Output = Farewell> {
        self.farewell_that(|_| true)
    }

    fn farewell_that(&self, is_meant: impl Fn(Farewell) -> bool) -> impl Future<Output = Farewell> {
        poll_fn(move |cx| {
            let mut state = self.lock();
            let farewell = state.farewell.filter(|farewell| is_meant(*farewell));
            farewell.map_or_else(|| state.sleep(cx), Poll::Ready)
        })
    }

    pub(super) fn call(&self) -> impl Future<Output = Call> {
        poll_fn(|cx| {
            let mut state = self.lock();
            if !state.outbox.is_empty() || state.outbox.is_broken() {
                Poll::Ready(Call::Flush)
            } else if state.is_behind {
                Poll::Ready(Call::List)
            } else if let Some(farewell) = state.farewell {
                Poll::Ready(Call::Leave(farewell))
            } else {
                state.sleep(cx)
            }
        })
    }

    /// Writes to a line; whether nothing waits any more, where anything was written.
    pub(super) fn poll_flush(&self, line: &mut Line, cx: &mut Context<'_>) -> Poll<io::Result<bool>> {
        let mut state = self.lock();
        if state.outbox.is_broken() {
            return Poll::Ready(Err(io::ErrorKind::BrokenPipe.into()));
        }
        if state.outbox.is_empty() {
            return line.poll_flush(cx).map_ok(|()| true);
        }
        match ready!(state.outbox.write(|slices| line.poll_write(cx, slices))) {
            Ok(0) => Poll::Ready(Err(io::ErrorKind::WriteZero.into())),
            Ok(_) => {
                state.outbox.unstick();
                Poll::Ready(Ok(false))
            }
            Err(error) => {
                state.outbox.break_off();
                Poll::Ready(Err(error))
            }
        }
    }
}

impl State {
    /// The bytes of a delivery, where it is of interest.
    fn form_of<'d>(&self, delivery: &'d Delivery, by: Option<&Arc<Scope>>) -> Option<Cow<'d, Bytes>> {
        match delivery {
            Delivery::Change(news, _) => {
                let has_news = self.watching.iter().any(|watching| watching.has_news(news, by));
                has_news.then(|| Cow::Borrowed(news.told.dressed(self.form)))
            }
            Delivery::Degraded if !self.watching.is_empty() => {
                Some(Cow::Owned(self.form.dress(&event::degraded())))
            }
            Delivery::Degraded | Delivery::Lost => None,
        }
    }

    /// Sends what waits, and leaves the rest to the task.
    fn settle(&mut self) {
        if self.outbox.is_empty() && !self.outbox.is_broken() {
            return;
        }
        self.outbox.flush();
        if !self.outbox.is_empty() || self.outbox.is_broken() {
            self.wake();
        }
    }

    fn wake(&self) {
        if let Some(task) = &self.task {
            task.wake_by_ref();
        }
    }

    fn sleep<T>(&mut self, cx: &Context<'_>) -> Poll<T> {
        match &mut self.task {
            Some(task) => task.clone_from(cx.waker()),
            task => *task = Some(cx.waker().clone()),
        }
        Poll::Pending
    }
}

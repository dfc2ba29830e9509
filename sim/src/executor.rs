//! Tasks and time. Which of the tasks that can go on does so next is chance; time goes on when none can.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::future::Future;
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Wake, Waker};
use std::time::Duration;

use fastrand::Rng;

/// Who goes when a task does.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Owner {
    /// The world: what is on a wire, and who looks on.
    World,
    /// Those who type.
    Actors,
    /// A gateway, by its number.
    Node(usize),
}

type Task = Pin<Box<dyn Future<Output = ()> + Send>>;

/// Runs tasks in one thread, in virtual milliseconds.
#[derive(Clone)]
pub(crate) struct Executor(Arc<Shared>);

struct Shared {
    state: Mutex<State>,
    ready: Mutex<BTreeSet<u64>>,
}

#[derive(Default)]
struct State {
    now: u64,
    steps: u64,
    serial: u64,
    tasks: BTreeMap<u64, (Owner, Option<Task>)>,
    timers: BTreeMap<(u64, u64), Waker>,
}

struct TaskWaker {
    id: u64,
    shared: Arc<Shared>,
}

impl Wake for TaskWaker {
    fn wake(self: Arc<Self>) {
        lock(&self.shared.ready).insert(self.id);
    }
}

/// Locks what only one thread ever has.
pub(crate) fn lock<T: ?Sized>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Executor {
    pub(crate) fn new() -> Self {
        Self(Arc::new(Shared { state: Mutex::default(), ready: Mutex::default() }))
    }

    /// Virtual milliseconds since the beginning.
    pub(crate) fn now(&self) -> u64 {
        lock(&self.0.state).now
    }

    /// How often a task went on.
    pub(crate) fn steps(&self) -> u64 {
        lock(&self.0.state).steps
    }

    pub(crate) fn spawn(&self, owner: Owner, task: impl Future<Output = ()> + Send + 'static) {
        let mut state = lock(&self.0.state);
        state.serial += 1;
        let id = state.serial;
        state.tasks.insert(id, (owner, Some(Box::pin(task))));
        lock(&self.0.ready).insert(id);
    }

    /// Ends all that somebody does, in the middle of it.
    pub(crate) fn kill(&self, owner: Owner) {
        let mut state = lock(&self.0.state);
        let ids: Vec<u64> =
            state.tasks.iter().filter(|(_, (of, _))| *of == owner).map(|(id, _)| *id).collect();
        let gone: Vec<_> = ids.into_iter().filter_map(|id| state.tasks.remove(&id)).collect();
        drop(state);
        // What they hold wakes others when it goes.
        drop(gone);
    }

    pub(crate) fn sleep(&self, millis: u64) -> Sleep {
        Sleep { executor: self.clone(), at: self.now() + millis, key: None }
    }

    /// Waits for a future, for so long.
    pub(crate) async fn timeout<F: Future>(&self, limit: Duration, future: F) -> Option<F::Output> {
        let mut future = std::pin::pin!(future);
        let mut sleep = self.sleep(u64::try_from(limit.as_millis()).unwrap_or(u64::MAX));
        std::future::poll_fn(move |context| match future.as_mut().poll(context) {
            Poll::Ready(output) => Poll::Ready(Some(output)),
            Poll::Pending => Pin::new(&mut sleep).poll(context).map(|()| None),
        })
        .await
    }

    /// Lets everybody go on until then.
    pub(crate) fn run_until(&self, end: u64, rng: &mut Rng) {
        loop {
            let next = {
                let mut ready = lock(&self.0.ready);
                let chosen = ready.iter().nth(rng.usize(..ready.len().max(1))).copied();
                chosen.inspect(|id| _ = ready.remove(id))
            };
            match next {
                Some(id) => self.step(id),
                None if self.advance(end) => {}
                None => return,
            }
        }
    }

    fn step(&self, id: u64) {
        let task = {
            let mut state = lock(&self.0.state);
            state.steps += 1;
            state.tasks.get_mut(&id).and_then(|(_, task)| task.take())
        };
        let Some(mut task) = task else { return };
        let waker = Waker::from(Arc::new(TaskWaker { id, shared: self.0.clone() }));
        let is_over = task.as_mut().poll(&mut Context::from_waker(&waker)).is_ready();
        let mut state = lock(&self.0.state);
        match state.tasks.get_mut(&id) {
            Some((_, place)) if !is_over => *place = Some(task),
            _ => {
                state.tasks.remove(&id);
                drop(state);
                drop(task);
            }
        }
    }

    /// Time goes on to the next timer. Says whether there was one before `end`.
    fn advance(&self, end: u64) -> bool {
        let mut state = lock(&self.0.state);
        let Some((&(at, _), _)) = state.timers.first_key_value().filter(|((at, _), _)| *at <= end) else {
            state.now = end;
            return false;
        };
        state.now = state.now.max(at);
        let later = state.timers.split_off(&(at + 1, 0));
        let due = std::mem::replace(&mut state.timers, later);
        drop(state);
        due.into_values().for_each(Waker::wake);
        true
    }
}

/// Lets time pass.
pub(crate) struct Sleep {
    executor: Executor,
    at: u64,
    key: Option<(u64, u64)>,
}

impl Future for Sleep {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<()> {
        let executor = self.executor.clone();
        let mut state = lock(&executor.0.state);
        if let Some(key) = self.key.take() {
            state.timers.remove(&key);
        }
        if state.now >= self.at {
            return Poll::Ready(());
        }
        state.serial += 1;
        let key = (self.at, state.serial);
        state.timers.insert(key, context.waker().clone());
        drop(state);
        self.key = Some(key);
        Poll::Pending
    }
}

impl Drop for Sleep {
    fn drop(&mut self) {
        if let Some(key) = self.key.take() {
            let waker = lock(&self.executor.0.state).timers.remove(&key);
            drop(waker);
        }
    }
}

/// Rings for whoever waits, or who waits next.
#[derive(Default)]
pub(crate) struct Bell(Mutex<(bool, Option<Waker>)>);

impl Bell {
    pub(crate) fn ring(&self) {
        let mut bell = lock(&self.0);
        bell.0 = true;
        if let Some(waker) = bell.1.take() {
            waker.wake();
        }
    }

    pub(crate) fn rung(&self) -> impl Future<Output = ()> + '_ {
        std::future::poll_fn(|context| {
            let mut bell = lock(&self.0);
            if std::mem::take(&mut bell.0) {
                return Poll::Ready(());
            }
            bell.1 = Some(context.waker().clone());
            Poll::Pending
        })
    }
}

/// Lets one in at a time, in the order in which they came.
#[derive(Default)]
pub(crate) struct Gate(Mutex<Waiting>);

#[derive(Default)]
struct Waiting {
    serial: u64,
    queue: VecDeque<(u64, Option<Waker>)>,
}

impl Gate {
    pub(crate) async fn enter(&self) -> Entered<'_> {
        let ticket = {
            let mut waiting = lock(&self.0);
            waiting.serial += 1;
            let ticket = waiting.serial;
            waiting.queue.push_back((ticket, None));
            ticket
        };
        let entered = Entered { gate: self, ticket };
        std::future::poll_fn(|context| {
            let mut waiting = lock(&self.0);
            if waiting.queue.front().is_some_and(|(first, _)| *first == ticket) {
                return Poll::Ready(());
            }
            let place = waiting.queue.iter_mut().find(|(of, _)| *of == ticket);
            place.into_iter().for_each(|(_, waker)| *waker = Some(context.waker().clone()));
            Poll::Pending
        })
        .await;
        entered
    }
}

/// Is in, or in line.
pub(crate) struct Entered<'g> {
    gate: &'g Gate,
    ticket: u64,
}

impl Drop for Entered<'_> {
    fn drop(&mut self) {
        let mut waiting = lock(&self.gate.0);
        waiting.queue.retain(|(of, _)| *of != self.ticket);
        if let Some(waker) = waiting.queue.front_mut().and_then(|(_, waker)| waker.take()) {
            waker.wake();
        }
    }
}

/// Brings one thing from one task to another.
pub(crate) struct Answer<T>(Arc<(Mutex<Option<T>>, Bell)>);

impl<T> Clone for Answer<T> {
    fn clone(&self) -> Self {
        Self(self.0.clone())
    }
}

impl<T> Answer<T> {
    pub(crate) fn new() -> Self {
        Self(Arc::new((Mutex::new(None), Bell::default())))
    }

    pub(crate) fn give(&self, value: T) {
        *lock(&self.0.0) = Some(value);
        self.0.1.ring();
    }

    /// Waits for it, for ever if it never comes.
    pub(crate) async fn get(&self) -> T {
        loop {
            self.0.1.rung().await;
            if let Some(value) = lock(&self.0.0).take() {
                return value;
            }
        }
    }
}

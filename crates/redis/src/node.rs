//! What a node has: the connection, its clock, its shards, and who listens.

use std::hash::{BuildHasher, Hasher, RandomState};
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use redis::{ErrorKind, RedisError, RedisResult, Value};
use tokio::sync::Semaphore;
use typingd_core::Time;
use typingd_core::fleet::Groups;
use typingd_core::store::StoreError;
use typingd_core::store::remote::{Audience, Unreadable};

use crate::breaker::Breaker;
use crate::config::{Config, ConfigError, Servers};
use crate::keys::Keys;
use crate::link::Link;
use crate::offset::{Offset, Shift};
use crate::order::Reached;
use crate::server::{DUE, Lua, Way, list, number};
use crate::shard::Shard;
use crate::subscription::Wanted;

/// Tells the node's time.
type Clock = Box<dyn Fn() -> Duration + Send + Sync>;

pub(crate) struct Node<A> {
    pub(crate) config: Config,
    pub(crate) keys: Keys,
    pub(crate) shards: Box<[Shard]>,
    pub(crate) wanted: Wanted,
    pub(crate) audience: A,
    /// Where the next look for sides that are due begins.
    pub(crate) turn: AtomicUsize,
    /// What this node's messages begin with.
    pub(crate) tag: [u8; 8],
    pub(crate) link: Link,
    /// Of the clock of whichever server has what belongs to no shard.
    pub(crate) offset: Mutex<Offset>,
    clock: Clock,
    /// One for the server; or one for each shard of a cluster, where one server may fail and the others not, and one for
    /// what belongs to no shard.
    breakers: Box<[Breaker]>,
    /// For listings that ask many shards.
    pub(crate) wide_listings: Semaphore,
    /// Where this node looks for what others left.
    looked_after: Mutex<Groups>,
    trips: AtomicU64,
}

/// How many listings ask many shards at the same time.
const WIDE_LISTINGS: usize = 2;

impl<A: Audience> Node<A> {
    pub(crate) fn new(config: Config, clock: Clock, audience: A) -> Result<Self, ConfigError> {
        config.check()?;
        let remembered = config.remembered.div_ceil(config.shards);
        let breakers = match config.servers {
            Servers::Single(_) => 1,
            Servers::Cluster(_) => config.shards + 1,
        };
        Ok(Self {
            keys: Keys::new(&config.prefix, config.shards),
            shards: (0..config.shards).map(|_| Shard::new(remembered)).collect(),
            wanted: Wanted::default(),
            audience,
            turn: AtomicUsize::new(0),
            tag: RandomState::new().build_hasher().finish().to_le_bytes(),
            link: Link::new(&config.servers, config.timeout)?,
            offset: Mutex::default(),
            clock,
            breakers: (0..breakers).map(|_| Breaker::default()).collect(),
            wide_listings: Semaphore::new(WIDE_LISTINGS),
            looked_after: Mutex::new(Groups::ALL),
            trips: AtomicU64::new(0),
            config,
        })
    }

    pub(crate) fn looked_after(&self) -> Groups {
        *self.looked_after.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn look_after(&self, groups: Groups) {
        *self.looked_after.lock().unwrap_or_else(PoisonError::into_inner) = groups;
    }

    /// Keeps the way to the servers, for ever.
    pub(crate) async fn keep_link(&self) {
        self.link.keep(|| self.breakers.iter().for_each(Breaker::retry)).await;
    }

    pub(crate) fn trouble(&self) -> Option<String> {
        self.link.why_missing().or_else(|| self.breakers.iter().find_map(Breaker::reason))
    }

    pub(crate) fn now(&self) -> Duration {
        (self.clock)()
    }

    pub(crate) fn round_trips(&self) -> u64 {
        self.trips.load(Ordering::Relaxed)
    }

    pub(crate) fn shift(&self, shard: usize) -> Option<Shift> {
        self.shards[shard].shift(self.now())
    }

    pub(crate) fn shift_apart(&self) -> Option<Shift> {
        self.offset.lock().unwrap_or_else(PoisonError::into_inner).shift(self.now())
    }

    /// Something of a shard that could not be read counts as nothing.
    pub(crate) fn readable<T: Default>(&self, shard: usize, read: Result<T, Unreadable>) -> T {
        read.unwrap_or_else(|error| {
            self.audience.unreadable(shard, error);
            T::default()
        })
    }

    /// Does something with a shard's server, in the time that a call may take, unless the server has failed of late.
    pub(crate) async fn bounded<T>(
        &self,
        shard: usize,
        call: impl Future<Output = Result<T, StoreError>>,
    ) -> Result<T, StoreError> {
        self.bounded_by(&self.breakers[shard % self.breakers.len()], call).await
    }

    /// The same with the server that has what belongs to no shard.
    pub(crate) async fn bounded_apart<T>(
        &self,
        call: impl Future<Output = Result<T, StoreError>>,
    ) -> Result<T, StoreError> {
        self.bounded_by(&self.breakers[self.breakers.len() - 1], call).await
    }

    async fn bounded_by<T>(
        &self,
        breaker: &Breaker,
        call: impl Future<Output = Result<T, StoreError>>,
    ) -> Result<T, StoreError> {
        breaker.admit(self.now())?;
        let result = tokio::time::timeout(self.config.timeout, call).await;
        let reason = match &result {
            Err(_) => self.link.why_unanswered(),
            Ok(Err(StoreError::Unavailable)) => self.link.why_failed(),
            Ok(_) => {
                breaker.answered();
                return result.unwrap_or(Err(StoreError::Unavailable));
            }
        };
        if breaker.failed(reason, self.now()) {
            self.link.renew();
        }
        Err(StoreError::Unavailable)
    }

    /// Runs a script on the shard's server.
    pub(crate) async fn run(
        &self,
        shard: usize,
        lua: &Lua,
        keys: &[Vec<u8>],
        args: &[Vec<u8>],
    ) -> Result<Answer, StoreError> {
        self.run_at(&self.shards[shard].offset, lua, keys, args).await
    }

    /// Runs a script on whichever server has the keys, whose clock is that one.
    pub(crate) async fn run_at(
        &self,
        offset: &Mutex<Offset>,
        lua: &Lua,
        keys: &[Vec<u8>],
        args: &[Vec<u8>],
    ) -> Result<Answer, StoreError> {
        let made = self.link.made().await.ok_or(StoreError::Unavailable)?;
        self.run_over(&made.way, offset, lua, keys, args).await.map_err(|error| {
            self.link.failed(&made, &error);
            StoreError::Unavailable
        })
    }

    async fn run_over(
        &self,
        way: &Way,
        offset: &Mutex<Offset>,
        lua: &Lua,
        keys: &[Vec<u8>],
        args: &[Vec<u8>],
    ) -> RedisResult<Answer> {
        let sent = self.now();
        self.trips.fetch_add(1, Ordering::Relaxed);
        let answer = list(way.run(lua, keys, args).await?).and_then(Answer::new);
        let answer =
            answer.ok_or_else(|| RedisError::from((ErrorKind::UnexpectedReturnType, "no answer")))?;
        let mut offset = offset.lock().unwrap_or_else(PoisonError::into_inner);
        offset.note(sent, self.now(), answer.time);
        drop(offset);
        Ok(answer)
    }

    /// How far the shard has come, asked over a connection to its server.
    pub(crate) async fn reached_over(&self, way: &Way, shard: usize) -> Option<Reached> {
        let (keys, args) = self.look_for(shard, 0, 0, 0);
        let mut answer = self.run_over(way, &self.shards[shard].offset, &DUE, &keys, &args).await.ok()?;
        let sequence = sequence(answer.next())?;
        Some(Reached { sequence, at: answer.time() })
    }

    /// How to reckon with the shard's server's time; asks for it where that is not known yet.
    pub(crate) async fn measured(&self, shard: usize) -> Result<Shift, StoreError> {
        if let Some(shift) = self.shift(shard) {
            return Ok(shift);
        }
        self.ask_due(shard, 0, 0, 0).await?;
        self.shift(shard).ok_or(StoreError::Unavailable)
    }

    pub(crate) async fn ask_due(
        &self,
        shard: usize,
        now: u64,
        claimed_until: u64,
        limit: usize,
    ) -> Result<Answer, StoreError> {
        let (keys, args) = self.look_for(shard, now, claimed_until, limit);
        self.run(shard, &DUE, &keys, &args).await
    }

    fn look_for(
        &self,
        shard: usize,
        now: u64,
        claimed_until: u64,
        limit: usize,
    ) -> ([Vec<u8>; 3], [Vec<u8>; 4]) {
        let keys = [self.keys.deadlines(shard), self.keys.index(shard), self.keys.sequence(shard)];
        (keys, [text(now), text(claimed_until), text(limit), self.keys.sides(shard)])
    }
}

/// What a script gave: the server's time in microseconds, and the rest.
pub(crate) struct Answer {
    time: i64,
    values: std::vec::IntoIter<Value>,
}

impl Answer {
    fn new(values: Vec<Value>) -> Option<Self> {
        let mut values = values.into_iter();
        let time = values.next().as_ref().and_then(number)?;
        Some(Self { time, values })
    }

    pub(crate) fn time(&self) -> u64 {
        u64::try_from(self.time).unwrap_or(0)
    }
}

impl Iterator for Answer {
    type Item = Value;

    fn next(&mut self) -> Option<Value> {
        self.values.next()
    }
}

/// A moment of the node's clock, as the core counts it.
pub(crate) fn time(at: Duration) -> Time {
    Time::from_millis(u64::try_from(at.as_millis()).unwrap_or(u64::MAX))
}

pub(crate) fn text(value: impl ToString) -> Vec<u8> {
    value.to_string().into_bytes()
}

pub(crate) fn sequence(value: Option<Value>) -> Option<u64> {
    value.as_ref().and_then(number).and_then(|number| u64::try_from(number).ok())
}

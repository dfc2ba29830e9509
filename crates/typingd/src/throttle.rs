//! Who asks too much: tenants beyond their quota, sockets beyond their budget, and addresses that keep showing wrong
//! credentials.

use std::collections::HashMap;
use std::net::{IpAddr, Ipv6Addr};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use governor::clock;
use governor::middleware::NoOpMiddleware;
use governor::nanos::Nanos;
use governor::state::{InMemoryState, NotKeyed};
use governor::{Quota, RateLimiter};
use typingd_core::Time;
use typingd_providers::Rejection;

use crate::clock::Clock;
use crate::config;

/// A tenant's rate of requests.
#[derive(Debug)]
pub struct Rate {
    limiter: RateLimiter<NotKeyed, InMemoryState, Ticks, NoOpMiddleware<Nanos>>,
    clock: Ticks,
}

impl Rate {
    /// The rate of a quota.
    #[must_use]
    pub fn new(quota: config::Quota, clock: Clock) -> Self {
        let rate = Quota::per_second(quota.requests_per_second).allow_burst(quota.burst);
        let clock = Ticks(clock);
        Self { limiter: RateLimiter::direct_with_clock(rate, clock), clock }
    }

    /// Spends one request.
    ///
    /// # Errors
    /// [`Rejection::TooMany`] where there is none left, with the seconds until there is one.
    pub fn spend(&self) -> Result<(), Rejection> {
        self.limiter.check().map_err(|not_until| {
            let wait = not_until.wait_time_from(clock::Clock::now(&self.clock));
            Rejection::TooMany { retry_after_s: whole_seconds(wait) }
        })
    }
}

/// The gateway's clock, as the limiter reads it.
#[derive(Clone, Copy, Debug)]
struct Ticks(Clock);

impl clock::Clock for Ticks {
    type Instant = Nanos;

    fn now(&self) -> Nanos {
        Nanos::from(self.0.now().since(Time::ZERO))
    }
}

/// After each frame of a socket, how long until there is room for another: 20 a second.
const FRAME: Duration = Duration::from_millis(50);

/// How many frames a socket may send at once, after a rest.
const FRAMES: u32 = 60;

/// How many frames of one socket are refused; at one more it is closed, unless it has had a rest.
const REFUSED: u16 = 600;

/// What one socket may send, so that no page spends what its tenant may.
#[derive(Clone, Copy, Debug)]
pub struct Budget {
    /// When all is there again.
    full_at: Time,
    /// How many were refused since.
    refused: u16,
}

/// Too many were refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Exhausted;

impl Budget {
    /// All that a socket may send.
    #[must_use]
    pub fn new() -> Self {
        Self { full_at: Time::ZERO, refused: 0 }
    }

    /// Spends one frame.
    ///
    /// # Errors
    /// [`Exhausted`] where it is not worth while to refuse any more.
    pub fn spend(&mut self, now: Time) -> Result<Result<(), Rejection>, Exhausted> {
        if self.full_at <= now {
            *self = Self { full_at: now, refused: 0 };
        }
        if self.full_at + FRAME <= now + FRAME * FRAMES {
            self.full_at = self.full_at + FRAME;
            return Ok(Ok(()));
        }
        if self.refused >= REFUSED {
            return Err(Exhausted);
        }
        self.refused += 1;
        Ok(Err(Rejection::TooMany { retry_after_s: 1 }))
    }
}

impl Default for Budget {
    fn default() -> Self {
        Self::new()
    }
}

/// How many addresses are remembered; where there are more, the ones that began first are forgotten.
const ADDRESSES: usize = 10_000;
const MINUTE: Duration = Duration::from_secs(60);

/// Addresses that showed wrong credentials, each with how often in its minute.
#[derive(Debug)]
pub struct Failures {
    per_minute: u32,
    seen: Mutex<HashMap<IpAddr, Window>>,
}

#[derive(Clone, Copy, Debug)]
struct Window {
    began: Time,
    failures: u32,
}

impl Failures {
    /// Lets each address fail so often in a minute.
    #[must_use]
    pub fn new(per_minute: u32) -> Self {
        Self { per_minute, seen: Mutex::default() }
    }

    /// Whether the address may show credentials.
    ///
    /// # Errors
    /// [`Rejection::TooMany`] where it has shown too many wrong ones, until its minute is over.
    pub fn check(&self, address: IpAddr, now: Time) -> Result<(), Rejection> {
        let seen = self.seen.lock().unwrap_or_else(PoisonError::into_inner);
        match seen.get(&network(address)) {
            Some(window) if window.failures >= self.per_minute && now < window.began + MINUTE => {
                Err(Rejection::TooMany { retry_after_s: whole_seconds((window.began + MINUTE).since(now)) })
            }
            _ => Ok(()),
        }
    }

    /// The address has shown wrong credentials.
    pub fn note(&self, address: IpAddr, now: Time) {
        let mut seen = self.seen.lock().unwrap_or_else(PoisonError::into_inner);
        if seen.len() >= ADDRESSES {
            seen.retain(|_, window| now < window.began + MINUTE);
            if seen.len() >= ADDRESSES {
                let oldest = seen.iter().min_by_key(|(_, window)| window.began).map(|(address, _)| *address);
                oldest.and_then(|oldest| seen.remove(&oldest));
            }
        }
        let window = seen.entry(network(address)).or_insert(Window { began: now, failures: 0 });
        if now >= window.began + MINUTE {
            *window = Window { began: now, failures: 0 };
        }
        window.failures = window.failures.saturating_add(1);
    }
}

/// An address as its owner has it: of IPv6, whoever has one has the 2^64 beside it.
fn network(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V6(address) => {
            let [a, b, c, d, ..] = address.segments();
            IpAddr::V6(Ipv6Addr::new(a, b, c, d, 0, 0, 0, 0))
        }
        v4 => v4,
    }
}

fn whole_seconds(wait: Duration) -> u32 {
    u32::try_from(wait.as_millis().div_ceil(1_000)).unwrap_or(u32::MAX).max(1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_is_barred_for_the_rest_of_its_minute() {
        let failures = Failures::new(2);
        let at = Time::from_millis;
        let (here, there): (IpAddr, IpAddr) = ("192.0.2.1".parse().unwrap(), "192.0.2.2".parse().unwrap());
        failures.note(here, at(0));
        assert_eq!(failures.check(here, at(1_000)), Ok(()));
        failures.note(here, at(1_000));
        assert_eq!(failures.check(here, at(1_500)), Err(Rejection::TooMany { retry_after_s: 59 }));
        assert_eq!(failures.check(there, at(1_500)), Ok(()));
        assert_eq!(failures.check(here, at(60_000)), Ok(()));
        let (one, neighbour): (IpAddr, IpAddr) =
            ("2001:db8::1".parse().unwrap(), "2001:db8::2".parse().unwrap());
        failures.note(one, at(0));
        failures.note(neighbour, at(0));
        assert!(failures.check(one, at(1)).is_err(), "they are one");
    }

    #[test]
    fn the_addresses_remembered_are_bounded() {
        let failures = Failures::new(1);
        for n in 0..ADDRESSES as u32 + 10 {
            failures.note(IpAddr::from(n.to_be_bytes()), Time::from_millis(n.into()));
        }
        assert_eq!(failures.seen.lock().unwrap().len(), ADDRESSES);
        assert!(
            failures.check(IpAddr::from([0, 0, 0, 0]), Time::from_millis(1)).is_ok(),
            "the first is forgotten"
        );
    }
}

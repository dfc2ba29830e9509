//! Tickets: what a browser is let in by. Each is good once, soon, and for what its issuer said.

use std::collections::{BTreeMap, HashMap};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use base64::Engine;
use base64::prelude::BASE64_URL_SAFE_NO_PAD;
use blake3::Hash;
use tokio::sync::Notify;
use typingd_core::{Name, Role, Scope, Time};
use typingd_providers::{KeyHasher, Rejection};

use crate::clock::Clock;
use crate::directory::Login;
use crate::ids;

/// How long a ticket waits for its bearer.
pub const LIFETIME: Duration = Duration::from_secs(30);

/// Tickets that may wait at a time, of all tenants; of one, a quarter of it at most.
const BOUND: usize = 65_536;

/// What a ticket lets its bearer do.
#[derive(Clone, Debug)]
pub struct Ticket {
    /// By whose credential it was issued; it is worth nothing without that one.
    pub login: Arc<Login>,
    /// Which conversations its bearer sees.
    pub scope: Scope,
    /// Which side its bearer is.
    pub role: Role,
    /// Who of that side.
    pub participant: Option<Name>,
    /// What people call them.
    pub name: Option<Name>,
    /// Whether its bearer may say anything.
    pub may_write: bool,
}

/// The tickets that wait for their bearers.
#[derive(Debug)]
pub struct Tickets {
    hasher: KeyHasher,
    waiting: Mutex<Waiting>,
    is_issued: Notify,
}

/// A ticket's place in the order of ends.
type Place = (Time, u64);

#[derive(Debug, Default)]
struct Waiting {
    by_digest: HashMap<Hash, (Ticket, Place)>,
    /// All live equally long, so that the first is the first to go.
    in_order: BTreeMap<Place, Hash>,
    issued: u64,
    by_tenant: HashMap<Name, usize>,
}

impl Tickets {
    /// None yet. They are looked up by digest, as credentials are.
    #[must_use]
    pub fn new(hasher: KeyHasher) -> Self {
        Self { hasher, waiting: Mutex::default(), is_issued: Notify::new() }
    }

    /// Issues a ticket, of which a tenant may have `quota` waiting.
    ///
    /// # Errors
    /// [`Rejection::TooMany`] where as many wait as may.
    pub fn issue(&self, ticket: Ticket, quota: usize, now: Time) -> Result<String, Rejection> {
        let text = BASE64_URL_SAFE_NO_PAD.encode(ids::secret_key());
        let digest = self.hasher.hash(text.as_bytes());
        let mut waiting = self.lock();
        waiting.forget_late(now);
        let tenant = &ticket.login.tenant;
        let of_tenant = waiting.by_tenant.get(tenant).copied().unwrap_or(0);
        if of_tenant >= quota.min(BOUND / 4) || waiting.by_digest.len() >= BOUND {
            return Err(Rejection::TooMany { retry_after_s: 5 });
        }
        waiting.by_tenant.insert(tenant.clone(), of_tenant + 1);
        let place = (now + LIFETIME, waiting.issued);
        waiting.issued += 1;
        waiting.in_order.insert(place, digest);
        waiting.by_digest.insert(digest, (ticket, place));
        self.is_issued.notify_one();
        Ok(text)
    }

    /// Takes a ticket in. It is not good again.
    #[must_use]
    pub fn redeem(&self, text: &str, now: Time) -> Option<Ticket> {
        let digest = self.hasher.hash(text.as_bytes());
        let mut waiting = self.lock();
        waiting.forget_late(now);
        let (ticket, place) = waiting.by_digest.remove(&digest)?;
        waiting.in_order.remove(&place);
        waiting.leave(&ticket.login.tenant);
        Some(ticket)
    }

    /// Forgets those that nobody came with, when they are late and with nobody asking: they name people.
    pub async fn forget(&self, clock: Clock) {
        loop {
            let first = self.lock().in_order.first_key_value().map(|((end, _), _)| *end);
            match first {
                Some(end) => tokio::time::sleep_until(clock.instant(end)).await,
                None => self.is_issued.notified().await,
            }
            self.lock().forget_late(clock.now());
        }
    }

    fn lock(&self) -> MutexGuard<'_, Waiting> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Waiting {
    fn forget_late(&mut self, now: Time) {
        while let Some(first) = self.in_order.first_entry().filter(|first| first.key().0 <= now) {
            if let Some((late, _)) = self.by_digest.remove(&first.remove()) {
                self.leave(&late.login.tenant);
            }
        }
    }

    fn leave(&mut self, tenant: &Name) {
        if let Some(of_tenant) = self.by_tenant.get_mut(tenant) {
            *of_tenant -= 1;
            if *of_tenant == 0 {
                self.by_tenant.remove(tenant);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ticket(tenant: &str) -> Ticket {
        Ticket {
            login: Arc::new(Login { tenant: tenant.into(), key: blake3::hash(b"key"), session: None }),
            scope: Scope::tenant(tenant),
            role: Role::Agent,
            participant: None,
            name: None,
            may_write: false,
        }
    }

    fn at(seconds: u64) -> Time {
        Time::from_millis(seconds * 1_000)
    }

    #[test]
    fn a_ticket_is_good_once_and_soon() {
        let tickets = Tickets::new(KeyHasher::new([7; 32]));
        let [once, late] = [0, 0].map(|_| tickets.issue(ticket("acme"), 9, at(0)).unwrap());
        assert_eq!(tickets.redeem(&once, at(29)).unwrap().login.tenant, "acme");
        assert!(tickets.redeem(&once, at(29)).is_none(), "once");
        assert!(tickets.redeem(&late, at(30)).is_none(), "soon");
        assert!(tickets.redeem("", at(0)).is_none());
    }

    #[test]
    fn those_that_were_used_take_no_room() {
        let tickets = Tickets::new(KeyHasher::new([7; 32]));
        for _ in 0..=BOUND {
            let text = tickets.issue(ticket("acme"), usize::MAX, at(0)).unwrap();
            assert!(tickets.redeem(&text, at(0)).is_some());
        }
        let waiting = tickets.lock();
        assert_eq!((waiting.by_digest.len(), waiting.in_order.len(), waiting.by_tenant.len()), (0, 0, 0));
    }

    #[test]
    fn one_tenant_leaves_room_for_others() {
        let tickets = Tickets::new(KeyHasher::new([7; 32]));
        let taken = (0..BOUND).map_while(|_| tickets.issue(ticket("acme"), usize::MAX, at(0)).ok());
        assert_eq!(taken.count(), BOUND / 4);
        assert!(tickets.issue(ticket("globex"), 1, at(0)).is_ok());
    }

    #[tokio::test(start_paused = true)]
    async fn a_ticket_that_nobody_comes_with_is_forgotten() {
        let (tickets, clock) = (Tickets::new(KeyHasher::new([7; 32])), Clock::start());
        let look_after = async {
            for _ in 0..3 {
                tickets.issue(ticket("acme"), 9, clock.now()).unwrap();
                tokio::time::sleep(LIFETIME / 2 + Duration::from_millis(1)).await;
            }
            assert_eq!(tickets.lock().by_digest.len(), 1);
            tokio::time::sleep(LIFETIME).await;
            assert_eq!(tickets.lock().by_digest.len(), 0);
        };
        tokio::select! {
            () = tickets.forget(clock) => unreachable!("it goes on for ever"),
            () = look_after => {}
        }
    }

    #[test]
    fn a_tenant_has_a_quota_of_them() {
        let tickets = Tickets::new(KeyHasher::new([7; 32]));
        let first = tickets.issue(ticket("acme"), 1, at(0)).unwrap();
        let full = Err(Rejection::TooMany { retry_after_s: 5 });
        assert_eq!(tickets.issue(ticket("acme"), 1, at(0)), full);
        assert!(tickets.issue(ticket("globex"), 1, at(0)).is_ok(), "another tenant has its own");
        assert!(tickets.redeem(&first, at(1)).is_some());
        assert!(tickets.issue(ticket("acme"), 1, at(1)).is_ok(), "a used one makes room");
        assert!(tickets.issue(ticket("globex"), 1, at(30)).is_ok(), "a late one makes room");
    }
}

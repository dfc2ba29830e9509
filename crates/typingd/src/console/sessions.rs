//! Who is logged in.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use blake3::Hash;
use tokio::sync::Notify;
use typingd_core::{Name, Time};

use crate::clock::Clock;
use crate::directory::Login;
use crate::ids;

/// How long a session lasts, used or not.
pub(super) const LIFETIME: Duration = Duration::from_secs(60 * 60);

/// How many there may be. One more, and the tenant that has most of them loses its oldest.
const SESSIONS: usize = 1_024;

/// The sessions, each by the hash of its token, which is kept nowhere.
#[derive(Default)]
pub(super) struct Sessions {
    held: Mutex<Held>,
    /// Rings where one has ended before its time, and where there is one again.
    rings: Notify,
}

#[derive(Default)]
struct Held {
    sessions: HashMap<Id, Session>,
    /// How many there have been.
    count: u64,
}

/// A session's token, hashed.
pub(super) type Id = Hash;

struct Session {
    login: Arc<Login>,
    began: Time,
    number: u64,
}

impl Session {
    fn is_live(&self, now: Time) -> bool {
        now < self.began + LIFETIME
    }
}

impl Sessions {
    /// Begins a session, and says its token.
    pub(super) fn begin(&self, login: &Login, now: Time) -> String {
        let token = ids::token();
        let id = blake3::hash(token.as_bytes());
        let login = Arc::new(Login { session: Some(id), ..login.clone() });
        let mut held = self.lock();
        let is_full = held.sessions.len() >= SESSIONS;
        if is_full {
            held.push_out();
        }
        if is_full || held.sessions.is_empty() {
            self.rings.notify_one();
        }
        held.count += 1;
        let session = Session { login, began: now, number: held.count };
        held.sessions.insert(id, session);
        token
    }

    /// Whose session a token is of.
    pub(super) fn find(&self, token: &str, now: Time) -> Option<Arc<Login>> {
        let held = self.lock();
        let session = held.sessions.get(&blake3::hash(token.as_bytes()));
        session.filter(|session| session.is_live(now)).map(|session| session.login.clone())
    }

    /// Whether a session goes on.
    pub(super) fn is_live(&self, id: Id, now: Time) -> bool {
        self.lock().sessions.get(&id).is_some_and(|session| session.is_live(now))
    }

    /// Ends the session of a token.
    pub(super) fn end(&self, token: &str) {
        if self.lock().sessions.remove(&blake3::hash(token.as_bytes())).is_some() {
            self.rings.notify_one();
        }
    }

    /// Ends the sessions of such logins.
    pub(super) fn end_all(&self, of: impl Fn(&Login) -> bool) {
        self.lock().sessions.retain(|_, session| !of(&session.login));
        self.rings.notify_one();
    }

    /// Waits until some may have ended. Those that lapse are forgotten here, with nobody asking.
    pub(super) async fn ended(&self, clock: Clock) {
        let first = self.lock().sessions.values().map(|session| session.began + LIFETIME).min();
        let lapse = async {
            match first {
                Some(end) => tokio::time::sleep_until(clock.instant(end)).await,
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            () = lapse => {}
            () = self.rings.notified() => {}
        }
        let now = clock.now();
        self.lock().sessions.retain(|_, session| session.is_live(now));
    }

    fn lock(&self) -> MutexGuard<'_, Held> {
        self.held.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Held {
    /// Makes room, at the cost of the tenant that has most: no tenant can log another's people out.
    fn push_out(&mut self) {
        let mut of_tenant: HashMap<&Name, (usize, u64, Id)> = HashMap::new();
        for (id, session) in &self.sessions {
            let (count, oldest, oldest_id) =
                of_tenant.entry(&session.login.tenant).or_insert((0, session.number, *id));
            *count += 1;
            if session.number < *oldest {
                (*oldest, *oldest_id) = (session.number, *id);
            }
        }
        let most = of_tenant.into_values().max_by_key(|(count, oldest, _)| (*count, u64::MAX - oldest));
        if let Some((.., id)) = most {
            self.sessions.remove(&id);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn login(tenant: &str) -> Login {
        Login { tenant: tenant.into(), key: blake3::hash(tenant.as_bytes()), session: None }
    }

    #[test]
    fn the_tenant_with_most_sessions_loses_its_oldest() {
        let (sessions, now) = (Sessions::default(), Time::ZERO);
        let globex = sessions.begin(&login("globex"), now);
        let acme: Vec<String> = (0..SESSIONS + 1).map(|_| sessions.begin(&login("acme"), now)).collect();
        let is_live = |token: &String| sessions.find(token, now).is_some();
        assert_eq!(sessions.lock().sessions.len(), SESSIONS);
        assert!(is_live(&globex), "another tenant cannot log it out");
        assert_eq!(acme.iter().map(is_live).collect::<Vec<_>>()[..3], [false, false, true]);
        assert!(is_live(acme.last().unwrap()));
    }

    #[tokio::test(start_paused = true)]
    async fn a_session_that_has_lapsed_is_forgotten_with_nobody_asking() {
        let (sessions, clock) = (Sessions::default(), Clock::start());
        let look_after = async {
            for _ in 0..3 {
                sessions.begin(&login("acme"), clock.now());
                tokio::time::sleep(LIFETIME * 2 / 3).await;
            }
            assert_eq!(sessions.lock().sessions.len(), 1);
            tokio::time::sleep(LIFETIME).await;
            assert_eq!(sessions.lock().sessions.len(), 0);
        };
        tokio::select! {
            () = async { loop { sessions.ended(clock).await } } => {}
            () = look_after => {}
        }
    }

    #[test]
    fn sessions_of_a_key_that_has_gone_are_forgotten_with_it() {
        let (sessions, now) = (Sessions::default(), Time::ZERO);
        let [acme, globex] = ["acme", "globex"].map(|tenant| sessions.begin(&login(tenant), now));
        sessions.end_all(|login| login.tenant == "acme");
        assert_eq!(sessions.lock().sessions.len(), 1);
        assert!(sessions.find(&acme, now).is_none() && sessions.find(&globex, now).is_some());
    }

    #[test]
    fn a_token_is_kept_as_its_hash_alone_and_lasts_an_hour() {
        let sessions = Sessions::default();
        let token = sessions.begin(&login("acme"), Time::ZERO);
        assert_eq!(token.len(), 64);
        let last = (Time::ZERO + LIFETIME).before(Duration::from_millis(1));
        let found = sessions.find(&token, last).unwrap();
        let id = found.session.unwrap();
        assert_eq!((found.tenant.as_str(), id == blake3::hash(token.as_bytes())), ("acme", true));
        assert!(sessions.find(&id.to_hex(), Time::ZERO).is_none(), "what is kept is worth nothing");
        assert!(sessions.find(&token, Time::ZERO + LIFETIME).is_none());
        assert!(!sessions.is_live(id, Time::ZERO + LIFETIME));
        sessions.end(&token);
        assert!(!sessions.is_live(id, Time::ZERO));
    }
}

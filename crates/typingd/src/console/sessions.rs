//! Who is logged in.

use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use blake3::Hash;
use typingd_core::{Name, Time};

use crate::directory::Login;
use crate::ids;

/// How long a session lasts, used or not.
pub(super) const LIFETIME: Duration = Duration::from_secs(60 * 60);

/// How many there may be. One more, and the tenant that has most of them loses its oldest.
const SESSIONS: usize = 1_024;

/// The sessions, each by the hash of its token, which is kept nowhere.
#[derive(Default)]
pub(super) struct Sessions(Mutex<Held>);

#[derive(Default)]
struct Held {
    sessions: HashMap<Id, Session>,
    /// How many there have been.
    count: u64,
}

/// A session's token, hashed.
pub(super) type Id = Hash;

struct Session {
    login: Login,
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
    pub(super) fn begin(&self, login: Login, now: Time) -> String {
        let token = ids::token();
        let mut held = self.lock();
        if held.sessions.len() >= SESSIONS {
            held.sessions.retain(|_, session| session.is_live(now));
        }
        if held.sessions.len() >= SESSIONS {
            held.push_out();
        }
        held.count += 1;
        let session = Session { login, began: now, number: held.count };
        held.sessions.insert(blake3::hash(token.as_bytes()), session);
        token
    }

    /// The session of a token, and whose it is.
    pub(super) fn find(&self, token: &str, now: Time) -> Option<(Id, Login)> {
        let id = blake3::hash(token.as_bytes());
        let held = self.lock();
        let session = held.sessions.get(&id).filter(|session| session.is_live(now))?;
        Some((id, session.login.clone()))
    }

    /// Whether a session goes on.
    pub(super) fn is_live(&self, id: Id, now: Time) -> bool {
        self.lock().sessions.get(&id).is_some_and(|session| session.is_live(now))
    }

    /// Ends the session of a token.
    pub(super) fn end(&self, token: &str) {
        self.lock().sessions.remove(&blake3::hash(token.as_bytes()));
    }

    fn lock(&self) -> MutexGuard<'_, Held> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
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
        Login { tenant: tenant.into(), key: blake3::hash(tenant.as_bytes()) }
    }

    #[test]
    fn the_tenant_with_most_sessions_loses_its_oldest() {
        let (sessions, now) = (Sessions::default(), Time::ZERO);
        let globex = sessions.begin(login("globex"), now);
        let acme: Vec<String> = (0..SESSIONS + 1).map(|_| sessions.begin(login("acme"), now)).collect();
        let is_live = |token: &String| sessions.find(token, now).is_some();
        assert_eq!(sessions.lock().sessions.len(), SESSIONS);
        assert!(is_live(&globex), "another tenant cannot log it out");
        assert_eq!(acme.iter().map(is_live).collect::<Vec<_>>()[..3], [false, false, true]);
        assert!(is_live(acme.last().unwrap()));
    }

    #[test]
    fn what_has_lapsed_makes_room_first() {
        let sessions = Sessions::default();
        for _ in 0..SESSIONS {
            sessions.begin(login("acme"), Time::ZERO);
        }
        let later = Time::ZERO + LIFETIME;
        sessions.begin(login("acme"), later);
        assert_eq!(sessions.lock().sessions.len(), 1);
    }

    #[test]
    fn a_token_is_kept_as_its_hash_alone_and_lasts_an_hour() {
        let sessions = Sessions::default();
        let token = sessions.begin(login("acme"), Time::ZERO);
        assert_eq!(token.len(), 64);
        let last = (Time::ZERO + LIFETIME).before(Duration::from_millis(1));
        let (id, found) = sessions.find(&token, last).unwrap();
        assert_eq!((found.tenant.as_str(), id == blake3::hash(token.as_bytes())), ("acme", true));
        assert!(sessions.find(&id.to_hex(), Time::ZERO).is_none(), "what is kept is worth nothing");
        assert!(sessions.find(&token, Time::ZERO + LIFETIME).is_none());
        assert!(!sessions.is_live(id, Time::ZERO + LIFETIME));
        sessions.end(&token);
        assert!(!sessions.is_live(id, Time::ZERO));
    }
}

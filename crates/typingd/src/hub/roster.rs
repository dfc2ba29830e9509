//! Those who watch, by what they watch.

use std::collections::HashMap;
use std::sync::Arc;

use typingd_core::{Conversation, Name, Scope};

use super::Farewell;
use super::subscriber::Subscriber;

/// Those who watch one scope, in the order in which they came. A copy of it costs nothing; what is changed meanwhile
/// is changed in another.
pub(super) type Audience = Arc<Vec<Arc<Subscriber>>>;

/// Those who watch, and what each of them watches.
#[derive(Default)]
pub(super) struct Roster {
    members: HashMap<u64, Arc<Subscriber>>,
    by_scope: HashMap<Arc<Scope>, Audience>,
    by_tenant: HashMap<Name, usize>,
    /// Why nobody comes any more, where nobody does.
    pub(super) closed: Option<Farewell>,
}

impl Roster {
    pub(super) fn len(&self) -> usize {
        self.members.len()
    }

    pub(super) fn of_tenant(&self, tenant: &Name) -> usize {
        self.by_tenant.get(tenant).copied().unwrap_or(0)
    }

    pub(super) fn all(&self) -> Vec<Arc<Subscriber>> {
        self.members.values().cloned().collect()
    }

    /// Those who watch the conversation, and by which scope; one who watches it by several comes several times.
    pub(super) fn audiences(&self, conversation: &Conversation) -> Vec<(Arc<Scope>, Audience)> {
        if self.members.is_empty() {
            return Vec::new();
        }
        let audiences = scopes_over(conversation).filter_map(|scope| self.by_scope.get_key_value(&scope));
        audiences.map(|(scope, audience)| (scope.clone(), audience.clone())).collect()
    }

    pub(super) fn add(&mut self, subscriber: Arc<Subscriber>) {
        *self.by_tenant.entry(subscriber.login.tenant.clone()).or_default() += 1;
        self.members.insert(subscriber.id, subscriber);
    }

    /// Whether it was there.
    pub(super) fn remove(&mut self, subscriber: &Subscriber) -> bool {
        if self.members.remove(&subscriber.id).is_none() {
            return false;
        }
        for scope in subscriber.scopes() {
            self.unwatch(&scope, subscriber.id);
        }
        let tenant = &subscriber.login.tenant;
        if let Some(of_tenant) = self.by_tenant.get_mut(tenant) {
            *of_tenant -= 1;
            if *of_tenant == 0 {
                self.by_tenant.remove(tenant);
            }
        }
        true
    }

    /// A scope, as those have it who watch it already.
    pub(super) fn shared(&self, scope: Scope) -> Arc<Scope> {
        match self.by_scope.get_key_value(&scope) {
            Some((known, _)) => known.clone(),
            None => Arc::new(scope),
        }
    }

    /// Starts to tell a subscriber what happens in a scope, unless it has left.
    pub(super) fn watch(&mut self, scope: Arc<Scope>, subscriber: &Arc<Subscriber>) {
        if !self.members.contains_key(&subscriber.id) {
            return;
        }
        let audience = Arc::make_mut(self.by_scope.entry(scope).or_default());
        if let Err(at) = audience.binary_search_by_key(&subscriber.id, |known| known.id) {
            audience.insert(at, subscriber.clone());
        }
    }

    pub(super) fn unwatch(&mut self, scope: &Scope, id: u64) {
        let Some(audience) = self.by_scope.get_mut(scope) else { return };
        let watching = Arc::make_mut(audience);
        if let Ok(at) = watching.binary_search_by_key(&id, |known| known.id) {
            watching.remove(at);
        }
        if watching.is_empty() {
            self.by_scope.remove(scope);
        }
    }
}

/// Every scope that covers the conversation.
fn scopes_over(conversation: &Conversation) -> impl Iterator<Item = Scope> {
    (0..8).map(|given| Scope {
        tenant: conversation.tenant().clone(),
        channel: (given & 1 != 0).then(|| conversation.channel().clone()),
        agent: (given & 2 != 0).then(|| conversation.agent().clone()),
        user: (given & 4 != 0).then(|| conversation.user().clone()),
    })
}

//! Who watches the history of which tenant.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::broadcast;
use tokio::sync::broadcast::error::RecvError;
use typingd_core::{Conversation, Name};

use crate::tenants::ByTenant;

/// How many conversations may wait for one of those who watch; the oldest is lost to it.
const NEWS: usize = 1_024;

/// A way to those who watch a tenant, for each tenant that somebody watches.
#[derive(Debug, Default)]
pub(super) struct News(Mutex<ByTenant<broadcast::Sender<Conversation>>>);

/// The conversations of a tenant in which something is noted. Whoever falls behind by more than 1,024 loses the oldest.
#[derive(Debug)]
pub struct Watch {
    news: Arc<News>,
    tenant: Name,
    /// `None` once it is dropped.
    conversations: Option<broadcast::Receiver<Conversation>>,
}

impl News {
    pub(super) fn watch(self: &Arc<Self>, tenant: &Name) -> Watch {
        let mut watched = self.lock();
        let sender = watched.entry(tenant.clone()).or_insert_with(|| broadcast::Sender::new(NEWS));
        Watch { news: self.clone(), tenant: tenant.clone(), conversations: Some(sender.subscribe()) }
    }

    /// Tells those who watch its tenant. It costs next to nothing where there is nobody.
    pub(super) fn tell(&self, conversation: &Conversation) {
        let sender = self.lock().get(conversation.tenant()).cloned();
        if let Some(sender) = sender {
            // Whoever listened may be gone by now.
            let _ = sender.send(conversation.clone());
        }
    }

    fn lock(&self) -> MutexGuard<'_, ByTenant<broadcast::Sender<Conversation>>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Watch {
    /// The next one.
    ///
    /// # Errors
    /// [`RecvError::Lagged`] where some were lost.
    pub async fn next(&mut self) -> Result<Conversation, RecvError> {
        match &mut self.conversations {
            Some(conversations) => conversations.recv().await,
            None => Err(RecvError::Closed),
        }
    }
}

impl Drop for Watch {
    fn drop(&mut self) {
        let mut watched = self.news.lock();
        self.conversations = None;
        if watched.get(&self.tenant).is_some_and(|sender| sender.receiver_count() == 0) {
            watched.remove(&self.tenant);
        }
    }
}

#[cfg(test)]
mod tests {
    use futures_util::FutureExt;
    use typingd_core::User;

    use super::*;

    #[test]
    fn a_tenants_watchers_hear_of_it_alone_and_the_last_to_leave_closes_up() {
        let news = Arc::new(News::default());
        let [acme, globex] =
            ["acme", "globex"].map(|tenant| Conversation::new(tenant, "rcs", "agent_x", User::new("1")));
        news.tell(&acme);
        let [mut first, mut second] = [(); 2].map(|()| news.watch(acme.tenant()));
        let mut theirs = news.watch(globex.tenant());
        news.tell(&acme);
        for watch in [&mut first, &mut second] {
            assert_eq!(watch.next().now_or_never().unwrap().unwrap(), acme);
            assert!(watch.next().now_or_never().is_none());
        }
        assert!(theirs.next().now_or_never().is_none());
        drop(first);
        news.tell(&acme);
        assert!(second.next().now_or_never().is_some(), "one is left");
        drop(second);
        assert_eq!(news.lock().keys().collect::<Vec<_>>(), [globex.tenant()]);
        drop(theirs);
        assert!(news.lock().is_empty());
    }
}

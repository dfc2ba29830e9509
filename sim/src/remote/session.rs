//! Hears what other nodes commit, in the shards that somebody asked for. Whatever is wrong ends the session; the next
//! one says that something may be missing.

use std::collections::BTreeSet;
use std::sync::{Arc, Weak};
use std::time::Duration;

use typingd_core::store::remote::Loss;

use super::{Node, TIMEOUT};
use crate::executor::lock;
use crate::server::{Listener, News, Request, Said};

const PAUSES: (u64, u64) = (50, 2_000);
const BEAT: Duration = Duration::from_secs(1);

struct Ended;

/// Follows for ever.
pub(super) async fn follow(node: Arc<Node>) {
    let mut pause = PAUSES.0;
    loop {
        let listener: Weak<dyn Listener> = Arc::downgrade(&(node.clone() as Arc<dyn Listener>));
        let link = node.server.link(node.id, listener);
        *lock(&node.link) = Some(link);
        let Err(Ended) = serve(&node, link, &mut pause).await;
        node.server.unlink(link);
        *lock(&node.link) = None;
        for number in 0..node.shards.len() {
            let is_wanted = lock(&node.wanted).contains_key(&number);
            lock(&node.shards[number].order).deafen(!is_wanted, &*node.audience);
        }
        node.world.executor.sleep(pause).await;
        pause = PAUSES.1.min(pause * 2);
    }
}

async fn serve(node: &Arc<Node>, link: u64, pause: &mut u64) -> Result<std::convert::Infallible, Ended> {
    let mut subscribed = BTreeSet::new();
    let mut beat_at = node.world.now() + 1_000;
    loop {
        let wanted: BTreeSet<usize> = lock(&node.wanted).keys().copied().collect();
        for shard in subscribed.difference(&wanted) {
            lock(&node.shards[*shard].order).deafen(true, &*node.audience);
            ask(node, Request::Unsubscribe { shard: *shard, link }, TIMEOUT).await?;
        }
        for shard in wanted.difference(&subscribed) {
            join(node, *shard, link).await?;
            *pause = PAUSES.0;
        }
        subscribed = wanted;
        let now = node.world.now();
        if beat_at <= now {
            ask(node, Request::Ping, BEAT).await?;
            beat_at = now + 1_000;
        }
        let wait = Duration::from_millis(beat_at.saturating_sub(node.world.now()));
        node.world.executor.timeout(wait, node.changed.rung()).await;
        if *lock(&node.link) != Some(link) {
            return Err(Ended);
        }
    }
}

async fn join(node: &Arc<Node>, shard: usize, link: u64) -> Result<(), Ended> {
    lock(&node.shards[shard].order).begin();
    ask(node, Request::Subscribe { shard, link }, TIMEOUT).await?;
    let asking = async {
        let _gate = node.shards[shard].gate.enter().await;
        let (sequence, life) = node.sequence(shard).await.ok_or(Ended)?;
        let mut lives = lock(&node.lives);
        let is_new_life = lives[shard].is_some_and(|known| known != life);
        lives[shard] = Some(life);
        drop(lives);
        let loss = if is_new_life { Loss::Everything } else { Loss::Commits };
        let teller = node.teller(shard).ok_or(Ended)?;
        node.world.note(|| format!("n{} follows {shard} from #{sequence} after {loss:?}", node.id));
        lock(&node.shards[shard].order).follow(sequence, loss, &teller);
        Ok(())
    };
    node.world.executor.timeout(TIMEOUT * 2, asking).await.unwrap_or(Err(Ended))
}

async fn ask(node: &Node, request: Request, limit: Duration) -> Result<(), Ended> {
    let call = node.server.call(node.id, request);
    match node.world.executor.timeout(limit, call).await.flatten() {
        Some(reply) if !matches!(reply.said, Said::Broken) => Ok(()),
        _ => Err(Ended),
    }
}

impl Listener for Node {
    fn heard(&self, link: u64, shard: usize, sequence: u64, news: &News) {
        if *lock(&self.link) != Some(link) {
            return;
        }
        let Some(teller) = self.teller(shard) else { return };
        lock(&self.shards[shard].order).hear(sequence, news, &teller);
    }

    fn broken(&self, link: u64) {
        let mut known = lock(&self.link);
        if *known == Some(link) {
            *known = None;
            self.changed.ring();
        }
    }
}

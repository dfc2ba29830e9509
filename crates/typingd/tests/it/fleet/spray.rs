//! Each signal is said to another node than the one before; all are seen everywhere, once and in order.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use typingd::clock::Clock;

use super::clients::{Clients, Said, user};
use super::redis::Redis;
use super::watcher::{Seen, Watcher, disorder, histories};
use super::{addresses, spread, start};
use crate::load::program::alone;

const CLIENTS: usize = 50;
const TALKS: usize = 6;
const GROUP: usize = 100;

#[tokio::test]
async fn every_change_is_seen_at_every_node_once_and_in_order() {
    let _turn = alone().await;
    let redis = Redis::start().await;
    let nodes = start::<3>("spray", &redis.section(), "").await;
    let (clock, addresses) = (Clock::start(), addresses(&nodes));
    let narrow: Vec<String> = (0..3).map(|number| user(GROUP, number * 700)).collect();
    let (mut wide, mut few) = (Vec::new(), Vec::new());
    for node in &addresses {
        for query in ["", "?channel=pinnacle&agent=agent_pinnacle"] {
            wide.push(Watcher::start(clock, vec![*node], query).await);
        }
        for user in &narrow {
            let query = format!("?user=%2B{}", &user[1..]);
            few.push((user, Watcher::start(clock, vec![*node], &query).await));
        }
    }

    let said = Clients::spray(clock, &addresses, GROUP, CLIENTS, TALKS).finish().await;
    for watcher in &wide {
        watcher.until_view(Duration::from_secs(4), &BTreeSet::new()).await;
    }
    let first = histories(&wide[0].seen());
    let (mut changes, mut wrong, mut differing) = (0, Vec::new(), 0);
    for watcher in &wide {
        let (seen, of_it) = (watcher.seen(), histories(&watcher.seen()));
        changes += seen.len() - 1;
        wrong.extend(disorder(&seen));
        differing += of_it.iter().filter(|(user, told)| first.get(*user) != Some(*told)).count();
        differing += first.len().abs_diff(of_it.len());
    }
    for (user, watcher) in &few {
        watcher.until_view(Duration::from_secs(1), &BTreeSet::new()).await;
        let told = histories(&watcher.seen());
        differing += usize::from(told.len() != 1 || told.get(*user) != first.get(*user));
        wrong.extend(disorder(&watcher.seen()));
    }
    let local = said.iter().filter(|said| said.is_local()).count();
    let [p50, p99, max] = spread(wide.iter().flat_map(|watcher| delays(&said, &watcher.seen())).collect());
    println!(
        "{} signals about {} conversations at three nodes, {local} decided alone: {changes} changes at {} wide \
         watchers, {} out of order, {differing} histories that differ; from a signal to those who watch: p50 {p50:?}, \
         p99 {p99:?}, max {max:?}",
        said.len(),
        first.len(),
        wide.len(),
        wrong.len(),
    );
    assert_eq!((wrong, differing, local), (Vec::new(), 0, 0));
    assert_eq!(first.len(), CLIENTS * TALKS);
    for (decision, what) in [("started", "started"), ("ended", "stopped paused|stopped sent")] {
        let decided = said.iter().filter(|said| said.answer.decision() == decision).count();
        let told = first.values().flatten().filter(|told| what.split('|').any(|what| what == *told)).count();
        assert_eq!(decided, told, "{decision} is told once");
    }
    assert!(p99 < Duration::from_secs(1), "{p99:?}");
}

/// From each signal that started something until that was seen.
fn delays(said: &[Said], seen: &[Seen]) -> Vec<Duration> {
    let mut starts = BTreeMap::new();
    for one in said.iter().filter(|said| said.answer.decision() == "started") {
        starts.entry(one.user.as_str()).or_insert(one.at);
    }
    let mut delays = Vec::new();
    for one in seen.iter().filter(|seen| seen.event.name == "started") {
        delays.extend(one.user().and_then(|user| starts.remove(user)).map(|at| one.at.saturating_sub(at)));
    }
    delays
}

//! The store goes away under load, and comes back.

use std::collections::BTreeSet;
use std::time::Duration;

use tokio::time::sleep;
use typingd::clock::Clock;

use super::clients::{Client, Clients, Said, end_hold, hold, native, user};
use super::redis::Redis;
use super::watcher::{Seen, Watcher, disorder};
use super::{addresses, spread, start};
use crate::load::program::{Program, alone};

const HOLDS: usize = 20;
const TYPISTS: usize = 30;
const CLIENTS: usize = 15;
const TTL_MS: u64 = 3_000;
/// How soon all is well after the store has come back.
const RECOVERED: Duration = Duration::from_secs(3);
/// Until a node knows it, signals wait for the store, and repeats are answered as ever: it still takes itself to hear all.
const LEARNING: Duration = Duration::from_millis(1_500);
/// What the store is waited for, and what a busy machine takes on top.
const MOST: Duration = Duration::from_millis(250 + 500);

/// Three nodes at work.
pub struct Work {
    pub clock: Clock,
    pub nodes: [Program; 3],
    pub watchers: Vec<Watcher>,
    /// All that lives until the end.
    pub lasting: BTreeSet<String>,
    holds: Vec<String>,
    typists: Clients,
    pub spray: Option<Clients>,
}

impl Work {
    pub async fn start(name: &str, store: &str, group: usize) -> Self {
        let nodes = start::<3>(name, store, "").await;
        let (clock, addresses) = (Clock::start(), addresses(&nodes));
        let lasting: Vec<String> = (0..HOLDS + TYPISTS).map(|number| user(group, number)).collect();
        let mut watchers = Vec::new();
        for node in &addresses {
            for query in ["", "?channel=pinnacle&agent=agent_pinnacle"] {
                watchers.push(Watcher::start(clock, vec![*node], query).await);
            }
        }
        let (mut client, mut holds) = (Client::new(clock, addresses.clone()), Vec::new());
        for (number, user) in lasting[..HOLDS].iter().enumerate() {
            holds.push(hold(&mut client, number, user, 60_000).await);
        }
        let typing = |user: &str| native("pinnacle", "agent_pinnacle", user, "agent", "composing", TTL_MS);
        let typists = Clients::typists(clock, &addresses, lasting[HOLDS..].to_vec(), typing);
        let lasting = lasting.into_iter().collect();
        for watcher in &watchers {
            watcher.until_view(Duration::from_secs(10), &lasting).await;
        }
        let spray = Some(Clients::spray(clock, &addresses, group + 1, CLIENTS, 100));
        sleep(Duration::from_secs(1)).await;
        Self { clock, nodes, watchers, lasting, holds, typists, spray }
    }

    /// Waits until everybody has been told that others are not heard, and operators as well.
    pub async fn until_degraded(&self, away_since: Duration) {
        for watcher in &self.watchers {
            let is_told =
                |seen: &[Seen]| seen.iter().any(|seen| seen.at > away_since && seen.event.name == "degraded");
            watcher.until(Duration::from_secs(3), "a word that it is degraded", is_told).await;
        }
        for node in &self.nodes {
            let (ready, says) = node.look("/readyz").await.unwrap();
            assert!(ready == 200 && says.contains("store: out of reach"), "{ready}: {says}");
            assert_eq!(node.look("/livez").await.unwrap().0, 200);
        }
    }

    /// Waits until everybody sees what lasts and nothing else, since the store is there again.
    pub async fn until_recovered(&mut self, since: Duration, has_snapshot: bool) -> (Vec<Said>, Duration) {
        let said = match self.spray.take() {
            Some(spray) => spray.stop().await,
            None => Vec::new(),
        };
        for watcher in &self.watchers {
            let left = (since + RECOVERED * 3).saturating_sub(self.clock.elapsed());
            if has_snapshot {
                let is_told =
                    |seen: &[Seen]| seen.iter().any(|seen| seen.at > since && seen.event.name == "snapshot");
                watcher.until(left, "a fresh snapshot", is_told).await;
            }
            watcher.until_view(left, &self.lasting).await;
        }
        (said, self.clock.elapsed() - since)
    }

    /// Lets everybody stop. Gives what the typists said, and how long it took until nothing was seen.
    pub async fn quiet(self) -> (Vec<Said>, Duration) {
        let said = self.typists.stop().await;
        let mut client = Client::new(self.clock, addresses(&self.nodes));
        for (number, id) in self.holds.iter().enumerate() {
            end_hold(&mut client, number, id).await;
        }
        let begun = self.clock.elapsed();
        let within = Duration::from_millis(TTL_MS) + Duration::from_millis(1_500);
        for watcher in &self.watchers {
            let left = (begun + within).saturating_sub(self.clock.elapsed());
            watcher.until_view(left, &BTreeSet::new()).await;
        }
        let took = self.clock.elapsed() - begun;
        let (_, answer) = client.ask(0, LEASES).await;
        assert_eq!(answer.json()["leases"].as_array().map(Vec::len), Some(0), "{}", answer.body);
        let wrong: usize = self.watchers.iter().map(|watcher| disorder(&watcher.seen()).len()).sum();
        println!("told twice or out of order, at {} watchers: {wrong} changes", self.watchers.len());
        (said, took)
    }
}

const LEASES: &[u8] = b"GET /typing/v1/leases HTTP/1.1\r\nHost: t\r\nAuthorization: Bearer acme-key\r\n\r\n";

/// What those said who spoke while the store was away, and how long the answers took.
fn report(what: &str, said: &[Said], away: std::ops::Range<Duration>) {
    let during: Vec<&Said> = said.iter().filter(|said| away.contains(&said.at)).collect();
    let (first, later): (Vec<&Said>, Vec<&Said>) =
        during.iter().partition(|said| said.at < away.start + LEARNING);
    let took = |said: &[&Said]| spread(said.iter().map(|said| said.took).collect());
    let (first_took, later_took) = (took(&first), took(&later));
    let local = |said: &[&Said]| said.iter().filter(|said| said.is_local()).count();
    println!(
        "{what}: of {} signals within {LEARNING:?} {} were decided alone (p50, p99, max: {first_took:?}), and of {} \
         later ones {} ({later_took:?})",
        first.len(),
        local(&first),
        later.len(),
        local(&later)
    );
    assert!(during.iter().all(|said| said.answer.status == 200), "{what}: all are answered");
    assert!(first_took[2] < MOST && later_took[2] < MOST, "{what}: none waits for long");
    assert!(later.is_empty() || later_took[0] < Duration::from_millis(50), "{what}: most do not wait");
    assert_eq!(local(&later), later.len(), "{what}: all say so");
}

#[tokio::test]
async fn a_store_that_hangs_is_done_without_and_taken_up_again() {
    let _turn = alone().await;
    let redis = Redis::start().await;
    let mut work = Work::start("hangs", &redis.section(), 400).await;
    redis.signal("STOP").await;
    let stopped_at = work.clock.elapsed();
    work.until_degraded(stopped_at).await;
    let degraded = work.clock.elapsed() - stopped_at;
    sleep((stopped_at + Duration::from_secs(5)).saturating_sub(work.clock.elapsed())).await;
    redis.signal("CONT").await;
    let back_at = work.clock.elapsed();
    let (mut said, recovered) = work.until_recovered(back_at, true).await;
    sleep(Duration::from_secs(1)).await;
    let (typed, quiet) = work.quiet().await;
    said.extend(typed);
    println!(
        "a store that hangs: all are told after {degraded:?}; all see the same {recovered:?} after it goes on; nothing is on {quiet:?} after all have stopped"
    );
    report("a store that hangs", &said, stopped_at..back_at);
    assert!(recovered < RECOVERED, "{recovered:?}");
}

#[tokio::test]
async fn a_store_that_has_lost_everything_is_told_again_what_lives() {
    let _turn = alone().await;
    let mut redis = Redis::start().await;
    let mut work = Work::start("empty", &redis.section(), 500).await;
    redis.kill().await;
    let killed_at = work.clock.elapsed();
    sleep(Duration::from_secs(2)).await;
    redis.start_again().await;
    let back_at = work.clock.elapsed();
    let (mut said, recovered) = work.until_recovered(back_at, true).await;
    sleep(Duration::from_secs(1)).await;
    for watcher in &work.watchers {
        assert_eq!(watcher.view(), work.lasting, "it stays so");
    }
    let (typed, quiet) = work.quiet().await;
    said.extend(typed);
    println!(
        "a store that is empty: all see the same {recovered:?} after it is back; nothing is on {quiet:?} after all have stopped"
    );
    report("a store that is empty", &said, killed_at..back_at);
    assert!(recovered < RECOVERED, "{recovered:?}");
}

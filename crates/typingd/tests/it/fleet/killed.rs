//! A node is killed. What it held ends when all were told it would, and what it told a provider of goes on.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use tokio::time::sleep;
use typingd::clock::Clock;

use super::calls::{Call, gaps, stopped, typing};
use super::clients::{Client, Clients, hold, native, user};
use super::redis::Redis;
use super::watcher::Watcher;
use super::{addresses, spread, start};
use crate::relay::provider::{Act, Provider};

const GROUP: usize = 200;
const HOLDS: usize = 1_000;
/// Every so many is prolonged at another node.
const PROLONGED: usize = 10;
const IDLE_MS: u64 = 6_000;
/// What a stop may come too early by: a clock's reading, and the way to those who watch.
const EARLY: Duration = Duration::from_millis(250);
const LATE: Duration = Duration::from_millis(1_500);

#[tokio::test]
async fn what_a_killed_node_held_ends_when_all_were_told_it_would() {
    let redis = Redis::start().await;
    let mut nodes = start::<3>("killed", &redis.section(), "").await;
    let (clock, addresses) = (Clock::start(), addresses(&nodes));
    let mut watchers = Vec::new();
    for node in &addresses[1..] {
        watchers.push(Watcher::start(clock, vec![*node], "").await);
    }
    let mut holding = tokio::task::JoinSet::new();
    for part in 0..20 {
        let mut client = Client::new(clock, addresses.clone());
        holding.spawn(async move {
            for number in (part..HOLDS).step_by(20) {
                hold(&mut client, 0, &user(GROUP, number), IDLE_MS).await;
            }
        });
    }
    holding.join_all().await;
    let all: BTreeSet<String> = (0..HOLDS).map(|number| user(GROUP, number)).collect();
    for watcher in &watchers {
        watcher.until_view(Duration::from_secs(5), &all).await;
    }
    let mut client = Client::new(clock, addresses);
    let prolonged: BTreeSet<String> =
        (0..HOLDS).step_by(PROLONGED).map(|number| user(GROUP, number)).collect();
    for (node, user) in (0..).map(|number| 1 + number % 2).zip(&prolonged) {
        assert_eq!(client.say(node, user, "composing", 10_000).await.answer.status, 200);
    }
    let prolonged_at = clock.elapsed();
    nodes[0].child.kill().await.unwrap();
    let killed_at = clock.elapsed();

    for left in [&prolonged, &BTreeSet::new()] {
        for watcher in &watchers {
            watcher.until_view(Duration::from_secs(8), left).await;
        }
    }
    let (mut early, mut late, mut ghosts, mut lost) = (0, 0, Duration::ZERO, 0);
    let mut over = Vec::new();
    for watcher in &watchers {
        let (mut ends, mut ended) = (BTreeMap::new(), BTreeMap::new());
        for seen in watcher.seen() {
            let Some(user) = seen.user().map(str::to_owned) else { continue };
            match seen.event.what().as_str() {
                "started" | "refreshed" => _ = ends.insert(user, seen.ends_at()),
                "stopped expired" => _ = ended.insert(user, seen.at),
                other => panic!("{other} of {user}"),
            }
        }
        for (user, end) in &ends {
            let at = ended[user];
            early += usize::from(at + EARLY < *end);
            late += usize::from(at > *end + LATE);
            ghosts += at.saturating_sub(*end);
            over.push(at.saturating_sub(*end));
            let least =
                if prolonged.contains(user) { prolonged_at + Duration::from_secs(9) } else { killed_at };
            lost += usize::from(at < least);
        }
    }
    let [p50, p99, max] = spread(over);
    println!(
        "a node is killed that holds {HOLDS}: {} ends at two others, {early} too early, {late} too late, {:.3} \
         ghost-seconds in all (p50 {p50:?}, p99 {p99:?}, max {max:?}), {lost} did not go on that were prolonged elsewhere",
        2 * HOLDS,
        ghosts.as_secs_f64()
    );
    assert_eq!((early, late, lost), (0, 0, 0));
}

const SIDES: usize = 30;
const DISPLAY: Duration = Duration::from_secs(3);
/// Until others answer for what the killed node did.
const TAKEN_OVER: Duration = Duration::from_secs(2);
/// A busy machine's.
const SLACK: Duration = Duration::from_millis(750);

#[tokio::test]
async fn what_a_killed_node_told_a_provider_another_goes_on_to_tell() {
    let (redis, provider) = (Redis::start().await, Provider::that(Act::yes()).await);
    let mut nodes = start::<3>("takeover", &redis.section(), &salesforce(&provider.url())).await;
    let (clock, addresses) = (Clock::start(), addresses(&nodes));
    let users: Vec<String> = (0..SIDES).map(|number| format!("User {number}")).collect();
    let talking = Clients::typists(clock, &addresses, users.clone(), |user| said(user, "composing"));
    provider.until(|asked| typing(asked).len() == SIDES).await;
    // Just before all are to be told of again.
    sleep(DISPLAY * 5 / 2).await;
    let before = nodes[0].metric("typingd_upstream_calls_total").await;
    nodes[0].child.kill().await.unwrap();
    let killed_at = provider.now();
    sleep(DISPLAY * 2 + TAKEN_OVER).await;
    talking.stop().await;
    let mut client = Client::new(clock, addresses[1..].to_vec());
    for user in &users {
        client.say_so(0, user, "paused", &said(user, "paused")).await;
    }
    let paused_at = provider.now();
    let is_told = |asked: &[_]| users.iter().all(|user| stopped(asked).contains_key(user));
    provider.until(is_told).await;
    assert!(provider.is_left_alone(DISPLAY).await, "what has stopped stays so");

    let asked = provider.asked();
    let (starts, stops) = (typing(&asked), stopped(&asked));
    let gaps = gaps(&starts);
    let duplicates = gaps.iter().filter(|gap| **gap < DISPLAY * 3 / 4 - Duration::from_millis(100)).count();
    let dark: Vec<_> =
        gaps.iter().map(|gap| gap.saturating_sub(DISPLAY)).filter(|dark| !dark.is_zero()).collect();
    let longest = dark.iter().max().copied().unwrap_or_default();
    let told_after =
        stops.values().flat_map(|calls: &Vec<Call>| calls).map(|call| call.saturating_sub(paused_at));
    println!(
        "the node is killed that has made {before} calls: {} sides, {} calls, {duplicates} duplicates, dots out {} times \
         for up to {longest:?}; {} stops, the last one {:?} after the pauses",
        starts.len(),
        asked.len(),
        dark.len(),
        stops.values().map(Vec::len).sum::<usize>(),
        told_after.max().unwrap()
    );
    assert!(before > 0.0, "it told of some");
    assert!(starts.values().all(|calls| calls.iter().any(|at| *at > killed_at)), "all go on");
    assert_eq!((starts.len(), duplicates), (SIDES, 0));
    assert!(longest < TAKEN_OVER + SLACK, "{longest:?}");
    assert!(stops.values().all(|calls| calls.len() == 1), "a stop is told once: {stops:?}");
}

fn said(user: &str, state: &str) -> Vec<u8> {
    native("salesforce", "b0ffeafe-1", user, "user", state, 3_000)
}

fn salesforce(url: &str) -> String {
    format!(
        r#"
[[tenants.upstreams.salesforce]]
name = "s"
base_url = "{url}"
org_id = "00Dprov00000001"
authorization_context = "prov_Context"
token = "prov-sf"
display_ms = {}

[[tenants.routes]]
upstream = "s"
channel = "salesforce"
"#,
        DISPLAY.as_millis()
    )
}

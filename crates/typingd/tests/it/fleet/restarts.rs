//! All nodes are restarted, one after another, under load.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use tokio::time::sleep;
use typingd::clock::Clock;

use super::calls::{gaps, typing};
use super::clients::{Client, Clients, Said, native, user};
use super::redis::Redis;
use super::watcher::{Seen, Watcher};
use super::{addresses, start};
use crate::load::program::Setup;
use crate::relay::provider::{Act, Provider};

const GROUP: usize = 700;
const TYPISTS: usize = 30;
const CLIENTS: usize = 10;
/// How long dots show after a call, and the soonest that they are refreshed.
const DISPLAY: Duration = Duration::from_secs(20);
const REFRESHED: Duration = Duration::from_secs(15);
/// On a busy machine.
const SLACK: Duration = Duration::from_millis(500);

#[tokio::test]
async fn a_restart_of_all_in_turn_is_not_noticed() {
    let (redis, provider) = (Redis::start().await, Provider::that(Act::yes()).await);
    let mut nodes = start::<3>("restarts", &redis.section(), &pinnacle(&provider.url())).await;
    let (clock, addresses) = (Clock::start(), addresses(&nodes));
    let mut watchers = Vec::new();
    for number in 0..6 {
        let mut nodes = addresses.clone();
        nodes.rotate_left(number % 3);
        watchers.push(Watcher::start(clock, nodes, "").await);
    }
    let typists: BTreeSet<String> = (0..TYPISTS).map(|number| user(GROUP, number)).collect();
    let typing_request =
        |user: &str| native("pinnacle", "agent_pinnacle", user, "agent", "composing", 30_000);
    let talking = Clients::typists(clock, &addresses, typists.clone(), typing_request);
    let spray = Clients::spray(clock, &addresses, GROUP + 1, CLIENTS, 100);
    let began = clock.elapsed();
    for node in &mut nodes {
        sleep(Duration::from_secs(2)).await;
        node.signal("TERM").await;
        assert!(node.exit().await.success(), "{}", node.said());
        node.start_again(Setup::default()).await;
        assert!(!node.said().contains("ends sooner") && !node.said().contains("could not be told"));
    }
    let restarted = clock.elapsed() - began;
    // Until the dots are refreshed that began at first.
    sleep((DISPLAY + Duration::from_secs(2)).saturating_sub(restarted)).await;
    let sprayed = spray.stop().await;
    let typed = talking.stop().await;
    for watcher in &watchers {
        watcher.until_view(Duration::from_secs(5), &typists).await;
    }
    let quiet_at = clock.elapsed();
    let mut client = Client::new(clock, addresses);
    for user in &typists {
        client.say(0, user, "paused", 0).await;
    }
    for watcher in &watchers {
        watcher.until_view(Duration::from_secs(2), &BTreeSet::new()).await;
    }

    let (mut ghosts, mut risen, mut dark) = (Duration::ZERO, Vec::new(), Duration::ZERO);
    let ends = ends(&sprayed);
    for watcher in &watchers {
        let seen = watcher.seen();
        let (longer, again) = look(&seen, &ends);
        ghosts += longer;
        risen.extend(again);
        dark += typists.iter().map(|user| gap(&seen, user, quiet_at)).sum::<Duration>();
    }
    let calls = typing(&provider.asked());
    let gaps = gaps(&calls);
    let duplicates = gaps.iter().filter(|gap| **gap < REFRESHED).count();
    let out = gaps.iter().filter(|gap| **gap > DISPLAY + SLACK).count();
    let hints: Vec<u64> = watchers.iter().flat_map(Watcher::hints).collect();
    let failed = sprayed.iter().chain(&typed).filter(|said| said.answer.status != 200).count();
    let untold = typists.iter().filter(|user| !calls.contains_key(*user)).count();
    println!(
        "all restarted within {restarted:?}: {} signals, {failed} not served; {} ghost-seconds, {} risen again, {} \
         seconds without dots at {} watchers, who came back {} times after {hints:?} ms; {} calls about {} users, {} of \
         them refreshes, {duplicates} duplicates, {out} too late, {untold} typists not told of",
        sprayed.len() + typed.len(),
        ghosts.as_secs_f64(),
        risen.len(),
        dark.as_secs_f64(),
        watchers.len(),
        hints.len(),
        calls.values().map(Vec::len).sum::<usize>(),
        calls.len(),
        gaps.len(),
    );
    assert_eq!((ghosts, &risen, dark), (Duration::ZERO, &Vec::new(), Duration::ZERO));
    assert_eq!((failed, duplicates, out, untold), (0, 0, 0, 0));
    assert!(gaps.len() >= TYPISTS, "each is refreshed");
    let distinct: BTreeSet<&u64> = hints.iter().collect();
    assert!(hints.len() >= watchers.len() && distinct.len() * 2 > hints.len(), "{hints:?}");
}

/// When each conversation was ended by those who held it, as it was answered.
fn ends(said: &[Said]) -> BTreeMap<&str, Duration> {
    let ends = said.iter().filter(|said| ["paused", "sent"].contains(&said.state));
    ends.map(|said| (said.user.as_str(), said.at + said.took)).collect()
}

/// For how long what had ended was seen, beyond what the way takes; and what came back.
fn look(seen: &[Seen], ends: &BTreeMap<&str, Duration>) -> (Duration, Vec<String>) {
    let (mut ghosts, mut risen) = (Duration::ZERO, Vec::new());
    for one in seen {
        let leases = one.event.data["leases"].as_array();
        let shown = leases.into_iter().flatten().filter_map(|lease| lease["user"].as_str());
        let started = one.user().filter(|_| one.event.name != "stopped");
        for user in shown.chain(started) {
            if ends.get(user).is_some_and(|end| one.at > *end + SLACK) {
                risen.push(format!("{} of {user}", one.event.what()));
            }
        }
        let stopped = one.user().filter(|_| one.event.name == "stopped");
        if let Some(end) = stopped.and_then(|user| ends.get(user)) {
            ghosts += one.at.saturating_sub(*end + SLACK);
        }
    }
    (ghosts, risen)
}

/// For how long the dots of somebody who typed until `until` were out for a watcher who hides them when they were said
/// to end.
fn gap(seen: &[Seen], user: &str, until: Duration) -> Duration {
    let (mut gap, mut shown_until) = (Duration::ZERO, None::<Duration>);
    for one in seen.iter().take_while(|seen| seen.at < until) {
        let leases = one.event.data["leases"].as_array();
        let lease = leases.into_iter().flatten().find(|lease| lease["user"] == user);
        let is_snapshot = one.event.name == "snapshot";
        let of_it =
            if is_snapshot { lease } else { Some(&one.event.data).filter(|data| data["user"] == user) };
        let Some(of_it) = of_it else {
            if is_snapshot && shown_until.is_some() {
                shown_until = shown_until.min(Some(one.at));
            }
            continue;
        };
        gap += shown_until.map_or(Duration::ZERO, |until| one.at.saturating_sub(until));
        let remaining = Duration::from_millis(of_it["remaining_ms"].as_u64().unwrap());
        shown_until = Some(if one.event.name == "stopped" { one.at } else { one.at + remaining });
    }
    gap + shown_until.map_or(Duration::ZERO, |end| until.saturating_sub(end))
}

/// `acme`'s account at this provider.
pub fn pinnacle(url: &str) -> String {
    format!(
        r#"
[[tenants.upstreams.pinnacle]]
name = "p"
base_url = "{url}"
api_key = "prov-pinnacle"

[[tenants.routes]]
upstream = "p"
channel = "pinnacle"
"#
    )
}

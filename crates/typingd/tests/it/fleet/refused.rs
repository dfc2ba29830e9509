//! What is refused: a credential by its provider, which one node learns for all; and signals, while the store is away.

use std::time::Duration;

use serde_json::json;
use tokio::task::JoinSet;
use tokio::time::sleep;
use typingd::clock::Clock;

use super::clients::{Client, native, user};
use super::redis::Redis;
use super::restarts::pinnacle;
use super::{addresses, start};
use crate::relay::provider::{Act, Provider};
use crate::support::{Answer, kaleyra_typing, pinnacle_typing, salesforce};

const GROUP: usize = 300;
const CONVERSATIONS: usize = 300;
/// Longer than a refused credential's news takes to all nodes, and typing that is told of late is dropped after.
const QUIET: Duration = Duration::from_secs(6);

#[tokio::test]
async fn a_credential_that_is_refused_is_tried_by_few() {
    let redis = Redis::start().await;
    let provider = Provider::that(Act::answer(401, "", r#"{"error":"Unauthorized"}"#)).await;
    let nodes = start::<3>("credential", &redis.section(), &pinnacle(&provider.url())).await;
    let (clock, addresses) = (Clock::start(), addresses(&nodes));
    let mut talking = JoinSet::new();
    for part in 0..30 {
        let mut client = Client::new(clock, addresses.clone());
        talking.spawn(async move {
            for number in (part..CONVERSATIONS).step_by(30) {
                let said = client.say(number, &user(GROUP, number), "composing", 20_000).await;
                assert_eq!(said.answer.status, 200, "{}", said.answer.body);
            }
        });
    }
    talking.join_all().await;
    provider.times(1).await;
    sleep(QUIET).await;
    let asked = provider.asked();
    let last = asked.last().unwrap().at - asked[0].at;
    println!(
        "a refused credential, {CONVERSATIONS} conversations at three nodes: {} calls within {QUIET:?}, the last {last:?} \
         after the first",
        asked.len()
    );
    assert!(asked.len() <= 3, "{} calls", asked.len());
}

#[tokio::test]
async fn whoever_cannot_be_served_is_told_so_in_words_of_their_own() {
    let mut redis = Redis::start().await;
    let store = format!("{}when_away = \"refuse\"\n", redis.section());
    let [node] = start::<1>("refuse", &store, "").await;
    let mut client = Client::new(Clock::start(), vec![node.address]);
    let id = "c2909771-bf05-4715-bdb7-ba4547c543ec";
    let table = [
        ("kaleyra", kaleyra_typing("+14155550190")),
        ("pinnacle", pinnacle_typing("+14154746461")),
        ("salesforce", salesforce("TypingStartedIndicator", id, "David Wood")),
        ("native", native("pinnacle", "agent_pinnacle", &user(GROUP, 0), "agent", "composing", 5_000)),
    ];
    for (door, request) in &table {
        let (_, answer) = client.ask(0, request).await;
        assert_eq!((answer.status / 100, answer.header("typing-decision")), (2, Some("started")), "{door}");
    }
    redis.kill().await;
    for (door, request) in &table {
        let (_, answer) = client.ask(0, request).await;
        println!(
            "{door}, with the store away: {} {:?} {}",
            answer.status,
            answer.header("retry-after"),
            answer.body
        );
        check(door, &answer);
    }
    assert_eq!(node.look("/livez").await.unwrap().0, 200);
    redis.start_again().await;
    for (door, request) in &table {
        let clock = Clock::start();
        while client.ask(0, request).await.1.status / 100 != 2 {
            assert!(clock.elapsed() < Duration::from_secs(5), "{door}: served again");
        }
    }
}

/// As each vendor has it: Kaleyra with the provider's error in its own, Pinnacle by 500, for a client of its own crashes
/// on 503.
fn check(door: &str, answer: &Answer) {
    const WHY: &str = "the service is not available just now: try again";
    assert_eq!(answer.header("retry-after"), Some("1"), "{door}");
    let body = answer.json();
    let error = json!({"error": {"code": 503, "message": WHY, "status": "UNAVAILABLE"}}).to_string();
    let (status, said, expected) = match door {
        "kaleyra" => (400, &body["error"]["error_message"], error.as_str()),
        "pinnacle" => (500, &body["error"], WHY),
        "salesforce" => (503, &body["message"], WHY),
        _ => (503, &body["detail"], WHY),
    };
    assert_eq!((answer.status, said.as_str()), (status, Some(expected)), "{door}: {body}");
}

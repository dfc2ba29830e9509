//! What one node issued is good at the others: tickets, and holds.

use tokio::net::TcpStream;
use tokio::time::{Duration, sleep};
use typingd::clock::Clock;

use super::clients::{Client, hold, user};
use super::redis::Redis;
use super::watcher::Watcher;
use super::{addresses, start};
use crate::support::{Wire, pinnacle_message, post};

const KEY: &str = "Authorization: Bearer acme-key\r\n";
const GROUP: usize = 900;

fn beat(id: &str) -> Vec<u8> {
    post(&format!("/typing/v1/holds/{id}/beats"), KEY, "{}")
}

fn end(id: &str) -> Vec<u8> {
    post(&format!("/typing/v1/holds/{id}/end"), KEY, r#"{"reason":"paused"}"#)
}

#[tokio::test]
async fn a_ticket_is_good_once_and_at_any_node() {
    let redis = Redis::start().await;
    let nodes = start::<3>("tickets", &redis.section(), "").await;
    let mut client = Client::new(Clock::start(), addresses(&nodes));
    let asked = r#"{"channel":"pinnacle","side":"agent","access":"read"}"#;
    let (_, issued) = client.ask(0, &post("/typing/v1/tickets", KEY, asked)).await;
    assert_eq!(issued.status, 200, "{}", issued.body);
    let ticket = issued.json()["ticket"].as_str().unwrap().to_owned();
    let request = format!("GET /typing/v1/stream?ticket={ticket} HTTP/1.1\r\nHost: t\r\n\r\n");
    let mut statuses = Vec::new();
    for node in [1, 2, 0, 1] {
        let mut wire = Wire::new(TcpStream::connect(nodes[node].address).await.unwrap());
        wire.send(request.as_bytes()).await;
        statuses.push(wire.head().await.unwrap().0);
    }
    assert_eq!(statuses, [200, 401, 401, 401]);
}

#[tokio::test]
async fn a_hold_is_prolonged_and_ended_at_any_node() {
    let redis = Redis::start().await;
    let nodes = start::<3>("holds", &redis.section(), "").await;
    let clock = Clock::start();
    let watcher = Watcher::start(clock, vec![nodes[2].address], "").await;
    let mut client = Client::new(clock, addresses(&nodes));
    let id = hold(&mut client, 0, &user(GROUP, 1), 3_000).await;
    let (_, answer) = client.ask(1, &beat(&id)).await;
    assert_eq!((answer.status, answer.decision()), (200, "extended"));
    let theirs = post(&format!("/typing/v1/holds/{id}/beats"), "Authorization: Bearer other-key\r\n", "{}");
    assert_eq!(client.ask(1, &theirs).await.1.status, 401);
    let (_, answer) = client.ask(2, &end(&id)).await;
    assert_eq!((answer.status, answer.decision()), (200, "ended"));
    watcher.until_view(Duration::from_secs(2), &[].into()).await;
    for node in [0, 1] {
        let (_, answer) = client.ask(node, &beat(&id)).await;
        assert_eq!(answer.decision(), "ignored; reason=nothing_live", "nothing comes back");
        assert_eq!(client.ask(node, &beat(&id)).await.1.status, 404);
    }
}

#[tokio::test]
async fn a_hold_that_is_to_begin_does_not_after_what_was_said_at_another_node() {
    let redis = Redis::start().await;
    let nodes = start::<2>("beginnings", &redis.section(), "").await;
    let clock = Clock::start();
    let watcher = Watcher::start(clock, vec![nodes[1].address], "").await;
    let mut client = Client::new(clock, addresses(&nodes));
    let mut begin = async |user: &str| {
        let body = format!(
            r#"{{"channel":"pinnacle","agent":"agent_pinnacle","user":"{user}","composer":"agent","start_delay_ms":1500}}"#
        );
        let (_, answer) = client.ask(0, &post("/typing/v1/holds", KEY, &body)).await;
        assert_eq!(answer.status, 201, "{}", answer.body);
        answer.json()["id"].as_str().unwrap().to_owned()
    };
    let [ended, overtaken, left] = [user(GROUP, 2), user(GROUP, 3), user(GROUP, 4)];
    let id = begin(&ended).await;
    begin(&overtaken).await;
    begin(&left).await;
    assert_eq!(client.ask(1, &end(&id)).await.1.status, 200);
    assert_eq!(client.ask(1, &pinnacle_message(&overtaken)).await.1.status, 200);
    watcher.until_view(Duration::from_secs(5), &[left.clone()].into()).await;
    // The others would have begun before it.
    sleep(Duration::from_millis(200)).await;
    assert_eq!(watcher.view(), [left].into());
}

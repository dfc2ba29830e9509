//! A stream by a ticket: for browsers that only want to see.

use std::time::Duration;

use serde_json::{Value, json};

use super::client::{Client, handshake, ticket};
use crate::support::{Answer, InProcess, config, kaleyra_typing, pinnacle_typing};

const USER: &str = "+14155550123";

fn request(query: &str, headers: &str) -> Vec<u8> {
    format!("GET /typing/v1/stream{query} HTTP/1.1\r\nHost: t\r\n{headers}\r\n").into_bytes()
}

fn on_pinnacle() -> Value {
    json!({"channel": "pinnacle", "side": "agent", "access": "read"})
}

async fn refusal(gateway: &InProcess, request: &[u8]) -> Answer {
    let answer = gateway.exchange(request).await;
    assert_ne!(answer.status, 200);
    answer
}

#[tokio::test(start_paused = true)]
async fn a_ticket_opens_one_stream_of_its_scope_or_of_a_narrower_one() {
    let gateway = InProcess::start();
    gateway.exchange(&kaleyra_typing(USER)).await;
    for (query, count) in [
        ("", 2),
        ("&channel=pinnacle", 2),
        ("&user=%2B14155550001", 1),
        ("&user=14155550001", 1),
        ("&agent=agent_pinnacle", 2),
        ("&agent=nobody", 0),
    ] {
        for user in ["+14155550001", "+14155550002"] {
            gateway.exchange(&pinnacle_typing(user)).await;
        }
        let ticket = ticket(&gateway, "acme-key", &on_pinnacle()).await;
        let query = format!("?ticket={ticket}{query}");
        let mut events = gateway.stream(&query, "no key").await;
        let snapshot = events.next().await.unwrap();
        assert_eq!(snapshot.data["leases"].as_array().unwrap().len(), count, "{query}");
        assert_eq!(refusal(&gateway, &request(&query, "")).await.status, 401, "once");
    }
    for (query, field) in [
        ("&channel=kaleyra", "channel"),
        ("&channel=telegraph", "channel"),
        ("&channel=pinnacle&channel=pinnacle", "channel"),
        ("&user=x", "user"),
        ("&side=user", "side"),
    ] {
        let ticket = ticket(&gateway, "acme-key", &on_pinnacle()).await;
        let answer = refusal(&gateway, &request(&format!("?ticket={ticket}{query}"), "")).await;
        assert_eq!((answer.status, &answer.json()["errors"][0]["field"]), (400, &json!(field)), "{query}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_ticket_is_for_a_socket_or_a_stream_and_not_for_both() {
    let gateway = InProcess::start();
    let ticket = ticket(&gateway, "acme-key", &on_pinnacle()).await;
    let events = gateway.stream(&format!("?ticket={ticket}"), "no key").await;
    let refused = Client::shake_hands(gateway.connect(), &handshake(&ticket)).await.err().unwrap();
    assert_eq!(refused.status, 401);
    drop(events);
}

#[tokio::test(start_paused = true)]
async fn a_page_that_may_come_in_may_read_its_stream() {
    let mut config = config(Duration::from_secs(20));
    config.origins.allowed = vec!["https://desk.example.com".into()];
    let gateway = InProcess::with(config);
    const ALLOWED: &str = "access-control-allow-origin";
    for (origin, is_let_in) in [
        ("https://desk.example.com", true),
        ("http://t", true),
        ("https://evil.example", false),
        ("null", false),
    ] {
        let ticket = ticket(&gateway, "acme-key", &on_pinnacle()).await;
        let query = format!("?ticket={ticket}");
        let answer = gateway.exchange(&request(&query, &format!("Origin: {origin}\r\n"))).await;
        if is_let_in {
            assert_eq!((answer.status, answer.header(ALLOWED)), (200, Some(origin)));
            assert_eq!(answer.header("vary"), Some("Origin"));
            assert_eq!(answer.header("access-control-allow-credentials"), None);
        } else {
            assert_eq!((answer.status, answer.header(ALLOWED)), (403, None), "{origin}");
            let again = gateway.exchange(&request(&query, "")).await;
            assert_eq!((again.status, again.header(ALLOWED)), (200, None), "it was not spent");
        }
    }
    // By an API key no page is let read anything, whatever its origin: that is for servers.
    let headers = "Authorization: Bearer acme-key\r\nOrigin: https://desk.example.com\r\n";
    let by_key = gateway.exchange(&request("", headers)).await;
    assert_eq!((by_key.status, by_key.header(ALLOWED)), (200, None));
}

#[tokio::test(start_paused = true)]
async fn who_comes_with_a_ticket_and_a_key_comes_by_the_ticket() {
    let gateway = InProcess::start();
    gateway.exchange(&kaleyra_typing(USER)).await;
    gateway.exchange(&pinnacle_typing(USER)).await;
    let ticket = ticket(&gateway, "acme-key", &on_pinnacle()).await;
    let mut events = gateway.stream(&format!("?ticket={ticket}"), "acme-key").await;
    let snapshot = events.next().await.unwrap();
    assert_eq!(snapshot.data["leases"].as_array().unwrap().len(), 1, "no more than its scope");
    for wrong in [&ticket[..], "", "wrong"] {
        let headers = "Authorization: Bearer acme-key\r\n";
        let refused = refusal(&gateway, &request(&format!("?ticket={wrong}"), headers)).await;
        assert_eq!(refused.status, 401, "{wrong}");
    }
    let mut by_key = gateway.stream("", "acme-key").await;
    assert_eq!(by_key.next().await.unwrap().data["leases"].as_array().unwrap().len(), 2);
}

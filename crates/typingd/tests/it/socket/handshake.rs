//! What it takes to get a socket, and what does not cost the ticket.

use std::time::Duration;

use serde_json::{Value, json};
use tokio::time::sleep;

use super::client::{Client, encode, handshake, open, ticket};
use crate::support::{Answer, InProcess, config, pinnacle_typing};

const KEY: &str = "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n";

fn watcher() -> Value {
    json!({"side": "agent", "access": "read"})
}

/// The handshake with a piece of it changed.
fn with(ticket: &str, from: &str, to: &str) -> Vec<u8> {
    let request = String::from_utf8(handshake(ticket)).unwrap();
    assert!(request.contains(from), "{from}");
    request.replace(from, to).into_bytes()
}

async fn refusal(gateway: &InProcess, request: &[u8]) -> Answer {
    Client::shake_hands(gateway.connect(), request).await.err().expect("no socket")
}

async fn is_good(gateway: &InProcess, request: &[u8]) -> bool {
    match Client::shake_hands(gateway.connect(), request).await {
        Ok(mut client) => client.next().await["type"] == "hello",
        Err(answer) => panic!("{answer:?}"),
    }
}

#[tokio::test(start_paused = true)]
async fn what_is_no_request_for_a_websocket_is_refused_and_spends_no_ticket() {
    let gateway = InProcess::start();
    let ticket = ticket(&gateway, "acme-key", &watcher()).await;
    let connection = "Connection: keep-alive, Upgrade\r\n";
    let body = |headers: &str, body: &str| {
        let mut request = with(&ticket, KEY, &format!("{KEY}{headers}"));
        request.extend(body.as_bytes());
        request
    };
    for (what, request, status) in [
        ("no Upgrade", with(&ticket, "Upgrade: websocket\r\n", ""), 426),
        ("another Upgrade", with(&ticket, "Upgrade: websocket", "Upgrade: h2c"), 426),
        ("almost that Upgrade", with(&ticket, "Upgrade: websocket", "Upgrade: websockets"), 426),
        ("no Connection", with(&ticket, connection, ""), 426),
        ("another Connection", with(&ticket, connection, "Connection: keep-alive\r\n"), 426),
        ("no version", with(&ticket, "Sec-WebSocket-Version: 13\r\n", ""), 426),
        ("an older version", with(&ticket, "Version: 13", "Version: 8"), 426),
        ("two versions", with(&ticket, "Version: 13", "Version: 13, 8"), 426),
        ("the version twice", with(&ticket, "Version: 13", "Version: 13\r\nSec-WebSocket-Version: 13"), 426),
        ("HTTP/1.0", with(&ticket, "HTTP/1.1", "HTTP/1.0"), 426),
        ("no key", with(&ticket, KEY, ""), 400),
        ("an empty key", with(&ticket, KEY, "Sec-WebSocket-Key:\r\n"), 400),
        ("15 bytes", with(&ticket, "dGhlIHNhbXBsZSBub25jZQ==", "AAAAAAAAAAAAAAAAAAAA"), 400),
        ("17 bytes", with(&ticket, "dGhlIHNhbXBsZSBub25jZQ==", "AAAAAAAAAAAAAAAAAAAAAAA="), 400),
        ("no base64", with(&ticket, "dGhlIHNhbXBsZSBub25jZQ==", "dGhlIHNhbXBsZSBub25jZ!=="), 400),
        ("no padding", with(&ticket, "dGhlIHNhbXBsZSBub25jZQ==", "dGhlIHNhbXBsZSBub25jZQ"), 400),
        ("two keys", with(&ticket, KEY, &KEY.repeat(2)), 400),
        ("a body", body("Content-Length: 2\r\n", "{}"), 400),
        ("a chunked body", body("Transfer-Encoding: chunked\r\n", "0\r\n\r\n"), 400),
        ("POST", with(&ticket, "GET ", "POST "), 405),
        ("PUT", with(&ticket, "GET ", "PUT "), 405),
    ] {
        let answer = refusal(&gateway, &request).await;
        assert_eq!(answer.status, status, "{what}: {}", answer.body);
        let version = answer.header("sec-websocket-version");
        assert_eq!(version, (status == 426).then_some("13"), "{what}");
        assert_eq!(answer.header("allow"), (status == 405).then_some("GET"), "{what}");
        assert_eq!(answer.header("content-type"), Some("application/problem+json"), "{what}");
    }
    assert!(is_good(&gateway, &handshake(&ticket)).await);
}

#[tokio::test(start_paused = true)]
async fn who_asks_for_the_head_alone_gets_neither_a_socket_nor_a_stream_and_spends_no_ticket() {
    let gateway = InProcess::start();
    for path in ["socket", "stream"] {
        let ticket = ticket(&gateway, "acme-key", &watcher()).await;
        let request = with(&ticket, "GET /typing/v1/socket", &format!("HEAD /typing/v1/{path}"));
        let mut wire = gateway.connect();
        wire.send(&request).await;
        let (status, headers) = wire.head().await.unwrap();
        assert_eq!(status, 405, "{path}");
        let allow: Vec<&str> =
            headers.iter().filter(|(name, _)| name == "allow").map(|(_, value)| value.as_str()).collect();
        assert_eq!(allow, ["GET"], "{path}");
        assert!(is_good(&gateway, &handshake(&ticket)).await, "{path}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_handshake_may_be_spelled_as_browsers_and_proxies_spell_it() {
    let gateway = InProcess::start();
    for (from, to) in [
        ("Upgrade: websocket", "upgrade: WebSocket"),
        ("Upgrade: websocket", "Upgrade: h2c, websocket"),
        ("Connection: keep-alive, Upgrade", "Connection: upgrade"),
        ("Connection: keep-alive, Upgrade", "Connection: keep-alive\r\nConnection: Upgrade"),
        (KEY, "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nContent-Length: 0\r\n"),
        (KEY, &format!("{KEY}Sec-WebSocket-Extensions: permessage-deflate; client_max_window_bits\r\n")),
        (KEY, &format!("{KEY}Sec-WebSocket-Protocol: chat\r\n")),
        ("?ticket=", "?x=y&ticket="),
    ] {
        let ticket = ticket(&gateway, "acme-key", &watcher()).await;
        let mut wire = gateway.connect();
        let answer = wire.exchange(&with(&ticket, from, to)).await;
        assert_eq!(answer.status, 101, "{to}: {}", answer.body);
        for header in ["sec-websocket-extensions", "sec-websocket-protocol", "content-length"] {
            assert_eq!(answer.header(header), None, "{to}");
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_ticket_is_good_once_for_half_a_minute_and_where_it_was_issued() {
    let gateway = InProcess::start();
    let elsewhere = ticket(&InProcess::start(), "acme-key", &watcher()).await;
    let [used, timely, late] = [
        ticket(&gateway, "acme-key", &watcher()).await,
        ticket(&gateway, "acme-key", &watcher()).await,
        ticket(&gateway, "acme-key", &watcher()).await,
    ];
    assert!(is_good(&gateway, &handshake(&used)).await);
    sleep(Duration::from_millis(29_900)).await;
    assert!(is_good(&gateway, &handshake(&timely)).await);
    sleep(Duration::from_millis(1_100)).await;
    let parameter = format!("?ticket={used}");
    let upside_down: String = late.chars().rev().collect();
    for (what, request) in [
        ("none", with(&used, &parameter, "")),
        ("an empty one", handshake("")),
        ("an API key", handshake("acme-key")),
        ("another", handshake("AAAAAAAAAAAAAAAAAAAAAA")),
        ("an upside-down one", handshake(&upside_down)),
        ("a spent one", handshake(&used)),
        ("another gateway's", handshake(&elsewhere)),
        ("a late one", handshake(&late)),
        ("an API key in the header", with(&used, KEY, &format!("{KEY}Authorization: Bearer acme-key\r\n"))),
    ] {
        let answer = refusal(&gateway, &request).await;
        assert_eq!((answer.status, answer.json()["status"].as_u64()), (401, Some(401)), "{what}");
    }
}

#[tokio::test(start_paused = true)]
async fn of_two_who_come_with_the_same_ticket_one_is_let_in() {
    let gateway = InProcess::start();
    for _ in 0..50 {
        let ticket = ticket(&gateway, "acme-key", &watcher()).await;
        let request = handshake(&ticket);
        let (one, other) = tokio::join!(
            Client::shake_hands(gateway.connect(), &request),
            Client::shake_hands(gateway.connect(), &request)
        );
        let statuses = [one, other].map(|came| came.err().map(|answer| answer.status));
        assert!(statuses.contains(&None) && statuses.contains(&Some(401)), "{statuses:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_foreign_page_is_turned_away_and_does_not_spend_the_ticket() {
    let mut config = config(Duration::from_secs(20));
    config.origins.allowed = vec!["https://desk.example.com".into()];
    let gateway = InProcess::with(config);
    let with_origin = |ticket: &str, origin: &str| with(ticket, KEY, &format!("{KEY}{origin}"));
    for origin in [
        "Origin: https://evil.example\r\n",
        "Origin: http://desk.example.com\r\n",
        "Origin: https://desk.example.com.evil.example\r\n",
        "Origin: https://t.evil.example\r\n",
        "Origin: null\r\n",
        "Origin:\r\n",
        "Origin: https://desk.example.com\r\nOrigin: https://desk.example.com\r\n",
        "Origin: https://desk.example.com\r\nOrigin: https://evil.example\r\n",
    ] {
        let ticket = ticket(&gateway, "acme-key", &watcher()).await;
        let answer = refusal(&gateway, &with_origin(&ticket, origin)).await;
        assert_eq!((answer.status, answer.json()["status"].as_u64()), (403, Some(403)), "{origin}");
        assert!(!answer.body.contains("evil"), "{}", answer.body);
        assert!(is_good(&gateway, &handshake(&ticket)).await, "{origin}");
    }
    for origin in
        ["", "Origin: https://desk.example.com\r\n", "Origin: https://t\r\n", "Origin: http://t\r\n"]
    {
        let ticket = ticket(&gateway, "acme-key", &watcher()).await;
        assert!(is_good(&gateway, &with_origin(&ticket, origin)).await, "{origin}");
    }
}

#[tokio::test(start_paused = true)]
async fn who_keeps_coming_with_wrong_tickets_is_barred() {
    let mut config = config(Duration::from_secs(20));
    config.limits.failed_authentications_per_minute = 4;
    let gateway = InProcess::with(config);
    let good = ticket(&gateway, "acme-key", &watcher()).await;
    for _ in 0..4 {
        assert_eq!(refusal(&gateway, &handshake("wrong")).await.status, 401);
    }
    let barred = refusal(&gateway, &handshake(&good)).await;
    assert_eq!((barred.status, barred.header("retry-after")), (429, Some("60")));
}

#[tokio::test(start_paused = true)]
async fn frames_that_come_with_the_handshake_are_not_lost() {
    let gateway = InProcess::start();
    let listing = &b"GET /typing/v1/leases HTTP/1.1\r\nHost: t\r\nAuthorization: Bearer acme-key\r\n\r\n"[..];
    let frames = [
        encode(true, 1, br#"{"type":"ping","ref":"1"}"#),
        encode(false, 1, br#"{"type":"ping","#),
        encode(true, 0, br#""ref":"2"}"#),
    ]
    .concat();
    for before in [&b""[..], listing] {
        let ticket = ticket(&gateway, "acme-key", &watcher()).await;
        let mut wire = gateway.connect();
        wire.send(&[before, &handshake(&ticket), &frames].concat()).await;
        if !before.is_empty() {
            assert_eq!(wire.answer().await.unwrap().status, 200);
        }
        let mut client = Client::shake_hands(wire, b"").await.unwrap();
        assert_eq!(client.next().await["type"], "hello");
        assert_eq!(client.next().await, json!({"type": "pong", "ref": "1"}));
        assert_eq!(client.next().await, json!({"type": "pong", "ref": "2"}));
    }
    // A kept connection may become a socket, and stays one for longer than a request may take to come.
    let ticket = ticket(&gateway, "acme-key", &watcher()).await;
    let mut wire = gateway.connect();
    assert_eq!(wire.exchange(listing).await.status, 200);
    sleep(Duration::from_secs(20)).await;
    let mut client = Client::shake_hands(wire, &handshake(&ticket)).await.unwrap();
    assert_eq!(client.next().await["type"], "hello");
    sleep(Duration::from_secs(39)).await;
    assert_eq!(client.ask(json!({"type": "ping"})).await, json!({"type": "pong"}));
}

#[tokio::test(start_paused = true)]
async fn a_ticket_of_one_tenant_shows_nothing_of_another() {
    let gateway = InProcess::start();
    gateway.exchange(&pinnacle_typing("+14155550123")).await;
    let ticket = ticket(&gateway, "globex-key", &watcher()).await;
    let mut theirs = Client::shake_hands(gateway.connect(), &handshake(&ticket)).await.unwrap();
    theirs.next().await;
    assert_eq!(theirs.watch().await, json!([]));
    let (mut ours, _) = open(&gateway, &watcher()).await;
    assert_eq!(ours.watch().await.as_array().unwrap().len(), 1);
    assert_eq!(ours.what().await, "stopped expired");
    assert_eq!(theirs.ask(json!({"type": "ping"})).await["type"], "pong");
}

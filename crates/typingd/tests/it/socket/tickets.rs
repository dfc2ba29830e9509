//! `POST /typing/v1/tickets`: what may be asked for, and what it comes to.

use serde_json::{Value, json};

use super::client::{Client, handshake, issued};
use crate::support::{InProcess, post};

const KEY: &str = "Authorization: Bearer acme-key\r\n";
const PATH: &str = "/typing/v1/tickets";

#[tokio::test(start_paused = true)]
async fn a_ticket_is_for_what_was_asked() {
    let gateway = InProcess::start();
    let long = "é".repeat(127);
    for (asked, hello) in [
        (json!({"side": "agent", "access": "read"}), json!({})),
        (json!({"side": "agent", "access": "read_write", "agent": "a", "participant": "p"}), json!({})),
        (json!({"side": "user", "access": "read_write", "user": "David Wood", "name": long}), json!({})),
        (
            json!({"side": "user", "access": "read", "channel": "kaleyra", "user": "14155550123"}),
            json!({"user": "+14155550123"}),
        ),
        (
            json!({"side": "user", "access": "read", "channel": "salesforce", "user": "14155550123"}),
            json!({}),
        ),
    ] {
        let answer = gateway.exchange(&post(PATH, KEY, &asked.to_string())).await;
        assert_eq!(answer.json()["expires_in_ms"], 30_000);
        assert_eq!(answer.header("cache-control"), Some("no-store"));
        assert_eq!(answer.header("content-type"), Some("application/json"));
        let ticket = issued(&answer);
        assert!(
            ticket.len() >= 22 && ticket.bytes().all(|b| b.is_ascii_alphanumeric() || b"-_".contains(&b))
        );
        let mut client = Client::shake_hands(gateway.connect(), &handshake(&ticket)).await.unwrap();
        let mut expected = asked.clone();
        expected["type"] = json!("hello");
        expected.as_object_mut().unwrap().extend(hello.as_object().unwrap().clone());
        assert_eq!(client.next().await, expected);
    }
}

#[tokio::test(start_paused = true)]
async fn a_fault_is_named_by_its_field_and_never_quoted() {
    let gateway = InProcess::start();
    let good = json!({"side": "agent", "access": "read"});
    let canary = "+14155550123";
    let too_long = canary.repeat(22);
    let with = |field: &str, value: Value| {
        let mut asked = good.clone();
        asked[field] = value;
        asked
    };
    let without = |field: &str| {
        let mut asked = good.clone();
        asked.as_object_mut().unwrap().remove(field);
        asked
    };
    for (fields, asked) in [
        (&["side"][..], without("side")),
        (&["side"], with("side", json!(canary))),
        (&["side"], with("side", json!("Agent"))),
        (&["side"], with("side", json!(7))),
        (&["access"], without("access")),
        (&["access"], with("access", json!("write"))),
        (&["access"], with("access", json!(true))),
        (&["user"], with("side", json!("user"))),
        (&["channel"], with("channel", json!(canary))),
        (&["channel"], with("channel", json!("Kaleyra"))),
        (&["channel"], with("channel", json!(""))),
        (&["channel"], with("channel", json!(["kaleyra"]))),
        (&["agent"], with("agent", json!(""))),
        (&["agent"], with("agent", json!(too_long))),
        (&["user"], with("user", json!(null))),
        (&["user"], with("user", json!(14_155_550_123_u64))),
        (&["user"], with("user", json!(too_long))),
        (&["participant"], with("participant", json!(""))),
        (&["participant"], with("participant", json!(too_long))),
        (&["participant"], with("participant", json!({"id": canary}))),
        (&["name"], with("name", json!(too_long))),
        (&["name"], with("name", json!(false))),
        (&["ttl_ms"], with("ttl_ms", json!(1))),
        (&["(a member)"], with(canary, json!(1))),
        (&["side", "access"], json!({})),
        (&["participant", "name", "scope"], {
            let mut asked = with("participant", json!(1));
            asked["name"] = json!(1);
            asked["scope"] = json!(1);
            asked
        }),
    ] {
        let answer = gateway.exchange(&post(PATH, KEY, &asked.to_string())).await;
        assert_eq!(answer.status, 400, "{asked}: {}", answer.body);
        let problem = answer.json();
        let named: Vec<&str> = problem["errors"]
            .as_array()
            .unwrap()
            .iter()
            .map(|error| error["field"].as_str().unwrap())
            .collect();
        assert_eq!(named, fields, "{asked}");
        assert!(!answer.body.contains("4155550123"), "{}", answer.body);
    }
    let on_rcs = json!({"side": "user", "access": "read", "channel": "pinnacle", "user": "David Wood"});
    let answer = gateway.exchange(&post(PATH, KEY, &on_rcs.to_string())).await;
    assert_eq!((answer.status, &answer.json()["errors"][0]["field"]), (400, &json!("user")));
}

#[tokio::test(start_paused = true)]
async fn every_other_mistake_is_a_problem_too() {
    let gateway = InProcess::start();
    let good = json!({"side": "agent", "access": "read"}).to_string();
    let text = |request: Vec<u8>| String::from_utf8(request).unwrap();
    let another = |from: &str, to: &str| text(post(PATH, KEY, &good)).replace(from, to).into_bytes();
    for (status, what, request) in [
        (401, "no key", post(PATH, "", &good)),
        (401, "a wrong key", post(PATH, "Authorization: Bearer wrong\r\n", &good)),
        (401, "a wrong key and no JSON", post(PATH, "Authorization: Bearer wrong\r\n", "{")),
        (401, "the key twice", post(PATH, &KEY.repeat(2), &good)),
        (415, "a form", another("application/json", "application/x-www-form-urlencoded")),
        (415, "no media type", another("Content-Type: application/json\r\n", "")),
        (415, "compressed", post(PATH, &format!("{KEY}Content-Encoding: gzip\r\n"), &good)),
        (400, "no body", post(PATH, KEY, "")),
        (400, "no JSON", post(PATH, KEY, "{")),
        (400, "no object", post(PATH, KEY, "[]")),
        (400, "a member twice", post(PATH, KEY, r#"{"side":"agent","side":"agent","access":"read"}"#)),
        (413, "more than is read", post(PATH, KEY, &" ".repeat(16 * 1024 + 1))),
        (405, "GET", another("POST", "GET")),
        (405, "PUT", another("POST", "PUT")),
    ] {
        let answer = gateway.exchange(&request).await;
        assert_eq!(
            (answer.status, answer.json()["status"].as_u64()),
            (status, Some(status.into())),
            "{what}"
        );
        assert_eq!(answer.header("content-type"), Some("application/problem+json"), "{what}");
        assert_eq!(answer.header("allow"), (status == 405).then_some("POST"), "{what}");
        assert!(!answer.body.contains("\"ticket\""), "{what}");
    }
    assert_eq!(gateway.exchange(&post(PATH, KEY, &good)).await.status, 200);
}

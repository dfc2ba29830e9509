//! The native API: signals in, leases out, and what it refuses.

use serde_json::{Value, json};

use crate::support::{InProcess, pinnacle_typing, post, signal};

const TYPING: &str = r#"{"channel":"pinnacle","agent":"agent_x","user":"+14155550123","composer":"agent","state":"composing"}"#;

fn get(path: &str, key: &str) -> Vec<u8> {
    format!("GET {path} HTTP/1.1\r\nHost: t\r\nAuthorization: Bearer {key}\r\n\r\n").into_bytes()
}

#[tokio::test(start_paused = true)]
async fn a_signal_is_answered_with_the_decision_and_the_lease() {
    let gateway = InProcess::start();
    let answer = gateway.exchange(&signal(TYPING)).await;
    let mut body = answer.json();
    let lease = body["lease"].as_object_mut().unwrap();
    for time in ["started_at", "expires_at"] {
        let text = lease.remove(time).unwrap();
        let text = text.as_str().unwrap();
        assert!(text.len() == "2026-11-21T12:00:00.000Z".len() && text.ends_with('Z'), "{text}");
    }
    let lease = json!({
        "channel": "pinnacle", "agent": "agent_x", "user": "+14155550123", "composer": "agent",
        "remaining_ms": 20_000, "origin": "native",
    });
    assert_eq!(body, json!({"decision": "started", "lease": lease}));
    assert_eq!((answer.decision(), answer.header("typing-expires-in")), ("started", Some("20000")));
    let paused = gateway.exchange(&signal(&TYPING.replace("composing", "paused"))).await;
    assert_eq!(paused.json(), json!({"decision": "ended"}));
    let again = gateway.exchange(&signal(&TYPING.replace("composing", "paused"))).await;
    assert_eq!(again.json(), json!({"decision": "ignored", "reason": "nothing_live"}));
    assert_eq!(again.decision(), "ignored; reason=nothing_live");
}

#[tokio::test(start_paused = true)]
async fn a_wished_ttl_is_kept_within_bounds_and_the_answer_says_so() {
    let gateway = InProcess::start();
    for (wish, got, clamped) in
        [("500", 1_000, Some(1_000)), ("5000", 5_000, None), ("3600000", 60_000, Some(60_000))]
    {
        let body = TYPING.replace('}', &format!(r#","ttl_ms":{wish}}}"#));
        let answer = gateway.exchange(&signal(&body)).await.json();
        assert_eq!(answer["lease"]["remaining_ms"], got, "{wish}");
        assert_eq!(answer["clamped_ttl_ms"].as_u64(), clamped, "{wish}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_turn_fences_stragglers_of_its_message() {
    let gateway = InProcess::start();
    let with = |state: &str, turn: u64| {
        signal(&TYPING.replace("composing", state).replace('}', &format!(r#","turn":{turn}}}"#)))
    };
    for (state, turn, decision) in [
        ("composing", 1, "started"),
        ("sent", 1, "ended"),
        ("composing", 1, "ignored; reason=fenced"),
        ("composing", 2, "started"),
    ] {
        assert_eq!(gateway.exchange(&with(state, turn)).await.decision(), decision, "{state} {turn}");
    }
    let mut events = gateway.stream("?channel=pinnacle&agent=agent_x&user=%2B14155550123", "acme-key").await;
    assert_eq!(events.next().await.unwrap().data["last_turn"], 1);
}

#[tokio::test(start_paused = true)]
async fn leases_are_listed_by_scope_and_only_ones_own() {
    let gateway = InProcess::start();
    gateway.exchange(&signal(TYPING)).await;
    gateway.exchange(&signal(&TYPING.replace("agent_x", "agent_y"))).await;
    gateway
        .exchange(&signal(
            &TYPING.replace("pinnacle", "salesforce").replace("\"agent\",\"state", "\"user\",\"state"),
        ))
        .await;
    gateway.exchange(&pinnacle_typing("+14155550999")).await;
    for (query, count) in [
        ("", 4),
        ("?channel=pinnacle", 3),
        ("?agent=agent_x", 2),
        ("?user=%2B14155550123", 3),
        ("?user=+14155550123", 3),
        ("?channel=pinnacle&user=14155550123", 2),
        ("?channel=pinnacle&agent=agent_x&user=%2B14155550123", 1),
        ("?channel=kaleyra", 0),
    ] {
        let own = gateway.exchange(&get(&format!("/typing/v1/leases{query}"), "acme-key")).await;
        assert_eq!(own.json()["leases"].as_array().unwrap().len(), count, "{query}");
        let other = gateway.exchange(&get("/typing/v1/leases", "globex-key")).await;
        assert_eq!(other.json(), json!({"leases": []}));
    }
}

#[tokio::test(start_paused = true)]
async fn too_wide_a_scope_is_refused() {
    let mut config = crate::support::config(std::time::Duration::from_secs(20));
    config.limits.listing = 1;
    let gateway = InProcess::with(config);
    gateway.exchange(&signal(TYPING)).await;
    gateway.exchange(&signal(&TYPING.replace("agent_x", "agent_y"))).await;
    for path in ["/typing/v1/leases", "/typing/v1/stream"] {
        let refused = gateway.exchange(&get(path, "acme-key")).await;
        assert_eq!((refused.status, refused.json()["status"].as_u64()), (413, Some(413)));
        assert!(refused.body.contains("narrow"), "{}", refused.body);
    }
    let narrower = gateway.exchange(&get("/typing/v1/leases?agent=agent_x", "acme-key")).await;
    assert_eq!(narrower.status, 200);
}

#[tokio::test(start_paused = true)]
async fn a_full_store_refuses_starts_and_takes_ends() {
    let mut config = crate::support::config(std::time::Duration::from_secs(20));
    config.limits.sides = 1;
    let gateway = InProcess::with(config);
    gateway.exchange(&signal(TYPING)).await;
    let other = TYPING.replace("agent_x", "agent_y");
    let refused = gateway.exchange(&signal(&other)).await;
    assert_eq!((refused.status, refused.header("retry-after")), (429, Some("1")));
    assert_eq!(gateway.exchange(&pinnacle_typing("+14155550123")).await.status, 429);
    assert_eq!(gateway.exchange(&signal(&other.replace("composing", "sent"))).await.status, 200);
    gateway.exchange(&signal(&TYPING.replace("composing", "sent"))).await;
    assert_eq!(gateway.exchange(&signal(&other)).await.status, 200);
}

#[tokio::test(start_paused = true)]
async fn a_refusal_names_the_field_and_never_its_value() {
    let gateway = InProcess::start();
    let canary = "+14155550123";
    for (field, body) in [
        ("channel", TYPING.replace("\"pinnacle\"", "7")),
        ("channel", TYPING.replace("pinnacle", canary)),
        ("agent", TYPING.replace("agent_x", "")),
        ("agent", TYPING.replace("agent_x", &"x".repeat(256))),
        ("user", TYPING.replace(canary, "+014155550123")),
        ("user", TYPING.replace(canary, "+1415555012345678")),
        ("user", TYPING.replace(canary, "+١٤١٥٥٥٥")),
        ("user", TYPING.replace(canary, "+14155550123\\n")),
        ("user", TYPING.replace(&format!("\"{canary}\""), "14155550123")),
        ("composer", TYPING.replace("\"agent\",\"state", "\"+14155550123\",\"state")),
        ("state", TYPING.replace("composing", canary)),
        ("ttl_ms", TYPING.replace('}', r#","ttl_ms":-1}"#)),
        ("ttl_ms", TYPING.replace('}', r#","ttl_ms":"14155550123"}"#)),
        ("ttl_ms", TYPING.replace('}', r#","ttl_ms":true}"#)),
        ("ttl_ms", TYPING.replace('}', r#","ttl_ms":1e300}"#)),
        ("turn", TYPING.replace('}', r#","turn":1.5}"#)),
        ("participant", TYPING.replace('}', r#","participant":[]}"#)),
        ("ttl", TYPING.replace('}', r#","ttl":14155550123}"#)),
        ("(a member)", TYPING.replace('}', r#","+14155550123":1}"#)),
    ] {
        let answer = gateway.exchange(&signal(&body)).await;
        let problem = answer.json();
        let fields: Vec<&str> =
            problem["errors"].as_array().unwrap().iter().map(|e| e["field"].as_str().unwrap()).collect();
        assert_eq!((answer.status, fields), (400, vec![field]), "{body}");
        assert_eq!(answer.header("content-type"), Some("application/problem+json"));
        assert!(!answer.body.contains("4155550123"), "{}", answer.body);
    }
    let unknown = gateway.exchange(&signal(&TYPING.replace("pinnacle", "telegraph"))).await;
    assert!(unknown.status == 400 && unknown.body.contains("telegraph"), "{}", unknown.body);
}

#[tokio::test(start_paused = true)]
async fn every_other_mistake_is_a_problem_too() {
    let gateway = InProcess::start();
    let key = "Authorization: Bearer acme-key\r\n";
    for (status, request) in [
        (401, post("/typing/v1/signals", "", TYPING)),
        (401, post("/typing/v1/signals", "Authorization: Bearer wrong\r\n", TYPING)),
        (401, post("/typing/v1/signals", "Authorization: Basic acme-key\r\n", TYPING)),
        (
            401,
            post(
                "/typing/v1/signals",
                "Authorization: Bearer acme-key\r\nAuthorization: Bearer acme-key\r\n",
                TYPING,
            ),
        ),
        (401, get("/typing/v1/leases", "wrong")),
        (401, get("/typing/v1/stream", "wrong")),
        (401, get("/typing/v1/explain?agent=a&user=b", "wrong")),
        (400, get("/typing/v1/leases?chanel=x", "acme-key")),
        (400, get("/typing/v1/leases?channel=kaleyra&channel=pinnacle", "acme-key")),
        (400, get("/typing/v1/leases?channel=telegraph", "acme-key")),
        (400, get("/typing/v1/leases?channel=pinnacle&user=david", "acme-key")),
        (404, get("/", "acme-key")),
        (404, get("/typing/v1/nothing", "acme-key")),
        (405, get("/typing/v1/signals", "acme-key")),
        (405, post("/typing/v1/leases", key, "")),
        (400, post("/typing/v1/signals", key, "")),
        (400, post("/typing/v1/signals", key, "[]")),
        (413, post("/typing/v1/signals", key, &" ".repeat(20_000))),
        (415, post("/typing/v1/signals", &format!("{key}Content-Encoding: gzip\r\n"), TYPING)),
        (
            415,
            String::from_utf8(signal(TYPING)).unwrap().replace("application/json", "text/plain").into_bytes(),
        ),
    ] {
        let answer = gateway.exchange(&request).await;
        let shown = String::from_utf8_lossy(&request).lines().next().unwrap_or_default().to_owned();
        assert_eq!(
            (answer.status, answer.json()["status"].as_u64()),
            (status, Some(status.into())),
            "{shown}"
        );
        assert_eq!(answer.header("content-type"), Some("application/problem+json"), "{shown}");
        assert_ne!(answer.json()["detail"], Value::Null, "{shown}");
    }
    let listed = gateway.exchange(&get("/typing/v1/leases", "acme-key")).await;
    assert_eq!(listed.json(), json!({"leases": []}), "none of it made a lease");
}

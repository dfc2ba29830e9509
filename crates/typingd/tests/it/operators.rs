//! What operators look at: what is counted, and the dashboard and the alerts that are made of it.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use serde_json::Value;
use typingd::config::{Proof, WebhookConfig};
use typingd::hub;
use typingd::metrics::Queue;
use typingd::relay::{Activity, Standing};
use typingd_core::pacing::{BreakerState, Counters};
use typingd_core::{Role, Time};
use typingd_providers::Secret;

use crate::support::{
    InProcess, config, kaleyra_message, kaleyra_typing, pinnacle_message, pinnacle_typing, post, salesforce,
    signal,
};

const DASHBOARD: &str = include_str!("../../../../docs/grafana.json");
const ALERTS: &str = include_str!("../../../../docs/alerts.yml");
const OPERATING: &str = include_str!("../../../../docs/operating.md");

const NUMBER: &str = "+14155550142";

/// A gateway that has done everything there is to count.
async fn busy() -> InProcess {
    let mut config = config(Duration::from_secs(20));
    config.tenancy.webhooks = vec![WebhookConfig {
        tenant: "acme".into(),
        name: "canary-webhook".into(),
        path_tokens: vec![Secret::new("canary-token")],
        proof: Proof::Pinnacle { signing_secrets: vec![Secret::new("canary-secret")] },
        channel: "pinnacle".into(),
        agents: BTreeMap::new(),
        ttl: Duration::from_secs(20),
        max_age: Duration::from_secs(30),
    }];
    config.limits.hub = hub::Limits { subscribers: 1, backlog: 1 };
    let gateway = InProcess::with(config);
    let mut slow = gateway.stream("", "acme-key").await;
    assert_eq!(slow.next().await.unwrap().what(), "snapshot");
    for request in [
        kaleyra_typing(NUMBER),
        kaleyra_message(&[NUMBER]),
        pinnacle_message(NUMBER),
        pinnacle_typing(NUMBER),
        pinnacle_typing(NUMBER),
        salesforce("TypingStartedIndicator", "c2909771-bf05", "David Wood"),
        salesforce("TypingStartedIndicator", "c2909771-bf05", "David Wood"),
        post("/messages/send/typing", "PINNACLE-API-KEY: canary-key\r\n", "{}"),
        post("/canary-path/4155550142", "Authorization: Bearer canary-key\r\n", "{}"),
        signal(r#"{"channel":"canary-channel"}"#),
        post(
            "/webhooks/canary-token",
            "PINNACLE-SIGNING-SECRET: canary-secret\r\n",
            r#"{"type":"MESSAGE.RECEIVED","conversation":{"from":"+14155550142","to":"canary-agent"}}"#,
        ),
        post("/webhooks/canary-guess", "", "{}"),
        b"GET /typing/v1/stream HTTP/1.1\r\nHost: t\r\nAuthorization: Bearer acme-key\r\n\r\n".to_vec(),
    ] {
        gateway.exchange(&request).await;
    }
    // Two leases end by one message: more than waits for a stream here.
    for (participant, state) in
        [(r#""participant":"canary-rep","#, "composing"), ("", "composing"), ("", "sent")]
    {
        let body = format!(
            r#"{{"channel":"kaleyra","agent":"canary-agent","user":"{NUMBER}","composer":"agent",{participant}"state":"{state}"}}"#
        );
        assert_eq!(gateway.exchange(&signal(&body)).await.status, 200);
    }
    let left = loop {
        match slow.next().await {
            Some(event) if event.name == "closed" => break event.what(),
            Some(_) => {}
            None => panic!("a stream that is cut is told why"),
        }
    };
    assert_eq!(left, "closed too_slow");
    // All that lives ends by time.
    tokio::time::sleep(Duration::from_secs(30)).await;
    gateway.exchange(&pinnacle_typing(NUMBER)).await;
    // What takes a flood, or a file, to happen.
    gateway.0.gateway().metrics.dropped(Queue::Feed);
    gateway.0.gateway().metrics.reloaded(true);
    gateway.0.gateway().metrics.reloaded(false);
    gateway.0.gateway().metrics.set_upstreams(&[a_provider()]);
    gateway
}

/// What an account at a provider was asked.
fn a_provider() -> Activity {
    let mut counters = Counters::default();
    (counters.types, counters.accepted, counters.refused) = (3, 2, 1);
    Activity {
        standing: Standing {
            tenant: "example".into(),
            upstream: "kaleyra-eu".into(),
            provider: "kaleyra",
            role: Role::Agent,
            breaker: BreakerState::Closed,
            not_before: Time::ZERO,
            dots_until: None,
        },
        counters,
        in_flight: 1,
        waiting: 4,
        round_trip: Duration::from_millis(80),
    }
}

#[tokio::test(start_paused = true)]
async fn the_dashboard_and_the_alerts_speak_of_what_is_counted() {
    let text = busy().await.0.gateway().metrics.text();
    let counted: BTreeSet<&str> = text
        .lines()
        .filter(|line| !line.starts_with('#'))
        .filter_map(|line| line.split(['{', ' ']).next())
        .collect();
    for (file, content) in [("grafana.json", DASHBOARD), ("alerts.yml", ALERTS), ("operating.md", OPERATING)]
    {
        let named = names(content);
        assert!(!named.is_empty(), "{file}");
        for name in named {
            assert!(counted.contains(name), "{file} speaks of {name}, which there is not, in\n{text}");
        }
        for (label, value) in selectors(content) {
            assert!(
                text.contains(&format!("{label}=\"{value}\"")),
                "{file}: {label} is never {value} in\n{text}"
            );
        }
    }
    let shown = names(DASHBOARD);
    for name in counted.iter().filter(|name| !name.ends_with("_sum") && !name.ends_with("_count")) {
        assert!(shown.contains(name), "the dashboard does not show {name}");
    }
}

#[test]
fn the_dashboard_can_be_read() {
    let dashboard: Value = serde_json::from_str(DASHBOARD).unwrap();
    let panels = dashboard["panels"].as_array().unwrap();
    let ids: BTreeSet<u64> = panels.iter().map(|panel| panel["id"].as_u64().unwrap()).collect();
    assert_eq!(ids.len(), panels.len(), "each panel has an id of its own");
    for panel in panels.iter().filter(|panel| panel["type"] != "row") {
        assert!(!panel["targets"].as_array().unwrap().is_empty(), "{}", panel["title"]);
    }
}

#[tokio::test(start_paused = true)]
async fn no_label_holds_an_agent_a_user_a_key_or_a_path() {
    let text = busy().await.0.gateway().metrics.text();
    for foreign in [
        "canary",
        "4155550142",
        "David",
        "b0ffeafe",
        "kio_rcs",
        "agent_pinnacle",
        "acme",
        "globex",
        "test_key",
        "XXXXX",
        "00Dxx",
        "c2909771",
        "Partner1",
    ] {
        assert!(!text.contains(foreign), "{foreign} in\n{text}");
    }
}

#[tokio::test(start_paused = true)]
async fn what_happened_is_what_was_counted() {
    let text = busy().await.0.gateway().metrics.text();
    for line in [
        r#"typingd_signals_total{door="kaleyra",decision="started",reason=""} 1"#,
        r#"typingd_signals_total{door="kaleyra",decision="ended",reason=""} 1"#,
        r#"typingd_signals_total{door="pinnacle",decision="ignored",reason="nothing_live"} 1"#,
        r#"typingd_signals_total{door="pinnacle",decision="extended",reason=""} 1"#,
        r#"typingd_signals_total{door="salesforce",decision="ignored",reason="duplicate"} 1"#,
        r#"typingd_answers_total{door="pinnacle",status="401"} 1"#,
        r#"typingd_answers_total{door="native",status="404"} 1"#,
        r#"typingd_answers_total{door="native",status="429"} 1"#,
        r#"typingd_failed_authentications_total{door="pinnacle"} 1"#,
        r#"typingd_signals_total{door="webhook",decision="ignored",reason="nothing_live"} 1"#,
        r#"typingd_webhook_events_total{provider="pinnacle",outcome="ignored"} 1"#,
        r#"typingd_answers_total{door="webhook",status="404"} 1"#,
        r#"typingd_failed_authentications_total{door="webhook"} 1"#,
        r#"typingd_changes_total{change="stopped",reason="expired"} 2"#,
        r#"typingd_queue_drops_total{queue="subscriber"} 1"#,
        "typingd_expiry_lateness_seconds_count 2",
        r#"typingd_upstream_calls_total{tenant="example",upstream="kaleyra-eu",provider="kaleyra",says="composing"} 3"#,
        r#"typingd_upstream_answers_total{tenant="example",upstream="kaleyra-eu",provider="kaleyra",verdict="accepted"} 2"#,
        r#"typingd_upstream_credential{tenant="example",upstream="kaleyra-eu",provider="kaleyra",state="accepted"} 1"#,
        r#"typingd_upstream_waiting{tenant="example",upstream="kaleyra-eu",provider="kaleyra"} 4"#,
        r#"typingd_upstream_round_trip_p99_seconds{tenant="example",upstream="kaleyra-eu",provider="kaleyra"} 0.08"#,
        "typingd_leases 1",
        "typingd_subscribers 0",
        "# EOF",
    ] {
        assert!(text.lines().any(|counted| counted == line), "{line} in\n{text}");
    }
}

/// The metrics that a text names.
fn names(text: &str) -> BTreeSet<&str> {
    let is_name = |c: char| c.is_ascii_alphanumeric() || c == '_';
    text.split(|c: char| !is_name(c)).filter(|word| word.starts_with("typingd_")).collect()
}

/// The labels that a text asks to have a value, but for patterns.
fn selectors(text: &str) -> Vec<(String, String)> {
    let text = text.replace("\\\"", "\"");
    let labels = ["door", "status", "decision", "reason", "change", "queue", "outcome"];
    let found = labels.iter().flat_map(|label| {
        let start = format!("{label}=\"");
        let values = text.split(start.as_str()).skip(1).filter_map(|rest| rest.split_once('"'));
        values.map(|(value, _)| ((*label).to_owned(), value.to_owned())).collect::<Vec<_>>()
    });
    found.collect()
}

//! What is told of the calls to providers: in `explain`, each with its verdict, counted and forgotten like what was said.

use std::time::Duration;

use futures_util::FutureExt;
use serde_json::{Value, json};
use tokio::time::{advance, sleep};
use typingd::config::{Config, Console};
use typingd::history::{Called, Decision, Fate, Heard, Limits};
use typingd_core::pacing::{Dropped, Verb};
use typingd_core::{Conversation, Marks, Name, Role, Side, Signal, Source, User, Utterance, Verdict};
use typingd_providers::RefusalKind;

use crate::support::{InProcess, config, pinnacle_message, pinnacle_typing, post};

const USER: &str = "+14155550123";
const QUERY: &str = "agent=agent_pinnacle&user=%2B14155550123";

fn conversation() -> Conversation {
    Conversation::new("acme", "pinnacle", "agent_pinnacle", User::new(USER))
}

fn side(role: Role) -> Side {
    Side { conversation: conversation(), role }
}

fn called(upstream: &str, verb: Verb, fate: Fate) -> Called {
    Called { upstream: upstream.into(), provider: "kaleyra", verb, fate }
}

fn accepted(took_ms: u64) -> Fate {
    Fate::Accepted { took: Duration::from_millis(took_ms) }
}

fn refused(kind: RefusalKind, detail: &str) -> Fate {
    Fate::Refused { kind, detail: detail.into(), took: Duration::from_millis(120) }
}

fn unanswered() -> Fate {
    Fate::Unanswered { took: Duration::from_secs(5) }
}

/// A call about the agent's side ends now.
fn note(gateway: &InProcess, called: Called) {
    let gateway = gateway.0.gateway();
    gateway.history.note_call(&side(Role::Agent), called, gateway.clock.now());
}

/// The same of a call to show the dots.
fn typed(gateway: &InProcess, upstream: &str, fate: Fate) {
    note(gateway, called(upstream, Verb::Type, fate));
}

async fn told(gateway: &InProcess, key: &str) -> Value {
    let request =
        format!("GET /typing/v1/explain?{QUERY} HTTP/1.1\r\nHost: t\r\nAuthorization: Bearer {key}\r\n\r\n");
    let answer = gateway.exchange(request.as_bytes()).await;
    assert_eq!(answer.status, 200, "{}", answer.body);
    answer.json()["timeline"].take()
}

/// One line for each entry: `eu: composing, accepted ×3`, `composing, started` or `[started]`.
async fn timeline(gateway: &InProcess) -> Vec<String> {
    told(gateway, "acme-key").await.as_array().unwrap().iter().map(line).collect()
}

fn line(entry: &Value) -> String {
    let text = |field: &str| entry[field].as_str().unwrap();
    let reason = entry["reason"].as_str().map(|reason| format!(" {reason}")).unwrap_or_default();
    let times = entry["times"].as_u64().filter(|&times| times > 1);
    let times = times.map(|times| format!(" ×{times}")).unwrap_or_default();
    match text("kind") {
        "call" => format!("{}: {}, {}{reason}{times}", text("upstream"), text("says"), text("verdict")),
        "signal" => format!("{}, {}{reason}{times}", text("signal"), text("decision")),
        "change" => format!("[{}{reason}]", text("change")),
        other => panic!("{other}"),
    }
}

#[tokio::test(start_paused = true)]
async fn a_call_stands_where_it_ended_with_what_became_of_it() {
    let gateway = InProcess::start();
    gateway.exchange(&pinnacle_typing(USER)).await;
    advance(Duration::from_millis(84)).await;
    typed(&gateway, "kaleyra-eu", accepted(84));
    advance(Duration::from_secs(3)).await;
    gateway.exchange(&pinnacle_message(USER)).await;
    note(&gateway, called("kaleyra-eu", Verb::Stop, refused(RefusalKind::Recipient, "404")));
    let expected = [
        "composing, started",
        "[started]",
        "kaleyra-eu: composing, accepted",
        "sent, ended",
        "[stopped sent]",
        "kaleyra-eu: paused, refused recipient",
    ];
    assert_eq!(timeline(&gateway).await, expected);
    let mut call = told(&gateway, "acme-key").await[2].take();
    let at = call.as_object_mut().unwrap().remove("at").unwrap();
    assert!(at.as_str().unwrap().ends_with('Z'), "{at}");
    let expected = json!({
        "ago_ms": 3_000, "channel": "pinnacle", "composer": "agent", "kind": "call", "upstream": "kaleyra-eu",
        "provider": "kaleyra", "says": "composing", "verdict": "accepted", "took_ms": 84, "times": 1,
        "last_ago_ms": 3_000,
    });
    assert_eq!(call, expected);
}

#[tokio::test(start_paused = true)]
async fn each_verdict_has_its_words() {
    for (fate, expected) in [
        (accepted(84), json!({"verdict": "accepted", "took_ms": 84})),
        (unanswered(), json!({"verdict": "unanswered", "took_ms": 5_000})),
        (
            refused(RefusalKind::Credential, "401"),
            json!({"verdict": "refused", "reason": "credential", "detail": "401", "took_ms": 120}),
        ),
        (
            refused(RefusalKind::Agent, "403 PERMISSION_DENIED"),
            json!({"verdict": "refused", "reason": "agent", "detail": "403 PERMISSION_DENIED", "took_ms": 120}),
        ),
        (
            refused(RefusalKind::Recipient, "404"),
            json!({"verdict": "refused", "reason": "recipient", "detail": "404", "took_ms": 120}),
        ),
        (
            refused(RefusalKind::Transient, "429"),
            json!({"verdict": "refused", "reason": "transient", "detail": "429", "took_ms": 120}),
        ),
        (Fate::Dropped(Dropped::Stale), json!({"verdict": "dropped", "reason": "stale"})),
        (Fate::Dropped(Dropped::Breaker), json!({"verdict": "dropped", "reason": "breaker"})),
        (Fate::Dropped(Dropped::Quiet), json!({"verdict": "dropped", "reason": "quiet"})),
        (Fate::Dropped(Dropped::Limit), json!({"verdict": "dropped", "reason": "limit"})),
        (Fate::Dropped(Dropped::Failed), json!({"verdict": "dropped", "reason": "failed"})),
    ] {
        for (verb, role, says, composer) in
            [(Verb::Type, Role::Agent, "composing", "agent"), (Verb::Stop, Role::User, "paused", "user")]
        {
            let app = InProcess::start();
            let gateway = app.0.gateway();
            gateway.history.note_call(&side(role), called("eu", verb, fate.clone()), gateway.clock.now());
            let told = told(&app, "acme-key").await;
            let entry = told[0].as_object().unwrap();
            let of_every_call = [
                ("ago_ms", json!(0)),
                ("channel", json!("pinnacle")),
                ("composer", json!(composer)),
                ("kind", json!("call")),
                ("upstream", json!("eu")),
                ("provider", json!("kaleyra")),
                ("says", json!(says)),
                ("times", json!(1)),
                ("last_ago_ms", json!(0)),
                ("at", entry["at"].clone()),
            ];
            let mut expected = expected.clone();
            for (field, value) in of_every_call {
                expected[field] = value;
            }
            assert_eq!(told, json!([expected]));
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_call_with_the_same_result_is_counted_with_its_like() {
    let gateway = InProcess::start();
    gateway.exchange(&pinnacle_typing(USER)).await;
    for took_ms in [100, 200, 300] {
        typed(&gateway, "eu", accepted(took_ms));
        // Another account's calls do not break the row.
        typed(&gateway, "us", Fate::Dropped(Dropped::Breaker));
        // Nor does what is said meanwhile.
        gateway.exchange(&pinnacle_typing(USER)).await;
        advance(Duration::from_secs(4)).await;
    }
    for fate in [
        unanswered(),
        unanswered(),
        accepted(400),
        refused(RefusalKind::Agent, "403"),
        refused(RefusalKind::Agent, "403 PERMISSION_DENIED"),
        refused(RefusalKind::Recipient, "403 PERMISSION_DENIED"),
        refused(RefusalKind::Recipient, "403 PERMISSION_DENIED"),
        Fate::Dropped(Dropped::Quiet),
        Fate::Dropped(Dropped::Stale),
        Fate::Dropped(Dropped::Stale),
    ] {
        typed(&gateway, "eu", fate);
    }
    note(&gateway, called("eu", Verb::Stop, Fate::Dropped(Dropped::Stale)));
    let expected = [
        "composing, started",
        "[started]",
        "eu: composing, accepted ×3",
        "us: composing, dropped breaker ×3",
        "composing, extended ×3",
        "eu: composing, unanswered ×2",
        "eu: composing, accepted",
        "eu: composing, refused agent",
        "eu: composing, refused agent",
        "eu: composing, refused recipient ×2",
        "eu: composing, dropped quiet",
        "eu: composing, dropped stale ×2",
        "eu: paused, dropped stale",
    ];
    assert_eq!(timeline(&gateway).await, expected);
    let counted = &told(&gateway, "acme-key").await[2];
    let figures = ["ago_ms", "last_ago_ms", "took_ms"].map(|field| counted[field].as_u64().unwrap());
    assert_eq!(figures, [12_000, 4_000, 300], "the first, the last, and how long the last took");
}

#[tokio::test(start_paused = true)]
async fn calls_are_counted_anew_for_new_dots_and_for_the_other_side() {
    let gateway = InProcess::start();
    for _ in 0..2 {
        gateway.exchange(&pinnacle_typing(USER)).await;
        typed(&gateway, "eu", accepted(80));
        typed(&gateway, "eu", accepted(80));
        gateway.exchange(&pinnacle_message(USER)).await;
    }
    let app = gateway.0.gateway();
    for role in [Role::User, Role::Agent, Role::User] {
        app.history.note_call(&side(role), called("us", Verb::Type, accepted(80)), app.clock.now());
    }
    let round =
        ["composing, started", "[started]", "eu: composing, accepted ×2", "sent, ended", "[stopped sent]"];
    let of_both = ["us: composing, accepted ×2", "us: composing, accepted"];
    assert_eq!(timeline(&gateway).await, [&round[..], &round, &of_both].concat());
}

#[tokio::test(start_paused = true)]
async fn ten_minutes_of_refreshes_leave_room_for_the_rest() {
    let gateway = InProcess::start();
    let key = "Authorization: Bearer acme-key\r\n";
    let asked = json!({
        "channel": "pinnacle", "agent": "agent_pinnacle", "user": USER, "composer": "agent", "idle_ms": 60_000,
    });
    let hold = gateway.exchange(&post("/typing/v1/holds", key, &asked.to_string())).await.json();
    let beats = format!("/typing/v1/holds/{}/beats", hold["id"].as_str().unwrap());
    for second in 0..600 {
        if second % 10 == 9 {
            gateway.exchange(&post(&beats, key, "")).await;
        }
        if second % 19 == 0 {
            typed(&gateway, "eu", accepted(80));
        }
        sleep(Duration::from_secs(1)).await;
    }
    let told = timeline(&gateway).await;
    let calls: Vec<&String> = told.iter().filter(|line| line.starts_with("eu")).collect();
    assert!(calls.len() <= 4 && told.iter().any(|line| line == "[refreshed]"), "{told:#?}");
    assert!(calls.iter().all(|line| line.starts_with("eu: composing, accepted ×")), "{told:#?}");
    assert_eq!(told[0], "composing, started", "nothing was forgotten");
}

#[tokio::test(start_paused = true)]
async fn a_call_does_not_break_the_row_of_what_is_said() {
    let gateway = InProcess::start();
    for _ in 0..4 {
        gateway.exchange(&pinnacle_typing(USER)).await;
        // Each call has another result than the last.
        typed(&gateway, "eu", unanswered());
        typed(&gateway, "eu", accepted(80));
    }
    let told = timeline(&gateway).await;
    let signals: Vec<&String> = told.iter().filter(|line| line.starts_with("composing")).collect();
    assert_eq!(signals, ["composing, started", "composing, extended ×2", "composing, extended"], "{told:#?}");
}

#[tokio::test(start_paused = true)]
async fn a_call_that_is_dropped_at_once_stands_behind_the_signal_that_asked_for_it() {
    let gateway = InProcess::start();
    let app = gateway.0.gateway();
    let composing = Signal::Composing { ttl: Duration::from_secs(20) };
    let utterance = Utterance {
        participant: None,
        name: None,
        signal: composing,
        source: Source::OneShot,
        origin: "native".into(),
        marks: Marks::default(),
    };
    // The change is noted when it is committed, and the signal when it is answered: between the two comes the call.
    let now = app.clock.now();
    app.engine.say(&side(Role::Agent), utterance, now).await.unwrap();
    typed(&gateway, "eu", Fate::Dropped(Dropped::Breaker));
    typed(&gateway, "us", Fate::Dropped(Dropped::Breaker));
    let decision = Decision::Heard(Verdict::Started);
    let heard = Heard { door: "native", participant: None, signal: composing, decision };
    app.history.note_signal(&side(Role::Agent), heard, now);
    let expected = [
        "composing, started",
        "[started]",
        "eu: composing, dropped breaker",
        "us: composing, dropped breaker",
    ];
    assert_eq!(timeline(&gateway).await, expected);
}

#[tokio::test(start_paused = true)]
async fn of_many_calls_the_oldest_are_forgotten() {
    let mut config = config(Duration::from_secs(20));
    config.limits.history = Limits { entries: 3, ..Limits::default() };
    let gateway = InProcess::with(config);
    for detail in 400..420 {
        typed(&gateway, "eu", refused(RefusalKind::Transient, &detail.to_string()));
    }
    let told = told(&gateway, "acme-key").await;
    let details: Vec<&str> =
        told.as_array().unwrap().iter().map(|entry| entry["detail"].as_str().unwrap()).collect();
    assert_eq!(details, ["417", "418", "419"]);
    assert_eq!(gateway.0.gateway().history.entries(), 3);
}

#[tokio::test(start_paused = true)]
async fn a_call_is_forgotten_when_its_last_repeat_is_past_its_time() {
    let gateway = InProcess::start();
    let history = &gateway.0.gateway().history;
    let minutes = |count: u64| sleep(Duration::from_secs(60 * count));
    typed(&gateway, "us", unanswered());
    typed(&gateway, "eu", accepted(80));
    minutes(10).await;
    typed(&gateway, "eu", accepted(80));
    minutes(6).await;
    assert_eq!(timeline(&gateway).await, ["eu: composing, accepted ×2"]);
    assert_eq!(history.entries(), 1);
    minutes(10).await;
    assert_eq!((history.conversations(), history.entries()), (0, 0), "with nobody asking");
}

#[tokio::test(start_paused = true)]
async fn a_call_is_told_to_its_tenant_alone_and_without_a_phone_number() {
    let gateway = InProcess::start();
    let noted = called("eu", Verb::Type, refused(RefusalKind::Recipient, "404 NOT_FOUND"));
    assert!(!format!("{noted:?}").contains("4155550123"));
    note(&gateway, noted);
    let ours = told(&gateway, "acme-key").await;
    assert_eq!(ours.as_array().unwrap().len(), 1);
    assert!(!ours.to_string().contains("4155550123"), "{ours}");
    assert_eq!(told(&gateway, "globex-key").await, json!([]));
}

#[tokio::test(start_paused = true)]
async fn whoever_watches_hears_of_a_call_and_of_its_repeats() {
    let gateway = InProcess::start();
    let history = &gateway.0.gateway().history;
    let [mut news, mut theirs] = ["acme", "globex"].map(|tenant| history.watch(&Name::from(tenant)));
    for _ in 0..2 {
        typed(&gateway, "eu", accepted(80));
        assert_eq!(news.next().now_or_never().unwrap().unwrap(), conversation());
    }
    assert!(news.next().now_or_never().is_none() && theirs.next().now_or_never().is_none());
}

#[tokio::test(start_paused = true)]
async fn the_consoles_page_hears_of_a_call_and_can_ask_what_became_of_it() {
    let mut config = Config { console: Console::Open, ..config(Duration::from_secs(20)) };
    config.tenancy.tenants.truncate(1);
    config.tenancy.accounts.kaleyra.truncate(2);
    config.tenancy.accounts.pinnacle.truncate(2);
    let gateway = InProcess::with(config);
    let get = |path: &str| format!("GET {path} HTTP/1.1\r\nHost: localhost\r\n\r\n").into_bytes();
    let mut events = gateway.connect().events(&get("/console/feed")).await;
    events.whats(1).await;
    typed(&gateway, "eu", accepted(80));
    let event = events.next().await.unwrap();
    let parties = json!({"channel": "pinnacle", "agent": "agent_pinnacle", "user": USER});
    assert_eq!((event.name.as_str(), event.data), ("activity", parties));
    let answer = gateway.exchange(&get(&format!("/console/explain?{QUERY}"))).await;
    assert_eq!(line(&answer.json()["timeline"][0]), "eu: composing, accepted");
}

#[tokio::test(start_paused = true)]
async fn where_no_history_is_kept_no_call_is() {
    let mut config = config(Duration::from_secs(20));
    config.limits.history = Limits { conversations: 0, ..Limits::default() };
    let gateway = InProcess::with(config);
    typed(&gateway, "eu", accepted(80));
    assert_eq!(gateway.0.gateway().history.conversations(), 0);
}

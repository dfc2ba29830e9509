//! Why the dots are on, or not: what is told of a conversation's last minutes, and for how long it is remembered.

use std::num::NonZeroU32;
use std::time::Duration;

use futures_util::FutureExt;
use serde_json::{Value, json};
use tokio::time::{advance, sleep};
use typingd::config::Config;
use typingd::history::{Decision, Heard, History, Limits, Watch};
use typingd_core::{Conversation, Name, Role, Scope, Side, Signal, User, Verdict};

use crate::support::{
    Answer, InProcess, config, kaleyra_message, kaleyra_typing, pinnacle_message, pinnacle_typing, post,
    salesforce, signal,
};

const USER: &str = "+14155550123";
const PINNACLE: &str = "agent=agent_pinnacle&user=%2B14155550123";
const TYPING: &str = r#"{"channel":"pinnacle","agent":"agent_x","user":"+14155550123","composer":"agent","state":"composing"}"#;
const NATIVE: &str = "agent=agent_x&user=%2B14155550123";

fn with_history(limits: Limits) -> Config {
    let mut config = config(Duration::from_secs(20));
    config.limits.history = limits;
    config
}

async fn ask(gateway: &InProcess, query: &str, key: &str) -> Answer {
    let request =
        format!("GET /typing/v1/explain?{query} HTTP/1.1\r\nHost: t\r\nAuthorization: Bearer {key}\r\n\r\n");
    gateway.exchange(request.as_bytes()).await
}

/// What `acme` is told, one line for each entry.
async fn timeline(gateway: &InProcess, query: &str) -> Vec<String> {
    let answer = ask(gateway, query, "acme-key").await;
    assert_eq!(answer.status, 200, "{}", answer.body);
    answer.json()["timeline"].as_array().unwrap().iter().map(line).collect()
}

/// `agent at pinnacle: composing, extended ×3`, or `agent/rep-7: stopped expired`.
fn line(entry: &Value) -> String {
    let text = |field: &str| entry[field].as_str();
    let participant = text("participant").map(|participant| format!("/{participant}")).unwrap_or_default();
    let reason = text("reason").map(|reason| format!(" {reason}")).unwrap_or_default();
    let composer = text("composer").unwrap();
    match text("kind").unwrap() {
        "signal" => {
            let times = match entry["times"].as_u64().unwrap() {
                1 => String::new(),
                times => format!(" ×{times}"),
            };
            let (door, signal, decision) =
                (text("door").unwrap(), text("signal").unwrap(), text("decision").unwrap());
            format!("{composer}{participant} at {door}: {signal}, {decision}{reason}{times}")
        }
        "change" => format!("{composer}{participant}: {}{reason}", text("change").unwrap()),
        other => panic!("{other}"),
    }
}

/// Takes the wall times out, having looked at them.
fn without_wall_times(value: &mut Value) {
    match value {
        Value::Object(members) => {
            for name in ["at", "as_of", "started_at", "expires_at"] {
                if let Some(time) = members.remove(name) {
                    let time = time.as_str().unwrap();
                    assert!(time.len() == "2026-11-21T12:00:00.000Z".len() && time.ends_with('Z'), "{time}");
                }
            }
            members.values_mut().for_each(without_wall_times);
        }
        Value::Array(values) => values.iter_mut().for_each(without_wall_times),
        _ => {}
    }
}

#[tokio::test(start_paused = true)]
async fn the_dots_are_on_because_a_door_said_so() {
    let gateway = InProcess::start();
    advance(Duration::from_secs(60)).await;
    gateway.exchange(&pinnacle_typing(USER)).await;
    advance(Duration::from_secs(4)).await;
    let answer = ask(&gateway, PINNACLE, "acme-key").await;
    assert_eq!((answer.status, answer.header("cache-control")), (200, Some("no-store")));
    assert_eq!(answer.header("content-type"), Some("application/json"));
    let mut told = answer.json();
    without_wall_times(&mut told);
    let expected = json!({
        "agent": "agent_pinnacle", "user": USER, "since_ms": 900_000,
        "leases": [{
            "channel": "pinnacle", "agent": "agent_pinnacle", "user": USER, "composer": "agent",
            "remaining_ms": 16_000, "origin": "pinnacle",
        }],
        "timeline": [
            {
                "ago_ms": 4_000, "channel": "pinnacle", "composer": "agent", "kind": "signal",
                "signal": "composing", "door": "pinnacle", "decision": "started", "times": 1,
                "last_ago_ms": 4_000,
            },
            {
                "ago_ms": 4_000, "channel": "pinnacle", "composer": "agent", "kind": "change",
                "change": "started", "remaining_ms": 20_000,
            },
        ],
    });
    assert_eq!(told, expected);
}

#[tokio::test(start_paused = true)]
async fn the_dots_are_off_for_a_reason() {
    let gateway = InProcess::start();
    for state in ["composing", "paused", "composing", "sent", "composing"] {
        gateway.exchange(&signal(&TYPING.replace("composing", state))).await;
    }
    sleep(Duration::from_secs(21)).await;
    let rep = TYPING.replace('}', r#","participant":"rep-7"}"#);
    gateway.exchange(&signal(&rep)).await;
    gateway.0.gateway().let_go().await;
    assert_eq!(gateway.exchange(&signal(TYPING)).await.status, 503);
    let expected = [
        "agent at native: composing, started",
        "agent: started",
        "agent at native: paused, ended",
        "agent: stopped paused",
        "agent at native: composing, started",
        "agent: started",
        "agent at native: sent, ended",
        "agent: stopped sent",
        "agent at native: composing, started",
        "agent: started",
        "agent: stopped expired",
        "agent/rep-7 at native: composing, started",
        "agent/rep-7: started",
        "agent/rep-7: stopped revoked",
        "agent: started",
        "agent: stopped revoked",
        "agent at native: composing, refused leaving",
    ];
    assert_eq!(timeline(&gateway, NATIVE).await, expected);
    let told = ask(&gateway, NATIVE, "acme-key").await.json();
    let entry = |what: &str| {
        told["timeline"].as_array().unwrap().iter().find(|entry| entry["reason"] == what).unwrap()["remaining_ms"]
            .as_u64()
    };
    assert_eq!((entry("expired"), entry("sent")), (Some(0), Some(0)));
}

#[tokio::test(start_paused = true)]
async fn a_signal_that_changed_nothing_shows_with_its_reason() {
    let gateway = InProcess::start();
    let with = |state: &str, turn: u64| {
        signal(&TYPING.replace("composing", state).replace('}', &format!(r#","turn":{turn}}}"#)))
    };
    for request in [with("paused", 1), with("composing", 1), with("sent", 1), with("composing", 1)] {
        gateway.exchange(&request).await;
    }
    let expected = [
        "agent at native: paused, ignored nothing_live",
        "agent at native: composing, started",
        "agent: started",
        "agent at native: sent, ended",
        "agent: stopped sent",
        "agent at native: composing, ignored fenced",
    ];
    assert_eq!(timeline(&gateway, NATIVE).await, expected);

    for _ in 0..2 {
        gateway.exchange(&salesforce("TypingStartedIndicator", "1", "David Wood")).await;
    }
    let expected = [
        "user at salesforce: composing, started",
        "user: started",
        "user at salesforce: composing, ignored duplicate",
    ];
    assert_eq!(timeline(&gateway, "agent=b0ffeafe-1&user=David+Wood").await, expected);
}

#[tokio::test(start_paused = true)]
async fn a_signal_that_was_refused_for_want_of_room_shows() {
    let mut config = config(Duration::from_secs(20));
    config.tenancy.tenants[0].quota.leases = 1;
    let gateway = InProcess::with(config);
    gateway.exchange(&pinnacle_typing(USER)).await;
    for _ in 0..3 {
        assert_eq!(gateway.exchange(&signal(TYPING)).await.status, 429);
    }
    assert_eq!(timeline(&gateway, NATIVE).await, ["agent at native: composing, refused full ×3"]);
}

#[tokio::test(start_paused = true)]
async fn a_repeat_is_counted_with_its_like() {
    let gateway = InProcess::start();
    let user = TYPING.replace(r#""composer":"agent""#, r#""composer":"user""#);
    let rep = TYPING.replace('}', r#","participant":"rep-7"}"#);
    gateway.exchange(&signal(&user)).await;
    gateway.exchange(&signal(TYPING)).await;
    for _ in 0..3 {
        advance(Duration::from_secs(1)).await;
        gateway.exchange(&signal(TYPING)).await;
        // Another's repeats do not break the row.
        gateway.exchange(&signal(&user)).await;
    }
    gateway.exchange(&signal(&rep)).await;
    advance(Duration::from_secs(1)).await;
    // Neither another participant nor what was decided otherwise is the same.
    gateway.exchange(&signal(&rep)).await;
    gateway.exchange(&signal(&rep)).await;
    gateway.exchange(&signal(TYPING)).await;
    let expected = [
        "user at native: composing, started",
        "user: started",
        "agent at native: composing, started",
        "agent: started",
        "agent at native: composing, extended ×3",
        "user at native: composing, extended ×3",
        "agent/rep-7 at native: composing, started",
        "agent/rep-7: started",
        "agent/rep-7 at native: composing, extended ×2",
        "agent at native: composing, extended",
    ];
    assert_eq!(timeline(&gateway, NATIVE).await, expected);
    let told = ask(&gateway, NATIVE, "acme-key").await.json();
    let counted = &told["timeline"][4];
    assert_eq!((counted["ago_ms"].as_u64(), counted["last_ago_ms"].as_u64()), (Some(3_000), Some(1_000)));
}

#[tokio::test(start_paused = true)]
async fn the_same_signal_by_another_door_is_another() {
    let gateway = InProcess::start();
    let native = TYPING.replace("agent_x", "agent_pinnacle");
    gateway.exchange(&pinnacle_typing(USER)).await;
    for request in [signal(&native), pinnacle_typing(USER), signal(&native)] {
        gateway.exchange(&request).await;
    }
    let expected = [
        "agent at pinnacle: composing, started",
        "agent: started",
        "agent at native: composing, extended",
        "agent at pinnacle: composing, extended",
        "agent at native: composing, extended",
    ];
    assert_eq!(timeline(&gateway, PINNACLE).await, expected);
}

#[tokio::test(start_paused = true)]
async fn a_signal_stands_before_what_it_changed_and_behind_what_time_did() {
    let gateway = InProcess::start();
    gateway.exchange(&pinnacle_typing(USER)).await;
    advance(Duration::from_secs(16)).await;
    // Within the guard, so that it is told.
    gateway.exchange(&pinnacle_typing(USER)).await;
    gateway.exchange(&pinnacle_typing(USER)).await;
    advance(Duration::from_secs(20)).await;
    gateway.exchange(&pinnacle_typing(USER)).await;
    gateway.exchange(&pinnacle_message(USER)).await;
    let expected = [
        "agent at pinnacle: composing, started",
        "agent: started",
        "agent at pinnacle: composing, extended",
        "agent: refreshed",
        "agent at pinnacle: composing, extended",
        "agent: stopped expired",
        "agent at pinnacle: composing, started",
        "agent: started",
        "agent at pinnacle: sent, ended",
        "agent: stopped sent",
    ];
    assert_eq!(timeline(&gateway, PINNACLE).await, expected);
}

#[tokio::test(start_paused = true)]
async fn channels_are_merged_in_time_and_one_can_be_asked_for() {
    let gateway = InProcess::start();
    let on_kaleyra = TYPING.replace("pinnacle", "kaleyra");
    for state in ["composing", "sent"] {
        for body in [TYPING, &on_kaleyra] {
            gateway.exchange(&signal(&body.replace("composing", state))).await;
            advance(Duration::from_secs(1)).await;
        }
    }
    // Of somebody else, and of another agent.
    gateway.exchange(&signal(&TYPING.replace("0123", "0124"))).await;
    gateway.exchange(&signal(&TYPING.replace("agent_x", "agent_y"))).await;
    let told = ask(&gateway, NATIVE, "acme-key").await.json();
    let channels = |told: &Value| -> Vec<String> {
        let entries = told["timeline"].as_array().unwrap().iter();
        entries.map(|entry| entry["channel"].as_str().unwrap().to_owned()).collect()
    };
    let of = ["pinnacle", "kaleyra"].map(|channel| [channel, channel]).concat();
    assert_eq!(channels(&told), [of.clone(), of].concat());
    let one = ask(&gateway, &format!("{NATIVE}&channel=kaleyra"), "acme-key").await.json();
    assert_eq!(channels(&one), ["kaleyra"; 4]);
    // The lease that lives is listed, too, in the order of `leases`.
    gateway.exchange(&signal(TYPING)).await;
    gateway.exchange(&signal(&on_kaleyra)).await;
    let told = ask(&gateway, NATIVE, "acme-key").await.json();
    let leases = told["leases"].as_array().unwrap().iter();
    assert_eq!(
        leases.map(|lease| lease["channel"].as_str().unwrap()).collect::<Vec<_>>(),
        ["kaleyra", "pinnacle"]
    );
}

#[tokio::test(start_paused = true)]
async fn a_message_to_several_is_told_in_the_conversation_of_each() {
    let gateway = InProcess::start();
    gateway.exchange(&kaleyra_typing(USER)).await;
    gateway.exchange(&kaleyra_message(&["14155550123", "14155550124"])).await;
    let last = async |user: &str| timeline(&gateway, &format!("agent=kio_rcs&user=%2B{user}")).await.pop();
    assert_eq!(last("14155550123").await.as_deref(), Some("agent: stopped sent"));
    assert_eq!(last("14155550124").await.as_deref(), Some("agent at kaleyra: sent, ignored nothing_live"));
}

#[tokio::test(start_paused = true)]
async fn another_tenant_sees_nothing() {
    let gateway = InProcess::start();
    gateway.exchange(&signal(TYPING)).await;
    for query in [NATIVE.to_owned(), format!("{NATIVE}&channel=pinnacle")] {
        let mut told = ask(&gateway, &query, "globex-key").await.json();
        without_wall_times(&mut told);
        let nothing =
            json!({"agent": "agent_x", "user": USER, "since_ms": 900_000, "leases": [], "timeline": []});
        assert_eq!(told, nothing);
    }
    // Of the same names, it has its own.
    let theirs = post(
        "/typing/v1/signals",
        "Authorization: Bearer globex-key\r\n",
        &TYPING.replace("composing", "paused"),
    );
    gateway.exchange(&theirs).await;
    assert_eq!(timeline(&gateway, NATIVE).await, ["agent at native: composing, started", "agent: started"]);
    let told = ask(&gateway, NATIVE, "globex-key").await.json();
    assert_eq!(line(&told["timeline"][0]), "agent at native: paused, ignored nothing_live");
    assert_eq!(told["timeline"].as_array().unwrap().len(), 1);
}

#[tokio::test(start_paused = true)]
async fn of_many_entries_the_oldest_are_forgotten() {
    let gateway = InProcess::with(with_history(Limits { entries: 5, ..Limits::default() }));
    for _ in 0..10 {
        for state in ["composing", "sent"] {
            gateway.exchange(&signal(&TYPING.replace("composing", state))).await;
        }
    }
    let expected = [
        "agent: stopped sent",
        "agent at native: composing, started",
        "agent: started",
        "agent at native: sent, ended",
        "agent: stopped sent",
    ];
    assert_eq!(timeline(&gateway, NATIVE).await, expected);
    assert_eq!(gateway.0.gateway().history.entries(), 5);
}

#[tokio::test(start_paused = true)]
async fn of_many_conversations_the_quietest_is_forgotten_and_no_other_tenants() {
    let gateway = InProcess::with(with_history(Limits { conversations: 3, ..Limits::default() }));
    let history = &gateway.0.gateway().history;
    let theirs = post("/typing/v1/signals", "Authorization: Bearer globex-key\r\n", TYPING);
    gateway.exchange(&theirs).await;
    let of = |at: usize| TYPING.replace("0123", &format!("{at:04}")).replace("composing", "paused");
    for at in [1, 2, 3, 1] {
        gateway.exchange(&signal(&of(at))).await;
        advance(Duration::from_secs(1)).await;
    }
    let known = || {
        let recent = history.recent(&Name::from("acme"), 10, gateway.0.gateway().clock.now());
        recent.iter().map(|(talk, _)| talk.user().as_str()[8..].parse().unwrap()).collect::<Vec<usize>>()
    };
    assert_eq!(known(), [1, 3, 2]);
    gateway.exchange(&signal(&of(4))).await;
    assert_eq!(known(), [4, 1, 3], "the one in which nothing happened for longest has gone");
    for at in 100..1_100 {
        gateway.exchange(&signal(&of(at))).await;
    }
    assert_eq!(known(), [1_099, 1_098, 1_097]);
    assert_eq!(history.conversations(), 4);
    let told = ask(&gateway, NATIVE, "globex-key").await.json();
    assert_eq!(told["timeline"].as_array().unwrap().len(), 2);
}

#[tokio::test(start_paused = true)]
async fn it_is_forgotten_after_its_time_with_nobody_asking() {
    let gateway = InProcess::start();
    let history = &gateway.0.gateway().history;
    let minutes = |count: u64| sleep(Duration::from_secs(60 * count));
    // The next round begins where nothing is held any more.
    for _ in 0..2 {
        for at in 0..600 {
            gateway.exchange(&pinnacle_typing(&format!("+1415555{at:04}"))).await;
        }
        let quiet = 3 * 600;
        minutes(10).await;
        assert_eq!((history.conversations(), history.entries()), (600, quiet), "with the expiries");
        gateway.exchange(&pinnacle_typing(USER)).await;
        gateway.exchange(&pinnacle_message("+14155550000")).await;
        minutes(4).await;
        assert_eq!((history.conversations(), history.entries()), (600, quiet + 4));
        minutes(2).await;
        assert_eq!((history.conversations(), history.entries()), (2, 4), "what came later stays");
        minutes(10).await;
        assert_eq!((history.conversations(), history.entries()), (0, 0));
    }
}

#[tokio::test(start_paused = true)]
async fn what_is_past_its_time_is_not_told_even_where_it_is_still_there() {
    let limits = Limits { span: Duration::from_secs(60), ..Limits::default() };
    let clock = InProcess::start().0.gateway().clock;
    let history = History::new(limits, clock);
    let (acme, talk) = (Name::from("acme"), Conversation::new("acme", "rcs", "a", User::new("b")));
    let side = Side { conversation: talk.clone(), role: Role::Agent };
    let decision = Decision::Heard(Verdict::Ended);
    let heard = Heard { door: "pinnacle", participant: None, signal: Signal::Sent, decision };
    history.note_signal(&side, heard, clock.now());
    let scope = Scope {
        tenant: acme.clone(),
        channel: None,
        agent: Some(talk.agent().clone()),
        user: Some(talk.user().clone()),
    };
    let told =
        |now| (history.recent(&acme, 9, now).len(), history.explain(&scope, now).expect("it is on").len());
    advance(Duration::from_millis(59_999)).await;
    assert_eq!(told(clock.now()), (1, 1));
    history.touch(&talk, clock.now());
    advance(Duration::from_millis(1)).await;
    assert_eq!(told(clock.now()), (1, 0), "the signal is forgotten, and what came later is not");
    advance(Duration::from_secs(60)).await;
    assert_eq!((told(clock.now()), history.conversations()), ((0, 0), 1));
}

#[tokio::test(start_paused = true)]
async fn a_tenant_that_is_gone_is_forgotten_at_once() {
    let config = config(Duration::from_secs(20));
    let mut without = config.tenancy.clone();
    without.tenants.retain(|tenant| tenant.name == "globex");
    without.accounts.kaleyra.retain(|account| account.common.tenant == "globex");
    without.accounts.pinnacle.retain(|account| account.common.tenant == "globex");
    without.accounts.salesforce.clear();
    let gateway = InProcess::with(config.clone());
    let history = &gateway.0.gateway().history;
    gateway.exchange(&signal(TYPING)).await;
    assert_eq!(history.conversations(), 1);
    gateway.0.gateway().reload(without).await.unwrap();
    assert_eq!(history.conversations(), 0);
    gateway.0.gateway().reload(config.tenancy).await.unwrap();
    assert_eq!(timeline(&gateway, NATIVE).await, [""; 0]);
}

#[tokio::test(start_paused = true)]
async fn where_no_history_is_kept_the_answer_says_so() {
    let gateway = InProcess::with(with_history(Limits { conversations: 0, ..Limits::default() }));
    let mut news = gateway.0.gateway().history.watch(&Name::from("acme"));
    gateway.exchange(&signal(TYPING)).await;
    let refused = ask(&gateway, NATIVE, "acme-key").await;
    assert_eq!((refused.status, refused.header("content-type")), (404, Some("application/problem+json")));
    assert!(refused.body.contains("history.conversations"), "{}", refused.body);
    let history = &gateway.0.gateway().history;
    assert_eq!((history.is_on(), history.conversations()), (false, 0));
    assert!(news.next().now_or_never().is_none());
    assert_eq!(ask(&gateway, NATIVE, "wrong").await.status, 401);
}

#[tokio::test(start_paused = true)]
async fn a_wrong_question_is_refused_by_its_parameters() {
    let gateway = InProcess::start();
    for (query, fields) in [
        ("", &["agent", "user"][..]),
        ("agent=agent_x", &["user"]),
        ("user=%2B14155550123", &["agent"]),
        ("agent=&user=%2B14155550123", &["agent"]),
        ("agent=a&user=b&participant=c", &["participant"]),
        ("agent=a&agent=b&user=c", &["agent"]),
        ("agent=a&user=b&channel=telegraph", &["channel"]),
        ("agent=a&user=david&channel=pinnacle", &["user"]),
    ] {
        let refused = ask(&gateway, query, "acme-key").await;
        let problem = refused.json();
        let named: Vec<&str> =
            problem["errors"].as_array().unwrap().iter().map(|e| e["field"].as_str().unwrap()).collect();
        assert_eq!((refused.status, named.as_slice()), (400, fields), "{query}");
    }
    let by_number = ask(&gateway, "agent=agent_x&user=14155550123&channel=pinnacle", "acme-key").await;
    assert_eq!(by_number.json()["user"], USER, "in its normal form");
    let refused = gateway.exchange(&post("/typing/v1/explain", "", "")).await;
    assert_eq!((refused.status, refused.header("allow")), (405, Some("GET")));
}

#[tokio::test(start_paused = true)]
async fn a_question_counts_towards_the_tenants_rate() {
    let mut config = config(Duration::from_secs(20));
    let quota = &mut config.tenancy.tenants[0].quota;
    (quota.requests_per_second, quota.burst) = (NonZeroU32::MIN, NonZeroU32::MIN);
    let gateway = InProcess::with(config);
    assert_eq!(ask(&gateway, NATIVE, "acme-key").await.status, 200);
    assert_eq!(ask(&gateway, NATIVE, "acme-key").await.status, 429);
}

#[tokio::test(start_paused = true)]
async fn whoever_watches_hears_of_every_conversation_of_the_tenant_in_which_something_is_noted() {
    let gateway = InProcess::start();
    let history = &gateway.0.gateway().history;
    gateway.exchange(&pinnacle_typing("+14155550999")).await;
    let [mut news, mut theirs] = ["acme", "globex"].map(|tenant| history.watch(&Name::from(tenant)));
    let heard = |news: &mut Watch| {
        let talks = std::iter::from_fn(|| news.next().now_or_never()?.ok());
        talks.map(|talk| format!("{}/{}", talk.tenant(), talk.user().as_str())).collect::<Vec<_>>()
    };
    gateway.exchange(&pinnacle_typing(USER)).await;
    assert_eq!(heard(&mut news), ["acme/+14155550123"; 2], "the signal and the change");
    gateway.exchange(&pinnacle_typing(USER)).await;
    assert_eq!(heard(&mut news), ["acme/+14155550123"]);
    assert_eq!(heard(&mut theirs), [""; 0], "it costs an idle tenant's watchers nothing");
    advance(Duration::from_secs(1)).await;
    let talk = Conversation::new("globex", "rcs", "a", User::new("b"));
    let now = gateway.0.gateway().clock.now();
    history.touch(&talk, now);
    assert_eq!((heard(&mut news), heard(&mut theirs)), (Vec::new(), vec!["globex/b".to_owned()]));
    assert_eq!(history.recent(&Name::from("globex"), 9, now), [(talk, now)]);
    let ours = history.recent(&Name::from("acme"), 1, now);
    assert!(ours.len() == 1 && ours[0].0.user().as_str() == USER && ours[0].1 < now, "{ours:?}");
}

//! A socket within its tenant's quotas.

use std::num::NonZeroU32;
use std::time::Duration;

use serde_json::{Value, json};
use tokio::time::{advance, sleep};
use typingd::config::Quota;

use super::client::{Client, asking_for_ticket, handshake, open, ticket};
use crate::support::{InProcess, config};

fn watcher() -> Value {
    json!({"side": "agent", "access": "read"})
}

fn with_quota(quota: Quota) -> InProcess {
    let mut config = config(Duration::from_secs(20));
    config.tenancy.tenants[0].quota = quota;
    InProcess::with(config)
}

#[tokio::test(start_paused = true)]
async fn frames_beyond_the_rate_are_refused_whatever_they_say_and_the_socket_stays() {
    let gateway = with_quota(Quota {
        requests_per_second: const { NonZeroU32::new(1).unwrap() },
        burst: const { NonZeroU32::new(6).unwrap() },
        ..Quota::default()
    });
    // The ticket is one, coming with it another.
    let (mut client, _) = open(&gateway, &watcher()).await;
    for frame in ["ping", "nothing", "unsubscribe", "ping"] {
        assert_ne!(client.ask(json!({"type": frame})).await["status"], 429, "{frame}");
    }
    for frame in ["ping", "nothing", "unsubscribe", "composing", "ping"] {
        let refused = client.ask(json!({"type": frame, "ref": "1"})).await;
        assert_eq!(
            (&refused["type"], &refused["status"], &refused["retry_after_s"], &refused["ref"]),
            (&json!("error"), &json!(429), &json!(1), &json!("1")),
            "{refused}"
        );
    }
    client.send_frame(true, 1, b"{").await;
    assert_eq!(client.next().await["status"], 429, "what cannot be read costs as much");
    advance(Duration::from_secs(1)).await;
    assert_eq!(client.ask(json!({"type": "ping"})).await, json!({"type": "pong"}));
    assert_eq!(client.ask(json!({"type": "ping"})).await["status"], 429);
}

/// Otherwise dots would outlive the message for want of quota.
#[tokio::test(start_paused = true)]
async fn what_ends_a_socket_s_own_typing_is_never_beyond_the_rate() {
    let gateway = with_quota(Quota {
        requests_per_second: const { NonZeroU32::new(1).unwrap() },
        burst: const { NonZeroU32::new(3).unwrap() },
        ..Quota::default()
    });
    let rep = json!({"channel": "pinnacle", "agent": "agent_pinnacle", "user": "+14155550123", "side": "agent",
        "access": "read_write"});
    let (mut rep, _) = open(&gateway, &rep).await;
    assert_eq!(rep.ask(json!({"type": "composing"})).await["decision"], "started");
    assert_eq!(rep.ask(json!({"type": "composing"})).await["status"], 429);
    assert_eq!(rep.ask(json!({"type": "sent"})).await["decision"], "ended");
    assert_eq!(rep.ask(json!({"type": "sent"})).await["status"], 429, "there is nothing more to end");
}

#[tokio::test(start_paused = true)]
async fn what_ends_nothing_is_not_free_for_ever() {
    let gateway = with_quota(Quota {
        requests_per_second: const { NonZeroU32::new(1).unwrap() },
        burst: const { NonZeroU32::new(5).unwrap() },
        ..Quota::default()
    });
    let rep = json!({"channel": "pinnacle", "agent": "agent_pinnacle", "user": "+14155550123", "side": "agent",
        "access": "read_write"});
    let (mut rep, _) = open(&gateway, &rep).await;
    assert_eq!(rep.ask(json!({"type": "composing", "turn": 5})).await["decision"], "started");
    // The first is free, two more are what is left.
    for _ in 0..3 {
        assert_eq!(rep.ask(json!({"type": "paused", "turn": 1})).await["reason"], "fenced");
    }
    assert_eq!(rep.ask(json!({"type": "paused", "turn": 1})).await["status"], 429);
}

#[tokio::test(start_paused = true)]
async fn one_page_cannot_spend_what_its_tenant_may() {
    let gateway = with_quota(Quota {
        requests_per_second: const { NonZeroU32::new(50).unwrap() },
        burst: const { NonZeroU32::new(100).unwrap() },
        ..Quota::default()
    });
    let (mut page, _) = open(&gateway, &watcher()).await;
    let mut statuses = Vec::new();
    for frame in ["ping", "nothing"].iter().cycle().take(200) {
        statuses.push(page.ask(json!({"type": frame})).await["status"].as_u64());
    }
    let refused = |statuses: &[Option<u64>]| statuses.iter().filter(|status| **status == Some(429)).count();
    assert_eq!((refused(&statuses[..60]), refused(&statuses[60..])), (0, 140));
    let listing = b"GET /typing/v1/leases HTTP/1.1\r\nHost: t\r\nAuthorization: Bearer acme-key\r\n\r\n";
    assert_eq!(gateway.exchange(listing).await.status, 200, "the tenant has its rate");
    let (mut other, _) = open(&gateway, &watcher()).await;
    assert_eq!(other.ask(json!({"type": "ping"})).await["type"], "pong", "and every other page its own");
    advance(Duration::from_secs(1)).await;
    for _ in 0..20 {
        assert_eq!(page.ask(json!({"type": "ping"})).await["type"], "pong");
    }
    let refused = page.ask(json!({"type": "ping"})).await;
    assert_eq!((&refused["status"], &refused["retry_after_s"]), (&json!(429), &json!(1)));
}

#[tokio::test(start_paused = true)]
async fn what_ends_typing_is_within_the_budget_of_its_socket_too() {
    let gateway = InProcess::start();
    let rep = json!({"channel": "pinnacle", "agent": "agent_pinnacle", "user": "+14155550123", "side": "agent",
        "access": "read_write"});
    let (mut rep, _) = open(&gateway, &rep).await;
    for _ in 0..30 {
        assert_eq!(rep.ask(json!({"type": "composing"})).await["decision"], "started");
        assert_eq!(rep.ask(json!({"type": "paused"})).await["decision"], "ended");
    }
    assert_eq!(rep.ask(json!({"type": "paused"})).await["status"], 429);
}

#[tokio::test(start_paused = true)]
async fn who_never_rests_is_closed_and_who_does_is_not() {
    let gateway = InProcess::start();
    let (mut client, _) = open(&gateway, &watcher()).await;
    for _ in 0..3 {
        for n in 0..60 + 600 {
            let answer = client.ask(json!({"type": "ping"})).await;
            assert_eq!(answer["status"].as_u64(), (n >= 60).then_some(429), "{n}");
        }
        advance(Duration::from_secs(3)).await;
    }
    for _ in 0..60 + 600 {
        client.ask(json!({"type": "ping"})).await;
    }
    // A second is not enough, though it makes room for some.
    advance(Duration::from_secs(1)).await;
    for _ in 0..20 {
        assert_eq!(client.ask(json!({"type": "ping"})).await["type"], "pong");
    }
    client.say(json!({"type": "ping"})).await;
    assert_eq!(client.closed().await, (1008, "too_many".into()));
}

#[tokio::test(start_paused = true)]
async fn a_socket_is_one_of_the_tenants_streams_until_its_end() {
    let gateway = with_quota(Quota { streams: 2, ..Quota::default() });
    let (first, _) = open(&gateway, &watcher()).await;
    let events = gateway.stream("", "acme-key").await;
    let spare = ticket(&gateway, "acme-key", &watcher()).await;
    let refused = Client::shake_hands(gateway.connect(), &handshake(&spare)).await.err().unwrap();
    assert_eq!((refused.status, refused.header("retry-after")), (429, Some("5")));
    drop(first);
    sleep(Duration::from_millis(1)).await;
    let (second, _) = open(&gateway, &watcher()).await;
    drop(events);
    sleep(Duration::from_millis(1)).await;
    open(&gateway, &watcher()).await;
    drop(second);
}

#[tokio::test(start_paused = true)]
async fn as_many_tickets_wait_as_there_may_be_streams() {
    let gateway = with_quota(Quota { streams: 2, ..Quota::default() });
    let asked = asking_for_ticket("acme-key", &watcher());
    for _ in 0..2 {
        assert_eq!(gateway.exchange(&asked).await.status, 200);
    }
    let refused = gateway.exchange(&asked).await;
    assert_eq!((refused.status, refused.header("retry-after")), (429, Some("5")));
    let theirs = gateway.exchange(&asking_for_ticket("globex-key", &watcher())).await;
    assert_eq!(theirs.status, 200, "another tenant has its own");
    sleep(Duration::from_secs(30)).await;
    assert_eq!(gateway.exchange(&asked).await.status, 200, "the late ones make room");
}

#[tokio::test(start_paused = true)]
async fn who_has_no_room_for_a_lease_is_told_so_and_may_end_what_there_is() {
    let gateway = with_quota(Quota { leases: 1, ..Quota::default() });
    let desk = json!({"channel": "pinnacle", "agent": "a", "side": "agent", "access": "read_write"});
    let (mut rep, _) = open(&gateway, &desk).await;
    let say = |word: &str, user: &str| json!({"type": word, "user": user, "ref": "1"});
    assert_eq!(rep.ask(say("composing", "+14155550001")).await["decision"], "started");
    let refused = rep.ask(say("composing", "+14155550002")).await;
    assert_eq!((&refused["status"], &refused["ref"]), (&json!(429), &json!("1")));
    assert_eq!(rep.ask(say("composing", "+14155550001")).await["decision"], "extended");
    assert_eq!(rep.ask(say("sent", "+14155550001")).await["decision"], "ended");
    assert_eq!(rep.ask(say("composing", "+14155550002")).await["decision"], "started");
}

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

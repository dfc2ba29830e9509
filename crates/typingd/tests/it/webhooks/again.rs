//! Events that are delivered more than once.

use std::time::Duration;

use futures_util::future;

use super::{
    KALEYRA, PINNACLE, USER, WHSEC, call, composing, config, decide, decision, google, kaleyra,
    pinnacle_event, pinnacle_message, pinnacle_typing, start,
};
use crate::support::InProcess;

const DUPLICATE: &str = "ignored; reason=duplicate";

#[tokio::test(start_paused = true)]
async fn an_event_that_comes_again_renews_nothing_however_late() {
    let gateway = start();
    let mut events = gateway.stream("", "acme-key").await;
    assert_eq!(decide(&gateway, &kaleyra(USER, "e1")).await, "started");
    tokio::time::sleep(Duration::from_secs(10)).await;
    assert_eq!(decide(&gateway, &kaleyra(USER, "e1")).await, DUPLICATE, "while it shows");
    assert_eq!(events.whats(3).await, ["snapshot", "started", "stopped expired"]);
    assert_eq!(decide(&gateway, &kaleyra(USER, "e1")).await, DUPLICATE, "after it has lapsed");
    // Past the fence's minute, and behind a hundred others.
    tokio::time::sleep(Duration::from_secs(7 * 24 * 60 * 60)).await;
    for n in 0..100 {
        assert_eq!(decide(&gateway, &kaleyra(&format!("+1415555{n:04}"), &format!("n{n}"))).await, "started");
    }
    assert_eq!(decide(&gateway, &kaleyra(USER, "e1")).await, DUPLICATE, "a week later");
    assert_eq!(decide(&gateway, &kaleyra(USER, "e2")).await, "started", "another is news");
}

#[tokio::test(start_paused = true)]
async fn a_message_that_comes_again_ends_nothing_that_began_since() {
    let gateway = start();
    for (request, expected) in [
        (pinnacle_typing(), "started"),
        (pinnacle_message("m1"), "ended"),
        (pinnacle_typing(), "started"),
        (pinnacle_message("m1"), DUPLICATE),
        (pinnacle_message("m2"), "ended"),
        // One that changed nothing was heard as well.
        (pinnacle_message("m3"), "ignored; reason=nothing_live"),
        (pinnacle_message("m3"), DUPLICATE),
    ] {
        assert_eq!(decide(&gateway, &request).await, expected);
    }
}

#[tokio::test(start_paused = true)]
async fn an_id_is_one_for_its_user_agent_and_webhook() {
    let gateway = start();
    let other_agent = composing(USER, "e1").replace("their_agent", "other");
    let typing = |user: &str| {
        format!(
            r#"{{"senderPhoneNumber":"{user}","eventType":"IS_TYPING","eventId":"e1","agentId":"their_agent"}}"#
        )
    };
    for (request, expected) in [
        (kaleyra(USER, "e1"), "started"),
        (kaleyra("+14155550191", "e1"), "started"),
        (call(KALEYRA, "", &other_agent), "started"),
        (google(&typing(USER)), "extended"),
        (google(&typing(USER)), DUPLICATE),
        // By another address of the same webhook it is the same.
        (call("kaleyra-older-token-of-it", "", &composing(USER, "e1")), DUPLICATE),
    ] {
        assert_eq!(decide(&gateway, &request).await, expected);
    }
}

#[tokio::test(start_paused = true)]
async fn of_deliveries_at_once_one_counts() {
    let gateway = start();
    for round in 0..50 {
        let request = kaleyra(USER, &format!("round-{round}"));
        let answers = future::join_all((0..8).map(|_| gateway.exchange(&request))).await;
        let mut decisions: Vec<String> = answers.iter().map(decision).collect();
        decisions.retain(|decision| decision != DUPLICATE && decision != "503");
        assert_eq!(decisions, [if round == 0 { "started" } else { "extended" }], "{round}");
    }
}

/// A gateway in which `acme` may have one lease.
fn narrow() -> InProcess {
    let mut config = config();
    config.tenancy.tenants[0].quota.leases = 1;
    InProcess::with(config)
}

#[tokio::test(start_paused = true)]
async fn what_found_no_room_is_heard_when_it_comes_again() {
    let gateway = narrow();
    assert_eq!(decide(&gateway, &kaleyra("+14155550191", "e1")).await, "started");
    for _ in 0..3 {
        let answer = gateway.exchange(&kaleyra(USER, "e2")).await;
        assert_eq!((answer.status, answer.header("retry-after")), (429, Some("1")));
    }
    tokio::time::sleep(Duration::from_secs(21)).await;
    assert_eq!(decide(&gateway, &kaleyra(USER, "e2")).await, "started");
    assert_eq!(decide(&gateway, &kaleyra(USER, "e2")).await, DUPLICATE);
}

#[tokio::test(start_paused = true)]
async fn a_delivery_that_was_half_taken_is_not_taken_twice() {
    let gateway = narrow();
    let mut events = gateway.stream("", "acme-key").await;
    let [one, two, three] = ["+14155550191", "+14155550192", "+14155550193"];
    let three = composing(three, "e3");
    let request = call(KALEYRA, "", &format!("[{},{},{three}]", composing(one, "e1"), composing(two, "e2")));
    assert_eq!(gateway.exchange(&request).await.status, 429);
    tokio::time::sleep(Duration::from_secs(21)).await;
    // The first of them is over, and does not take the room of the second.
    assert_eq!(gateway.exchange(&request).await.status, 429);
    tokio::time::sleep(Duration::from_secs(21)).await;
    assert_eq!(decide(&gateway, &request).await, "accepted; recipients=3");
    tokio::time::sleep(Duration::from_secs(21)).await;
    assert_eq!(decide(&gateway, &request).await, "accepted; recipients=3", "and now there is nothing new");
    assert_eq!(events.next().await.unwrap().what(), "snapshot");
    for user in [one, two, "+14155550193"] {
        for what in ["started", "stopped expired"] {
            let event = events.next().await.unwrap();
            assert_eq!((event.what().as_str(), event.data["user"].as_str()), (what, Some(user)));
        }
    }
    assert_eq!(decide(&gateway, &kaleyra(USER, "e4")).await, "started");
    let event = events.next().await.unwrap();
    assert_eq!(event.data["user"], USER, "nothing came between");
}

#[tokio::test(start_paused = true)]
async fn typing_without_an_id_is_told_by_its_age_alone() {
    let gateway = start();
    let clock = gateway.0.gateway().clock;
    let started_at = format!(r#""startedAt":"{}","#, clock.wall(clock.now()));
    let request = call(PINNACLE, WHSEC, &pinnacle_event("USER.TYPING", &started_at));
    assert_eq!(decide(&gateway, &request).await, "started");
    tokio::time::sleep(Duration::from_secs(31)).await;
    assert_eq!(decide(&gateway, &request).await, "", "it is too old by now");
}

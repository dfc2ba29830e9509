//! Accounts whose typing calls are answered by the provider: its refusal is the caller's, in the door's words.

use std::time::Duration;

use serde_json::{Value, json};
use typingd::clock::Clock;
use typingd_core::{Role, Side};
use typingd_providers::account::Answered;

use super::provider::{Act, Provider, answer};
use super::{
    FRESHNESS, SLACK, TYPING_TIMEOUT, USER, at_an_org, at_google, at_kaleyra, at_pinnacle, config, ends,
    is_live, lead, rbm_typing, side,
};
use crate::support::{Answer, OnSocket, kaleyra_typing, pinnacle_typing, salesforce};

const TTL: Duration = Duration::from_secs(20);

const DOORS: [&str; 4] = ["kaleyra", "pinnacle", "rbm", "salesforce"];

/// A gateway all of whose doors lead to this provider.
async fn leading_to(provider: &Provider) -> OnSocket {
    let mut config = config(TTL, Answered::ByUpstream);
    let url = provider.url();
    for upstream in [at_kaleyra(&url), at_pinnacle(&url), at_google(&url), at_an_org(&url)] {
        lead(&mut config, upstream);
    }
    OnSocket::start(config).await
}

/// Somebody types at a door, and whose side that is.
fn typing(door: &str) -> (Vec<u8>, Side) {
    match door {
        "kaleyra" => (kaleyra_typing(USER), side(door, "kio_rcs", USER)),
        "pinnacle" => (pinnacle_typing(USER), side(door, "agent_pinnacle", USER)),
        "rbm" => (rbm_typing(USER), side(door, "agent_rbm", USER)),
        _ => {
            let started = salesforce("TypingStartedIndicator", "c2909771-bf05-4e6f-a2a1-000000000001", "ada");
            (started, Side { role: Role::User, ..side(door, "b0ffeafe-1", "ada") })
        }
    }
}

/// What a provider says to this status, in its own form.
fn refusal(door: &str, status: u16) -> String {
    match door {
        "kaleyra" => {
            json!({"code": "RCS1004", "error": {"error_code": "X", "error_message": format!("no {status}")}})
        }
        "pinnacle" => json!({"error": format!("no {status}")}),
        "rbm" => {
            let word = match status {
                400 => "INVALID_ARGUMENT",
                401 => "UNAUTHENTICATED",
                403 => "PERMISSION_DENIED",
                404 => "NOT_FOUND",
                429 => "RESOURCE_EXHAUSTED",
                _ => "UNAVAILABLE",
            };
            json!({"error": {"code": status, "message": format!("no {status}"), "status": word}})
        }
        _ => json!({"code": 1, "message": format!("no {status}")}),
    }
    .to_string()
}

/// A refusal as a door shows it: its status and the provider's own words in it.
fn shown(door: &str, answer: &Answer) -> (u16, Value) {
    let body = answer.json();
    let words = match door {
        "kaleyra" => {
            assert_eq!(
                (&body["code"], &body["error"]["error_code"]),
                (&json!("RCS1004"), &json!("PROV_ERROR"))
            );
            &body["error"]["error_message"]
        }
        "pinnacle" => &body["error"],
        "rbm" => &body["error"]["message"],
        _ => &body["message"],
    };
    (answer.status, words.clone())
}

#[tokio::test]
async fn a_yes_is_a_yes_and_while_the_dots_show_nobody_is_asked_again() {
    let provider = Provider::that(Act::yes_after(50)).await;
    let gateway = leading_to(&provider).await;
    for (at, door) in DOORS.into_iter().enumerate() {
        let (request, side) = typing(door);
        let first = gateway.exchange(&request).await;
        assert!([200, 202].contains(&first.status), "{door}: {first:?}");
        assert_eq!(provider.asked().len(), at + 1, "{door}");
        assert!(provider.asked()[at].answered_at.is_some(), "{door}: it was waited for");
        assert!(is_live(&gateway.gateway, &side).await, "{door}");
        if door != "salesforce" {
            let again = gateway.exchange(&typing(door).0).await;
            assert_eq!(again.status, first.status, "{door}: {again:?}");
            assert_eq!(provider.asked().len(), at + 1, "{door}: they show already");
        }
    }
}

#[tokio::test]
async fn a_refusal_is_the_callers_in_the_doors_words_and_nobody_types_after_it() {
    for status in [400, 401, 403, 404, 429, 500, 503] {
        let provider = Provider::start(move |asked, _| {
            let door = match asked.path() {
                path if path.contains("/rcs/") => "kaleyra",
                path if path.contains("/messages/") => "pinnacle",
                path if path.contains("/phones/") => "rbm",
                _ => "salesforce",
            };
            Act::answer(status, if status == 429 { "Retry-After: 7\r\n" } else { "" }, &refusal(door, status))
        })
        .await;
        let gateway = leading_to(&provider).await;
        for door in DOORS {
            let (request, side) = typing(door);
            let before = provider.asked().len();
            let refused = gateway.exchange(&request).await;
            let no = json!(format!("no {status}"));
            let expected = match (door, status) {
                ("kaleyra", _) => (400, json!(refusal(door, status))),
                // The only one whose clients know it.
                ("pinnacle", 503) => (500, no),
                _ => (status, no),
            };
            assert_eq!(shown(door, &refused), expected, "{door} {status}: {refused:?}");
            let retry_after = (status == 429).then_some("7");
            assert_eq!(refused.header("retry-after"), retry_after, "{door} {status}");
            ends(&gateway.gateway, &side).await;
            assert_eq!(provider.asked().len(), before + 1, "{door} {status}");
            if (401..=404).contains(&status) {
                let again = gateway.exchange(&typing(door).0).await;
                assert_eq!(shown(door, &again), expected, "{door} {status}: the same again");
                assert_eq!(provider.asked().len(), before + 1, "{door} {status}: nobody is asked for it");
                ends(&gateway.gateway, &side).await;
            }
        }
        assert!(provider.is_left_alone(Duration::from_millis(700)).await, "{status}: nothing is tried again");
        gateway.stop().await;
    }
}

#[tokio::test]
async fn after_trouble_that_passes_the_next_caller_hears_what_the_provider_says_then() {
    for is_well_again in [false, true] {
        let provider = Provider::that(Act::answer(503, "", &refusal("rbm", 503))).await;
        let gateway = leading_to(&provider).await;
        let (request, _) = typing("rbm");
        assert_eq!(gateway.exchange(&request).await.status, 503);
        if is_well_again {
            provider.turn(|_, _| Act::yes());
        }
        let (request, _) = typing("rbm");
        let again = gateway.exchange(&request).await;
        assert_eq!(again.status, if is_well_again { 200 } else { 503 }, "{again:?}");
        assert_eq!(provider.asked().len(), 2);
    }
}

#[tokio::test]
async fn two_callers_at_once_are_answered_by_one_call() {
    let provider = Provider::that(Act::yes_after(100)).await;
    let refusing =
        Provider::that(Act::Answer(Duration::from_millis(100), answer(404, "", &refusal("rbm", 404)))).await;
    for (provider, status) in [(provider, 200), (refusing, 404)] {
        let gateway = leading_to(&provider).await;
        let [(request, side), (another, _)] = [typing("rbm"), typing("rbm")];
        let (one, other) = tokio::join!(gateway.exchange(&request), gateway.exchange(&another));
        assert_eq!((one.status, other.status), (status, status), "{one:?} {other:?}");
        assert_eq!(provider.asked().len(), 1);
        assert_eq!(is_live(&gateway.gateway, &side).await, status == 200);
    }
}

#[tokio::test]
async fn a_provider_that_hangs_is_waited_for_no_longer_than_a_call_may_take() {
    let provider = Provider::that(Act::Hang).await;
    let gateway = leading_to(&provider).await;
    for (door, status) in [("kaleyra", 400), ("pinnacle", 500), ("rbm", 504), ("salesforce", 504)] {
        let (request, side) = typing(door);
        let clock = Clock::start();
        let refused = gateway.exchange(&request).await;
        let took = clock.elapsed();
        assert_eq!(refused.status, status, "{door}: {refused:?}");
        assert!(took >= TYPING_TIMEOUT && took < TYPING_TIMEOUT + FRESHNESS + SLACK, "{door}: {took:?}");
        println!("{door}: {status} after {took:?}");
        ends(&gateway.gateway, &side).await;
    }
}

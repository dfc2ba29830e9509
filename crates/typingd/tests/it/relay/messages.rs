//! Messages that go through: typing never comes after the message it preceded, and goes on after one that was refused.

use std::time::Duration;

use serde_json::json;
use typingd_core::{Role, Side};
use typingd_providers::account::Answered;

use super::provider::{Act, Asked, Provider};
use super::{SLACK, USER, at_an_org, at_google, config, ends, is_live, lead, rbm_message, rbm_typing, side};
use crate::support::{Answer, OnSocket, post, salesforce, signal};

const TTL: Duration = Duration::from_secs(20);

/// How long a message waits for a call in flight.
const MESSAGE_PATIENCE: Duration = Duration::from_millis(250);

/// A gateway whose RBM channel leads to this provider.
async fn leading_to(provider: &Provider) -> OnSocket {
    let mut config = config(TTL, Answered::AtOnce);
    lead(&mut config, at_google(&provider.url()));
    OnSocket::start(config).await
}

fn agents_side() -> Side {
    side("rbm", "agent_rbm", USER)
}

/// What `acme` says of that side by the native API.
async fn native(gateway: &OnSocket, path: &str, more: serde_json::Value) -> Answer {
    let mut body = json!({"channel": "rbm", "agent": "agent_rbm", "user": USER, "composer": "agent"});
    body.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    gateway.exchange(&post(path, "Authorization: Bearer acme-key\r\n", &body.to_string())).await
}

fn kinds(asked: &[Asked]) -> Vec<&'static str> {
    asked.iter().map(|asked| if asked.is_typing() { "typing" } else { "message" }).collect()
}

#[tokio::test]
async fn a_message_waits_for_the_typing_call_in_flight() {
    let provider =
        Provider::start(|asked, _| if asked.is_typing() { Act::yes_after(100) } else { Act::yes() }).await;
    let gateway = leading_to(&provider).await;
    assert_eq!(gateway.exchange(&rbm_typing(USER)).await.status, 200);
    provider.times(1).await;
    assert_eq!(gateway.exchange(&rbm_message(USER)).await.status, 200);
    let asked = provider.asked();
    assert_eq!(kinds(&asked), ["typing", "message"]);
    let typed = asked[0].answered_at.expect("the typing call is not cut off");
    assert!(asked[1].at >= typed, "the message came {:?} before", typed - asked[1].at);
    println!("the message came {:?} after the typing call's answer", asked[1].at - typed);
    assert!(!is_live(&gateway.gateway, &agents_side()).await);
}

#[tokio::test]
async fn a_typing_call_that_hangs_is_cut_off_before_the_message_goes() {
    let provider =
        Provider::start(|asked, _| if asked.is_typing() { Act::Hang } else { Act::yes_after(50) }).await;
    let gateway = leading_to(&provider).await;
    assert_eq!(gateway.exchange(&rbm_typing(USER)).await.status, 200);
    provider.times(1).await;
    let began = provider.now();
    assert_eq!(gateway.exchange(&rbm_message(USER)).await.status, 200);
    let asked = provider.until(|asked| asked[0].left_at.is_some()).await;
    assert_eq!(kinds(&asked), ["typing", "message"]);
    let waited = asked[1].at - began;
    assert!(
        waited >= MESSAGE_PATIENCE - Duration::from_millis(5) && waited < MESSAGE_PATIENCE + SLACK,
        "{waited:?}"
    );
    let left = asked[0].left_at.unwrap();
    assert!(
        left <= asked[1].at + Duration::from_millis(20),
        "cut off {:?} after the message",
        left - asked[1].at
    );
    println!("the message came after {waited:?}");
    assert!(provider.is_left_alone(Duration::from_millis(1_500)).await, "no typing after the message");
}

#[tokio::test]
async fn no_dots_come_after_a_message_but_those_of_work_that_outlives_it() {
    for continues in [false, true] {
        let provider =
            Provider::start(|asked, _| if asked.is_typing() { Act::yes() } else { Act::yes_after(100) })
                .await;
        let gateway = leading_to(&provider).await;
        let begun = native(&gateway, "/typing/v1/holds", json!({"continue": continues})).await;
        assert_eq!(begun.status, 201, "{}", begun.body);
        provider.times(1).await;
        let mut wire = gateway.connect().await;
        wire.send(&rbm_message(USER)).await;
        provider.times(2).await;
        // While the message is on its way, somebody says it again.
        let more = json!({"state": "composing", "participant": "rep-7"});
        assert_eq!(native(&gateway, "/typing/v1/signals", more).await.status, 200);
        assert_eq!(wire.answer().await.unwrap().status, 200);
        if continues {
            let asked = provider.times(3).await;
            assert_eq!(kinds(&asked), ["typing", "message", "typing"]);
            assert!(asked[2].at >= asked[1].answered_at.unwrap(), "{asked:?}");
        } else {
            assert!(provider.is_left_alone(Duration::from_millis(1_500)).await, "{:?}", provider.asked());
        }
        assert_eq!(is_live(&gateway.gateway, &agents_side()).await, continues);
    }
}

#[tokio::test]
async fn the_message_of_one_takes_the_dots_away_and_the_other_gets_them_back() {
    let provider = Provider::that(Act::yes()).await;
    let gateway = leading_to(&provider).await;
    let says = async |participant: &str, state: &str| {
        let more = json!({"state": state, "participant": participant});
        assert_eq!(native(&gateway, "/typing/v1/signals", more).await.status, 200);
    };
    says("rep-1", "composing").await;
    let first = provider.times(1).await;
    says("rep-2", "composing").await;
    assert!(provider.is_left_alone(Duration::from_millis(200)).await, "they show already");
    says("rep-1", "sent").await;
    let asked = provider.times(2).await;
    assert_eq!(kinds(&asked), ["typing", "typing"]);
    assert!(asked[1].at - first[0].at >= Duration::from_millis(990), "not sooner than may be");
    says("rep-2", "sent").await;
    assert!(provider.is_left_alone(Duration::from_millis(1_500)).await);
}

#[tokio::test]
async fn after_a_message_that_was_refused_the_dots_are_kept_up() {
    // This provider's dots fade soon.
    let provider = Provider::start(|asked, _| {
        if asked.is_typing() { Act::yes() } else { Act::answer(400, "", r#"{"code":10028,"message":"no"}"#) }
    })
    .await;
    let mut config = config(TTL, Answered::AtOnce);
    lead(&mut config, at_an_org(&provider.url()));
    let gateway = OnSocket::start(config).await;
    let id = |at: u32| format!("c2909771-bf05-4e6f-a2a1-0000000000{at:02}");
    let started = salesforce("TypingStartedIndicator", &id(1), "ada");
    assert_eq!(gateway.exchange(&started).await.status, 202);
    provider.times(1).await;
    let refused = gateway.exchange(&salesforce("Message", &id(2), "ada")).await;
    assert_eq!((refused.status, refused.json()["code"].as_u64()), (400, Some(10028)));
    let side = Side { role: Role::User, ..side("salesforce", "b0ffeafe-1", "ada") };
    assert!(is_live(&gateway.gateway, &side).await);
    let asked = provider.times(4).await;
    assert_eq!(kinds(&asked), ["typing", "message", "typing", "typing"]);
    for (one, next) in [(0, 2), (2, 3)] {
        let between = asked[next].at - asked[one].at;
        assert!(between < Duration::from_millis(1_500), "the dots faded for want of a call: {between:?}");
    }
    // One that is taken ends them.
    provider.turn(|_, _| Act::yes());
    assert_eq!(gateway.exchange(&salesforce("Message", &id(3), "ada")).await.status, 200);
    assert!(!is_live(&gateway.gateway, &side).await);
    let after = provider.asked().len();
    assert!(provider.is_left_alone(Duration::from_secs(2)).await, "{:?}", &provider.asked()[after..]);
}

#[tokio::test]
async fn a_caller_that_goes_away_in_the_middle_has_sent_its_message() {
    let provider =
        Provider::start(|asked, _| if asked.is_typing() { Act::yes() } else { Act::yes_after(300) }).await;
    let gateway = leading_to(&provider).await;
    let body = json!({"channel": "rbm", "agent": "agent_rbm", "user": USER, "composer": "agent", "state": "composing"});
    assert_eq!(gateway.exchange(&signal(&body.to_string())).await.status, 200);
    provider.times(1).await;
    let mut wire = gateway.connect().await;
    wire.send(&rbm_message(USER)).await;
    provider.times(2).await;
    drop(wire);
    assert!(is_live(&gateway.gateway, &agents_side()).await, "it is not there yet");
    ends(&gateway.gateway, &agents_side()).await;
    let asked = provider.asked();
    assert!(asked[1].answered_at.is_some() && asked[1].left_at.is_none(), "{asked:?}");
    assert!(provider.is_left_alone(Duration::from_millis(1_500)).await);
}

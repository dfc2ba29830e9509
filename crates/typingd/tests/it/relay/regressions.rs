//! Who is told what by which call, where several calls, messages and reloads meet: nobody hears a verdict that is about
//! somebody else, and no dots come where a message is on its way.

use std::time::Duration;

use serde_json::json;
use tokio::time::timeout;
use typingd::clock::Clock;
use typingd::config::{Config, Route};
use typingd_core::{Role, Side};
use typingd_providers::Patterns;
use typingd_providers::account::Answered;

use super::provider::{Act, Asked, Provider, answer};
use super::tokens::{accounts, is_token, token};
use super::{
    RBM, USER, at_an_org, at_google, at_pinnacle, config, ends, is_live, lead, number, rbm_message,
    rbm_typing, side, types,
};
use crate::support::{Answer, OnSocket, kaleyra_typing, pinnacle_typing, post, salesforce, signal};

const TTL: Duration = Duration::from_secs(20);

/// How long a call may take here: longer than anything else lasts.
const LONG: Duration = Duration::from_secs(3);

const NO: &str = r#"{"error":{"code":403,"message":"no","status":"PERMISSION_DENIED"}}"#;

/// With accounts that wait so long for their calls.
fn patient(mut config: Config) -> Config {
    config.tenancy.upstreams.iter_mut().for_each(|upstream| upstream.limits.typing_timeout = LONG);
    config
}

/// A gateway whose RBM channel leads to this provider.
async fn leading_to(provider: &Provider, answered: Answered) -> OnSocket {
    let mut config = config(TTL, answered);
    lead(&mut config, at_google(&provider.url()));
    OnSocket::start(patient(config)).await
}

fn refused_after(ms: u64) -> Act {
    Act::Answer(Duration::from_millis(ms), answer(403, "", NO))
}

/// A payload's id.
fn id(at: u32) -> String {
    format!("c2909771-bf05-4e6f-a2a1-0000000000{at:02}")
}

/// Waits until somebody types there.
async fn begins(gateway: &OnSocket, side: &Side) {
    let waiting = async {
        while !is_live(&gateway.gateway, side).await {
            tokio::task::yield_now().await;
        }
    };
    timeout(Duration::from_secs(5), waiting).await.expect("a beginning, in time");
}

async fn paused(gateway: &OnSocket, side: &Side) -> Answer {
    let Side { conversation, role } = side;
    let composer = if *role == Role::User { "user" } else { "agent" };
    let body = json!({
        "channel": conversation.channel().as_str(), "agent": conversation.agent().as_str(),
        "user": conversation.user().as_str(), "composer": composer, "state": "paused",
    });
    gateway.exchange(&signal(&body.to_string())).await
}

fn kinds(asked: &[Asked]) -> Vec<&'static str> {
    asked.iter().map(|asked| if asked.is_typing() { "typing" } else { "message" }).collect()
}

#[tokio::test]
async fn typing_that_is_over_before_its_call_was_made_is_answered_at_once() {
    for is_by_message in [false, true] {
        let provider =
            Provider::start(|asked, _| if asked.is_typing() { Act::Hang } else { Act::yes() }).await;
        let gateway = leading_to(&provider, Answered::ByUpstream).await;
        // As many calls as an account may have of which nothing is known yet.
        let mut first = Vec::new();
        for at in 0..3 {
            let mut wire = gateway.connect().await;
            wire.send(&rbm_typing(&number(at))).await;
            first.push(wire);
        }
        provider.times(3).await;
        let mut wire = gateway.connect().await;
        wire.send(&rbm_typing(USER)).await;
        begins(&gateway, &side("rbm", "agent_rbm", USER)).await;
        let clock = Clock::start();
        let over = match is_by_message {
            true => gateway.exchange(&rbm_message(USER)).await,
            false => paused(&gateway, &side("rbm", "agent_rbm", USER)).await,
        };
        assert_eq!(over.status, 200, "{over:?}");
        let answer = wire.answer().await.unwrap();
        let took = clock.elapsed();
        assert_eq!(answer.status, 200, "{answer:?}");
        assert!(took < Duration::from_secs(1), "{took:?}");
        assert_eq!(provider.asked().iter().filter(|asked| asked.is_typing()).count(), 3);
    }
}

#[tokio::test]
async fn the_answer_to_a_stop_is_no_verdict_on_a_start() {
    let provider = Provider::start(|asked, before| match before {
        0 => Act::yes(),
        _ if asked.body.contains("TypingStopped") => Act::yes_after(600),
        _ => Act::answer(403, "", r#"{"code":7,"message":"no"}"#),
    })
    .await;
    let mut config = config(TTL, Answered::ByUpstream);
    lead(&mut config, at_an_org(&provider.url()));
    let gateway = OnSocket::start(patient(config)).await;
    let begun = gateway.exchange(&salesforce("TypingStartedIndicator", &id(1), "ada")).await;
    assert_eq!(begun.status, 202, "{begun:?}");
    let side = Side { role: Role::User, ..side("salesforce", "b0ffeafe-1", "ada") };
    assert_eq!(paused(&gateway, &side).await.status, 200);
    assert!(provider.times(2).await[1].body.contains("TypingStopped"));
    let refused = gateway.exchange(&salesforce("TypingStartedIndicator", &id(2), "ada")).await;
    assert_eq!((refused.status, &refused.json()["message"]), (403, &json!("no")), "{refused:?}");
    ends(&gateway.gateway, &side).await;
}

#[tokio::test]
async fn a_call_that_is_cut_off_for_a_message_answers_nobody_who_typed_after_it() {
    let provider = Provider::start(|asked, before| match before {
        0 => Act::Hang,
        _ if asked.is_typing() => Act::yes(),
        _ => Act::answer(400, "", r#"{"error":{"code":400,"message":"no","status":"INVALID_ARGUMENT"}}"#),
    })
    .await;
    let gateway = leading_to(&provider, Answered::ByUpstream).await;
    let mut first = gateway.connect().await;
    first.send(&rbm_typing(USER)).await;
    provider.times(1).await;
    let [message, typing] = [rbm_message(USER), rbm_typing(USER)];
    let (refused, answer) = tokio::join!(gateway.exchange(&message), gateway.exchange(&typing));
    assert_eq!(refused.status, 400, "{refused:?}");
    assert_eq!(answer.status, 200, "{answer:?}");
    assert_eq!(kinds(&provider.asked()), ["typing", "message", "typing"]);
}

#[tokio::test]
async fn after_a_call_without_an_answer_the_next_caller_hears_of_a_call_of_its_own() {
    let provider = Provider::start(|_, before| match before {
        0 => Act::Reset(Vec::new()),
        _ => Act::answer(403, "", NO),
    })
    .await;
    let gateway = leading_to(&provider, Answered::ByUpstream).await;
    let unanswered = gateway.exchange(&rbm_typing(USER)).await;
    assert_eq!(unanswered.status, 504, "{unanswered:?}");
    let refused = gateway.exchange(&rbm_typing(USER)).await;
    assert_eq!(refused.status, 403, "{refused:?}");
    assert_eq!(provider.asked().len(), 2);
}

#[tokio::test]
async fn a_refusal_takes_back_what_was_said_by_a_caller_who_has_hung_up() {
    let provider = Provider::that(refused_after(300)).await;
    let gateway = leading_to(&provider, Answered::ByUpstream).await;
    let mut wire = gateway.connect().await;
    wire.send(&rbm_typing(USER)).await;
    provider.times(1).await;
    drop(wire);
    let side = side("rbm", "agent_rbm", USER);
    assert!(is_live(&gateway.gateway, &side).await, "it is not refused yet");
    ends(&gateway.gateway, &side).await;
}

/// `tenant` leads to an account at this address whose settings are marked so.
fn with_account(tenant: &str, url: &str, mark: &[u8]) -> Config {
    let mut config = config(TTL, Answered::ByUpstream);
    lead(&mut config, at_pinnacle(url));
    let tenancy = &mut config.tenancy;
    (tenancy.upstreams[0].tenant, tenancy.upstreams[0].mark) = (tenant.into(), blake3::hash(mark));
    tenancy.routes[0].tenant = tenant.into();
    patient(config)
}

/// Somebody types at Pinnacle's door.
fn pinnacle_typing_of(tenant: &str, to: &str) -> Vec<u8> {
    match tenant {
        "acme" => pinnacle_typing(to),
        _ => {
            let body = format!(r#"{{"agentId":"agent_globex","to":"{to}"}}"#);
            post("/messages/send/typing", "PINNACLE-API-KEY: globex-pinnacle-key\r\n", &body)
        }
    }
}

#[tokio::test]
async fn a_refusal_by_an_account_that_a_reload_took_away_is_told_to_nobody_of_the_one_that_came() {
    for tenant in ["acme", "globex"] {
        let no = answer(401, "", r#"{"error":"suspended"}"#);
        let old = Provider::that(Act::Answer(Duration::from_millis(500), no)).await;
        let new = Provider::that(Act::yes_after(1_000)).await;
        let gateway = OnSocket::start(with_account("acme", &old.url(), b"old")).await;
        let mut wire = gateway.connect().await;
        wire.send(&pinnacle_typing(USER)).await;
        old.times(1).await;
        gateway.gateway.reload(with_account(tenant, &new.url(), b"new").tenancy).await.unwrap();
        let answer = gateway.exchange(&pinnacle_typing_of(tenant, USER)).await;
        assert_eq!(answer.status, 200, "{tenant}: {answer:?}");
        let answer = gateway.exchange(&pinnacle_typing_of(tenant, &number(1))).await;
        assert_eq!(answer.status, 200, "{tenant}: {answer:?}");
        assert!(new.asked().len() >= 2, "{tenant}: {:?}", new.asked());
    }
}

#[tokio::test]
async fn typing_goes_on_behind_a_message_that_is_sent_once_more() {
    let provider = Provider::that(Act::yes()).await;
    let mut config = config(TTL, Answered::AtOnce);
    lead(&mut config, at_an_org(&provider.url()));
    let gateway = OnSocket::start(config).await;
    let [first, again] = [1, 3].map(|at| salesforce("TypingStartedIndicator", &id(at), "ada"));
    let message = salesforce("Message", &id(2), "ada");
    assert_eq!(gateway.exchange(&first).await.status, 202);
    provider.times(1).await;
    assert_eq!(gateway.exchange(&message).await.status, 200);
    assert_eq!(gateway.exchange(&again).await.status, 202);
    assert_eq!(kinds(&provider.times(3).await), ["typing", "message", "typing"]);
    let repeated = gateway.exchange(&message).await;
    assert_eq!(repeated.status, 200, "{repeated:?}");
    let before = provider.asked();
    let sent = before.iter().rposition(|asked| !asked.is_typing()).unwrap();
    assert!(sent >= 3, "it went through: {before:?}");
    let asked = provider.times(sent + 2).await;
    assert!(asked[sent + 1].body.contains("TypingStarted"), "{asked:?}");
    let between = asked[sent + 1].at - asked[sent].at;
    assert!(between < Duration::from_millis(1_500) + Duration::from_secs(1), "{between:?}");
}

#[tokio::test]
async fn an_agent_whom_the_provider_cannot_name_silences_nobody_else() {
    let provider = Provider::that(Act::yes()).await;
    let mut config = config(TTL, Answered::ByUpstream);
    lead(&mut config, at_pinnacle(&provider.url()));
    config.tenancy.routes.push(Route {
        tenant: "acme".into(),
        channel: Some("kaleyra".into()),
        agents: Patterns::any(),
        upstream: "pinnacle".into(),
    });
    let gateway = OnSocket::start(config).await;
    let unsayable = gateway.exchange(&kaleyra_typing(USER)).await;
    assert!(unsayable.status >= 400, "{unsayable:?}");
    types(&gateway.gateway, &side("kaleyra", "agent_other", USER), TTL).await;
    let asked = provider.times(1).await;
    assert!(asked[0].body.contains("agent_other"), "{asked:?}");
}

#[tokio::test]
async fn calls_that_are_always_answered_401_have_no_token_asked_for_each() {
    let provider = Provider::start(|asked, before| match is_token(asked) {
        true => token(before, 3_600),
        false => Act::answer(401, "", NO),
    })
    .await;
    let [google, _] = accounts(&provider.url()).await;
    let mut config = config(TTL, Answered::AtOnce);
    lead(&mut config, google);
    let gateway = OnSocket::start(config).await;
    let request = format!("GET /v1/phones/{USER}/testers?agentId=agent_rbm HTTP/1.1\r\nHost: t\r\n{RBM}\r\n");
    for _ in 0..20 {
        let mut wire = gateway.connect().await;
        wire.send(request.as_bytes()).await;
        assert_eq!(wire.head().await.unwrap().0, 401);
    }
    let asked = provider.asked();
    let tokens = asked.iter().filter(|asked| is_token(asked)).count();
    assert!(tokens <= 2 && asked.len() >= 20 + tokens, "{tokens} tokens, {} requests", asked.len());
}

#[tokio::test]
async fn an_account_that_a_reload_puts_in_place_during_a_message_waits_for_its_answer() {
    let provider =
        Provider::start(|asked, _| if asked.is_typing() { Act::yes() } else { Act::yes_after(700) }).await;
    let config = |mark: &[u8]| {
        let mut config = config(TTL, Answered::AtOnce);
        lead(&mut config, at_google(&provider.url()));
        config.tenancy.upstreams[0].mark = blake3::hash(mark);
        config
    };
    let gateway = OnSocket::start(config(b"old")).await;
    assert_eq!(gateway.exchange(&rbm_typing(USER)).await.status, 200);
    provider.times(1).await;
    let mut wire = gateway.connect().await;
    wire.send(&rbm_message(USER)).await;
    provider.times(2).await;
    gateway.gateway.reload(config(b"new").tenancy).await.unwrap();
    assert_eq!(wire.answer().await.unwrap().status, 200);
    assert_eq!(kinds(&provider.asked()), ["typing", "message"]);
}

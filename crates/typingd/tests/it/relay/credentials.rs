//! A credential that a provider refuses, and one that asks too much, with everybody waiting for it.

use std::time::Duration;

use typingd_providers::account::Answered;

use super::provider::{Act, Provider};
use super::{activity, at_pinnacle, config, lead, number, operators, side, types};
use crate::canary::{Log, is_child, run_alone};
use crate::support::OnSocket;

/// How many conversations somebody types in at once.
const MANY: usize = 1_000;

const TTL: Duration = Duration::from_secs(60);

/// What a provider has against a credential.
const UNKNOWN: &str = r#"{"error":"no such key"}"#;

fn refused_after(ms: u64) -> Act {
    Act::Answer(Duration::from_millis(ms), super::provider::answer(401, "", UNKNOWN))
}

/// Somebody types in many conversations at once.
async fn type_to(gateway: &OnSocket, many: std::ops::Range<usize>) {
    for at in many {
        types(&gateway.gateway, &side("pinnacle", "agent_pinnacle", &number(at)), TTL).await;
    }
}

#[tokio::test]
async fn a_new_credential_that_is_refused_is_shown_three_times_at_most_until_a_reload() {
    if !is_child() {
        run_alone(
            "relay::credentials::a_new_credential_that_is_refused_is_shown_three_times_at_most_until_a_reload",
            "",
        );
        return;
    }
    let (log, _guard) = Log::start();
    let provider = Provider::that(refused_after(50)).await;
    let mut config = config(TTL, Answered::AtOnce);
    lead(&mut config, at_pinnacle(&provider.url()));
    let tenancy = config.tenancy.clone();
    let gateway = OnSocket::start(config).await;
    type_to(&gateway, 0..MANY).await;
    let asked =
        provider.until(|asked| asked.len() == 3 || asked.iter().any(|one| one.answered_at.is_some())).await;
    assert!(asked.len() <= 3, "{}", asked.len());
    let began = provider.now();
    provider.is_left_alone(Duration::from_secs(2).saturating_sub(began)).await;
    assert!(provider.asked().len() <= 3, "{}", provider.asked().len());
    assert!(provider.is_left_alone(Duration::from_secs(1)).await);
    println!("{} requests for {MANY} conversations", provider.asked().len());

    let ready = operators(&gateway.gateway, "/readyz").await;
    assert_eq!(ready.status, 200);
    assert!(
        ready.body.contains("acme/pinnacle (pinnacle): the credential is refused, and tried again in"),
        "{}",
        ready.body
    );
    let metrics = operators(&gateway.gateway, "/metrics").await.body;
    let line =
        r#"upstream_credential{tenant="acme",upstream="pinnacle",provider="pinnacle",state="refused"} 1"#;
    assert!(metrics.contains(line), "{metrics}");
    let log_text = log.text();
    let warnings: Vec<&str> = log_text.lines().filter(|line| line.contains(" WARN ")).collect();
    assert_eq!(warnings.len(), 1, "{warnings:#?}");
    assert!(warnings[0].contains("the credential is refused"), "{warnings:?}");

    // Whoever reloads says that it works.
    provider.turn(|_, _| Act::yes());
    let before = provider.asked().len();
    gateway.gateway.reload(tenancy).await.unwrap();
    provider.times(before + MANY).await;
    assert_eq!(provider.recipients().len(), MANY);
    let ready = operators(&gateway.gateway, "/readyz").await;
    assert_eq!(ready.body, "ready\n");
    let metrics = operators(&gateway.gateway, "/metrics").await.body;
    assert!(metrics.contains(&line.replace("refused", "accepted")), "{metrics}");
}

#[tokio::test]
async fn a_credential_that_is_revoked_costs_the_calls_in_flight_and_no_more() {
    let provider =
        Provider::start(|_, before| if before < 100 { Act::yes_after(20) } else { refused_after(100) }).await;
    let mut config = config(TTL, Answered::AtOnce);
    lead(&mut config, at_pinnacle(&provider.url()));
    let gateway = OnSocket::start(config).await;
    type_to(&gateway, 0..MANY).await;
    let is_refused =
        |asked: &[super::provider::Asked]| asked.iter().skip(100).any(|one| one.answered_at.is_some());
    provider.until(is_refused).await;
    provider.is_left_alone(Duration::from_secs(2)).await;
    let asked = provider.asked();
    let first_no = asked.iter().skip(100).filter_map(|one| one.answered_at).min().unwrap();
    let late = asked.iter().filter(|one| one.at > first_no + Duration::from_millis(50)).count();
    assert_eq!(late, 0, "nobody asks after the first refusal");
    let concurrency = 64;
    assert!(asked.len() <= 100 + concurrency, "{}", asked.len());
    println!("{} requests after the credential was revoked", asked.len() - 100);
}

#[tokio::test]
async fn a_provider_that_says_too_many_is_left_alone_for_as_long_and_then_everybody_gets_through() {
    const CONVERSATIONS: usize = 300;
    let too_many = |_: &super::provider::Asked, before: usize| {
        if before == 0 { Act::answer(429, "Retry-After: 1\r\n", "{}") } else { Act::yes_after(5) }
    };
    let provider = Provider::start(too_many).await;
    let mut config = config(TTL, Answered::AtOnce);
    lead(&mut config, at_pinnacle(&provider.url()));
    let gateway = OnSocket::start(config).await;
    type_to(&gateway, 0..CONVERSATIONS).await;
    let asked = provider.until(|asked| asked.first().is_some_and(|first| first.answered_at.is_some())).await;
    let told_at = asked[0].answered_at.unwrap();
    let in_flight = Duration::from_millis(50);
    let asked = provider.until(|asked| asked.iter().any(|one| one.at > told_at + in_flight)).await;
    let again = asked.iter().map(|one| one.at).find(|at| *at > told_at + in_flight).unwrap();
    assert!(again - told_at >= Duration::from_millis(990), "asked again after {:?}", again - told_at);
    let in_flight = asked.iter().filter(|one| one.at < again).count();
    assert!(in_flight <= 3, "{in_flight} in flight");
    while provider.recipients().len() < CONVERSATIONS {
        let before = provider.asked().len();
        provider.times(before + 1).await;
    }
    let took = provider.now() - told_at;
    println!("{in_flight} in flight, again after {:?}, all {CONVERSATIONS} after {took:?}", again - told_at);
    assert!(took < Duration::from_secs(6), "{took:?}");
    let counters = activity(&gateway.gateway, "pinnacle").counters;
    assert_eq!(counters.sends(), CONVERSATIONS as u64 + 1, "{counters:?}");
}

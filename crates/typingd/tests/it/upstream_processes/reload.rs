//! Accounts that change while somebody types, and a gateway that goes away.

use std::time::Duration;

use typingd::clock::Clock;

use super::http::exchange;
use super::{ACME, DESK, ROUTES, about, acme, calls, events_for, provider, start, token, watch, whats};
use crate::load::program::alone;
use crate::support::signal;

/// Dots that live for so long if nothing is said of them.
fn typing(channel: &str, agent: &str, user: &str, composer: &str, ttl_ms: u64) -> Vec<u8> {
    let body = format!(
        r#"{{"channel":"{channel}","agent":"{agent}","user":"{user}","composer":"{composer}","state":"composing","ttl_ms":{ttl_ms}}}"#
    );
    signal(&body)
}

#[tokio::test]
async fn a_credential_put_right_is_used_at_once_and_other_accounts_notice_nothing() {
    let _turn = alone().await;
    let second = start("reload-second", &provider(7_000, "")).await;
    let address = second.address.to_string();
    let wrong = acme(&address, &token("wrong", 7_000));
    let first = start("reload-first", &wrong).await;
    let mut there = watch(second.address, "prov-key").await;
    let agents = typing("pinnacle", "agent_pinnacle", "+14155550123", "agent", 30_000);
    assert_eq!(exchange(first.address, &agents).await.status(), 200);
    assert_eq!(there.whats(1).await, ["started"]);
    let users = typing("salesforce", DESK, "David Wood", "user", 30_000);
    assert_eq!(exchange(first.address, &users).await.status(), 200);
    first.wait_for("typingd_upstream_answers_total", 2.0).await;
    let (_, metrics) = first.look("/metrics").await.unwrap();
    let is_refused = |line: &&str| line.contains("upstream_credential") && line.contains("\"refused\"");
    let refused: Vec<&str> = metrics.lines().filter(is_refused).filter(|line| line.ends_with(" 1")).collect();
    assert!(matches!(refused[..], [one] if one.contains("upstream=\"s\"")), "{refused:?}");

    let changed = Clock::start();
    super::reread(&first, &acme(&address, &token("prov", 7_000))).await;
    let started = there.next().await.unwrap();
    let told_after = changed.elapsed();
    println!("told {told_after:?} after the credential was put right");
    assert_eq!(
        (started.what().as_str(), about(&started)),
        ("started", ["salesforce", "far-desk", "David Wood"])
    );
    assert!(told_after < Duration::from_secs(1), "{told_after:?}");
    assert_eq!(whats(&events_for(&mut there, Duration::from_secs(1)).await), Vec::<String>::new());
    assert_eq!([calls(&first, "p", "composing").await, calls(&first, "s", "composing").await], [Some(1); 2]);
}

#[tokio::test]
async fn an_account_taken_away_is_called_no_more_and_one_that_stays_goes_on() {
    let _turn = alone().await;
    let second = start("removal-second", &provider(2_000, "")).await;
    let text = acme(&second.address.to_string(), &token("prov", 1_000));
    let first = start("removal-first", &text).await;
    let mut there = watch(second.address, "prov-key").await;
    let users = typing("salesforce", DESK, "David Wood", "user", 30_000);
    assert_eq!(exchange(first.address, &users).await.status(), 200);
    assert_eq!(there.whats(2).await, ["started", "refreshed"]);
    // A reload that changes nothing: the next call comes when it would have come, and not twice.
    super::reread(&first, &text).await;
    first.wait_for("typingd_reloads_total", 1.0).await;
    let before = calls(&first, "s", "composing").await.unwrap();
    let seen = events_for(&mut there, Duration::from_secs(3)).await;
    let during = calls(&first, "s", "composing").await.unwrap() - before;
    println!("{during} calls in the 3 s after a reload that changed nothing");
    assert!(
        (2..=4).contains(&during) && seen.iter().all(|event| event.what() == "refreshed"),
        "{during} {seen:?}"
    );

    super::reread(&first, ACME).await;
    first.wait_for("typingd_reloads_total", 2.0).await;
    let seen = events_for(&mut there, Duration::from_secs(4)).await;
    let seen: Vec<String> = whats(&seen).into_iter().filter(|what| what != "refreshed").collect();
    assert_eq!(seen, ["stopped expired"], "nobody told it");
    assert_eq!(calls(&first, "s", "composing").await, None);
    assert!(text.ends_with(ROUTES));
}

#[tokio::test]
async fn a_gateway_that_goes_away_says_that_nobody_types() {
    let _turn = alone().await;
    let second = start("away-second", &provider(7_000, "")).await;
    let mut first = start("away-first", &acme(&second.address.to_string(), &token("prov", 7_000))).await;
    let mut there = watch(second.address, "prov-key").await;
    let users = typing("salesforce", DESK, "David Wood", "user", 30_000);
    assert_eq!(exchange(first.address, &users).await.status(), 200);
    assert_eq!(there.whats(1).await, ["started"]);
    let told = Clock::start();
    first.signal("TERM").await;
    assert_eq!(there.whats(1).await, ["stopped paused"]);
    println!("TypingStopped {:?} after SIGTERM", told.elapsed());
    assert!(first.exit().await.success());
}

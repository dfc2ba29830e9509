//! One hold here: dots without a gap there, by no more calls than that takes, and none when it has ended.

use std::time::Duration;

use tokio::net::TcpStream;
use typingd::clock::Clock;

use super::{DESK, about, acme, calls, events_for, provider, start, token, watch};
use crate::load::program::alone;
use crate::support::{Wire, post};

const KEY: &str = "Authorization: Bearer acme-key\r\n";
const HELD: Duration = Duration::from_secs(5);
/// The least time between two calls about one conversation, and what they may be late by.
const FLOOR: Duration = Duration::from_millis(1_000 + 250);

#[tokio::test]
async fn a_hold_shows_without_a_gap_by_the_fewest_calls_and_ends_when_it_ends() {
    let _turn = alone().await;
    for (display_ms, ttl_ms, stops, within) in [
        // Dots that have faded when a stop may be told need none: then the second lets them go by itself.
        (1_000, 2_000, &["stopped paused", "stopped expired"][..], Duration::from_millis(2_000 + 250)),
        (2_000, 3_000, &["stopped paused"], FLOOR),
    ] {
        hold(display_ms, ttl_ms, stops, within).await;
    }
}

/// Holds, where a call shows for `display_ms` by what is known here, and there for `ttl_ms`.
async fn hold(display_ms: u64, ttl_ms: u64, stops: &[&str], within: Duration) {
    let second = start("hold-second", &provider(ttl_ms, "")).await;
    let first = start("hold-first", &acme(&second.address.to_string(), &token("prov", display_ms))).await;
    let mut there = watch(second.address, "prov-key").await;
    let mut wire = Wire::new(TcpStream::connect(first.address).await.unwrap());

    let body =
        format!(r#"{{"channel":"salesforce","agent":"{DESK}","user":"David Wood","composer":"user"}}"#);
    let begun = Clock::start();
    let hold = wire.exchange(&post("/typing/v1/holds", KEY, &body)).await;
    assert_eq!(hold.status, 201, "{}", hold.body);
    let started = there.next().await.unwrap();
    assert_eq!(
        (started.what().as_str(), about(&started)),
        ("started", ["salesforce", "far-desk", "David Wood"])
    );
    let started_after = begun.elapsed();
    let meanwhile = events_for(&mut there, HELD.saturating_sub(begun.elapsed())).await;
    assert!(meanwhile.iter().all(|event| event.what() == "refreshed"), "no gap: {meanwhile:?}");

    let end = format!("/typing/v1/holds/{}/end", hold.json()["id"].as_str().unwrap());
    let ended = Clock::start();
    assert_eq!(wire.exchange(&post(&end, KEY, r#"{"reason":"paused"}"#)).await.status, 200);
    // A last refresh may have been on its way.
    let stopped = loop {
        let what = there.next().await.unwrap().what();
        if what != "refreshed" {
            break what;
        }
    };
    let stopped_after = ended.elapsed();
    assert!(stops.contains(&stopped.as_str()), "a display of {display_ms} ms: {stopped}");
    assert!(stopped_after < within, "a display of {display_ms} ms: {stopped_after:?}");

    let (types, stops) = (calls(&first, "s", "composing").await, calls(&first, "s", "paused").await);
    let (types, stops) = (types.unwrap(), stops.unwrap());
    let shown = u64::try_from(HELD.as_millis()).unwrap().div_ceil(display_ms);
    println!(
        "a hold of {HELD:?}, a display of {display_ms} ms, {ttl_ms} ms there: started after {started_after:?}, \
         refreshed {} times, {stopped} {stopped_after:?} after its end; {types} starts and {stops} stops for {shown} \
         displays",
        meanwhile.len()
    );
    assert!(types as f64 <= 1.15 * shown as f64 + 1.0, "a display of {display_ms} ms: {types}");
    assert_eq!(stops, u64::from(stopped == "stopped paused"), "a display of {display_ms} ms");
}

//! Two gateways that tell each other of the same channel.

use std::time::Duration;

use typingd::clock::Clock;

use super::http::exchange;
use super::{DESK, calls, events_for, reread, start, watch, whats};
use crate::load::program::{Program, alone};
use crate::support::{post, signal};

/// One of the two, which tells the one at `other`. Both have the same tenant, account and agent.
fn tenant(other: Option<&str>, display_ms: u64) -> String {
    let told = other.map_or_else(String::new, |other| {
        format!(
            r#"
[[tenants.upstreams.kaleyra]]
name = "k"
base_url = "http://{other}"
sid = "ACME"
basic = "u:p"
api_key = "acme-kaleyra"

[[tenants.upstreams.salesforce]]
name = "s"
base_url = "http://{other}"
org_id = "00Dxx0000000001"
authorization_context = "Context"
token = "acme-sf"
display_ms = {display_ms}

[[tenants.routes]]
upstream = "k"
channel = "kaleyra"

[[tenants.routes]]
upstream = "s"
channel = "salesforce"
"#
        )
    });
    format!(
        r#"
[[tenants]]
name = "acme"
api_keys = ["acme-key"]

[[tenants.kaleyra]]
sid = "ACME"
basics = ["u:p"]
api_keys = ["acme-kaleyra"]
agents = ["kio_rcs"]
ttl_ms = 1000

[[tenants.salesforce]]
org_id = "00Dxx0000000001"
tokens = ["acme-sf"]
addresses = ["{DESK}"]
contexts = {{ Context = ["*"] }}
ttl_ms = 2000
{told}"#
    )
}

async fn both(name: &str, display_ms: u64) -> [Program; 2] {
    let first = start(&format!("{name}-first"), &tenant(None, display_ms)).await;
    let second =
        start(&format!("{name}-second"), &tenant(Some(&first.address.to_string()), display_ms)).await;
    reread(&first, &tenant(Some(&second.address.to_string()), display_ms)).await;
    first.wait_for("typingd_reloads_total", 1.0).await;
    [first, second]
}

fn native(channel: &str, agent: &str, user: &str, composer: &str, state: &str) -> Vec<u8> {
    let body = format!(
        r#"{{"channel":"{channel}","agent":"{agent}","user":"{user}","composer":"{composer}","state":"{state}","ttl_ms":1000}}"#
    );
    signal(&body)
}

/// How often each has said that somebody types.
async fn counts(both: &[Program; 2], upstream: &str) -> [u64; 2] {
    let [first, second] = both;
    [calls(first, upstream, "composing").await.unwrap(), calls(second, upstream, "composing").await.unwrap()]
}

/// What is looked at, and how many calls of one gateway may be made meanwhile.
const WATCHED: Duration = Duration::from_secs(3);
const MOST: u64 = 2 * WATCHED.as_secs();

#[tokio::test]
async fn typing_that_does_not_outlast_the_display_goes_once_around_and_ends() {
    let _turn = alone().await;
    for (upstream, typing, display_ms) in [
        ("k", native("kaleyra", "kio_rcs", "+14155550123", "agent", "composing"), 7_000),
        ("s", native("salesforce", DESK, "David Wood", "user", "composing"), 7_000),
    ] {
        let both = both(&format!("loop-{upstream}"), display_ms).await;
        let mut here = watch(both[0].address, "acme-key").await;
        assert_eq!(exchange(both[0].address, &typing).await.status(), 200);
        let seen = whats(&events_for(&mut here, WATCHED).await);
        let counts = counts(&both, upstream).await;
        println!("once around, {upstream}: {counts:?} calls within {WATCHED:?}, seen as {seen:?}");
        // It ends by itself, or by the other's word that it has, where that is here before.
        let is_over = seen.last().is_some_and(|last| last.starts_with("stopped"));
        assert_eq!((is_over, counts), (true, [1, 1]), "{seen:?}");
    }
}

/// It does not end by itself: each hears from the other that it goes on, by a call that is a client's like any other.
#[tokio::test]
async fn typing_that_outlasts_the_display_goes_around_no_faster_than_dots_are_refreshed() {
    let _turn = alone().await;
    for display_ms in [1_000, 2_000] {
        let both = both("loop-pace", display_ms).await;
        let mut here = watch(both[0].address, "acme-key").await;
        let typing = native("salesforce", DESK, "David Wood", "user", "composing");
        assert_eq!(exchange(both[0].address, &typing).await.status(), 200);
        let seen = whats(&events_for(&mut here, WATCHED).await);
        let counts = counts(&both, "s").await;
        println!("a display of {display_ms} ms: {counts:?} calls within {WATCHED:?}, seen as {seen:?}");
        assert!(counts.iter().all(|calls| *calls <= MOST), "{counts:?}");
    }
}

#[tokio::test]
async fn a_message_that_goes_around_comes_back_refused() {
    let _turn = alone().await;
    let both = both("loop-message", 7_000).await;
    let message = post(
        "/v1/ACME/rcs/messages",
        "api-key: acme-kaleyra\r\n",
        r#"{"from":"kio_rcs","to":["14155550123"],"text":"Hello"}"#,
    );
    let begun = Clock::start();
    let answer = exchange(both[0].address, &message).await;
    let took = begun.elapsed();
    assert_eq!(answer.status(), 429, "{}", answer.text());
    let [first, second] = &both;
    let requests =
        [first.metric("typingd_answers_total").await, second.metric("typingd_answers_total").await];
    println!("a message around: {} after {took:?} and {requests:?} requests", answer.status());
    assert!(requests.iter().all(|requests| *requests <= 300.0), "{requests:?}");
}

//! What a browser says on its socket, and what it is told.

use serde_json::json;

use super::client::open;
use crate::support::{InProcess, pinnacle_message, pinnacle_typing};

const AGENT: &str = "agent_pinnacle";
const USER: &str = "+14155550123";

#[tokio::test(start_paused = true)]
async fn a_socket_shows_who_is_typing() {
    let gateway = InProcess::start();
    let (mut user, hello) =
        open(&gateway, &json!({"channel": "pinnacle", "user": USER, "side": "user", "access": "read"})).await;
    let expected =
        json!({"type": "hello", "side": "user", "access": "read", "channel": "pinnacle", "user": USER});
    assert_eq!(hello, expected);
    assert_eq!(user.watch().await, json!([]));
    gateway.exchange(&pinnacle_typing(USER)).await;
    let started = user.next().await;
    assert_eq!((&started["type"], &started["agent"]), (&json!("started"), &json!(AGENT)));
    assert_eq!(started["remaining_ms"], 20_000);
    gateway.exchange(&pinnacle_message(USER)).await;
    assert_eq!(user.what().await, "stopped sent");
}

#[tokio::test(start_paused = true)]
async fn what_a_socket_holds_ends_with_it() {
    let gateway = InProcess::start();
    let whole = json!({"channel": "pinnacle", "agent": AGENT, "user": USER, "side": "agent",
        "participant": "rep-7", "name": "Ada", "access": "read_write"});
    let (mut rep, _) = open(&gateway, &whole).await;
    let (mut user, _) = open(&gateway, &json!({"user": USER, "side": "user", "access": "read"})).await;
    assert_eq!(user.watch().await, json!([]));
    let decision = rep.ask(json!({"type": "composing", "ref": "1"})).await;
    assert_eq!(
        (&decision["type"], &decision["ref"], &decision["decision"]),
        (&json!("decision"), &json!("1"), &json!("started"))
    );
    let started = user.next().await;
    assert_eq!(
        (&started["participant"], &started["name"], &started["origin"]),
        (&json!("rep-7"), &json!("Ada"), &json!("socket"))
    );
    drop(rep);
    assert_eq!(user.what().await, "stopped revoked");
}

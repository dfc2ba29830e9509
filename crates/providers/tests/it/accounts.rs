//! What an account's settings do, and what two accounts cannot both have.

use std::time::Duration;

use bytes::Bytes;
use http::Request;
use http::request::Parts;
use typingd_core::Signal;
use typingd_providers::kaleyra::Kaleyra;
use typingd_providers::pinnacle::Pinnacle;
use typingd_providers::rbm::{self, Rbm};
use typingd_providers::{Claimed, Patterns, Provider, Rejection, Secret};

use crate::fixture::{NOW, hasher, kaleyra_accounts, pinnacle_accounts, rbm_accounts};

const KALEYRA_BODY: &[u8] = br#"{"from":"kio_rcs","to":"+14155550190","composing":{}}"#;
const PINNACLE_BODY: &[u8] = br#"{"agentId":"agent_x","to":"+14155550190"}"#;

fn kaleyra_head(api_key: &str) -> Parts {
    let request = Request::post("/v1/dev/rcs/events")
        .header("authorization", "Basic ZGV2OmRldg==")
        .header("api-key", api_key)
        .header("content-type", "application/json");
    request.body(()).expect("the head is well-formed").into_parts().0
}

fn pinnacle_head(api_key: &str) -> Parts {
    let request = Request::post("/messages/send/typing")
        .header("pinnacle-api-key", api_key)
        .header("content-type", "application/json");
    request.body(()).expect("the head is well-formed").into_parts().0
}

/// The agent's name inside and how long the call shows.
fn understood(door: &dyn Provider, head: &Parts, body: &'static [u8]) -> (String, Option<Signal>) {
    let account = door.admit(head, NOW).expect("the credentials are right");
    let call =
        door.decode(account, head, &Bytes::from_static(body), NOW).map_err(|refusal| refusal.rejection);
    let call = call.expect("the body is right");
    (call.conversations[0].agent().to_string(), call.signal)
}

#[test]
fn a_call_shows_for_as_long_as_the_account_says_and_under_the_name_it_gives() {
    let ttl = Duration::from_millis(7_500);
    let expected = ("support".to_owned(), Some(Signal::Composing { ttl }));

    let mut accounts = kaleyra_accounts();
    accounts[0].common.ttl = ttl;
    accounts[0].common.aliases = [("kio_rcs".into(), "support".into())].into();
    let door = Kaleyra::new(accounts, &hasher()).expect("no credential is there twice");
    assert_eq!(understood(&door, &kaleyra_head("dev-kaleyra-key"), KALEYRA_BODY), expected);

    let mut accounts = pinnacle_accounts();
    accounts[0].common.ttl = ttl;
    accounts[0].common.aliases = [("agent_x".into(), "support".into())].into();
    let door = Pinnacle::new(accounts, &hasher()).expect("no credential is there twice");
    assert_eq!(understood(&door, &pinnacle_head("dev-pinnacle-key"), PINNACLE_BODY), expected);
}

#[test]
fn any_of_an_accounts_keys_lets_in() {
    let mut accounts = kaleyra_accounts();
    accounts[0].api_keys.push(Secret::new("next-key"));
    let door = Kaleyra::new(accounts, &hasher()).expect("no credential is there twice");
    assert_eq!(door.admit(&kaleyra_head("next-key"), NOW), door.admit(&kaleyra_head("dev-kaleyra-key"), NOW));

    let mut accounts = pinnacle_accounts();
    accounts[0].api_keys.push(Secret::new("next-key"));
    let door = Pinnacle::new(accounts, &hasher()).expect("no credential is there twice");
    assert_eq!(
        door.admit(&pinnacle_head("next-key"), NOW),
        door.admit(&pinnacle_head("dev-pinnacle-key"), NOW)
    );
}

#[test]
fn a_key_left_empty_lets_nobody_in() {
    let mut accounts = kaleyra_accounts();
    accounts[0].api_keys = vec![Secret::new("")];
    let door = Kaleyra::new(accounts, &hasher()).expect("no credential is there twice");
    assert_eq!(door.admit(&kaleyra_head(""), NOW), Err(Rejection::Unauthenticated));

    let mut accounts = pinnacle_accounts();
    accounts[0].api_keys = vec![Secret::new("")];
    let door = Pinnacle::new(accounts, &hasher()).expect("no credential is there twice");
    assert_eq!(door.admit(&pinnacle_head(""), NOW), Err(Rejection::Unauthenticated));

    let mut accounts = rbm_accounts();
    accounts[0].tokens = vec![Secret::new("")];
    let door = Rbm::new(accounts, &hasher()).expect("no credential is there twice");
    for token in ["Bearer ", "Bearer  "] {
        let head = Request::post("/v1/phones/+14155550190/agentEvents").header("authorization", token);
        let head = head.body(()).expect("the head is well-formed").into_parts().0;
        assert_eq!(door.admit(&head, NOW), Err(Rejection::Unauthenticated), "{token:?}");
    }
}

#[test]
fn a_sid_is_one_accounts() {
    let mut accounts = kaleyra_accounts();
    accounts[1].sid = accounts[0].sid.clone();
    assert_eq!(
        Kaleyra::new(accounts, &hasher()).err(),
        Some(Claimed { door: "kaleyra", account: 1, what: "Kaleyra sid", by: Some("dev".to_owned()) })
    );
}

#[test]
fn an_api_key_is_one_accounts() {
    let mut accounts = kaleyra_accounts();
    accounts[1].api_keys.push(Secret::new("dev-kaleyra-key"));
    assert_eq!(
        Kaleyra::new(accounts, &hasher()).err(),
        Some(Claimed { door: "kaleyra", account: 1, what: "Kaleyra api-key", by: None })
    );

    let mut accounts = pinnacle_accounts();
    accounts[2].api_keys.push(Secret::new("dev-pinnacle-key"));
    assert_eq!(
        Pinnacle::new(accounts, &hasher()).err(),
        Some(Claimed { door: "pinnacle", account: 2, what: "Pinnacle api-key", by: None })
    );
}

#[test]
fn an_rbm_token_and_an_rbm_agent_are_one_accounts() {
    let claimed = |change: fn(&mut Vec<rbm::Account>)| {
        let mut accounts = rbm_accounts();
        change(&mut accounts);
        Rbm::new(accounts, &hasher()).err()
    };
    let by = Some("`support_agent` and `support_*`".to_owned());
    assert_eq!(claimed(|_| {}), None);
    assert_eq!(
        claimed(|accounts| accounts[2].tokens.push(Secret::new("dev-rbm-token"))),
        Some(Claimed { door: "rbm", account: 2, what: "RBM token", by: None })
    );
    assert_eq!(
        claimed(|accounts| accounts[1].common.agents = Patterns::new(["support_*"])),
        Some(Claimed { door: "rbm", account: 1, what: "agent", by })
    );
}

#[test]
fn accounts_may_share_a_user_and_password() {
    let mut accounts = kaleyra_accounts();
    accounts[1].basics = accounts[0].basics.clone();
    assert!(Kaleyra::new(accounts, &hasher()).is_ok());
}

//! The life of a token that the Salesforce door issues, and of the assertion that it is issued for.

use http::{Request, StatusCode};
use jiff::{SignedDuration, Timestamp};
use serde_json::{Value, json};
use typingd_providers::salesforce::{Account, ConnectedApp, ConnectedApps, Salesforce};
use typingd_providers::{AccountId, Caller, Claimed, Patterns, Provider, Refusal, Rejection, TokenKeys};

use crate::exchange::jwt;
use crate::fixture::{NOW, hasher, receipt, salesforce_accounts, token_keys};

const GRANT: &str = "grant_type=urn:ietf:params:oauth:grant-type:jwt-bearer&assertion=";

fn door(accounts: Vec<Account>) -> Salesforce {
    Salesforce::new(accounts, &token_keys(), &hasher()).expect("nothing is claimed twice")
}

/// The fixture's accounts, of which the first is as `change` makes it.
fn accounts_with(change: impl FnOnce(&mut Account)) -> Vec<Account> {
    let mut accounts = salesforce_accounts();
    change(&mut accounts[0]);
    accounts
}

fn claims() -> Value {
    json!({
        "iss": "3MVG9dev",
        "sub": "connector@acme.example",
        "aud": "https://login.salesforce.com",
        "exp": NOW.as_second() + 180,
    })
}

fn with(claim: &str, value: impl Into<Value>) -> Value {
    let mut claims = claims();
    claims[claim] = value.into();
    claims
}

/// Asks for a token.
fn ask(door: &Salesforce, claims: &Value, signature: &str) -> Result<String, Rejection> {
    let request = Request::post("/services/oauth2/token")
        .header("host", "gateway.example")
        .header("content-type", "application/x-www-form-urlencoded");
    let (head, ()) = request.body(()).expect("the head is well-formed").into_parts();
    let body = format!("{GRANT}{}", jwt(&[r#"{"alg":"RS256"}"#, &claims.to_string(), signature]));
    assert_eq!(door.admit(&head, NOW), Ok(Caller::Nobody));
    let call = door.decode(Caller::Nobody, &head, &body.into(), NOW);
    let call = call.map_err(|Refusal { rejection, .. }| rejection)?;
    assert!(call.conversations.is_empty() && call.signal.is_none(), "a token says nothing about typing");
    let answer = (call.reply)(&receipt(false));
    assert_eq!(answer.status(), StatusCode::OK);
    let answer: Value = serde_json::from_slice(answer.body()).expect("the answer is JSON");
    Ok(answer["access_token"].as_str().expect("there is a token").to_owned())
}

/// A token of the first account.
fn token(door: &Salesforce) -> String {
    ask(door, &claims(), "signed").expect("the assertion is right")
}

/// Whom a token lets in to the first account's org.
fn admit(door: &Salesforce, token: &str, now: Timestamp) -> Result<Caller, Rejection> {
    let request = Request::post("/api/v1/interactions")
        .header("authorization", format!("Bearer {token}"))
        .header("orgid", "00Ddev000000000")
        .header("authorizationcontext", "Dev_Channel")
        .header("requestid", "1")
        .header("content-type", "multipart/form-data; boundary=b");
    door.admit(&request.body(()).expect("the head is well-formed").into_parts().0, now)
}

const LET_IN: Result<Caller, Rejection> = Ok(Caller::Account(AccountId(0)));
const TURNED_AWAY: Result<Caller, Rejection> = Err(Rejection::Unauthenticated);

#[test]
fn a_token_outlives_the_door_that_issued_it_and_no_other_keys_take_it() {
    let token = token(&door(salesforce_accounts()));
    for (what, keys, expected) in [
        ("the same keys", token_keys(), LET_IN),
        ("a newer key before it", TokenKeys::new([10; 32], [[9; 32]]), LET_IN),
        ("other keys", TokenKeys::new([10; 32], [[11; 32]]), TURNED_AWAY),
    ] {
        let restarted = Salesforce::new(salesforce_accounts(), &keys, &hasher()).expect("as before");
        assert_eq!(admit(&restarted, &token, NOW), expected, "{what}");
    }
}

#[test]
fn a_token_lasts_two_hours_to_the_second() {
    let door = door(salesforce_accounts());
    let token = token(&door);
    for (after_s, expected) in [(0, LET_IN), (7_199, LET_IN), (7_200, TURNED_AWAY), (90_000, TURNED_AWAY)] {
        assert_eq!(admit(&door, &token, NOW + SignedDuration::from_secs(after_s)), expected, "{after_s} s");
    }
}

#[test]
fn a_token_is_the_accounts_whose_app_asked_for_it() {
    let issued = token(&door(salesforce_accounts()));
    let none = ConnectedApps::default();
    let mut moved = salesforce_accounts();
    moved[1].connected_apps = std::mem::take(&mut moved[0].connected_apps);
    for (what, accounts, expected) in [
        ("the app taken away", accounts_with(|account| account.connected_apps = none), TURNED_AWAY),
        ("the app another account's", moved, TURNED_AWAY),
        ("the org another", accounts_with(|account| account.org_id.replace_range(..1, "1")), TURNED_AWAY),
        ("the org's id in its long form", accounts_with(|account| account.org_id += "AAA"), LET_IN),
        (
            "any assertion taken in its place",
            accounts_with(|account| account.connected_apps = ConnectedApps::AnyAssertion),
            TURNED_AWAY,
        ),
    ] {
        assert_eq!(admit(&door(accounts), &issued, NOW), expected, "{what}");
    }
}

#[test]
fn an_assertion_is_for_now_give_or_take_half_a_minute() {
    let door = door(salesforce_accounts());
    for (claim, after_s, is_good) in [
        ("exp", -31, false),
        ("exp", -30, false),
        ("exp", -29, true),
        ("exp", 0, true),
        ("exp", 3_600, true),
        ("exp", 3_630, true),
        ("exp", 3_631, false),
        ("nbf", -3_600, true),
        ("nbf", 30, true),
        ("nbf", 31, false),
    ] {
        let asked = ask(&door, &with(claim, NOW.as_second() + after_s), "signed");
        assert_eq!(asked.is_ok(), is_good, "{claim} {after_s} s from now");
    }
    for exp in [i64::MIN, i64::MAX] {
        assert!(ask(&door, &with("exp", exp), "signed").is_err(), "{exp}");
    }
}

#[test]
fn where_any_assertion_is_taken_only_its_form_counts() {
    let lax = door(accounts_with(|account| account.connected_apps = ConnectedApps::AnyAssertion));
    for (what, claims, signature, is_good) in [
        ("a stranger", with("iss", "anybody"), "signed", true),
        ("a forged signature", claims(), "forged", true),
        ("another audience", with("aud", "https://other.example"), "signed", true),
        ("another user", with("sub", "anybody"), "signed", true),
        ("long ago", with("exp", 1), "signed", true),
        ("no user", with("sub", ""), "signed", false),
        ("no time", with("exp", Value::Null), "signed", false),
        ("another account's app", with("iss", "3MVG9second"), "forged", false),
    ] {
        let token = ask(&lax, &claims, signature);
        assert_eq!(token.is_ok(), is_good, "{what}");
        if let Ok(token) = token {
            assert_eq!(admit(&lax, &token, NOW), LET_IN, "{what}");
            let strict = door(salesforce_accounts());
            assert_eq!(admit(&strict, &token, NOW), TURNED_AWAY, "{what}, and not any more");
        }
    }
}

#[test]
fn an_assertion_is_for_one_account() {
    let claimed = |accounts| Salesforce::new(accounts, &token_keys(), &hasher()).err();
    let second = salesforce_accounts()[1].connected_apps.clone();
    assert_eq!(
        claimed(accounts_with(|account| account.connected_apps = second)),
        Some(Claimed {
            door: "salesforce",
            account: 1,
            what: "Salesforce connected app",
            by: Some("3MVG9second".to_owned())
        })
    );
    let mut both_take_any = salesforce_accounts();
    both_take_any[0].connected_apps = ConnectedApps::AnyAssertion;
    both_take_any[2].connected_apps = ConnectedApps::AnyAssertion;
    let what = "right to any Salesforce assertion";
    assert_eq!(claimed(both_take_any), Some(Claimed { door: "salesforce", account: 2, what, by: None }));
}

#[test]
fn what_cannot_be_put_into_a_token_is_our_failure() {
    let contexts: Vec<String> = (0..100).map(|number| format!("Channel_Definition_{number:020}")).collect();
    let too_many = accounts_with(|account| {
        let ConnectedApps::Only(apps) = &mut account.connected_apps else { panic!("it has an app") };
        apps[0].contexts = Some(contexts);
        apps[0].subjects = Patterns::any();
    });
    let no_org = accounts_with(|account| account.org_id = "00Ddev".to_owned());
    for accounts in [too_many, no_org] {
        assert_eq!(ask(&door(accounts), &claims(), "signed"), Err(Rejection::Internal));
    }
}

#[test]
fn little_is_read_for_somebody_without_credentials() {
    let door = door(salesforce_accounts());
    assert_eq!(door.body_limit(Caller::Nobody), 16 * 1024);
    assert!(door.body_limit(Caller::Account(AccountId(0))) > 16 * 1024);
}

#[test]
fn who_gave_any_assertion_keeps_its_own_org_and_context() {
    let door = door(accounts_with(|account| account.connected_apps = ConnectedApps::AnyAssertion));
    let token = ask(&door, &with("iss", "3MVG9anybody"), "unproven").expect("any assertion will do");
    for (what, bearer, org_id, context, expected) in [
        ("its own org and context", token.as_str(), "00Dxx0000000001", "Partner1_Channel", LET_IN),
        ("the account's", &token, "00Ddev000000000", "Dev_Channel", LET_IN),
        (
            "a configured token is the org's",
            "dev-salesforce-token",
            "00Dxx0000000001",
            "Dev_Channel",
            TURNED_AWAY,
        ),
    ] {
        let request = Request::post("/api/v1/interactions")
            .header("authorization", format!("Bearer {bearer}"))
            .header("orgid", org_id)
            .header("authorizationcontext", context)
            .header("requestid", "1")
            .header("content-type", "multipart/form-data; boundary=b");
        let (head, ()) = request.body(()).expect("the head is well-formed").into_parts();
        assert_eq!(door.admit(&head, NOW), expected, "{what}");
    }
}

#[test]
fn a_token_is_worth_no_more_than_what_would_be_granted_now() {
    let token = token(&door(salesforce_accounts()));
    let now = |change: fn(&mut ConnectedApp)| {
        let accounts = accounts_with(|account| {
            let ConnectedApps::Only(apps) = &mut account.connected_apps else { panic!("it has an app") };
            change(&mut apps[0]);
        });
        admit(&door(accounts), &token, NOW)
    };
    assert_eq!(now(|_| {}), LET_IN);
    assert_eq!(now(|app| app.subjects = Patterns::new(["somebody@else.example"])), TURNED_AWAY);
    assert_eq!(now(|app| app.contexts = Some(vec!["Dev_Channel".to_owned()])), LET_IN);
    assert_eq!(
        now(|app| app.contexts = Some(vec!["Other_Channel".to_owned()])),
        Err(Rejection::Forbidden(typingd_providers::Bar::Context))
    );
}

//! Access tokens: asked for, read, used, and renewed before they end.

use std::sync::Arc;
use std::time::Duration;

use base64::Engine;
use base64::prelude::BASE64_URL_SAFE_NO_PAD;
use http::{HeaderMap, HeaderValue, StatusCode};
use proptest::prelude::*;
use serde_json::{Value, json};
use typingd_core::User;
use typingd_providers::upstream::{AccessToken, Answer, AssertionSigner, Change};
use typingd_providers::{
    Caller, ChatState, RefusalKind, Refused, Unusable, Upstream, rbm, salesforce, upstream,
};

use crate::fixture::{NOW, SignsAll, all_doors, all_upstreams, fresh, receipt};

fn common() -> upstream::Account {
    upstream::Account { base_url: "https://provider.example".to_owned(), agents: [].into() }
}

fn org(
    login_url: &str,
    signer: Arc<dyn AssertionSigner>,
) -> Result<salesforce::SalesforceUpstream, Unusable> {
    salesforce::SalesforceUpstream::new(salesforce::UpstreamAccount {
        common: common(),
        org_id: "00Ddev000000000AAA".to_owned(),
        authorization_context: Some("Dev_Channel".to_owned()),
        credentials: salesforce::Credentials::ConnectedApp {
            login_url: login_url.to_owned(),
            audience: "https://login.salesforce.com".to_owned(),
            consumer_key: "3MVG9dev".to_owned(),
            subject: "connector@acme.example".to_owned(),
            signer,
            token_life: Duration::from_secs(900),
        },
        display: Duration::from_secs(7),
    })
}

fn google(token_uri: &str) -> Result<rbm::RbmUpstream, Unusable> {
    rbm::RbmUpstream::new(rbm::UpstreamAccount {
        common: common(),
        credentials: rbm::Credentials::ServiceAccount {
            client_email: "typing@project.iam.gserviceaccount.com".to_owned(),
            private_key_id: Some("k1".to_owned()),
            token_uri: token_uri.to_owned(),
            signer: Arc::new(SignsAll),
        },
    })
}

const TOKEN_URI: &str = "https://oauth2.googleapis.com/token";

/// An account at Google that has no token until one is granted.
pub(crate) fn google_without_token() -> rbm::RbmUpstream {
    google(TOKEN_URI).expect("the settings are right")
}

fn read(upstream: &dyn Upstream, status: u16, body: &str) -> Result<AccessToken, Refused> {
    let answer = Answer {
        status: StatusCode::from_u16(status).expect("it is a status"),
        headers: &HeaderMap::new(),
        body: body.as_bytes(),
        now: NOW,
    };
    upstream.tokens().expect("it has tokens").read(&answer)
}

#[test]
fn a_token_is_asked_for_granted_and_let_in() {
    let upstream = org("https://login.example/", Arc::new(SignsAll)).expect("the settings are right");
    let request = upstream.tokens().expect("it has tokens").ask(NOW).expect("it is signed");
    assert_eq!(request.uri(), "https://login.example/services/oauth2/token");
    let claims = std::str::from_utf8(request.body()).expect("it is text").split('.').nth(1);
    let claims = BASE64_URL_SAFE_NO_PAD.decode(claims.expect("there are claims")).expect("it is base64url");
    let claims: Value = serde_json::from_slice(&claims).expect("it is JSON");
    assert_eq!(
        (&claims["iat"], &claims["exp"]),
        (&json!(1_762_336_800), &json!(1_762_336_980)),
        "three minutes"
    );
    let (mut head, body) = request.into_parts();
    head.headers.insert("host", HeaderValue::from_static("login.example"));
    let doors = all_doors();
    let door = doors.iter().find(|door| door.owns(head.uri.path())).expect("there is a door");
    assert_eq!(door.admit(&head, NOW), Ok(Caller::Nobody));
    let call = door.decode(Caller::Nobody, &head, &body, NOW).map_err(|refusal| refusal.rejection);
    let answer = (call.expect("the assertion is right").reply)(&receipt(false));
    let (status, body) = (answer.status().as_u16(), String::from_utf8_lossy(answer.body()));
    let token = read(&upstream, status, &body).expect("it was granted");
    // The answer does not say how long it lasts: a quarter of the org's session is left as slack, at most 5 minutes.
    assert_eq!(token.renew_after, Duration::from_secs(900 - 225));
    assert_eq!(format!("{token:?}"), "AccessToken(…)");

    let user = User::new("David Wood");
    let change = Change { agent: "addr-1", user: &user, signal: ChatState::Composing };
    assert!(upstream.forward(&change, &fresh(None)).is_none(), "there is nothing to send without a token");
    let request = upstream.forward(&change, &fresh(Some(&token))).expect("it can be said");
    let (head, body) = request.into_parts();
    let caller = door.admit(&head, NOW).expect("the token is right");
    assert!(door.decode(caller, &head, &body, NOW).is_ok());
}

#[test]
fn a_service_account_asks_as_google_wants_it() {
    let upstream = google(TOKEN_URI).expect("the settings are right");
    let request = upstream.tokens().expect("it has tokens").ask(NOW).expect("it is signed");
    assert_eq!(request.uri(), TOKEN_URI);
    assert_eq!(request.headers()["content-type"], "application/x-www-form-urlencoded");
    let body = std::str::from_utf8(request.body()).expect("it is text");
    let start = "grant_type=urn%3Aietf%3Aparams%3Aoauth%3Agrant-type%3Ajwt-bearer&assertion=";
    let parts: Vec<&str> = body.strip_prefix(start).expect("it is the form").split('.').collect();
    let part = |at: usize| BASE64_URL_SAFE_NO_PAD.decode(parts[at]).expect("it is base64url");
    let json = |at| serde_json::from_slice::<Value>(&part(at)).expect("it is JSON");
    assert_eq!(json(0), json!({"alg": "RS256", "typ": "JWT", "kid": "k1"}));
    assert_eq!(
        json(1),
        json!({
            "iss": "typing@project.iam.gserviceaccount.com",
            "scope": "https://www.googleapis.com/auth/rcsbusinessmessaging",
            "aud": TOKEN_URI,
            "iat": 1_762_336_800,
            "exp": 1_762_340_400,
        })
    );
    assert_eq!((part(2), parts.len()), (b"signed".to_vec(), 3));
}

#[test]
fn a_token_lasts_as_long_as_the_answer_says() {
    let google = google(TOKEN_URI).expect("the settings are right");
    let long = "x".repeat(8 * 1024 + 1);
    for (body, renew_after_s) in [
        (r#"{"access_token":"ya29.a","expires_in":3599,"token_type":"Bearer"}"#.to_owned(), Some(3_299)),
        (r#"{"access_token":"ya29.a"}"#.to_owned(), Some(3_300)),
        (r#"{"access_token":"ya29.a","expires_in":100}"#.to_owned(), Some(75)),
        (r#"{"access_token":"ya29.a","expires_in":0}"#.to_owned(), Some(0)),
        (r#"{"access_token":"ya29.a","expires_in":18446744073709551615}"#.to_owned(), Some(86_100)),
        (r#"{"access_token":"ya29.a","expires_in":"3599"}"#.to_owned(), Some(3_300)),
        (r#"{"access_token":""}"#.to_owned(), None),
        (r#"{"access_token":"a b"}"#.to_owned(), None),
        (r#"{"access_token":"a\nb"}"#.to_owned(), None),
        (r#"{"access_token":7}"#.to_owned(), None),
        (format!(r#"{{"access_token":"{long}"}}"#), None),
        ("{}".to_owned(), None),
        ("<html>".to_owned(), None),
        (String::new(), None),
    ] {
        let seen = read(&google, 200, &body);
        let expected = renew_after_s.map(Duration::from_secs).ok_or(RefusalKind::Transient);
        assert_eq!(seen.map(|token| token.renew_after).map_err(|refused| refused.kind), expected, "{body}");
    }
}

#[test]
fn whoever_is_refused_a_token_is_refused_everything() {
    use RefusalKind::{Credential, Transient};
    let google = google(TOKEN_URI).expect("the settings are right");
    for (status, body, kind, detail) in [
        (400, r#"{"error":"invalid_grant","error_description":"…"}"#, Credential, "400 invalid_grant"),
        (400, r#"{"error":"invalid_client_id"}"#, Credential, "400 invalid_client_id"),
        (401, r#"{"error":"invalid_client"}"#, Credential, "401 invalid_client"),
        (403, r#"{"error":"access_denied"}"#, Credential, "403 access_denied"),
        (404, "<html>", Credential, "404"),
        (400, r#"{"error":{"code":400}}"#, Credential, "400"),
        (400, r#"{"error":"temporarily_unavailable"}"#, Transient, "400 temporarily_unavailable"),
        (429, r#"{"error":"slow_down"}"#, Transient, "429 slow_down"),
        (500, r#"{"error":"server_error"}"#, Transient, "500 server_error"),
        (503, "", Transient, "503"),
        (302, "", Transient, "302"),
    ] {
        let refused = read(&google, status, body).expect_err("it is a refusal");
        let expected = (kind, detail, false);
        assert_eq!(
            (refused.kind, refused.detail.as_str(), refused.is_token_spent),
            expected,
            "{status} {body}"
        );
    }
}

#[test]
fn a_token_may_be_spent_only_where_another_can_be_had() {
    let is_spent = |upstream: &dyn Upstream, status: u16| {
        let status = StatusCode::from_u16(status).expect("it is a status");
        let answer = Answer { status, headers: &HeaderMap::new(), body: b"", now: NOW };
        upstream.judge(&answer).is_err_and(|refused| refused.is_token_spent)
    };
    let granted: [Box<dyn Upstream>; 2] = [
        Box::new(org("https://login.example", Arc::new(SignsAll)).expect("the settings are right")),
        Box::new(google(TOKEN_URI).expect("the settings are right")),
    ];
    for (upstreams, is_granted) in [(Vec::from(granted), true), (all_upstreams(), false)] {
        for upstream in upstreams {
            let seen = [401, 403, 429, 500].map(|status| is_spent(upstream.as_ref(), status));
            assert_eq!(seen, [is_granted, false, false, false], "{} {is_granted}", upstream.name());
        }
    }
}

#[test]
fn settings_with_which_nothing_could_be_sent_are_found_at_once() {
    assert_eq!(google("oauth2.googleapis.com").err().map(|found| found.setting), Some("token_uri"));
    let login = |url| org(url, Arc::new(SignsAll)).err().map(|found| found.to_string());
    let expected = "`login_url` is not valid: expected an http or https URL without user, query and fragment";
    assert_eq!((login("https://login.example"), login("login")), (None, Some(expected.to_owned())));

    /// A key that is not there.
    #[derive(Debug)]
    struct NoKey;
    impl AssertionSigner for NoKey {
        fn sign(&self, _: &[u8]) -> Option<Vec<u8>> {
            None
        }
    }
    let unsigned = org("https://login.example", Arc::new(NoKey)).expect("the settings are right");
    assert!(unsigned.tokens().expect("it has tokens").ask(NOW).is_none());
}

proptest! {
    #[test]
    fn any_answer_is_read(status in 100..1000_u16, body in prop::collection::vec(any::<u8>(), 0..256), life in any::<u64>()) {
        let google = google(TOKEN_URI).expect("the settings are right");
        for body in [String::from_utf8_lossy(&body).into_owned(), json!({"access_token": "a", "expires_in": life}).to_string()] {
            let _ = read(&google, status, &body);
        }
    }
}

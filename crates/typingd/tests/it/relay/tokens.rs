//! Access tokens: asked for once however many wait, renewed in time, and no more asked for where they are refused.

use std::sync::{Arc, OnceLock};
use std::time::Duration;

use base64::Engine;
use base64::prelude::BASE64_URL_SAFE_NO_PAD;
use serde_json::Value;
use tokio::process::Command;
use typingd::rsa::{RsaKey, Signer};
use typingd_core::pacing::BreakerState;
use typingd_core::{Role, Side};
use typingd_providers::account::Answered;
use typingd_providers::salesforce::AssertionKey;
use typingd_providers::{Upstream, rbm, salesforce};

use super::provider::{Act, Asked, Provider};
use super::{
    USER, activity, at_kaleyra, at_rbm, at_salesforce, config, is_live, lead, number, rbm_message, side,
    types,
};
use crate::clients::run;
use crate::support::OnSocket;

const TTL: Duration = Duration::from_secs(60);

/// A private key and its public one, in PEM form.
pub async fn keys() -> (String, String) {
    static KEYS: OnceLock<(String, String)> = OnceLock::new();
    if let Some(keys) = KEYS.get() {
        return keys.clone();
    }
    let private = run(Command::new("openssl").args(["genrsa", "2048"]), "openssl").await;
    let path = std::env::temp_dir().join(format!("typingd-relay-key-{}.pem", std::process::id()));
    std::fs::write(&path, &private).unwrap();
    let public = run(Command::new("openssl").args(["rsa", "-pubout", "-in"]).arg(&path), "openssl").await;
    std::fs::remove_file(&path).unwrap();
    KEYS.get_or_init(|| (private, public)).clone()
}

/// An account of each kind that asks for tokens, all at this address.
pub async fn accounts(url: &str) -> [Arc<dyn Upstream>; 2] {
    let signer = Signer::from_pem(keys().await.0.as_bytes()).expect("a private key");
    let signer = Arc::new(signer);
    let service_account = rbm::Credentials::ServiceAccount {
        client_email: "bot@acme.example".to_owned(),
        private_key_id: Some("key-1".to_owned()),
        token_uri: format!("{url}/token"),
        signer: signer.clone(),
    };
    let connected_app = salesforce::Credentials::ConnectedApp {
        login_url: url.to_owned(),
        audience: "https://login.example".to_owned(),
        consumer_key: "consumer".to_owned(),
        subject: "bot@acme.example".to_owned(),
        signer,
        token_life: Duration::from_secs(7_200),
    };
    [at_rbm(url, service_account), at_salesforce(url, connected_app)]
}

pub fn is_token(asked: &Asked) -> bool {
    asked.path().ends_with("/token")
}

/// The answer with a token of this number, which lasts so long.
pub fn token(number: usize, life_s: u64) -> Act {
    Act::answer(
        200,
        "",
        &format!(r#"{{"access_token":"token-{number}","expires_in":{life_s},"token_type":"Bearer"}}"#),
    )
}

/// A gateway that leads to one account.
async fn leading_to(upstream: Arc<dyn Upstream>) -> OnSocket {
    let mut config = config(TTL, Answered::AtOnce);
    lead(&mut config, upstream);
    OnSocket::start(config).await
}

/// One of many that an account is told of.
fn one(channel: &str, at: usize) -> Side {
    match channel {
        "salesforce" => Side { role: Role::User, ..side(channel, "b0ffeafe-1", &format!("user-{at}")) },
        _ => side(channel, "agent_rbm", &number(at)),
    }
}

fn count(asked: &[Asked], what: impl Fn(&Asked) -> bool) -> usize {
    asked.iter().filter(|asked| what(asked)).count()
}

fn bearers(asked: &[Asked]) -> Vec<String> {
    let calls = asked.iter().filter(|asked| !is_token(asked));
    calls.map(|asked| asked.header("authorization").unwrap().to_owned()).collect()
}

#[tokio::test]
async fn however_many_wait_one_token_is_asked_for_with_an_assertion_that_holds() {
    const MANY: usize = 50;
    let provider = Provider::start(|asked, _| {
        if is_token(asked) {
            Act::Answer(
                Duration::from_millis(100),
                super::provider::answer(200, "", r#"{"access_token":"token-0"}"#),
            )
        } else {
            Act::yes()
        }
    })
    .await;
    let key = RsaKey::from_pem(keys().await.1.as_bytes()).expect("a public key");
    let url = provider.url();
    let began = now_s().await;
    for (upstream, claims, life_s) in accounts(&url)
        .await
        .into_iter()
        .zip([
            (
                vec![
                    ("iss", "bot@acme.example".to_owned()),
                    ("aud", format!("{url}/token")),
                    ("scope", "https://www.googleapis.com/auth/rcsbusinessmessaging".to_owned()),
                ],
                3_600,
            ),
            (
                vec![
                    ("iss", "consumer".to_owned()),
                    ("sub", "bot@acme.example".to_owned()),
                    ("aud", "https://login.example".to_owned()),
                ],
                180,
            ),
        ])
        .map(|(upstream, (claims, life_s))| (upstream, claims, life_s))
    {
        let (channel, before) = (upstream.name(), provider.asked().len());
        let gateway = leading_to(upstream).await;
        for at in 0..MANY {
            types(&gateway.gateway, &one(channel, at), TTL).await;
        }
        let asked = provider.times(before + 1 + MANY).await.split_off(before);
        assert_eq!(count(&asked, is_token), 1, "{channel}");
        assert!(bearers(&asked).iter().all(|bearer| bearer == "Bearer token-0"), "{channel}: {asked:?}");

        let form: Vec<(String, String)> =
            form_urlencoded::parse(asked[0].body.as_bytes()).into_owned().collect();
        assert_eq!(
            form[0],
            ("grant_type".to_owned(), "urn:ietf:params:oauth:grant-type:jwt-bearer".to_owned())
        );
        assert_eq!((form.len(), form[1].0.as_str()), (2, "assertion"), "{channel}");
        let (message, signature) = form[1].1.rsplit_once('.').unwrap();
        let decode = |part: &str| BASE64_URL_SAFE_NO_PAD.decode(part).unwrap();
        assert!(key.verifies(message.as_bytes(), &decode(signature)), "{channel}");
        let mut parts =
            message.split('.').map(|part| serde_json::from_slice::<Value>(&decode(part)).unwrap());
        let (header, payload) = (parts.next().unwrap(), parts.next().unwrap());
        assert_eq!((&header["alg"], &header["typ"]), (&"RS256".into(), &"JWT".into()), "{channel}");
        assert_eq!(header.get("kid").is_some(), channel == "rbm");
        for (claim, expected) in &claims {
            assert_eq!(payload[claim], **expected, "{channel}: {payload}");
        }
        let (issued, ends) = (payload["iat"].as_i64().unwrap(), payload["exp"].as_i64().unwrap());
        assert_eq!(
            (ends - issued, payload.as_object().unwrap().len()),
            (life_s, claims.len() + 2),
            "{channel}: {payload}"
        );
        assert!((began..began + 60).contains(&issued), "{channel}: {payload}");
        println!("{channel}: 1 token for {MANY} conversations");
        gateway.stop().await;
    }
}

/// Wall time, as `date` has it.
async fn now_s() -> i64 {
    run(Command::new("date").arg("+%s"), "coreutils").await.trim().parse().unwrap()
}

#[tokio::test]
async fn a_token_is_renewed_before_it_ends_and_not_sooner() {
    let provider =
        Provider::start(|asked, before| if is_token(asked) { token(before, 2) } else { Act::yes() }).await;
    let [upstream, _] = accounts(&provider.url()).await;
    let gateway = leading_to(upstream).await;
    types(&gateway.gateway, &one("rbm", 0), TTL).await;
    let first = provider.times(2).await;
    types(&gateway.gateway, &one("rbm", 1), TTL).await;
    assert_eq!(count(&provider.times(3).await, is_token), 1, "it lasts for a while");
    // Three quarters of its life.
    provider.is_left_alone(Duration::from_millis(1_500)).await;
    types(&gateway.gateway, &one("rbm", 2), TTL).await;
    let asked = provider.times(5).await;
    assert_eq!(bearers(&asked), ["Bearer token-0", "Bearer token-0", "Bearer token-3"]);
    println!("asked again after {:?}", asked[3].at - first[0].at);
}

#[tokio::test]
async fn a_401_costs_one_new_token_and_one_repeat() {
    for (is_new_one_good, tokens, calls) in [(true, 2, 2), (false, 2, 2)] {
        let no = r#"{"error":{"code":401,"message":"no","status":"UNAUTHENTICATED"}}"#;
        let provider = Provider::start(move |asked, before| match asked.header("authorization") {
            _ if is_token(asked) => token(before, 3_600),
            Some("Bearer token-2") if is_new_one_good => Act::yes(),
            _ => Act::answer(401, "", no),
        })
        .await;
        let [upstream, _] = accounts(&provider.url()).await;
        let gateway = leading_to(upstream).await;
        types(&gateway.gateway, &one("rbm", 0), TTL).await;
        let asked = provider.times(4).await;
        assert!(provider.is_left_alone(Duration::from_millis(1_500)).await, "{:?}", provider.asked());
        assert_eq!((count(&asked, is_token), bearers(&asked).len()), (tokens, calls));
        assert_eq!(bearers(&asked), ["Bearer token-0", "Bearer token-2"]);
        let breaker = activity(&gateway.gateway, "rbm").standing.breaker;
        assert_eq!(matches!(breaker, BreakerState::Open { .. }), !is_new_one_good, "{breaker:?}");
    }
}

#[tokio::test]
async fn where_tokens_are_refused_they_are_asked_for_three_times_at_most() {
    let no = Act::answer(400, "", r#"{"error":"invalid_grant","error_description":"no such user"}"#);
    let provider = Provider::that(no).await;
    for upstream in accounts(&provider.url()).await {
        let (channel, before) = (upstream.name(), provider.asked().len());
        let gateway = leading_to(upstream).await;
        for at in 0..50 {
            types(&gateway.gateway, &one(channel, at), TTL).await;
        }
        provider.times(before + 1).await;
        provider.is_left_alone(Duration::from_millis(200)).await;
        assert!(provider.is_left_alone(Duration::from_millis(1_500)).await);
        let asked = provider.asked().split_off(before);
        assert!(asked.len() <= 3 && asked.iter().all(is_token), "{channel}: {asked:?}");
        let standing = activity(&gateway.gateway, channel).standing;
        assert!(matches!(standing.breaker, BreakerState::Open { .. }), "{channel}: {standing:?}");
        println!("{channel}: {} requests", asked.len());
        gateway.stop().await;
    }
}

#[tokio::test]
async fn where_tokens_do_not_come_nobody_else_waits() {
    let provider = Provider::that(Act::Hang).await;
    let well = Provider::that(Act::yes()).await;
    let [upstream, _] = accounts(&provider.url()).await;
    let mut config = config(TTL, Answered::AtOnce);
    lead(&mut config, upstream);
    lead(&mut config, at_kaleyra(&well.url()));
    let gateway = OnSocket::start(config).await;
    for at in 0..50 {
        types(&gateway.gateway, &one("rbm", at), TTL).await;
    }
    provider.times(1).await;
    let began = well.now();
    types(&gateway.gateway, &side("kaleyra", "kio_rcs", USER), TTL).await;
    assert!(well.times(1).await[0].at - began < Duration::from_millis(250));
    // It is waited for no longer than a call may take, and tried again no sooner than a second after.
    let asked = provider.until(|asked| asked.first().is_some_and(|first| first.left_at.is_some())).await;
    let waited = asked[0].left_at.unwrap() - asked[0].at;
    assert!(waited < super::TYPING_TIMEOUT + super::SLACK, "{waited:?}");
    let before = well.now();
    let asked = provider.times(3).await;
    for (one, next) in asked.iter().zip(&asked[1..]) {
        println!("asked for a token again after {:?}", next.at - one.at);
        assert!(next.at - one.at >= Duration::from_secs(1), "{asked:?}");
    }
    types(&gateway.gateway, &side("kaleyra", "kio_rcs", &number(1)), TTL).await;
    assert!(well.times(2).await[1].at.saturating_sub(before) < Duration::from_secs(5));
    assert!(asked.iter().all(is_token));

    // A message that cannot even be sent ends nobody's typing.
    let refused = gateway.exchange(&rbm_message(&number(0))).await;
    assert_eq!(refused.status, 503, "{}", refused.body);
    assert!(is_live(&gateway.gateway, &one("rbm", 0)).await);
}

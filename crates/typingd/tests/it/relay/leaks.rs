//! Accounts at providers with canaries for secrets, and numbers that are canaries: what is logged, counted and told to
//! operators, whatever becomes of the calls, holds none of them.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use futures_util::future::join_all;
use http::{HeaderValue, Request};
use tokio::sync::oneshot;
use typingd::client::Client;
use typingd::rsa::Signer;
use typingd_providers::account::Answered;
use typingd_providers::{Secret, Upstream, kaleyra, pinnacle, rbm, salesforce};

use super::http2::Server;
use super::provider::{Act, Provider, answer};
use super::tokens::keys;
use super::{at_rbm, at_salesforce, common, config, lead, operators, rbm_message, rbm_typing};
use crate::canary::{BASIC, Log, NUMBER, SECRET, TEXT, assert_clean, is_child, run_alone};
use crate::support::{
    OnSocket, kaleyra_message, kaleyra_typing, pinnacle_message, pinnacle_typing, salesforce,
};

fn secret(name: &str) -> Secret {
    Secret::new(format!("{SECRET}-upstream-{name}"))
}

/// An account at each provider, all at this address; those that can ask for their tokens do, or show one they have.
async fn accounts(url: &str, asks_for_tokens: bool) -> Vec<Arc<dyn Upstream>> {
    let signer = Arc::new(Signer::from_pem(keys().await.0.as_bytes()).unwrap());
    let (google, org) = if asks_for_tokens {
        let google = rbm::Credentials::ServiceAccount {
            client_email: "bot@acme.example".to_owned(),
            private_key_id: Some(format!("{SECRET}-id")),
            token_uri: format!("{url}/token"),
            signer: signer.clone(),
        };
        let org = salesforce::Credentials::ConnectedApp {
            login_url: url.to_owned(),
            audience: "https://login.example".to_owned(),
            consumer_key: format!("{SECRET}-consumer"),
            subject: "bot@acme.example".to_owned(),
            signer,
            token_life: Duration::from_secs(7_200),
        };
        (google, org)
    } else {
        (rbm::Credentials::Token(secret("google")), salesforce::Credentials::Token(secret("org")))
    };
    let kaleyra = kaleyra::UpstreamAccount {
        common: common(url),
        sid: "HXAP1".to_owned(),
        basic: Secret::new(BASIC),
        api_key: secret("kaleyra"),
    };
    let pinnacle = pinnacle::UpstreamAccount { common: common(url), api_key: secret("pinnacle") };
    vec![
        Arc::new(kaleyra::KaleyraUpstream::new(kaleyra).unwrap()),
        Arc::new(pinnacle::PinnacleUpstream::new(pinnacle).unwrap()),
        at_rbm(url, google),
        at_salesforce(url, org),
    ]
}

/// What providers do, with the number in all that they say.
fn acts() -> Vec<Act> {
    let told = format!(r#"{{"error":"+{NUMBER} {TEXT}","message":"+{NUMBER}","code":"{NUMBER}"}}"#);
    let says = |status| Act::answer(status, &format!("x-of: +{NUMBER}\r\nLocation: /{NUMBER}\r\n"), &told);
    let bytes = answer(200, &format!("x-of: {NUMBER}\r\n"), &told);
    let (half, garbage) = (bytes[..90].to_vec(), format!("+{NUMBER} {SECRET}\r\n\r\n").into_bytes());
    let broken = [Act::Hang, Act::Reset(half.clone()), Act::Close(half), Act::Close(garbage)];
    [200, 302, 400, 401, 403, 404, 429, 500].map(says).into_iter().chain(broken).collect()
}

#[tokio::test]
async fn no_secret_and_no_number_of_a_call_to_a_provider_is_logged_or_counted() {
    const NAME: &str = "relay::leaks::no_secret_and_no_number_of_a_call_to_a_provider_is_logged_or_counted";
    if !is_child() {
        run_alone(NAME, "trace");
        return;
    }
    let (log, _guard) = Log::start();
    let access = format!(r#"{{"access_token":"{SECRET}-access","expires_in":3600}}"#);
    let (mut requests, mut signatures) = (0, Vec::new());
    let to = format!("+{NUMBER}");
    for act in acts() {
        for asks_for_tokens in [false, true] {
            for answered in [Answered::AtOnce, Answered::ByUpstream] {
                let (act, access) = (act.clone(), access.clone());
                let provider = Provider::start(move |asked, _| {
                    let is_token = asked.path().ends_with("/token");
                    if is_token { Act::answer(200, "", &access) } else { act.clone() }
                })
                .await;
                let mut config = config(Duration::from_secs(20), answered);
                for upstream in accounts(&provider.url(), asks_for_tokens).await {
                    lead(&mut config, upstream);
                }
                let gateway = OnSocket::start(config).await;
                let typed = [
                    kaleyra_typing(&to),
                    pinnacle_typing(&to),
                    rbm_typing(&to),
                    salesforce("TypingStartedIndicator", NUMBER, &to),
                ];
                let sent = [
                    kaleyra_message(&[&to]),
                    pinnacle_message(&to),
                    rbm_message(&to),
                    salesforce("Message", &format!("{NUMBER}9"), &to),
                ];
                for requests in [typed, sent] {
                    join_all(requests.map(async |request| {
                        let mut wire = gateway.connect().await;
                        wire.send(&request).await;
                        wire.head().await;
                    }))
                    .await;
                }
                for path in ["/metrics", "/readyz"] {
                    assert_clean(path, &operators(&gateway.gateway, path).await.body);
                }
                let asked = provider.asked();
                requests += asked.len();
                let tokens = asked.iter().filter(|asked| asked.path().ends_with("/token"));
                signatures.extend(tokens.map(|asked| asked.body.rsplit('.').next().unwrap().to_owned()));
                gateway.stop().await;
            }
        }
    }
    speak_http_2().await;
    let log = log.text();
    println!(
        "{requests} requests to providers, {} with an assertion, {} bytes of log",
        signatures.len(),
        log.len()
    );
    for line in ["a provider was told", "the credential is refused", "hyper", "h2::"] {
        assert!(log.contains(line), "{line} is logged at all");
    }
    assert_clean("the log", &log);
    assert!(!signatures.is_empty());
    for signature in &signatures {
        assert!(!log.contains(signature.as_str()), "an assertion in the log");
    }
    let key = keys().await.0;
    assert!(!key.lines().filter(|line| line.len() > 40).any(|line| log.contains(line)), "a key in the log");
}

/// The number in a path, and a secret in a header, over HTTP/2; the server is on a thread that logs nothing.
async fn speak_http_2() {
    let (started, server) = oneshot::channel();
    let (stop, stopped) = oneshot::channel::<()>();
    let thread = std::thread::spawn(move || {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(async {
            let server = Server::start("relay-leaks", &[b"h2"]).await;
            let _ = started.send((server.url.clone(), server.client()));
            let _ = stopped.await;
        });
    });
    let (url, client): (String, Client) = server.await.unwrap();
    let mut key = HeaderValue::from_str(&format!("Bearer {SECRET}-h2")).unwrap();
    key.set_sensitive(true);
    let request = Request::post(format!("{url}/v1/phones/+{NUMBER}/agentEvents?eventId={NUMBER}"));
    let request = request.header("authorization", key).body(Bytes::from(format!(r#"{{"to":"+{NUMBER}"}}"#)));
    let answer = client.exchange(request.unwrap(), Duration::from_secs(5)).await.unwrap();
    assert_eq!(answer.status, 200);
    let _ = stop.send(());
    thread.join().unwrap();
}

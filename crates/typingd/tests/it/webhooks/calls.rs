//! Who is believed, and how everybody else is refused.

use std::num::NonZeroU32;
use std::time::Duration;

use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use serde_json::json;
use typingd_providers::Secret;

use super::{
    CLIENT_TOKEN, GLOBEX, GOOGLE, KALEYRA, PINNACLE, USER, WHSEC, call, composing, config, decide,
    google_signed, hmac_sha512, kaleyra, pinnacle_event, pinnacle_message, pinnacle_typing, start,
};
use crate::support::{InProcess, Wire};

const EVENT: &str =
    r#"{"senderPhoneNumber":"+14155550190","eventType":"IS_TYPING","eventId":"e-1","agentId":"a"}"#;

fn signature(key: &str, message: &str) -> String {
    BASE64_STANDARD.encode(hmac_sha512(key.as_bytes(), message.as_bytes()))
}

#[tokio::test(start_paused = true)]
async fn nobody_but_the_provider_is_believed() {
    let gateway = start();
    let typing = pinnacle_event("USER.TYPING", "");
    let secret = |value: &str| format!("PINNACLE-SIGNING-SECRET: {value}\r\n");
    let right = signature(CLIENT_TOKEN, EVENT);
    let good = [
        kaleyra(USER, "e1"),
        call("kaleyra-older-token-of-it", "", &composing(USER, "e2")),
        call(&format!("{KALEYRA}?a=b"), "", &composing(USER, "e3")),
        pinnacle_typing(),
        call(PINNACLE, &secret("older-whsec"), &typing),
        google_signed(EVENT, &right),
    ];
    for request in good {
        let answer = gateway.exchange(&request).await;
        assert_eq!(answer.status, 200, "{}", answer.body);
    }
    let rows = [
        (404, call("", "", "{}")),
        (404, call("nobodys-Vw0mGZsV2mJ9yq2m1pXo7", "", &composing(USER, "e4"))),
        (404, call(&KALEYRA[1..], "", &composing(USER, "e4"))),
        (404, call(&KALEYRA.to_uppercase(), "", &composing(USER, "e4"))),
        (404, call(&format!("{KALEYRA}/"), "", &composing(USER, "e4"))),
        (404, call(&format!("x/{KALEYRA}"), "", &composing(USER, "e4"))),
        (404, call(&format!("%6b{}", &KALEYRA[1..]), "", &composing(USER, "e4"))),
        (401, call(PINNACLE, "", &typing)),
        (401, call(PINNACLE, &secret(""), &typing)),
        (401, call(PINNACLE, &secret("wrong"), &typing)),
        (401, call(PINNACLE, &secret("whsec-globex"), &typing)),
        (401, call(GLOBEX, WHSEC, &typing)),
        (401, call(PINNACLE, &[secret("whsec"), secret("whsec")].concat(), &typing)),
        (401, call(GOOGLE, WHSEC, &typing)),
        (401, call(GOOGLE, "", EVENT)),
        (401, google_signed(EVENT, "")),
        (401, google_signed(EVENT, "no base64!")),
        (401, google_signed(EVENT, &signature("another", EVENT))),
        (401, google_signed(EVENT, &signature(CLIENT_TOKEN, &EVENT.replace("0190", "0191")))),
        (
            401,
            google_signed(
                EVENT,
                &BASE64_STANDARD.encode(&hmac_sha512(CLIENT_TOKEN.as_bytes(), EVENT.as_bytes())[..32]),
            ),
        ),
    ];
    let count = rows.len();
    for (status, request) in rows {
        let answer = gateway.exchange(&request).await;
        assert_eq!(answer.status, status, "{}", String::from_utf8_lossy(&request));
        assert_eq!(answer.header("content-type"), Some("application/problem+json"));
        assert_eq!(answer.json()["status"], json!(status));
    }
    let metrics = gateway.0.gateway().metrics.text();
    let failed = format!("typingd_failed_authentications_total{{door=\"webhook\"}} {count}");
    assert!(metrics.contains(&failed), "each of them counts: {metrics}");
}

#[tokio::test(start_paused = true)]
async fn nothing_is_no_token_even_where_its_digest_is_configured() {
    let mut config = config();
    config.tenancy.webhooks[1].path_tokens = vec![Secret::Hashed(config.keys.hasher.hash(b""))];
    let gateway = InProcess::with(config);
    assert_eq!(decide(&gateway, &call("", WHSEC, &pinnacle_event("USER.TYPING", ""))).await, "404");
}

#[tokio::test(start_paused = true)]
async fn whoever_guesses_too_often_is_barred() {
    let mut config = config();
    config.limits.failed_authentications_per_minute = 2;
    let gateway = InProcess::with(config);
    for (guess, status) in [("a", 404), ("b", 404), ("c", 429)] {
        assert_eq!(gateway.exchange(&call(guess, "", "{}")).await.status, status, "{guess}");
    }
    let answer = gateway.exchange(&kaleyra(USER, "e1")).await;
    assert_eq!((answer.status, answer.header("retry-after")), (429, Some("60")));
    tokio::time::sleep(Duration::from_secs(60)).await;
    assert_eq!(decide(&gateway, &kaleyra(USER, "e1")).await, "started");
}

#[tokio::test(start_paused = true)]
async fn what_is_no_call_is_refused_as_a_problem() {
    let gateway = start();
    let head = |method: &str, token: &str, more: &str| {
        format!("{method} /webhooks/{token} HTTP/1.1\r\nHost: t\r\n{more}\r\n").into_bytes()
    };
    let long = " ".repeat(256 * 1024 + 1);
    let most = format!("{}{}", composing(USER, "e1"), " ".repeat(256 * 1024 - composing(USER, "e1").len()));
    assert_eq!(decide(&gateway, &call(KALEYRA, "", &most)).await, "started", "the limit itself");
    for (what, request, status) in [
        ("a GET", head("GET", KALEYRA, ""), 405),
        ("a PUT to nobody's", head("PUT", "nobody", ""), 404),
        ("a GET without the secret", head("GET", PINNACLE, ""), 405),
        ("a long body", call(KALEYRA, "", &long), 413),
        ("a long body without the secret", call(PINNACLE, "", &long), 401),
        ("a long promise", head("POST", KALEYRA, "Content-Length: 262145\r\n"), 413),
        ("a compressed body", call(KALEYRA, "Content-Encoding: gzip\r\n", "{}"), 415),
        ("no body", call(KALEYRA, "", ""), 400),
        ("no JSON", call(KALEYRA, "", "{"), 400),
        ("a member twice", call(KALEYRA, "", r#"{"type":1,"type":2}"#), 400),
        ("no JSON without the secret", call(PINNACLE, "", "{"), 401),
        ("a page's", call(KALEYRA, "Sec-Fetch-Site: cross-site\r\n", "{}"), 403),
    ] {
        let answer = gateway.exchange(&request).await;
        assert_eq!(answer.status, status, "{what}: {}", answer.body);
        assert_eq!(answer.json()["status"], json!(status), "{what}");
        let allow = (status == 405).then_some("POST");
        assert_eq!(answer.header("allow"), allow, "{what}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_body_that_does_not_come_is_not_waited_for() {
    let gateway = start();
    let mut wire: Wire<_> = gateway.connect();
    let head = format!("POST /webhooks/{KALEYRA} HTTP/1.1\r\nHost: t\r\nContent-Length: 10\r\n\r\n{{");
    assert_eq!(wire.exchange(head.as_bytes()).await.status, 408);
}

#[tokio::test(start_paused = true)]
async fn a_tenants_rate_is_spent_by_its_own_webhooks() {
    let mut config = config();
    let quota = &mut config.tenancy.tenants[0].quota;
    (quota.requests_per_second, quota.burst) = (NonZeroU32::MIN, NonZeroU32::new(2).unwrap());
    let gateway = InProcess::with(config);
    // Whoever cannot prove itself spends nothing.
    for _ in 0..5 {
        assert_eq!(gateway.exchange(&call(PINNACLE, "", "{}")).await.status, 401);
    }
    assert_eq!(decide(&gateway, &pinnacle_typing()).await, "started");
    assert_eq!(decide(&gateway, &pinnacle_message("m1")).await, "ended");
    let answer = gateway.exchange(&kaleyra(USER, "e1")).await;
    assert_eq!((answer.status, answer.header("retry-after")), (429, Some("1")));
    let globex = "PINNACLE-SIGNING-SECRET: whsec-globex\r\n";
    assert_eq!(decide(&gateway, &call(GLOBEX, globex, &pinnacle_event("USER.TYPING", ""))).await, "started");
    tokio::time::sleep(Duration::from_secs(1)).await;
    assert_eq!(decide(&gateway, &kaleyra(USER, "e1")).await, "started", "what was refused is not lost");
}

#[tokio::test(start_paused = true)]
async fn a_gateway_that_goes_away_has_it_told_to_another() {
    let gateway = start();
    gateway.0.gateway().let_go().await;
    for request in
        [kaleyra(USER, "e1"), pinnacle_message("m1"), google_signed(EVENT, &signature(CLIENT_TOKEN, EVENT))]
    {
        let answer = gateway.exchange(&request).await;
        assert_eq!((answer.status, answer.json()["status"].clone()), (503, json!(503)));
    }
    assert_eq!(gateway.exchange(&call(PINNACLE, "", "{}")).await.status, 401, "nobody else learns of it");
}

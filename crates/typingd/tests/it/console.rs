//! The console: its page, who may use it, and what its feed tells.

use std::time::Duration;

use serde_json::{Value, json};
use tokio::io::DuplexStream;
use tokio::time::timeout;
use typingd::config::{Config, Console};

use crate::socket::client::{Client, handshake, issued, ticket};
use crate::support::{
    Answer, Events, InProcess, config, kaleyra_message, kaleyra_typing, pinnacle_message, pinnacle_typing,
    post, salesforce,
};

const POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; \
    base-uri 'none'; form-action 'none'; frame-ancestors 'none'; require-trusted-types-for 'script'; \
    trusted-types 'none'";

const ORIGIN: &str = "Origin: http://localhost\r\n";

/// Two tenants, who log in.
fn serving() -> InProcess {
    InProcess::with(Config { console: Console::Login, ..config(Duration::from_secs(20)) })
}

/// `acme` alone, and everybody is let in.
fn open() -> InProcess {
    let mut config = Config { console: Console::Open, ..config(Duration::from_secs(20)) };
    config.tenancy.tenants.truncate(1);
    config.tenancy.accounts.kaleyra.truncate(2);
    config.tenancy.accounts.pinnacle.truncate(2);
    InProcess::with(config)
}

fn request(method: &str, path: &str, headers: &str) -> Vec<u8> {
    format!("{method} {path} HTTP/1.1\r\nHost: localhost\r\n{headers}\r\n").into_bytes()
}

fn get(path: &str, headers: &str) -> Vec<u8> {
    request("GET", path, headers)
}

fn local_post(path: &str, headers: &str, body: &str) -> Vec<u8> {
    let request = String::from_utf8(post(path, headers, body)).unwrap();
    request.replacen("Host: t\r\n", "Host: localhost\r\n", 1).into_bytes()
}

/// Logs in, and says the cookie as a header.
async fn log_in(gateway: &InProcess, key: &str) -> String {
    let headers = format!("{ORIGIN}Authorization: Bearer {key}\r\nContent-Length: 0\r\n");
    let answer = gateway.exchange(&request("POST", "/console/session", &headers)).await;
    assert_eq!(answer.status, 204, "{answer:?}");
    let cookie = answer.header("set-cookie").unwrap();
    let (token, attributes) = cookie.split_once("; ").unwrap();
    assert_eq!(attributes, "HttpOnly; SameSite=Strict; Secure; Path=/; Max-Age=3600");
    assert_eq!(token.strip_prefix("__Host-typingd_session=").unwrap().len(), 64);
    format!("Cookie: theme=dark; {token}\r\n")
}

async fn session(gateway: &InProcess, cookie: &str) -> Answer {
    gateway.exchange(&get("/console/session", cookie)).await
}

async fn feed(gateway: &InProcess, cookie: &str) -> Events<DuplexStream> {
    gateway.connect().events(&get("/console/feed", cookie)).await
}

fn said(channel: &str, user: &str, text: &str) -> String {
    json!({"channel": channel, "agent": "a", "user": user, "composer": "user", "participant": "p", "name": "Ada", "text": text})
        .to_string()
}

#[tokio::test(start_paused = true)]
async fn the_page_comes_with_its_policy_and_nothing_inline() {
    for gateway in [serving(), open()] {
        let page = gateway.exchange(&get("/", "")).await;
        assert_eq!((page.status, page.header("content-type")), (200, Some("text/html; charset=utf-8")));
        for (header, value) in [
            ("content-security-policy", POLICY),
            ("x-content-type-options", "nosniff"),
            ("referrer-policy", "no-referrer"),
            ("cross-origin-opener-policy", "same-origin"),
            ("cross-origin-resource-policy", "same-origin"),
            ("cache-control", "no-cache"),
        ] {
            assert_eq!(page.header(header), Some(value), "{header}");
        }
        let html = page.body.to_ascii_lowercase();
        let tags: Vec<&str> = html.split('<').skip(1).filter_map(|rest| rest.split('>').next()).collect();
        let has = |tag: &str, attribute: &str| {
            tag.split_whitespace().skip(1).any(|word| word.starts_with(attribute))
        };
        let has_handler =
            |tag: &str| tag.split_whitespace().any(|word| word.starts_with("on") && word.contains('='));
        for tag in tags {
            assert!(!tag.starts_with("script") || has(tag, "src="), "<{tag}>");
            assert!(tag.split_whitespace().next() != Some("style") && !has(tag, "style="), "<{tag}>");
            assert!(!has_handler(tag) && !tag.contains("javascript:") && !tag.contains("data:"), "<{tag}>");
        }
        for part in html.split("src=\"").chain(html.split("href=\"")).skip(1) {
            let path = part.split('"').next().unwrap();
            if path.starts_with("/console/") {
                assert_eq!(gateway.exchange(&get(path, "")).await.status, 200, "{path}");
            }
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_file_is_sent_once_for_each_version() {
    let gateway = serving();
    let script = gateway.exchange(&get("/console/typing-dots/client.js", "")).await;
    assert_eq!((script.status, script.header("content-type")), (200, Some("text/javascript; charset=utf-8")));
    assert_eq!(script.header("x-content-type-options"), Some("nosniff"));
    let etag = script.header("etag").unwrap();
    let again =
        gateway.exchange(&get("/console/typing-dots/client.js", &format!("If-None-Match: {etag}\r\n"))).await;
    assert_eq!((again.status, again.body.as_str(), again.header("etag")), (304, "", Some(etag)));
    let stale =
        gateway.exchange(&get("/console/typing-dots/client.js", "If-None-Match: \"other\"\r\n")).await;
    assert_eq!((stale.status, stale.body), (200, script.body));
    let wrong =
        gateway.exchange(&request("POST", "/console/typing-dots/client.js", "Content-Length: 0\r\n")).await;
    assert_eq!((wrong.status, wrong.header("allow")), (405, Some("GET, HEAD")));
    let mut wire = gateway.connect();
    wire.send(&request("HEAD", "/", "")).await;
    wire.send(b"").await;
    assert_eq!(wire.head().await.unwrap().0, 200);
}

#[tokio::test(start_paused = true)]
async fn by_default_there_is_no_console() {
    let gateway = InProcess::start();
    for path in ["/", "/console/session", "/console/feed", "/console/api.js", "/console/messages"] {
        let answer = gateway.exchange(&get(path, "")).await;
        assert_eq!(
            (answer.status, answer.header("content-type")),
            (404, Some("application/problem+json")),
            "{path}"
        );
    }
    assert!(!gateway.0.gateway().metrics.text().contains("console"));
    let gateway = serving();
    for path in ["/console/messages", "/console/nothing", "/console", "/nothing"] {
        assert_eq!(gateway.exchange(&get(path, "")).await.status, 404, "{path}");
    }
    assert!(gateway.0.gateway().metrics.text().contains(r#"door="console",status="404""#));
}

#[tokio::test(start_paused = true)]
async fn whoever_has_a_key_logs_in_for_an_hour() {
    let gateway = serving();
    let nobody = session(&gateway, "").await;
    assert_eq!((nobody.status, nobody.json()["status"].as_u64()), (401, Some(401)));
    let cookie = log_in(&gateway, "acme-key").await;
    let answer = session(&gateway, &cookie).await;
    assert_eq!((answer.status, answer.header("cache-control")), (200, Some("no-store")));
    let shown = answer.json();
    assert_eq!((shown["mode"].as_str(), shown["tenant"].as_str()), (Some("serve"), Some("acme")));
    assert_eq!(shown["keeps_messages"], false);
    let channel = |name: &str, kind: &str| json!({"name": name, "kind": kind, "ttl_ms": 20_000});
    assert_eq!(
        shown["channels"],
        json!([channel("kaleyra", "rcs"), channel("pinnacle", "rcs"), channel("salesforce", "opaque")])
    );
    tokio::time::advance(Duration::from_secs(60 * 60) - Duration::from_millis(10)).await;
    assert_eq!(session(&gateway, &cookie).await.status, 200);
    tokio::time::advance(Duration::from_millis(10)).await;
    assert_eq!(session(&gateway, &cookie).await.status, 401, "used or not");
}

#[tokio::test(start_paused = true)]
async fn a_session_ends_by_logging_out_or_in_again() {
    let gateway = serving();
    let first = log_in(&gateway, "acme-key").await;
    let other = log_in(&gateway, "globex-key").await;
    assert_eq!(session(&gateway, &other).await.json()["tenant"], "globex");
    let out = gateway.exchange(&request("DELETE", "/console/session", &format!("{ORIGIN}{first}"))).await;
    assert_eq!(out.status, 204);
    let cleared = out.header("set-cookie").unwrap();
    assert!(
        cleared.starts_with("__Host-typingd_session=;") && cleared.ends_with("; Path=/; Max-Age=0"),
        "{cleared}"
    );
    assert_eq!(session(&gateway, &first).await.status, 401);
    assert_eq!(session(&gateway, &other).await.status, 200);
    let again = format!("{other}Authorization: Bearer acme-key\r\nContent-Length: 0\r\n");
    assert_eq!(gateway.exchange(&request("POST", "/console/session", &again)).await.status, 204);
    assert_eq!(session(&gateway, &other).await.status, 401, "it was replaced");
}

#[tokio::test(start_paused = true)]
async fn nobody_is_shown_somebody_elses_session_by_a_cookie_that_was_added() {
    let gateway = serving();
    let (own, added) = (log_in(&gateway, "acme-key").await, log_in(&gateway, "globex-key").await);
    let token = |cookie: &str| cookie.trim_end().rsplit_once("; ").unwrap().1.to_owned();
    let (own, added) = (token(&own), token(&added));
    for sent in [
        format!("Cookie: {added}; {own}\r\n"),
        format!("Cookie: {own}; {added}\r\n"),
        format!("Cookie: {added}\r\nCookie: {own}\r\n"),
        format!("Cookie: __Host-typingd_session=x; {own}\r\n"),
        format!("Cookie: __Host-typingd_session=; {own}\r\n"),
        format!("Cookie: {}\r\n", own.trim_start_matches("__Host-")),
    ] {
        assert_eq!(session(&gateway, &sent).await.status, 401, "{sent}");
    }
    let sent = format!("Cookie: typingd_session=x; {own}; a=b\r\n");
    assert_eq!(session(&gateway, &sent).await.json()["tenant"], "acme");
    let out = format!("{ORIGIN}Cookie: {added}; {own}\r\n");
    assert_eq!(gateway.exchange(&request("DELETE", "/console/session", &out)).await.status, 204);
    for token in [own, added] {
        assert_eq!(
            session(&gateway, &format!("Cookie: {token}\r\n")).await.status,
            401,
            "who leaves, leaves all"
        );
    }
}

#[tokio::test(start_paused = true)]
async fn wrong_keys_count_towards_the_addresss_limit() {
    let mut config = Config { console: Console::Login, ..config(Duration::from_secs(20)) };
    config.limits.failed_authentications_per_minute = 2;
    let gateway = InProcess::with(config);
    let try_key = |key: &str| {
        request("POST", "/console/session", &format!("Authorization: Bearer {key}\r\nContent-Length: 0\r\n"))
    };
    for (key, status) in [("wrong", 401), ("", 401), ("acme-key", 429)] {
        assert_eq!(gateway.exchange(&try_key(key)).await.status, status, "{key}");
    }
    // A cookie that has lapsed is nobody's guess.
    assert_eq!(session(&gateway, "Cookie: __Host-typingd_session=0\r\n").await.status, 401);
}

#[tokio::test(start_paused = true)]
async fn a_session_ends_with_its_key() {
    let gateway = serving();
    let cookie = log_in(&gateway, "acme-key").await;
    let other = log_in(&gateway, "globex-key").await;
    let (mut events, mut theirs) = (feed(&gateway, &cookie).await, feed(&gateway, &other).await);
    assert_eq!(events.whats(1).await, ["conversations"]);
    assert_eq!(theirs.whats(1).await, ["conversations"]);
    let mut tenancy = config(Duration::from_secs(20)).tenancy;
    tenancy.tenants[0].api_keys = vec![typingd_providers::Secret::new("new-key")];
    let before = gateway.0.gateway().clock.now();
    gateway.0.gateway().reload(tenancy).await.unwrap();
    assert_eq!(events.whats(1).await, ["closed revoked"]);
    assert_eq!(gateway.0.gateway().clock.now(), before, "at once");
    assert!(events.next().await.is_none());
    assert_eq!(session(&gateway, &cookie).await.status, 401);
    assert_eq!(session(&gateway, &other).await.status, 200);
    theirs.comment().await;
}

#[tokio::test(start_paused = true)]
async fn only_its_own_page_may_use_it() {
    for gateway in [serving(), open()] {
        let is_open = gateway.0.gateway().console.transcript.is_some();
        let cookie = if is_open { String::new() } else { log_in(&gateway, "acme-key").await };
        for (headers, status) in [
            ("Origin: http://evil.example\r\n", 403),
            ("Origin: null\r\n", 403),
            ("Origin: http://localhost:3000\r\n", 403),
            ("Sec-Fetch-Site: cross-site\r\n", 403),
            ("Sec-Fetch-Site: same-site\r\n", 403),
            ("Sec-Fetch-Site: same-origin\r\n", 204),
            (ORIGIN, 204),
        ] {
            let headers = format!("{cookie}{headers}");
            let out = gateway.exchange(&request("DELETE", "/console/session", &headers)).await;
            assert_eq!(out.status, status, "{headers}");
            if status == 403 {
                assert_eq!(out.header("content-type"), Some("application/problem+json"));
                assert_eq!(gateway.exchange(&get("/console/feed", &headers)).await.status, 403, "{headers}");
                assert_eq!(gateway.exchange(&get("/", &headers)).await.status, 200, "a link leads to it");
            }
        }
    }
}

#[tokio::test(start_paused = true)]
async fn behind_tls_a_page_that_came_in_clear_is_not_its_own() {
    let mut config = Config { console: Console::Login, ..config(Duration::from_secs(20)) };
    config.limits.trusted_proxies = vec!["127.0.0.1".parse().unwrap()];
    let gateway = InProcess::with(config);
    for (proto, origin, status) in [
        ("https", "https://localhost", 204),
        ("https", "http://localhost", 403),
        ("http", "http://localhost", 204),
        ("ftp", "https://localhost", 204),
    ] {
        let headers = format!("X-Forwarded-Proto: {proto}\r\nOrigin: {origin}\r\n");
        let answer = gateway.exchange(&request("DELETE", "/console/session", &headers)).await;
        assert_eq!(answer.status, status, "{proto} {origin}");
    }
}

#[tokio::test(start_paused = true)]
async fn without_a_login_it_answers_to_this_machines_names_alone() {
    let with_host = |path: &str, host: &str| {
        String::from_utf8(get(path, "")).unwrap().replace("localhost", host).into_bytes()
    };
    let (dev, serve) = (open(), serving());
    for path in ["/", "/console/session", "/console/api.js"] {
        for (host, status) in [
            ("localhost:8080", 200),
            ("127.0.0.1", 200),
            ("[::1]:8080", 200),
            ("rebound.example", 403),
            ("10.0.0.1", 403),
        ] {
            assert_eq!(dev.exchange(&with_host(path, host)).await.status, status, "{path} {host}");
        }
        assert_ne!(serve.exchange(&with_host(path, "typing.example")).await.status, 403, "{path}");
    }
    let mut message =
        String::from_utf8(local_post("/console/messages", "", &said("pinnacle", "+14155550123", "x")))
            .unwrap();
    message = message.replace("localhost", "rebound.example");
    assert_eq!(dev.exchange(message.as_bytes()).await.status, 403);
}

#[tokio::test(start_paused = true)]
async fn a_message_through_a_door_shows_in_dev_mode() {
    let gateway = open();
    gateway.exchange(&kaleyra_message(&["+14155550001", "+14155550002"])).await;
    let mut events = feed(&gateway, "").await;
    assert_eq!(
        events.headers.iter().find(|(name, _)| name == "content-type").unwrap().1,
        "text/event-stream"
    );
    let listed = events.next().await.unwrap();
    let talks = listed.data["conversations"].as_array().unwrap();
    assert_eq!(listed.name, "conversations");
    assert_eq!(talks.len(), 2, "one for each recipient");
    for talk in talks {
        assert_eq!(talk["messages"], json!([{"composer": "agent", "text": "Hello", "ago_ms": 0}]), "{talk}");
        assert_eq!((talk["channel"].as_str(), talk["agent"].as_str()), (Some("kaleyra"), Some("kio_rcs")));
    }
    assert_eq!(talks[0]["user"], "+14155550002", "the newest is the first");
    let said = |channel: &str, agent: &str, user: &str, composer: &str, text: &str| json!({"channel": channel, "agent": agent, "user": user, "composer": composer, "text": text});
    for (request, expected) in [
        (
            pinnacle_message("+14155550003"),
            said("pinnacle", "agent_pinnacle", "+14155550003", "agent", "hello"),
        ),
        (
            salesforce("Message", "7", "David Wood"),
            said("salesforce", "b0ffeafe-1", "David Wood", "user", "Hi"),
        ),
    ] {
        gateway.exchange(&request).await;
        let message = next_named(&mut events, "message").await;
        assert_eq!(message, expected);
    }
    // A repeat of the same payload, a typing call, whatever it has beside, what goes out later and a refusal say nothing.
    for (path, body) in [
        ("typing", r#"{"agentId":"agent_pinnacle","to":"+14155550003","text":"typed"}"#),
        (
            "send/rcs",
            r#"{"from":"agent_pinnacle","to":"+14155550003","text":"later","options":{"schedule":"2030-01-01T00:00:00Z"}}"#,
        ),
    ] {
        let request = post(&format!("/messages/{path}"), "PINNACLE-API-KEY: test_key\r\n", body);
        assert_eq!(gateway.exchange(&request).await.status, 200, "{body}");
    }
    gateway.exchange(&salesforce("Message", "7", "David Wood")).await;
    gateway.exchange(&pinnacle_typing("+14155550003")).await;
    gateway.exchange(&pinnacle_message("+0")).await;
    gateway
        .exchange(&local_post("/console/messages", ORIGIN, &self::said("kaleyra", "14155550001", "last")))
        .await;
    let last = next_named(&mut events, "message").await;
    assert_eq!((last["text"].as_str(), last["user"].as_str()), (Some("last"), Some("+14155550001")));
}

async fn next_named(events: &mut Events<DuplexStream>, name: &str) -> Value {
    loop {
        let event = events.next().await.unwrap();
        if event.name == name {
            return event.data;
        }
        assert_eq!(event.name, "activity");
    }
}

#[tokio::test(start_paused = true)]
async fn what_is_typed_in_the_console_is_checked_and_shown() {
    let gateway = open();
    let mut events = feed(&gateway, "").await;
    events.whats(1).await;
    let body = said("pinnacle", "+14155550123", "Hello");
    for (field, wrong) in [
        ("channel", body.replace("pinnacle", "telegraph")),
        ("user", body.replace("+14155550123", "Ada")),
        ("composer", body.replace("\"composer\":\"user\"", "\"composer\":\"bot\"")),
        ("agent", body.replace("\"agent\":\"a\"", "\"agent\":7")),
        ("name", body.replace("Ada", "")),
        ("text", body.replace("Hello", "")),
        ("text", body.replace("\"Hello\"", "null")),
        ("colour", body.replacen('{', r#"{"colour":"red","#, 1)),
    ] {
        let answer = gateway.exchange(&local_post("/console/messages", ORIGIN, &wrong)).await;
        assert_eq!(
            (answer.status, answer.json()["errors"][0]["field"].as_str()),
            (400, Some(field)),
            "{wrong}"
        );
    }
    let plain = String::from_utf8(local_post("/console/messages", "", &body))
        .unwrap()
        .replace("application/json", "text/plain");
    assert_eq!(gateway.exchange(plain.as_bytes()).await.status, 415);
    assert_eq!(gateway.exchange(&local_post("/console/messages", "", &" ".repeat(20_000))).await.status, 413);
    assert_eq!(gateway.exchange(&local_post("/console/messages", ORIGIN, &body)).await.status, 204);
    let shown = next_named(&mut events, "message").await;
    assert_eq!(shown, serde_json::from_str::<Value>(&body).unwrap());
    let anew = feed(&gateway, "").await.next().await.unwrap().data;
    assert_eq!(anew["conversations"][0]["messages"][0]["name"], "Ada");
    let leases =
        gateway.0.gateway().list(&typingd_core::Scope::tenant("acme"), gateway.0.gateway().clock.now()).await;
    assert!(leases.unwrap().leases.is_empty(), "it says nothing about typing");
}

#[tokio::test(start_paused = true)]
async fn no_text_is_kept_where_people_log_in() {
    for mode in [Console::Off, Console::Login] {
        let gateway = InProcess::with(Config { console: mode, ..config(Duration::from_secs(20)) });
        assert!(gateway.0.gateway().console.transcript.is_none());
    }
    let gateway = serving();
    let cookie = log_in(&gateway, "acme-key").await;
    let mut events = feed(&gateway, &cookie).await;
    events.whats(1).await;
    gateway.exchange(&pinnacle_message("+14155550003")).await;
    assert_eq!(events.whats(1).await, ["activity"]);
    let listed = feed(&gateway, &cookie).await.next().await.unwrap().data;
    assert_eq!(listed["conversations"][0]["messages"], json!([]));
    let body = said("pinnacle", "+14155550123", "Hello");
    assert_eq!(gateway.exchange(&local_post("/console/messages", &cookie, &body)).await.status, 404);
}

#[tokio::test(start_paused = true)]
async fn a_feed_says_where_something_happens_and_to_whom_it_belongs() {
    let gateway = serving();
    let (acme, globex) = (log_in(&gateway, "acme-key").await, log_in(&gateway, "globex-key").await);
    gateway.exchange(&pinnacle_typing("+14155550003")).await;
    let (mut ours, mut theirs) = (feed(&gateway, &acme).await, feed(&gateway, &globex).await);
    let listed = ours.next().await.unwrap().data;
    let parties = json!({"channel": "pinnacle", "agent": "agent_pinnacle", "user": "+14155550003"});
    for (field, value) in parties.as_object().unwrap() {
        assert_eq!(listed["conversations"][0][field], *value);
    }
    assert_eq!(theirs.next().await.unwrap().data, json!({"conversations": []}));
    gateway.exchange(&pinnacle_typing("+14155550003")).await;
    let event = ours.next().await.unwrap();
    assert_eq!((event.name.as_str(), event.data), ("activity", parties));
    gateway.exchange(&kaleyra_typing("+14155550004")).await;
    assert_eq!(ours.next().await.unwrap().data["channel"], "kaleyra");
    theirs.comment().await;
}

#[tokio::test(start_paused = true)]
async fn a_conversation_is_told_of_once_in_a_pause() {
    let gateway = serving();
    let cookie = log_in(&gateway, "acme-key").await;
    let mut events = feed(&gateway, &cookie).await;
    events.whats(1).await;
    let at = || gateway.0.gateway().clock.now().as_millis();
    gateway.exchange(&pinnacle_typing("+14155550003")).await;
    assert_eq!(events.whats(1).await, ["activity"]);
    let first = at();
    for _ in 0..50 {
        gateway.exchange(&pinnacle_typing("+14155550003")).await;
    }
    assert_eq!(events.whats(1).await, ["activity"]);
    assert_eq!(at() - first, 100);
    events.comment().await;
    assert!(at() - first >= 15_000, "and then nothing");
}

#[tokio::test(start_paused = true)]
async fn a_feed_that_cannot_keep_up_gets_the_list_anew() {
    let gateway = serving();
    let cookie = log_in(&gateway, "acme-key").await;
    let mut events = feed(&gateway, &cookie).await;
    events.whats(1).await;
    for user in 0..250 {
        gateway.exchange(&pinnacle_typing(&format!("+1415555{user:04}"))).await;
    }
    loop {
        let event = events.next().await.unwrap();
        if event.name == "conversations" {
            assert_eq!(event.data["conversations"].as_array().unwrap().len(), 200);
            assert_eq!(event.data["conversations"][0]["user"], "+14155550249");
            break;
        }
    }
}

#[tokio::test(start_paused = true)]
async fn the_page_gets_tickets_for_its_session() {
    for gateway in [serving(), open()] {
        let is_open = gateway.0.gateway().console.transcript.is_some();
        let cookie = if is_open { String::new() } else { log_in(&gateway, "acme-key").await };
        let body = r#"{"side":"agent","access":"read_write"}"#;
        let ask = |headers: &str| local_post("/console/tickets", headers, body);
        let answer = gateway.exchange(&ask(&format!("{ORIGIN}{cookie}"))).await;
        assert_eq!((answer.status, answer.header("cache-control")), (200, Some("no-store")), "{answer:?}");
        assert_eq!(answer.json()["expires_in_ms"], 30_000);
        let foreign = gateway.exchange(&ask(&format!("Origin: http://evil.example\r\n{cookie}"))).await;
        assert_eq!(foreign.status, 403);
        if !is_open {
            assert_eq!(gateway.exchange(&ask(ORIGIN)).await.status, 401);
        }
    }
}

/// A ticket that the page asks for, for its session.
async fn ticket_of(gateway: &InProcess, cookie: &str) -> String {
    let body = r#"{"side":"agent","access":"read_write"}"#;
    issued(&gateway.exchange(&local_post("/console/tickets", &format!("{ORIGIN}{cookie}"), body)).await)
}

async fn socket(gateway: &InProcess, ticket: &str) -> Client<DuplexStream> {
    let mut client = Client::shake_hands(gateway.connect(), &handshake(ticket)).await.unwrap();
    assert_eq!(client.next().await["type"], "hello");
    client
}

#[tokio::test(start_paused = true)]
async fn what_a_session_has_opened_closes_with_it() {
    const REVOKED: (u16, &str) = (4401, "revoked");
    const LONG: Duration = Duration::from_secs(2 * 60 * 60);
    let of_key = json!({"side": "agent", "access": "read"});
    for ending in ["log-out", "log-in", "lapse", "key", "too many"] {
        let gateway = serving();
        let (cookie, other) = (log_in(&gateway, "acme-key").await, log_in(&gateway, "globex-key").await);
        let mut theirs = socket(&gateway, &ticket_of(&gateway, &other).await).await;
        let mut by_key = socket(&gateway, &ticket(&gateway, "acme-key", &of_key).await).await;
        let mut client = socket(&gateway, &ticket_of(&gateway, &cookie).await).await;
        let path = format!("/typing/v1/stream?ticket={}", ticket_of(&gateway, &cookie).await);
        let mut stream = gateway.connect().events(&get(&path, "")).await;
        assert_eq!(stream.whats(1).await, ["snapshot"]);
        let waiting = ticket_of(&gateway, &cookie).await;
        let began = gateway.0.gateway().clock.now();
        match ending {
            "log-out" => {
                let out = request("DELETE", "/console/session", &format!("{ORIGIN}{cookie}"));
                gateway.exchange(&out).await;
            }
            "log-in" => {
                let again = format!("{cookie}Authorization: Bearer acme-key\r\nContent-Length: 0\r\n");
                gateway.exchange(&request("POST", "/console/session", &again)).await;
            }
            "key" => {
                let mut tenancy = config(Duration::from_secs(20)).tenancy;
                tenancy.tenants[0].api_keys = vec![typingd_providers::Secret::new("new-key")];
                gateway.0.gateway().reload(tenancy).await.unwrap();
            }
            "too many" => {
                for _ in 0..1_024 {
                    log_in(&gateway, "acme-key").await;
                }
            }
            _ => {}
        }
        let end = async {
            loop {
                let frame = client.frame().await.unwrap();
                match frame.opcode {
                    9 => client.send_frame(true, 10, &frame.payload).await,
                    _ => break frame,
                }
            }
        };
        let end = timeout(LONG, end).await.expect(ending);
        assert_eq!(end.close(), REVOKED, "{ending}");
        let told = timeout(LONG, stream.whats(1)).await.expect(ending);
        assert_eq!((told[0].as_str(), stream.next().await.is_none()), ("closed revoked", true), "{ending}");
        let took = gateway.0.gateway().clock.now().since(began);
        let expected = if ending == "lapse" { 60 * 60 } else { 0 };
        assert_eq!(took.as_secs(), expected, "{ending}");
        if ending == "lapse" {
            continue;
        }
        let late = Client::shake_hands(gateway.connect(), &handshake(&waiting)).await.err().unwrap();
        assert_eq!(late.status, 401, "{ending}: a ticket from before");
        let ping = json!({"type": "ping"});
        assert_eq!(theirs.ask(ping.clone()).await["type"], "pong", "{ending}");
        if ending != "key" {
            assert_eq!(by_key.ask(ping).await["type"], "pong", "{ending}: the key is good");
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_tenant_has_so_many_feeds_and_a_closed_one_makes_room() {
    let gateway = serving();
    let (acme, globex) = (log_in(&gateway, "acme-key").await, log_in(&gateway, "globex-key").await);
    let mut feeds = Vec::new();
    for _ in 0..64 {
        feeds.push(feed(&gateway, &acme).await);
    }
    let refused = gateway.exchange(&get("/console/feed", &acme)).await;
    assert_eq!((refused.status, refused.header("retry-after")), (429, Some("5")));
    assert_eq!(feed(&gateway, &globex).await.whats(1).await, ["conversations"], "another tenant gets one");
    feeds.pop();
    while gateway.0.gateway().metrics.connections.get() > 63 {
        tokio::task::yield_now().await;
    }
    assert_eq!(feed(&gateway, &acme).await.whats(1).await, ["conversations"]);
}

#[tokio::test(start_paused = true)]
async fn a_feed_ends_with_its_session_and_with_the_gateway() {
    let gateway = serving();
    let (first, second, third) = (
        log_in(&gateway, "acme-key").await,
        log_in(&gateway, "acme-key").await,
        log_in(&gateway, "acme-key").await,
    );
    let (mut out, mut drained) = (feed(&gateway, &first).await, feed(&gateway, &second).await);
    let mut lapsed = feed(&gateway, &third).await;
    for events in [&mut out, &mut drained, &mut lapsed] {
        events.whats(1).await;
    }
    gateway.exchange(&request("DELETE", "/console/session", &format!("{ORIGIN}{first}"))).await;
    assert_eq!(out.whats(1).await, ["closed revoked"]);
    assert!(out.next().await.is_none());
    gateway.exchange(&pinnacle_typing("+14155550003")).await;
    gateway.0.drain().await;
    assert_eq!(drained.whats(2).await, ["activity", "closed draining"]);
    assert!(drained.next().await.is_none() && drained.is_finished);
}

#[tokio::test(start_paused = true)]
async fn a_feed_ends_when_its_hour_is_over() {
    let gateway = serving();
    let cookie = log_in(&gateway, "acme-key").await;
    let mut events = feed(&gateway, &cookie).await;
    events.whats(1).await;
    tokio::time::advance(Duration::from_secs(60 * 60 - 50)).await;
    assert_eq!(events.whats(1).await, ["closed revoked"]);
    assert_eq!(gateway.0.gateway().clock.now().as_millis() / 15_000, 60 * 60 / 15);
}

#[tokio::test(start_paused = true)]
async fn commands_to_paste_name_the_gateway_as_the_caller_does() {
    let commands = |answer: &Answer| -> Vec<String> {
        let tried = answer.json()["try_it"].as_array().unwrap().clone();
        tried.iter().map(|example| example["command"].as_str().unwrap().to_owned()).collect()
    };
    let gateway = serving();
    let cookie = log_in(&gateway, "acme-key").await;
    let shown = commands(&session(&gateway, &cookie).await);
    assert_eq!(shown.len(), 5, "one of each account");
    assert!(shown.iter().all(|command| command.starts_with("curl http://localhost/")), "{shown:?}");
    assert!(shown[0].contains("$KALEYRA_API_KEY") && shown[0].contains("kio_rcs"), "{}", shown[0]);
    for host in ["evil';rm -rf", "a$(id)", "a`id`", "a b", "user@a"] {
        let asked = String::from_utf8(get("/console/session", &cookie)).unwrap().replace("localhost", host);
        let answer = gateway.exchange(asked.as_bytes()).await;
        if answer.status == 200 {
            let shown = commands(&answer);
            assert!(shown.iter().all(|command| command.contains("http://localhost/")), "{host} {shown:?}");
        }
    }
    let mut config = Config { console: Console::Login, ..config(Duration::from_secs(20)) };
    let forwarded = format!("{cookie}X-Forwarded-Proto: https\r\n");
    assert!(
        commands(&session(&gateway, &forwarded).await)[0].contains("http://localhost/"),
        "of nobody we know"
    );
    config.limits.trusted_proxies = vec!["127.0.0.1".parse().unwrap()];
    let gateway = InProcess::with(config);
    let cookie = log_in(&gateway, "acme-key").await;
    let forwarded = format!("{cookie}X-Forwarded-Proto: https\r\n");
    assert!(commands(&session(&gateway, &forwarded).await)[0].contains("https://localhost/"));
    let dev = commands(&session(&open(), "").await);
    assert!(dev[1].contains("-H 'api-key: dev-kaleyra-key'"), "{}", dev[1]);
    assert!(!dev.iter().any(|command| command.contains('$') && !command.contains("$(date")), "{dev:?}");
}

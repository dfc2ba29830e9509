//! A provider may do anything: reset, hang, drip, send garbage or no end. Its own calls fail, and nothing else does.

use std::sync::Arc;
use std::time::Duration;

use tokio::net::TcpListener;
use tokio::sync::Barrier;
use tokio::task::JoinSet;
use typingd::clock::Clock;
use typingd_providers::account::Answered;

use super::provider::{Act, Provider, answer};
use super::{
    FRESHNESS, MESSAGE_TIMEOUT, SLACK, TYPING_TIMEOUT, USER, activity, at_google, at_kaleyra, config,
    is_live, lead, rbm_message, rbm_typing, side,
};
use crate::support::{OnSocket, kaleyra_typing};
use crate::tls;

/// As much as can be written of an answer of which 64 KiB are taken, in bytes: what two kernels keep comes to that.
const TAKEN: usize = 400 * 1024;

/// How long somebody types: as long as one send may be tried.
const TTL: Duration = FRESHNESS;

/// What becomes of one who asks.
#[derive(Clone, Debug)]
enum Trouble {
    /// It is asked, and does this.
    Does(Act),
    /// It sends whoever asks to somebody else.
    Redirects,
    /// It is somewhere where nobody is, or nobody who can be understood.
    IsAt(&'static str),
    /// It has a certificate that nobody trusts.
    IsNotTrusted,
}

use Trouble::{Does, IsAt, IsNotTrusted, Redirects};

/// Each with what a message's caller is answered, and whether the lease goes on after it.
fn troubles() -> Vec<(&'static str, Trouble, u16, bool)> {
    let says = |status, headers: &str| Does(Act::answer(status, headers, r#"{"why":"not now"}"#));
    let head = |text: &str| text.as_bytes().to_vec();
    let endless = head("HTTP/1.1 200 OK\r\nContent-Length: 1000000000000\r\n\r\n");
    let huge = [&b"HTTP/1.1 200 OK\r\n"[..], &b"x: ".repeat(1 << 20), b"\r\n\r\n"].concat();
    let many = format!("HTTP/1.1 200 OK\r\n{}\r\n", "x: y\r\n".repeat(10_000));
    vec![
        ("400", says(400, ""), 400, true),
        ("401", says(401, ""), 401, true),
        ("403", says(403, ""), 403, true),
        ("404", says(404, ""), 404, true),
        ("429", says(429, ""), 429, true),
        ("500", says(500, ""), 500, true),
        ("502", says(502, ""), 502, true),
        ("503", says(503, ""), 503, true),
        ("a redirect", Redirects, 302, true),
        ("no answer", Does(Act::Hang), 504, false),
        ("a slow answer", Does(Act::yes_after(5_000)), 504, false),
        ("a reset", Does(Act::Reset(Vec::new())), 504, false),
        ("a reset in the head", Does(Act::Reset(head("HTTP/1.1 200 OK\r\nContent-"))), 504, false),
        ("an end", Does(Act::Close(Vec::new())), 504, false),
        ("half a head", Does(Act::Close(head("HTTP/1.1 200 OK\r\nContent-Le"))), 504, false),
        ("a byte at a time", Does(Act::Drip(Duration::from_millis(40), answer(200, "", "{}"))), 504, false),
        ("huge headers", Does(Act::Close(huge)), 504, false),
        ("many headers", Does(Act::Close(many.into_bytes())), 504, false),
        ("garbage", Does(Act::Close(b"\x00\xff\x16\x03garbage\r\n\r\n".repeat(100))), 504, false),
        ("two lengths", Does(Act::answer(200, "Content-Length: 7\r\n", "{}")), 504, false),
        (
            "half a body",
            Does(Act::Close(head("HTTP/1.1 200 OK\r\nContent-Length: 99\r\n\r\n{\"a"))),
            504,
            false,
        ),
        ("a body without end", Does(Act::Endless(endless)), 200, false),
        ("nobody there", IsAt("http://127.0.0.1:1"), 503, true),
        ("no TLS", IsAt("https://127.0.0.1:PLAIN"), 503, true),
        ("a certificate of nobody", IsNotTrusted, 503, true),
        ("no such name", IsAt("http://nobody.invalid"), 503, true),
    ]
}

/// A provider in trouble, and where it is; to whom it redirects.
struct Sick {
    provider: Provider,
    url: String,
    other: Provider,
    _tls: JoinSet<()>,
}

impl Sick {
    /// Those whose path has `well` in it are answered well.
    async fn start(trouble: &Trouble, well: &'static str) -> Self {
        let other = Provider::that(Act::yes()).await;
        let act = match trouble {
            Does(act) => act.clone(),
            Redirects => Act::answer(302, &format!("Location: {}/there\r\n", other.url()), ""),
            IsAt(_) | IsNotTrusted => Act::yes(),
        };
        let provider = Provider::start(move |asked, _| {
            if !well.is_empty() && asked.path().contains(well) { Act::yes() } else { act.clone() }
        })
        .await;
        let mut serving = JoinSet::new();
        let url = match trouble {
            Does(_) | Redirects => provider.url(),
            IsAt(url) => url.replace("PLAIN", &provider.address.port().to_string()),
            IsNotTrusted => {
                let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
                let url = format!("https://{}", listener.local_addr().unwrap());
                let name = format!("relay-sick-{}", provider.address.port());
                let (acceptor, _) = tls::acceptor(&name, &[]).await;
                serving.spawn(async move {
                    while let Ok((socket, _)) = listener.accept().await {
                        let _ = acceptor.accept(socket).await;
                    }
                });
                url
            }
        };
        Self { provider, url, other, _tls: serving }
    }
}

/// Typing at two doors, of which the one's provider is in trouble.
async fn type_under(name: &'static str, trouble: Trouble, all: Arc<Barrier>) {
    let well = Provider::that(Act::yes()).await;
    let sick = Sick::start(&trouble, "").await;
    let mut config = config(TTL, Answered::AtOnce);
    lead(&mut config, at_google(&sick.url));
    lead(&mut config, at_kaleyra(&well.url()));
    let gateway = OnSocket::start(config).await;
    all.wait().await;
    let clock = Clock::start();
    let typed = gateway.exchange(&rbm_typing(USER)).await;
    assert_eq!((typed.status, typed.decision()), (200, "started"), "{name}: {typed:?}");
    assert!(clock.elapsed() < TYPING_TIMEOUT, "{name}: answered at once, not in {:?}", clock.elapsed());

    // Somebody else's calls go out as if nothing were, again and again.
    for at in 0..5 {
        let began = well.now();
        assert_eq!(gateway.exchange(&kaleyra_typing(&super::number(at))).await.status, 200, "{name}");
        let asked = well.times(at + 1).await;
        assert!(asked[at].at - began < Duration::from_millis(500), "{name}");
        well.is_left_alone(Duration::from_millis(100)).await;
    }
    let sides = [side("rbm", "agent_rbm", USER), side("kaleyra", "kio_rcs", &super::number(4))];
    for side in &sides {
        assert!(is_live(&gateway.gateway, side).await, "{name}");
    }
    assert!(well.is_left_alone(TTL).await, "{name}");

    let asked = sick.provider.asked();
    let first = asked.first().map_or(Duration::ZERO, |first| first.at);
    assert!(
        asked.len() <= 3 && asked.iter().all(|asked| asked.at - first <= FRESHNESS + SLACK),
        "{name}: {asked:?}"
    );
    let written = asked.iter().map(|asked| asked.written).max().unwrap_or_default();
    assert!(written < TAKEN, "{name}: {written} bytes were taken of an answer");
    assert_eq!(sick.other.asked().len(), 0, "{name}: a redirect was followed");
    let activity = activity(&gateway.gateway, "rbm");
    assert!((1..=3).contains(&activity.counters.types), "{name}: {activity:?}");
    assert_eq!(activity.in_flight, 0, "{name}");
    for side in &sides {
        assert!(!is_live(&gateway.gateway, side).await, "{name}: a lease ends in its time");
    }
    println!("{name}: {} calls, {} requests, {written} bytes", activity.counters.types, asked.len());
    gateway.stop().await;
}

/// Waits for all of them, also where one fails.
async fn finish(mut running: JoinSet<()>) {
    let mut failed = 0;
    while let Some(done) = running.join_next().await {
        failed += usize::from(done.is_err());
    }
    assert_eq!(failed, 0);
}

#[tokio::test]
async fn whatever_a_provider_does_typing_is_answered_at_once_and_others_are_told_as_ever() {
    let mut running = JoinSet::new();
    // A gateway takes a while to start, and they share a thread: none is asked before all are there.
    let all = Arc::new(Barrier::new(troubles().len()));
    for (name, trouble, ..) in troubles() {
        running.spawn(type_under(name, trouble, all.clone()));
    }
    finish(running).await;
}

/// A message by a door whose provider is in trouble with messages alone.
async fn send_under(name: &'static str, trouble: Trouble, (status, goes_on): (u16, bool), all: Arc<Barrier>) {
    let sick = Sick::start(&trouble, "agentEvents").await;
    let mut config = config(Duration::from_secs(20), Answered::AtOnce);
    lead(&mut config, at_google(&sick.url));
    let gateway = OnSocket::start(config).await;
    all.wait().await;
    assert_eq!(gateway.exchange(&rbm_typing(USER)).await.status, 200, "{name}");
    let clock = Clock::start();
    let mut wire = gateway.connect().await;
    wire.send(&rbm_message(USER)).await;
    let (answered, headers) = wire.head().await.expect("an answer");
    let took = clock.elapsed();
    assert_eq!(answered, status, "{name}: {headers:?}");
    // A body may be as slow as its head was.
    let bodies = if answered == 200 { 2 } else { 1 };
    assert!(took < MESSAGE_TIMEOUT * bodies + SLACK, "{name}: {took:?}");
    if (503..=504).contains(&status) {
        let length = headers.iter().find(|(name, _)| name == "content-length").unwrap().1.parse().unwrap();
        let body = String::from_utf8(wire.bytes(length).await.unwrap()).unwrap();
        let word = match name {
            "503" => "not now",
            _ if status == 503 => "UNAVAILABLE",
            _ => "DEADLINE_EXCEEDED",
        };
        assert!(body.contains(word), "{name}: {body}");
    }
    let is_live = is_live(&gateway.gateway, &side("rbm", "agent_rbm", USER)).await;
    assert_eq!(is_live, goes_on, "{name}: whether the lease goes on");
    assert_eq!(sick.other.asked().len(), 0, "{name}: a redirect was followed");
    println!("{name}: {answered} after {took:?}");
}

#[tokio::test]
async fn whatever_a_provider_does_to_a_message_its_sender_is_answered_and_typing_ends_where_it_may_be_there()
{
    let mut running = JoinSet::new();
    let all = Arc::new(Barrier::new(troubles().len()));
    for (name, trouble, status, goes_on) in troubles() {
        running.spawn(send_under(name, trouble, (status, goes_on), all.clone()));
    }
    finish(running).await;
}

#[tokio::test]
async fn a_send_that_fails_is_tried_three_times_and_no_more() {
    let span = Duration::from_secs(4);
    let provider = Provider::that(Act::answer(503, "", "{}")).await;
    let mut config = config(span, Answered::AtOnce);
    lead(&mut config, at_google(&provider.url()));
    config.tenancy.upstreams[0].limits.freshness = span;
    let gateway = OnSocket::start(config).await;
    assert_eq!(gateway.exchange(&rbm_typing(USER)).await.status, 200);
    let asked = provider.times(3).await;
    assert!(asked[2].at - asked[0].at <= span, "{asked:?}");
    println!("tried after {:?} and {:?}", asked[1].at - asked[0].at, asked[2].at - asked[0].at);
    assert!(provider.is_left_alone(span).await, "{:?}", provider.asked());
}

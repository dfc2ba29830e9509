//! Clients that take their time, under a clock that the tests stop.

use std::time::Duration;

use tokio::io::{AsyncWriteExt, duplex, join, sink, split};
use tokio::time::sleep;
use typingd::clock::Clock;

use super::face::{FACES, Face, LISTING, NATIVE, assert_no_lease, one_chunk};
use crate::support::{Answer, InProcess, Wire, pinnacle_typing};

/// The longest that a slow peer is kept.
const MOST_MS: u64 = 10_000;

/// Sends what begins a request, and from then on one of `dripped` each second. Gives the last of so many answers, if
/// there is one, and after how many milliseconds the connection ended.
async fn cut(
    gateway: &InProcess,
    begun: &[u8],
    dripped: &'static [u8],
    answers: usize,
) -> (Option<Answer>, u64) {
    let (client, server) = duplex(64 * 1024);
    gateway.0.serve(server, std::net::Ipv4Addr::LOCALHOST.into(), ());
    let (reader, mut writer) = split(client);
    let clock = Clock::start();
    writer.write_all(begun).await.unwrap();
    let dripping = tokio::spawn(async move {
        for byte in dripped.iter().cycle() {
            sleep(Duration::from_secs(1)).await;
            let _ = writer.write_all(&[*byte]).await;
        }
        std::future::pending().await
    });
    let mut wire = Wire::new(join(reader, sink()));
    let mut last = None;
    for _ in 0..answers {
        last = wire.answer().await;
    }
    assert!(wire.is_closed().await, "an answer too many");
    let ended = clock.now().as_millis();
    let dripping: tokio::task::JoinHandle<()> = dripping;
    dripping.abort();
    (last, ended)
}

#[tokio::test(start_paused = true)]
async fn a_head_that_does_not_come_is_not_waited_for() {
    let gateway = InProcess::start();
    for face in FACES {
        let head = face.head("X: ");
        let unended = &head[..head.len() - 4];
        for (what, begun, dripped) in [
            ("silence", &b""[..], &b""[..]),
            ("empty lines", b"\r\n", b"\r\n"),
            ("a method", b"P", b"P"),
            ("a byte, then silence", b"P", b""),
            ("a target", b"POST /", b"x"),
            ("a header", unended, b"x"),
            ("headers", unended, b"\r\nX: y"),
            ("all but the last byte", &head[..head.len() - 1], b""),
        ] {
            let (_, ms) = cut(&gateway, begun, dripped, 0).await;
            assert!((8_000..=MOST_MS).contains(&ms), "{}: {what}: {ms} ms", face.name);
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_body_that_does_not_come_is_answered_408() {
    let gateway = InProcess::start();
    for face in FACES {
        let length = face.head("Content-Length: 5000\r\n");
        let expecting = face.head("Content-Length: 5000\r\nExpect: 100-continue\r\n");
        let chunked = face.head("Transfer-Encoding: chunked\r\n");
        let in_chunk = [&chunked, &b"fff\r\n"[..]].concat();
        let ended = [&chunked, &b"0\r\n"[..]].concat();
        let mut all_but_one = face.good();
        all_but_one.pop();
        for (what, begun, dripped, answers) in [
            ("silence", &length, &b""[..], 1),
            ("silence after 100 Continue", &expecting, b"", 2),
            ("all but the last byte", &all_but_one, b"", 1),
            ("bytes", &length, b" ", 1),
            ("silence for a chunk", &chunked, b"", 1),
            ("zeros of a chunk's size", &chunked, b"0", 1),
            ("bytes of a chunk", &in_chunk, b" ", 1),
            ("chunks", &chunked, b"1\r\n \r\n", 1),
            ("an extension", &chunked, b"1;xxxxxxxxxxxxxxxx", 1),
            ("a trailer", &ended, b"X", 1),
            ("silence for the last line", &ended, b"", 1),
        ] {
            let what = format!("{}: {what}", face.name);
            let (answer, ms) = cut(&gateway, begun, dripped, answers).await;
            let answer = answer.expect(&what);
            face.dialect.code(&answer, &what);
            assert_eq!((answer.status, answer.header("connection")), (408, Some("close")), "{what}");
            assert!((8_000..=MOST_MS).contains(&ms), "{what}: {ms} ms");
        }
        assert_no_lease(&gateway, face.name).await;
    }
}

#[tokio::test(start_paused = true)]
async fn a_refused_body_is_not_waited_for() {
    let gateway = InProcess::start();
    for face in FACES {
        let (answer, ms) = cut(&gateway, &face.strangers_head("Content-Length: 5000\r\n"), b" ", 1).await;
        face.dialect.code(&answer.unwrap(), face.name);
        assert_eq!(ms, 0, "{}", face.name);
    }
}

#[tokio::test(start_paused = true)]
async fn an_idle_connection_lives_for_75_seconds() {
    let gateway = InProcess::start();
    for face in FACES {
        let requests =
            [face.good(), face.chunked(&one_chunk(&face.good_body())), face.request(b"x"), LISTING.to_vec()];
        // Whole requests, and some that take almost as long as they may.
        for (last, takes_ms) in requests.iter().flat_map(|last| [(last, 0), (last, 8_900)]) {
            let mut wire = gateway.connect();
            for request in requests.iter().chain([last]) {
                let (begun, rest) = request.split_at(if takes_ms == 0 { 0 } else { request.len() - 1 });
                wire.send(begun).await;
                sleep(Duration::from_millis(takes_ms)).await;
                assert!(wire.exchange(rest).await.status < 401, "{}", face.name);
                if !std::ptr::eq(request, last) {
                    sleep(Duration::from_secs(74)).await;
                }
            }
            let clock = Clock::start();
            assert!(wire.is_closed().await, "{}", face.name);
            let idle = clock.now().as_millis();
            assert!((74_900..=76_000).contains(&idle), "{}: {idle} ms", face.name);
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_later_head_is_as_urgent_as_the_first() {
    let gateway = InProcess::start();
    let mut wire = gateway.connect();
    for idle_s in [0, 30, 74] {
        assert_eq!(wire.exchange(LISTING).await.status, 200);
        sleep(Duration::from_secs(idle_s)).await;
    }
    let clock = Clock::start();
    wire.send(b"G").await;
    for byte in b"ET /" {
        sleep(Duration::from_secs(1)).await;
        wire.send(&[*byte]).await;
    }
    assert!(wire.is_closed().await);
    let ms = clock.now().as_millis();
    assert!((8_000..=MOST_MS).contains(&ms), "{ms} ms");
}

#[tokio::test(start_paused = true)]
async fn a_head_that_began_behind_another_request_is_as_urgent_too() {
    let gateway = InProcess::start();
    let rests: [(&str, &[u8]); 4] = [
        ("G", b"G"),
        ("a target", b"GET /typing"),
        ("headers", b"GET / HTTP/1.1\r\nX: "),
        ("a line", b"GET / HTTP/1.1\r\n"),
    ];
    for face in FACES {
        for request in [face.good(), face.chunked(&one_chunk(&face.good_body()))] {
            for (what, rest) in rests {
                let (_, ms) = cut(&gateway, &[&request, rest].concat(), b"", 1).await;
                assert!((8_000..=MOST_MS).contains(&ms), "{}: {what}: {ms} ms", face.name);
                let (_, ms) = cut(&gateway, &[&request, rest].concat(), b"x", 1).await;
                assert!((8_000..=MOST_MS).contains(&ms), "{}: {what}, dripped: {ms} ms", face.name);
            }
        }
    }
}

#[tokio::test(start_paused = true)]
async fn slow_peers_delay_nobody_and_a_stream_outlives_them() {
    let gateway = InProcess::start();
    let clock = Clock::start();
    let mut events = gateway.stream("", "acme-key").await;
    assert_eq!(events.whats(1).await, ["snapshot"]);
    for round in 0..10 {
        let mut peers = Vec::new();
        let bodies = FACES.iter().map(|face: &Face| face.head("Content-Length: 9\r\n"));
        for begun in
            bodies.chain([Vec::new(), b"GET /".to_vec(), NATIVE.head("")[..40].to_vec()]).cycle().take(200)
        {
            let mut peer = gateway.connect();
            peer.send(&begun).await;
            peers.push(peer);
        }
        sleep(Duration::from_secs(1)).await;
        let before = clock.now();
        let served = gateway.exchange(&pinnacle_typing("+14155550123")).await;
        assert_eq!((served.status, served.decision()), (200, "started"), "in round {round}");
        assert_eq!(clock.now(), before, "in round {round}: at once");
        assert_eq!(events.whats(2).await, ["started", "stopped expired"], "in round {round}");
        for mut peer in peers {
            peer.answer().await;
            assert!(peer.is_closed().await, "in round {round}");
        }
    }
    assert!(clock.now().as_millis() >= 200_000, "longer than any deadline");
}

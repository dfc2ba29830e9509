//! Requests that two readers could delimit in two ways: one answer, and the end of the connection.

use tokio::io::DuplexStream;

use super::face::{FACES, Face, LISTING, NATIVE, assert_no_lease, one_chunk};
use crate::support::{InProcess, Wire, pinnacle_message};

/// A request with these lines between its Host and the rest of its head, and this body.
fn with(face: &Face, lines: &str, body: &[u8]) -> Vec<u8> {
    [&face.head(lines), body].concat()
}

/// Requests of a face that could be read in two ways, or addressed to another server.
fn ambiguous(face: &Face) -> Vec<(&'static str, Vec<u8>)> {
    let good = face.good_body();
    let chunks = one_chunk(&good);
    let length = format!("Content-Length: {}\r\n", good.len());
    let chunked = "Transfer-Encoding: chunked\r\n";
    let sized = |size: &str| with(face, &format!("Content-Length: {size}\r\n"), &good);
    let coded = |lines: &str| with(face, lines, &chunks);
    let lined = |lines: &str| with(face, &format!("{lines}{length}"), &good);
    let text = String::from_utf8(face.good()).unwrap();
    let changed = |from: &str, to: &str| {
        assert!(text.contains(from), "{from}");
        text.replacen(from, to, 1).into_bytes()
    };
    let line = format!("POST {} HTTP/1.1\r\n", face.path);
    let started = |start: &str| changed(&line, &format!("{start}\r\n"));
    let at = |target: &str| started(&format!("POST {target} HTTP/1.1"));
    let chunked_in_1_0 = String::from_utf8(coded(chunked)).unwrap().replacen("HTTP/1.1", "HTTP/1.0", 1);
    vec![
        ("a length, then chunked", coded(&format!("{length}{chunked}"))),
        ("chunked, then a length", coded(&format!("{chunked}{length}"))),
        ("chunked, then a length of 0", coded(&format!("{chunked}Content-Length: 0\r\n"))),
        ("a length, then an unknown coding", coded(&format!("{length}Transfer-Encoding: x\r\n"))),
        ("two lengths, the same", lined(&length)),
        ("two lengths, the larger first", lined("Content-Length: 100000\r\n")),
        ("two lengths, the smaller first", lined("Content-Length: 1\r\n")),
        ("two lengths, in other letters", lined("content-LENGTH: 1\r\n")),
        ("two lengths in one line", sized(&format!("{0}, {0}", good.len()))),
        ("a length with a plus sign", sized(&format!("+{}", good.len()))),
        ("a negative length", sized("-1")),
        ("a length in hex", sized(&format!("0x{:x}", good.len()))),
        ("a length with a space in it", sized("1 0")),
        ("a length with a fraction", sized(&format!("{}.0", good.len()))),
        ("an empty length", sized("")),
        ("a length past 64 bits", sized(&format!("18446744073709551616{}", good.len()))),
        ("the coding identity", coded("Transfer-Encoding: identity\r\n")),
        ("chunked twice", coded("Transfer-Encoding: chunked, chunked\r\n")),
        ("gzip and chunked", coded("Transfer-Encoding: gzip, chunked\r\n")),
        ("chunked and identity", coded("Transfer-Encoding: chunked, identity\r\n")),
        ("identity and chunked", coded("Transfer-Encoding: identity, chunked\r\n")),
        ("a comma before chunked", coded("Transfer-Encoding: ,chunked\r\n")),
        ("xchunked", coded("Transfer-Encoding: xchunked\r\n")),
        ("quoted chunked", coded("Transfer-Encoding: \"chunked\"\r\n")),
        ("chunked with a parameter", coded("Transfer-Encoding: chunked;q=1\r\n")),
        ("a vertical tab before chunked", coded("Transfer-Encoding: \x0bchunked\r\n")),
        ("an empty coding", coded("Transfer-Encoding: \r\n")),
        ("two codings, the same", coded(&chunked.repeat(2))),
        ("two codings, identity first", coded(&format!("Transfer-Encoding: identity\r\n{chunked}"))),
        ("two codings, identity last", coded(&format!("{chunked}Transfer-Encoding: identity\r\n"))),
        ("chunked in HTTP/1.0", chunked_in_1_0.into_bytes()),
        ("a folded line", lined("X: y\r\n z\r\n")),
        ("a line folded with a tab", lined("X: y\r\n\tz\r\n")),
        ("a folded coding", coded("Transfer-Encoding:\r\n chunked\r\n")),
        ("a space before the first header", changed("Host: t\r\n", " X: y\r\nHost: t\r\n")),
        ("a bare CR in a value", lined("X: y\rContent-Length: 1\r\n")),
        ("a bare CR after a value", lined("X: y\r\r\n")),
        ("a NUL in a value", lined("X: y\0z\r\n")),
        ("a NUL in a name", lined("X\0: y\r\n")),
        ("a DEL in a value", lined("X: y\x7f\r\n")),
        ("a space before a colon", changed("Content-Length:", "Content-Length :")),
        ("a tab before a colon", coded("Transfer-Encoding\t: chunked\r\n")),
        ("a space within a name", lined("X Y: z\r\n")),
        ("no name", lined(": y\r\n")),
        ("no colon", lined("X\r\n")),
        ("no Host", changed("Host: t\r\n", "")),
        ("two Hosts, the same", lined("Host: t\r\n")),
        ("two Hosts", lined("Host: other\r\n")),
        ("a target on a foreign host", at(&format!("http://other{}", face.path))),
        ("a target on a foreign port", at(&format!("http://t:81{}", face.path))),
        ("CONNECT", started(&format!("CONNECT {} HTTP/1.1", face.path))),
        ("TRACE", started(&format!("TRACE {} HTTP/1.1", face.path))),
        ("no version", started(&format!("POST {}", face.path))),
        ("HTTP/0.9", started(&format!("POST {} HTTP/0.9", face.path))),
        ("HTTP/1.2", started(&format!("POST {} HTTP/1.2", face.path))),
        ("HTTP/2.0", started(&format!("POST {} HTTP/2.0", face.path))),
        ("http in small letters", started(&format!("POST {} http/1.1", face.path))),
        ("a space too many", started(&format!("POST  {} HTTP/1.1", face.path))),
        ("a tab for a space", started(&format!("POST\t{} HTTP/1.1", face.path))),
        ("a space after the version", started(&format!("POST {} HTTP/1.1 ", face.path))),
        ("a method with a colon", started(&format!("PO:ST {} HTTP/1.1", face.path))),
        ("the start of TLS", b"\x16\x03\x01\x02\0\x01\0\x01\xfc\x03\x03".to_vec()),
    ]
}

/// Checks that the next answer is a refusal, and the last thing on the connection.
async fn assert_refused_and_closed(wire: &mut Wire<DuplexStream>, face: &Face, what: &str) {
    let answer = wire.answer().await.unwrap_or_else(|| panic!("{what}: no answer"));
    assert_eq!(answer.status, 400, "{what}: {answer:?}");
    // What is no HTTP never gets as far as a face.
    if !answer.body.is_empty() {
        face.dialect.code(&answer, what);
    }
    assert!(wire.is_closed().await, "{what}: a second answer");
}

/// Sends bytes one at a time, and lets each be read.
async fn trickle(wire: &mut Wire<DuplexStream>, bytes: &[u8]) {
    for byte in bytes {
        wire.send(&[*byte]).await;
        tokio::task::yield_now().await;
    }
}

#[tokio::test(start_paused = true)]
async fn what_could_be_read_in_two_ways_gets_one_answer_and_the_end() {
    let gateway = InProcess::start();
    for face in FACES {
        for (what, request) in ambiguous(&face) {
            let what = format!("{}: {what}", face.name);
            let mut wire = gateway.connect();
            wire.send(&[&request, LISTING].concat()).await;
            assert_refused_and_closed(&mut wire, &face, &what).await;
            let mut wire = gateway.connect();
            trickle(&mut wire, &[&request, LISTING].concat()).await;
            assert_refused_and_closed(&mut wire, &face, &format!("{what}, a byte at a time")).await;
        }
        assert_no_lease(&gateway, face.name).await;
    }
}

#[tokio::test(start_paused = true)]
async fn what_could_be_read_in_two_ways_is_refused_behind_another_request_too() {
    let gateway = InProcess::start();
    for (what, request) in ambiguous(&NATIVE) {
        if what == "two lengths, the same" {
            continue; // Behind another request they are read as one, which is how a proxy reads them.
        }
        let mut wire = gateway.connect();
        wire.send(&[LISTING, &request, LISTING].concat()).await;
        assert_eq!(wire.answer().await.unwrap().status, 200, "{what}");
        assert_refused_and_closed(&mut wire, &NATIVE, what).await;
        let mut wire = gateway.connect();
        assert_eq!(wire.exchange(LISTING).await.status, 200, "{what}");
        wire.send(&[&request, LISTING].concat()).await;
        assert_refused_and_closed(&mut wire, &NATIVE, &format!("{what}, after the answer")).await;
    }
    assert_no_lease(&gateway, "pipelined").await;
}

#[tokio::test(start_paused = true)]
async fn a_head_that_began_behind_another_request_is_not_trusted() {
    let gateway = InProcess::start();
    let body = NATIVE.good_body();
    let first: [(&str, Vec<u8>); 3] = [
        ("no body", LISTING.to_vec()),
        ("a length", NATIVE.request(b"{}")),
        ("chunked", NATIVE.chunked(&one_chunk(b"{}"))),
    ];
    let length = format!("Content-Length: {}\r\n", body.len());
    let lines = ["Transfer-Encoding: chunked\r\n", &length];
    let second = [[lines[0], lines[1]], [lines[1], lines[0]]]
        .map(|lines| [&NATIVE.head(&lines.concat())[..], &one_chunk(&body)].concat());
    for (before, first) in &first {
        for second in &second {
            for cut in 1..second.len() {
                let what = format!("behind {before}, cut at {cut}");
                let mut wire = gateway.connect();
                let answer = wire.exchange(&[first, &second[..cut]].concat()).await;
                assert!(matches!(answer.status, 200 | 400), "{what}: {answer:?}");
                wire.send(&[&second[cut..], LISTING].concat()).await;
                assert_refused_and_closed(&mut wire, &NATIVE, &what).await;
            }
        }
    }
    assert_no_lease(&gateway, "pipelined in part").await;
}

#[tokio::test(start_paused = true)]
async fn a_refused_body_that_was_not_read_is_never_a_request() {
    let gateway = InProcess::start();
    for face in FACES {
        let length = format!("Content-Length: {}\r\n", LISTING.len());
        let stranger = String::from_utf8([&face.strangers_head(&length), LISTING].concat()).unwrap();
        let no_type = String::from_utf8(face.request(LISTING)).unwrap().replace("Content-Type", "X");
        let no_path = String::from_utf8(face.request(LISTING)).unwrap().replace(face.path, "/nowhere");
        let get = String::from_utf8(face.request(LISTING)).unwrap().replace("POST", "GET");
        for request in [stranger, no_type, no_path, get] {
            let mut wire = gateway.connect();
            let refused = wire.exchange(request.as_bytes()).await;
            assert!((400..500).contains(&refused.status), "{}: {refused:?}", face.name);
            assert!(wire.is_closed().await, "{}: a second answer", face.name);
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_pipelined_pair_gets_two_answers_in_order() {
    for face in FACES {
        let gateway = InProcess::start();
        let mut wire = gateway.connect();
        wire.send(&[&face.good(), &face.request(b"x"), LISTING].concat()).await;
        let first = wire.answer().await.unwrap();
        let second = wire.answer().await.unwrap();
        let third = wire.answer().await.unwrap();
        assert!((200..300).contains(&first.status), "{}: {first:?}", face.name);
        assert_eq!((second.status, third.status), (400, 200), "{}", face.name);
        assert_eq!(wire.exchange(LISTING).await.status, 200, "{}: and it goes on", face.name);
    }
}

#[tokio::test(start_paused = true)]
async fn a_connection_serves_one_request_after_another() {
    let gateway = InProcess::start();
    let mut wire = gateway.connect();
    for round in 0..3 {
        for face in FACES {
            for request in [face.good(), face.chunked(&one_chunk(&face.good_body()))] {
                let answer = wire.exchange(&request).await;
                assert!((200..300).contains(&answer.status), "{} in round {round}: {answer:?}", face.name);
                assert_eq!(answer.header("connection"), None, "{}", face.name);
            }
            let refused = wire.exchange(&face.request(b"x")).await;
            assert_eq!((refused.status, refused.header("connection")), (400, None), "{}", face.name);
        }
        let decision = wire.exchange(&pinnacle_message("+14155550999")).await;
        assert_eq!(decision.decision(), "ignored; reason=nothing_live");
    }
}

#[tokio::test(start_paused = true)]
async fn a_request_may_come_a_byte_at_a_time() {
    let gateway = InProcess::start();
    let mut wire = gateway.connect();
    for face in FACES {
        for request in [face.good(), face.chunked(&one_chunk(&face.good_body()))] {
            trickle(&mut wire, &request).await;
            let answer = wire.answer().await.unwrap();
            assert!((200..300).contains(&answer.status), "{}: {answer:?}", face.name);
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_target_on_the_host_itself_is_served() {
    let gateway = InProcess::start();
    let listing = String::from_utf8(LISTING.to_vec()).unwrap();
    let absolute = listing.replacen("GET ", "GET http://t", 1);
    assert_eq!(gateway.exchange(absolute.as_bytes()).await.status, 200);
}

#[tokio::test(start_paused = true)]
async fn nothing_is_tunnelled() {
    let gateway = InProcess::start();
    for target in ["t:80", "t", "other:443", "[::1]:80"] {
        let mut wire = gateway.connect();
        wire.send(
            &[format!("CONNECT {target} HTTP/1.1\r\nHost: {target}\r\n\r\n").as_bytes(), LISTING].concat(),
        )
        .await;
        assert_refused_and_closed(&mut wire, &NATIVE, target).await;
    }
}

#[tokio::test(start_paused = true)]
async fn the_start_of_http_2_is_the_end() {
    let mut wire = InProcess::start().connect();
    wire.send(&[b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", LISTING].concat()).await;
    assert!(wire.is_closed().await);
}

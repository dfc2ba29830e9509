//! Bodies that are too large, never end, are compressed, or are chunked as nothing should be.

use tokio::io::{AsyncWriteExt, duplex};

use super::face::{FACES, Face, assert_no_lease, one_chunk};
use crate::support::{Answer, InProcess, Wire};

/// Sends a request, checks that the face refuses it and that the connection ends, and gives the status.
async fn refused(gateway: &InProcess, face: &Face, request: &[u8], what: &str) -> u16 {
    let what = format!("{}: {what}", face.name);
    let mut wire = gateway.connect();
    let answer = wire.exchange(request).await;
    face.dialect.code(&answer, &what);
    assert_eq!(answer.header("connection"), Some("close"), "{what}");
    assert!(wire.is_closed().await, "{what}");
    answer.status
}

/// The body that the face accepts, made this long by what it ignores.
fn padded(face: &Face, length: usize) -> Vec<u8> {
    let good = face.good_body();
    let space = vec![b' '; length - good.len()];
    if face.name == "salesforce" { [good, space].concat() } else { [space, good].concat() }
}

#[tokio::test(start_paused = true)]
async fn a_body_may_be_as_large_as_the_limit_and_no_larger() {
    for face in FACES {
        let gateway = InProcess::start();
        let (most, over) = (padded(&face, face.limit), padded(&face, face.limit + 1));
        let promised = face.head("Content-Length: 18446744073709551000\r\n");
        for (what, request) in [
            ("one byte over", face.request(&over)),
            ("one byte over, chunked", face.chunked(&one_chunk(&over))),
            ("promised", promised),
        ] {
            assert_eq!(refused(&gateway, &face, &request, what).await, 413, "{}: {what}", face.name);
        }
        assert_no_lease(&gateway, face.name).await;
        for request in [face.request(&most), face.chunked(&one_chunk(&most))] {
            let answer = InProcess::start().exchange(&request).await;
            assert!((200..300).contains(&answer.status), "{}: {answer:?}", face.name);
        }
    }
}

/// Sends a head and then the same bytes again and again. Gives the answer, and how much was taken before the end.
async fn endless(gateway: &InProcess, head: &[u8], piece: &[u8]) -> (Option<Answer>, usize) {
    let (mut client, server) = duplex(8 * 1024);
    gateway.0.serve(server, std::net::Ipv4Addr::LOCALHOST.into(), ());
    client.write_all(head).await.unwrap();
    let mut taken = 0;
    while client.write_all(piece).await.is_ok() {
        taken += piece.len();
        assert!(taken < 64 * 1024 * 1024, "it is not cut");
    }
    (Wire::new(client).answer().await, taken)
}

#[tokio::test(start_paused = true)]
async fn a_body_without_end_is_cut_soon_after_the_limit() {
    for face in FACES {
        let gateway = InProcess::start();
        for (what, piece) in [("large chunks", vec![b' '; 4_000]), ("small chunks", vec![b' '; 10])] {
            let chunk = [format!("{:x}\r\n", piece.len()).as_bytes(), &piece, b"\r\n"].concat();
            let (answer, taken) =
                endless(&gateway, &face.head("Transfer-Encoding: chunked\r\n"), &chunk).await;
            let what = format!("{}: {what}", face.name);
            let answer = answer.expect(&what);
            face.dialect.code(&answer, &what);
            assert_eq!(answer.status, 413, "{what}");
            let most = face.limit * chunk.len() / piece.len() + 64 * 1024;
            assert!(taken < most, "{what}: {taken} bytes were taken");
        }
        assert_no_lease(&gateway, face.name).await;
    }
}

#[tokio::test(start_paused = true)]
async fn nothing_but_the_body_can_go_on_without_end_either() {
    let gateway = InProcess::start();
    for face in FACES {
        let chunked = face.head("Transfer-Encoding: chunked\r\n");
        let unended = &chunked[..chunked.len() - 2];
        for (what, head, piece, status) in [
            ("an extension", [&chunked, &b"1;x="[..]].concat(), &b"yyyyyyyyyy"[..], Some(400)),
            ("extensions", chunked.clone(), b"1;xxxxxxxxxx\r\n \r\n", Some(400)),
            ("a trailer", [&chunked, &b"0\r\nX: "[..]].concat(), b"yyyyyyyyyy", Some(400)),
            ("trailers", [&chunked, &b"0\r\n"[..]].concat(), b"X: y\r\n", Some(400)),
            ("header lines", unended.to_vec(), b"X: y\r\n", Some(431)),
            ("a header's value", [unended, b"X: "].concat(), b"yyyyyyyyyy", Some(431)),
            ("a header's name", unended.to_vec(), b"xxxxxxxxxx", Some(431)),
            ("a target", b"POST /".to_vec(), b"xxxxxxxxxx", Some(431)),
            ("empty lines", Vec::new(), b"\r\n\r\n\r\n", Some(431)),
        ] {
            let what = format!("{}: {what}", face.name);
            let (answer, taken) = endless(&gateway, &head, piece).await;
            assert_eq!(answer.map(|answer| answer.status), status, "{what}");
            assert!(taken < face.limit + 128 * 1024, "{what}: {taken} bytes were taken");
        }
    }
    assert_no_lease(&gateway, "endless").await;
}

#[tokio::test(start_paused = true)]
async fn chunks_are_well_formed_or_the_request_is_refused() {
    for face in FACES {
        let gateway = InProcess::start();
        let body = face.good_body();
        let text = String::from_utf8(body.clone()).unwrap();
        let size = body.len();
        let sized = |size: &str| format!("{size}\r\n{text}\r\n0\r\n\r\n");
        let bytewise: String = text.chars().map(|c| format!("1;{}\r\n{c}\r\n", "x".repeat(400))).collect();
        let trailer = |lines: &str| format!("{size:x}\r\n{text}\r\n0\r\n{lines}\r\n");
        for (what, chunks, status) in [
            ("a size of 17 digits", sized(&format!("1{size:016x}")), 400),
            ("a size of 16 digits", sized("ffffffffffffffff"), 408),
            ("a size in decimal with h", sized(&format!("{size}h")), 400),
            ("a size with 0x", sized(&format!("0x{size:x}")), 400),
            ("a size with a plus sign", sized(&format!("+{size:x}")), 400),
            ("a negative size", sized("-1"), 400),
            ("no size", sized(""), 400),
            ("two sizes", sized(&format!("{size:x} {size:x}")), 400),
            ("a size too small", sized(&format!("{:x}", size - 1)), 400),
            ("a bare LF after a size", format!("{size:x}\n{text}\r\n0\r\n\r\n"), 400),
            ("a bare CR after a size", format!("{size:x}\r{text}\r\n0\r\n\r\n"), 400),
            ("a bare LF in an extension", sized(&format!("{size:x};x\ny")), 400),
            ("a bare LF after a chunk", format!("{size:x}\r\n{text}\n0\r\n\r\n"), 400),
            ("nothing after a chunk", format!("{size:x}\r\n{text}0\r\n\r\n"), 400),
            ("an extension of 64 kB", sized(&format!("{size:x};{}", "x".repeat(64 * 1024))), 400),
            ("extensions of 400 bytes", format!("{bytewise}0\r\n\r\n"), 400),
            ("a trailer of 64 kB", trailer(&format!("X: {}\r\n", "y".repeat(64 * 1024))), 400),
            ("1,000 trailers", trailer(&"X: y\r\n".repeat(1_000)), 400),
            ("a trailer without a colon", trailer("X\r\n"), 400),
        ] {
            let seen = refused(&gateway, &face, &face.chunked(chunks.as_bytes()), what).await;
            assert_eq!(seen, status, "{}: {what}", face.name);
        }
        assert_no_lease(&gateway, face.name).await;
        for (what, chunks) in [
            (
                "a byte at a time",
                text.chars().map(|c| format!("1\r\n{c}\r\n")).collect::<String>() + "0\r\n\r\n",
            ),
            ("zeros before a size", sized(&format!("00{size:X}"))),
            ("a short extension", sized(&format!("{size:x};x=\"y\""))),
            ("a short trailer", trailer("X: y\r\n")),
        ] {
            let answer = InProcess::start().exchange(&face.chunked(chunks.as_bytes())).await;
            assert!((200..300).contains(&answer.status), "{}: {what}: {answer:?}", face.name);
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_compressed_body_is_not_taken() {
    // A gzip member that holds nothing.
    let gzip = b"\x1f\x8b\x08\0\0\0\0\0\0\x03\x03\0\0\0\0\0\0\0\0\0";
    for face in FACES {
        let gateway = InProcess::start();
        let length = format!("Content-Length: {}\r\n", gzip.len());
        for codings in [
            "Content-Encoding: gzip\r\n",
            "Content-Encoding: GZIP\r\n",
            "Content-Encoding: deflate\r\n",
            "Content-Encoding: br\r\n",
            "Content-Encoding: identity, gzip\r\n",
            "Content-Encoding: identity\r\nContent-Encoding: gzip\r\n",
            "Content-Encoding: \r\n",
            "Content-Encoding: unheard-of\r\n",
        ] {
            let request = [&face.head(&format!("{codings}{length}"))[..], gzip].concat();
            assert_eq!(refused(&gateway, &face, &request, codings).await, 415, "{}: {codings}", face.name);
        }
        let unnamed = gateway.exchange(&face.request(gzip)).await;
        face.dialect.code(&unnamed, "gzip that is not said to be");
        assert_no_lease(&gateway, face.name).await;
    }
}

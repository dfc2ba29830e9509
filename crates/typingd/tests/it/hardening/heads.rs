//! Heads that are too large.

use super::face::{FACES, assert_no_lease};
use crate::support::InProcess;

#[tokio::test(start_paused = true)]
async fn a_head_that_is_too_large_is_refused_and_the_connection_ends() {
    let gateway = InProcess::start();
    for face in FACES {
        let good = String::from_utf8(face.good()).unwrap();
        let with = |lines: &str| good.replacen("Host: t\r\n", &format!("Host: t\r\n{lines}"), 1);
        let header = |length: usize| format!("X: {}\r\n", "y".repeat(length));
        let at = |target: &str| good.replacen(face.path, target, 1);
        for (what, request, status) in [
            ("65 headers", with(&"X: y\r\n".repeat(65 - headers(&good))), 431),
            ("2,000 headers", with(&"X: y\r\n".repeat(2_000)), 431),
            ("a header of 64 kB", with(&header(64 * 1024)), 431),
            ("a header of 16 kB", with(&header(16 * 1024)), 431),
            ("20 headers of 1 kB", with(&header(1024).repeat(20)), 431),
            ("a name of 64 kB", with(&format!("{}: y\r\n", "x".repeat(64 * 1024))), 431),
            ("a URI of 64 kB", at(&format!("/{}", "x".repeat(64 * 1024))), 431),
            ("a query of 64 kB", at(&format!("{}?{}", face.path, "x".repeat(64 * 1024))), 431),
            ("a URI of 1 MB", at(&format!("/{}", "x".repeat(1024 * 1024))), 431),
            ("a method of 64 kB", good.replacen("POST", &"X".repeat(64 * 1024), 1), 431),
        ] {
            let what = format!("{}: {what}", face.name);
            let mut wire = gateway.connect();
            let answer = wire.exchange(request.as_bytes()).await;
            assert_eq!(answer.status, status, "{what}");
            assert!(wire.is_closed().await, "{what}");
        }
        assert_no_lease(&gateway, face.name).await;
        for lines in ["X: y\r\n".repeat(64 - headers(&good)), header(8 * 1024)] {
            let answer = InProcess::start().exchange(with(&lines).as_bytes()).await;
            assert!((200..300).contains(&answer.status), "{}: {answer:?}", face.name);
        }
    }
}

/// How many headers a request has.
fn headers(request: &str) -> usize {
    request.split("\r\n\r\n").next().unwrap().lines().count() - 1
}

//! What real clients sent, byte for byte, through a real socket: accepted, and seen on the stream.

use std::time::Duration;

use crate::support::{OnSocket, config};

#[tokio::test]
async fn every_captured_request_is_accepted_and_seen() {
    let table: [(&str, u16, &[&str], &[u8]); 20] = [
        // name, status, what the stream shows of it, the bytes
        ("kaleyra-curl-typing", 200, &["started"], include_bytes!("../captures/kaleyra-curl-typing.req")),
        ("kaleyra-curl-message", 200, &[], include_bytes!("../captures/kaleyra-curl-message.req")),
        ("pinnacle-py10", 200, &["started"], include_bytes!("../captures/pinnacle-py10-200.req")),
        (
            "pinnacle-message",
            200,
            &["stopped sent"],
            include_bytes!("../captures/pinnacle-python-message.req"),
        ),
        ("pinnacle-py16", 200, &["started"], include_bytes!("../captures/pinnacle-py16-200.req")),
        (
            "pinnacle-message",
            200,
            &["stopped sent"],
            include_bytes!("../captures/pinnacle-python-message.req"),
        ),
        ("pinnacle-python", 200, &["started"], include_bytes!("../captures/pinnacle-python-typing.req")),
        ("pinnacle-js", 200, &[], include_bytes!("../captures/pinnacle-js-200.req")),
        ("pinnacle-js-testmode", 200, &[], include_bytes!("../captures/pinnacle-js-testmode.req")),
        ("pinnacle-rb", 200, &[], include_bytes!("../captures/pinnacle-rb-200.req")),
        (
            "connector-started",
            202,
            &["started"],
            include_bytes!("../captures/salesforce-connector-typing-started-chunked.req"),
        ),
        ("curl-delivery-failed", 202, &[], include_bytes!("../captures/salesforce-curl-delivery-failed.req")),
        (
            "connector-stopped",
            202,
            &["stopped paused"],
            include_bytes!("../captures/salesforce-connector-typing-stopped-chunked.req"),
        ),
        ("curl-started", 202, &["started"], include_bytes!("../captures/salesforce-curl-typing-started.req")),
        (
            "connector-message",
            202,
            &["stopped sent"],
            include_bytes!("../captures/salesforce-connector-message-chunked.req"),
        ),
        (
            "httpx-no-boundary",
            202,
            &["started"],
            include_bytes!("../captures/salesforce-httpx-no-boundary.req"),
        ),
        ("node-no-boundary", 202, &[], include_bytes!("../captures/salesforce-node-no-boundary.req")),
        (
            "node-part-with-filename",
            202,
            &[],
            include_bytes!("../captures/salesforce-node-part-with-filename.req"),
        ),
        (
            "curl-stopped",
            202,
            &["stopped paused"],
            include_bytes!("../captures/salesforce-curl-typing-stopped.req"),
        ),
        (
            "requests-no-boundary",
            202,
            &["started"],
            include_bytes!("../captures/salesforce-requests-no-boundary.req"),
        ),
    ];
    let gateway = OnSocket::start(config(Duration::from_secs(20))).await;
    let mut events = gateway.connect().await.stream("", "acme-key").await;
    assert_eq!(events.whats(1).await, ["snapshot"]);
    for (name, status, seen, request) in table {
        let answer = gateway.exchange(request).await;
        assert_eq!(answer.status, status, "{name}: {}", answer.body);
        assert_eq!(events.whats(seen.len()).await, seen, "{name}");
    }
    // What showed nothing was decided about all the same.
    let last = include_bytes!("../captures/salesforce-curl-message.req");
    assert_eq!(gateway.exchange(last).await.decision(), "ended");
    gateway.stop().await;
}

//! What goes through to a provider unread, and what comes back of it.

use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::timeout;
use typingd_providers::account::Answered;

use super::provider::{Act, Provider};
use super::{USER, at_kaleyra, at_pinnacle, config, lead};
use crate::support::{OnSocket, pinnacle_message, post};

const TTL: Duration = Duration::from_secs(20);

/// A gateway whose channels of Kaleyra and Pinnacle lead to this provider.
async fn leading_to(provider: &Provider) -> OnSocket {
    let mut config = config(TTL, Answered::AtOnce);
    lead(&mut config, at_kaleyra(&provider.url()));
    lead(&mut config, at_pinnacle(&provider.url()));
    OnSocket::start(config).await
}

/// A call that the gateway knows nothing of.
fn unknown(path: &str) -> Vec<u8> {
    format!("GET {path} HTTP/1.1\r\nHost: t\r\nPINNACLE-API-KEY: test_key\r\n\r\n").into_bytes()
}

/// All that comes back until it is such.
async fn bytes_of(gateway: &OnSocket, request: &[u8], is_whole: impl Fn(&str) -> bool) -> String {
    let mut socket = TcpStream::connect(gateway.address).await.unwrap();
    socket.write_all(request).await.unwrap();
    let mut bytes = Vec::new();
    let reading = async {
        while !is_whole(&String::from_utf8_lossy(&bytes)) {
            if socket.read_buf(&mut bytes).await.unwrap() == 0 {
                break;
            }
        }
    };
    let in_time = timeout(Duration::from_secs(5), reading).await.is_ok();
    let text = String::from_utf8(bytes).unwrap();
    assert!(in_time, "not whole in time: {text}");
    text
}

#[tokio::test]
async fn a_path_that_could_be_read_as_another_never_reaches_the_provider() {
    const SID: &str = "XXXXX6913850XXXX";
    let provider = Provider::that(Act::yes()).await;
    let gateway = leading_to(&provider).await;
    let headers = "Authorization: Basic dXNlcjpwYXNz\r\napi-key: XXXXX3b8497f58a94e84b671aca43XXXX\r\n";
    let body = format!(r#"{{"from":"kio_rcs","to":["{USER}"],"text":"Hello"}}"#);
    let paths = [
        "/rcs/%6dessages",
        "/rcs/messages/",
        "/rcs//messages",
        "//rcs/messages",
        "/rcs%2fmessages",
        "/..%2fother/rcs/messages",
        "/%2e%2e/other/rcs/messages",
        "/x/%2E%2e/rcs/messages",
        "/x/..;/rcs/messages",
        "/x\\..\\rcs/messages",
    ];
    for path in paths {
        let path = format!("/v1/{SID}{path}");
        let answer = gateway.exchange(&post(&path, headers, &body)).await;
        // A backslash is not even HTTP for some.
        let is_no = answer.status == 404 || path.contains('\\') && answer.status == 400;
        assert!(is_no, "{path}: {answer:?}");
        assert!(provider.asked().is_empty(), "{path}: {:?}", provider.asked());
    }
    // The same door lets others through.
    let answer = gateway.exchange(&post(&format!("/v1/{SID}/rcs/templates"), headers, &body)).await;
    assert_eq!((answer.status, provider.asked().len()), (200, 1), "{answer:?}");
}

#[tokio::test]
async fn another_protocol_that_nobody_asked_for_is_not_handed_on() {
    let bytes = b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: x\r\nConnection: Upgrade\r\n\r\nHELLO";
    let provider = Provider::that(Act::Close(bytes.to_vec())).await;
    let gateway = leading_to(&provider).await;
    for request in [unknown("/webhook/x"), pinnacle_message(USER)] {
        let (status, headers) = {
            let mut wire = gateway.connect().await;
            wire.send(&request).await;
            wire.head().await.expect("an answer")
        };
        assert!(status >= 500, "{status}");
        assert!(headers.iter().all(|(name, _)| name != "upgrade"), "{headers:?}");
    }
    assert_eq!(provider.asked().len(), 2);
}

#[tokio::test]
async fn an_answer_with_two_lengths_comes_back_whole() {
    let body = r#"{"success":true}"#;
    let head = "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 5\r\nTransfer-Encoding: chunked";
    let bytes = format!("{head}\r\n\r\n{:x}\r\n{body}\r\n0\r\n\r\n", body.len());
    let provider = Provider::that(Act::Answer(Duration::ZERO, bytes.into_bytes())).await;
    let gateway = leading_to(&provider).await;
    for request in [unknown("/webhook/x"), pinnacle_message(USER)] {
        let is_whole = |text: &str| {
            let Some((head, rest)) = text.split_once("\r\n\r\n") else { return false };
            match head.to_ascii_lowercase().split("content-length: ").nth(1) {
                Some(length) => length.starts_with("16") && rest == body,
                None => rest.contains(body) && rest.ends_with("\r\n0\r\n\r\n"),
            }
        };
        let text = bytes_of(&gateway, &request, is_whole).await;
        assert!(text.starts_with("HTTP/1.1 200 ") && is_whole(&text), "{text}");
    }
}

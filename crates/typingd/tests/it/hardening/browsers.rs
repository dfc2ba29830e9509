//! What a web page can make its visitor's browser send.

use std::time::Duration;

use serde_json::json;
use typingd::config::{Config, Console};

use super::face::FACES;
use crate::socket::client::ticket;
use crate::support::{InProcess, config};

#[tokio::test(start_paused = true)]
async fn a_foreign_page_bars_no_address_and_spends_no_ticket() {
    let mut config = config(Duration::from_secs(20));
    config.limits.failed_authentications_per_minute = 1;
    config.origins.allowed = vec!["https://desk.example.com".into()];
    let gateway = InProcess::with(config);
    let good = ticket(&gateway, "acme-key", &json!({"side": "agent", "access": "read"})).await;
    let stream = |ticket: &str| format!("GET /typing/v1/stream?ticket={ticket} HTTP/1.1\r\nHost: t\r\n");
    for lines in [
        "Sec-Fetch-Site: cross-site\r\n",
        "Sec-Fetch-Site: same-site\r\n",
        "Sec-Fetch-Site: cross-site\r\nOrigin: https://evil.example\r\n",
    ] {
        for head in [
            stream("wrong"),
            stream(&good),
            stream(&good).replace("stream", "socket"),
            "GET /typing/v1/leases HTTP/1.1\r\nHost: t\r\n".to_owned(),
            "GET /nowhere HTTP/1.1\r\nHost: t\r\n".to_owned(),
        ] {
            let answer = gateway.exchange(format!("{head}{lines}\r\n").as_bytes()).await;
            assert_eq!(answer.status, 403, "{head}{lines}");
        }
        for face in FACES {
            let head = face.strangers_head(&format!("Content-Length: 2\r\n{lines}"));
            let answer = gateway.exchange(&[&head[..], b"{}"].concat()).await;
            face.dialect.code(&answer, face.name);
        }
    }
    let desk = "Sec-Fetch-Site: cross-site\r\nOrigin: https://desk.example.com\r\n\r\n";
    let mut events = gateway.connect().events(format!("{}{desk}", stream(&good)).as_bytes()).await;
    assert_eq!(events.whats(1).await, ["snapshot"], "neither barred nor spent");
}

fn with_host(request: &[u8], host: &str) -> Vec<u8> {
    const HOST: &[u8] = b"Host: t\r\n";
    let at = request.windows(HOST.len()).position(|bytes| bytes == HOST).unwrap();
    [&request[..at], format!("Host: {host}\r\n").as_bytes(), &request[at + HOST.len()..]].concat()
}

#[tokio::test(start_paused = true)]
async fn in_dev_mode_a_page_whose_name_was_made_to_mean_this_machine_gets_nothing() {
    let mut config = Config { console: Console::Open, ..config(Duration::from_secs(20)) };
    config.origins.is_local = true;
    config.tenancy.tenants.truncate(1);
    config.tenancy.accounts.kaleyra.truncate(2);
    config.tenancy.accounts.pinnacle.truncate(2);
    let gateway = InProcess::with(config);
    for face in FACES {
        for host in ["evil.example:8080", "127.0.0.1.evil.example", "10.0.0.1"] {
            let answer = gateway.exchange(&with_host(&face.good(), host)).await;
            face.dialect.code(&answer, face.name);
        }
    }
    let listing = |host: &str| {
        format!("GET /typing/v1/leases HTTP/1.1\r\nHost: {host}\r\nAuthorization: Bearer acme-key\r\n\r\n")
    };
    assert_eq!(gateway.exchange(listing("evil.example:8080").as_bytes()).await.status, 403);
    let listed = gateway.exchange(listing("localhost:8080").as_bytes()).await;
    assert_eq!((listed.status, listed.body.as_str()), (200, r#"{"leases":[]}"#), "and nothing was started");
    for face in FACES {
        for host in ["localhost:8080", "127.0.0.1:8080", "[::1]"] {
            let answer = gateway.exchange(&with_host(&face.good(), host)).await;
            assert!((200..300).contains(&answer.status), "{} {host}: {answer:?}", face.name);
        }
    }
}

//! What else a provider's clients ask: it reaches the provider with the account's credentials, and comes back as it is
//! answered there.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use super::http::{Message, Recorder, exchange};
use super::{ACMES_SECRETS, DISPLAY_MS, acme, start, token};

const KALEYRA: &str = "api-key: XXXXX3b8497f58a94e84b671aca43XXXX\r\n";
const PINNACLE: &str = "PINNACLE-API-KEY: test_key\r\n";
const SALESFORCE: &str = "Authorization: Bearer 00Dxx0000000001!AQEAQTESTTOKEN\r\n";
const RBM: &str = "Authorization: Bearer acme-rbm-token\r\n";

fn get(path: &str, headers: &str) -> Vec<u8> {
    format!("GET {path} HTTP/1.1\r\nHost: t\r\nAccept: */*\r\n{headers}\r\n").into_bytes()
}

/// What a provider may answer, as it is on the wire.
fn answers() -> [(&'static str, Vec<u8>); 6] {
    let large: Vec<u8> = (0..3_u32 << 20).map(|at| at.wrapping_mul(2_654_435_761).to_be_bytes()[1]).collect();
    let with_length =
        format!("HTTP/1.1 200 OK\r\nX-Own: 1\r\nX-Own: 2\r\nContent-Length: {}\r\n\r\n", large.len());
    let mut chunked =
        b"HTTP/1.1 200 OK\r\nContent-Type: text/csv\r\nTransfer-Encoding: chunked\r\n\r\n".to_vec();
    for piece in large.chunks(100_000) {
        chunked.extend([format!("{:x}\r\n", piece.len()).as_bytes(), piece, b"\r\n"].concat());
    }
    chunked.extend(b"0\r\n\r\n");
    [
        ("json", b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 11\r\n\r\n{\"a\": [1 ]}".into()),
        ("3 MiB", [with_length.as_bytes(), &large].concat()),
        ("in chunks", chunked),
        ("nothing", b"HTTP/1.1 204 No Content\r\nX-Own: 1\r\n\r\n".into()),
        (
            "elsewhere",
            b"HTTP/1.1 301 Moved Permanently\r\nLocation: http://127.0.0.1:1/other\r\nContent-Length: 5\r\n\r\nmoved".into(),
        ),
        ("no", b"HTTP/1.1 418 I'm a teapot\r\nRetry-After: 7\r\nContent-Length: 2\r\n\r\nno".into()),
    ]
}

#[tokio::test]
async fn other_paths_go_through_with_the_accounts_credentials_and_come_back_unchanged() {
    let answers = Arc::new(answers());
    let turn = Arc::new(AtomicUsize::new(0));
    let mut recorder = Recorder::start({
        let (answers, turn) = (answers.clone(), turn.clone());
        move |_| answers[turn.load(Ordering::Relaxed)].1.clone()
    })
    .await;
    let first = start("paths", &acme(&recorder.address, &token("prov", DISPLAY_MS))).await;
    let table = [
        (get("/contacts?x=1", PINNACLE), "GET /contacts?x=1", vec![("pinnacle-api-key", "prov-pinnacle")]),
        (
            get("/v1/XXXXX6913850XXXX/lists?page=2&api_key=acme", KALEYRA),
            "GET /v1/provsid/lists?page=2",
            vec![("api-key", "prov-kaleyra"), ("authorization", "Basic cHJvdnVzZXI6cHJvdnBhc3M=")],
        ),
        (
            get("/services/data/v1", SALESFORCE),
            "GET /services/data/v1",
            vec![
                ("authorization", "Bearer prov-sf"),
                ("authorizationcontext", "prov_Context"),
                ("orgid", "00Dprov00000001"),
            ],
        ),
        (
            get("/v1/phones/+14155550123/capabilities?agentId=acme_rbm&requestId=1", RBM),
            "GET /v1/phones/+14155550123/capabilities?agentId=far_rbm&requestId=1",
            vec![("authorization", "Bearer prov-rbm")],
        ),
    ];
    for (request, asks, credentials) in table {
        for (at, (what, answered)) in answers.iter().enumerate() {
            turn.store(at, Ordering::Relaxed);
            let answer = exchange(first.address, &request).await;
            let got = recorder.next().await;
            assert_eq!((got.asks(), got.body.len()), (asks, 0), "{what}");
            let mut expected = [&credentials[..], &[("accept", "*/*"), ("host", &recorder.address)]].concat();
            expected.sort_unstable();
            let seen = got.headers_but(&[]);
            let seen: Vec<_> = seen.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
            assert_eq!(seen, expected, "{asks}, {what}");
            assert!(!ACMES_SECRETS.iter().any(|secret| format!("{got:?}").contains(secret)));

            let own = Message::of(answered).await;
            assert_eq!((answer.status(), &answer.line[..8]), (own.status(), "HTTP/1.1"), "{asks}, {what}");
            assert!(answer.body == own.body, "{asks}, {what}: {} bytes", answer.body.len());
            let added = ["date", "x-request-id"];
            assert_eq!(answer.headers_but(&added), own.headers_but(&added), "{asks}, {what}");
        }
    }
    assert!(recorder.is_read(), "each arrived once, and no redirect was followed");
}

#[tokio::test]
async fn wrong_credentials_are_refused_in_the_doors_words_and_reach_nobody() {
    let mut recorder = Recorder::start(|_| b"HTTP/1.1 204 No Content\r\n\r\n".to_vec()).await;
    let first = start("paths-wrong", &acme(&recorder.address, &token("prov", DISPLAY_MS))).await;
    let wrong = "Authorization: Bearer wrong\r\n";
    for (path, headers, says) in [
        ("/contacts?x=1", "PINNACLE-API-KEY: wrong\r\n", r#"{"error":"#),
        // Another's credential, right at the provider, is nobody's here.
        ("/contacts?x=1", "PINNACLE-API-KEY: prov-pinnacle\r\n", r#"{"error":"#),
        ("/messages/blast", "PINNACLE-API-KEY: wrong\r\n", r#"{"error":"#),
        ("/v1/XXXXX6913850XXXX/lists", "api-key: prov-kaleyra\r\n", r#""code":"RBC001""#),
        ("/v1/XXXXX6913850XXXX/lists", "", r#""code":"RBC001""#),
        (
            "/v1/XXXXX6913850XXXX/lists",
            "api-key: XXXXX3b8497f58a94e84b671aca43XXXX\r\nAuthorization: Basic dTpw\r\n",
            r#""code":"RBC001""#,
        ),
        ("/services/data/v1", &format!("{wrong}OrgId: 00Dxx0000000001\r\n"), r#""code":10004"#),
        ("/services/data/v1", &format!("{SALESFORCE}OrgId: 00Dprov00000001\r\n"), r#""code":10004"#),
        ("/v1/phones/+14155550123/capabilities?agentId=acme_rbm", wrong, r#""status":"UNAUTHENTICATED""#),
        ("/v1/phones/+14155550123/capabilities?agentId=acme_rbm", "", r#""status":"UNAUTHENTICATED""#),
    ] {
        let answer = exchange(first.address, &get(path, headers)).await;
        assert_eq!(answer.status(), 401, "{path} {headers}: {}", answer.text());
        assert!(answer.text().contains(says), "{path} {headers}: {}", answer.text());
    }
    assert_eq!(exchange(first.address, &get("/last", PINNACLE)).await.status(), 204);
    assert_eq!(recorder.next().await.asks(), "GET /last");
    assert!(recorder.is_read());
}

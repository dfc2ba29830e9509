//! Every face that takes a body: a request that it accepts, to be spoilt, and how it says no.

use serde_json::json;

use crate::support::{Answer, InProcess};

/// An endpoint, with what makes a request to it a good one.
pub(super) struct Face {
    pub(super) name: &'static str,
    pub(super) dialect: Dialect,
    pub(super) path: &'static str,
    /// Header lines: the credentials, and the media type.
    pub(super) lines: &'static str,
    /// The JSON that says that somebody types, or wrote.
    pub(super) json: &'static str,
    /// The largest body, in bytes.
    pub(super) limit: usize,
}

/// How a face says no.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Dialect {
    KaleyraEvent,
    KaleyraMessage,
    Pinnacle,
    Salesforce,
    Problem,
}

const KALEYRA: &str = "Authorization: Basic dXNlcjpwYXNz\r\napi-key: XXXXX3b8497f58a94e84b671aca43XXXX\r\n\
    Content-Type: application/json\r\n";
const PINNACLE: &str = "PINNACLE-API-KEY: test_key\r\nContent-Type: application/json\r\n";

pub(super) const KALEYRA_EVENTS: Face = Face {
    name: "kaleyra events",
    dialect: Dialect::KaleyraEvent,
    path: "/v1/XXXXX6913850XXXX/rcs/events",
    lines: KALEYRA,
    json: r#"{"from":"kio_rcs","to":"+14155550123","composing":{}}"#,
    limit: 64 * 1024,
};

pub(super) const KALEYRA_MESSAGES: Face = Face {
    name: "kaleyra messages",
    dialect: Dialect::KaleyraMessage,
    path: "/v1/XXXXX6913850XXXX/rcs/messages",
    lines: KALEYRA,
    json: r#"{"from":"kio_rcs","to":["+14155550123"],"text":"Hello"}"#,
    limit: 64 * 1024,
};

pub(super) const PINNACLE_TYPING: Face = Face {
    name: "pinnacle typing",
    dialect: Dialect::Pinnacle,
    path: "/messages/send/typing",
    lines: PINNACLE,
    json: r#"{"agentId":"agent_pinnacle","to":"+14155550123"}"#,
    limit: 64 * 1024,
};

pub(super) const PINNACLE_MESSAGES: Face = Face {
    name: "pinnacle messages",
    dialect: Dialect::Pinnacle,
    path: "/messages/send/rcs",
    lines: PINNACLE,
    json: r#"{"from":"agent_pinnacle","to":"+14155550123","text":"hello"}"#,
    limit: 64 * 1024,
};

pub(super) const SALESFORCE: Face = Face {
    name: "salesforce",
    dialect: Dialect::Salesforce,
    path: "/api/v1/interactions",
    lines: "Authorization: Bearer 00Dxx0000000001!AQEAQTESTTOKEN\r\nOrgId: 00Dxx0000000001\r\nRequestId: 1\r\n\
        AuthorizationContext: Partner1_ChannelDefinition1\r\nContent-Type: multipart/form-data; boundary=b\r\n",
    json: r#"{"to":"b0ffeafe-1","from":"David Wood","interactions":[{"timestamp":1688190840000,"interactionType":"EntryInteraction","payload":{"id":"1","entryType":"TypingStartedIndicator","timestamp":1688190840000}}]}"#,
    limit: 6 * 1024 * 1024,
};

pub(super) const NATIVE: Face = Face {
    name: "native",
    dialect: Dialect::Problem,
    path: "/typing/v1/signals",
    lines: "Authorization: Bearer acme-key\r\nContent-Type: application/json\r\n",
    json: r#"{"channel":"kaleyra","agent":"kio_rcs","user":"+14155550123","composer":"agent","state":"composing"}"#,
    limit: 16 * 1024,
};

pub(super) const FACES: [Face; 6] =
    [KALEYRA_EVENTS, KALEYRA_MESSAGES, PINNACLE_TYPING, PINNACLE_MESSAGES, SALESFORCE, NATIVE];

/// A request that is not to be answered where it is smuggled, and is answered 200 where it is sent.
pub(super) const LISTING: &[u8] =
    b"GET /typing/v1/leases HTTP/1.1\r\nHost: t\r\nAuthorization: Bearer acme-key\r\n\r\n";

impl Face {
    /// The body that carries this JSON.
    pub(super) fn body(&self, json: &[u8]) -> Vec<u8> {
        match self.dialect {
            Dialect::Salesforce => {
                let head = b"--b\r\nContent-Disposition: form-data; name=\"json\"\r\n\r\n";
                [head, json, b"\r\n--b--\r\n"].concat()
            }
            _ => json.to_vec(),
        }
    }

    /// The body that it accepts.
    pub(super) fn good_body(&self) -> Vec<u8> {
        self.body(self.json.as_bytes())
    }

    /// A request's head up to its end, which `more` header lines may precede.
    pub(super) fn head(&self, more: &str) -> Vec<u8> {
        format!("POST {} HTTP/1.1\r\nHost: t\r\n{}{more}\r\n", self.path, self.lines).into_bytes()
    }

    /// A head without credentials.
    pub(super) fn strangers_head(&self, more: &str) -> Vec<u8> {
        format!("POST {} HTTP/1.1\r\nHost: t\r\nContent-Type: application/json\r\n{more}\r\n", self.path)
            .into_bytes()
    }

    /// A request with this body, as long as it is.
    pub(super) fn request(&self, body: &[u8]) -> Vec<u8> {
        [&self.head(&format!("Content-Length: {}\r\n", body.len())), body].concat()
    }

    /// A request with this body, in its chunked form.
    pub(super) fn chunked(&self, chunks: &[u8]) -> Vec<u8> {
        [&self.head("Transfer-Encoding: chunked\r\n"), chunks].concat()
    }

    /// The request that it accepts.
    pub(super) fn good(&self) -> Vec<u8> {
        self.request(&self.good_body())
    }
}

impl Dialect {
    /// Checks that a refusal is written so, and gives its code.
    pub(super) fn code(self, answer: &Answer, what: &str) -> String {
        assert!((400..500).contains(&answer.status), "{what}: {answer:?}");
        let body = answer.json();
        let members: Vec<&str> = body.as_object().expect(what).keys().map(String::as_str).collect();
        let media_type = answer.header("content-type");
        let (is_so, code) = match self {
            Self::KaleyraEvent => {
                let is_four_keys =
                    members == ["code", "data", "error", "message"] && body["data"] == json!([]);
                (
                    is_four_keys && body["error"]["error_code"].is_string(),
                    body["code"].as_str().map(Into::into),
                )
            }
            Self::KaleyraMessage => {
                let is_error = body["data"]["error"]["error_code"].is_string();
                (
                    members == ["code", "data", "message"] && is_error,
                    body["code"].as_u64().map(|c| c.to_string()),
                )
            }
            Self::Pinnacle => (body["error"].is_string(), Some(answer.status.to_string())),
            Self::Salesforce => (
                body["success"] == json!(false) && body["message"].is_string(),
                body["code"].as_u64().map(|code| code.to_string()),
            ),
            Self::Problem => (
                body["status"] == json!(answer.status)
                    && body["title"].is_string()
                    && body["detail"].is_string(),
                Some(answer.status.to_string()),
            ),
        };
        let expected = if self == Self::Problem { "application/problem+json" } else { "application/json" };
        assert_eq!(media_type, Some(expected), "{what}");
        assert!(is_so, "{what}: not {self:?}: {}", answer.body);
        code.unwrap_or_else(|| panic!("{what}: no code: {}", answer.body))
    }
}

/// A body in its chunked form, in one chunk.
pub(super) fn one_chunk(body: &[u8]) -> Vec<u8> {
    [format!("{:x}\r\n", body.len()).as_bytes(), body, b"\r\n0\r\n\r\n"].concat()
}

/// Checks that nothing that was sent has made a lease, and that the gateway still serves.
pub(super) async fn assert_no_lease(gateway: &InProcess, what: &str) {
    let listed = gateway.exchange(LISTING).await;
    assert_eq!((listed.status, listed.json()), (200, json!({"leases": []})), "{what}");
}

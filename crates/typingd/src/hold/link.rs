//! What is asked of the gateway, and what its answers mean.

use std::fmt::{self, Write};
use std::str::FromStr;
use std::time::Duration;

use axum::body::Body;
use bytes::Bytes;
use http::header::{ACCEPT, AUTHORIZATION, CONTENT_TYPE};
use http::uri::{PathAndQuery, Scheme};
use http::{HeaderValue, Method, Request, StatusCode, Uri};
use http_body_util::BodyExt;
use hyper::body::Incoming;
use serde::{Deserialize, Serialize};
use tokio::time::timeout;
use typingd_providers::Secret;
use typingd_providers::upstream::ANSWER_LIMIT;

use super::events::Events;
use super::{Composer, Reason};
use crate::client::{Client, Failure};

/// How long an answer may take while the command runs.
const ANSWER: Duration = Duration::from_secs(4);

/// The gateway writes every 15 s: a connection that is silent for longer than this has been lost.
const SILENCE: Duration = Duration::from_secs(40);

/// As much of a refusal is repeated, in characters.
const DETAIL: usize = 300;

/// Where the gateway is, without a slash at its end.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct BaseUrl(String);

impl FromStr for BaseUrl {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        const EXPECTED: &str = "expected http:// or https://, a host, and a path where there is one";
        let url: Uri = text.parse().map_err(|_| EXPECTED)?;
        let has_scheme = url.scheme().is_some_and(|scheme| [Scheme::HTTP, Scheme::HTTPS].contains(scheme));
        let has_host =
            url.authority().is_some_and(|host| !host.host().is_empty() && !host.as_str().contains('@'));
        let has_query = url.path_and_query().and_then(PathAndQuery::query).is_some();
        if !has_scheme || !has_host || has_query {
            return Err(EXPECTED);
        }
        Ok(Self(text.trim_end_matches('/').to_owned()))
    }
}

/// The hold that is wished for.
#[derive(Clone, Debug, Serialize)]
pub(super) struct Wish {
    pub(super) channel: String,
    pub(super) agent: String,
    pub(super) user: String,
    pub(super) composer: Composer,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) participant: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) name: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) note: Option<String>,
    pub(super) idle_ms: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) max_ms: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) start_delay_ms: Option<u64>,
    #[serde(rename = "continue")]
    pub(super) continues: bool,
}

/// A hold that has begun.
#[derive(Debug, Deserialize)]
pub(super) struct Begun {
    pub(super) id: String,
    pub(super) max_ms: u64,
}

/// Why an attached connection ended.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Parting {
    /// The connection did, or the gateway is going away.
    Lost,
    /// The hold did, and the gateway says why, if it does.
    Ended(Option<String>),
}

/// Why something was not done.
#[derive(Debug)]
pub(super) enum Trouble {
    /// There was no answer.
    Silent(Failure),
    /// It was refused, in these words.
    Refused(StatusCode, Option<String>),
    /// The answer is not a gateway's.
    Strange,
}

impl Trouble {
    /// Whether it may be otherwise in a moment.
    pub(super) fn may_pass(&self) -> bool {
        match self {
            Self::Silent(_) => true,
            Self::Refused(status, _) => {
                status.is_server_error()
                    || [StatusCode::REQUEST_TIMEOUT, StatusCode::TOO_MANY_REQUESTS].contains(status)
            }
            Self::Strange => false,
        }
    }

    /// Whether there is no such hold.
    pub(super) fn is_gone(&self) -> bool {
        matches!(self, Self::Refused(StatusCode::NOT_FOUND, _))
    }
}

impl fmt::Display for Trouble {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Silent(Failure::Unreachable) => f.write_str("the gateway cannot be reached"),
            Self::Silent(Failure::Broken) => f.write_str("the connection to the gateway broke"),
            Self::Silent(Failure::TimedOut) => f.write_str("the gateway did not answer in time"),
            Self::Refused(status, None) => write!(f, "the gateway answers {}", status.as_u16()),
            Self::Refused(status, Some(detail)) => {
                write!(f, "the gateway answers {}: {detail}", status.as_u16())
            }
            Self::Strange => f.write_str("what answers at this URL is not typingd"),
        }
    }
}

/// Calls to one gateway, by one key, about one user.
#[derive(Debug)]
pub(super) struct Link {
    client: Client,
    holds: String,
    authorization: HeaderValue,
    /// What a warning never says.
    secrets: [String; 2],
}

impl Link {
    /// Connects to nobody yet.
    ///
    /// # Errors
    /// Where no request could be made of this.
    pub(super) fn new(url: &BaseUrl, key: &Secret, user: &str) -> Result<Self, &'static str> {
        let key = key.clear().unwrap_or_default();
        let mut authorization =
            HeaderValue::try_from(format!("Bearer {key}")).map_err(|_| "the API key is none")?;
        authorization.set_sensitive(true);
        // Where the system trusts nobody, TLS fails and that is told; without TLS it is nobody's concern.
        let client =
            tracing::subscriber::with_default(tracing::subscriber::NoSubscriber::default(), Client::new);
        let secrets = [key.to_owned(), user.trim_start_matches('+').to_owned()];
        Ok(Self { client, holds: format!("{}/typing/v1/holds", url.0), authorization, secrets })
    }

    /// Begins a hold.
    pub(super) async fn begin(&self, wish: &Wish) -> Result<Begun, Trouble> {
        let body = self.post(&self.holds, wish, ANSWER).await?;
        serde_json::from_slice(&body).map_err(|_| Trouble::Strange)
    }

    /// Ends one, within this time.
    pub(super) async fn end(&self, id: &str, reason: Reason, limit: Duration) -> Result<(), Trouble> {
        #[derive(Serialize)]
        struct End {
            reason: Reason,
        }
        self.post(&self.of(id, "end"), &End { reason }, limit).await.map(drop)
    }

    /// Attaches to a hold, which lives until what is given here is dropped.
    pub(super) async fn attach(&self, id: &str) -> Result<Attached, Trouble> {
        let request = self.request(Method::GET, &self.of(id, "attach")).header(ACCEPT, "text/event-stream");
        let request = request.body(Body::empty()).map_err(|_| Trouble::Strange)?;
        let answer = self.client.send(request, ANSWER).await.map_err(Trouble::Silent)?;
        let (head, body) = answer.into_parts();
        if head.status == StatusCode::OK {
            return Ok(Attached { body, events: Events::default() });
        }
        Err(Trouble::Refused(head.status, None))
    }

    async fn post(&self, url: &str, body: &impl Serialize, limit: Duration) -> Result<Bytes, Trouble> {
        let body = serde_json::to_vec(body).map_err(|_| Trouble::Strange)?;
        let request = self.request(Method::POST, url).header(CONTENT_TYPE, "application/json");
        let request = request.body(Bytes::from(body)).map_err(|_| Trouble::Strange)?;
        let answer = self.client.exchange(request, limit).await.map_err(Trouble::Silent)?;
        if !answer.status.is_success() {
            return Err(Trouble::Refused(answer.status, self.detail(&answer.body)));
        }
        if answer.body.len() > ANSWER_LIMIT { Err(Trouble::Strange) } else { Ok(answer.body) }
    }

    fn request(&self, method: Method, url: &str) -> http::request::Builder {
        Request::builder().method(method).uri(url).header(AUTHORIZATION, &self.authorization)
    }

    fn of(&self, id: &str, what: &str) -> String {
        format!("{}/{}/{what}", self.holds, Escaped(id))
    }

    /// What a refusal says, on one line. Where it repeats what nobody is to read, it says nothing.
    fn detail(&self, body: &[u8]) -> Option<String> {
        #[derive(Deserialize)]
        struct Problem {
            detail: String,
            #[serde(default)]
            errors: Vec<Fault>,
        }
        #[derive(Deserialize)]
        struct Fault {
            field: String,
            detail: String,
        }
        let problem: Problem = serde_json::from_slice(body).ok()?;
        let faults = problem.errors.iter().map(|fault| format!("; {}: {}", fault.field, fault.detail));
        let detail = problem.detail + &faults.collect::<String>();
        let is_secret = self.secrets.iter().any(|secret| !secret.is_empty() && detail.contains(secret));
        let plain = detail.chars().map(|char| if char.is_control() { ' ' } else { char });
        (!is_secret).then(|| plain.take(DETAIL).collect())
    }
}

/// The connection that a hold lives by.
pub(super) struct Attached {
    body: Incoming,
    events: Events,
}

impl Attached {
    /// Reads it to its end.
    pub(super) async fn parting(&mut self) -> Parting {
        #[derive(Deserialize)]
        struct Over {
            reason: Option<String>,
        }
        loop {
            while let Some(event) = self.events.next() {
                match event.name.as_str() {
                    "ended" => {
                        let over = serde_json::from_str(&event.data);
                        return Parting::Ended(over.ok().and_then(|Over { reason }| reason));
                    }
                    "closed" => return Parting::Lost,
                    _ => {}
                }
            }
            let Ok(Some(Ok(frame))) = timeout(SILENCE, self.body.frame()).await else { return Parting::Lost };
            if frame.data_ref().is_some_and(|data| self.events.push(data).is_err()) {
                return Parting::Lost;
            }
        }
    }
}

/// A segment of a path.
struct Escaped<'a>(&'a str);

impl fmt::Display for Escaped<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for byte in self.0.bytes() {
            match byte {
                b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9' | b'-' | b'_' | b'~' => f.write_char(byte.into())?,
                _ => write!(f, "%{byte:02X}")?,
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    use tokio::net::TcpListener;

    use super::*;
    use crate::clock::Clock;

    #[test]
    fn a_url_may_have_a_path_and_a_slash() {
        for (given, expected) in [
            ("http://127.0.0.1:8080", Some("http://127.0.0.1:8080")),
            ("https://typing.example/", Some("https://typing.example")),
            ("https://typing.example/a/b/", Some("https://typing.example/a/b")),
            ("typing.example", None),
            ("127.0.0.1:8080", None),
            ("/typing", None),
            ("ftp://typing.example", None),
            ("https://typing.example/?a=b", None),
            ("https://key@typing.example", None),
            ("http:///typing", None),
            ("", None),
        ] {
            let url = given.parse::<BaseUrl>().ok();
            assert_eq!(url, expected.map(|url| BaseUrl(url.to_owned())), "{given}");
        }
    }

    fn link() -> Link {
        let url = "http://localhost/gateway/".parse().unwrap();
        Link::new(&url, &Secret::new("the-key"), "+14155550123").unwrap()
    }

    #[test]
    fn an_id_stays_within_its_segment() {
        assert_eq!(link().of("0a-b", "end"), "http://localhost/gateway/typing/v1/holds/0a-b/end");
        let escaped = "http://localhost/gateway/typing/v1/holds/%2E%2E%2F%3Fa%25%C3%A9/attach";
        assert_eq!(link().of("../?a%é", "attach"), escaped);
    }

    #[test]
    fn a_refusal_is_repeated_on_one_line_and_without_secrets() {
        for (body, expected) in [
            (r#"{"detail":"no such channel"}"#, Some("no such channel")),
            (
                r#"{"detail":"wrong","errors":[{"field":"user","detail":"a number"},{"field":"note","detail":"short"}]}"#,
                Some("wrong; user: a number; note: short"),
            ),
            ("{\"detail\":\"two\\nlines\\u001b[2J\"}", Some("two lines [2J")),
            (r#"{"detail":"who is 14155550123"}"#, None),
            (r#"{"detail":"wrong","errors":[{"field":"the-key","detail":""}]}"#, None),
            (r#"{"error":"x"}"#, None),
            ("<html>", None),
        ] {
            assert_eq!(link().detail(body.as_bytes()).as_deref(), expected, "{body}");
        }
        let long = format!(r#"{{"detail":"{}"}}"#, "é".repeat(1_000));
        assert_eq!(link().detail(long.as_bytes()).unwrap().chars().count(), 300);
    }

    #[test]
    fn a_key_that_no_request_can_carry_is_none() {
        let url = "http://localhost".parse().unwrap();
        assert!(Link::new(&url, &Secret::new("two\nlines"), "user").is_err());
        assert!(!format!("{:?}", link().authorization).contains("the-key"));
    }

    #[tokio::test]
    async fn a_connection_that_falls_silent_is_lost() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap()).parse().unwrap();
        let link = Link::new(&url, &Secret::new("key"), "user").unwrap();
        let accept = async {
            let (mut peer, _) = listener.accept().await.unwrap();
            assert!(peer.read(&mut [0; 4_096]).await.unwrap() > 0);
            let answer = b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n\r\n: here\n\n";
            peer.write_all(answer).await.unwrap();
            peer
        };
        let (attached, _peer) = tokio::join!(link.attach("id"), accept);
        let mut attached = attached.unwrap();
        // Time stands still but where everybody waits.
        tokio::time::pause();
        let clock = Clock::start();
        assert_eq!(attached.parting().await, Parting::Lost);
        assert_eq!(clock.now().as_millis() / 1_000, 40);
    }

    #[test]
    fn what_may_pass_is_tried_again() {
        for (status, may_pass) in [
            (301, false),
            (400, false),
            (401, false),
            (403, false),
            (404, false),
            (408, true),
            (429, true),
            (500, true),
            (502, true),
            (503, true),
        ] {
            let refused = Trouble::Refused(StatusCode::from_u16(status).unwrap(), None);
            assert_eq!(refused.may_pass(), may_pass, "{status}");
        }
    }
}

//! An exchange as a file: what is sent, what is answered, what was understood.
//!
//! ```text
//! # what this row shows
//! # given: too_many 7
//! POST /path HTTP/1.1
//! Header: value
//!
//! body
//! ###
//! HTTP/1.1 200
//! header: value
//!
//! body
//! ###
//! agent acme/kaleyra/kio_rcs/+14155550190 composing 20000ms
//! ```
//!
//! `given` names what only the gateway or an upstream can cause; `upstream 429/7 no` is a 429 with a wait of 7 s. The answer's headers are all there are, in any order.
//! The last block may be left out; it has a line for each conversation. Lines end in LF, except that the body of a
//! multipart request is sent with CRLF, and that `<jwt HEADER CLAIMS SIGNATURE>` in a body stands for the JWT.

use base64::Engine;
use base64::prelude::BASE64_URL_SAFE_NO_PAD;
use bytes::Bytes;
use http::request::Parts;
use http::{Request, Response};
use typingd_core::Signal;
use typingd_providers::{Bar, Call, Rejection};

/// One file.
pub(crate) struct Exchange {
    pub(crate) given: Given,
    pub(crate) head: Parts,
    pub(crate) body: Bytes,
    pub(crate) answer: String,
    pub(crate) understood: Option<String>,
}

/// What stands in the way, beside the request itself.
pub(crate) enum Given {
    Nothing,
    /// The provider counts the conversation as open already.
    OpenConversation,
    /// It is found before the body is read.
    BeforeBody(Rejection),
    /// It is found after the request was understood.
    AfterDecode(Rejection),
}

impl Exchange {
    pub(crate) fn read(file: &str) -> Self {
        let file = file.replace("\r\n", "\n");
        let (comments, rest): (Vec<&str>, Vec<&str>) = {
            let mut is_comment = true;
            file.split_inclusive('\n').partition(|line| {
                is_comment &= line.starts_with("# ");
                is_comment
            })
        };
        assert!(!comments.is_empty(), "the first line says what the file shows");
        let given = comments.iter().find_map(|line| line.strip_prefix("# given: "));
        let rest = rest.concat();
        let mut blocks = blocks(&rest).into_iter();
        let (head, body) = read_request(&blocks.next().expect("there is a request"));
        Self {
            given: given.map_or(Given::Nothing, |text| Given::read(text.trim_end())),
            head,
            body,
            answer: normal_answer(&blocks.next().expect("there is an answer")),
            understood: blocks.next().map(|block| block.trim_end().to_owned()),
        }
    }
}

fn blocks(file: &str) -> Vec<String> {
    let mut blocks = vec![String::new()];
    for line in file.split_inclusive('\n') {
        if line.trim_end() == "###" {
            blocks.push(String::new());
        } else {
            blocks.last_mut().expect("there is always one").push_str(line);
        }
    }
    blocks
}

fn read_request(block: &str) -> (Parts, Bytes) {
    let (head, body) = block.split_once("\n\n").unwrap_or((block, ""));
    let mut lines = head.lines();
    let mut words = lines.next().expect("there is a request line").split(' ');
    let mut request = Request::builder().method(words.next().unwrap_or("")).uri(words.next().unwrap_or(""));
    assert_eq!(words.next(), Some("HTTP/1.1"), "the request line is whole");
    let mut is_multipart = false;
    for line in lines {
        let (name, value) = line.split_once(':').expect("a header has a name and a value");
        is_multipart |= name.eq_ignore_ascii_case("content-type")
            && value.trim().to_ascii_lowercase().starts_with("multipart/");
        request = request.header(name, value.trim());
    }
    let (head, ()) = request.body(()).expect("the head is well-formed").into_parts();
    let body = body.strip_suffix('\n').unwrap_or(body);
    let body = if is_multipart { body.replace('\n', "\r\n") } else { with_jwt(body) };
    (head, body.into())
}

fn with_jwt(body: &str) -> String {
    let Some((before, rest)) = body.split_once("<jwt ") else { return body.to_owned() };
    let (parts, after) = rest.split_once('>').expect("the JWT ends");
    format!("{before}{}{after}", jwt(&parts.split(' ').collect::<Vec<_>>()))
}

/// A JWT of these parts.
pub(crate) fn jwt(parts: &[&str]) -> String {
    parts.iter().map(|part| BASE64_URL_SAFE_NO_PAD.encode(part)).collect::<Vec<_>>().join(".")
}

fn normal_answer(block: &str) -> String {
    let (head, body) = block.split_once("\n\n").unwrap_or((block.trim_end(), ""));
    let mut lines = head.lines();
    let status = lines.next().expect("there is a status line");
    let mut headers: Vec<&str> = lines.collect();
    headers.sort_unstable();
    format!("{status}\n{}\n\n{}", headers.join("\n"), body.strip_suffix('\n').unwrap_or(body))
}

/// An answer as a file has it, to be compared.
pub(crate) fn written(answer: &Response<Bytes>) -> String {
    let header = |(name, value): (&http::HeaderName, &http::HeaderValue)| {
        format!("{name}: {}", value.to_str().expect("answers have plain headers"))
    };
    let mut headers: Vec<String> = answer.headers().iter().map(header).collect();
    headers.sort_unstable();
    let body = std::str::from_utf8(answer.body()).expect("answers are text");
    format!("HTTP/1.1 {}\n{}\n\n{body}", answer.status().as_u16(), headers.join("\n"))
}

/// What a call says, one line for each conversation.
pub(crate) fn understood(call: &Call) -> String {
    let signal = match call.signal {
        Some(Signal::Composing { ttl }) => format!("composing {}ms", ttl.as_millis()),
        Some(Signal::Paused) => "paused".to_owned(),
        Some(Signal::Sent) => "sent".to_owned(),
        None => "nothing".to_owned(),
    };
    let turn = call.marks.turn.map(|turn| format!(" turn={turn}")).unwrap_or_default();
    let id = call.marks.payload_id.as_ref().map(|id| format!(" id={id}")).unwrap_or_default();
    let opens = if call.opens_conversation { " opens" } else { "" };
    let lines = call.conversations.iter().map(|conversation| {
        let (tenant, channel) = (conversation.tenant(), conversation.channel());
        let (agent, user) = (conversation.agent(), conversation.user().as_str());
        format!("{} {tenant}/{channel}/{agent}/{user} {signal}{turn}{id}{opens}", call.role.as_str())
    });
    lines.collect::<Vec<_>>().join("\n")
}

impl Given {
    fn read(text: &str) -> Self {
        let (word, rest) = text.split_once(' ').unwrap_or((text, ""));
        let number = |text: &str| text.parse().expect("it is a number");
        match word {
            "open_conversation" => Self::OpenConversation,
            "too_large" => Self::BeforeBody(Rejection::TooLarge),
            "too_slow" => Self::BeforeBody(Rejection::TooSlow),
            "out_of_scope" => Self::BeforeBody(Rejection::OutOfScope),
            "too_many" => Self::AfterDecode(Rejection::TooMany { retry_after_s: number(rest) }),
            "internal" => Self::AfterDecode(Rejection::Internal),
            "unavailable" => Self::AfterDecode(Rejection::Unavailable),
            "upstream_timeout" => Self::AfterDecode(Rejection::UpstreamTimeout),
            "upstream" => {
                let (status, body) = rest.split_once(' ').unwrap_or((rest, ""));
                let (status, wait) = status.split_once('/').unwrap_or((status, ""));
                let status = status.parse().expect("it is a status");
                let retry_after_s = (!wait.is_empty()).then(|| number(wait));
                Self::AfterDecode(Rejection::Upstream { status, body: body.to_owned(), retry_after_s })
            }
            "forbidden" => Self::AfterDecode(Rejection::Forbidden(match rest {
                "recipient" => Bar::Recipient,
                "permission" => Bar::Permission,
                "context" => Bar::Context,
                "context_for_agent" => Bar::ContextForAgent,
                other => panic!("nothing is forbidden by {other:?}"),
            })),
            other => panic!("nobody can give {other:?}"),
        }
    }
}

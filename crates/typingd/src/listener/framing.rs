//! Requests that two readers could delimit or address in two ways are refused, so that nobody smuggles one past a
//! proxy.
//!
//! hyper resolves some of them silently: of a `Content-Length` beside a `Transfer-Encoding`, or twice, it shows one.
//! So the raw head is looked at as it is read. The head of a pipelined request comes with what was before it and is
//! not seen, or not from its beginning; such a request is served only where nothing could have been hidden.

use http::{Method, Version};
use memchr::memchr_iter;
use typingd_providers::head::{Sent, pick};

use super::Request;

/// What was seen of a request's head before hyper parsed it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Head {
    /// Nothing.
    Unseen,
    /// The body is delimited in one way.
    Sound,
    /// The body is delimited in more than one way.
    Ambiguous,
}

/// Looks for what is wrong with a request's framing.
///
/// # Errors
/// What it is.
pub(super) fn check(request: &Request, head: Head) -> Result<(), &'static str> {
    let [codings, host] = pick(request.headers(), ["transfer-encoding", "host"]);
    match (head, codings) {
        (Head::Ambiguous, _) => return Err("the body's length is given in more than one way"),
        (_, Sent::Nothing) => {}
        (Head::Unseen, _) => return Err("a pipelined request cannot be chunked"),
        (Head::Sound, Sent::Once(coding)) if coding.as_bytes().eq_ignore_ascii_case(b"chunked") => {}
        (Head::Sound, _) => return Err("the only transfer coding taken is `chunked`, once"),
    }
    let is_named = match host {
        Sent::Nothing => request.version() < Version::HTTP_11,
        Sent::Once(_) => true,
        Sent::Again => false,
    };
    if !is_named {
        return Err("there must be one Host header");
    }
    if let (Some(authority), Sent::Once(host)) = (request.uri().authority(), host)
        && !authority.as_str().as_bytes().eq_ignore_ascii_case(host.as_bytes())
    {
        return Err("the request's target is not on the host it names");
    }
    match *request.method() {
        Method::CONNECT | Method::TRACE => Err("this method is not served anywhere"),
        _ => Ok(()),
    }
}

/// More than any head that hyper takes.
const LONGEST_HEAD: usize = 64 * 1024;

/// Reads along until a head is complete, and judges it.
#[derive(Default)]
pub(super) struct HeadWatch {
    /// What was read of a head that came in pieces.
    begun: Vec<u8>,
}

impl HeadWatch {
    /// Takes the next bytes; once the head is complete, gives the judgement and how many of them are not the head's.
    pub(super) fn see(&mut self, bytes: &[u8]) -> Option<(Head, usize)> {
        if self.begun.is_empty() {
            // Empty lines before a request are skipped by every reader.
            let start = bytes.iter().position(|byte| !matches!(byte, b'\r' | b'\n'))?;
            let bytes = &bytes[start..];
            let head = judge(bytes);
            if head.is_none() {
                self.begun.extend_from_slice(bytes);
            }
            return head;
        }
        let looked_at = self.begun.len().saturating_sub(3);
        self.begun.extend_from_slice(bytes);
        // However small the pieces are, all of it is looked at once more and not again with each of them.
        let is_whole = line_ends(&self.begun[looked_at..]).any(|next| after_empty_line(next).is_some());
        let head = if is_whole { judge(&self.begun) } else { None };
        if head.is_some() || self.begun.len() > LONGEST_HEAD {
            self.begun = Vec::new();
        }
        head
    }
}

/// What follows the end of each line.
fn line_ends(bytes: &[u8]) -> impl Iterator<Item = &[u8]> {
    memchr_iter(b'\n', bytes).map(|at| &bytes[at + 1..])
}

/// What follows an empty line, where this begins with one.
fn after_empty_line(bytes: &[u8]) -> Option<&[u8]> {
    bytes.strip_prefix(b"\n").or_else(|| bytes.strip_prefix(b"\r\n"))
}

/// Judges the head that this begins with, where it is complete, and says how many bytes follow it.
fn judge(bytes: &[u8]) -> Option<(Head, usize)> {
    let mut delimiters = 0;
    for next in line_ends(bytes) {
        if let Some(rest) = after_empty_line(next) {
            return Some((if delimiters > 1 { Head::Ambiguous } else { Head::Sound }, rest.len()));
        }
        delimiters += usize::from(delimits_body(next));
    }
    None
}

/// Whether a header, at whose name this begins, says where the body ends.
fn delimits_body(header: &[u8]) -> bool {
    let name: &[u8] = match header.first() {
        Some(b'c' | b'C') => b"content-length",
        Some(b't' | b'T') => b"transfer-encoding",
        _ => return false,
    };
    let Some((start, rest)) = header.split_at_checked(name.len()) else { return false };
    start.eq_ignore_ascii_case(name) && matches!(rest.first(), None | Some(b':' | b'\n'))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_head_is_judged_however_it_is_cut() {
        for (head, judged) in [
            ("GET / HTTP/1.1\nHost: a\n\n", Head::Sound),
            ("GET / HTTP/1.1\r\nHost: a\r\n\r\n", Head::Sound),
            ("\r\n\r\nGET / HTTP/1.1\r\nHost: a\r\n\r\n", Head::Sound),
            ("POST / HTTP/1.1\r\nContent-Length: 1\r\n\r\nx", Head::Sound),
            ("POST / HTTP/1.1\r\nContent-Length: 1\r\ncontent-length: 1\r\n\r\nx", Head::Ambiguous),
            ("POST / HTTP/1.1\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n", Head::Ambiguous),
            ("POST / HTTP/1.1\nTransfer-Encoding: chunked\nCONTENT-LENGTH: 4\n\n", Head::Ambiguous),
            (
                "POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\n",
                Head::Ambiguous,
            ),
            ("POST / HTTP/1.1\r\nContent-Length: 30\r\n\r\nContent-Length: 1\r\n\r\n", Head::Sound),
        ] {
            for piece in 1..=head.len() {
                let mut watch = HeadWatch::default();
                let seen = head.as_bytes().chunks(piece).find_map(|bytes| watch.see(bytes));
                assert_eq!(seen.map(|(head, _)| head), Some(judged), "{head:?} in pieces of {piece}");
            }
        }
    }

    #[test]
    fn what_comes_with_the_end_of_a_head_is_counted() {
        for (head, rest) in [
            ("GET / HTTP/1.1\r\n\r\n", 0),
            ("GET / HTTP/1.1\r\n\r\n{}", 2),
            ("\r\nGET / HTTP/1.1\r\nHost: a\r\n\r\n\r\n", 2),
            ("GET / HTTP/1.1\n\nGET", 3),
        ] {
            let whole = HeadWatch::default().see(head.as_bytes());
            assert_eq!(whole, Some((Head::Sound, rest)), "{head:?}");
            let mut watch = HeadWatch::default();
            assert_eq!(watch.see(&head.as_bytes()[..9]), None, "{head:?}");
            assert_eq!(watch.see(&head.as_bytes()[9..]), Some((Head::Sound, rest)), "{head:?} in two pieces");
        }
    }
}

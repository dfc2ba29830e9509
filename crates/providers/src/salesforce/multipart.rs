//! A `multipart/form-data` body (RFC 7578 over RFC 2046), read whole or by its first part.
//!
//! This knows delimiters, part headers and part names; it refuses to know what the parts mean, and it ignores file
//! names and the parts' media types. The body is complete and bounded before it comes here, so reading it is a search
//! for delimiters: contents are slices of the body, and what could be read in two ways is refused. Lines end in CRLF,
//! nothing but one empty line stands before the first delimiter, and the closing delimiter is there. What follows it
//! is ignored, as RFC 2046 has it.

use std::borrow::Cow;
use std::sync::LazyLock;

use memchr::memmem::{self, Finder};
use memchr::{memchr, memchr2};

use crate::rejection::Rejection;

/// The most parts a body may have.
const MAX_PARTS: usize = 16;
/// The most bytes that a part's headers may take.
const MAX_PART_HEAD: usize = 8 * 1024;
/// The most headers a part may have.
const MAX_PART_HEADERS: usize = 16;
/// The longest boundary, in bytes.
const MAX_BOUNDARY: usize = 70;

/// One part of a body.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Part<'b> {
    /// The field it stands for.
    pub(super) name: Cow<'b, [u8]>,
    /// Where in the body its content begins.
    pub(super) at: usize,
    /// All that is in it.
    pub(super) content: &'b [u8],
}

/// What separates the parts: what the media type says or, because some clients leave it out there, what the body's
/// first line shows.
pub(super) fn boundary<'r>(content_type: &'r str, body: &'r [u8]) -> Result<Cow<'r, [u8]>, Rejection> {
    let content_type = content_type.as_bytes();
    let parameters = memchr(b';', content_type).map_or(&b""[..], |at| &content_type[at + 1..]);
    let boundary = match parameter(parameters, b"boundary")? {
        Some(boundary) => boundary,
        None => {
            shown(body).ok_or_else(|| malformed("no boundary is given, nor shown by the first line"))?.into()
        }
    };
    if is_boundary(&boundary) { Ok(boundary) } else { Err(malformed("the boundary is not a valid one")) }
}

/// The body's parts, in their order.
pub(super) fn parts<'b>(body: &'b [u8], boundary: &[u8]) -> Result<Vec<Part<'b>>, Rejection> {
    let first = after_first(body, boundary);
    let mut rest = first.ok_or_else(|| malformed("the body does not begin with its boundary"))?;
    let mut parts = Vec::with_capacity(2);
    loop {
        if let Some(after) = rest.strip_prefix(b"--") {
            if after.is_empty() || after.starts_with(b"\r\n") {
                return Ok(parts);
            }
            return Err(malformed("something follows the last boundary on its line"));
        }
        if parts.len() == MAX_PARTS {
            return Err(malformed("the body has too many parts"));
        }
        let part = rest
            .strip_prefix(b"\r\n")
            .ok_or_else(|| malformed("something follows a boundary on its line"))?;
        let split = at_delimiter(part, boundary);
        let (this, after) = split.ok_or_else(|| malformed("the body is cut off: a part does not end"))?;
        parts.push(read_part(this, body.len() - part.len())?);
        rest = after;
    }
}

/// The first part of a body that may not have come whole, and what follows its delimiter: where it has this name, is
/// complete, and has at most so many bytes in it. Of a longer body no more is looked at.
pub(super) fn first<'b>(
    body: &'b [u8],
    boundary: &[u8],
    name: &[u8],
    most: usize,
) -> Option<(Part<'b>, &'b [u8])> {
    let part = after_first(body, boundary)?.strip_prefix(b"\r\n")?;
    let at = body.len() - part.len();
    let content = end_of_head(part)? + 4;
    if read_part(&part[..content], at).ok()?.name.as_ref() != name {
        return None;
    }
    let window = &part[..part.len().min(content + most + DELIMITER.len() + boundary.len())];
    let (this, after) = at_delimiter(window, boundary)?;
    Some((read_part(this, at).ok()?, &part[window.len() - after.len()..]))
}

/// What a delimiter begins with. The boundary follows.
const DELIMITER: &[u8] = b"\r\n--";

/// What follows the delimiter that a body begins with, which is at the beginning of a line already.
fn after_first<'b>(body: &'b [u8], boundary: &[u8]) -> Option<&'b [u8]> {
    without_empty_line(body).strip_prefix(b"--")?.strip_prefix(boundary)
}

/// What stands before the next delimiter, and what follows it.
fn at_delimiter<'b>(text: &'b [u8], boundary: &[u8]) -> Option<(&'b [u8], &'b [u8])> {
    static DELIMITERS: LazyLock<Finder<'static>> = LazyLock::new(|| Finder::new(DELIMITER));
    DELIMITERS.find_iter(text).find_map(|at| {
        let after = text[at + DELIMITER.len()..].strip_prefix(boundary)?;
        Some((&text[..at], after))
    })
}

fn malformed(why: &'static str) -> Rejection {
    Rejection::Malformed { why: why.into() }
}

fn without_empty_line(body: &[u8]) -> &[u8] {
    body.strip_prefix(b"\r\n").unwrap_or(body)
}

/// The boundary that the body's first line shows.
fn shown(body: &[u8]) -> Option<&[u8]> {
    let body = without_empty_line(body).strip_prefix(b"--")?;
    let start = &body[..body.len().min(MAX_BOUNDARY + 2)];
    Some(&start[..memmem::find(start, b"\r\n")?])
}

fn is_boundary(text: &[u8]) -> bool {
    static ALLOWED: [bool; 256] = letters_digits_and(b"'()+,-./_:=? ");
    (1..=MAX_BOUNDARY).contains(&text.len()) && are_all(text, &ALLOWED) && !text.ends_with(b" ")
}

/// Where the last line of a part's headers ends, before the empty line.
fn end_of_head(part: &[u8]) -> Option<usize> {
    static EMPTY_LINES: LazyLock<Finder<'static>> = LazyLock::new(|| Finder::new(b"\r\n\r\n"));
    EMPTY_LINES.find(&part[..part.len().min(MAX_PART_HEAD + 4)])
}

/// Reads a part that begins at this place of the body.
fn read_part(part: &[u8], at: usize) -> Result<Part<'_>, Rejection> {
    let end = end_of_head(part).ok_or_else(|| malformed("a part's headers do not end within 8 KiB"))?;
    let disposition = disposition(&part[..end + 2])?;
    let (kind, parameters) = disposition.split_at(memchr(b';', disposition).unwrap_or(disposition.len()));
    if !kind.trim_ascii().eq_ignore_ascii_case(b"form-data") {
        return Err(malformed("a part is not form-data"));
    }
    let name = parameter(parameters, b"name")?.ok_or_else(|| malformed("a part has no name"))?;
    Ok(Part { name, at: at + end + 4, content: &part[end + 4..] })
}

/// The value of the one `Content-Disposition` among a part's headers, each of which ends in CRLF.
fn disposition(head: &[u8]) -> Result<&[u8], Rejection> {
    let mut disposition = None;
    for (count, line) in lines(head).enumerate() {
        let line =
            line.strip_suffix(b"\r\n").ok_or_else(|| malformed("a part's header does not end in CRLF"))?;
        let colon = memchr(b':', line).ok_or_else(|| malformed("a part's header has no colon"))?;
        let (name, value) = (&line[..colon], &line[colon + 1..]);
        if count == MAX_PART_HEADERS {
            return Err(malformed("a part has too many headers"));
        }
        if !is_token(name) || memchr2(b'\r', b'\0', value).is_some() {
            return Err(malformed("a part's header is not a valid one"));
        }
        if name.eq_ignore_ascii_case(b"content-disposition") && disposition.replace(value).is_some() {
            return Err(malformed("a part says twice what it is"));
        }
    }
    disposition.ok_or_else(|| malformed("a part does not say what it is"))
}

/// Each line, with its end.
fn lines(mut text: &[u8]) -> impl Iterator<Item = &[u8]> {
    std::iter::from_fn(move || {
        let end = memchr(b'\n', text).map_or(text.len(), |at| at + 1);
        let (line, rest) = text.split_at(end);
        text = rest;
        (!line.is_empty()).then_some(line)
    })
}

/// The value of one parameter among those that follow a header's value, each after a semicolon.
fn parameter<'h>(mut rest: &'h [u8], wanted: &[u8]) -> Result<Option<Cow<'h, [u8]>>, Rejection> {
    let bad = || malformed("a header's parameters are not valid ones");
    let mut found = None;
    loop {
        rest = rest.trim_ascii_start();
        if rest.is_empty() {
            return Ok(found);
        }
        if let Some(after) = rest.strip_prefix(b";") {
            rest = after;
            continue;
        }
        let Some((name, value)) = take_parameter(&mut rest) else { return Err(bad()) };
        let is_wanted = name == wanted || name.eq_ignore_ascii_case(wanted);
        if is_wanted && found.replace(value).is_some() {
            return Err(bad());
        }
    }
}

/// A parameter's name and value, taken off the text, which then is empty or goes on with a semicolon.
fn take_parameter<'h>(text: &mut &'h [u8]) -> Option<(&'h [u8], Cow<'h, [u8]>)> {
    let equals = memchr(b'=', text)?;
    let (name, rest) = (&text[..equals], &text[equals + 1..]);
    let (value, rest) = match rest.strip_prefix(b"\"") {
        Some(quoted) => unquote(quoted)?,
        None => {
            let (value, rest) = rest.split_at(memchr(b';', rest).unwrap_or(rest.len()));
            (value.trim_ascii().into(), rest)
        }
    };
    *text = rest.trim_ascii_start();
    (is_token(name) && (text.is_empty() || text.starts_with(b";"))).then_some((name, value))
}

/// What is quoted, its escapes resolved, and what follows the closing quote.
fn unquote(text: &[u8]) -> Option<(Cow<'_, [u8]>, &[u8])> {
    let special = memchr2(b'"', b'\\', text)?;
    if text[special] == b'"' {
        return Some((text[..special].into(), &text[special + 1..]));
    }
    let mut value = text[..special].to_vec();
    let mut bytes = text[special..].iter();
    loop {
        match bytes.next()? {
            b'"' => return Some((value.into(), bytes.as_slice())),
            b'\\' => value.push(*bytes.next()?),
            byte => value.push(*byte),
        }
    }
}

fn is_token(text: &[u8]) -> bool {
    static ALLOWED: [bool; 256] = letters_digits_and(b"!#$%&'*+-.^_`|~");
    !text.is_empty() && are_all(text, &ALLOWED)
}

fn are_all(text: &[u8], allowed: &[bool; 256]) -> bool {
    text.iter().all(|byte| allowed[usize::from(*byte)])
}

const fn letters_digits_and(others: &[u8]) -> [bool; 256] {
    let mut allowed = [false; 256];
    let mut byte = 0;
    while byte < 128_u8 {
        allowed[byte as usize] = byte.is_ascii_alphanumeric();
        byte += 1;
    }
    let mut at = 0;
    while at < others.len() {
        allowed[others[at] as usize] = true;
        at += 1;
    }
    allowed
}

#[cfg(test)]
mod tests {
    use super::*;

    const HEAD: &str = "Content-Disposition: form-data; name=\"json\"\r\n";

    fn names_and_contents(body: &[u8], boundary: &[u8]) -> Option<Vec<(String, usize)>> {
        let parts = parts(body, boundary).ok()?;
        let summary = |part: &Part<'_>| (String::from_utf8_lossy(&part.name).into(), part.content.len());
        Some(parts.iter().map(summary).collect())
    }

    #[test]
    fn a_body_is_read_in_one_way_or_not_at_all() {
        let part = |head: &str, content: &str| format!("--b\r\n{head}\r\n{content}\r\n");
        let whole = |head: &str| part(head, "{}") + "--b--\r\n";
        let headers = |count: usize| "X: y\r\n".repeat(count) + HEAD;
        let long_header = |length: usize| format!("X: {}\r\n{HEAD}", "y".repeat(length));
        let json: &[(&str, usize)] = &[("json", 2)];
        let refused: Option<&[(&str, usize)]> = None;
        for (what, body, expected) in [
            ("one part", whole(HEAD), Some(json)),
            ("an empty line first", "\r\n".to_owned() + &whole(HEAD), Some(json)),
            ("nothing after the last boundary", part(HEAD, "{}") + "--b--", Some(json)),
            ("an epilogue", whole(HEAD) + "ignored", Some(json)),
            ("no part", "--b--\r\n".to_owned(), Some(&[])),
            ("an empty part", part(HEAD, "") + "--b--", Some(&[("json", 0)])),
            ("almost a delimiter inside", part(HEAD, "\r\n--a\n--b") + "--b--", Some(&[("json", 9)])),
            ("two parts", part(HEAD, "{}") + &whole(HEAD), Some(&[("json", 2), ("json", 2)])),
            ("a name as a token", whole("content-disposition:form-data;name=json\r\n"), Some(json)),
            (
                "a name with an escape",
                whole("Content-Disposition: form-data; name=\"js\\on\"\r\n"),
                Some(json),
            ),
            (
                "a file name with a path",
                whole(&HEAD.replace("\r", "; filename=\"../../etc/passwd\"\r")),
                Some(json),
            ),
            (
                "a file name with quotes",
                whole(&HEAD.replace("; n", "; filename=\"a\\\"; name=x\"; n")),
                Some(json),
            ),
            ("16 headers", whole(&headers(15)), Some(json)),
            ("16 parts", part(HEAD, "{}").repeat(15) + &whole(HEAD), Some(&[("json", 2); 16])),
            ("17 headers", whole(&headers(16)), refused),
            ("17 parts", part(HEAD, "{}").repeat(16) + &whole(HEAD), refused),
            ("1,000 parts", part(HEAD, "{}").repeat(999) + &whole(HEAD), refused),
            ("40 kB of header", whole(&long_header(40_000)), refused),
            ("cut off in the content", part(HEAD, "{}"), refused),
            ("cut off in a header", "--b\r\nContent-Disp".to_owned(), refused),
            ("cut off after a boundary", "--b".to_owned(), refused),
            ("LF only", whole(HEAD).replace('\r', ""), refused),
            ("LF after a header", whole(&HEAD.replace('\r', "")), refused),
            ("a bare CR in a header", whole(&HEAD.replace("; n", ";\r n")), refused),
            ("a folded header", whole(&HEAD.replace("; n", ";\r\n n")), refused),
            ("a NUL in a header", whole(&HEAD.replace("; n", ";\0 n")), refused),
            ("a preamble", "preamble\r\n".to_owned() + &whole(HEAD), refused),
            ("two empty lines first", "\r\n\r\n".to_owned() + &whole(HEAD), refused),
            ("another boundary", whole(HEAD).replace("--b", "--c"), refused),
            ("a longer boundary", whole(HEAD).replace("--b", "--bb"), refused),
            ("text after the last boundary", whole(HEAD).replace("--b--", "--b--x"), refused),
            ("no headers", whole(""), refused),
            ("no disposition", whole("Content-Type: application/json\r\n"), refused),
            ("two dispositions", whole(&HEAD.repeat(2)), refused),
            ("another disposition", whole(&HEAD.replace("form-data", "attachment")), refused),
            ("no name", whole("Content-Disposition: form-data\r\n"), refused),
            ("two names", whole(&HEAD.replace("\r", "; name=json\r")), refused),
            ("an open quote", whole("Content-Disposition: form-data; name=\"json\r\n"), refused),
            ("text after a quote", whole(&HEAD.replace("\r", "x\r")), refused),
            ("a header without a colon", whole(&format!("X\r\n{HEAD}")), refused),
            ("a header without a name", whole(&format!(": x\r\n{HEAD}")), refused),
        ] {
            let expected = expected.map(|parts| {
                parts.iter().map(|(name, length)| ((*name).to_owned(), *length)).collect::<Vec<_>>()
            });
            assert_eq!(names_and_contents(body.as_bytes(), b"b"), expected, "{what}");
        }
    }

    #[test]
    fn contents_are_bytes_and_are_not_copied() {
        let body = [b"--b\r\n", HEAD.as_bytes(), b"\r\n\x00\xff\n\r\n--b--"].concat();
        let parts = parts(&body, b"b").unwrap();
        assert_eq!(parts[0].content, b"\x00\xff\n");
        assert!(body.as_ptr_range().contains(&parts[0].content.as_ptr()));
    }

    #[test]
    fn the_boundary_is_the_one_given_or_else_the_one_shown() {
        let long = format!("multipart/form-data; boundary={}", "x".repeat(70));
        let too_long = format!("{long}x");
        let (shown, too_long_shown) = ("--shown\r\n", format!("--{}\r\n", "x".repeat(71)));
        for (what, content_type, body, expected) in [
            ("a token", "multipart/form-data; boundary=b", shown, Some("b")),
            ("quoted", "multipart/form-data; boundary=\"a b\"", shown, Some("a b")),
            ("upper case", "Multipart/Form-Data;BOUNDARY=b", shown, Some("b")),
            ("after another", "multipart/form-data; charset=utf-8; boundary=b;", shown, Some("b")),
            (
                "not a token, and not quoted",
                "multipart/form-data; boundary=----=_Part:1",
                shown,
                Some("----=_Part:1"),
            ),
            ("70 characters", &long, shown, Some(&long[30..])),
            ("shown", "multipart/form-data", shown, Some("shown")),
            ("shown after an empty line", "multipart/form-data;", "\r\n--shown\r\n", Some("shown")),
            ("71 characters", &too_long, shown, None),
            ("71 characters shown", "multipart/form-data", &too_long_shown, None),
            ("empty", "multipart/form-data; boundary=", shown, None),
            ("empty and quoted", "multipart/form-data; boundary=\"\"", shown, None),
            ("a space at its end", "multipart/form-data; boundary=\"b \"", shown, None),
            ("a character outside the set", "multipart/form-data; boundary=b*", shown, None),
            ("twice", "multipart/form-data; boundary=b; boundary=b", shown, None),
            ("no value", "multipart/form-data; boundary", shown, None),
            ("shown with LF", "multipart/form-data", "--shown\n", None),
            ("shown by nothing", "multipart/form-data", "{}\r\n", None),
            ("shown empty", "multipart/form-data", "--\r\n", None),
        ] {
            let boundary = boundary(content_type, body.as_bytes()).ok();
            assert_eq!(boundary.as_deref(), expected.map(str::as_bytes), "{what}");
        }
    }
}

//! A body's lead: its first part, where that is the JSON part, complete. What is said stands there; a file that follows
//! is the provider's to take.

use std::ops::Range;

use http::header::{CONTENT_TYPE, HeaderMap};

use super::form::MAX_JSON;
use super::multipart;
use crate::head;

/// The JSON part that a body begins with.
pub(super) struct Lead<'b> {
    /// What is in it.
    pub(super) json: &'b [u8],
    /// Whether another part follows.
    pub(super) is_followed: bool,
}

impl<'b> Lead<'b> {
    /// Reads the lead of a body of which this much has come. However much that is, no more than the lead can have is
    /// looked at.
    pub(super) fn read(headers: &HeaderMap, so_far: &'b [u8]) -> Option<Self> {
        let boundary = boundary(headers, so_far)?;
        let (part, rest) = multipart::first(so_far, &boundary, b"json", MAX_JSON)?;
        Some(Self { json: part.content, is_followed: rest.starts_with(b"\r\n") })
    }
}

/// Where the JSON part stands in a body, or in its lead.
pub(super) fn json_part(headers: &HeaderMap, body: &[u8]) -> Option<Range<usize>> {
    let boundary = boundary(headers, body)?;
    let span = |part: &multipart::Part<'_>| part.at..part.at + part.content.len();
    if let Some((part, _)) = multipart::first(body, &boundary, b"json", MAX_JSON) {
        return Some(span(&part));
    }
    let parts = multipart::parts(body, &boundary).ok()?;
    let mut json = parts.iter().filter(|part| part.name.as_ref() == b"json");
    let only = json.next().map(span)?;
    json.next().is_none().then_some(only)
}

fn boundary<'r>(headers: &'r HeaderMap, body: &'r [u8]) -> Option<std::borrow::Cow<'r, [u8]>> {
    if !head::is_media_type(headers, "multipart/form-data") {
        return None;
    }
    multipart::boundary(head::single(headers, CONTENT_TYPE)?, body).ok()
}

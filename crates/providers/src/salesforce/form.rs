//! The two parts that a request has: what is said, and the file that may come with it.

use super::multipart;
use crate::rejection::Rejection;

/// The largest JSON part, in bytes. The body may be larger, for a file's sake.
pub(super) const MAX_JSON: usize = 64 * 1024;

/// A request's body, taken apart.
pub(super) struct Form<'b> {
    /// The JSON part.
    pub(super) json: &'b [u8],
    /// How many files came with it.
    pub(super) attachments: usize,
}

impl<'b> Form<'b> {
    /// Takes a body of this media type apart, whatever the order of its parts.
    pub(super) fn read(content_type: Option<&str>, body: &'b [u8]) -> Result<Self, Rejection> {
        if body.is_empty() {
            return Err(Rejection::NoBody);
        }
        let boundary = multipart::boundary(content_type.unwrap_or_default(), body)?;
        let (mut json, mut attachments) = (None, 0);
        for part in multipart::parts(body, &boundary)? {
            match part.name.as_ref() {
                b"json" if json.is_none() => json = Some(part.content),
                b"json" => return Err(malformed("the json part is there twice")),
                b"attachments" => attachments += 1,
                _ => return Err(malformed("a part is neither json nor attachments")),
            }
        }
        let json = json.ok_or(Rejection::NoBody)?;
        if json.len() > MAX_JSON { Err(Rejection::TooLarge) } else { Ok(Self { json, attachments }) }
    }
}

fn malformed(why: &'static str) -> Rejection {
    Rejection::Malformed { why: why.into() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_json_part_has_a_limit_of_its_own() {
        let read = |json: usize, attachment: usize| {
            let part = |name, length| {
                let content = "x".repeat(length);
                format!("--b\r\nContent-Disposition: form-data; name={name}\r\n\r\n{content}\r\n")
            };
            let body = part("json", json) + &part("attachments", attachment) + "--b--";
            Form::read(Some("multipart/form-data; boundary=b"), body.as_bytes())
                .map(|form| (form.json.len(), form.attachments))
        };
        assert_eq!(read(MAX_JSON, MAX_JSON + 1), Ok((MAX_JSON, 1)));
        assert_eq!(read(MAX_JSON + 1, 0), Err(Rejection::TooLarge));
    }
}

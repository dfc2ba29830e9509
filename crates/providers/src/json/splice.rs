//! Another text in place of one of a body's, and not a byte changed beside it.
//!
//! This knows where the strings of an object's top level stand. What they mean is the caller's. A body that could be
//! read in two ways is left as it is: whoever reads it next may read it in the other.

use std::ops::Range;

use typingd_core::Name;

use super::{Json, Object, parse};

/// The body with another text in each top-level member for which `rename`, given its name and text, has one; `None`
/// where nothing changes.
pub(crate) fn rename(body: &[u8], rename: impl Fn(&str, &str) -> Option<Name>) -> Option<Vec<u8>> {
    let Ok(Json::Object(object)) = parse(body) else { return None };
    let mut renamed = Vec::with_capacity(body.len());
    let mut copied = 0;
    for (at, name, text) in strings(body, &object) {
        let Some(new) = rename(name, text).filter(|new| new != text) else { continue };
        renamed.extend_from_slice(&body[copied..at.start]);
        serde_json::to_writer(&mut renamed, new.as_str()).expect("a text can always be written as JSON");
        copied = at.end;
    }
    renamed.extend_from_slice(&body[copied..]);
    (copied > 0).then_some(renamed)
}

/// The members of a body's object that are strings: where each stands with its quotes, its member's name, and its text.
fn strings<'j>(body: &[u8], object: &'j Object<'_>) -> Vec<(Range<usize>, &'j str, &'j str)> {
    let spans = top_level(body);
    // The members' names are strings, too: those that a colon follows.
    let mut texts = spans.into_iter().filter(|span| !is_name(body, span.end));
    let members = object.iter().filter_map(|(name, value)| Some((name, value.as_str()?)));
    members.map_while(|(name, text)| Some((texts.next()?, name, text))).collect()
}

/// Where the strings stand, with their quotes, that are an object's own, of a body that is one.
fn top_level(body: &[u8]) -> Vec<Range<usize>> {
    let (mut spans, mut depth, mut at) = (Vec::new(), 0_usize, 0);
    while let Some(byte) = body.get(at) {
        let start = at;
        at += 1;
        match byte {
            b'{' | b'[' => depth += 1,
            b'}' | b']' => depth = depth.saturating_sub(1),
            b'"' => {
                at = end_of_string(body, at);
                if depth == 1 {
                    spans.push(start..at);
                }
            }
            _ => {}
        }
    }
    spans
}

/// What follows the closing quote of a string whose text begins here.
fn end_of_string(body: &[u8], mut at: usize) -> usize {
    loop {
        match body.get(at) {
            None => return body.len(),
            Some(b'"') => return at + 1,
            Some(b'\\') => at += 2,
            Some(_) => at += 1,
        }
    }
}

fn is_name(body: &[u8], end: usize) -> bool {
    let rest = body.get(end..).unwrap_or_default();
    rest.trim_ascii_start().starts_with(b":")
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// Calls the agent `a` another name, and an agent with an `é` a third.
    fn of_from(name: &str, text: &str) -> Option<Name> {
        match (name, text) {
            ("from", "a") => Some("b\"\\\u{7}é".into()),
            ("from", "é\"") => Some("x".into()),
            ("from", "same") => Some("same".into()),
            ("to", "both") => Some(Name::new("")),
            _ => None,
        }
    }

    #[test]
    fn exactly_the_bytes_of_one_text_change() {
        for (what, body, expected) in [
            ("alone", r#"{"from":"a"}"#, Some(r#"{"from":"b\"\\\u0007é"}"#)),
            (
                "whitespace and order",
                " {\r\n\"z\" :\t1.50e+1 , \"from\" \n:\t\"a\" ,\"n\":1.0 }\n",
                Some(" {\r\n\"z\" :\t1.50e+1 , \"from\" \n:\t\"b\\\"\\\\\\u0007é\" ,\"n\":1.0 }\n"),
            ),
            ("an escape in the text", r#"{"from":"\u0061"}"#, Some(r#"{"from":"b\"\\\u0007é"}"#)),
            ("an escape in the name", r#"{"fr\u006fm":"a"}"#, Some(r#"{"fr\u006fm":"b\"\\\u0007é"}"#)),
            ("an escaped quote", r#"{"x":"\"from\":\"a\"","from":"\u00e9\""}"#, {
                Some(r#"{"x":"\"from\":\"a\"","from":"x"}"#)
            }),
            ("a backslash at an end", r#"{"x":"\\","from":"a","y":"\\\\"}"#, {
                Some(r#"{"x":"\\","from":"b\"\\\u0007é","y":"\\\\"}"#)
            }),
            (
                "nested ones of the same name",
                r#"{"o":{"from":"a"},"l":["from",{"from":"a"}],"from":"a"}"#,
                Some(r#"{"o":{"from":"a"},"l":["from",{"from":"a"}],"from":"b\"\\\u0007é"}"#),
            ),
            ("unicode about", r#"{"ключ":"é😀","from":"é\"","z":"\ud83d\ude00"}"#, {
                Some(r#"{"ключ":"é😀","from":"x","z":"\ud83d\ude00"}"#)
            }),
            ("a text that ends like a name", r#"{"x":":","from":"a"}"#, {
                Some(r#"{"x":":","from":"b\"\\\u0007é"}"#)
            }),
            ("two members", r#"{"to":"both","from":"é\""}"#, Some(r#"{"to":"","from":"x"}"#)),
            ("the same name", r#"{"from":"\u0073ame"}"#, None),
            ("no name for it", r#"{"from":"c"}"#, None),
            ("nested only", r#"{"o":{"from":"a"}}"#, None),
            ("no text", r#"{"from":["a"]}"#, None),
            ("twice", r#"{"from":"a","from":"a"}"#, None),
            ("twice, once escaped", r#"{"from":"a","fr\u006fm":"a"}"#, None),
            ("twice elsewhere", r#"{"from":"a","o":{"x":1,"x":2}}"#, None),
            ("an array", r#"[{"from":"a"}]"#, None),
            ("cut off", r#"{"from":"a""#, None),
            ("two values", r#"{"from":"a"}{}"#, None),
            ("a byte order mark", "\u{feff}{\"from\":\"a\"}", None),
            ("nothing", "", None),
        ] {
            let seen = rename(body.as_bytes(), of_from);
            let seen = seen.map(|body| String::from_utf8(body).unwrap());
            assert_eq!(seen.as_deref(), expected, "{what}");
        }
    }

    proptest! {
        #[test]
        fn any_bytes_are_read(body in prop::collection::vec(any::<u8>(), 0..200), near in r#"[{}\[\]":,\\a from]{0,60}"#) {
            for body in [&body[..], near.as_bytes()] {
                rename(body, |_, _| Some("x".into()));
                top_level(body);
            }
        }

        #[test]
        fn a_text_changed_there_and_back_is_as_it_was(text in any::<String>(), other in any::<String>()) {
            let body = format!("{{ \"x\": {{\"from\": 1}},\"from\" :{}}}", serde_json::to_string(&text).unwrap());
            let Some(there) = rename(body.as_bytes(), |name, _| (name == "from").then(|| other.as_str().into())) else {
                prop_assert_eq!(text, other);
                return Ok(());
            };
            let back = rename(&there, |name, _| (name == "from").then(|| text.as_str().into())).unwrap();
            prop_assert_eq!(back, body.into_bytes());
        }
    }
}

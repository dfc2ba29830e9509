//! JSON as nearly everybody sends it, read in one go: no escapes, no fractions, not deep.
//!
//! Whatever is anything else, or is wrong, is left to the parser that knows all of JSON and can say where it is wrong.
//! What is taken here, that parser takes for the same.

use std::borrow::Cow;

use super::{Json, Number, Object, is_each_once};

/// How deep objects and arrays may stand in each other.
const MAX_DEPTH: usize = 16;

/// How many digits a whole number may have that fits in any case.
const MAX_DIGITS: usize = 18;

/// For how many members or elements there is room once there is one.
const FEW: usize = 4;

/// Reads a text that is one value.
pub(super) fn read(text: &str) -> Option<Json<'_>> {
    let mut reader = Reader { text, at: 0 };
    let first = reader.sign()?;
    let json = reader.value(first, MAX_DEPTH)?;
    reader.sign().is_none().then_some(json)
}

/// Where the first byte of a text stands that cannot stand in a JSON string as it is: a quote, a backslash or a control
/// character.
#[inline]
pub(super) fn end_of_plain(text: &[u8]) -> Option<usize> {
    const EACH: u64 = u64::MAX / 255;
    let mut at = 0;
    while let Some(word) = text.get(at..).and_then(|rest| rest.first_chunk::<8>()) {
        // The highest bit of a byte, where it is one of them. Above the first one, of others, too.
        let word = u64::from_le_bytes(*word);
        let quotes = word ^ (EACH * u64::from(b'"'));
        let backslashes = word ^ (EACH * u64::from(b'\\'));
        let ends = (word.wrapping_sub(EACH * 0x20) & !word)
            | (quotes.wrapping_sub(EACH) & !quotes)
            | (backslashes.wrapping_sub(EACH) & !backslashes);
        let ends = ends & (EACH << 7);
        if ends != 0 {
            return Some(at + ends.trailing_zeros() as usize / 8);
        }
        at += 8;
    }
    let rest = text.get(at..)?;
    rest.iter().position(|byte| matches!(byte, b'"' | b'\\' | ..0x20)).map(|end| at + end)
}

/// A text, and how much of it has been read.
struct Reader<'b> {
    text: &'b str,
    at: usize,
}

impl<'b> Reader<'b> {
    /// The value that begins with this byte, which has been read.
    fn value(&mut self, first: u8, depth: usize) -> Option<Json<'b>> {
        match first {
            b'"' => Some(Json::String(Cow::Borrowed(self.string()?))),
            b'{' => self.object(depth.checked_sub(1)?),
            b'[' => self.array(depth.checked_sub(1)?),
            b'-' | b'0'..=b'9' => self.number(first),
            b't' => self.word("rue", Json::Bool(true)),
            b'f' => self.word("alse", Json::Bool(false)),
            b'n' => self.word("ull", Json::Null),
            _ => None,
        }
    }

    fn object(&mut self, depth: usize) -> Option<Json<'b>> {
        let mut sign = self.sign()?;
        if sign == b'}' {
            return Some(Json::Object(Object::default()));
        }
        let mut members = Vec::with_capacity(FEW);
        loop {
            if sign != b'"' {
                return None;
            }
            let name = Cow::Borrowed(self.string()?);
            if self.sign()? != b':' {
                return None;
            }
            let first = self.sign()?;
            members.push((name, self.value(first, depth)?));
            match self.sign()? {
                b',' => sign = self.sign()?,
                b'}' => break,
                _ => return None,
            }
        }
        is_each_once(&members).then_some(Json::Object(Object(members)))
    }

    fn array(&mut self, depth: usize) -> Option<Json<'b>> {
        let mut sign = self.sign()?;
        if sign == b']' {
            return Some(Json::Array(Vec::new()));
        }
        let mut elements = Vec::with_capacity(FEW);
        loop {
            elements.push(self.value(sign, depth)?);
            match self.sign()? {
                b',' => sign = self.sign()?,
                b']' => return Some(Json::Array(elements)),
                _ => return None,
            }
        }
    }

    /// What is left of a string whose first quote has been read.
    #[inline]
    fn string(&mut self) -> Option<&'b str> {
        let (bytes, start) = (self.text.as_bytes(), self.at);
        let end = start + end_of_plain(bytes.get(start..)?)?;
        self.at = end + 1;
        if bytes[end] == b'"' { self.text.get(start..end) } else { None }
    }

    fn number(&mut self, first: u8) -> Option<Json<'b>> {
        let is_negative = first == b'-';
        let start = if is_negative { self.at } else { self.at - 1 };
        let (mut at, mut number) = (start, 0_u64);
        let bytes = self.text.as_bytes();
        while let Some(digit @ b'0'..=b'9') = bytes.get(at) {
            number = number.wrapping_mul(10).wrapping_add(u64::from(digit - b'0'));
            at += 1;
        }
        self.at = at;
        let count = at - start;
        // A zero stands alone, and is not negative.
        let is_usual = bytes.get(start) != Some(&b'0') || (count == 1 && !is_negative);
        if !is_usual
            || !(1..=MAX_DIGITS).contains(&count)
            || matches!(bytes.get(at), Some(b'.' | b'e' | b'E'))
        {
            return None;
        }
        let number = match i64::try_from(number) {
            Ok(number) if is_negative => Number::Negative(-number),
            _ => Number::Unsigned(number),
        };
        Some(Json::Number(number))
    }

    /// A word whose first letter has been read.
    fn word(&mut self, rest: &str, json: Json<'b>) -> Option<Json<'b>> {
        let is_it = self.text.as_bytes()[self.at..].starts_with(rest.as_bytes());
        self.at += rest.len();
        is_it.then_some(json)
    }

    /// Reads the next byte that is no white space.
    fn sign(&mut self) -> Option<u8> {
        let (bytes, mut at) = (self.text.as_bytes(), self.at);
        loop {
            let byte = *bytes.get(at)?;
            at += 1;
            if byte > b' ' || !matches!(byte, b' ' | b'\n' | b'\r' | b'\t') {
                self.at = at;
                return Some(byte);
            }
            if byte == b'\n' {
                at += spaces(&bytes[at..]);
            }
        }
    }
}

/// How many spaces a text begins with; no more than eight are counted.
fn spaces(text: &[u8]) -> usize {
    const SPACES: u64 = u64::from_le_bytes([b' '; 8]);
    let word = text.first_chunk().map_or(0, |word| u64::from_le_bytes(*word));
    (word ^ SPACES).trailing_zeros() as usize / 8
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::super::read_thoroughly;
    use super::*;

    #[test]
    fn what_is_usually_sent_is_read_here() {
        for text in [
            r#"{"from": "kio_rcs", "to": "+14155550123", "composing": {}}"#,
            "{\n  \"to\": \"b0ffeafe\",\r\n\t\"interactions\": [{\"timestamp\": 1688190840000}, -7]\n}\n",
            r#"[true, false, null, "", "é", 0, 999999999999999999]"#,
            " {} ",
        ] {
            assert_eq!(read(text), Some(read_thoroughly(text).unwrap()), "{text}");
        }
    }

    #[test]
    fn whatever_else_is_left_to_who_knows_all_of_it() {
        let deep = "[".repeat(MAX_DEPTH + 1) + &"]".repeat(MAX_DEPTH + 1);
        for text in [
            "",
            " ",
            "{",
            "[",
            "\"",
            "\"a",
            "{}x",
            "{}{}",
            "{,}",
            "[,]",
            "[1,]",
            "{\"a\":1,}",
            "{\"a\" 1}",
            "{\"a\"}",
            "{a:1}",
            "{1:1}",
            "[1 2]",
            "-",
            "-0",
            "00",
            "01",
            "1.0",
            "1e3",
            "1E3",
            "1x",
            "+1",
            ".5",
            "1000000000000000000",
            "tru",
            "trueish",
            "nul",
            "\"\\n\"",
            "\"\n\"",
            "\"\u{0}\"",
            "{\"a\":1,\"a\":1}",
            "\u{feff}{}",
            "\u{a0}{}",
            "'a'",
            "{\"a\":1]",
            "[1}",
            &deep,
        ] {
            assert_eq!(read(text), None, "{text}");
        }
    }

    proptest! {
        #[test]
        fn what_is_taken_is_what_it_is(text in "[\\[\\]{}:,\" \n\\\\abtruefalsn0-9.eE+-é\u{7f}\u{1}]{0,40}") {
            if let Some(json) = read(&text) {
                prop_assert_eq!(Ok(json), read_thoroughly(&text).map_err(|error| error.to_string()));
            }
        }

        #[test]
        fn what_is_plain_ends_where_it_must(text in prop::collection::vec(any::<u8>(), 0..40)) {
            let ends = |byte: &u8| *byte == b'"' || *byte == b'\\' || *byte < 0x20;
            prop_assert_eq!(end_of_plain(&text), text.iter().position(ends));
        }
    }
}

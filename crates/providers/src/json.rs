//! JSON bodies as strangers send them.
//!
//! Stricter than a parser has to be, so that a body means the same to everybody who reads it: UTF-8 throughout, no
//! byte order mark, nothing after the value, no member twice, no lone surrogate, no deep nesting. Fields are then read
//! one by one, and all that is wrong with them is said at once, by path and kind, never by value.

mod plain;
pub(crate) mod splice;
pub(crate) mod writer;

use std::borrow::Cow;
use std::collections::HashSet;
use std::fmt;

use serde::de::{Deserialize, Deserializer, Error, MapAccess, SeqAccess, Visitor};

use crate::rejection::{FaultKind, Faults, Rejection};

/// A JSON value that borrows its text from the body where it can.
#[derive(Clone, Debug, PartialEq)]
pub enum Json<'b> {
    /// `null`
    Null,
    /// `true` or `false`
    Bool(bool),
    /// A number: a whole one that fits, or any other.
    Number(Number),
    /// A string, with its escapes resolved.
    String(Cow<'b, str>),
    /// An array.
    Array(Vec<Json<'b>>),
    /// An object.
    Object(Object<'b>),
}

/// A JSON number.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Number {
    /// Zero or above, without fraction or exponent.
    Unsigned(u64),
    /// Below zero, without fraction or exponent.
    Negative(i64),
    /// Any other.
    Other,
}

/// A JSON object; its members in the order in which they were sent, each name once.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Object<'b>(Vec<(Cow<'b, str>, Json<'b>)>);

/// Reads a body that must be one JSON value.
///
/// # Errors
/// [`Rejection::NoBody`] where there is nothing, [`Rejection::Malformed`] where it is not JSON.
pub fn parse(body: &[u8]) -> Result<Json<'_>, Rejection> {
    if body.is_empty() {
        return Err(Rejection::NoBody);
    }
    let text = std::str::from_utf8(body).map_err(|_| malformed("the body is not UTF-8"))?;
    if let Some(json) = plain::read(text) {
        return Ok(json);
    }
    read_thoroughly(text).map_err(|error| {
        let what = if error.is_eof() { "the body is cut off" } else { "the body is not valid JSON" };
        malformed(format!("{what} (line {}, column {})", error.line(), error.column()))
    })
}

/// Reads any JSON, or says where it is none.
fn read_thoroughly(text: &str) -> Result<Json<'_>, serde_json::Error> {
    serde_json::from_str(text)
}

fn malformed(why: impl Into<Cow<'static, str>>) -> Rejection {
    Rejection::Malformed { why: why.into() }
}

impl<'de> Deserialize<'de> for Json<'de> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(JsonVisitor)
    }
}

struct JsonVisitor;

impl<'de> Visitor<'de> for JsonVisitor {
    type Value = Json<'de>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a JSON value")
    }

    fn visit_unit<E>(self) -> Result<Json<'de>, E> {
        Ok(Json::Null)
    }

    fn visit_bool<E>(self, value: bool) -> Result<Json<'de>, E> {
        Ok(Json::Bool(value))
    }

    fn visit_u64<E>(self, value: u64) -> Result<Json<'de>, E> {
        Ok(Json::Number(Number::Unsigned(value)))
    }

    fn visit_i64<E>(self, value: i64) -> Result<Json<'de>, E> {
        Ok(Json::Number(u64::try_from(value).map_or(Number::Negative(value), Number::Unsigned)))
    }

    fn visit_f64<E>(self, _: f64) -> Result<Json<'de>, E> {
        Ok(Json::Number(Number::Other))
    }

    fn visit_borrowed_str<E>(self, value: &'de str) -> Result<Json<'de>, E> {
        Ok(Json::String(Cow::Borrowed(value)))
    }

    fn visit_str<E>(self, value: &str) -> Result<Json<'de>, E> {
        Ok(Json::String(Cow::Owned(value.to_owned())))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut sequence: A) -> Result<Json<'de>, A::Error> {
        let mut elements = Vec::new();
        while let Some(element) = sequence.next_element()? {
            elements.push(element);
        }
        Ok(Json::Array(elements))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Json<'de>, A::Error> {
        let mut members: Vec<(Cow<'de, str>, Json<'de>)> = Vec::new();
        while let Some((name, value)) = map.next_entry::<Json<'de>, Json<'de>>()? {
            let Json::String(name) = name else {
                return Err(A::Error::custom("a member's name is a string"));
            };
            members.push((name, value));
        }
        if is_each_once(&members) {
            Ok(Json::Object(Object(members)))
        } else {
            Err(A::Error::custom("a member is there twice"))
        }
    }
}

/// More members than this are not compared one by one: a stranger chooses how many there are.
const FEW: usize = 16;

/// Whether no two members have the same name.
fn is_each_once(members: &[(Cow<'_, str>, Json<'_>)]) -> bool {
    if members.len() <= FEW {
        let is_new = |at: usize| members[..at].iter().all(|(name, _)| *name != members[at].0);
        return (1..members.len()).all(is_new);
    }
    let mut names = HashSet::with_capacity(members.len());
    members.iter().all(|(name, _)| names.insert(name.as_ref()))
}

impl<'b> Object<'b> {
    /// The value of a member.
    #[must_use]
    pub fn get(&self, name: &str) -> Option<&Json<'b>> {
        self.0.iter().find(|(member, _)| member == name).map(|(_, value)| value)
    }

    /// Whether it has no members.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Its members, in the order in which they were sent.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &Json<'b>)> {
        self.0.iter().map(|(name, value)| (name.as_ref(), value))
    }
}

/// An object whose fields are being read, and where in the body it stands.
#[derive(Clone, Debug)]
pub struct Fields<'j, 'b> {
    object: &'j Object<'b>,
    path: Cow<'static, str>,
    /// The last name of the path, where it is not in it: it is put together for a fault alone.
    last: Option<&'static str>,
}

impl<'j, 'b> Fields<'j, 'b> {
    /// The fields of a body that must be an object.
    ///
    /// # Errors
    /// [`Rejection::Malformed`] where it is another JSON value.
    pub fn of_body(body: &'j Json<'b>) -> Result<Self, Rejection> {
        match body {
            Json::Object(object) => Ok(Self { object, path: Cow::Borrowed(""), last: None }),
            _ => Err(malformed("the body is not a JSON object")),
        }
    }

    /// The fields of an object that stands at `path`.
    #[must_use]
    pub fn at(object: &'j Object<'b>, path: impl Into<Cow<'static, str>>) -> Self {
        Self { object, path: path.into(), last: None }
    }

    /// The fields of an object that is the field of this name.
    #[must_use]
    pub fn inside(&self, name: &'static str, object: &'j Object<'b>) -> Self {
        let path = match self.last {
            None => self.path.clone(),
            Some(last) => Cow::Owned(joined(&self.path, last)),
        };
        Self { object, path, last: Some(name) }
    }

    /// A field's path from the body's root.
    #[must_use]
    pub fn path(&self, name: &str) -> String {
        match self.last {
            None => joined(&self.path, name),
            Some(last) => joined(&joined(&self.path, last), name),
        }
    }

    /// Notes a fault of one of the fields.
    pub fn fault(&self, faults: &mut Faults, name: &str, kind: FaultKind, expected: &'static str) {
        faults.add(self.path(name), kind, expected);
    }

    /// The field's value, whatever its type.
    #[must_use]
    pub fn get(&self, name: &str) -> Option<&'j Json<'b>> {
        self.object.get(name)
    }

    /// Reads a field that must be there with what `read` makes of it; a fault where it gives nothing.
    pub fn required<T>(
        &self,
        faults: &mut Faults,
        name: &str,
        expected: &'static str,
        read: impl FnOnce(&'j Json<'b>) -> Option<T>,
    ) -> Option<T> {
        let Some(value) = self.get(name) else {
            self.fault(faults, name, FaultKind::Missing, expected);
            return None;
        };
        self.read(faults, name, expected, value, read)
    }

    /// Reads a field that may be missing with what `read` makes of it; a fault where it is there and gives nothing.
    pub fn optional<T>(
        &self,
        faults: &mut Faults,
        name: &str,
        expected: &'static str,
        read: impl FnOnce(&'j Json<'b>) -> Option<T>,
    ) -> Option<T> {
        self.read(faults, name, expected, self.get(name)?, read)
    }

    fn read<T>(
        &self,
        faults: &mut Faults,
        name: &str,
        expected: &'static str,
        value: &'j Json<'b>,
        read: impl FnOnce(&'j Json<'b>) -> Option<T>,
    ) -> Option<T> {
        let read = read(value);
        if read.is_none() {
            self.fault(faults, name, FaultKind::WrongType, expected);
        }
        read
    }

    /// Notes each field whose name is not among `known`.
    pub fn only(&self, faults: &mut Faults, known: &[&str], expected: &'static str) {
        for (name, _) in self.object.iter().filter(|(name, _)| !known.contains(name)) {
            let name = if is_plain_name(name) { name } else { "(a member)" };
            self.fault(faults, name, FaultKind::Unknown, expected);
        }
    }
}

fn joined(path: &str, name: &str) -> String {
    if path.is_empty() { name.to_owned() } else { [path, ".", name].concat() }
}

/// Whether a name that the caller chose can be repeated to it: it is a name then, no number and no secret.
#[must_use]
pub fn is_plain_name(name: &str) -> bool {
    (1..=32).contains(&name.len()) && name.bytes().all(|byte| byte.is_ascii_lowercase() || byte == b'_')
}

impl<'b> Json<'b> {
    /// What stands at the end of these members' names, one inside the other.
    #[must_use]
    pub fn at(&self, path: &[&str]) -> Option<&Self> {
        path.iter().try_fold(self, |json, name| json.as_object()?.get(name))
    }

    /// The text, if it is a string.
    #[must_use]
    pub fn as_str(&self) -> Option<&str> {
        if let Self::String(text) = self { Some(text) } else { None }
    }

    /// Whether it is true, where it is a boolean.
    #[must_use]
    pub fn as_bool(&self) -> Option<bool> {
        match self {
            Self::Bool(value) => Some(*value),
            _ => None,
        }
    }

    /// The number, if it is a whole one, zero or above.
    #[must_use]
    pub fn as_u64(&self) -> Option<u64> {
        if let Self::Number(Number::Unsigned(number)) = self { Some(*number) } else { None }
    }

    /// The number, if it is a whole one that fits.
    #[must_use]
    pub fn as_i64(&self) -> Option<i64> {
        match self {
            Self::Number(Number::Unsigned(number)) => i64::try_from(*number).ok(),
            Self::Number(Number::Negative(number)) => Some(*number),
            _ => None,
        }
    }

    /// The elements, if it is an array.
    #[must_use]
    pub fn as_array(&self) -> Option<&[Self]> {
        if let Self::Array(elements) = self { Some(elements) } else { None }
    }

    /// The object, if it is one.
    #[must_use]
    pub fn as_object(&self) -> Option<&Object<'b>> {
        if let Self::Object(object) = self { Some(object) } else { None }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_could_be_read_in_two_ways_is_refused() {
        let deep = [b"[".repeat(200_000), b"]".repeat(200_000)].concat();
        let many: String = (0..FEW).map(|name| format!("\"{name}\":1,")).collect();
        let many = format!("{{{many}\"3\":1}}").into_bytes();
        for (what, body) in [
            ("malformed", &b"{\"a\":}"[..]),
            ("cut off", b"{\"a\":1"),
            ("deep", &deep),
            ("a member twice", b"{\"a\":1,\"a\":1}"),
            ("a member twice, once escaped", b"{\"a\":1,\"\\u0061\":1}"),
            ("a member twice, inside", b"{\"x\":[{\"a\":1,\"a\":1}]}"),
            ("a member twice among many", &many),
            ("invalid UTF-8", b"{\"a\":\"\xff\"}"),
            ("a lone surrogate", b"{\"a\":\"\\ud800\"}"),
            ("a byte order mark", b"\xef\xbb\xbf{}"),
            ("trailing bytes", b"{}x"),
            ("two values", b"{}{}"),
            ("an overflowing number", b"{\"a\":1e999}"),
            ("a control character", b"{\"a\":\"\n\"}"),
        ] {
            assert!(matches!(parse(body), Err(Rejection::Malformed { .. })), "{what}: {:?}", parse(body));
        }
        assert_eq!(parse(b""), Err(Rejection::NoBody));
    }

    #[test]
    fn a_number_is_read_only_as_what_it_is() {
        for (text, unsigned, signed) in [
            ("0", Some(0), Some(0)),
            ("18446744073709551615", Some(u64::MAX), None),
            ("18446744073709551616", None, None),
            ("-1", None, Some(-1)),
            ("1.0", None, None),
            ("1e3", None, None),
            ("true", None, None),
            ("\"1\"", None, None),
        ] {
            let json = parse(text.as_bytes()).unwrap();
            assert_eq!((json.as_u64(), json.as_i64()), (unsigned, signed), "{text}");
        }
    }

    #[test]
    fn a_refusal_never_quotes_the_body() {
        let refused = parse(b"{\"to\":\"+14155550123\", +14155550123}").unwrap_err();
        assert!(!refused.to_string().contains("4155"), "{refused}");
        let body = parse(b"{\"+14155550123\":1}").unwrap();
        let mut faults = Faults::default();
        Fields::of_body(&body).unwrap().only(&mut faults, &["to"], "one of the fields");
        let Err(refused) = faults.none() else { panic!("an unknown member passed") };
        assert!(!refused.to_string().contains("4155"), "{refused}");
    }
}

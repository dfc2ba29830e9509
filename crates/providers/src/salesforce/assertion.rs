//! A JWT (RFC 7519) with which a connected app asks for a token: read strictly, judged elsewhere.
//!
//! This knows three parts in base64url, the one algorithm, and the claims that RFC 7523 asks for. Members that are not
//! known are passed over, as those RFCs have it, except for extensions that the sender marks as critical.

use std::fmt;

use base64::Engine;
use base64::prelude::BASE64_URL_SAFE_NO_PAD;

use crate::json::{self, Fields, Json, Object};
use crate::rejection::{FaultKind, Faults, Rejection};

/// The field that all faults found here belong to.
const FIELD: &str = "assertion";

const JWT: &str = "a JWT: three parts in base64url, of which the first two are JSON objects";
const SHORT: &str = "a JWT of at most 8 KiB";
const ALGORITHM: &str = "RS256";
const NAME: &str = "a text of 1 to 255 bytes without control characters";
const AUDIENCE: &str = "a text, or a list of texts";
const TIME: &str = "a whole number of seconds since 1970";

/// The longest assertion, in bytes.
const MAX_ASSERTION: usize = 8 * 1024;
/// The longest issuer or subject, in bytes.
const MAX_NAME: usize = 255;

/// Checks what a connected app signed. The cryptography is the caller's.
pub trait AssertionKey: fmt::Debug + Send + Sync {
    /// Whether the app signed this message: RS256 over the ASCII text of a JWT's first two parts.
    fn verifies(&self, message: &[u8], signature: &[u8]) -> bool;
}

/// What a connected app sent. Nobody has checked yet that it is true.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Assertion<'t> {
    /// What is signed.
    pub(super) message: &'t str,
    /// The signature over it.
    pub(super) signature: Vec<u8>,
    /// What it says.
    pub(super) claims: Claims,
}

/// What an assertion says.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Claims {
    /// Who says it: a connected app's consumer key.
    pub(super) issuer: String,
    /// In whose name.
    pub(super) subject: String,
    /// To whom it is said.
    pub(super) audiences: Vec<String>,
    /// From when on it is not said any more, in seconds since 1970.
    pub(super) expires_at: i64,
    /// Until when it is not said yet, in seconds since 1970.
    pub(super) not_before: Option<i64>,
}

impl<'t> Assertion<'t> {
    /// Reads the text of an assertion.
    ///
    /// # Errors
    /// [`Rejection::Invalid`] with what is wrong with it.
    pub(super) fn read(text: &'t str) -> Result<Self, Rejection> {
        if text.len() > MAX_ASSERTION {
            return Err(Rejection::field(FIELD, FaultKind::TooLong, SHORT));
        }
        let (message, signature) = text.rsplit_once('.').ok_or_else(no_jwt)?;
        let (header, claims) = message.split_once('.').ok_or_else(no_jwt)?;
        let (header, claims, signature) = (decode(header)?, decode(claims)?, decode(signature)?);
        let mut faults = Faults::default();
        check_header(&object(&header)?, &mut faults);
        let claims = Claims::read(&object(&claims)?, &mut faults);
        faults.none()?;
        Ok(Self { message, signature, claims: claims.expect("what could not be read left a fault") })
    }
}

fn no_jwt() -> Rejection {
    Rejection::field(FIELD, FaultKind::WrongValue, JWT)
}

fn decode(part: &str) -> Result<Vec<u8>, Rejection> {
    BASE64_URL_SAFE_NO_PAD.decode(part).map_err(|_| no_jwt())
}

fn object(part: &[u8]) -> Result<Object<'_>, Rejection> {
    match json::parse(part) {
        Ok(Json::Object(object)) => Ok(object),
        _ => Err(no_jwt()),
    }
}

fn check_header(header: &Object<'_>, faults: &mut Faults) {
    let header = Fields::at(header, FIELD.to_owned());
    let algorithm = header.required(faults, "alg", ALGORITHM, Json::as_str);
    if algorithm.is_some_and(|algorithm| algorithm != ALGORITHM) {
        header.fault(faults, "alg", FaultKind::WrongValue, ALGORITHM);
    }
    if header.get("crit").is_some() {
        header.fault(faults, "crit", FaultKind::Unknown, "no critical extension");
    }
}

impl Claims {
    /// Reads the claims; `None` where a fault was noted.
    fn read(claims: &Object<'_>, faults: &mut Faults) -> Option<Self> {
        let claims = Fields::at(claims, FIELD.to_owned());
        let issuer = name(&claims, faults, "iss");
        let subject = name(&claims, faults, "sub");
        let audiences = claims.required(faults, "aud", AUDIENCE, texts);
        let expires_at = claims.required(faults, "exp", TIME, Json::as_i64);
        let not_before = claims.optional(faults, "nbf", TIME, Json::as_i64);
        Some(Self {
            issuer: issuer?,
            subject: subject?,
            audiences: audiences?,
            expires_at: expires_at?,
            not_before,
        })
    }
}

fn name(claims: &Fields<'_, '_>, faults: &mut Faults, claim: &str) -> Option<String> {
    let text = claims.required(faults, claim, NAME, Json::as_str)?;
    let kind = match text.len() {
        0 => FaultKind::Empty,
        length if length > MAX_NAME => FaultKind::TooLong,
        _ if text.contains(char::is_control) => FaultKind::WrongValue,
        _ => return Some(text.to_owned()),
    };
    claims.fault(faults, claim, kind, NAME);
    None
}

fn texts(json: &Json<'_>) -> Option<Vec<String>> {
    match json {
        Json::String(text) => Some(vec![text.to_string()]),
        Json::Array(texts) => texts.iter().map(|text| text.as_str().map(str::to_owned)).collect(),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const HEADER: &str = r#"{"alg":"RS256","typ":"JWT"}"#;
    const CLAIMS: &str = r#"{"iss":"3MVG9app","sub":"connector@acme.example","aud":"https://login.salesforce.com","exp":1762336980}"#;

    fn jwt(header: &str, claims: &str) -> String {
        let encode = |text: &str| BASE64_URL_SAFE_NO_PAD.encode(text);
        format!("{}.{}.{}", encode(header), encode(claims), encode("signed"))
    }

    fn with(claim: &str, value: &str) -> String {
        jwt(HEADER, &format!("{},\"{claim}\":{value}}}", &CLAIMS[..CLAIMS.len() - 1]))
    }

    fn read(jwt: &str) -> Result<Assertion<'_>, String> {
        Assertion::read(jwt).map_err(|rejection| match rejection {
            Rejection::Invalid(faults) => faults
                .iter()
                .map(|fault| format!("{} {:?}", fault.field, fault.kind))
                .collect::<Vec<_>>()
                .join(", "),
            other => panic!("{other:?} is no fault of the assertion"),
        })
    }

    #[test]
    fn an_assertion_says_who_asks_whom_in_whose_name_and_until_when() {
        let jwt = jwt(HEADER, CLAIMS);
        let expected = Assertion {
            message: jwt.rsplit_once('.').unwrap().0,
            signature: b"signed".to_vec(),
            claims: Claims {
                issuer: "3MVG9app".to_owned(),
                subject: "connector@acme.example".to_owned(),
                audiences: vec!["https://login.salesforce.com".to_owned()],
                expires_at: 1_762_336_980,
                not_before: None,
            },
        };
        assert_eq!(read(&jwt), Ok(expected));
    }

    #[test]
    fn claims_are_read_as_the_rfc_has_them() {
        let (long, longest) = (format!("\"{}\"", "x".repeat(256)), format!("\"{}\"", "x".repeat(255)));
        let base = r#"{"iss":"a","sub":"b","aud":"c","exp":1}"#;
        let claims = |from: &str, to: &str| jwt(HEADER, &base.replace(from, to));
        for (what, jwt, expected) in [
            ("as it is", claims("", ""), Ok(())),
            ("two audiences", claims(r#""c""#, r#"["c","d"]"#), Ok(())),
            ("no audience", claims(r#""c""#, "[]"), Ok(())),
            ("not before", with("nbf", "1"), Ok(())),
            ("members not known", with("jti", "{}"), Ok(())),
            ("the longest name", claims(r#""a""#, &longest), Ok(())),
            ("before 1970", claims("1}", "-1}"), Ok(())),
            (
                "nothing",
                jwt(HEADER, "{}"),
                Err(
                    "assertion.iss Missing, assertion.sub Missing, assertion.aud Missing, assertion.exp Missing",
                ),
            ),
            ("an empty issuer", claims(r#""a""#, r#""""#), Err("assertion.iss Empty")),
            ("a long issuer", claims(r#""a""#, &long), Err("assertion.iss TooLong")),
            ("a number as a subject", claims(r#""b""#, "1"), Err("assertion.sub WrongType")),
            ("a control character", claims(r#""b""#, r#""\n""#), Err("assertion.sub WrongValue")),
            ("null as an audience", claims(r#""c""#, "null"), Err("assertion.aud WrongType")),
            ("a number among audiences", claims(r#""c""#, r#"["c",1]"#), Err("assertion.aud WrongType")),
            ("a fraction of a second", claims("1}", "1.5}"), Err("assertion.exp WrongType")),
            ("an exponent", claims("1}", "1e9}"), Err("assertion.exp WrongType")),
            ("a text as a time", claims("1}", "\"1\"}"), Err("assertion.exp WrongType")),
            ("a time beyond 64 bits", claims("1}", "9223372036854775808}"), Err("assertion.exp WrongType")),
            ("no time to begin at", with("nbf", "null"), Err("assertion.nbf WrongType")),
            ("a claim twice", with("iss", "\"b\""), Err("assertion WrongValue")),
        ] {
            assert_eq!(read(&jwt).map(|_| ()), expected.map_err(str::to_owned), "{what}");
        }
    }

    #[test]
    fn there_is_one_algorithm() {
        for (header, expected) in [
            (r#"{"alg":"RS256"}"#, Ok(())),
            (r#"{"alg":"RS256","kid":"1","typ":"jwt"}"#, Ok(())),
            (r#"{"alg":"none"}"#, Err("assertion.alg WrongValue")),
            (r#"{"alg":"HS256"}"#, Err("assertion.alg WrongValue")),
            (r#"{"alg":"RS512"}"#, Err("assertion.alg WrongValue")),
            (r#"{"alg":"rs256"}"#, Err("assertion.alg WrongValue")),
            (r#"{"alg":["RS256"]}"#, Err("assertion.alg WrongType")),
            (r#"{"typ":"JWT"}"#, Err("assertion.alg Missing")),
            (r#"{"alg":"RS256","crit":["b64"],"b64":false}"#, Err("assertion.crit Unknown")),
            (r#"{"alg":"RS256","alg":"none"}"#, Err("assertion WrongValue")),
            ("[]", Err("assertion WrongValue")),
            ("", Err("assertion WrongValue")),
        ] {
            assert_eq!(read(&jwt(header, CLAIMS)).map(|_| ()), expected.map_err(str::to_owned), "{header}");
        }
    }

    #[test]
    fn what_is_no_jwt_is_refused() {
        let good = jwt(HEADER, CLAIMS);
        let message = good.rsplit_once('.').unwrap().0;
        let filler = |length: usize| with("filler", &format!("\"{}\"", "x".repeat(length)));
        let fits = (0..MAX_ASSERTION).rev().map(filler).find(|jwt| jwt.len() <= MAX_ASSERTION).unwrap();
        assert!(read(&fits).is_ok());
        for (what, text, expected) in [
            ("nothing", String::new(), "assertion WrongValue"),
            ("two parts", message.to_owned(), "assertion WrongValue"),
            ("four parts", format!("{good}.e30"), "assertion WrongValue"),
            ("a padded part", format!("{good}="), "assertion WrongValue"),
            ("another alphabet", format!("{message}.+/+/"), "assertion WrongValue"),
            ("stray bits", format!("{message}.AB"), "assertion WrongValue"),
            ("a space", format!("{good} "), "assertion WrongValue"),
            ("claims that are a list", jwt(HEADER, "[]"), "assertion WrongValue"),
            ("claims that are cut off", jwt(HEADER, &CLAIMS[1..]), "assertion WrongValue"),
            ("huge", filler(MAX_ASSERTION), "assertion TooLong"),
        ] {
            assert_eq!(read(&text).map(|_| ()), Err(expected.to_owned()), "{what}");
        }
    }

    proptest! {
        #[test]
        fn any_text_is_read(text in any::<String>(), header in any::<String>(), claims in any::<String>()) {
            let _ = Assertion::read(&text);
            let _ = Assertion::read(&jwt(&header, &claims));
            let _ = Assertion::read(&jwt(HEADER, &claims));
        }
    }
}

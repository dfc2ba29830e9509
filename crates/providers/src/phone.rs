//! Phone numbers in E.164 form, checked byte by byte: other scripts' digits are no digits.

use typingd_core::User;

/// What a refusal says is expected.
pub const EXPECTED: &str =
    "a phone number in E.164 form: a plus sign and 2 to 15 digits, the first of them not 0";

/// A number written with its plus sign, in its normal form.
#[must_use]
pub fn with_plus(text: &str) -> Option<User> {
    is_number(text.strip_prefix('+')?).then(|| User::new(text))
}

/// A number written with or without its plus sign, in its normal form.
#[must_use]
pub fn with_or_without_plus(text: &str) -> Option<User> {
    let digits = text.strip_prefix('+').unwrap_or(text);
    is_number(digits).then(|| User::new(format!("+{digits}")))
}

fn is_number(digits: &str) -> bool {
    let digits = digits.as_bytes();
    (2..=15).contains(&digits.len()) && digits[0] != b'0' && digits.iter().all(u8::is_ascii_digit)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_number_is_ascii_digits_of_the_right_count() {
        for (text, plus, either) in [
            ("+14155550123", true, true),
            ("14155550123", false, true),
            ("+12", true, true),
            ("+1", false, false),
            ("+123456789012345", true, true),
            ("+1234567890123456", false, false),
            ("+014155550123", false, false),
            ("+1415555012３", false, false),
            ("+١٤١٥٥٥٥", false, false),
            ("+14155550123\n", false, false),
            (" +14155550123", false, false),
            ("++14155550123", false, false),
            ("+", false, false),
            ("", false, false),
        ] {
            assert_eq!(with_plus(text).is_some(), plus, "{text:?}");
            assert_eq!(with_or_without_plus(text).is_some(), either, "{text:?}");
        }
        assert_eq!(with_or_without_plus("919158800000").unwrap().as_str(), "+919158800000");
    }
}

//! `Retry-After` (RFC 9110, 10.2.3): whole seconds, or a date in any of the three forms that HTTP ever had.

use std::time::Duration;

use http::HeaderMap;
use http::header::RETRY_AFTER;
use jiff::Timestamp;
use jiff::fmt::strtime;
use jiff::tz::TimeZone;

use crate::head;

/// The longest time that is granted: a provider's slip must not silence an account for good.
const LONGEST: Duration = Duration::from_secs(60 * 60);

/// The date's forms, the one in use first.
const FORMS: [&str; 3] = ["%a, %d %b %Y %H:%M:%S GMT", "%A, %d-%b-%y %H:%M:%S GMT", "%a %b %e %H:%M:%S %Y"];

/// How long to wait from `now` on; `None` where nothing readable is said.
pub(super) fn retry_after(headers: &HeaderMap, now: Timestamp) -> Option<Duration> {
    let text = head::single(headers, RETRY_AFTER.as_str())?.trim();
    let wait = if !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit()) {
        // What does not fit is longer than the longest.
        text.parse().map_or(LONGEST, Duration::from_secs)
    } else {
        let date = FORMS.iter().find_map(|form| date(form, text))?;
        Duration::try_from(date.duration_since(now)).unwrap_or_default()
    };
    Some(wait.min(LONGEST))
}

fn date(form: &str, text: &str) -> Option<Timestamp> {
    let date = strtime::parse(form, text).ok()?.to_datetime().ok()?;
    Some(date.to_zoned(TimeZone::UTC).ok()?.timestamp())
}

#[cfg(test)]
mod tests {
    use http::HeaderValue;

    use super::*;

    #[test]
    fn seconds_and_dates_are_read_and_bounded() {
        let now: Timestamp = "1994-11-06T08:49:30Z".parse().unwrap();
        for (text, expected_s) in [
            ("7", Some(7)),
            ("0", Some(0)),
            (" 7 ", Some(7)),
            ("3600", Some(3_600)),
            ("3601", Some(3_600)),
            ("99999999999999999999999", Some(3_600)),
            ("Sun, 06 Nov 1994 08:49:37 GMT", Some(7)),
            ("Sunday, 06-Nov-94 08:49:37 GMT", Some(7)),
            ("Sun Nov  6 08:49:37 1994", Some(7)),
            ("Sun, 06 Nov 1994 08:49:00 GMT", Some(0)),
            ("Thu, 31 Dec 9998 23:59:59 GMT", Some(3_600)),
            ("Sun, 06 Nov 1994 08:49:37 PST", None),
            ("Sun, 36 Nov 1994 08:49:37 GMT", None),
            ("1994-11-06T08:49:37Z", None),
            ("-7", None),
            ("7.5", None),
            ("soon", None),
            ("", None),
        ] {
            let headers = HeaderMap::from_iter([(RETRY_AFTER, HeaderValue::from_str(text).unwrap())]);
            assert_eq!(retry_after(&headers, now), expected_s.map(Duration::from_secs), "{text:?}");
        }
        let mut twice = HeaderMap::new();
        twice.append(RETRY_AFTER, 7.into());
        twice.append(RETRY_AFTER, 8.into());
        assert_eq!(retry_after(&twice, now), None);
    }
}

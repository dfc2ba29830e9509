//! JSON whose shape is known, written piece by piece: for the answers that are given most.

use std::io::Write;

use bytes::Bytes;
use jiff::Timestamp;
use jiff::tz::Offset;
use uuid::Uuid;

use super::plain;

/// What has been written so far.
pub(crate) struct Writer(Vec<u8>);

impl Writer {
    /// Nothing so far, with room for so much.
    pub(crate) fn with_capacity(bytes: usize) -> Self {
        Self(Vec::with_capacity(bytes))
    }

    /// What stands in every answer of the kind, as it stands there.
    pub(crate) fn fixed(&mut self, json: &str) -> &mut Self {
        self.0.extend_from_slice(json.as_bytes());
        self
    }

    /// A text, with its quotes.
    pub(crate) fn text(&mut self, text: &str) -> &mut Self {
        if plain::end_of_plain(text.as_bytes()).is_some() {
            serde_json::to_writer(&mut self.0, text).expect("a text can always be written as JSON");
            return self;
        }
        self.byte(b'"').fixed(text).byte(b'"')
    }

    /// A name made by us, without quotes.
    pub(crate) fn id(&mut self, id: Uuid) -> &mut Self {
        self.0.extend_from_slice(id.hyphenated().encode_lower(&mut Uuid::encode_buffer()).as_bytes());
        self
    }

    /// A moment in UTC with milliseconds, without quotes, as in `2026-11-05T10:00:00.123Z`.
    pub(crate) fn time(&mut self, time: Timestamp) -> &mut Self {
        let at = Offset::UTC.to_datetime(time);
        let Ok(year) = u32::try_from(at.year()) else {
            write!(self.0, "{time:.3}").expect("there is room in memory");
            return self;
        };
        self.digits::<4>(year).byte(b'-').two(at.month()).byte(b'-').two(at.day());
        self.byte(b'T').two(at.hour()).byte(b':').two(at.minute()).byte(b':').two(at.second());
        self.byte(b'.').digits::<3>(at.millisecond().unsigned_abs().into()).byte(b'Z')
    }

    /// All of it.
    pub(crate) fn finish(&mut self) -> Bytes {
        std::mem::take(&mut self.0).into()
    }

    fn byte(&mut self, byte: u8) -> &mut Self {
        self.0.push(byte);
        self
    }

    fn two(&mut self, number: i8) -> &mut Self {
        self.digits::<2>(number.unsigned_abs().into())
    }

    fn digits<const COUNT: usize>(&mut self, mut number: u32) -> &mut Self {
        let mut digits = [b'0'; COUNT];
        for digit in digits.iter_mut().rev() {
            *digit += (number % 10) as u8;
            number /= 10;
        }
        self.0.extend_from_slice(&digits);
        self
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn a_moment_is_written_as_everybody_writes_it(second in -377_705_023_201_i64..=253_402_207_200, nano in 0..1_000_000_000) {
            let time = Timestamp::new(second, nano).unwrap();
            prop_assert_eq!(Writer::with_capacity(0).time(time).finish(), format!("{time:.3}"));
        }

        #[test]
        fn what_is_written_can_be_read(text in any::<String>(), id in any::<u128>()) {
            let written = Writer::with_capacity(0).text(&text).finish();
            prop_assert_eq!(serde_json::from_slice::<String>(&written).unwrap(), text);
            let id = Uuid::from_u128(id);
            prop_assert_eq!(Writer::with_capacity(0).id(id).finish(), id.to_string());
        }
    }
}

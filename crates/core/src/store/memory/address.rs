//! A user's address in eight bytes.

use compact_str::{CompactString, format_compact};
use slab::Slab;

use crate::conversation::{Address, Phone, User};

/// A user as a side keeps it: a phone number, or the place of a text.
#[derive(Clone, Copy)]
pub(super) struct Kept(u64);

/// No phone number has this bit.
const IS_TEXT: u64 = 1 << 63;

/// The addresses that are no phone numbers, one for each side that has one.
#[derive(Default)]
pub(super) struct Texts(Slab<CompactString>);

impl Texts {
    pub(super) fn keep(&mut self, address: Address<'_>) -> Kept {
        match address {
            Address::Phone(number) => Kept(number.get()),
            Address::Text(text) => Kept(IS_TEXT | self.0.insert(text.into()) as u64),
        }
    }

    pub(super) fn forget(&mut self, kept: Kept) {
        if kept.0 & IS_TEXT != 0 {
            self.0.remove(kept.place());
        }
    }

    pub(super) fn address(&self, kept: Kept) -> Address<'_> {
        match Phone::new(kept.0).filter(|_| kept.0 & IS_TEXT == 0) {
            Some(number) => Address::Phone(number),
            None => Address::Text(&self.0[kept.place()]),
        }
    }

    pub(super) fn user(&self, kept: Kept) -> User {
        match self.address(kept) {
            Address::Phone(number) => User::new(format_compact!("+{number}")),
            Address::Text(text) => User::new(text),
        }
    }

    /// Bytes taken.
    pub(super) fn footprint(&self) -> usize {
        let long = self.0.iter().map(|(_, text)| if text.is_heap_allocated() { text.capacity() } else { 0 });
        self.0.capacity() * size_of::<(usize, CompactString)>() + long.sum::<usize>()
    }
}

impl Kept {
    /// Of its text.
    fn place(self) -> usize {
        (self.0 & !IS_TEXT) as usize
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_address_comes_back_as_it_was() {
        let mut texts = Texts::default();
        for text in [
            "+14155550123",
            "+1",
            "+999999999999999",
            "",
            "+",
            "+0123",
            "+1234567890123456",
            "14155550123",
            "+1415555012a",
            "+1 415",
            "tel:+14155550123",
            "+１４",
            "visitor-7f3a",
        ] {
            let user = User::new(text);
            let kept = texts.keep(user.address());
            assert!(texts.user(kept) == user && texts.address(kept) == user.address(), "{text}");
            texts.forget(kept);
        }
        assert_eq!(texts.0.len(), 0);
    }
}

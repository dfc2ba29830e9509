//! A user's address, and which side is meant, in eight bytes.

use compact_str::{CompactString, ToCompactString};
use slab::Slab;

use crate::conversation::{Address, Phone, Role, User};

/// Who composes: a phone number, or the place of a text, whether it is the user's side or the agent's, and whether it is
/// in the lists.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) struct Who(u64);

/// No phone number has these bits.
const IS_TEXT: u64 = 1 << 63;
const IS_USER: u64 = 1 << 62;
const IS_LISTED: u64 = 1 << 61;
const MARKS: u64 = IS_TEXT | IS_USER | IS_LISTED;

/// The addresses that are no phone numbers, one for each side that has one.
#[derive(Default)]
pub(super) struct Texts(Slab<CompactString>);

impl Texts {
    pub(super) fn keep(&mut self, address: Address<'_>, role: Role) -> Who {
        let address = match address {
            Address::Phone(number) => number.get(),
            Address::Text(text) => IS_TEXT | self.0.insert(text.into()) as u64,
        };
        Who(address | side(role))
    }

    pub(super) fn forget(&mut self, who: Who) {
        if let Some(at) = who.text() {
            self.0.remove(at);
        }
    }

    pub(super) fn is(&self, who: Who, address: Address<'_>, role: Role) -> bool {
        match address {
            Address::Phone(number) => who.is(Who::phone(number, role)),
            Address::Text(text) => who.role() == role && who.text().is_some_and(|at| self.0[at] == text),
        }
    }

    pub(super) fn address(&self, who: Who) -> Address<'_> {
        match (who.text(), Phone::new(who.0 & !MARKS)) {
            (None, Some(number)) => Address::Phone(number),
            (at, _) => Address::Text(at.map_or("", |at| &self.0[at])),
        }
    }

    pub(super) fn user(&self, who: Who) -> User {
        match self.address(who) {
            Address::Phone(number) => User::new(written(number)),
            Address::Text(text) => User::new(text),
        }
    }

    #[cfg(test)]
    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Bytes taken.
    pub(super) fn footprint(&self) -> usize {
        let long = self.0.iter().map(|(_, text)| if text.is_heap_allocated() { text.capacity() } else { 0 });
        self.0.capacity() * size_of::<Option<CompactString>>() + long.sum::<usize>()
    }
}

/// A phone number as people write it.
fn written(number: Phone) -> CompactString {
    let mut text = CompactString::const_new("+");
    text.push_str(&number.get().to_compact_string());
    text
}

impl Who {
    /// Nobody is called that: no phone number is 0.
    pub(super) const NOBODY: Self = Self(0);

    pub(super) fn phone(number: Phone, role: Role) -> Self {
        Self(number.get() | side(role))
    }

    /// Whether it is the same one, in the lists or not.
    pub(super) fn is(self, other: Self) -> bool {
        (self.0 ^ other.0) & !IS_LISTED == 0
    }

    pub(super) fn role(self) -> Role {
        if self.0 & IS_USER == 0 { Role::Agent } else { Role::User }
    }

    pub(super) fn is_listed(self) -> bool {
        self.0 & IS_LISTED != 0
    }

    pub(super) fn set_listed(&mut self, is_listed: bool) {
        self.0 = if is_listed { self.0 | IS_LISTED } else { self.0 & !IS_LISTED };
    }

    fn text(self) -> Option<usize> {
        (self.0 & IS_TEXT != 0).then_some((self.0 & !MARKS) as usize)
    }
}

fn side(role: Role) -> u64 {
    match role {
        Role::Agent => 0,
        Role::User => IS_USER,
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
            for role in Role::BOTH {
                let mut who = texts.keep(user.address(), role);
                who.set_listed(role == Role::User);
                assert_eq!(who.is_listed(), role == Role::User);
                assert!(texts.user(who) == user && who.role() == role, "{text}");
                assert!(
                    Role::BOTH.iter().all(|&other| texts.is(who, user.address(), other) == (other == role))
                );
                assert!(!texts.is(who, User::new("+1415").address(), role), "{text}");
                texts.forget(who);
            }
        }
        assert_eq!(texts.0.len(), 0);
    }
}

//! Who is meant: the conversation, its two sides, and one of several who may compose on a side.

use std::cmp::Ordering;
use std::fmt;
use std::hash::{BuildHasher, Hash, Hasher, RandomState};
use std::num::NonZeroU64;
use std::sync::{Arc, LazyLock};

use compact_str::CompactString;

/// A short text that names something of the operator's or the provider's: a tenant, a channel, an agent, a
/// participant. It is compared byte by byte.
pub type Name = CompactString;

/// The end user's address in its normal form: a phone number as `+` and digits, or any text on an opaque channel.
///
/// It is personal data, so it prints itself masked: no log line can hold a whole one by accident.
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct User(CompactString);

impl User {
    /// Takes an address that is in its normal form already.
    pub fn new(normal_form: impl Into<CompactString>) -> Self {
        Self(normal_form.into())
    }

    /// The whole address, for the wire.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    pub(crate) fn address(&self) -> Address<'_> {
        address(self.phone(), self)
    }

    /// The number behind a `+`, where it is one that is written in this way only. Fifteen digits are the most that E.164
    /// has.
    fn phone(&self) -> Option<Phone> {
        let digits = self.0.strip_prefix('+')?.as_bytes();
        if !(1..=15).contains(&digits.len()) || digits[0] == b'0' {
            return None;
        }
        let number = digits.iter().try_fold(0, |number, digit| {
            digit.is_ascii_digit().then(|| number * 10 + u64::from(digit - b'0'))
        });
        Phone::new(number?)
    }
}

fn address(phone: Option<Phone>, user: &User) -> Address<'_> {
    phone.map_or(Address::Text(&user.0), Address::Phone)
}

impl fmt::Debug for User {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("User(…)")
    }
}

/// An agent and a user who talk over one channel of one tenant. Cheap to clone, to pass on and to look up.
#[derive(Clone)]
pub struct Conversation(Arc<Known>);

/// A conversation, with what is asked of it again and again on a signal's road.
struct Known {
    hash: u64,
    line_hash: u64,
    phone: Option<Phone>,
    parties: Parties,
}

#[derive(PartialEq, Eq, PartialOrd, Ord)]
struct Parties {
    tenant: Name,
    channel: Name,
    agent: Name,
    user: User,
}

/// The digits of a phone number, as a number.
pub(crate) type Phone = NonZeroU64;

/// A user's address, taken apart: most are phone numbers.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Address<'t> {
    Phone(Phone),
    /// Whatever is no phone number.
    Text(&'t str),
}

impl Hash for Address<'_> {
    fn hash<H: Hasher>(&self, state: &mut H) {
        match self {
            Self::Phone(number) => state.write_u64(number.get()),
            Self::Text(text) => text.hash(state),
        }
    }
}

/// A hash under a key that each process has anew: the names are chosen by strangers.
pub(crate) fn hash_one(value: impl Hash) -> u64 {
    static HASHER: LazyLock<RandomState> = LazyLock::new(RandomState::new);
    HASHER.hash_one(value)
}

impl Conversation {
    /// Names the conversation between `agent` and `user` over `channel` of `tenant`.
    pub fn new(
        tenant: impl Into<Name>,
        channel: impl Into<Name>,
        agent: impl Into<Name>,
        user: User,
    ) -> Self {
        let parties = Parties { tenant: tenant.into(), channel: channel.into(), agent: agent.into(), user };
        let phone = parties.user.phone();
        Self::of(hash_one((&parties.tenant, &parties.channel, &parties.agent)), phone, parties)
    }

    /// The same, where the hash of its line is known, and whether its user's address is a phone number.
    pub(crate) fn on_line(line_hash: u64, line: [Name; 3], phone: Option<Phone>, user: User) -> Self {
        let [tenant, channel, agent] = line;
        Self::of(line_hash, phone, Parties { tenant, channel, agent, user })
    }

    fn of(line_hash: u64, phone: Option<Phone>, parties: Parties) -> Self {
        let hash = hash_one((line_hash, address(phone, &parties.user)));
        Self(Arc::new(Known { hash, line_hash, phone, parties }))
    }

    /// A hash of its line and its address.
    pub(crate) fn hash(&self) -> u64 {
        self.0.hash
    }

    /// A hash of its tenant, channel and agent.
    pub(crate) fn line_hash(&self) -> u64 {
        self.0.line_hash
    }

    /// Its user's.
    pub(crate) fn address(&self) -> Address<'_> {
        address(self.0.phone, self.user())
    }

    /// Whose it is. Tenants see nothing of each other.
    #[must_use]
    pub fn tenant(&self) -> &Name {
        &self.0.parties.tenant
    }

    /// The channel it runs over, by default named after the door.
    #[must_use]
    pub fn channel(&self) -> &Name {
        &self.0.parties.channel
    }

    /// The business side: an RCS agent, or a channel address.
    #[must_use]
    pub fn agent(&self) -> &Name {
        &self.0.parties.agent
    }

    /// The end user's side.
    #[must_use]
    pub fn user(&self) -> &User {
        &self.0.parties.user
    }
}

impl PartialEq for Conversation {
    fn eq(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.0, &other.0) || self.0.hash == other.0.hash && self.0.parties == other.0.parties
    }
}

impl Eq for Conversation {}

impl PartialOrd for Conversation {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Conversation {
    fn cmp(&self, other: &Self) -> Ordering {
        self.0.parties.cmp(&other.0.parties)
    }
}

impl Hash for Conversation {
    fn hash<H: Hasher>(&self, state: &mut H) {
        state.write_u64(self.0.hash);
    }
}

impl fmt::Debug for Conversation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Parties { tenant, channel, agent, user } = &self.0.parties;
        write!(f, "{tenant}/{channel}/{agent}/{user:?}")
    }
}

/// Which of the two composes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Role {
    /// The business: a person, a bot or a language model.
    Agent,
    /// The end user.
    User,
}

impl Role {
    /// Both, in the order in which they are listed.
    pub const BOTH: [Self; 2] = [Self::Agent, Self::User];

    /// As the native API spells it.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Agent => "agent",
            Self::User => "user",
        }
    }
}

/// One role of one conversation: the unit in which the state is kept and changed.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Side {
    /// The conversation.
    pub conversation: Conversation,
    /// Which of its two sides.
    pub role: Role,
}

/// Which conversations somebody asks about: those of one tenant, narrowed by whatever is given.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Scope {
    /// Always given: nobody sees across tenants.
    pub tenant: Name,
    /// Only this channel.
    pub channel: Option<Name>,
    /// Only this agent.
    pub agent: Option<Name>,
    /// Only this user, in its normal form.
    pub user: Option<User>,
}

impl Scope {
    /// Everything of one tenant.
    pub fn tenant(tenant: impl Into<Name>) -> Self {
        Self { tenant: tenant.into(), channel: None, agent: None, user: None }
    }

    /// One conversation.
    #[must_use]
    pub fn one(conversation: &Conversation) -> Self {
        Self {
            tenant: conversation.tenant().clone(),
            channel: Some(conversation.channel().clone()),
            agent: Some(conversation.agent().clone()),
            user: Some(conversation.user().clone()),
        }
    }

    /// Whether the conversation lies within.
    #[must_use]
    pub fn covers(&self, conversation: &Conversation) -> bool {
        self.tenant == *conversation.tenant()
            && self.channel.as_ref().is_none_or(|channel| channel == conversation.channel())
            && self.agent.as_ref().is_none_or(|agent| agent == conversation.agent())
            && self.user.as_ref().is_none_or(|user| user == conversation.user())
    }

    /// The one conversation it covers, where it is that narrow.
    #[must_use]
    pub fn as_conversation(&self) -> Option<Conversation> {
        let (channel, agent, user) = (self.channel.clone()?, self.agent.clone()?, self.user.clone()?);
        Some(Conversation::new(self.tenant.clone(), channel, agent, user))
    }
}

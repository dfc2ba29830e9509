//! Who is meant: the conversation, its two sides, and one of several who may compose on a side.

use std::fmt;
use std::sync::Arc;

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
}

impl fmt::Debug for User {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("User(…)")
    }
}

/// An agent and a user who talk over one channel of one tenant. Cheap to clone and to pass on.
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Conversation(Arc<Parties>);

#[derive(PartialEq, Eq, Hash, PartialOrd, Ord)]
struct Parties {
    tenant: Name,
    channel: Name,
    agent: Name,
    user: User,
}

impl Conversation {
    /// Names the conversation between `agent` and `user` over `channel` of `tenant`.
    pub fn new(
        tenant: impl Into<Name>,
        channel: impl Into<Name>,
        agent: impl Into<Name>,
        user: User,
    ) -> Self {
        Self(Arc::new(Parties { tenant: tenant.into(), channel: channel.into(), agent: agent.into(), user }))
    }

    /// Whose it is. Tenants see nothing of each other.
    #[must_use]
    pub fn tenant(&self) -> &Name {
        &self.0.tenant
    }

    /// The channel it runs over, by default named after the door.
    #[must_use]
    pub fn channel(&self) -> &Name {
        &self.0.channel
    }

    /// The business side: an RCS agent, or a channel address.
    #[must_use]
    pub fn agent(&self) -> &Name {
        &self.0.agent
    }

    /// The end user's side.
    #[must_use]
    pub fn user(&self) -> &User {
        &self.0.user
    }
}

impl fmt::Debug for Conversation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Parties { tenant, channel, agent, user } = &*self.0;
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

//! What an account has at every door: whose it is, where its conversations live, which agents are its own.

use std::collections::BTreeMap;
use std::time::Duration;

use typingd_core::{Conversation, Name, User};

use crate::keys::Claimed;
use crate::rejection::Rejection;

/// The part of an account that all providers share.
#[derive(Clone, Debug)]
pub struct Account {
    /// Whose it is.
    pub tenant: Name,
    /// Where its conversations live. Accounts of one tenant and kind may share a channel.
    pub channel: Channel,
    /// The agents it may speak for.
    pub agents: Patterns,
    /// Agents' names at this door, and what they are called inside, so that an agent is the same at every door.
    pub aliases: BTreeMap<Name, Name>,
    /// How long one typing call shows.
    pub ttl: Duration,
    /// By whom a typing call is answered, where a provider is told of it.
    pub answer: Answered,
}

/// By whom a typing call is answered.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Answered {
    /// By the gateway, at once.
    #[default]
    AtOnce,
    /// By the provider: its refusal is the caller's.
    ByUpstream,
}

impl Account {
    /// An agent to show in a command: the first that is given by its name, or `otherwise`. It has no character that a
    /// shell, JSON or a form would read as anything but itself.
    #[must_use]
    pub fn example_agent<'a>(&'a self, otherwise: &'a str) -> &'a str {
        let patterns = self.agents.0.iter().map(String::as_str);
        patterns.filter(|pattern| is_plain(pattern)).find(|pattern| !pattern.is_empty()).unwrap_or(otherwise)
    }

    /// The conversation of an agent, named as at this door, with a user in its normal form.
    #[must_use]
    pub fn conversation(&self, agent: &str, user: User) -> Conversation {
        let agent = self.aliases.get(agent).cloned().unwrap_or_else(|| agent.into());
        Conversation::new(self.tenant.clone(), self.channel.name.clone(), agent, user)
    }

    /// Whether this account may speak for the agent, among `all` accounts of the door.
    ///
    /// # Errors
    /// [`Rejection::ForeignAgent`] where another account of the tenant has it, [`Rejection::UnknownAgent`] where none
    /// has: another tenant's agents do not exist.
    pub fn check_owns<'a>(
        &self,
        agent: &str,
        all: impl IntoIterator<Item = &'a Self>,
    ) -> Result<(), Rejection> {
        if self.agents.contain(agent) {
            return Ok(());
        }
        let is_another = |other: &Self| other.tenant == self.tenant && other.agents.contain(agent);
        if all.into_iter().any(is_another) {
            Err(Rejection::ForeignAgent)
        } else {
            Err(Rejection::UnknownAgent)
        }
    }
}

/// A place where conversations live.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Channel {
    /// Its name within the tenant.
    pub name: Name,
    /// What its users are called by.
    pub kind: ChannelKind,
}

/// What a channel's users are called by.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ChannelKind {
    /// A phone number: `+` and digits inside.
    Rcs,
    /// Any text.
    Opaque,
}

/// Names given as patterns, in which `*` stands for any run of characters.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Patterns(Vec<String>);

impl Patterns {
    /// Those that match any of the patterns.
    pub fn new(patterns: impl IntoIterator<Item = impl Into<String>>) -> Self {
        Self(patterns.into_iter().map(Into::into).collect())
    }

    /// All names.
    #[must_use]
    pub fn any() -> Self {
        Self::new(["*"])
    }

    /// Whether the name matches one of them.
    #[must_use]
    pub fn contain(&self, name: &str) -> bool {
        self.0.iter().any(|pattern| pattern == "*" || pattern == name || matches(pattern, name))
    }
}

/// Whether a text can stand in a command without being quoted.
pub(crate) fn is_plain(text: &str) -> bool {
    text.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"_-.@+".contains(&byte))
}

/// Makes sure that no agent is claimed by two accounts of a door.
///
/// # Errors
/// [`Claimed`] naming the patterns.
pub fn check_apart<'a>(
    door: &'static str,
    accounts: impl IntoIterator<Item = &'a Account>,
) -> Result<(), Claimed> {
    let claims: Vec<(usize, &str)> = accounts
        .into_iter()
        .enumerate()
        .flat_map(|(at, account)| account.agents.0.iter().map(move |pattern| (at, pattern.as_str())))
        .collect();
    for (at, (account, pattern)) in claims.iter().enumerate() {
        for (other_account, other) in &claims[at + 1..] {
            if account != other_account && overlap(pattern.as_bytes(), other.as_bytes()) {
                let by = Some(format!("`{pattern}` and `{other}`"));
                return Err(Claimed { door, account: *other_account, what: "agent", by });
            }
        }
    }
    Ok(())
}

/// Whether some name matches both patterns.
fn overlap(a: &[u8], b: &[u8]) -> bool {
    // Row by row: whether what is left of `a` from here and of `b` from there have a name in common.
    let ends = |rest: &[u8]| rest.iter().all(|byte| *byte == b'*');
    let mut below: Vec<bool> = (0..=b.len()).map(|at| ends(&b[at..])).collect();
    for left in (0..a.len()).rev() {
        let mut row = vec![false; b.len() + 1];
        row[b.len()] = ends(&a[left..]);
        for right in (0..b.len()).rev() {
            row[right] = match (a[left], b[right]) {
                (b'*', _) | (_, b'*') => below[right] || row[right + 1],
                (x, y) => x == y && below[right + 1],
            };
        }
        below = row;
    }
    below[0]
}

fn matches(pattern: &str, name: &str) -> bool {
    let mut parts = pattern.split('*');
    let first = parts.next().unwrap_or_default();
    let Some(mut rest) = name.strip_prefix(first) else { return false };
    let mut parts = parts.peekable();
    if parts.peek().is_none() {
        return rest.is_empty();
    }
    while let Some(part) = parts.next() {
        if parts.peek().is_none() {
            return rest.ends_with(part);
        }
        match rest.find(part) {
            Some(at) => rest = &rest[at + part.len()..],
            None => return false,
        }
    }
    true
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_star_stands_for_any_run_of_characters() {
        for (pattern, name, is_match) in [
            ("*", "", true),
            ("*", "kio_rcs", true),
            ("kio_rcs", "kio_rcs", true),
            ("kio_rcs", "kio_rcs2", false),
            ("agent_*", "agent_x", true),
            ("agent_*", "bot_agent_x", false),
            ("*_rcs", "kio_rcs", true),
            ("*_rcs", "kio_rcs_", false),
            ("a*b*c", "a-b-b-c", true),
            ("a*b*c", "acb", false),
            ("a*a", "a", false),
        ] {
            assert_eq!(Patterns::new([pattern]).contain(name), is_match, "{pattern} {name}");
        }
    }

    #[test]
    fn an_agent_in_a_command_is_given_by_its_name_and_harmless() {
        for (agents, expected) in [
            (&["kio_rcs"][..], "kio_rcs"),
            (&["*"], "other"),
            (&["kio_*", "", "it's", "a\"b", "$(x)", "a;b", "b-1", "c"], "b-1"),
            (&[], "other"),
        ] {
            let account = Account {
                tenant: "acme".into(),
                channel: Channel { name: "rcs".into(), kind: ChannelKind::Rcs },
                agents: Patterns::new(agents.iter().copied()),
                aliases: BTreeMap::new(),
                ttl: Duration::from_secs(20),
                answer: Answered::default(),
            };
            assert_eq!(account.example_agent("other"), expected, "{agents:?}");
        }
    }

    #[test]
    fn patterns_overlap_where_a_name_matches_both() {
        for (a, b, expected) in [
            ("kio_rcs", "kio_rcs", true),
            ("kio_rcs", "kio_rcs2", false),
            ("kio_*", "kio_rcs", true),
            ("kio_*", "*_rcs", true),
            ("kio_*", "bot_*", false),
            ("*", "", true),
            ("a*b", "a*c", false),
            ("a*b*c", "*bb*", true),
            ("*a", "b*", true),
            ("", "", true),
            ("a", "", false),
        ] {
            assert_eq!(overlap(a.as_bytes(), b.as_bytes()), expected, "{a} {b}");
            assert_eq!(overlap(b.as_bytes(), a.as_bytes()), expected, "{b} {a}");
        }
    }
}

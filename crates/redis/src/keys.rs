//! Which shard a conversation is of, and what its keys are called.
//!
//! Everything of one shard has its number as hash tag, so that it lives in one slot of a cluster.

use std::ops::Range;

use typingd_core::store::remote::Unreadable;
use typingd_core::{Conversation, Role, Scope, Side, User};

use crate::bytes::{Reader, put_text};

/// Rises with every change of what is kept, or how: nodes of two versions do not see each other.
const VERSION: u8 = 1;

/// The names of everything in the store.
#[derive(Clone, Debug)]
pub(crate) struct Keys {
    prefix: String,
    /// What the keys that are of no shard begin with. Fleets of other prefixes lie in other slots.
    fleet: String,
    shards: usize,
}

impl Keys {
    pub(crate) fn new(prefix: &str, shards: usize) -> Self {
        let (prefix, fleet) =
            (format!("{prefix}:{VERSION}:"), format!("{prefix}:{VERSION}:{{{prefix}:fleet}}:"));
        Self { prefix, fleet, shards }
    }

    /// A conversation's shard is its user's, so that the user's leases are found in one place.
    pub(crate) fn shard_of(&self, conversation: &Conversation) -> usize {
        self.shard_of_user(conversation.tenant(), conversation.user())
    }

    /// Where a scope's leases may be.
    pub(crate) fn shards_of(&self, scope: &Scope) -> Range<usize> {
        match &scope.user {
            Some(user) => {
                let shard = self.shard_of_user(&scope.tenant, user);
                shard..shard + 1
            }
            None => 0..self.shards,
        }
    }

    fn shard_of_user(&self, tenant: &str, user: &User) -> usize {
        let mut hashed = self.prefix.clone().into_bytes();
        put_text(&mut hashed, tenant);
        put_text(&mut hashed, user.as_str());
        let [a, b, c, d, e, f, g, h, ..] = *blake3::hash(&hashed).as_bytes();
        (u64::from_le_bytes([a, b, c, d, e, f, g, h]) % self.shards as u64) as usize
    }

    fn of(&self, shard: usize, what: &str) -> Vec<u8> {
        format!("{}{{{shard:04}}}:{what}", self.prefix).into_bytes()
    }

    /// What the keys of a shard's sides begin with; the name of the side follows.
    pub(crate) fn sides(&self, shard: usize) -> Vec<u8> {
        self.of(shard, "s:")
    }

    pub(crate) fn side(&self, shard: usize, name: &[u8]) -> Vec<u8> {
        [&self.sides(shard), name].concat()
    }

    pub(crate) fn deadlines(&self, shard: usize) -> Vec<u8> {
        self.of(shard, "deadlines")
    }

    pub(crate) fn index(&self, shard: usize) -> Vec<u8> {
        self.of(shard, "index")
    }

    pub(crate) fn sequence(&self, shard: usize) -> Vec<u8> {
        self.of(shard, "sequence")
    }

    pub(crate) fn channel(&self, shard: usize) -> Vec<u8> {
        self.of(shard, "feed")
    }

    /// What the providers were told of the shard's sides.
    pub(crate) fn told(&self, shard: usize) -> Vec<u8> {
        self.of(shard, "told")
    }

    /// What lies on the shelf under this name.
    pub(crate) fn shelf(&self, name: &str) -> Vec<u8> {
        format!("{}shelf:{name}", self.prefix).into_bytes()
    }

    /// What the fleet has of this name.
    pub(crate) fn fleet(&self, what: &str) -> Vec<u8> {
        format!("{}{what}", self.fleet).into_bytes()
    }

    /// The shard whose channel has this name.
    pub(crate) fn shard_of_channel(&self, channel: &[u8]) -> Option<usize> {
        let channel = std::str::from_utf8(channel).ok()?;
        let number = channel.strip_prefix(&self.prefix)?.strip_prefix('{')?.strip_suffix("}:feed")?;
        number.parse().ok().filter(|&shard| shard < self.shards)
    }
}

/// The slot of a cluster that a shard lives in: CRC-16 (XMODEM) of its hash tag.
pub(crate) fn slot_of(shard: usize) -> u16 {
    let crc =
        format!("{shard:04}").bytes().fold(0_u16, |crc, byte| {
            (0..8).fold(crc ^ u16::from(byte) << 8, |crc, _| {
                if crc & 0x8000 == 0 { crc << 1 } else { crc << 1 ^ 0x1021 }
            })
        });
    crc % 16_384
}

/// A side's name. In the order of bytes, the sides of a tenant stand together, and in there those of a user.
pub(crate) fn name_of(side: &Side) -> Vec<u8> {
    let conversation = &side.conversation;
    let mut name = Vec::with_capacity(64);
    for part in
        [conversation.tenant(), conversation.user().as_str(), conversation.agent(), conversation.channel()]
    {
        put_text(&mut name, part);
    }
    name.push(match side.role {
        Role::Agent => b'a',
        Role::User => b'u',
    });
    name
}

/// The side of this name.
pub(crate) fn side_named(name: &[u8]) -> Result<Side, Unreadable> {
    let mut reader = Reader::new(name);
    let side = read_side(&mut reader)?;
    reader.end()?;
    Ok(side)
}

pub(crate) fn read_side(reader: &mut Reader<'_>) -> Result<Side, Unreadable> {
    let (tenant, user, agent, channel) = (reader.text()?, reader.text()?, reader.text()?, reader.text()?);
    let role = match reader.byte()? {
        b'a' => Role::Agent,
        b'u' => Role::User,
        _ => return Err(Unreadable),
    };
    Ok(Side { conversation: Conversation::new(tenant, channel, agent, User::new(user)), role })
}

/// The first and the last name that a scope's sides may have, as `ZRANGEBYLEX` takes them.
pub(crate) fn range_of(scope: &Scope) -> (Vec<u8>, Vec<u8>) {
    let mut first = vec![b'['];
    put_text(&mut first, &scope.tenant);
    if let Some(user) = &scope.user {
        put_text(&mut first, user.as_str());
    }
    let mut last = first.clone();
    last[0] = b'(';
    while last.len() > 1 && last.last() == Some(&0xff) {
        last.pop();
    }
    match last.split_last_mut() {
        Some((end, rest)) if !rest.is_empty() => *end += 1,
        _ => last = vec![b'+'],
    }
    (first, last)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn a_shards_slot_is_where_a_cluster_looks_for_its_tag() {
        // As `CLUSTER KEYSLOT` says.
        assert_eq!((slot_of(421), slot_of(0)), (12_297, 6_794));
    }

    #[test]
    fn a_channel_knows_its_shard() {
        let keys = Keys::new("typingd", 1_024);
        assert_eq!(keys.channel(421), b"typingd:1:{0421}:feed");
        assert_eq!(keys.shard_of_channel(&keys.channel(421)), Some(421));
        assert_eq!(keys.shard_of_channel(&keys.channel(1_024)), None);
        assert_eq!(keys.shard_of_channel(b"typingd:1:{x}:feed"), None);
    }

    proptest! {
        #[test]
        fn a_name_is_read_back(parts in prop::array::uniform4(".*"), is_agent: bool) {
            let [tenant, channel, agent, user] = &parts;
            let role = if is_agent { Role::Agent } else { Role::User };
            let side = Side { conversation: Conversation::new(tenant, channel, agent, User::new(user)), role };
            prop_assert_eq!(side_named(&name_of(&side)).unwrap(), side);
        }

        #[test]
        fn foreign_names_are_refused(name: Vec<u8>) {
            if let Ok(side) = side_named(&name) {
                prop_assert!(side_named(&name_of(&side)).is_ok());
            }
        }

        #[test]
        fn a_scopes_range_has_its_sides_and_no_others(a in ".{0,3}", b in ".{0,3}", user in ".{0,3}") {
            let scope = Scope::tenant(a.as_str());
            let (first, last) = range_of(&scope);
            for tenant in [&a, &b] {
                let conversation = Conversation::new(tenant.as_str(), "c", "x", User::new(user.as_str()));
                let name = name_of(&Side { conversation, role: Role::User });
                prop_assert_eq!(first[1..] <= name[..] && name[..] < last[1..], *tenant == a);
            }
        }
    }
}

//! Who is told of whose typing.

use std::collections::HashMap;
use std::sync::Arc;

use typingd_core::pacing::UpstreamId;
use typingd_core::{Name, Role, Side};
use typingd_providers::{Account as DoorAccount, Patterns};

use super::account::Account;
use crate::config::Route;

/// Every tenant's routes, in the order of the configuration.
#[derive(Debug, Default)]
pub(super) struct Routes(HashMap<Name, Vec<Way>>);

/// A route, with what it takes to choose it.
#[derive(Clone, Debug)]
pub(super) struct Way {
    channel: Option<Name>,
    agents: Patterns,
    pub(super) upstream: UpstreamId,
    pub(super) account: Arc<Account>,
    /// Whose typing it can be told of.
    role: Role,
}

impl Routes {
    /// The routes of a configuration, to accounts that are known by tenant and name.
    pub(super) fn new(
        routes: &[Route],
        accounts: &HashMap<(Name, Name), (UpstreamId, Arc<Account>)>,
    ) -> Self {
        let mut ways: HashMap<Name, Vec<Way>> = HashMap::new();
        for Route { tenant, channel, agents, upstream } in routes {
            // The configuration names none that is not there.
            let Some((id, account)) = accounts.get(&(tenant.clone(), upstream.clone())) else { continue };
            ways.entry(tenant.clone()).or_default().push(Way {
                channel: channel.clone(),
                agents: agents.clone(),
                upstream: *id,
                account: account.clone(),
                role: account.role(),
            });
        }
        Self(ways)
    }

    /// The tenants that have any.
    pub(super) fn tenants(&self) -> impl Iterator<Item = &Name> {
        self.0.keys()
    }

    /// Those that a side's typing goes, each account once.
    pub(super) fn of(&self, side: &Side) -> impl Iterator<Item = &Way> {
        let Side { conversation, role } = side;
        let (channel, agent) = (conversation.channel(), conversation.agent());
        let ways = self.0.get(conversation.tenant()).map_or(&[][..], Vec::as_slice);
        let covers = move |way: &Way| way.role == *role && way.covers(channel) && way.agents.contain(agent);
        let is_first = move |at: usize| {
            !ways[..at].iter().any(|earlier| earlier.upstream == ways[at].upstream && covers(earlier))
        };
        ways.iter().enumerate().filter(move |(at, way)| covers(way) && is_first(*at)).map(|(_, way)| way)
    }

    /// Where a door's own provider is, for what an account says of an agent of ours; for what is about no agent, the
    /// first there is.
    pub(super) fn through(
        &self,
        door: &str,
        account: &DoorAccount,
        agent: Option<&str>,
    ) -> Option<&Arc<Account>> {
        let mut ways = self.0.get(&account.tenant)?.iter();
        let is_meant = |way: &&Way| {
            let is_its = agent.is_none_or(|agent| way.agents.contain(agent));
            way.account.provider() == door && way.covers(&account.channel.name) && is_its
        };
        ways.find(is_meant).map(|way| &way.account)
    }

    /// Whether anything that comes to this door is passed through.
    pub(super) fn lead_through(&self, door: &str) -> bool {
        self.0.values().flatten().any(|way| way.account.provider() == door)
    }
}

impl Way {
    fn covers(&self, channel: &Name) -> bool {
        self.channel.as_ref().is_none_or(|own| own == channel)
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;
    use std::time::Duration;

    use blake3::Hash;
    use typingd_core::pacing::Pacer;
    use typingd_core::{Conversation, User};
    use typingd_providers::account::Answered;
    use typingd_providers::pinnacle::{self, PinnacleUpstream};
    use typingd_providers::salesforce::{self, SalesforceUpstream};
    use typingd_providers::{Channel, ChannelKind, KeyHasher, Secret, Upstream, upstream};

    use super::*;
    use crate::client::Client;
    use crate::clock::Clock;
    use crate::config::{UpstreamAccount, UpstreamLimits};

    fn common() -> upstream::Account {
        upstream::Account { base_url: "https://api.example".to_owned(), agents: BTreeMap::new() }
    }

    fn pinnacle() -> Arc<dyn Upstream> {
        let account = pinnacle::UpstreamAccount { common: common(), api_key: Secret::new("k") };
        Arc::new(PinnacleUpstream::new(account).unwrap())
    }

    fn salesforce() -> Arc<dyn Upstream> {
        let account = salesforce::UpstreamAccount {
            common: common(),
            org_id: "00Dxx0000000001".to_owned(),
            authorization_context: None,
            credentials: salesforce::Credentials::Token(Secret::new("t")),
            display: Duration::from_secs(7),
        };
        Arc::new(SalesforceUpstream::new(account).unwrap())
    }

    /// The tenant `acme`, with the accounts `p`, `q` and `s`, and these routes: upstream, channel, agents.
    fn routes(of: &[(&str, Option<&str>, &str)]) -> Routes {
        let mut pacer = Pacer::new(1, 1);
        let (client, clock) = (Client::new(), Clock::start());
        let mut add = |name: &str, upstream: Arc<dyn Upstream>| {
            let (tenant, limits) = (Name::from("acme"), UpstreamLimits::default());
            let mark = Hash::from_bytes([0; 32]);
            let settings =
                UpstreamAccount { tenant: tenant.clone(), name: name.into(), upstream, limits, mark };
            let account = Arc::new(Account::new(settings, client.clone(), clock, &KeyHasher::new([7; 32])));
            let id = pacer.add(account.profile(), &account.limits().pacing);
            ((tenant, name.into()), (id, account))
        };
        let accounts = [add("p", pinnacle()), add("q", pinnacle()), add("s", salesforce())].into();
        let routes = of.iter().map(|(upstream, channel, agents)| Route {
            tenant: "acme".into(),
            channel: channel.map(Name::from),
            agents: Patterns::new([*agents]),
            upstream: (*upstream).into(),
        });
        Routes::new(&routes.collect::<Vec<_>>(), &accounts)
    }

    fn told(routes: &Routes, channel: &str, agent: &str, role: Role) -> Vec<String> {
        let conversation = Conversation::new("acme", channel, agent, User::new("+14155550123"));
        let side = Side { conversation, role };
        routes.of(&side).map(|way| way.account.name().to_string()).collect()
    }

    #[test]
    fn an_account_is_told_once_of_the_side_its_provider_shows() {
        let routes =
            routes(&[("p", None, "a*"), ("q", Some("rcs"), "*"), ("p", Some("rcs"), "*"), ("s", None, "*")]);
        for (channel, agent, role, expected) in [
            ("rcs", "a1", Role::Agent, &["p", "q"][..]),
            ("rcs", "b1", Role::Agent, &["q", "p"]),
            ("web", "a1", Role::Agent, &["p"]),
            ("web", "b1", Role::Agent, &[]),
            ("web", "b1", Role::User, &["s"]),
        ] {
            assert_eq!(told(&routes, channel, agent, role), expected, "{channel} {agent} {role:?}");
        }
        let conversation = Conversation::new("globex", "rcs", "a1", User::new("+14155550123"));
        assert_eq!(routes.of(&Side { conversation, role: Role::Agent }).count(), 0, "another tenant's");
    }

    #[test]
    fn a_door_leads_through_to_its_own_provider_alone() {
        let routes = routes(&[("s", None, "*"), ("q", Some("rcs"), "a*"), ("p", None, "*")]);
        let account = |tenant: &str, channel: &str| DoorAccount {
            tenant: tenant.into(),
            channel: Channel { name: channel.into(), kind: ChannelKind::Rcs },
            agents: Patterns::any(),
            aliases: BTreeMap::new(),
            ttl: Duration::from_secs(20),
            answer: Answered::AtOnce,
        };
        for (door, tenant, channel, agent, expected) in [
            ("pinnacle", "acme", "rcs", Some("a1"), Some("q")),
            ("pinnacle", "acme", "rcs", Some("b1"), Some("p")),
            ("pinnacle", "acme", "rcs", None, Some("q")),
            ("pinnacle", "acme", "web", None, Some("p")),
            ("pinnacle", "globex", "rcs", None, None),
            ("salesforce", "acme", "web", None, Some("s")),
            ("kaleyra", "acme", "rcs", Some("a1"), None),
        ] {
            let through = routes.through(door, &account(tenant, channel), agent);
            let name = through.map(|account| account.name().as_str());
            assert_eq!(name, expected, "{door} {tenant} {channel} {agent:?}");
        }
        assert!(routes.lead_through("pinnacle") && !routes.lead_through("kaleyra"));
    }
}

//! A typing call as a command to paste.

use super::{Account, AuthorizationContext};
use crate::{Example, account};

/// An end user of this account's types, at a gateway with this base URL.
pub(super) fn typing(account: &Account, base_url: &str) -> Option<Example> {
    if !account::is_plain(&account.org_id) {
        return None;
    }
    let (org_id, agent) = (&account.org_id, account.common.example_agent("desk"));
    let context = match account.authorization_context {
        AuthorizationContext::Absent => String::new(),
        AuthorizationContext::Required => {
            let shown = || account.contexts.iter().filter(|(name, _)| account::is_plain(name));
            let (name, _) = shown().find(|(_, agents)| agents.contain(agent)).or_else(|| shown().next())?;
            format!("\n  -H 'AuthorizationContext: {name}' \\")
        }
    };
    let command = format!(
        r#"curl {base_url}/api/v1/interactions \
  -H "Authorization: Bearer $SALESFORCE_TOKEN" \
  -H 'OrgId: {org_id}' -H 'RequestId: 1' \{context}
  -F 'json={{"to":"{agent}","from":"David Wood",
    "interactions":[{{"timestamp":1688190840000,
    "interactionType":"EntryInteraction",
    "payload":{{"id":"'$(date +%s%N)'",
    "entryType":"TypingStartedIndicator",
    "timestamp":1688190840000}}}}]}};type=application/json'"#
    );
    Some(Example { title: "Salesforce: an end user types", command })
}

//! A query on its way to a provider: no credential in it, the agent by the provider's name, and all else as it was.

use std::borrow::Cow;

use typingd_core::Name;

/// The parameters that hold a credential at some API, in lower case. None of ours is ever sent so.
const CREDENTIALS: [&str; 14] = [
    "access_token",
    "accesstoken",
    "api-key",
    "api_key",
    "apikey",
    "auth_token",
    "authorization",
    "bearer_token",
    "client_secret",
    "key",
    "oauth_token",
    "password",
    "pinnacle-api-key",
    "token",
];

/// The query without the parameters that hold a credential; `None` where nothing is left of it.
pub(super) fn without_credentials(query: &str) -> Option<Cow<'_, str>> {
    let is_credential =
        |parameter: &str| CREDENTIALS.contains(&name(parameter).to_ascii_lowercase().as_str());
    if !query.split('&').any(is_credential) {
        return Some(query.into());
    }
    let kept: Vec<&str> = query.split('&').filter(|parameter| !is_credential(parameter)).collect();
    if kept.is_empty() { None } else { Some(kept.join("&").into()) }
}

/// The query with another value of the one parameter of this name, where `rename` has one.
pub(crate) fn rename<'q>(
    query: &'q str,
    wanted: &str,
    rename: impl FnOnce(&str) -> Option<Name>,
) -> Cow<'q, str> {
    let mut found = query.split('&').enumerate().filter(|(_, parameter)| name(parameter) == wanted);
    let (Some((place, sent)), None) = (found.next(), found.next()) else { return query.into() };
    let value = form_urlencoded::parse(sent.as_bytes()).next().map(|(_, value)| value).unwrap_or_default();
    let Some(new) = rename(&value).filter(|new| *new != value) else { return query.into() };
    let spelling = sent.split('=').next().unwrap_or_default();
    let new: String = form_urlencoded::byte_serialize(new.as_bytes()).collect();
    let new = format!("{spelling}={new}");
    let kept = query.split('&').enumerate();
    let parameters: Vec<&str> =
        kept.map(|(at, parameter)| if at == place { new.as_str() } else { parameter }).collect();
    parameters.join("&").into()
}

/// A parameter's name, its escapes resolved.
fn name(parameter: &str) -> Cow<'_, str> {
    form_urlencoded::parse(parameter.as_bytes()).next().map(|(name, _)| name).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn exactly_the_parameters_that_hold_a_credential_go() {
        for (query, expected) in [
            ("", Some("")),
            ("a=b&&c=%2f+d&=&e", Some("a=b&&c=%2f+d&=&e")),
            ("key=s", None),
            ("key", None),
            ("a=1&key=s&b=2", Some("a=1&b=2")),
            ("key=s&&a=1", Some("&a=1")),
            ("a=1&KEY=s&%6bey=s&k%65y=s", Some("a=1")),
            ("access_token=s&oauth_token=s&api_key=s&apikey=s&API-Key=s&token=s&x=y", Some("x=y")),
            ("pageToken=1&keys=2&monkey=3&key2=4", Some("pageToken=1&keys=2&monkey=3&key2=4")),
            ("a=key=s", Some("a=key=s")),
            ("a=1&key=s=t", Some("a=1")),
        ] {
            assert_eq!(without_credentials(query).as_deref(), expected, "{query}");
        }
    }

    #[test]
    fn one_value_changes_and_no_other() {
        let to = |value: &str| match value {
            "ours" | "o u" | "é" => Some(Name::new("their agent&é")),
            "same" => Some(Name::new("same")),
            _ => None,
        };
        for (query, expected) in [
            ("agentId=ours", "agentId=their+agent%26%C3%A9"),
            ("a=%2f&agentId=ours&&b", "a=%2f&agentId=their+agent%26%C3%A9&&b"),
            ("agent%49d=o%20u", "agent%49d=their+agent%26%C3%A9"),
            ("agentId=o+u", "agentId=their+agent%26%C3%A9"),
            ("agentId=%C3%A9", "agentId=their+agent%26%C3%A9"),
            ("agentId=s%61me", "agentId=s%61me"),
            ("agentId=other", "agentId=other"),
            ("agentId=ours&agentId=ours", "agentId=ours&agentId=ours"),
            ("agentid=ours", "agentid=ours"),
            ("x=agentId=ours", "x=agentId=ours"),
            ("agentId", "agentId"),
            ("", ""),
        ] {
            assert_eq!(rename(query, "agentId", to), expected, "{query}");
        }
    }
}

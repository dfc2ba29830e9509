//! Which conversations a query asks for: `?channel=&agent=&user=`.

use http::Uri;
use typingd_core::Scope;
use typingd_providers::json::is_plain_name;
use typingd_providers::{FaultKind, Faults, Rejection, phone};

use super::fields;
use crate::directory::Channels;

/// Reads a query's scope, which lies within another. Parameters named in `beside` are somebody else's.
///
/// # Errors
/// [`Rejection::Invalid`] naming the parameters that are unknown, given twice, or not valid.
pub(super) fn parse(
    uri: &Uri,
    beside: &[&str],
    within: &Scope,
    channels: &Channels,
) -> Result<Scope, Rejection> {
    const EXPECTED: &str = "`channel`, `agent` and `user`, each at most once";
    let mut faults = Faults::default();
    let [mut channel, mut agent, mut user] = [None::<String>, None, None];
    let query = uri.query().unwrap_or_default();
    for (name, value) in form_urlencoded::parse(query.as_bytes()).filter(|(_, value)| !value.is_empty()) {
        let (name, slot) = match &*name {
            "channel" => ("channel", &mut channel),
            "agent" => ("agent", &mut agent),
            "user" => ("user", &mut user),
            other if beside.contains(&other) => continue,
            other => {
                let name = if is_plain_name(other) { other } else { "(a parameter)" };
                faults.add(name.to_owned(), FaultKind::Unknown, EXPECTED);
                continue;
            }
        };
        if slot.replace(value.into_owned()).is_some() {
            faults.add(name, FaultKind::Repeated, EXPECTED);
        }
    }
    let user = user.map(with_plus_restored);
    let given = [channel.as_deref(), agent.as_deref(), user.as_deref()];
    let scope = fields::narrow(&mut faults, within, channels, given);
    faults.none()?;
    Ok(scope)
}

/// In a query an unescaped `+` means a space, and a phone number is often sent so: no name begins with one.
fn with_plus_restored(user: String) -> String {
    match user.strip_prefix(' ') {
        Some(digits) if phone::with_or_without_plus(digits).is_some() => format!("+{digits}"),
        _ => user,
    }
}

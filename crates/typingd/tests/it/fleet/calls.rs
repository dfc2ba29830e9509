//! What a provider was told, by user.

use std::collections::BTreeMap;
use std::time::Duration;

use crate::relay::provider::Asked;

/// When a call came.
pub type Call = Duration;

/// When it was told of each user that there is typing.
pub fn typing(asked: &[Asked]) -> BTreeMap<String, Vec<Call>> {
    by_user(asked.iter().filter(|asked| asked.is_typing() && !is_stop(asked)))
}

/// When it was told of each that there is none any more.
pub fn stopped(asked: &[Asked]) -> BTreeMap<String, Vec<Call>> {
    by_user(asked.iter().filter(|asked| is_stop(asked)))
}

/// The times between two calls about the same.
pub fn gaps(calls: &BTreeMap<String, Vec<Call>>) -> Vec<Duration> {
    calls.values().flat_map(|calls| calls.windows(2).map(|two| two[1] - two[0])).collect()
}

fn is_stop(asked: &Asked) -> bool {
    asked.body.contains("TypingStoppedIndicator")
}

fn by_user<'a>(asked: impl Iterator<Item = &'a Asked>) -> BTreeMap<String, Vec<Call>> {
    let mut calls = BTreeMap::<String, Vec<Call>>::new();
    for one in asked {
        calls.entry(user(one)).or_default().push(one.at);
    }
    calls
}

/// Pinnacle's `to`, and the `from` of a Salesforce user.
fn user(asked: &Asked) -> String {
    let of = |mark: &str| Some(asked.body.split(mark).nth(1)?.split('"').next()?.to_owned());
    let user = if asked.body.contains("TypingSt") { of(r#""from":""#) } else { of(r#""to":""#) };
    user.unwrap_or_else(|| panic!("a user: {}", asked.body))
}

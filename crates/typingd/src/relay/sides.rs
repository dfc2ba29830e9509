//! The leases that live on a side, as far as upstreams are told of them, and what a commit makes of them.

use smallvec::SmallVec;
use typingd_core::transition::Change;
use typingd_core::{ChangeKind, LeaseView, Name, StopReason, Time};

use crate::webhooks;

/// The leases that live on one side.
#[derive(Clone, Debug, Default)]
pub(super) struct Leases(SmallVec<[Live; 1]>);

#[derive(Clone, Debug)]
struct Live {
    participant: Option<Name>,
    since: Time,
    until: Time,
    origin: Name,
}

/// What an upstream is to hear, of all leases on a side together.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Word {
    /// Somebody types since `since`, who was not known before, or whose dots a message took away.
    Begin { since: Time, until: Time },
    /// Those who type do so until then.
    Extend { until: Time },
    /// Nobody types any more.
    End { reason: StopReason, at: Time },
}

impl Leases {
    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// When the latest of them ends that did not come from `provider`'s own webhook, and when that one began.
    fn latest(&self, provider: &str) -> Option<(Time, Time)> {
        let told = self.0.iter().filter(|live| !came_from(&live.origin, provider));
        told.map(|live| (live.until, live.since)).max_by_key(|(until, _)| *until)
    }

    /// Takes over what lives now, in place of what was known.
    pub(super) fn replace(&mut self, leases: &[LeaseView]) {
        self.0 = leases.iter().map(Live::of).collect();
    }

    /// Takes note of how long they last by now. Who is not known here has been told to be gone, or will be told to be there.
    pub(super) fn prolong(&mut self, leases: &[LeaseView]) {
        for live in &mut self.0 {
            let same = leases.iter().find(|lease| lease.participant == live.participant);
            live.until = same.map_or(live.until, |lease| lease.expires_at);
        }
    }

    /// Applies a commit's changes.
    pub(super) fn apply(&mut self, changes: &[Change]) {
        for Change { kind, lease } in changes {
            self.0.retain(|live| live.participant != lease.participant);
            if !matches!(kind, ChangeKind::Stopped(_)) {
                self.0.push(Live::of(lease));
            }
        }
    }

    /// What an upstream of this provider makes of changes that led from `before` to these.
    pub(super) fn words(&self, before: &Self, changes: &[Change], provider: &str) -> SmallVec<[Word; 2]> {
        let (was, is) = (before.latest(provider), self.latest(provider));
        let mut stop = None;
        let mut start = None;
        for Change { kind, lease } in
            changes.iter().filter(|change| !came_from(&change.lease.origin, provider))
        {
            match kind {
                // A message among them counts before all else: it takes the dots away from everybody.
                ChangeKind::Stopped(reason) if !matches!(stop, Some((StopReason::Sent, _))) => {
                    stop = Some((*reason, lease.expires_at));
                }
                ChangeKind::Started => start = start.max(Some(lease.started_at)),
                ChangeKind::Stopped(_) | ChangeKind::Refreshed => {}
            }
        }
        let mut words = SmallVec::new();
        let message_at = stop.and_then(|(reason, at)| (reason == StopReason::Sent).then_some(at));
        if let Some((reason, at)) = stop
            && was.is_some()
            && (is.is_none() || message_at.is_some())
        {
            words.push(Word::End { reason, at });
        }
        if let Some((until, since)) = is {
            words.push(match start.max(message_at) {
                Some(since) => Word::Begin { since, until },
                None if was.is_none() => Word::Begin { since, until },
                None => Word::Extend { until },
            });
        }
        words
    }

    /// Since when and until when somebody types, for an upstream of this provider that knows nothing of the side.
    pub(super) fn anew(&self, provider: &str) -> Option<(Time, Time)> {
        self.latest(provider).map(|(until, since)| (since, until))
    }

    /// When the latest of them ends that an upstream of this provider is told of.
    pub(super) fn until(&self, provider: &str) -> Option<Time> {
        self.latest(provider).map(|(until, _)| until)
    }
}

impl Live {
    fn of(lease: &LeaseView) -> Self {
        Self {
            participant: lease.participant.clone(),
            since: lease.started_at,
            until: lease.expires_at,
            origin: lease.origin.clone(),
        }
    }
}

/// What a provider tells us is never sent back to it.
fn came_from(origin: &str, provider: &str) -> bool {
    *origin == webhooks::origin_of(provider)
}

#[cfg(test)]
mod tests {
    use typingd_core::StopReason::{Expired, Paused, Sent};

    use super::*;

    fn lease(who: &str, since: u64, until: u64) -> LeaseView {
        LeaseView {
            participant: (!who.is_empty()).then(|| who.into()),
            name: None,
            started_at: Time::from_millis(since),
            expires_at: Time::from_millis(until),
            origin: "kaleyra".into(),
        }
    }

    fn started(who: &str, since: u64, until: u64) -> Change {
        Change { kind: ChangeKind::Started, lease: lease(who, since, until) }
    }

    fn refreshed(who: &str, until: u64) -> Change {
        Change { kind: ChangeKind::Refreshed, lease: lease(who, 0, until) }
    }

    fn stopped(who: &str, reason: StopReason, at: u64) -> Change {
        Change { kind: ChangeKind::Stopped(reason), lease: lease(who, 0, at) }
    }

    fn begin(since: u64, until: u64) -> Word {
        Word::Begin { since: Time::from_millis(since), until: Time::from_millis(until) }
    }

    fn extend(until: u64) -> Word {
        Word::Extend { until: Time::from_millis(until) }
    }

    fn end(reason: StopReason, at: u64) -> Word {
        Word::End { reason, at: Time::from_millis(at) }
    }

    #[test]
    fn several_who_type_are_one_to_a_provider() {
        // What a message takes away, whoever still types gets anew.
        for (commits, expected) in [
            (vec![vec![started("", 1, 20)]], vec![begin(1, 20)]),
            (vec![vec![started("", 1, 20)], vec![refreshed("", 30)]], vec![begin(1, 20), extend(30)]),
            (
                vec![vec![started("", 1, 20)], vec![stopped("", Expired, 20)]],
                vec![begin(1, 20), end(Expired, 20)],
            ),
            (
                vec![vec![started("a", 1, 20)], vec![started("b", 5, 30)], vec![stopped("b", Paused, 9)]],
                vec![begin(1, 20), begin(5, 30), extend(20)],
            ),
            (
                vec![vec![started("a", 1, 40)], vec![started("b", 5, 30)], vec![stopped("b", Sent, 9)]],
                vec![begin(1, 40), begin(5, 40), end(Sent, 9), begin(9, 40)],
            ),
            (
                vec![vec![started("a", 1, 40)], vec![stopped("a", Sent, 9), started("a", 9, 40)]],
                vec![begin(1, 40), end(Sent, 9), begin(9, 40)],
            ),
            (
                vec![
                    vec![started("a", 1, 40)],
                    vec![started("b", 5, 30)],
                    vec![stopped("a", Sent, 9), stopped("b", Sent, 9)],
                ],
                vec![begin(1, 40), begin(5, 40), end(Sent, 9)],
            ),
            (
                vec![vec![started("a", 1, 40)], vec![stopped("a", Paused, 9)], vec![started("a", 12, 50)]],
                vec![begin(1, 40), end(Paused, 9), begin(12, 50)],
            ),
            // Of what was never known nothing is said.
            (vec![vec![stopped("a", Sent, 9)]], vec![]),
        ] {
            let mut leases = Leases::default();
            let mut said = Vec::new();
            for changes in &commits {
                let before = leases.clone();
                leases.apply(changes);
                said.extend(leases.words(&before, changes, "kaleyra"));
            }
            assert_eq!(said, expected, "{commits:?}");
        }
    }

    #[test]
    fn what_a_provider_has_told_is_not_told_to_it() {
        let of = |origin: &str| {
            let mut change = started("", 1, 20);
            change.lease.origin = origin.into();
            let mut leases = Leases::default();
            leases.apply(std::slice::from_ref(&change));
            leases.words(&Leases::default(), &[change], "pinnacle").to_vec()
        };
        assert_eq!(of("pinnacle-webhook"), []);
        for origin in ["pinnacle", "kaleyra-webhook", "webhook", "-webhook", "hold"] {
            assert_eq!(of(origin), [begin(1, 20)], "{origin}");
        }
        // Nor is it told that such a lease is over.
        let mut own = started("a", 1, 60);
        own.lease.origin = "pinnacle-webhook".into();
        let mut leases = Leases::default();
        leases.apply(&[own.clone(), started("b", 2, 20)]);
        let before = leases.clone();
        let gone = [Change { kind: ChangeKind::Stopped(Sent), lease: own.lease }];
        leases.apply(&gone);
        assert_eq!(leases.words(&before, &gone, "pinnacle").to_vec(), [extend(20)]);
    }

    #[test]
    fn a_look_moves_the_ends_of_those_who_are_known() {
        let mut leases = Leases::default();
        leases.apply(&[started("a", 1, 20), started("b", 1, 30)]);
        leases.prolong(&[lease("a", 1, 50), lease("c", 1, 90)]);
        assert_eq!(leases.until("kaleyra"), Some(Time::from_millis(50)));
        leases.prolong(&[lease("a", 1, 25)]);
        assert_eq!(leases.until("kaleyra"), Some(Time::from_millis(30)));
    }
}

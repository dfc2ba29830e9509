use proptest::prelude::*;
use typingd_core::{Conversation, Name, Role, User};

use super::*;

fn shift() -> Shift {
    let mut offset = crate::offset::Offset::default();
    offset.note(Duration::ZERO, Duration::ZERO, 1_700_000_000_000_000);
    offset.shift(Duration::ZERO).unwrap()
}

fn times() -> impl Strategy<Value = Time> {
    (0_u64..1 << 45).prop_map(Time::from_millis)
}

fn names() -> impl Strategy<Value = Name> {
    ".{0,40}".prop_map(Name::from)
}

fn sources() -> impl Strategy<Value = Source> {
    prop_oneof![
        Just(Source::OneShot),
        any::<u64>().prop_map(Source::Socket),
        (any::<u64>(), any::<bool>()).prop_map(|(id, continues)| Source::Hold { id, continues }),
    ]
}

fn leases() -> impl Strategy<Value = Lease> {
    let claims = prop::collection::vec((sources(), times()), 1..4);
    let texts = (prop::option::of(names()), prop::option::of(names()), names());
    (texts, times(), times(), 0_u64..60_000, prop::option::of(0_u64..1 << 60), claims).prop_map(
        |((participant, name, origin), started_at, announced_until, guard, turn, claims)| Lease {
            participant,
            name,
            started_at,
            announced_until,
            guard: Duration::from_millis(guard),
            turn,
            origin,
            claims: claims.into_iter().map(|(source, until)| Claim { source, until }).collect(),
        },
    )
}

fn states() -> impl Strategy<Value = SideState> {
    let fence = (prop::option::of(0_u64..9), prop::collection::vec(names(), 0..4), times());
    let fence = fence.prop_map(|(last_turn, ids, forget_at)| Fence {
        last_turn,
        payload_ids: ids.into_iter().collect(),
        forget_at,
    });
    (prop::collection::vec(leases(), 0..4), prop::option::of(fence))
        .prop_map(|(leases, fence)| SideState { leases: leases.into(), fence: fence.map(Box::new) })
}

fn news() -> impl Strategy<Value = News> {
    let kinds = prop_oneof![
        Just(ChangeKind::Started),
        Just(ChangeKind::Refreshed),
        Just(ChangeKind::Stopped(StopReason::Paused)),
        Just(ChangeKind::Stopped(StopReason::Sent)),
        Just(ChangeKind::Stopped(StopReason::Expired)),
        Just(ChangeKind::Stopped(StopReason::Revoked)),
    ];
    let presences =
        prop_oneof![Just(Presence::Unchanged), Just(Presence::Appeared), Just(Presence::Vanished)];
    let changes = prop::collection::vec((kinds, leases()), 0..3);
    (prop::array::uniform4(".{0,20}"), changes, prop::option::of(times()), presences).prop_map(
        |([tenant, channel, agent, user], changes, deadline, presence)| News {
            side: Side {
                conversation: Conversation::new(tenant, channel, agent, User::new(user)),
                role: Role::User,
            },
            changes: changes.into_iter().map(|(kind, lease)| Change { kind, lease: lease.view() }).collect(),
            deadline,
            presence,
        },
    )
}

/// Bytes near those that are good, and any others.
fn damaged(good: Vec<u8>, at: prop::sample::Index, byte: u8, cut: bool) -> Vec<u8> {
    let mut bytes = good;
    if !bytes.is_empty() {
        let at = at.index(bytes.len());
        bytes[at] = byte;
        if cut {
            bytes.truncate(at);
        }
    }
    bytes
}

proptest! {
    #[test]
    fn a_state_is_read_back(state in states()) {
        let bytes = write_state(&state, shift());
        prop_assert_eq!(bytes.is_empty(), state.is_empty());
        prop_assert_eq!(read_state(&bytes, shift()), Ok(state));
    }

    #[test]
    fn news_are_read_back(news in news()) {
        prop_assert_eq!(read_news(&write_news(&news, shift()), shift()), Ok(news));
    }

    #[test]
    fn foreign_bytes_never_panic(mut bytes: Vec<u8>, with_version: bool) {
        if with_version && !bytes.is_empty() {
            bytes[0] = VERSION;
        }
        let _ = (read_state(&bytes, shift()), read_news(&bytes, shift()));
    }

    #[test]
    fn damaged_bytes_never_panic(state in states(), news in news(), at: prop::sample::Index, byte: u8, cut: bool) {
        let _ = read_state(&damaged(write_state(&state, shift()), at, byte, cut), shift());
        let _ = read_news(&damaged(write_news(&news, shift()), at, byte, cut), shift());
    }
}

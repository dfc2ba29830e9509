//! States and news as bytes. What cannot be read is refused, and never panics.

use std::time::Duration;

use typingd_core::lease::{Claim, Fence, Lease, SideState};
use typingd_core::store::Presence;
use typingd_core::store::remote::Unreadable;
use typingd_core::transition::{Change, Changes};
use typingd_core::{ChangeKind, LeaseView, Side, Source, StopReason, Time};

use crate::bytes::{Reader, put_number, put_optional_number, put_optional_text, put_text};
use crate::keys::{name_of, read_side};
use crate::offset::Shift;

/// The first byte of all that is written here.
const VERSION: u8 = 1;

fn put_time(out: &mut Vec<u8>, time: Time, shift: Shift) {
    put_number(out, shift.to_server(time));
}

fn read_time(reader: &mut Reader<'_>, shift: Shift) -> Result<Time, Unreadable> {
    reader.number().map(|server| shift.to_node(server))
}

/// A state; of one with nothing to remember, no bytes at all.
pub(crate) fn write_state(state: &SideState, shift: Shift) -> Vec<u8> {
    let mut out = Vec::with_capacity(64);
    if state.is_empty() {
        return out;
    }
    out.push(VERSION);
    put_number(&mut out, state.leases.len() as u64);
    for lease in &state.leases {
        put_optional_text(&mut out, lease.participant.as_ref());
        put_optional_text(&mut out, lease.name.as_ref());
        put_time(&mut out, lease.started_at, shift);
        put_time(&mut out, lease.announced_until, shift);
        put_number(&mut out, u64::try_from(lease.guard.as_millis()).unwrap_or(u64::MAX));
        put_optional_number(&mut out, lease.turn);
        put_text(&mut out, &lease.origin);
        put_number(&mut out, lease.claims.len() as u64);
        for claim in &lease.claims {
            put_source(&mut out, claim.source);
            put_time(&mut out, claim.until, shift);
        }
    }
    out.push(u8::from(state.fence.is_some()));
    if let Some(fence) = &state.fence {
        put_optional_number(&mut out, fence.last_turn);
        put_number(&mut out, fence.payload_ids.len() as u64);
        fence.payload_ids.iter().for_each(|id| put_text(&mut out, id));
        put_time(&mut out, fence.forget_at, shift);
    }
    out
}

/// The state that these bytes stand for.
pub(crate) fn read_state(bytes: &[u8], shift: Shift) -> Result<SideState, Unreadable> {
    let mut state = SideState::default();
    if bytes.is_empty() {
        return Ok(state);
    }
    let mut reader = Reader::new(bytes);
    if reader.byte()? != VERSION {
        return Err(Unreadable);
    }
    for _ in 0..reader.number()? {
        state.leases.push(read_lease(&mut reader, shift)?);
    }
    if reader.flag()? {
        let mut fence = Fence { last_turn: reader.optional_number()?, ..Fence::default() };
        for _ in 0..reader.number()? {
            fence.payload_ids.push_back(reader.text()?);
        }
        fence.forget_at = read_time(&mut reader, shift)?;
        state.fence = Some(Box::new(fence));
    }
    reader.end()?;
    Ok(state)
}

fn read_lease(reader: &mut Reader<'_>, shift: Shift) -> Result<Lease, Unreadable> {
    let mut lease = Lease {
        participant: reader.optional_text()?,
        name: reader.optional_text()?,
        started_at: read_time(reader, shift)?,
        announced_until: read_time(reader, shift)?,
        guard: Duration::from_millis(reader.number()?),
        turn: reader.optional_number()?,
        origin: reader.text()?,
        claims: smallvec::SmallVec::new(),
    };
    for _ in 0..reader.number()? {
        let claim = Claim { source: read_source(reader)?, until: read_time(reader, shift)? };
        lease.claims.push(claim);
    }
    if lease.claims.is_empty() { Err(Unreadable) } else { Ok(lease) }
}

fn put_source(out: &mut Vec<u8>, source: Source) {
    let (kind, id) = match source {
        Source::OneShot => return out.push(0),
        Source::Socket(id) => (1, id),
        Source::Hold { id, continues: false } => (2, id),
        Source::Hold { id, continues: true } => (3, id),
    };
    out.push(kind);
    put_number(out, id);
}

fn read_source(reader: &mut Reader<'_>) -> Result<Source, Unreadable> {
    Ok(match reader.byte()? {
        0 => Source::OneShot,
        1 => Source::Socket(reader.number()?),
        2 => Source::Hold { id: reader.number()?, continues: false },
        3 => Source::Hold { id: reader.number()?, continues: true },
        _ => return Err(Unreadable),
    })
}

/// A commit as other nodes are told of it. Where it stands in the order is told beside it.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct News {
    pub(crate) side: Side,
    pub(crate) changes: Changes,
    pub(crate) deadline: Option<Time>,
    pub(crate) presence: Presence,
}

pub(crate) fn write_news(news: &News, shift: Shift) -> Vec<u8> {
    let mut out = vec![VERSION];
    out.extend_from_slice(&name_of(&news.side));
    out.push(match news.presence {
        Presence::Unchanged => 0,
        Presence::Appeared => 1,
        Presence::Vanished => 2,
    });
    put_optional_number(&mut out, news.deadline.map(|deadline| shift.to_server(deadline)));
    put_number(&mut out, news.changes.len() as u64);
    for change in &news.changes {
        out.push(match change.kind {
            ChangeKind::Started => 0,
            ChangeKind::Refreshed => 1,
            ChangeKind::Stopped(StopReason::Paused) => 2,
            ChangeKind::Stopped(StopReason::Sent) => 3,
            ChangeKind::Stopped(StopReason::Expired) => 4,
            ChangeKind::Stopped(StopReason::Revoked) => 5,
        });
        put_optional_text(&mut out, change.lease.participant.as_ref());
        put_optional_text(&mut out, change.lease.name.as_ref());
        put_time(&mut out, change.lease.started_at, shift);
        put_time(&mut out, change.lease.expires_at, shift);
        put_text(&mut out, &change.lease.origin);
    }
    out
}

pub(crate) fn read_news(bytes: &[u8], shift: Shift) -> Result<News, Unreadable> {
    let mut reader = Reader::new(bytes);
    if reader.byte()? != VERSION {
        return Err(Unreadable);
    }
    let side = read_side(&mut reader)?;
    let presence = match reader.byte()? {
        0 => Presence::Unchanged,
        1 => Presence::Appeared,
        2 => Presence::Vanished,
        _ => return Err(Unreadable),
    };
    let deadline = reader.optional_number()?.map(|server| shift.to_node(server));
    let mut changes = Changes::new();
    for _ in 0..reader.number()? {
        let kind = match reader.byte()? {
            0 => ChangeKind::Started,
            1 => ChangeKind::Refreshed,
            2 => ChangeKind::Stopped(StopReason::Paused),
            3 => ChangeKind::Stopped(StopReason::Sent),
            4 => ChangeKind::Stopped(StopReason::Expired),
            5 => ChangeKind::Stopped(StopReason::Revoked),
            _ => return Err(Unreadable),
        };
        let lease = LeaseView {
            participant: reader.optional_text()?,
            name: reader.optional_text()?,
            started_at: read_time(&mut reader, shift)?,
            expires_at: read_time(&mut reader, shift)?,
            origin: reader.text()?,
        };
        changes.push(Change { kind, lease });
    }
    reader.end()?;
    Ok(News { side, changes, deadline, presence })
}

#[cfg(test)]
mod tests;

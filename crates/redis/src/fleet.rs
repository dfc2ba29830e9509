//! Which groups of conversations are this node's to answer for: leases of nodes, in the server's time.
//!
//! A node believes in its lease from before it asked, the server from when it was asked: so the node is the first to
//! doubt it. A node that has more than its share is told which groups to give back; it stops acting for them first. Where
//! the server knows nothing of the fleet, it gives out no groups for the time of one lease: who had some before it lost
//! everything may act for them that long, and says so.

use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use typingd_core::fleet::{GROUPS, Groups, Tenure};
use typingd_core::store::StoreError;
use typingd_core::store::remote::Audience;

use crate::credentials::{Credentials, read_credentials};
use crate::node::{Answer, Node, text, time};
use crate::server::{LEAVE, TICK as SCRIPT, bytes, number};

/// For how long a tick makes a node's groups its own.
pub const LEASE: Duration = Duration::from_millis(1_200);

/// How often to tick: one that fails, and one that is slow, may lie between two that count.
pub const TICK: Duration = Duration::from_millis(400);

/// This node as one of several.
pub struct Fleet<A: Audience + 'static> {
    pub(crate) node: Arc<Node<A>>,
    pub(crate) name: String,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    turn: u64,
    tenure: Option<Tenure>,
    /// Of the credentials that were read last.
    version: Vec<u8>,
}

/// What a tick came to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Ticked {
    /// What is this node's, and until when.
    pub tenure: Tenure,
    /// Those of its groups that are above its share: it stops acting for them, and gives them back with the next tick.
    pub excess: Groups,
    /// What all nodes know of credentials, where that has changed since the tick before.
    pub credentials: Option<Credentials>,
}

impl<A: Audience + 'static> Fleet<A> {
    pub(crate) fn new(node: Arc<Node<A>>, name: String) -> Self {
        Self { node, name, state: Mutex::default() }
    }

    /// Renews this node's lease, and gives back what it does not answer for any more.
    ///
    /// # Errors
    /// [`StoreError::Unavailable`]; the tenure of the tick before stays as it is, and ends when it ends.
    pub async fn tick(&self, give_back: Groups) -> Result<Ticked, StoreError> {
        let sent = time(self.node.now());
        let (turn, held, version) = {
            let mut state = self.state();
            state.turn += 1;
            let tenure = state.tenure.filter(|tenure| sent < tenure.until);
            (state.turn, tenure.map_or(Groups::default(), |tenure| tenure.groups), state.version.clone())
        };
        let keys = &self.node.keys;
        let keys =
            ["nodes", "groups", "turns", "began", "credentials", "version"].map(|what| keys.fleet(what));
        let args = [
            text(&self.name),
            text(turn),
            text(LEASE.as_millis()),
            as_bits(give_back),
            as_bits(held.without(give_back)),
            version,
        ];
        let asked = self.node.run_at(&self.node.offset, &SCRIPT, &keys, &args);
        let answer = self.node.bounded_apart(asked).await?;
        let (share, tenure, version, mut rest) = read(answer).ok_or(StoreError::Unavailable)?;
        let tenure = Tenure { until: sent + LEASE, ..tenure };
        let mut state = self.state();
        // Of two at the same time, the later one is the server's last word.
        if state.turn == turn {
            state.tenure = Some(tenure);
        }
        let shift = self.node.shift_apart().ok_or(StoreError::Unavailable)?;
        let is_news = state.version != version;
        let credentials = is_news.then(|| read_credentials(&mut rest, shift));
        state.version = version;
        let excess = tenure.groups.iter().skip(share).collect();
        Ok(Ticked { tenure, excess, credentials })
    }

    /// Gives everything back, and is no node of the fleet any more. Whoever leaves has stopped acting, and ticking: a
    /// tick that is still on its way may make it a node once more, until its lease is over.
    ///
    /// # Errors
    /// [`StoreError::Unavailable`]; then the others wait until the lease is over.
    pub async fn leave(&self) -> Result<(), StoreError> {
        {
            let mut state = self.state();
            state.turn += 1;
            state.tenure = None;
        }
        let keys = ["nodes", "groups", "turns"].map(|what| self.node.keys.fleet(what));
        let args = [text(&self.name)];
        let asked = self.node.run_at(&self.node.offset, &LEAVE, &keys, &args);
        self.node.bounded_apart(asked).await.map(drop)
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl<A: Audience + 'static> fmt::Debug for Fleet<A> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Fleet").field("name", &self.name).finish_non_exhaustive()
    }
}

fn as_bits(groups: Groups) -> Vec<u8> {
    (0..GROUPS).map(|group| if groups.has(group) { b'1' } else { b'0' }).collect()
}

/// The share, a tenure whose end is not known yet, the version of the credentials, and the rest.
fn read(mut answer: Answer) -> Option<(usize, Tenure, Vec<u8>, Answer)> {
    if answer.next().and_then(bytes)? != b"done" {
        return None;
    }
    let mut count = || usize::try_from(answer.next().as_ref().and_then(number)?).ok();
    let (nodes, share) = (count()?, count()?);
    let bits = answer.next().and_then(bytes)?;
    let groups = (0..GROUPS).filter(|&group| bits.get(group) == Some(&b'1')).collect();
    let version = answer.next().and_then(bytes)?;
    Some((share, Tenure { groups, nodes, ..Tenure::ALONE }, version, answer))
}

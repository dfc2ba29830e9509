//! An upstream is told once: no second call to type while dots show that cannot be refreshed, and never two nodes that
//! call about one side at the same time.
//!
//! Excused: where a node was cut off, or its clock stood still or jumped, it may think that its tenure lasts, or not know
//! what was told; a call without an answer may have shown dots later than anybody thought; a store that began anew has
//! no notes; a message that is brought to the store late is taken for one that takes the dots away now. Only who carries a message knows whether it came before or after a call that it crosses.

use std::collections::BTreeMap;

use typingd_core::Side;

use crate::plan::{Fault, Plan};
use crate::world::NodeId;

#[derive(Default)]
pub(crate) struct Told {
    calling: BTreeMap<(usize, Side), Vec<NodeId>>,
}

impl Told {
    pub(crate) const NAME: &str = "an upstream is told once";

    /// A node begins to call.
    pub(crate) fn begins(
        &mut self,
        node: NodeId,
        upstream: usize,
        side: &Side,
        plan: &Plan,
        now: u64,
    ) -> Result<(), String> {
        let calling = self.calling.entry((upstream, side.clone())).or_default();
        let other = calling.iter().copied().find(|other| *other != node);
        calling.push(node);
        let faults = [Fault::Partition, Fault::ClockJump, Fault::ClockStall];
        match other {
            Some(other) if !plan.had(&faults, now.saturating_sub(5_000), now) => {
                let name = crate::server::name_of(side, &None);
                Err(format!("n{node} calls about {name} while n{other} does"))
            }
            _ => Ok(()),
        }
    }

    /// A node's call is over.
    pub(crate) fn ends(&mut self, node: NodeId, upstream: usize, side: &Side) {
        if let Some(calling) = self.calling.get_mut(&(upstream, side.clone())) {
            let at = calling.iter().position(|other| *other == node);
            at.into_iter().for_each(|at| _ = calling.swap_remove(at));
        }
    }

    /// A call to type takes effect while dots show for `left` ms that it cannot refresh.
    pub(crate) fn wasted(side: &Side, left: u64, plan: &Plan, now: u64) -> Result<(), String> {
        let faults: Vec<Fault> = [&Fault::STORE[..], &Fault::CLOCK, &[Fault::ProviderMute]].concat();
        if plan.had(&faults, now.saturating_sub(12_000), now) {
            return Ok(());
        }
        Err(format!("{} is told again {left} ms before its dots fade", crate::server::name_of(side, &None)))
    }
}

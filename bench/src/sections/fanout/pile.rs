//! Changes that come faster than they are told, or while nobody reads.

use anyhow::Result;

use super::crowd::Crowd;
use super::one_by_one::turn;
use super::signals::Signals;
use crate::gateway::{self, Settings};
use crate::sections::Effort;

/// Subscribers for whom changes pile up.
pub(super) const COUNT: usize = 1_000;

/// How many changes do.
pub(super) const CHANGES: usize = 400;

/// Deliveries per second of the gateway's CPU: one by one, as fast as changes come, and taken up after a pause.
pub(super) struct Piled {
    pub(super) single: Vec<f64>,
    pub(super) burst: Vec<f64>,
    pub(super) pause: Vec<f64>,
}

pub(super) fn pile_up(kind: &str, effort: Effort) -> Result<Piled> {
    let gateway = gateway::start("fanout-backlog", &Settings::default())?;
    let mut crowd = Crowd::gather(kind, gateway.address, COUNT, "")?;
    let mut signals = Signals::connect(gateway.address)?;
    let mut piled = Piled { single: vec![], burst: vec![], pause: vec![] };
    for _ in 0..effort.rounds {
        let (rate, _) = turn(&gateway, COUNT, effort.turn, || {
            signals.change()?;
            crowd.expect(1)
        })?;
        piled.single.push(rate);
        for (is_paused, rates) in [(false, &mut piled.burst), (true, &mut piled.pause)] {
            let cpu = gateway.cpu();
            if is_paused {
                crowd.order("deaf")?;
            }
            signals.change_often(CHANGES)?;
            if is_paused {
                crowd.order("hear")?;
            }
            crowd.expect(CHANGES)?;
            rates.push((COUNT * CHANGES) as f64 / (gateway.cpu() - cpu).as_secs_f64());
        }
    }
    Ok(piled)
}

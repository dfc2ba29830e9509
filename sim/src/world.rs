//! What everybody in a run shares.

use std::collections::BTreeMap;
use std::sync::Mutex;

use fastrand::Rng;

use crate::checks::Checks;
use crate::executor::{Executor, lock};
use crate::mutants::Mutant;
use crate::plan::{Fault, Plan};

/// Names a gateway. None is given twice.
pub(crate) type NodeId = usize;

pub(crate) struct World {
    pub(crate) executor: Executor,
    pub(crate) plan: Plan,
    pub(crate) mutant: Option<Mutant>,
    pub(crate) checks: Mutex<Checks>,
    rng: Mutex<Rng>,
    trace: Option<Mutex<Vec<String>>>,
    cut_off: Mutex<BTreeMap<NodeId, u64>>,
}

impl World {
    pub(crate) fn new(plan: Plan, rng: Rng, mutant: Option<Mutant>, is_traced: bool) -> Self {
        let executor = Executor::new();
        Self {
            executor,
            plan,
            mutant,
            checks: Mutex::default(),
            rng: Mutex::new(rng),
            trace: is_traced.then(Mutex::default),
            cut_off: Mutex::default(),
        }
    }

    pub(crate) fn now(&self) -> u64 {
        self.executor.now()
    }

    pub(crate) fn chance<T>(&self, draw: impl FnOnce(&mut Rng) -> T) -> T {
        draw(&mut lock(&self.rng))
    }

    /// Happens so often.
    pub(crate) fn happens(&self, odds: f64) -> bool {
        self.chance(|rng| rng.f64() < odds)
    }

    pub(crate) fn is_on(&self, fault: Fault) -> bool {
        self.plan.is_on(fault, self.now())
    }

    pub(crate) fn has(&self, mutant: Mutant) -> bool {
        self.mutant == Some(mutant)
    }

    /// A node reaches nobody until then.
    pub(crate) fn cut_off(&self, node: NodeId, until: u64) {
        let mut cut_off = lock(&self.cut_off);
        let end = cut_off.entry(node).or_default();
        *end = until.max(*end);
    }

    pub(crate) fn is_cut_off(&self, node: NodeId) -> bool {
        lock(&self.cut_off).get(&node).is_some_and(|until| self.now() < *until)
    }

    /// Writes down what happens, where somebody wants to read it.
    pub(crate) fn note(&self, line: impl FnOnce() -> String) {
        if let Some(trace) = &self.trace {
            let line = format!("{:>6} {}", self.now(), line());
            lock(trace).push(line);
        }
    }

    pub(crate) fn take_trace(&self) -> Vec<String> {
        self.trace.as_ref().map(|trace| std::mem::take(&mut *lock(trace))).unwrap_or_default()
    }

    /// Looks whether a property holds; what does not is noted.
    pub(crate) fn check(&self, check: impl FnOnce(&mut Checks, &Plan, u64)) {
        let now = self.now();
        let mut checks = lock(&self.checks);
        let before = checks.violation.is_some();
        check(&mut checks, &self.plan, now);
        let found = checks.violation.clone().filter(|_| !before);
        drop(checks);
        if let Some(violation) = found {
            self.note(|| format!("VIOLATED {}: {}", violation.property, violation.what));
        }
    }
}

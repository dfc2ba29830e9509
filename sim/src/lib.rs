//! Several gateways over one store in one thread, under a schedule and faults that a seed decides.
//!
//! Everything is as it is outside but for the wires, the clocks, and the store itself: the engine, what a node remembers
//! of the store, and the pacer are the core's own. Each property that must hold has a file in `checks`, which says what
//! excuses it. The same seed gives the same run.

mod checks;
mod clock;
mod composers;
mod ears;
mod executor;
mod gateway;
mod mutants;
mod plan;
mod provider;
mod registry;
mod relay;
mod remote;
mod run;
mod server;
mod subscriber;
mod world;

pub use checks::Violation;
pub use mutants::Mutant;
pub use run::{Report, properties, run};

//! The core's tests, from the table of single decisions to random schedules.

mod schedules;
mod store;
mod transition;

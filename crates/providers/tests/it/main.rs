//! The providers' tests: exchanges as they stand on the wire, who is let in, and bytes nobody expects.

mod accounts;
mod cases;
mod console;
mod exchange;
mod fixture;
mod never_panics;
mod tokens;

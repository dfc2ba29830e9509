//! The providers' tests: exchanges as they stand on the wire, who is let in, what is sent and what comes back of it,
//! what is heard, and bytes nobody expects.

mod access_tokens;
mod accounts;
mod cases;
mod console;
mod exchange;
mod fixture;
mod judging;
mod knocking;
mod leads;
mod never_panics;
mod passing;
mod passing_renames;
mod paths;
mod round_trips;
mod tokens;
mod webhooks;
mod webhooks_google;

//! Several pacers that share sides and accounts.

mod adoption;
mod handover;
mod hearsay;
mod permission;
mod shares;

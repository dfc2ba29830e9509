//! Pacing against a fake handset and a network that delays, loses and refuses.

mod accounts;
mod credential;
mod fleet;
mod handset;
mod hold;
mod network;
mod pacer;
mod profiles;
mod refusals;
mod scale;
mod schedules;
mod stream;
mod world;

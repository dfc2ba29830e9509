//! What strangers send: at every face, each refusal in its own words, no lease made, and no request read in two ways.

mod bodies;
mod browsers;
mod face;
mod framing;
mod heads;
mod multipart;
mod paths;
mod sizes;
mod slow;

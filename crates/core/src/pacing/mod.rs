//! What a provider is told about typing, and when.
//!
//! A lease is truth, a refresh is pacing: a lease says how long somebody types; this module decides how often a
//! provider must hear of it so that the dots on the other side neither fade nor linger. It is handed the time, the
//! leases and the verdicts on its calls, and answers with the calls to make. It refuses to know who the provider is,
//! how a call is written, what time it is, and where chance comes from.
//!
//! - [`Profile`]: how a provider's dots behave.
//! - [`Stream`]: what one provider is told of one side. It holds a state and no queue: whatever is said while a call
//!   is in flight is one wish when the call is answered.
//! - [`Credential`]: what all streams of one account share: rate, concurrency, `Retry-After`, the breaker, and who is
//!   left in peace.
//! - [`Pacer`]: many streams with their credentials. It is what a caller drives.
//!
//! A caller hands in what happens ([`Pacer::begin`], [`Pacer::end`], [`Pacer::answered`]…), takes what is due
//! ([`Pacer::due`]), and sleeps until [`Pacer::deadline`] or until something happens again:
//!
//! ```
//! # use std::time::Duration;
//! # use typingd_core::pacing::{Limits, Order, Pacer, Profile, Refresh, Verb, Verdict};
//! # use typingd_core::{Conversation, Role, Side, Time, User};
//! # let (display, floor, freshness) = (Duration::from_secs(20), Duration::from_secs(1), Duration::from_secs(5));
//! # let profile = Profile { display, refresh: Refresh::Resets, floor, has_stop: false, cleared_by_message: true,
//! #     order: Order::ByArrival, freshness };
//! # let conversation = Conversation::new("acme", "rcs", "support", User::new("+491701234567"));
//! # let side = Side { conversation, role: Role::Agent };
//! # let at = Time::from_millis;
//! let mut pacer = Pacer::new(100_000, 42);
//! let upstream = pacer.add(profile, &Limits::default());
//!
//! // A lease begins that lives for a minute: its first call is due.
//! pacer.begin(upstream, &side, at(0), at(60_000), at(0));
//! let due = pacer.due(at(0));
//! assert_eq!(due.calls[0].verb, Verb::Type);
//!
//! // The provider takes it after 80 ms. Nothing is to be said until shortly before the dots fade.
//! pacer.answered(due.calls[0].id, Verdict::Accepted, at(80));
//! assert!(pacer.due(at(80)).calls.is_empty());
//! let refresh_at = pacer.deadline().expect("the dots are to be refreshed");
//! assert!(refresh_at < at(20_000));
//! assert_eq!(pacer.due(refresh_at).calls.len(), 1);
//! ```
//!
//! Several nodes that share sides and accounts have a pacer each. Of every side one node tells: it takes the side over
//! ([`Pacer::adopt`]) and gives it away ([`Pacer::leave`]). Of every account each has its share ([`Pacer::set_share`]),
//! and what one learns of a credential the others hear ([`Pacer::among_others`]).

mod breaker;
mod bucket;
mod counters;
mod credential;
mod fence;
mod jitter;
mod pacer;
mod profile;
mod quiet;
mod round_trips;
mod screen;
mod share;
mod stream;
mod upstream;
mod verdict;

pub use breaker::{BreakerState, News};
pub use bucket::Rate;
pub use counters::{Counters, Tally};
pub use credential::{Admission, Credential, Limits, Ticket};
pub use fence::MESSAGE_PATIENCE;
pub use jitter::Jitter;
pub use pacer::{Call, CallId, DroppedSend, Due, Gate, Pacer, UpstreamId};
pub use profile::{Order, Profile, Refresh};
pub use round_trips::RoundTrips;
pub use stream::{Action, Slot, Stream, Timing};
pub use verdict::{Dropped, Refusal, Verb, Verdict};

//! What several nodes bring that share the sides and the accounts among them.

use super::{CallId, Entry, Pacer, UpstreamId};
use crate::conversation::Side;
use crate::pacing::breaker::News;
use crate::pacing::share::Share;
use crate::time::Time;

impl Pacer {
    /// A pacer beside others that use the same credentials. It tries one of which nothing is known, or that is refused,
    /// only with permission ([`Self::permit`]), and says what it learns ([`Due::news`]).
    ///
    /// [`Due::news`]: super::Due::news
    #[must_use]
    pub fn among_others(self) -> Self {
        debug_assert!(self.upstreams.iter().next().is_none(), "accounts are added later");
        Self { is_among_others: true, ..self }
    }

    /// Another node told of this side until now. A lease lives there since `since` until `until`; `None` where none
    /// lives any more. Before its last call that node noted that dots may show until `shown_until`
    /// ([`Call::shows_until`]); `None` where it noted nothing.
    ///
    /// Dots that show are left alone until they are to be refreshed, or stopped at once where no lease lives.
    ///
    /// [`Call::shows_until`]: super::Call::shows_until
    pub fn adopt(
        &mut self,
        upstream: UpstreamId,
        side: &Side,
        since: Time,
        until: Option<Time>,
        shown_until: Option<Time>,
        now: Time,
    ) {
        let Some(at) = self.open(upstream, side) else { return };
        let timing = self.timing(upstream);
        let lease = until.map(|until| (since, until));
        let profile = &self.upstreams[upstream.0].profile;
        self.streams[at].stream.adopt(profile, lease, shown_until, &timing, now);
        self.file(at, now);
    }

    /// Another node tells of this side from now on: nothing is known of it any more, for no account. Gives the calls
    /// about it that are in flight, to be waited for or cancelled. Their answers count for their credentials alone.
    pub fn leave(&mut self, side: &Side) -> Vec<CallId> {
        let upstreams = self.upstreams.iter().map(|(upstream, _)| UpstreamId(upstream));
        let known = upstreams.filter_map(|upstream| self.find(upstream, side)).collect::<Vec<_>>();
        let mut in_flight = Vec::new();
        for at in known {
            let Entry { key, call, .. } = self.take_out(at);
            if let Some((call, ticket, _)) = call {
                self.strays.insert(call, (key, ticket));
                in_flight.push(call);
            }
        }
        in_flight
    }

    /// This node's part of what may be asked with each credential, of those there are and those to come: so many of
    /// `of` parts of its rate, its burst and its concurrency. With none, nothing starts; with any, one call at a time
    /// may. What was spent stays spent.
    pub fn set_share(&mut self, part: u32, of: u32, now: Time) {
        self.share = Share::new(part, of);
        for (_, upstream) in self.upstreams.iter_mut() {
            upstream.credential.set_share(self.share, now);
        }
    }

    /// Permission to try this account's credential until then; in place of what was given before. To be given to one
    /// node at a time, and for more than a second: while calls that began under it are in flight, it is asked for again
    /// a second before it ends.
    pub fn permit(&mut self, upstream: UpstreamId, until: Time) {
        if let Some(known) = self.upstreams.get_mut(upstream.0) {
            known.credential.permit(until);
        }
    }

    /// Another node learned this of an account's credential. To be told in the order in which it was learned. It is not
    /// said again.
    pub fn hear(&mut self, upstream: UpstreamId, news: News, now: Time) {
        let Some(known) = self.upstreams.get_mut(upstream.0) else { return };
        match news {
            News::Proven if known.credential.prove() => self.wake_all(upstream, now),
            News::Proven => {}
            News::Refused { until } => known.credential.refuse(until),
            News::Forgotten => self.reset(upstream, now),
        }
    }
}

//! Keeps the dots on for as long as the command runs, and no longer.

use std::cell::Cell;
use std::pin::{Pin, pin};
use std::time::Duration;

use tokio::sync::oneshot::{self, error::RecvError};
use tokio::time::{sleep, timeout};

use super::link::{Begun, Link, Parting, Trouble, Wish};
use super::{Reason, warn};
use crate::client::Failure;
use crate::clock::Clock;
use crate::config::millis;
use crate::ids;

/// How long the end may take, once the command has ended.
const LAST_CALL: Duration = Duration::from_secs(2);

/// How long to wait at most after the first failure; after each further one twice as long.
const FIRST_PAUSE: Duration = Duration::from_secs(1);
const LONGEST_PAUSE: Duration = Duration::from_secs(16);

/// Of a hold with less than this left there is no continuation.
const LEAST: Duration = Duration::from_secs(1);

/// Tells that the command has ended, and how the hold is to.
type Over<'a> = Pin<&'a mut oneshot::Receiver<Reason>>;

/// Who keeps the dots.
pub(super) struct Keeper {
    link: Link,
    wish: Wish,
    clock: Clock,
    /// When the first hold was asked for, and how long it might last: what comes later continues it.
    first: Option<(Duration, Duration)>,
    /// How often it went wrong in a row.
    failures: u32,
    has_warned: Cell<bool>,
}

/// What comes after a hold.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Next {
    /// Another one in its place.
    Another,
    Nothing,
}

impl Keeper {
    /// Asks for nothing yet.
    pub(super) fn new(link: Link, wish: Wish) -> Self {
        Self { link, wish, clock: Clock::start(), first: None, failures: 0, has_warned: Cell::new(false) }
    }

    /// Keeps them until the command is `over`, or until they are not to be any more.
    pub(super) async fn keep(mut self, over: oneshot::Receiver<Reason>) {
        let mut over = pin!(over);
        let mut next = Next::Another;
        while next == Next::Another
            && let Some(wish) = self.rest()
        {
            next = self.hold(&wish, over.as_mut()).await;
        }
    }

    /// Begins a hold, and keeps it until it ends.
    async fn hold(&mut self, wish: &Wish, mut over: Over<'_>) -> Next {
        let asked = self.clock.elapsed();
        let begun = {
            let mut begin = pin!(self.link.begin(wish));
            tokio::select! {
                begun = &mut begin => begun,
                reason = &mut over => {
                    // What was asked for may still come about, and nobody else would end it.
                    let ends = async {
                        let begun = begin.await?;
                        self.end(&begun.id, reason).await;
                        Ok(())
                    };
                    if let Err(trouble) = timeout(LAST_CALL, ends).await.unwrap_or(Err(SLOW)) {
                        self.complain("no dots", &trouble);
                    }
                    return Next::Nothing;
                }
            }
        };
        match begun {
            Ok(Begun { id, max_ms }) => {
                self.first.get_or_insert((asked, Duration::from_millis(max_ms)));
                self.stay(&id, over).await
            }
            Err(trouble) if trouble.may_pass() => {
                self.complain("no dots for now", &trouble);
                self.pause(over).await.map_or(Next::Another, |_| Next::Nothing)
            }
            Err(trouble) => {
                self.complain("no dots", &trouble);
                Next::Nothing
            }
        }
    }

    /// Stays attached to a hold until it ends by itself, or the command has and it is ended.
    async fn stay(&mut self, id: &str, mut over: Over<'_>) -> Next {
        let mut was_lost = false;
        loop {
            let parting: Result<Parting, Trouble> = {
                let mut attach = pin!(async { Ok(self.link.attach(id).await?.parting().await) });
                tokio::select! {
                    parting = &mut attach => parting,
                    reason = &mut over => {
                        // The connection is still there: without it, the hold would have ended as if we were gone.
                        self.end(id, reason).await;
                        return Next::Nothing;
                    }
                }
            };
            let next = match &parting {
                Ok(Parting::Lost) => None,
                Ok(Parting::Ended(why)) => Some(after(why.as_deref())),
                // What nobody had lost was ended by somebody.
                Err(trouble) if trouble.is_gone() => {
                    return if was_lost { Next::Another } else { Next::Nothing };
                }
                Err(trouble) if trouble.may_pass() => {
                    self.complain("no dots for now", trouble);
                    None
                }
                Err(trouble) => {
                    self.complain("no dots any more", trouble);
                    Some(Next::Nothing)
                }
            };
            if next == Some(Next::Nothing) {
                return Next::Nothing;
            }
            if parting.is_ok() {
                self.failures = 0;
            }
            was_lost = true;
            if let Some(reason) = self.pause(over.as_mut()).await {
                if next.is_none() {
                    self.end(id, reason).await;
                }
                return Next::Nothing;
            }
            if let Some(next) = next {
                return next;
            }
        }
    }

    /// What is left to be asked for; `None` where nothing is.
    fn rest(&self) -> Option<Wish> {
        let Some((asked, max)) = self.first else { return Some(self.wish.clone()) };
        let elapsed = self.clock.elapsed().saturating_sub(asked);
        let left = max.saturating_sub(elapsed);
        let delay = self.wish.start_delay_ms.map(|delay| delay.saturating_sub(millis(elapsed)));
        let wish = Wish { max_ms: Some(millis(left)), start_delay_ms: delay, ..self.wish.clone() };
        (left >= LEAST).then_some(wish)
    }

    /// Waits a while, longer each time; not to the end where the command ends.
    async fn pause(&mut self, over: Over<'_>) -> Option<Result<Reason, RecvError>> {
        let most = FIRST_PAUSE.saturating_mul(1 << self.failures.min(8)).min(LONGEST_PAUSE);
        self.failures += 1;
        tokio::select! {
            () = sleep(ids::jitter(most / 2, most)) => None,
            reason = over => Some(reason),
        }
    }

    async fn end(&self, id: &str, reason: Result<Reason, RecvError>) {
        match self.link.end(id, reason.unwrap_or(Reason::Paused), LAST_CALL).await {
            // One that is gone has ended.
            Err(trouble) if !trouble.is_gone() => self.complain("the hold could not be ended", &trouble),
            _ => {}
        }
    }

    /// Says what went wrong; of what may pass only the first.
    fn complain(&self, what: &str, trouble: &Trouble) {
        if !trouble.may_pass() || !self.has_warned.replace(true) {
            warn(&format!("{what}: {trouble}"));
        }
    }
}

const SLOW: Trouble = Trouble::Silent(Failure::TimedOut);

/// What comes after a hold that the gateway says has ended: another only where the work is not known to be done. Whether
/// its caps have passed is known here, too.
fn after(why: Option<&str>) -> Next {
    match why {
        Some("revoked" | "expired") => Next::Another,
        _ => Next::Nothing,
    }
}

#[cfg(test)]
mod tests {
    use typingd_providers::Secret;

    use super::*;
    use crate::hold::Composer;

    #[test]
    fn only_what_was_not_ended_on_purpose_is_begun_anew() {
        for (why, expected) in [
            (Some("revoked"), Next::Another),
            (Some("expired"), Next::Another),
            (Some("sent"), Next::Nothing),
            (Some("paused"), Next::Nothing),
            (Some("something new"), Next::Nothing),
            (None, Next::Nothing),
        ] {
            assert_eq!(after(why), expected, "{why:?}");
        }
    }

    fn keeper() -> Keeper {
        let link = Link::new(&"http://127.0.0.1:1".parse().unwrap(), &Secret::new("key"), "user").unwrap();
        let [channel, agent, user] = ["pinnacle", "agent_x", "user"].map(str::to_owned);
        let wish = Wish {
            channel,
            agent,
            user,
            composer: Composer::Agent,
            participant: None,
            name: None,
            note: None,
            idle_ms: 30_000,
            max_ms: Some(60_000),
            start_delay_ms: Some(2_000),
            continues: false,
        };
        Keeper::new(link, wish)
    }

    #[tokio::test(start_paused = true)]
    async fn what_continues_a_hold_has_what_was_left_of_it() {
        let mut keeper = keeper();
        let rest = |keeper: &Keeper| keeper.rest().map(|wish| (wish.max_ms, wish.start_delay_ms));
        sleep(Duration::from_secs(100)).await;
        assert_eq!(rest(&keeper), Some((Some(60_000), Some(2_000))), "nothing has begun");
        keeper.first = Some((keeper.clock.elapsed(), Duration::from_secs(30)));
        sleep(Duration::from_millis(500)).await;
        assert_eq!(rest(&keeper), Some((Some(29_500), Some(1_500))));
        sleep(Duration::from_millis(28_500)).await;
        assert_eq!(rest(&keeper), Some((Some(1_000), Some(0))));
        sleep(Duration::from_millis(1)).await;
        assert_eq!(rest(&keeper), None);
        sleep(Duration::from_secs(60)).await;
        assert_eq!(rest(&keeper), None);
    }

    #[tokio::test(start_paused = true)]
    async fn each_pause_is_longer_and_the_commands_end_cuts_it() {
        let mut keeper = keeper();
        let (over, is_over) = oneshot::channel();
        let mut is_over = pin!(is_over);
        for most in [1, 2, 4, 8, 16, 16, 16].map(Duration::from_secs) {
            let before = keeper.clock.elapsed();
            assert_eq!(keeper.pause(is_over.as_mut()).await, None);
            let paused = keeper.clock.elapsed() - before;
            assert!((most / 2..=most + Duration::from_millis(1)).contains(&paused), "{paused:?} of {most:?}");
        }
        over.send(Reason::Sent).unwrap();
        let before = keeper.clock.elapsed();
        assert_eq!(keeper.pause(is_over.as_mut()).await, Some(Ok(Reason::Sent)));
        assert_eq!(keeper.clock.elapsed(), before);
    }
}

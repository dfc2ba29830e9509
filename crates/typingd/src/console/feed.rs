//! `GET /console/feed`: which conversations there are, and where something happens.
//!
//! A feed says where to look and never what the leases are: those the page has from its socket. It is written as fast as
//! its reader takes it. What it has not been told by then waits in a set of bounded size; past that bound, and where news
//! were lost on the way, the list of all conversations says more in fewer words.

use std::convert::Infallible;
use std::mem;
use std::sync::Arc;
use std::time::Duration;

use axum::body::Body;
use axum::extract::{Request, State};
use bytes::{Bytes, BytesMut};
use futures_util::{StreamExt, stream};
use tokio::sync::broadcast::Receiver;
use tokio::sync::broadcast::error::RecvError;
use tokio::sync::watch;
use tokio::time::{Interval, interval, sleep_until};
use typingd_core::{Conversation, Time};
use typingd_providers::Rejection;

use super::feed_event::{self, Talk};
use super::places::Place;
use super::transcript::{Message, Transcript};
use crate::api::problem::Problem;
use crate::directory::Login;
use crate::gateway::Gateway;
use crate::history;
use crate::hub::Farewell;
use crate::listener::Response;
use crate::subscribe::{event, sse};

/// How often a quiet feed says that it is there.
const HEARTBEAT: Duration = Duration::from_secs(15);

/// A conversation is told of once in this time, however much happens there.
const PAUSE: Duration = Duration::from_millis(100);

/// How many conversations the list has. As many may wait to be told of.
const CONVERSATIONS: usize = 200;

pub(super) async fn get(State(gateway): State<Arc<Gateway>>, request: Request) -> Result<Response, Problem> {
    let viewer = gateway.viewer(&gateway.directory.load_full(), request.headers())?;
    let place = gateway.console.feeds.take(&viewer.tenant);
    let place = place.ok_or(Rejection::TooMany { retry_after_s: 5 })?;
    let mut feed = Feed::new(gateway, viewer, place);
    let hello = Bytes::from([event::COMMENT, event::retry(), feed.list()].concat());
    let rest = stream::unfold(feed, async |mut feed| feed.next().await.map(|bytes| (bytes, feed)));
    let events = stream::iter([hello]).chain(rest).map(Ok::<_, Infallible>);
    Ok(sse::response(Body::from_stream(events)))
}

struct Feed {
    gateway: Arc<Gateway>,
    viewer: Arc<Login>,
    changed: history::Watch,
    /// In dev mode alone.
    said: Option<Receiver<Arc<Message>>>,
    /// Whether the gateway goes away; it changes as well when sessions and keys end.
    is_closing: watch::Receiver<bool>,
    /// Where something happened that is still to be told.
    waiting: Vec<Conversation>,
    /// Whether the list is to be told anew.
    is_behind: bool,
    /// No conversation is told of before.
    paused_until: Time,
    /// How many messages the reader's list has.
    messages_listed: u64,
    heartbeat: Interval,
    is_over: bool,
    _place: Place,
}

/// What a feed waits for.
enum News {
    Changed(Result<Conversation, RecvError>),
    Said(Result<Arc<Message>, RecvError>),
    Due,
    Heartbeat,
    Recheck,
}

impl Feed {
    fn new(gateway: Arc<Gateway>, viewer: Arc<Login>, place: Place) -> Self {
        let mut heartbeat = interval(HEARTBEAT);
        heartbeat.reset();
        let console = &gateway.console;
        Self {
            // First watch, then list: nothing is missed.
            changed: gateway.history.watch(&viewer.tenant),
            said: console.transcript.as_ref().map(Transcript::watch),
            is_closing: console.is_closing.subscribe(),
            viewer,
            waiting: Vec::new(),
            is_behind: false,
            paused_until: Time::ZERO,
            messages_listed: 0,
            heartbeat,
            is_over: false,
            _place: place,
            gateway,
        }
    }

    /// What to write next; `None` at the end.
    async fn next(&mut self) -> Option<Bytes> {
        while !self.is_over {
            let news = self.wait().await;
            let is_recheck = matches!(news, News::Recheck);
            let written = self.hear(news);
            // Most news is of no interest here, and does without a look.
            if (is_recheck || !written.is_empty())
                && let Some(farewell) = self.farewell()
            {
                self.is_over = true;
                return Some(event::closed(farewell));
            }
            if !written.is_empty() {
                self.heartbeat.reset();
                return Some(written);
            }
        }
        None
    }

    async fn wait(&mut self) -> News {
        let is_due = self.is_behind || !self.waiting.is_empty();
        let due = self.gateway.clock.instant(self.paused_until);
        let said = async {
            match &mut self.said {
                Some(said) => said.recv().await,
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            biased;
            // Its other end lives as long as the gateway.
            _ = self.is_closing.changed() => News::Recheck,
            () = sleep_until(due), if is_due => News::Due,
            said = said => News::Said(said),
            changed = self.changed.next() => News::Changed(changed),
            _ = self.heartbeat.tick() => News::Heartbeat,
        }
    }

    /// Why it ends here, if it does. Looked at before anything is written: whoever is let in no more is told nothing.
    fn farewell(&mut self) -> Option<Farewell> {
        if *self.is_closing.borrow_and_update() {
            Some(Farewell::Draining)
        } else if !self.gateway.is_good(&self.viewer) {
            Some(Farewell::Revoked)
        } else {
            None
        }
    }

    fn hear(&mut self, news: News) -> Bytes {
        match news {
            News::Changed(Ok(conversation)) => {
                // Told in the order in which each was last active.
                self.waiting.retain(|known| *known != conversation);
                self.waiting.push(conversation);
            }
            News::Said(Ok(message)) => {
                if message.number > self.messages_listed
                    && *message.conversation.tenant() == self.viewer.tenant
                {
                    return feed_event::message(&message);
                }
            }
            News::Changed(Err(_)) | News::Said(Err(_)) => self.is_behind = true,
            News::Heartbeat => return event::COMMENT,
            News::Due | News::Recheck => {}
        }
        self.is_behind |= self.waiting.len() > CONVERSATIONS;
        if self.is_behind {
            // Of what waits, the list has more than is kept here.
            self.waiting.clear();
        }
        let now = self.gateway.clock.now();
        if now < self.paused_until || (!self.is_behind && self.waiting.is_empty()) {
            return Bytes::new();
        }
        self.paused_until = now + PAUSE;
        if mem::take(&mut self.is_behind) {
            return self.list();
        }
        let mut written = BytesMut::new();
        for conversation in self.waiting.drain(..) {
            written.extend_from_slice(&feed_event::activity(&conversation));
        }
        written.freeze()
    }

    /// All conversations, in place of whatever was known.
    fn list(&mut self) -> Bytes {
        let Gateway { history, console, clock, .. } = &*self.gateway;
        let now = clock.now();
        // Each message comes once: what is counted by now is of conversations that are listed below, and what is said
        // from now on comes by itself.
        self.messages_listed = console.transcript.as_ref().map_or(0, Transcript::count);
        let recent = history.recent(&self.viewer.tenant, CONVERSATIONS, now);
        let said = console.transcript.as_ref().map(|transcript| {
            transcript.of(recent.iter().map(|(conversation, _)| conversation), self.messages_listed)
        });
        let said = said.unwrap_or_default().into_iter().chain(std::iter::repeat_with(Vec::new));
        let talks = recent.into_iter().zip(said);
        let talk = |((conversation, last_activity), said)| Talk { conversation, last_activity, said };
        feed_event::conversations(&talks.map(talk).collect::<Vec<_>>(), now)
    }
}

#[cfg(test)]
mod tests {
    use typingd_core::{Policy, Role, User};
    use typingd_providers::Secret;

    use super::*;
    use crate::app::App;
    use crate::config::{Config, Console, Keys, Limits, Quota, Server, Tenancy, Tenant};
    use crate::console::Speaker;
    use crate::console::messages::{self, Said};
    use crate::origins::Origins;

    fn start() -> App {
        let tenant =
            Tenant { name: "dev".into(), api_keys: vec![Secret::new("key")], quota: Quota::default() };
        let config = Config {
            server: Server { listen: ([127, 0, 0, 1], 0).into(), tls: None, operators: None },
            tenancy: Tenancy { tenants: vec![tenant], ..Tenancy::default() },
            keys: Keys::random(),
            policy: Policy::default(),
            console: Console::Open,
            origins: Origins::default(),
            limits: Limits::default(),
            store: None,
        };
        App::start(config).unwrap()
    }

    fn feed(gateway: &Arc<Gateway>) -> Feed {
        let login = gateway.directory.load().sole_login().unwrap();
        let place = gateway.console.feeds.take(&login.tenant).unwrap();
        Feed::new(gateway.clone(), login, place)
    }

    fn talk(user: &str) -> Conversation {
        Conversation::new("dev", "rcs", "agent_x", User::new(user))
    }

    #[tokio::test]
    async fn what_is_said_while_the_list_is_made_is_on_it_or_comes_after_it() {
        for _ in 0..5 {
            let app = start();
            let gateway = app.gateway();
            let transcript = gateway.console.transcript.as_ref().unwrap();
            let say = |user: usize| {
                let speaker = Speaker::only(Role::User);
                let said = Said { conversation: talk(&user.to_string()), speaker, text: "said".into() };
                messages::keep(gateway, transcript, said);
                // So long that several lists are made meanwhile.
                (0..2_000).for_each(|_| std::hint::spin_loop());
            };
            let mut feed = feed(gateway);
            std::thread::scope(|scope| {
                let speaks = scope.spawn(|| (0..CONVERSATIONS).for_each(say));
                let mut is_over = false;
                while !is_over {
                    is_over = speaks.is_finished();
                    let list = String::from_utf8(feed.list().to_vec()).unwrap();
                    let listed = u64::try_from(list.matches(r#""text":"said""#).count()).unwrap();
                    assert_eq!(listed, feed.messages_listed);
                }
            });
        }
    }

    #[tokio::test(start_paused = true)]
    async fn what_the_list_has_is_not_told_again() {
        let app = start();
        let gateway = app.gateway().clone();
        let mut feed = feed(&gateway);
        let say = |text: &str| {
            let talk = talk("+14155550123");
            let transcript = gateway.console.transcript.as_ref().unwrap();
            transcript.add(&talk, Speaker::only(Role::User), text, gateway.clock.now());
        };
        // More than the queue of messages holds: the list comes, and what is left on the queue is in it.
        (0..500).for_each(|_| say("listed"));
        let told = feed.next().await.unwrap();
        assert!(told.starts_with(b"id: ") && told.windows(13).any(|text| text == b"conversations"));
        say("new");
        let told = feed.next().await.unwrap();
        let told = std::str::from_utf8(&told).unwrap();
        assert!(told.contains("event: message") && told.contains(r#""text":"new""#), "{told}");
    }
}

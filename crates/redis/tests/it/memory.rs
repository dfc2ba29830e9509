//! Step by step the same as the store in memory.

use std::sync::Arc;

use typingd_core::store::memory::MemoryStore;
use typingd_core::transition::Input;
use typingd_core::{Conversation, Marks, Role, Scope, Side, Signal, Source, Store, Time, User, Utterance};

use crate::servers::Server;
use crate::world::{Recorder, config, still, update};

/// A sequence that is the same every time.
struct Lcg(u64);

impl Lcg {
    fn below(&mut self, bound: u64) -> u64 {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) % bound
    }

    fn maybe(&mut self, name: &str, bound: u64) -> Option<String> {
        (self.below(3) == 0).then(|| format!("{name}-{}", self.below(bound)))
    }

    fn side(&mut self) -> Side {
        let tenant = ["acme", "other"][self.below(2) as usize];
        let channel = ["rcs", "sf"][self.below(2) as usize];
        let agent = ["bot", "desk"][self.below(2) as usize];
        let user = User::new(format!("+{}", self.below(6)));
        let role = Role::BOTH[self.below(2) as usize];
        Side { conversation: Conversation::new(tenant, channel, agent, user), role }
    }

    fn scope(&mut self) -> Scope {
        let Side { conversation, .. } = self.side();
        let whole = Scope::one(&conversation);
        Scope {
            channel: whole.channel.filter(|_| self.below(2) == 0),
            agent: whole.agent.filter(|_| self.below(2) == 0),
            user: whole.user.filter(|_| self.below(2) == 0),
            ..whole
        }
    }

    fn input(&mut self) -> Input {
        let participant = self.maybe("rep", 2).map(Into::into);
        let ttl = std::time::Duration::from_millis(1_000 + self.below(20_000));
        let id = self.below(2);
        let source = [Source::OneShot, Source::Socket(id), Source::Hold { id, continues: id == 0 }];
        let source = source[self.below(3) as usize];
        match self.below(12) {
            0 => Input::Revoke,
            1 => Input::Release { participant, source, reason: typingd_core::StopReason::Revoked },
            2 => Input::Extend { participant, source, ttl },
            kind => {
                let signal = match kind {
                    3 => Signal::Paused,
                    4 | 5 => Signal::Sent,
                    _ => Signal::Composing { ttl },
                };
                let turn = (self.below(3) == 0).then(|| self.below(4));
                let payload_id = self.maybe("id", 30).map(Into::into);
                let marks = Marks { turn, payload_id };
                let name = self.maybe("Zoë", 2).map(Into::into);
                Input::Say(Utterance { participant, name, signal, source, origin: "test".into(), marks })
            }
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn random_operations_agree_with_the_store_in_memory() {
    let server = Server::start(&[]).await;
    let (redis, recorder) = still(config(server.servers(), 8));
    let expected = Arc::new(Recorder::default());
    let memory = MemoryStore::new(1_000, expected.clone());
    let (mut random, mut now) = (Lcg(7), 0);
    for step in 0..5_000 {
        now += random.below(900);
        let at = Time::from_millis(now);
        let (mut due, mut same) = (redis.due(at, 1_000).await, memory.due(at, 1_000).await);
        due.sides.sort();
        same.sides.sort();
        assert_eq!(due.sides, same.sides, "due at step {step}");
        assert_eq!((due.cut, due.failed), (false, None));
        let lapses = due.sides.into_iter().map(|side| (side, Input::Lapse));
        for (side, input) in lapses.chain([(random.side(), random.input())]) {
            let outcome = update(&redis, &side, &input, at).await;
            assert_eq!(outcome, update(&memory, &side, &input, at).await, "step {step}: {side:?} {input:?}");
        }
        let scope = random.scope();
        let (found, same) = (redis.leases(&scope, at, 1_000).await, memory.leases(&scope, at, 1_000).await);
        assert_eq!(found.last_turns, same.last_turns, "step {step}: {scope:?}");
        let sorted = |mut leases: Vec<(Side, typingd_core::LeaseView)>| {
            leases.sort_by_key(|(side, lease)| (side.clone(), lease.participant.clone()));
            leases
        };
        assert_eq!(sorted(found.leases), sorted(same.leases), "step {step}: {scope:?}");
        let mut both =
            [&recorder, &expected].map(|recorder| std::mem::take(&mut *recorder.commits.lock().unwrap()));
        for commits in &mut both {
            commits.iter_mut().for_each(|commit| (commit.position.shard, commit.position.sequence) = (0, 0));
        }
        let [told, same] = both.map(|commits| format!("{commits:?}"));
        assert_eq!(told, same, "step {step}");
    }
    assert_eq!(*recorder.unreadable.lock().unwrap(), []);
}

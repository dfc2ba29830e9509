//! Dots at the first are dots at the second, under the agent's name there, and end with it.

use std::path::{Path, PathBuf};
use std::time::Duration;

use tokio::process::Command;

use super::http::{exchange, retold};
use super::{DESK, DISPLAY_MS, about, acme, events_for, provider, start, token, watch, whats};
use crate::clients::run;
use crate::load::program::alone;
use crate::support::{post, signal};

const KALEYRA_TYPING: &str = include_str!("../../captures/kaleyra-curl-typing.req");
const KALEYRA_MESSAGE: &str = include_str!("../../captures/kaleyra-curl-message.req");
const PINNACLE_TYPING: &str = include_str!("../../captures/pinnacle-python-typing.req");
const PINNACLE_MESSAGE: &str = include_str!("../../captures/pinnacle-python-message.req");
const STARTED: &str = include_str!("../../captures/salesforce-connector-typing-started-chunked.req");
const STOPPED: &str = include_str!("../../captures/salesforce-connector-typing-stopped-chunked.req");
const MESSAGE: &str = include_str!("../../captures/salesforce-connector-message-chunked.req");
const CURL_STARTED: &str = include_str!("../../captures/salesforce-curl-typing-started.req");
const CURL_MESSAGE: &str = include_str!("../../captures/salesforce-curl-message.req");

/// Kaleyra's captured message, of the account and to the user of the captured typing.
pub fn kaleyra_message() -> Vec<u8> {
    let replacements = [
        ("xxxxx6913850xxxx", "XXXXX6913850XXXX"),
        ("xxxxx3b8497f58a94e84b671aca43xxxx", "XXXXX3b8497f58a94e84b671aca43XXXX"),
        ("rcs-test", "kio_rcs"),
        ("919158800000", "14155550190"),
    ];
    retold(KALEYRA_MESSAGE, &replacements)
}

/// A call at Google's door about `acme`'s agent.
pub fn rbm(collection: &str, id: &str, body: &str) -> Vec<u8> {
    let path = format!("/v1/phones/+14155550123/{collection}?{id}=4f0c-{collection}&agentId=acme_rbm");
    post(&path, "Authorization: Bearer acme-rbm-token\r\n", body)
}

#[tokio::test]
async fn dots_and_messages_arrive_by_the_agents_name_and_the_dots_end_on_both() {
    let second = start("dots-second", &provider(7_000, "")).await;
    let first = start("dots-first", &acme(&second.address.to_string(), &token("prov", DISPLAY_MS))).await;
    let (mut here, mut there) =
        (watch(first.address, "acme-key").await, watch(second.address, "prov-key").await);
    let text = r#"{"contentMessage":{"text":"Hello"}}"#;
    let table = [
        // channel, user, typing, its status, a message, its status, agents here and there, what the second says
        (
            ["kaleyra", "+14155550190", "kio_rcs", "far_kio"],
            (KALEYRA_TYPING.into(), 200),
            (kaleyra_message(), 200),
            r#""code":"1200""#,
        ),
        (
            ["pinnacle", "+14154746461", "agent_pinnacle", "agent_far"],
            (PINNACLE_TYPING.into(), 200),
            (PINNACLE_MESSAGE.into(), 200),
            r#""sender":"agent_far""#,
        ),
        (
            ["rbm", "+14155550123", "acme_rbm", "far_rbm"],
            (rbm("agentEvents", "eventId", r#"{"eventType":"IS_TYPING"}"#), 200),
            (rbm("agentMessages", "messageId", text), 200),
            "phones/",
        ),
        (
            ["salesforce", "David Wood", DESK, "far-desk"],
            (Vec::from(STARTED), 202),
            (Vec::from(MESSAGE), 202),
            r#""conversationIdentifier""#,
        ),
    ];
    for ([channel, user, ours, theirs], typing, message, says) in table {
        let answer = exchange(first.address, &typing.0).await;
        assert_eq!(answer.status(), typing.1, "{channel}: {}", answer.text());
        let [seen, told] = [here.next().await.unwrap(), there.next().await.unwrap()];
        assert_eq!([seen.what(), told.what()], ["started", "started"], "{channel}");
        assert_eq!(about(&seen), [channel, ours, user]);
        assert_eq!((about(&told), &told.data["origin"]), ([channel, theirs, user], &channel.into()));
        assert_eq!(seen.data["composer"], told.data["composer"], "{channel}");

        let answer = exchange(first.address, &message.0).await;
        assert_eq!(answer.status(), message.1, "{channel}: {}", answer.text());
        assert!(answer.text().contains(says), "{channel}: {}", answer.text());
        assert_eq!(answer.header("typing-decision"), Some("ended"), "{channel}");
        assert_eq!(
            [here.whats(1).await, there.whats(1).await],
            [["stopped sent"], ["stopped sent"]],
            "{channel}"
        );
    }
    let after = events_for(&mut there, Duration::from_millis(500)).await;
    assert_eq!(whats(&after), Vec::<String>::new(), "nothing comes after a message");
}

#[tokio::test]
async fn a_users_pause_and_a_users_silence_are_told_as_typing_stopped() {
    let _turn = alone().await;
    let second = start("stops-second", &provider(7_000, "")).await;
    let first = start("stops-first", &acme(&second.address.to_string(), &token("prov", DISPLAY_MS))).await;
    let mut there = watch(second.address, "prov-key").await;
    assert_eq!(exchange(first.address, STARTED.as_bytes()).await.status(), 202);
    assert_eq!(there.whats(1).await, ["started"]);
    assert_eq!(exchange(first.address, STOPPED.as_bytes()).await.status(), 202);
    assert_eq!(there.whats(1).await, ["stopped paused"]);

    let body = format!(
        r#"{{"channel":"salesforce","agent":"{DESK}","user":"Ann","composer":"user","state":"composing","ttl_ms":1000}}"#
    );
    assert_eq!(exchange(first.address, &signal(&body)).await.status(), 200);
    let started = there.next().await.unwrap();
    assert_eq!((started.what().as_str(), about(&started)), ("started", ["salesforce", "far-desk", "Ann"]));
    let stopped = there.next().await.unwrap();
    assert_eq!(stopped.what(), "stopped paused", "it was told, and did not expire there");
}

/// An RSA key pair of a test's own, in files that go with it.
struct Pair {
    private: PathBuf,
    public: PathBuf,
}

impl Pair {
    async fn generate(name: &str) -> Self {
        let directory = Path::new(env!("CARGO_TARGET_TMPDIR"));
        let file = |kind: &str| directory.join(format!("{name}-{}-{kind}.pem", std::process::id()));
        let pair = Self { private: file("private"), public: file("public") };
        let mut generate = Command::new("openssl");
        generate.args(["genpkey", "-quiet", "-algorithm", "RSA", "-pkeyopt", "rsa_keygen_bits:2048", "-out"]);
        run(generate.arg(&pair.private), "openssl").await;
        let mut publish = Command::new("openssl");
        publish.args(["pkey", "-pubout", "-in"]).arg(&pair.private).arg("-out").arg(&pair.public);
        run(&mut publish, "openssl").await;
        pair
    }
}

impl Drop for Pair {
    fn drop(&mut self) {
        for file in [&self.private, &self.public] {
            let _ = std::fs::remove_file(file);
        }
    }
}

#[tokio::test]
async fn a_connected_app_is_granted_a_token_once_and_tells_and_sends_with_it() {
    let pair = Pair::generate("connected-app").await;
    let app = format!(
        "[[tenants.salesforce.connected_apps]]\nissuer = \"3MVG9app\"\nsubjects = [\"app@acme.example\"]\n\
         public_key = \"file:{}\"\n",
        pair.public.display()
    );
    let second = start("app-second", &provider(7_000, &app)).await;
    let asks = |subject: &str| {
        format!(
            "display_ms = {DISPLAY_MS}\n[tenants.upstreams.salesforce.connected_app]\n\
             login_url = \"http://{}\"\nconsumer_key = \"3MVG9app\"\nsubject = \"{subject}\"\n\
             private_key = \"file:{}\"\n[tenants.upstreams.salesforce.agents]",
            second.address,
            pair.private.display()
        )
    };
    // The agents stand in a table of their own, behind the app's.
    let with = |subject: &str| {
        let text = acme(&second.address.to_string(), &asks(subject));
        let (before, after) = text.split_once("[tenants.upstreams.salesforce.agents]\nagents = { ").unwrap();
        let (agents, after) = after.split_once(" }").unwrap();
        format!("{before}[tenants.upstreams.salesforce.agents]\n{agents}\n{after}")
    };
    let first = start("app-first", &with("app@acme.example")).await;
    let mut there = watch(second.address, "prov-key").await;
    for (started, message) in [(STARTED, MESSAGE), (CURL_STARTED, CURL_MESSAGE)] {
        assert_eq!(exchange(first.address, started.as_bytes()).await.status(), 202);
        assert_eq!(there.whats(1).await, ["started"]);
        let answer = exchange(first.address, message.as_bytes()).await;
        assert_eq!(answer.status(), 202, "{}", answer.text());
        assert_eq!(there.whats(1).await, ["stopped sent"]);
    }
    let requests = second.metric("typingd_answers_total").await;
    assert!((requests - 6.0).abs() < 0.5, "a stream, one token, two calls and two messages: {requests}");

    // Whom the second does not know gets none, and nothing is said.
    super::reread(&first, &with("stranger@acme.example")).await;
    first.wait_for("typingd_reloads_total", 1.0).await;
    let answer = exchange(first.address, MESSAGE.as_bytes()).await;
    assert!(answer.status() >= 500, "{}", answer.text());
    assert_eq!(whats(&events_for(&mut there, Duration::from_millis(300)).await), Vec::<String>::new());
}

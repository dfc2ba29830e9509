//! What a ticket lets its bearer see and say, and that no frame changes it.

use serde_json::{Value, json};

use super::client::open;
use crate::support::{InProcess, pinnacle_typing};

const USER: &str = "+14155550123";

fn with(mut frame: Value, field: &str, value: Value) -> Value {
    frame[field] = value;
    frame
}

/// The fields that an error frame names.
fn named(frame: &Value) -> Vec<&str> {
    assert_eq!((&frame["type"], &frame["status"]), (&json!("error"), &json!(400)), "{frame}");
    frame["errors"].as_array().unwrap().iter().map(|error| error["field"].as_str().unwrap()).collect()
}

#[tokio::test(start_paused = true)]
async fn who_may_only_read_says_nothing() {
    let gateway = InProcess::start();
    let whole = json!({"channel": "pinnacle", "agent": "agent_pinnacle", "user": USER, "side": "agent", "access": "read"});
    let (mut reader, _) = open(&gateway, &whole).await;
    assert_eq!(reader.watch().await, json!([]));
    gateway.exchange(&pinnacle_typing(USER)).await;
    assert_eq!(reader.what().await, "started");
    for word in ["composing", "paused", "sent"] {
        let refused = reader.ask(json!({"type": word, "ref": word})).await;
        assert_eq!(
            (&refused["type"], &refused["ref"], &refused["status"]),
            (&json!("error"), &json!(word), &json!(403)),
            "{refused}"
        );
    }
    assert_eq!(reader.what().await, "stopped expired", "nothing has ended it");
}

#[tokio::test(start_paused = true)]
async fn what_the_ticket_says_may_be_repeated_and_not_changed() {
    let gateway = InProcess::start();
    let whole = json!({"channel": "pinnacle", "agent": "agent_pinnacle", "user": USER, "side": "agent",
        "access": "read_write"});
    let (mut rep, _) = open(&gateway, &whole).await;
    for word in ["composing", "paused", "sent", "subscribe"] {
        let bare = match word {
            "subscribe" => json!({"type": word, "id": "a"}),
            _ => json!({"type": word}),
        };
        for (field, other) in [
            ("channel", "kaleyra"),
            ("agent", "agent_other"),
            ("agent", "AGENT_PINNACLE"),
            ("user", "+14155550124"),
        ] {
            let refused = rep.ask(with(bare.clone(), field, json!(other))).await;
            assert_eq!(named(&refused), [field], "{word}");
        }
        let both = with(with(bare.clone(), "agent", json!("x")), "user", json!("+1415555000"));
        assert_eq!(named(&rep.ask(both).await), ["agent", "user"], "{word}");
        let repeated = with(with(bare, "channel", json!("pinnacle")), "user", json!("14155550123"));
        assert_ne!(rep.ask(repeated).await["type"], "error", "{word}");
    }
}

#[tokio::test(start_paused = true)]
async fn what_the_ticket_leaves_open_is_the_frame_s_to_say() {
    let gateway = InProcess::start();
    let (mut rep, hello) =
        open(&gateway, &json!({"channel": "pinnacle", "side": "agent", "access": "read_write"})).await;
    assert_eq!(
        hello,
        json!({"type": "hello", "side": "agent", "access": "read_write", "channel": "pinnacle"})
    );
    assert_eq!(named(&rep.ask(json!({"type": "composing"})).await), ["agent", "user"]);
    assert_eq!(named(&rep.ask(json!({"type": "composing", "agent": "a"})).await), ["user"]);
    let frame = json!({"type": "composing", "agent": "a", "user": "14155550123"});
    let decision = rep.ask(frame.clone()).await;
    assert_eq!(decision["decision"], "started");
    let lease = &decision["lease"];
    assert_eq!(
        (&lease["channel"], &lease["agent"], &lease["user"], &lease["composer"]),
        (&json!("pinnacle"), &json!("a"), &json!(USER), &json!("agent"))
    );
    for (field, value) in [("user", "David Wood"), ("user", ""), ("agent", ""), ("channel", "telegraph")] {
        assert_eq!(named(&rep.ask(with(frame.clone(), field, json!(value))).await), [field], "{value}");
    }
    let (mut anybody, _) = open(&gateway, &json!({"side": "agent", "access": "read_write"})).await;
    assert_eq!(named(&anybody.ask(json!({"type": "composing"})).await), ["channel", "agent", "user"]);
}

#[tokio::test(start_paused = true)]
async fn who_speaks_is_what_the_ticket_says() {
    let gateway = InProcess::start();
    let whole = json!({"channel": "pinnacle", "agent": "agent_pinnacle", "user": USER, "side": "agent",
        "participant": "rep-7", "name": "Ada <b>", "access": "read_write"});
    let (mut rep, hello) = open(&gateway, &whole).await;
    assert_eq!((&hello["participant"], &hello["name"]), (&json!("rep-7"), &json!("Ada <b>")));
    for field in ["participant", "name", "side", "composer", "access", "ticket", "origin", "tenant", "state"]
    {
        let frame = with(json!({"type": "composing"}), field, json!("other"));
        assert_eq!(named(&rep.ask(frame).await), [field]);
        let frame = with(json!({"type": "subscribe", "id": "a"}), field, json!("other"));
        assert_eq!(named(&rep.ask(frame).await), [field]);
    }
    let lease = rep.ask(json!({"type": "composing"})).await["lease"].take();
    assert_eq!((&lease["participant"], &lease["name"]), (&json!("rep-7"), &json!("Ada <b>")));
    let (mut user, _) = open(&gateway, &json!({"user": USER, "side": "user", "access": "read_write"})).await;
    let frame = json!({"type": "composing", "channel": "pinnacle", "agent": "agent_pinnacle"});
    let lease = user.ask(frame).await["lease"].take();
    assert_eq!((&lease["composer"], lease.get("participant")), (&json!("user"), None));
}

/// Which normal form a user's address has, its channel says; and the ticket may not have known that one.
#[tokio::test(start_paused = true)]
async fn a_user_of_any_channel_has_the_normal_form_of_the_frame_s() {
    let gateway = InProcess::start();
    let (mut user, _) =
        open(&gateway, &json!({"user": "14155550123", "side": "user", "access": "read_write"})).await;
    let on = |channel: &str| json!({"type": "composing", "channel": channel, "agent": "a"});
    assert_eq!(user.ask(on("pinnacle")).await["lease"]["user"], USER);
    assert_eq!(user.ask(on("salesforce")).await["lease"]["user"], "14155550123");
    for same in ["14155550123", USER] {
        let repeated = with(on("pinnacle"), "user", json!(same));
        assert_eq!(user.ask(repeated).await["decision"], "extended", "{same}");
    }
    assert_eq!(named(&user.ask(with(on("pinnacle"), "user", json!("+14155550124"))).await), ["user"]);
    let subscribed = user.ask(json!({"type": "subscribe", "id": "a", "channel": "pinnacle"})).await;
    assert_eq!(subscribed["leases"].as_array().unwrap().len(), 1, "{subscribed}");

    let (mut named_user, _) =
        open(&gateway, &json!({"user": "David Wood", "side": "user", "access": "read_write"})).await;
    assert_eq!(named(&named_user.ask(on("pinnacle")).await), ["user"], "nobody's number");
    assert_eq!(named_user.ask(on("salesforce")).await["lease"]["user"], "David Wood");
}

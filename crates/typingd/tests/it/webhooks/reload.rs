//! Webhooks and reloads.

use typingd::config::{Proof, Tenancy};
use typingd_providers::Secret;

use super::{KALEYRA, PINNACLE, USER, call, composing, config, decide, kaleyra, pinnacle_typing, webhook};
use crate::support::InProcess;

const DUPLICATE: &str = "ignored; reason=duplicate";
const NEW: &str = "kaleyra-new-token-of-it";

/// The tenancy that a change makes of the tests' own.
fn changed(change: impl FnOnce(&mut Tenancy)) -> Tenancy {
    let mut tenancy = config().tenancy;
    change(&mut tenancy);
    tenancy
}

#[tokio::test(start_paused = true)]
async fn an_address_is_changed_without_a_gap_and_what_was_seen_stays() {
    let gateway = InProcess::with(config());
    let reload = async |change: &dyn Fn(&mut Tenancy)| {
        gateway.0.gateway().reload(changed(|tenancy| change(tenancy))).await.unwrap();
    };
    let by_new = |id: &str| call(NEW, "", &composing(USER, id));
    assert_eq!(decide(&gateway, &kaleyra(USER, "e1")).await, "started");
    assert_eq!(decide(&gateway, &by_new("e2")).await, "404");

    reload(&|tenancy| tenancy.webhooks[0].path_tokens.push(Secret::new(NEW))).await;
    assert_eq!(decide(&gateway, &kaleyra(USER, "e1")).await, DUPLICATE);
    assert_eq!(decide(&gateway, &by_new("e2")).await, "extended");

    reload(&|tenancy| tenancy.webhooks[0].path_tokens = vec![Secret::new(NEW)]).await;
    assert_eq!(decide(&gateway, &kaleyra(USER, "e3")).await, "404", "the token has gone");
    for id in ["e1", "e2"] {
        assert_eq!(decide(&gateway, &by_new(id)).await, DUPLICATE, "{id}");
    }

    // Under another name it is another one.
    reload(&|tenancy| tenancy.webhooks[0] = webhook("renamed", &[NEW], Proof::Kaleyra)).await;
    assert_eq!(decide(&gateway, &by_new("e1")).await, "extended");
    reload(&|tenancy| tenancy.webhooks.truncate(0)).await;
    assert_eq!(decide(&gateway, &by_new("e9")).await, "404");
    assert_eq!(decide(&gateway, &pinnacle_typing()).await, "404");
}

#[tokio::test(start_paused = true)]
async fn what_a_webhook_of_another_tenant_has_seen_is_its_own() {
    let mut config = config();
    config.tenancy.webhooks.truncate(1);
    let gateway = InProcess::with(config);
    assert_eq!(decide(&gateway, &kaleyra(USER, "e1")).await, "started");
    let moved = changed(|tenancy| {
        tenancy.webhooks.truncate(1);
        tenancy.webhooks[0].tenant = "globex".into();
    });
    gateway.0.gateway().reload(moved).await.unwrap();
    assert_eq!(decide(&gateway, &kaleyra(USER, "e1")).await, "started");
}

#[tokio::test(start_paused = true)]
async fn a_contradiction_changes_nothing() {
    type Row = (&'static str, fn(&mut Tenancy), (usize, &'static str), &'static str);
    let rows: [Row; 7] = [
        (
            "a token twice",
            |tenancy| tenancy.webhooks[3].path_tokens.push(Secret::new(KALEYRA)),
            (3, "path_tokens"),
            "the same token of a path is claimed twice",
        ),
        (
            "a token twice in one",
            |tenancy| tenancy.webhooks[1].path_tokens.push(Secret::new(PINNACLE)),
            (1, "path_tokens"),
            "the same token of a path is claimed twice",
        ),
        (
            "a name twice",
            |tenancy| tenancy.webhooks[2].name = "pinnacle".into(),
            (2, "name"),
            "two webhooks of the tenant are called `pinnacle`",
        ),
        (
            "nobody's channel",
            |tenancy| tenancy.webhooks[1].channel = "nowhere".into(),
            (1, "channel"),
            "no account of the tenant has the channel nowhere",
        ),
        (
            "another tenant's channel",
            |tenancy| tenancy.webhooks[3].channel = "salesforce".into(),
            (3, "channel"),
            "no account of the tenant has the channel salesforce",
        ),
        (
            "a channel without numbers",
            |tenancy| tenancy.webhooks[1].channel = "salesforce".into(),
            (1, "channel"),
            "the channel salesforce does not hold phone numbers",
        ),
        (
            "a digest that is to sign",
            |tenancy| tenancy.webhooks[2].proof = Proof::Rbm { client_token: Secret::Hashed([7; 32].into()) },
            (2, "client_token"),
            "expected the client token in clear: a digest verifies no signature",
        ),
    ];
    let gateway = InProcess::with(config());
    assert_eq!(decide(&gateway, &kaleyra(USER, "e0")).await, "started");
    for (what, change, (place, key), why) in rows {
        let contradiction = gateway.0.gateway().reload(changed(change)).await.unwrap_err();
        assert_eq!(
            (contradiction.door, contradiction.place, contradiction.key),
            ("webhook", place, Some(key)),
            "{what}"
        );
        assert_eq!(contradiction.to_string(), why, "{what}");
        assert_eq!(decide(&gateway, &kaleyra(USER, what)).await, "extended", "{what}");
        assert_eq!(decide(&gateway, &kaleyra(USER, "e0")).await, DUPLICATE, "{what}");
    }
}

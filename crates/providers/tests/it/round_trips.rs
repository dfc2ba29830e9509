//! What is sent to a provider is read by its own door as what it was, and what its wire cannot say is not sent.

use std::collections::BTreeMap;

use bytes::Bytes;
use http::Request;
use proptest::prelude::*;
use proptest::sample::select;
use typingd_core::{Conversation, Role, User};
use typingd_providers::upstream::{self, Change};
use typingd_providers::{Accounts, Call, ChatState, Patterns, Provider, Secret, Upstream, doors, pinnacle};

use crate::fixture::{
    NOW, all_upstreams, fresh, hasher, kaleyra_accounts, pinnacle_accounts, rbm_accounts,
    salesforce_accounts, token_keys,
};

/// The doors, each with one account that has every agent.
pub(crate) fn open_doors() -> Vec<Box<dyn Provider>> {
    let mut accounts = Accounts {
        kaleyra: kaleyra_accounts(),
        pinnacle: pinnacle_accounts(),
        salesforce: salesforce_accounts(),
        rbm: rbm_accounts(),
    };
    accounts.kaleyra.truncate(1);
    accounts.pinnacle.truncate(1);
    accounts.salesforce.truncate(1);
    accounts.rbm.truncate(1);
    accounts.kaleyra[0].common.agents = Patterns::any();
    accounts.pinnacle[0].common.agents = Patterns::any();
    accounts.salesforce[0].common.agents = Patterns::any();
    accounts.salesforce[0].contexts = BTreeMap::from([("Dev_Channel".to_owned(), Patterns::any())]);
    accounts.rbm[0].common.agents = Patterns::any();
    doors(accounts, &token_keys(), &hasher()).expect("no credential is there twice")
}

/// Reads a request as its provider would.
pub(crate) fn read(doors: &[Box<dyn Provider>], provider: &str, request: Request<Bytes>) -> Call {
    let (head, body) = request.into_parts();
    let door = doors.iter().find(|door| door.owns(head.uri.path())).expect("the path is a door's");
    assert_eq!(door.name(), provider);
    assert!(body.len() <= 64 * 1024 && head.uri.host() == Some("provider.example"));
    let caller = door.admit(&head, NOW).expect("the head is right");
    door.decode(caller, &head, &body, NOW).map_err(|refusal| refusal.rejection).expect("the body is right")
}

/// Whether a provider's wire can say this.
pub(crate) fn can_say(provider: &str, agent: &str, user: &str, signal: ChatState) -> bool {
    let is_number = user.strip_prefix('+').is_some_and(|digits| {
        (2..=15).contains(&digits.len())
            && !digits.starts_with('0')
            && digits.bytes().all(|digit| digit.is_ascii_digit())
    });
    let is_name = (1..=255).contains(&agent.len());
    let is_agents = is_name && is_number && signal == ChatState::Composing;
    match provider {
        "kaleyra" => is_agents,
        "pinnacle" => {
            is_agents && agent.starts_with("agent_") && !agent.contains(['\n', '\r', '\u{2028}', '\u{2029}'])
        }
        "rbm" => is_agents && !agent.contains(char::is_control),
        "salesforce" => {
            let is_text = |text: &str| (1..=240).contains(&text.chars().count());
            is_text(agent) && is_text(user) && signal != ChatState::Sent
        }
        other => panic!("{other} is no provider"),
    }
}

fn any_agent() -> impl Strategy<Value = String> {
    let near = select(vec![
        "",
        "agent_",
        "agent_x",
        "ours",
        "kio_rcs",
        "a&b=c#d?e/f",
        "agent_\n",
        "agent_é \u{2028}",
    ]);
    prop_oneof![
        any::<String>(),
        "agent_[a-z0-9]{1,20}",
        "agent_.{0,250}",
        "[a-z]{230,260}",
        near.prop_map(str::to_owned)
    ]
}

fn any_user() -> impl Strategy<Value = String> {
    let near = select(vec![
        "",
        "David Wood",
        "+1",
        "+014155550190",
        "14155550190",
        "+1415555019\u{0663}",
        "\r\n--typingd-interaction--\r\n",
        "\"}]}",
        "+14155550190?agentId=x",
    ]);
    prop_oneof![3 => "\\+[1-9][0-9]{1,14}", 1 => any::<String>(), 1 => ".{235,260}", 1 => near.prop_map(str::to_owned)]
}

proptest! {
    #[test]
    fn what_is_sent_is_read_as_what_it_was(agent in any_agent(), user in any_user(), signal in select(ChatState::ALL.to_vec())) {
        let doors = open_doors();
        for upstream in all_upstreams() {
            let (name, user) = (upstream.name(), User::new(user.as_str()));
            let change = Change { agent: &agent, user: &user, signal };
            let sent = upstream.forward(&change, &fresh(None));
            let theirs = upstream.agent(&agent);
            prop_assert_eq!(sent.is_some(), can_say(name, theirs, user.as_str(), signal), "{} {:?}", name, change);
            let Some(request) = sent else { continue };
            let call = read(&doors, name, request);
            prop_assert_eq!(call.conversations, [Conversation::new("acme", name, theirs, user)]);
            prop_assert_eq!(call.role, upstream.role());
            prop_assert_eq!(call.signal.map(ChatState::from), Some(signal));
            let id = fresh(None).id.to_string();
            let expected = ["rbm", "salesforce"].contains(&name).then_some(id.as_str());
            prop_assert_eq!(call.marks.payload_id.as_deref(), expected);
        }
    }
}

#[test]
fn each_wire_can_say_what_its_provider_documents() {
    let user = User::new("+14155550190");
    for upstream in all_upstreams() {
        let can_say = ChatState::ALL.map(|signal| {
            upstream.forward(&Change { agent: "agent_x", user: &user, signal }, &fresh(None)).is_some()
        });
        let (expected, role, has_stop) = match upstream.name() {
            "salesforce" => ([true, true, false], Role::User, true),
            _ => ([true, false, false], Role::Agent, false),
        };
        assert_eq!((can_say, upstream.role()), (expected, role), "{}", upstream.name());
        assert_eq!(upstream.display().stop, has_stop, "{}", upstream.name());
    }
}

#[test]
fn requests_are_what_the_vendors_print() {
    let user = User::new("+14155550190");
    let [kaleyra, pinnacle, salesforce, rbm] = all_upstreams().try_into().expect("there are four");
    let sent = |upstream: &dyn Upstream| {
        let change = Change { agent: "ours", user: &user, signal: ChatState::Composing };
        let request = upstream.forward(&change, &fresh(None)).expect("it can be said");
        let headers = request
            .headers()
            .iter()
            .map(|(name, value)| format!("{name}: {}", String::from_utf8_lossy(value.as_bytes())));
        let mut headers: Vec<String> = headers.collect();
        headers.sort_unstable();
        let body = String::from_utf8(request.body().to_vec()).expect("it is text");
        let printed = format!("{request:?}");
        for secret in ["dev:dev", "ZGV2OmRldg==", "dev-kaleyra-key", "dev-pinnacle-key", "-token"] {
            assert!(!printed.contains(secret) && !format!("{upstream:?}").contains(secret), "{printed}");
        }
        format!("{} {}\n{}\n\n{body}", request.method(), request.uri(), headers.join("\n"))
    };
    assert_eq!(
        sent(kaleyra.as_ref()),
        "POST https://provider.example/v1/dev/rcs/events\n\
         api-key: dev-kaleyra-key\n\
         authorization: Basic ZGV2OmRldg==\n\
         content-type: application/json\n\n\
         {\"from\":\"agent_theirs\",\"to\":\"+14155550190\",\"composing\":{}}"
    );
    assert_eq!(
        sent(pinnacle.as_ref()),
        "POST https://provider.example/messages/send/typing\n\
         content-type: application/json\n\
         pinnacle-api-key: dev-pinnacle-key\n\n\
         {\"agentId\":\"agent_theirs\",\"to\":\"+14155550190\"}"
    );
    assert_eq!(
        sent(salesforce.as_ref()),
        "POST https://provider.example/api/v1/interactions\n\
         authorization: Bearer dev-salesforce-token\n\
         authorizationcontext: Dev_Channel\n\
         content-type: multipart/form-data; boundary=typingd-interaction\n\
         orgid: 00Ddev000000000\n\
         requestid: 44444444-4444-4444-8444-444444444444\n\n\
         --typingd-interaction\r\n\
         Content-Disposition: form-data; name=\"json\"\r\n\
         Content-Type: application/json\r\n\r\n\
         {\"to\":\"agent_theirs\",\"from\":\"+14155550190\",\"interactions\":[{\"timestamp\":1762336800000,\
         \"interactionType\":\"EntryInteraction\",\"payload\":{\"id\":\"44444444-4444-4444-8444-444444444444\",\
         \"entryType\":\"TypingStartedIndicator\",\"timestamp\":1762336800000}}]}\r\n\
         --typingd-interaction--\r\n"
    );
    assert_eq!(
        sent(rbm.as_ref()),
        "POST https://provider.example/v1/phones/+14155550190/agentEvents\
         ?eventId=44444444-4444-4444-8444-444444444444&agentId=agent_theirs\n\
         authorization: Bearer dev-rbm-token\n\
         content-type: application/json\n\n\
         {\"eventType\":\"IS_TYPING\"}"
    );
}

#[test]
fn a_base_url_may_have_a_path() {
    let account = pinnacle::UpstreamAccount {
        common: upstream::Account {
            base_url: "https://provider.example/pinnacle/".to_owned(),
            agents: BTreeMap::new(),
        },
        api_key: Secret::new("globex-key"),
    };
    let upstream = pinnacle::PinnacleUpstream::new(account).expect("the settings are right");
    let user = User::new("+14155550190");
    let change = Change { agent: "agent_globex", user: &user, signal: ChatState::Composing };
    let request = upstream.forward(&change, &fresh(None)).expect("it can be said");
    assert_eq!(request.uri(), "https://provider.example/pinnacle/messages/send/typing");
    let call = read(&crate::fixture::all_doors(), "pinnacle", request);
    assert_eq!(call.conversations[0].tenant(), "globex");
}

#[test]
fn credentials_take_the_place_of_those_that_are_there() {
    for upstream in all_upstreams() {
        let request = Request::post("/").header("authorization", "theirs").header("api-key", "theirs");
        let request = request.header("pinnacle-api-key", "theirs").header("orgid", "theirs");
        let mut headers = request.body(()).expect("it is well-formed").into_parts().0.headers;
        assert!(upstream.authorize(&mut headers, &fresh(None)));
        let own = match upstream.name() {
            "kaleyra" => &["authorization", "api-key"][..],
            "pinnacle" => &["pinnacle-api-key"],
            "salesforce" => &["authorization", "orgid"],
            _ => &["authorization"],
        };
        for name in own {
            let values: Vec<_> = headers.get_all(*name).iter().collect();
            assert!(values.len() == 1 && values[0] != "theirs", "{} {name} {values:?}", upstream.name());
        }
    }
}

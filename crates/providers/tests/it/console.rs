//! What the doors tell the console: what a message says, and a command that types.

use bytes::Bytes;
use http::Request;
use typingd_providers::AccountId;

use crate::fixture::all_doors;

const URL: &str = "https://typing.example";

fn text(path: &str, body: &str) -> Option<String> {
    let head = Request::post(path).header("content-type", "multipart/form-data; boundary=b").body(());
    let head = head.expect("the request is well-formed").into_parts().0;
    let doors = all_doors();
    let door = doors.iter().find(|door| door.owns(path)).expect("every path has its door");
    door.message_text(&head, &Bytes::copy_from_slice(body.as_bytes()))
}

#[test]
fn a_message_is_told_by_its_text_or_by_what_it_is() {
    for (path, body, expected) in [
        ("/v1/dev/rcs/messages", r#"{"from":"kio_rcs","to":["1"],"text":"Hello"}"#, Some("Hello")),
        ("/v1/dev/rcs/messages", r#"{"from":"kio_rcs","to":["1"]}"#, None),
        ("/v1/dev/rcs/messages", r#"{"text":7}"#, None),
        ("/v1/dev/rcs/messages", "[", None),
        ("/messages/send/rcs", r#"{"text":"Hello","cards":[]}"#, Some("Hello")),
        ("/messages/send/rcs", r#"{"text":null,"cards":[{"title":"A"}]}"#, Some("[card]")),
        ("/messages/send/rcs", r#"{"mediaUrl":"https://a.example/b.png"}"#, Some("[media]")),
        ("/messages/send/rcs", r#"{"cards":null}"#, None),
        ("/messages/send/rcs", "", None),
        (
            "/v1/phones/+14155550123/agentMessages",
            r#"{"contentMessage":{"text":"Hello","richCard":{}}}"#,
            Some("Hello"),
        ),
        ("/v1/phones/+14155550123/agentMessages", r#"{"contentMessage":{"richCard":{}}}"#, Some("[card]")),
        (
            "/v1/phones/+14155550123/agentMessages",
            r#"{"contentMessage":{"contentInfo":{"fileUrl":"x"}}}"#,
            Some("[file]"),
        ),
        (
            "/v1/phones/+14155550123/agentMessages",
            r#"{"contentMessage":{"uploadedRbmFile":{}}}"#,
            Some("[file]"),
        ),
        ("/v1/phones/+14155550123/agentMessages", r#"{"contentMessage":{"text":null}}"#, None),
        ("/v1/phones/+14155550123/agentMessages", r#"{"contentMessage":"Hello"}"#, None),
        ("/v1/phones/+14155550123/agentMessages", "[", None),
    ] {
        assert_eq!(text(path, body).as_deref(), expected, "{path} {body}");
    }
    let message = |message: &str| {
        format!(r#"{{"interactionType":"EntryInteraction","payload":{{"abstractMessage":{message}}}}}"#)
    };
    for (interaction, expected) in [
        (message(r#"{"messageType":"StaticContentMessage","staticContent":{"text":"Hi"}}"#), Some("Hi")),
        (message(r#"{"messageType":"StaticContentMessage","staticContent":{}}"#), None),
        (message(r#"{"messageType":"ChoicesResponseMessage"}"#), Some("[choice]")),
        (message("7"), None),
        (r#"{"interactionType":"AttachmentInteraction"}"#.to_owned(), Some("[file]")),
        (r#"{"interactionType":"EntryInteraction","payload":{"entryType":"Message"}}"#.to_owned(), None),
        ("{},{}".to_owned(), None),
    ] {
        let body = format!(
            "--b\r\nContent-Disposition: form-data; name=json\r\n\r\n{{\"interactions\":[{interaction}]}}\r\n--b--"
        );
        assert_eq!(text("/api/v1/interactions", &body).as_deref(), expected, "{interaction}");
    }
    assert_eq!(text("/api/v1/interactions", "--b"), None);
}

#[test]
fn a_command_is_in_the_vendors_words_and_holds_no_secret() {
    let doors = all_doors();
    let command = |door: usize, account| {
        doors[door].example(AccountId(account), URL).map(|example| example.command).unwrap_or_default()
    };
    assert_eq!(
        command(0, 0),
        r#"curl https://typing.example/v1/dev/rcs/events \
  -u "$KALEYRA_USER_PASSWORD" -H "api-key: $KALEYRA_API_KEY" \
  -H 'Content-Type: application/json' \
  -d '{"from":"kio_rcs","to":"+14155550123","composing":{}}'"#
    );
    assert_eq!(
        command(1, 2),
        r#"curl https://typing.example/pinnacle/messages/send/typing \
  -H "PINNACLE-API-KEY: $PINNACLE_API_KEY" \
  -H 'Content-Type: application/json' \
  -d '{"agentId":"agent_globex","to":"+14155550123"}'"#
    );
    assert_eq!(
        command(3, 0),
        r#"curl "https://typing.example/v1/phones/+14155550123/agentEvents?eventId=$(uuidgen)&agentId=support_agent" \
    -H "Authorization: Bearer $RBM_TOKEN" -H 'Content-Type: application/json' \
    -d '{"eventType":"IS_TYPING"}'"#
    );
    let salesforce = command(2, 0);
    assert!(salesforce.contains(r#"-H "Authorization: Bearer $SALESFORCE_TOKEN""#), "{salesforce}");
    assert!(salesforce.contains("-H 'OrgId: 00Ddev000000000'"), "{salesforce}");
    for door in &doors {
        let commands =
            (0..).map_while(|id| door.account(AccountId(id)).map(|_| door.example(AccountId(id), URL)));
        for command in commands.flatten().map(|example| example.command) {
            for secret in [
                "dev-kaleyra-key",
                "dev:dev",
                "dev-pinnacle-key",
                "dev-salesforce-token",
                "second-key",
                "dev-rbm-token",
            ] {
                assert!(!command.contains(secret), "{command}");
            }
        }
        assert_eq!(door.example(AccountId(usize::MAX), URL), None);
    }
}

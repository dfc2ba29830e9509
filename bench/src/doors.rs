//! Requests as the providers' clients send them, to the gateway that `gateway` starts.

use std::ops::Range;

use crate::gateway::{BASIC, CONTEXT, KEY, ORG, SID, TOKEN};

/// A provider's door, and what comes in by it.
pub(crate) struct Door {
    pub(crate) name: &'static str,
    /// That somebody types. Of one user no two have the same number.
    pub(crate) typing: fn(user: usize, number: usize) -> Vec<u8>,
    /// That the typing is over.
    pub(crate) end: fn(user: usize, number: usize) -> Vec<u8>,
}

pub(crate) const DOORS: [Door; 3] = [
    Door {
        name: "Kaleyra typing",
        typing: |user, _| {
            let body =
                format!("{{\n\"from\": \"kio_rcs\",\n\"to\": \"{}\",\n\"composing\": {{}}\n}}", phone(user));
            kaleyra("events", &body)
        },
        end: |user, _| {
            kaleyra("messages", &format!(r#"{{"from":"kio_rcs","to":["{}"],"text": "Hello"}}"#, phone(user)))
        },
    },
    Door {
        name: "Pinnacle typing",
        typing: |user, _| {
            pinnacle("typing", &format!(r#"{{"agentId":"agent_pinnacle","to":"{}"}}"#, phone(user)))
        },
        end: |user, _| {
            let to = phone(user);
            pinnacle("rcs", &format!(r#"{{"text":"hello","from":"agent_pinnacle","to":"{to}"}}"#))
        },
    },
    Door {
        name: "Salesforce multipart",
        typing: |user, number| salesforce("TypingStartedIndicator", user, number),
        end: |user, number| salesforce("TypingStoppedIndicator", user, number),
    },
];

fn phone(user: usize) -> String {
    format!("+1415{:07}", user)
}

/// As curl sends it.
fn kaleyra(endpoint: &str, body: &str) -> Vec<u8> {
    let length = body.len();
    format!(
        "POST /v1/{SID}/rcs/{endpoint} HTTP/1.1\r\n\
         Host: 127.0.0.1:18121\r\n\
         User-Agent: curl/7.88.1\r\n\
         Accept: */*\r\n\
         Authorization: {BASIC}\r\n\
         Content-Type: application/json;charset=UTF-8\r\n\
         api-key: {KEY}\r\n\
         Content-Length: {length}\r\n\r\n{body}"
    )
    .into_bytes()
}

/// As the SDK for Python sends it.
fn pinnacle(endpoint: &str, body: &str) -> Vec<u8> {
    let length = body.len();
    format!(
        "POST /messages/send/{endpoint} HTTP/1.1\r\n\
         Host: 127.0.0.1:18101\r\n\
         Accept: */*\r\n\
         Accept-Encoding: gzip, deflate\r\n\
         Connection: keep-alive\r\n\
         User-Agent: rcs/2.0.28\r\n\
         X-Fern-Language: Python\r\n\
         X-Fern-SDK-Name: rcs\r\n\
         X-Fern-SDK-Version: 2.0.28\r\n\
         PINNACLE-API-KEY: {KEY}\r\n\
         content-type: application/json\r\n\
         Content-Length: {length}\r\n\r\n{body}"
    )
    .into_bytes()
}

/// As curl sends it.
fn salesforce(entry: &str, user: usize, number: usize) -> Vec<u8> {
    const BOUNDARY: &str = "------------------------c842ec8901ec5432";
    let body = format!(
        "--{BOUNDARY}\r\n\
         Content-Disposition: form-data; name=\"json\"\r\n\
         Content-Type: application/json\r\n\r\n\
         {{\n  \"to\": \"b0ffeafe-0d89-4338-b14a-172ad203f22a\",\n  \"from\": \"David Wood {user}\",\n  \
         \"interactions\": [{{\n    \"timestamp\": 1795287957120,\n    \"interactionType\": \"EntryInteraction\",\n    \
         \"payload\": {{\n      \"id\": \"73fa4fd2-2acd-43f7-{user:04x}-{number:012x}\",\n      \
         \"entryType\": \"{entry}\",\"timestamp\": 1795287957120\n    }}\n  }}]\n}}\r\n\
         --{BOUNDARY}--\r\n"
    );
    let length = body.len();
    format!(
        "POST /api/v1/interactions HTTP/1.1\r\n\
         Host: 127.0.0.1:18121\r\n\
         User-Agent: curl/7.88.1\r\n\
         Accept: */*\r\n\
         Authorization: Bearer {TOKEN}\r\n\
         OrgId: {ORG}\r\n\
         AuthorizationContext: {CONTEXT}\r\n\
         RequestId: 45dd6579-5d26-4689-b0de-473408383690\r\n\
         Content-Length: {length}\r\n\
         Content-Type: multipart/form-data; boundary={BOUNDARY}\r\n\r\n{body}"
    )
    .into_bytes()
}

/// What one connection sends after another, for each of several.
pub(crate) type Requests = Vec<Vec<Vec<u8>>>;

/// How many connections there are, and how many users each tells of.
const CONNECTIONS: usize = 64;
const USERS_OF_EACH: usize = 64;
pub(crate) const USERS: usize = CONNECTIONS * USERS_OF_EACH;

/// After how many requests about a user the first of them comes again: more than are remembered.
pub(crate) const NUMBERS: usize = 20;

/// All users type, again and again.
pub(crate) fn typing(door: &Door, from: usize) -> Requests {
    requests(USERS_OF_EACH, from..from + NUMBERS, |user, number, requests| {
        requests.push((door.typing)(user, number));
    })
}

/// Each user types and ends it, again and again.
pub(crate) fn mixed(door: &Door, from: usize) -> Requests {
    requests(USERS_OF_EACH, from..from + NUMBERS, |user, number, requests| {
        requests.push((door.typing)(user, 2 * number));
        requests.push((door.end)(user, 2 * number + 1));
    })
}

/// What is to be said of so many users of each connection, in turn, for each of these numbers.
pub(crate) fn requests(
    users: usize,
    numbers: Range<usize>,
    say: impl Fn(usize, usize, &mut Vec<Vec<u8>>),
) -> Requests {
    let of_connection = |connection: usize| {
        let mut requests = Vec::new();
        for number in numbers.clone() {
            (0..users).for_each(|user| say(connection * users + user, number, &mut requests));
        }
        requests
    };
    (0..CONNECTIONS).map(of_connection).collect()
}

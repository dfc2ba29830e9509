//! Pinnacle's own SDK, unmodified, through a gateway that answers as its upstream does: it raises and returns what it
//! does where it asks the upstream itself.

use std::net::SocketAddr;
use std::path::Path;

use serde_json::Value;
use tokio::process::Command;

use super::http::{Recorder, json};
use super::start;
use crate::clients::{clients, environments, run};

const RELEASES: [&str; 3] = ["2.0.10", "2.0.16", "2.0.28"];

/// What happens, the agent that it happens to, the key of its account at the second, how far the script goes, and the
/// status that the SDK raises.
const CASES: [(&str, &str, &str, &str, Option<u64>); 5] = [
    ("success", "agent_right", "right", "", None),
    ("the upstream's key is wrong", "agent_wrong", "wrong", "", Some(401)),
    ("the agent is nobody's", "agent_lost", "right", "", Some(404)),
    ("too many", "agent_slow", "slow", ":until-refused", Some(429)),
    ("the second's own upstream fails", "agent_failing", "failing", "", Some(500)),
];

/// The first: each agent has an account of its own at the second.
fn first(second: &str) -> String {
    let agents = CASES.map(|(_, agent, ..)| agent);
    let mut text = format!(
        "[[tenants]]\nname = \"acme\"\napi_keys = [\"acme-key\"]\n\
         [[tenants.pinnacle]]\napi_keys = [\"test_key\"]\nagents = {agents:?}\nanswer = \"upstream\"\n"
    );
    for (_, agent, key, ..) in CASES {
        text += &format!(
            "[[tenants.upstreams.pinnacle]]\nname = \"{agent}\"\nbase_url = \"http://{second}\"\napi_key = \"{key}\"\n\
             [[tenants.routes]]\nupstream = \"{agent}\"\nagents = [\"{agent}\"]\n"
        );
    }
    text
}

/// The second: a tenant that takes what comes, one that may ask once a second, and one whose own upstream fails.
fn second(failing: &str) -> String {
    format!(
        r#"
[[tenants]]
name = "prov"
[[tenants.pinnacle]]
api_keys = ["right"]
agents = ["agent_right"]

[[tenants]]
name = "slow"
quota = {{ requests_per_second = 1, burst = 1 }}
[[tenants.pinnacle]]
api_keys = ["slow"]
agents = ["agent_slow"]

[[tenants]]
name = "failing"
[[tenants.pinnacle]]
api_keys = ["failing"]
agents = ["agent_failing"]
answer = "upstream"
[[tenants.upstreams.pinnacle]]
name = "fails"
base_url = "http://{failing}"
api_key = "last"
[[tenants.routes]]
upstream = "fails"
"#
    )
}

/// What the SDK makes of two calls in each case: of a typing call, and of a message.
async fn steps(python: &Path, address: SocketAddr, whose: [String; 5]) -> Vec<Value> {
    let mut script = Command::new(python);
    script.arg(clients().join("pinnacle.py")).arg(format!("http://{address}")).arg("as").args(whose);
    let lines = run(script.env("no_proxy", "*"), "python3").await;
    lines.lines().map(|line| lasting(serde_json::from_str(line).unwrap())).collect()
}

/// Without what is another each time.
fn lasting(mut step: Value) -> Value {
    if let Some(result) = step.get_mut("result").and_then(Value::as_object_mut) {
        for new in ["started_at", "ended_at", "message_id"] {
            result.remove(new);
        }
    }
    step
}

#[tokio::test]
async fn pinnacles_sdk_hears_through_a_gateway_what_it_hears_without_one() {
    let recorder = Recorder::start(|_| {
        json("500 Internal Server Error", r#"{"error":"out of order, says the last one"}"#)
    })
    .await;
    let second = start("sdk-second", &second(&recorder.address)).await;
    let first = start("sdk-first", &first(&second.address.to_string())).await;
    let environments = environments().await;
    for release in RELEASES {
        let python = environments.join(format!("rcs-{release}/bin/python"));
        let keys = CASES.map(|(_, agent, key, rest, _)| format!("{key}:{agent}{rest}"));
        let direct = steps(&python, second.address, keys).await;
        let keys = CASES.map(|(_, agent, _, rest, _)| format!("test_key:{agent}{rest}"));
        let through = steps(&python, first.address, keys).await;
        println!("{release}: {} calls come to the same, with and without", through.len());
        assert_eq!([direct.len(), through.len()], [2 * CASES.len(); 2], "{release}");
        for (at, (what, .., status)) in CASES.iter().enumerate() {
            let of_case = 2 * at..2 * at + 2;
            assert_eq!(through[of_case.clone()], direct[of_case.clone()], "{release}, {what}");
            for (step, call) in through[of_case].iter().zip(["typing", "message"]) {
                assert_eq!(
                    (&step["step"], step["status"].as_u64()),
                    (&call.into(), *status),
                    "{release}, {what}"
                );
            }
        }
    }
}

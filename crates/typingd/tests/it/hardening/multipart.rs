//! Multipart bodies as they should not be. They are read in memory, so that no part can become a file.

use super::face::{Dialect, SALESFORCE, assert_no_lease};
use crate::support::InProcess;

const DISPOSITION: &str = "Content-Disposition: form-data; name=\"json\"\r\n";
const FILE: &str =
    "Content-Disposition: form-data; name=\"attachments\"; filename=\"../../../etc/cron.d/x\"\r\n";

fn part(head: &str, content: &str) -> String {
    format!("--b\r\n{head}\r\n{content}\r\n")
}

/// A request whose media type has these parameters.
fn request(parameters: &str, body: &[u8]) -> Vec<u8> {
    let lines = SALESFORCE.lines.replace("; boundary=b", parameters);
    let head = format!(
        "POST {} HTTP/1.1\r\nHost: t\r\n{lines}Content-Length: {}\r\n\r\n",
        SALESFORCE.path,
        body.len()
    );
    [head.as_bytes(), body].concat()
}

#[tokio::test(start_paused = true)]
async fn a_multipart_body_is_read_in_one_way_or_refused() {
    let gateway = InProcess::start();
    let json = part(DISPOSITION, SALESFORCE.json);
    let whole = format!("{json}--b--\r\n");
    let with = |head: &str| format!("{}--b--\r\n", part(head, SALESFORCE.json));
    let given = "; boundary=b";
    let long = format!("; boundary={}", "b".repeat(71));
    let huge = format!("; boundary={}", "b".repeat(8_000));
    let rows: Vec<(&str, &str, String, u16)> = vec![
        ("no boundary, and none shown", "", SALESFORCE.json.into(), 400),
        ("no boundary, and an empty one", "", whole.replace("--b", "--"), 400),
        ("no boundary, LF after it", "", whole.replace("--b\r\n", "--b\n"), 400),
        ("an empty boundary", "; boundary=", whole.clone(), 400),
        ("a boundary of 71 characters", &long, whole.replace("--b", &format!("--{}", &long[11..])), 400),
        ("a boundary of 8,000 characters", &huge, whole.replace("--b", &format!("--{}", &huge[11..])), 400),
        ("another boundary", "; boundary=c", whole.clone(), 400),
        ("a longer boundary", "; boundary=bb", whole.clone(), 400),
        ("two boundaries", "; boundary=b; boundary=b", whole.clone(), 400),
        ("cut off in the content", given, json[..json.len() - 9].into(), 400),
        ("cut off after the content", given, json.clone(), 400),
        ("cut off in a header", given, "--b\r\nContent-Dispo".into(), 400),
        ("cut off in the last boundary", given, format!("{json}--b-"), 400),
        ("nothing between the boundaries", given, "--b--\r\n".into(), 400),
        ("1,000 parts", given, json.repeat(1_000) + "--b--\r\n", 400),
        (
            "1,000 parts of other names",
            given,
            part(&DISPOSITION.replace("json", "x"), "").repeat(1_000) + &whole,
            400,
        ),
        ("json twice", given, format!("{json}{whole}"), 400),
        (
            "json twice, once as a token",
            given,
            format!("{}{whole}", part(&DISPOSITION.replace('"', ""), SALESFORCE.json)),
            400,
        ),
        ("no json", given, with(&DISPOSITION.replace("json", "other")), 400),
        (
            "json and another part",
            given,
            format!("{}{whole}", part(&DISPOSITION.replace("json", "other"), "")),
            400,
        ),
        ("a name twice", given, with(&DISPOSITION.replace('\r', "; name=json\r")), 400),
        ("a disposition twice", given, with(&DISPOSITION.repeat(2)), 400),
        ("a part header of 40 kB", given, with(&format!("X: {}\r\n{DISPOSITION}", "y".repeat(40_000))), 400),
        ("1,000 part headers", given, with(&("X: y\r\n".repeat(1_000) + DISPOSITION)), 400),
        ("a folded part header", given, with(&DISPOSITION.replace("; n", ";\r\n n")), 400),
        ("a NUL in a part header", given, with(&DISPOSITION.replace("; n", ";\0 n")), 400),
        ("a bare CR in a part header", given, with(&DISPOSITION.replace("; n", ";\r n")), 400),
        ("LF only", given, whole.replace('\r', ""), 400),
        ("LF after a part header", given, with(&DISPOSITION.replace('\r', "")), 400),
        ("a preamble", given, format!("preamble\r\n{whole}"), 400),
        ("a preamble of 100 kB", given, format!("{}\r\n{whole}", "x".repeat(100_000)), 400),
        ("an empty line too many", given, format!("\r\n\r\n{whole}"), 400),
        ("json of 100 kB", given, part(DISPOSITION, &" ".repeat(100_000)) + "--b--\r\n", 413),
        ("7 MB", given, part(FILE, &"x".repeat(7_000_000)) + &whole, 413),
        ("a file beside an indicator", given, part(FILE, "x") + &whole, 400),
        ("a file alone", given, part(FILE, "x") + "--b--\r\n", 400),
        ("17 files", given, part(FILE, "x").repeat(17) + &whole, 400),
    ];
    for (what, parameters, body, status) in rows {
        let answer = gateway.exchange(&request(parameters, body.as_bytes())).await;
        Dialect::Salesforce.code(&answer, what);
        assert_eq!(answer.status, status, "{what}: {}", answer.body);
        assert_no_lease(&gateway, what).await;
    }
}

#[tokio::test(start_paused = true)]
async fn a_file_name_is_never_used() {
    let json = r#"{"to":"b0ffeafe-1","from":"David Wood","interactions":[{"timestamp":1,"interactionType":"AttachmentInteraction","id":"1","attachmentIndex":0,"contentLength":1}]}"#;
    for name in ["../../x", "/etc/passwd", "C:\\\\x", "a\\\"b", "%00", ""] {
        let file = FILE.replace("../../../etc/cron.d/x", name);
        let body = part(&file, "x") + &part(DISPOSITION, json) + "--b--\r\n";
        let answer = InProcess::start().exchange(&request("; boundary=b", body.as_bytes())).await;
        assert_eq!(answer.status, 202, "{name}: {}", answer.body);
    }
}

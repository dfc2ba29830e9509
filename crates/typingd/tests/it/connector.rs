//! A Salesforce connector against dev mode with nothing but its URLs changed: it asks for a token, and uses it with the
//! org and the context it is set to.

use tokio::net::TcpStream;

use crate::support::{Wire, start_program};

/// `{"alg":"RS256"}`, `{"iss":"3MVG9x","sub":"u@example.com","aud":"https://login.salesforce.com","exp":1}`, `signature`.
const ASSERTION: &str = "eyJhbGciOiJSUzI1NiJ9.eyJpc3MiOiIzTVZHOXgiLCJzdWIiOiJ1QGV4YW1wbGUuY29tIiwiYXVkIjoiaHR0cHM6Ly9sb2dpbi5zYWxlc2ZvcmNlLmNvbSIsImV4cCI6MX0.c2lnbmF0dXJl";

#[tokio::test]
async fn a_connector_runs_against_dev_mode_unchanged() {
    let (_program, address) = start_program(&["dev"]).await;
    let address = address.as_str();
    let connect = async || Wire::new(TcpStream::connect(address).await.unwrap());

    let form =
        format!("grant_type=urn%3Aietf%3Aparams%3Aoauth%3Agrant-type%3Ajwt-bearer&assertion={ASSERTION}");
    let length = form.len();
    let request = format!(
        "POST /services/oauth2/token HTTP/1.1\r\nHost: {address}\r\nContent-Length: {length}\r\n\
         Content-Type: application/x-www-form-urlencoded\r\n\r\n{form}"
    );
    let answer = connect().await.exchange(request.as_bytes()).await;
    assert_eq!(answer.status, 200, "{}", answer.body);
    let granted = answer.json();
    assert_eq!(granted["instance_url"], format!("http://{address}"));
    assert_eq!((&granted["scope"], &granted["token_type"]), (&"interaction_api".into(), &"Bearer".into()));

    let token = granted["access_token"].as_str().unwrap();
    let captured = include_str!("../captures/salesforce-connector-typing-started-chunked.req");
    let request = captured.replace("00Dxx0000000001!AQEAQTESTTOKEN", token);
    let mut events = connect().await.stream("", "dev-api-key").await;
    events.next().await;
    let answer = connect().await.exchange(request.as_bytes()).await;
    assert_eq!((answer.status, answer.decision()), (202, "started"), "{}", answer.body);
    assert_eq!(events.whats(1).await, ["started"]);
}

//! Which paths go on to providers: those that say in one way only where they lead.

use typingd_providers::upstream::is_path;

#[test]
fn a_path_that_says_plainly_where_it_leads_is_one() {
    let paths = [
        "/",
        "/a",
        "/a/b",
        "/a/",
        "/v1/users:batchGet",
        "/a%20b",
        "/v1/phones/%2B1415/x",
        "/v1/phones/+1415/x",
        "/a.b/c..d",
        "/a/.well-known",
        "/%C3%A9",
        "/%c3%a9",
        "/a;b=c",
    ];
    for path in paths {
        assert!(is_path(path), "{path}");
    }
}

#[test]
fn a_path_that_could_be_read_as_another_is_none() {
    let paths = [
        "",
        "a",
        "*",
        "//",
        "//evil.example/x",
        "/a//b",
        "/a//",
        "/.",
        "/a/./b",
        "/..",
        "/a/..",
        "/a/../b",
        "/a/..;/b",
        "/a/..;x=1/b",
        "/a/%2e%2e/b",
        "/a/.%2e/b",
        "/a/%2E./b",
        "/a/..%2fb",
        "/a%2fb",
        "/a%2Fb",
        "/a%5cb",
        "/a%5Cb",
        "/a\\b",
        "/a/..\\b",
        "/%6dessages",
        "/%4D",
        "/%30",
        "/a%2db",
        "/a%5fb",
        "/a%7Eb",
        "/a%00",
        "/a%0d%0a",
        "/a%7f",
        "/a%",
        "/a%2",
        "/a%zz",
        "/a%+1",
        "/a%é",
        "/a?b",
        "/a#b",
    ];
    for path in paths {
        assert!(!is_path(path), "{path}");
    }
}

//! The console's files, which the program carries in itself.

use std::sync::Arc;

use axum::Router;
use axum::extract::Request;
use axum::routing::get;
use bytes::Bytes;
use http::StatusCode;
use http::header::{
    CACHE_CONTROL, CONTENT_SECURITY_POLICY, CONTENT_TYPE, ETAG, HeaderMap, HeaderName, HeaderValue,
    IF_NONE_MATCH,
};

use crate::api::only;
use crate::listener::Response;

/// Nothing comes from anywhere else, nothing is written into the page, and nobody frames it.
const POLICY: HeaderValue = HeaderValue::from_static(
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; \
     base-uri 'none'; form-action 'none'; frame-ancestors 'none'; require-trusted-types-for 'script'; \
     trusted-types 'none'",
);
const PERMISSIONS: HeaderValue =
    HeaderValue::from_static("camera=(), geolocation=(), microphone=(), payment=(), usb=()");

const HTML: &str = "text/html; charset=utf-8";

macro_rules! files {
    ($($file:literal),* $(,)?) => {
        [$(($file, include_bytes!(concat!(env!("CARGO_MANIFEST_DIR"), "/../../web/", $file)).as_slice())),*]
    };
}

/// Every file of `web/` that is served.
const FILES: &[(&str, &[u8])] = &files![
    "console/api.js",
    "console/base.css",
    "console/chat.css",
    "console/clock.js",
    "console/composer.js",
    "console/connection.js",
    "console/console.css",
    "console/console.js",
    "console/desk.css",
    "console/desk.js",
    "console/dom.js",
    "console/explain.js",
    "console/feed.js",
    "console/handset.css",
    "console/handset.js",
    "console/icon.svg",
    "console/inbox.js",
    "console/index.html",
    "console/newuser.js",
    "console/rep.js",
    "console/side.js",
    "console/store.js",
    "console/theme.js",
    "console/thread.js",
    "console/tryit.js",
    "console/why.css",
    "console/why.js",
    "typing-dots/client.js",
    "typing-dots/element.js",
];

struct Asset {
    media_type: &'static str,
    bytes: Bytes,
    etag: HeaderValue,
}

/// The files' paths.
pub(super) fn router<S: Clone + Send + Sync + 'static>() -> Router<S> {
    FILES.iter().fold(Router::new(), |router, (file, bytes)| {
        let asset = Arc::new(Asset::new(file, bytes));
        let answer = move |request: Request| async move { asset.answer(request.headers()) };
        router.route(&path_of(file), get(answer).fallback(only("GET, HEAD")))
    })
}

/// Where a file is served: the page at the root, all else under `/console/`.
fn path_of(file: &str) -> String {
    match file.strip_prefix("console/") {
        Some("index.html") => "/".to_owned(),
        Some(own) => format!("/console/{own}"),
        None => format!("/console/{file}"),
    }
}

impl Asset {
    fn new(file: &str, bytes: &'static [u8]) -> Self {
        let media_type = match file.rsplit('.').next() {
            Some("html") => HTML,
            Some("css") => "text/css; charset=utf-8",
            Some("svg") => "image/svg+xml",
            _ => "text/javascript; charset=utf-8",
        };
        let hash = blake3::hash(bytes).to_hex();
        let etag = HeaderValue::try_from(format!("\"{}\"", &hash[..16])).expect("a hash is hexadecimal");
        Self { media_type, bytes: Bytes::from_static(bytes), etag }
    }

    fn answer(&self, headers: &HeaderMap) -> Response {
        let mut response = Response::default();
        let answered = response.headers_mut();
        answered.insert(ETAG, self.etag.clone());
        // It may be kept, and is asked for again each time: the page and its scripts are of one version.
        answered.insert(CACHE_CONTROL, HeaderValue::from_static("no-cache"));
        if self.media_type == HTML {
            answered.insert(CONTENT_SECURITY_POLICY, POLICY);
            answered.insert(HeaderName::from_static("permissions-policy"), PERMISSIONS);
            answered.insert(
                HeaderName::from_static("cross-origin-opener-policy"),
                HeaderValue::from_static("same-origin"),
            );
        }
        if is_known(headers, &self.etag) {
            *response.status_mut() = StatusCode::NOT_MODIFIED;
            return response;
        }
        answered.insert(CONTENT_TYPE, HeaderValue::from_static(self.media_type));
        response.map(|_| self.bytes.clone().into())
    }
}

/// Whether the caller has this version already.
fn is_known(headers: &HeaderMap, etag: &HeaderValue) -> bool {
    let known = headers.get_all(IF_NONE_MATCH).iter().filter_map(|known| known.to_str().ok());
    known.flat_map(|known| known.split(',')).any(|known| {
        let known = known.trim();
        known == "*" || known.strip_prefix("W/").unwrap_or(known).as_bytes() == etag.as_bytes()
    })
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::path::Path;

    use serde_json::Value;

    use super::*;

    const WEB: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../../web");

    fn is_embedded(file: &str) -> bool {
        FILES.iter().any(|(embedded, _)| *embedded == file)
    }

    #[test]
    fn every_file_of_the_console_is_in_the_program() {
        let files = fs::read_dir(Path::new(WEB).join("console")).unwrap();
        let names = files.map(|file| file.unwrap().file_name().into_string().unwrap());
        let is_shipped = |name: &String| {
            let is_test = name.contains(".test.");
            !is_test && [".html", ".css", ".js", ".svg"].iter().any(|end| name.ends_with(end))
        };
        let shipped: Vec<String> = names.filter(is_shipped).map(|name| format!("console/{name}")).collect();
        let missing: Vec<&String> = shipped.iter().filter(|file| !is_embedded(file)).collect();
        assert!(missing.is_empty() && !shipped.is_empty(), "{missing:?}");
    }

    #[test]
    fn every_module_that_the_package_exports_is_in_the_program() {
        let manifest = fs::read_to_string(Path::new(WEB).join("typing-dots/package.json")).unwrap();
        let manifest: Value = serde_json::from_str(&manifest).unwrap();
        let mut exported = Vec::new();
        collect(&manifest["exports"], &mut exported);
        let missing: Vec<String> = exported
            .iter()
            .filter(|file| file.ends_with(".js"))
            .map(|file| format!("typing-dots/{}", file.trim_start_matches("./")))
            .filter(|file| !is_embedded(file))
            .collect();
        assert!(missing.is_empty() && !exported.is_empty(), "{missing:?}");
    }

    fn collect(exports: &Value, files: &mut Vec<String>) {
        match exports {
            Value::String(file) => files.push(file.clone()),
            Value::Object(members) => members.values().for_each(|value| collect(value, files)),
            _ => {}
        }
    }

    #[test]
    fn a_version_that_is_there_is_known_in_every_spelling() {
        let etag = HeaderValue::from_static("\"ab\"");
        for (sent, expected) in [
            ("\"ab\"", true),
            ("W/\"ab\"", true),
            ("\"x\", \"ab\"", true),
            ("*", true),
            ("\"x\"", false),
            ("ab", false),
        ] {
            let headers = HeaderMap::from_iter([(IF_NONE_MATCH, HeaderValue::from_static(sent))]);
            assert_eq!(is_known(&headers, &etag), expected, "{sent}");
        }
    }
}

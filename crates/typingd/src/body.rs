//! Reading a request's body, within a size and a time.

use std::time::Duration;

use bytes::{Bytes, BytesMut};
use http::header::{CONTENT_ENCODING, CONTENT_LENGTH, HeaderMap};
use http_body::Body;
use http_body_util::BodyExt;
use tokio::time::timeout;
use typingd_providers::Rejection;

/// Reads a body of at most `limit` bytes that comes within `time`.
///
/// # Errors
/// [`Rejection::UnsupportedMediaType`] where it is compressed, [`Rejection::TooLarge`] and [`Rejection::TooSlow`] past
/// the bounds, [`Rejection::Malformed`] where the connection does not deliver what was promised.
pub async fn read<B>(headers: &HeaderMap, body: B, limit: usize, time: Duration) -> Result<Bytes, Rejection>
where
    B: Body<Data = Bytes>,
{
    let is_plain = headers
        .get_all(CONTENT_ENCODING)
        .iter()
        .all(|coding| coding.as_bytes().eq_ignore_ascii_case(b"identity"));
    if !is_plain {
        return Err(Rejection::UnsupportedMediaType);
    }
    let promised = headers.get(CONTENT_LENGTH).and_then(|length| length.to_str().ok()?.parse::<u64>().ok());
    if promised.is_some_and(|length| length > limit as u64) {
        return Err(Rejection::TooLarge);
    }
    timeout(time, collect(body, limit)).await.map_err(|_| Rejection::TooSlow)?
}

async fn collect<B: Body<Data = Bytes>>(body: B, limit: usize) -> Result<Bytes, Rejection> {
    let mut body = std::pin::pin!(body);
    let mut first: Option<Bytes> = None;
    let mut more = BytesMut::new();
    while let Some(frame) = body.frame().await {
        let frame = frame.map_err(|_| Rejection::Malformed { why: "the body did not come whole".into() })?;
        let Ok(data) = frame.into_data() else { continue };
        let so_far = first.as_ref().map_or(more.len(), Bytes::len);
        if so_far + data.len() > limit {
            return Err(Rejection::TooLarge);
        }
        // Mostly there is one piece, which needs no copy.
        match first.take() {
            None if more.is_empty() => first = Some(data),
            begun => {
                more.extend_from_slice(&begun.unwrap_or_default());
                more.extend_from_slice(&data);
            }
        }
    }
    Ok(first.unwrap_or_else(|| more.freeze()))
}

//! Reading a request's body, within a size and a time.

use std::future::{Future, poll_fn};
use std::pin::pin;
use std::task::Poll;
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use http::header::{CONTENT_ENCODING, HeaderMap};
use http_body::Body;
use http_body_util::{BodyExt, Limited};
use tokio::time::timeout;
use typingd_providers::Rejection;

/// Reads a body of at most `limit` bytes that comes within `time`.
///
/// # Errors
/// [`Rejection::UnsupportedMediaType`] where it is compressed, [`Rejection::TooLarge`] and [`Rejection::TooSlow`] past
/// the bounds, [`Rejection::Malformed`] where the connection does not deliver what was promised.
pub async fn read<B>(headers: &HeaderMap, body: B, limit: usize, time: Duration) -> Result<Bytes, Rejection>
where
    B: Body<Data = Bytes> + Unpin,
{
    check_head(headers, &body, limit)?;
    Ok(within(time, collect(body, limit, |_| false)).await?.0)
}

/// Reads as much of a body as is enough, and gives what is left of it; nothing where it has come to its end. What is
/// left may have as many bytes as the limit leaves.
///
/// # Errors
/// As [`read`].
pub async fn read_lead<B>(
    headers: &HeaderMap,
    body: B,
    limit: usize,
    time: Duration,
    is_enough: impl Fn(&[u8]) -> bool,
) -> Result<(Bytes, Option<Limited<B>>), Rejection>
where
    B: Body<Data = Bytes> + Unpin,
{
    check_head(headers, &body, limit)?;
    let (lead, body) = within(time, collect(body, limit, is_enough)).await?;
    let left = limit.saturating_sub(lead.len());
    Ok((lead, body.map(|body| Limited::new(body, left))))
}

/// Reads within a time. Mostly all of it has come already, and no timer is needed.
async fn within<T>(
    time: Duration,
    reading: impl Future<Output = Result<T, Rejection>>,
) -> Result<T, Rejection> {
    let mut reading = pin!(reading);
    match poll_fn(|cx| Poll::Ready(reading.as_mut().poll(cx))).await {
        Poll::Ready(read) => read,
        Poll::Pending => timeout(time, reading).await.map_err(|_| Rejection::TooSlow)?,
    }
}

fn check_head(headers: &HeaderMap, body: &impl Body, limit: usize) -> Result<(), Rejection> {
    let is_plain = headers
        .get_all(CONTENT_ENCODING)
        .iter()
        .all(|coding| coding.as_bytes().eq_ignore_ascii_case(b"identity"));
    if !is_plain {
        return Err(Rejection::UnsupportedMediaType);
    }
    if body.size_hint().lower() > limit as u64 {
        return Err(Rejection::TooLarge);
    }
    Ok(())
}

/// Reads until the end, or until it is enough: then what is left comes along.
async fn collect<B: Body<Data = Bytes> + Unpin>(
    mut body: B,
    limit: usize,
    is_enough: impl Fn(&[u8]) -> bool,
) -> Result<(Bytes, Option<B>), Rejection> {
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
        if is_enough(first.as_deref().unwrap_or(&more)) {
            return Ok((first.unwrap_or_else(|| more.freeze()), Some(body)));
        }
        if body.is_end_stream() {
            break;
        }
    }
    Ok((first.unwrap_or_else(|| more.freeze()), None))
}

use std::convert::Infallible;
use std::pin::Pin;
use std::task::{Context, Poll};

use futures_util::stream;
use http_body_util::{BodyExt, Full, StreamBody};

use super::*;

// A frame, or the error in its place.
type Step = Result<Frame<Bytes>, &'static str>;

const AMPLE: Limits = Limits { most: 1 << 16, time: Duration::from_secs(5) };

#[allow(clippy::unnecessary_wraps, reason = "a step among those that may fail")]
fn data(bytes: &[u8]) -> Step {
    Ok(Frame::data(Bytes::copy_from_slice(bytes)))
}

#[allow(clippy::unnecessary_wraps, reason = "a step among those that may fail")]
fn trailers(value: &str) -> Step {
    let mut fields = HeaderMap::new();
    fields.insert("x-sum", value.parse().unwrap());
    Ok(Frame::trailers(fields))
}

fn body(steps: Vec<Step>) -> impl Body<Data = Bytes, Error = &'static str> {
    StreamBody::new(stream::iter(steps))
}

/// All that a body gives: its bytes, its trailers, its error.
async fn drain<B: Body<Data = Bytes> + Unpin>(
    mut body: B,
) -> (Vec<u8>, Option<HeaderMap>, Option<B::Error>) {
    let (mut bytes, mut trailers, mut error) = (Vec::new(), None, None);
    while let Some(frame) = body.frame().await {
        match frame.map(Frame::into_data) {
            Ok(Ok(data)) => bytes.extend_from_slice(&data),
            Ok(Err(frame)) => trailers = frame.into_trailers().ok(),
            Err(failed) => error = Some(failed),
        }
    }
    (bytes, trailers, error)
}

#[tokio::test]
async fn the_same_bytes_are_the_same_content_however_they_come() {
    let whole = vec![7; 5000];
    let (_, expected) = read(Full::new(Bytes::from(whole.clone())), AMPLE).await;
    let expected = expected.unwrap();
    for size in [1, 7, 1023, 1024, 4999] {
        let steps = whole.chunks(size).map(data).collect();
        let (replay, content) = read(body(steps), AMPLE).await;
        assert_eq!(content.as_ref(), Ok(&expected), "{size}");
        assert_eq!(replay.size_hint().exact(), Some(5000), "{size}");
        assert!(!replay.is_end_stream());
        assert_eq!(drain(replay).await.0, whole, "{size}");
    }
}

#[tokio::test]
async fn small_frames_are_kept_as_one() {
    let steps = (0..50_000).map(|_| data(b"x")).collect();
    let (replay, content) = read(body(steps), AMPLE).await;
    assert!(content.is_ok());
    let mut replay = replay;
    let first = replay.frame().await.unwrap().unwrap().into_data().unwrap();
    assert_eq!(first.len(), 50_000);
    assert!(replay.is_end_stream());
}

#[tokio::test]
async fn trailers_are_kept_and_count() {
    let (replay, one) = read(body(vec![data(b"x"), trailers("1")]), AMPLE).await;
    let (bytes, fields, _) = drain(replay).await;
    assert_eq!((bytes.as_slice(), &fields.unwrap()["x-sum"]), (&b"x"[..], &"1".parse().unwrap()));
    let (_, other) = read(body(vec![data(b"x"), trailers("2")]), AMPLE).await;
    let (_, none) = read(body(vec![data(b"x")]), AMPLE).await;
    let (one, other, none) = (one.unwrap(), other.unwrap(), none.unwrap());
    assert_ne!(one.variant(), other.variant());
    assert_ne!(one.variant(), none.variant());
    assert!(one.variant().starts_with(&none.variant()));
}

#[tokio::test]
async fn over_the_limit_the_rest_follows_what_was_read() {
    let limits = Limits { most: 10, ..AMPLE };
    for (count, over) in [(2, false), (3, true), (9, true)] {
        let steps: Vec<_> = (0..count).map(|at| data(&[at; 5])).chain([trailers("1")]).collect();
        let expected: Vec<u8> = (0..count).flat_map(|at| [at; 5]).collect();
        let (replay, content) = read(body(steps), limits).await;
        assert_eq!(content.err(), over.then_some(Unread::TooLarge), "{count}");
        let (bytes, fields, _) = drain(replay).await;
        assert_eq!(bytes, expected, "{count}");
        assert!(fields.is_some(), "{count}");
    }
}

#[tokio::test]
async fn an_error_stands_where_it_stood() {
    let (mut replay, content) = read(body(vec![data(b"ab"), Err("gone")]), AMPLE).await;
    assert_eq!(content, Err(Unread::Broken));
    assert!(replay.size_hint().exact().is_none());
    assert_eq!(replay.frame().await.unwrap().unwrap().into_data().unwrap(), "ab");
    assert!(!replay.is_end_stream());
    assert_eq!(replay.frame().await.unwrap().unwrap_err(), "gone");
    assert!(replay.frame().await.is_none());
}

/// Gives a first frame and then nothing, or without end frames of no bytes.
struct Slow {
    first: Option<Bytes>,
    busy: bool,
}

impl Body for Slow {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        _: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        match self.first.take() {
            Some(first) => Poll::Ready(Some(Ok(Frame::data(first)))),
            None if self.busy => Poll::Ready(Some(Ok(Frame::data(Bytes::new())))),
            None => Poll::Pending,
        }
    }
}

#[tokio::test]
async fn a_slow_body_is_handed_on_in_time() {
    for busy in [false, true] {
        let limits = Limits { time: Duration::from_millis(20), ..AMPLE };
        let slow = Slow { first: Some(Bytes::from_static(b"first")), busy };
        let (mut replay, content) = read(slow, limits).await;
        assert_eq!(content, Err(Unread::TooSlow), "{busy}");
        assert_eq!(replay.frame().await.unwrap().unwrap().into_data().unwrap(), "first");
    }
}

#[test]
fn the_list_of_trailers_is_told_apart() {
    let fields = |rows: &[(&'static str, &'static str)]| {
        let mut fields = HeaderMap::new();
        for (name, value) in rows {
            fields.append(*name, value.parse().unwrap());
        }
        digest(&fields)
    };
    let rows: [&[(&str, &str)]; 5] =
        [&[], &[("a", "bc")], &[("ab", "c")], &[("a", "b"), ("c", "")], &[("a", "b"), ("a", "c")]];
    for (at, one) in rows.iter().enumerate() {
        for other in &rows[at + 1..] {
            assert_ne!(fields(one), fields(other), "{one:?} {other:?}");
        }
    }
}

//! Reading a request's body within limits.

use std::collections::VecDeque;
use std::fmt::Write;
use std::future::poll_fn;
use std::mem;
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use http::HeaderMap;
use http_body::{Body, Frame};
use tokio::time::{Instant, timeout_at};

use super::ReplayBody;

/// How much of a body is read, and how long it may take.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Limits {
    /// In bytes.
    pub(crate) most: usize,
    pub(crate) time: Duration,
}

/// Why a body was not read to its end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Unread {
    TooLarge,
    TooSlow,
    Broken,
}

/// What a body says, in a digest: that of its bytes, and that of its trailers if it has any.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Content {
    body: blake3::Hash,
    trailers: Option<blake3::Hash>,
}

impl Content {
    /// That of a body without bytes.
    pub(super) fn empty() -> Self {
        Self { body: blake3::hash(b""), trailers: None }
    }

    /// Its part of the variant of a key: `;@b=` and 32 hexadecimal digits, and `;@t=` with as many
    /// for the trailers. No name of a header field begins with an at sign.
    pub(crate) fn variant(&self) -> String {
        let mut text = String::with_capacity(72);
        for (letter, hash) in [('b', Some(&self.body)), ('t', self.trailers.as_ref())] {
            if let Some(hash) = hash {
                let _ = write!(text, ";@{letter}={}", &hash.to_hex()[..32]);
            }
        }
        text
    }
}

/// Frames below this size are put together, so that a client who sends byte by byte makes the cache
/// keep bytes, and not a frame for each.
const SMALL: usize = 1024;

/// The frames that have been read, and their digest.
struct Frames {
    done: VecDeque<Frame<Bytes>>,
    /// Small ones that follow those.
    small: BytesMut,
    size: usize,
    hasher: blake3::Hasher,
    trailers: Option<blake3::Hash>,
}

impl Frames {
    fn push(&mut self, frame: Frame<Bytes>) {
        match frame.into_data() {
            Ok(data) => {
                self.size = self.size.saturating_add(data.len());
                self.hasher.update(&data);
                if data.len() < SMALL {
                    self.small.extend_from_slice(&data);
                } else {
                    self.flush();
                    self.done.push_back(Frame::data(data));
                }
            }
            Err(frame) => {
                self.flush();
                if let Some(trailers) = frame.trailers_ref() {
                    self.trailers = Some(digest(trailers));
                }
                self.done.push_back(frame);
            }
        }
    }

    fn flush(&mut self) {
        if !self.small.is_empty() {
            let data = mem::take(&mut self.small).freeze();
            self.done.push_back(Frame::data(data));
        }
    }
}

/// Reads a body to its end, or as far as the limits allow, and answers it as one that was not read.
///
/// # Dropping
///
/// Drops the body, as a handler does that is dropped while it reads.
pub(super) async fn read<B: Body<Data = Bytes>>(
    body: B,
    limits: Limits,
) -> (ReplayBody<B>, Result<Content, Unread>) {
    let deadline = Instant::now() + limits.time;
    let mut body = Box::pin(body);
    let mut frames = Frames {
        done: VecDeque::new(),
        small: BytesMut::new(),
        size: 0,
        hasher: blake3::Hasher::new(),
        trailers: None,
    };
    let (why, error, rest) = loop {
        let next = timeout_at(deadline, poll_fn(|cx| body.as_mut().poll_frame(cx))).await;
        match next {
            Err(_) => break (Some(Unread::TooSlow), None, Some(body)),
            Ok(None) => break (None, None, None),
            Ok(Some(Err(error))) => break (Some(Unread::Broken), Some(error), Some(body)),
            Ok(Some(Ok(frame))) => frames.push(frame),
        }
        if frames.size > limits.most {
            break (Some(Unread::TooLarge), None, Some(body));
        }
        // A body that is always ready never lets the time-out have its turn.
        if Instant::now() >= deadline {
            break (Some(Unread::TooSlow), None, Some(body));
        }
    };
    frames.flush();
    let content = Content { body: frames.hasher.finalize(), trailers: frames.trailers };
    (ReplayBody::new(frames.done, error, rest), why.map_or(Ok(content), Err))
}

/// A digest of fields in which each length is told, so that no two lists run together.
fn digest(fields: &HeaderMap) -> blake3::Hash {
    let mut hasher = blake3::Hasher::new();
    for (name, value) in fields {
        for part in [name.as_str().as_bytes(), value.as_bytes()] {
            hasher.update(&(part.len() as u64).to_be_bytes());
            hasher.update(part);
        }
    }
    hasher.finalize()
}

#[cfg(test)]
mod tests;

//! A body that was read, or a part of it, as if it had not been.

use std::collections::VecDeque;
use std::fmt;
use std::pin::Pin;
use std::task::{Context, Poll};

use bytes::Bytes;
use http_body::{Body, Frame, SizeHint};

/// A request's body that the cache has read, as a body again: what was read, then an error if there
/// was one, then what is left of the original body.
///
/// The bytes are those of the original, with its trailers and its error; small frames that were
/// read may come as one. Once the body was read whole nothing of the original is left, so that the
/// handler waits for no client.
///
/// Dropping it drops what is left of the original, as if there were no cache.
///
/// See [`CacheLayer::replay`](crate::CacheLayer::replay).
pub struct ReplayBody<B: Body> {
    frames: VecDeque<Frame<Bytes>>,
    /// How many bytes of data the frames hold.
    held: u64,
    error: Option<B::Error>,
    rest: Option<Pin<Box<B>>>,
}

impl<B: Body<Data = Bytes>> ReplayBody<B> {
    /// `rest` is `None` if the body has ended.
    pub(super) fn new(
        frames: VecDeque<Frame<Bytes>>,
        error: Option<B::Error>,
        rest: Option<Pin<Box<B>>>,
    ) -> Self {
        let held = frames.iter().filter_map(Frame::data_ref).map(|data| data.len() as u64).sum();
        Self { frames, held, error, rest }
    }
}

/// Nothing in it is pinned in its place: what is left of the original is in a box.
impl<B: Body> Unpin for ReplayBody<B> {}

impl<B: Body<Data = Bytes>> Body for ReplayBody<B> {
    type Data = Bytes;
    type Error = B::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, B::Error>>> {
        if let Some(frame) = self.frames.pop_front() {
            self.held -= frame.data_ref().map_or(0, |data| data.len() as u64);
            return Poll::Ready(Some(Ok(frame)));
        }
        if let Some(error) = self.error.take() {
            return Poll::Ready(Some(Err(error)));
        }
        match &mut self.rest {
            Some(rest) => rest.as_mut().poll_frame(cx),
            None => Poll::Ready(None),
        }
    }

    fn is_end_stream(&self) -> bool {
        self.frames.is_empty()
            && self.error.is_none()
            && self.rest.as_ref().is_none_or(Body::is_end_stream)
    }

    fn size_hint(&self) -> SizeHint {
        if self.error.is_some() {
            let mut hint = SizeHint::new();
            hint.set_lower(self.held);
            return hint;
        }
        let Some(rest) = &self.rest else { return SizeHint::with_exact(self.held) };
        let left = rest.size_hint();
        let mut hint = SizeHint::new();
        hint.set_lower(left.lower().saturating_add(self.held));
        if let Some(upper) = left.upper().and_then(|upper| upper.checked_add(self.held)) {
            hint.set_upper(upper);
        }
        hint
    }
}

impl<B: Body> fmt::Debug for ReplayBody<B> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ReplayBody")
            .field("held", &self.held)
            .field("whole", &self.rest.is_none())
            .finish_non_exhaustive()
    }
}

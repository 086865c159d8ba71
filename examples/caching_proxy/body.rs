//! A body whose sender may not keep silent for ever.

use std::error::Error;
use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use http_body::{Body, Frame, SizeHint};
use pin_project_lite::pin_project;
use tokio::time::{Instant, Sleep, sleep};

pin_project! {
    /// Fails once the next frame has been waited for as long as `limit`.
    pub(crate) struct Timed<R> {
        #[pin]
        inner: R,
        #[pin]
        silence: Sleep,
        // Whether somebody waits for a frame: what nobody asks for is not late.
        awaited: bool,
        limit: Duration,
    }
}

impl<R> Timed<R> {
    pub(crate) fn new(inner: R, limit: Duration) -> Self {
        Self { inner, silence: sleep(limit), awaited: false, limit }
    }
}

impl<R: Body<Error: Into<Box<dyn Error + Send + Sync>>>> Body for Timed<R> {
    type Data = R::Data;
    type Error = Box<dyn Error + Send + Sync>;

    fn poll_frame(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<R::Data>, Self::Error>>> {
        let mut this = self.project();
        if let Poll::Ready(frame) = this.inner.poll_frame(cx) {
            *this.awaited = false;
            return Poll::Ready(frame.map(|frame| frame.map_err(Into::into)));
        }
        if !std::mem::replace(this.awaited, true) {
            this.silence.as_mut().reset(Instant::now() + *this.limit);
        }
        this.silence.poll(cx).map(|()| Some(Err("the origin has fallen silent".into())))
    }

    fn is_end_stream(&self) -> bool {
        self.inner.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.inner.size_hint()
    }
}

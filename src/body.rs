//! The response body: the inner one untouched, a stored one, or one that a run hands over.

use std::fmt;
use std::mem;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use http_body::{Body, Frame, SizeHint};
use pin_project_lite::pin_project;

use crate::flow::{AtEnd, PipeReader};

pin_project! {
    /// The body of a response that went through the layer.
    ///
    /// It has the inner body's error type, and needs no more of the inner body than that it is
    /// `Send`. Dropping it leaves a fill under way alone.
    pub struct ResponseBody<R: Body> {
        #[pin]
        kind: Kind<R>,
    }
}

pin_project! {
    #[project = KindProject]
    enum Kind<R: Body> {
        // What is to be done when the body has ended, if anything is, comes before its end is told.
        Pass { #[pin] inner: R, at_end: Option<AtEnd> },
        // A stored body is one frame, a slice of what the store gave.
        Whole { bytes: Bytes },
        // The answer to HEAD: nothing, but for the length that a GET would have.
        Head { length: u64 },
        Piped { reader: PipeReader<R> },
    }
}

impl<R: Body> ResponseBody<R> {
    pub(crate) fn pass(inner: R) -> Self {
        Self { kind: Kind::Pass { inner, at_end: None } }
    }

    pub(crate) fn pass_then(inner: R, at_end: Option<AtEnd>) -> Self {
        Self { kind: Kind::Pass { inner, at_end } }
    }

    pub(crate) fn whole(bytes: Bytes) -> Self {
        Self { kind: Kind::Whole { bytes } }
    }

    pub(crate) fn head(length: u64) -> Self {
        Self { kind: Kind::Head { length } }
    }

    pub(crate) fn piped(reader: PipeReader<R>) -> Self {
        Self { kind: Kind::Piped { reader } }
    }
}

impl<R: Body<Data = Bytes>> Body for ResponseBody<R> {
    type Data = Bytes;
    type Error = R::Error;

    fn poll_frame(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, R::Error>>> {
        match self.project().kind.project() {
            KindProject::Pass { inner, at_end } => {
                // A body that has ended is not to be asked again.
                let has_ended = at_end.as_ref().is_some_and(AtEnd::is_under_way);
                let frame = if has_ended { None } else { ready!(inner.poll_frame(cx)) };
                if let (None, Some(end)) = (&frame, &mut *at_end) {
                    ready!(end.poll_done(cx));
                    *at_end = None;
                }
                Poll::Ready(frame)
            }
            KindProject::Whole { bytes } if bytes.is_empty() => Poll::Ready(None),
            KindProject::Whole { bytes } => Poll::Ready(Some(Ok(Frame::data(mem::take(bytes))))),
            KindProject::Head { .. } => Poll::Ready(None),
            KindProject::Piped { reader } => reader.poll_frame(cx),
        }
    }

    fn is_end_stream(&self) -> bool {
        match &self.kind {
            Kind::Pass { inner, at_end } => at_end.is_none() && inner.is_end_stream(),
            Kind::Whole { bytes } => bytes.is_empty(),
            Kind::Head { .. } => true,
            Kind::Piped { reader } => reader.is_end_stream(),
        }
    }

    fn size_hint(&self) -> SizeHint {
        match &self.kind {
            Kind::Pass { inner, .. } => inner.size_hint(),
            Kind::Whole { bytes } => SizeHint::with_exact(bytes.len() as u64),
            Kind::Head { length } => SizeHint::with_exact(*length),
            Kind::Piped { reader } => reader.size_hint(),
        }
    }
}

impl<R: Body> fmt::Debug for ResponseBody<R> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match &self.kind {
            Kind::Pass { .. } => "ResponseBody::Pass",
            Kind::Whole { .. } => "ResponseBody::Whole",
            Kind::Head { .. } => "ResponseBody::Head",
            Kind::Piped { .. } => "ResponseBody::Piped",
        })
    }
}

//! How bodies of each type are made of what was read, without a bound on the service's own.

use std::any::Any;
use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use bytes::Bytes;
use http_body::Body;

use super::ReplayBody;
use super::read::{Content, Limits, Unread, read};

type Reading<B> = Pin<Box<dyn Future<Output = (B, Result<Content, Unread>)> + Send>>;

/// Reads bodies of one type, and makes such bodies of what it read.
pub(crate) struct Replayer<B>(Box<dyn Fn(B, Limits) -> Reading<B> + Send + Sync>);

impl<B> Replayer<B> {
    fn new(make: impl Fn(ReplayBody<B>) -> B + Send + Sync + 'static) -> Self
    where
        B: Body<Data = Bytes> + Send + 'static,
        B::Error: Send,
    {
        let make = Arc::new(make);
        Self(Box::new(move |body, limits| {
            let make = Arc::clone(&make);
            Box::pin(async move {
                // What needs no reading stays as it is.
                if body.is_end_stream() {
                    return (body, Ok(Content::empty()));
                }
                if body.size_hint().lower() > limits.most as u64 {
                    return (body, Err(Unread::TooLarge));
                }
                let (body, content) = read(body, limits).await;
                (make(body), content)
            })
        }))
    }

    /// Reads a body, and answers one that was not read.
    ///
    /// # Dropping
    ///
    /// Drops the body.
    pub(crate) fn read(&self, body: B, limits: Limits) -> Reading<B> {
        (self.0)(body, limits)
    }
}

/// The replayers of one layer, by the type of their body.
#[derive(Clone)]
pub(crate) struct Replayers {
    known: Vec<Arc<dyn Any + Send + Sync>>,
    /// Whether somebody has been told that one is missing.
    told: Arc<AtomicBool>,
}

#[cfg_attr(not(feature = "axum"), allow(clippy::derivable_impls, reason = "axum's body is known"))]
impl Default for Replayers {
    fn default() -> Self {
        Self {
            #[cfg(feature = "axum")]
            known: vec![Arc::new(Replayer::new(axum_body))],
            #[cfg(not(feature = "axum"))]
            known: Vec::new(),
            told: Arc::default(),
        }
    }
}

impl Replayers {
    /// Adds one, in the place of any other for the same type.
    pub(crate) fn add<B>(&mut self, make: impl Fn(ReplayBody<B>) -> B + Send + Sync + 'static)
    where
        B: Body<Data = Bytes> + Send + 'static,
        B::Error: Send,
    {
        self.known.push(Arc::new(Replayer::new(make)));
    }

    /// The one for this type. If there is none that is said in the log, once.
    pub(crate) fn of<B: 'static>(&self) -> Option<Arc<Replayer<B>>> {
        let find = |known: &Arc<dyn Any + Send + Sync>| Arc::clone(known).downcast().ok();
        let found = self.known.iter().rev().find_map(find);
        if found.is_none() && !self.told.swap(true, Ordering::Relaxed) {
            tracing::warn!(
                body = std::any::type_name::<B>(),
                "routes of QUERY and POST are not cached: the layer can't read this type of request \
                 body and hand it on; call `CacheLayer::replay` for it, or box the bodies before \
                 they come to the layer"
            );
        }
        found
    }
}

impl fmt::Debug for Replayers {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Replayers").field("known", &self.known.len()).finish_non_exhaustive()
    }
}

#[cfg(feature = "axum")]
fn axum_body(body: ReplayBody<axum::body::Body>) -> axum::body::Body {
    axum::body::Body::new(self::axum_error::Unwrapped(body))
}

#[cfg(feature = "axum")]
mod axum_error {
    //! axum wraps the error of every body that it boxes. Its extractors look into one wrapping, to
    //! tell a body over the limit from one that failed; so a second one must not be added.

    use std::pin::Pin;
    use std::task::{Context, Poll};

    use bytes::Bytes;
    use http_body::{Body, Frame, SizeHint};

    use crate::replay::ReplayBody;

    pub(super) struct Unwrapped(pub(super) ReplayBody<axum::body::Body>);

    impl Body for Unwrapped {
        type Data = Bytes;
        type Error = axum::BoxError;

        fn poll_frame(
            mut self: Pin<&mut Self>,
            cx: &mut Context<'_>,
        ) -> Poll<Option<Result<Frame<Bytes>, axum::BoxError>>> {
            let next = Pin::new(&mut self.0).poll_frame(cx);
            next.map(|next| next.map(|frame| frame.map_err(axum::Error::into_inner)))
        }

        fn is_end_stream(&self) -> bool {
            self.0.is_end_stream()
        }

        fn size_hint(&self) -> SizeHint {
            self.0.size_hint()
        }
    }
}

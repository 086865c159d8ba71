//! Between a run that reads a handler's body and the client who waits for it.
//!
//! The run never waits for the client, who may read one byte a second: up to a limit it reads
//! ahead, so that the body can be stored whatever the client does. Past the limit, or once it is
//! clear that nothing will be stored, the run hands the rest of the body over and the client reads
//! it as if there were no cache. What is in memory for it counts against one bound for all runs, until
//! both ends have let go of it.

use std::collections::VecDeque;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};

use bytes::Bytes;
use http_body::{Body, Frame, SizeHint};
use parking_lot::Mutex;

use super::read_ahead::ReadAhead;

/// The run's end.
pub(crate) struct PipeWriter<R: Body>(Arc<Mutex<State<R>>>);

/// The client's end.
pub(crate) struct PipeReader<R: Body> {
    state: Arc<Mutex<State<R>>>,
    /// What the whole body's hint was, less what has been delivered.
    hint: SizeHint,
    rest: Option<Pin<Box<R>>>,
}

struct State<R: Body> {
    frames: VecDeque<Frame<Bytes>>,
    end: End<R>,
    reader: Option<Waker>,
    reader_gone: bool,
    ahead: Arc<ReadAhead>,
    /// How many bytes the run has passed on and still holds; `None` once it holds none.
    held: Option<usize>,
    /// How many of them the reader has not read.
    unread: usize,
}

/// How the frames end.
enum End<R: Body> {
    /// More will come.
    Open,
    /// The body has ended, well or not.
    Closed(Option<R::Error>),
    /// The reader is to go on with the body itself.
    Rest(Pin<Box<R>>),
    /// The run is gone without a word: the body panicked.
    Aborted,
    /// The reader has seen the end.
    Seen,
}

/// What the run holds of what it has passed on, until this is dropped.
pub(crate) struct Held<R: Body>(Arc<Mutex<State<R>>>);

/// A pipe for a body of this size.
pub(crate) fn pipe<R: Body>(
    hint: SizeHint,
    ahead: &Arc<ReadAhead>,
) -> (PipeWriter<R>, PipeReader<R>) {
    let state = Arc::new(Mutex::new(State {
        frames: VecDeque::new(),
        end: End::Open,
        reader: None,
        reader_gone: false,
        ahead: Arc::clone(ahead),
        held: Some(0),
        unread: 0,
    }));
    (PipeWriter(Arc::clone(&state)), PipeReader { state, hint, rest: None })
}

impl<R: Body> PipeWriter<R> {
    /// The run's hold on what it passes on: for as long as it means to store it.
    pub(crate) fn hold(&self) -> Held<R> {
        Held(Arc::clone(&self.0))
    }

    /// Passes a frame on. Answers whether there is room to read further ahead.
    pub(crate) fn push(&self, frame: Frame<Bytes>) -> bool {
        let mut state = self.0.lock();
        let bytes = frame.data_ref().map_or(0, Bytes::len);
        let held = state.held.is_some();
        state.held = state.held.map(|held| held + bytes);
        if !state.reader_gone {
            state.frames.push_back(frame);
            state.unread += bytes;
        }
        let has_room = if held || !state.reader_gone { state.ahead.add(bytes) } else { true };
        Self::wake(state);
        has_room
    }

    /// Ends the body.
    pub(crate) fn close(self, error: Option<R::Error>) {
        self.end(End::Closed(error));
    }

    /// Leaves the rest of the body to the reader. If there is none it is dropped, and the handler
    /// sees its client leave.
    pub(crate) fn hand_over(self, body: Pin<Box<R>>) {
        self.end(End::Rest(body));
    }

    fn end(self, end: End<R>) {
        let mut state = self.0.lock();
        if !state.reader_gone {
            state.end = end;
            Self::wake(state);
            return;
        }
        // A body's drop is somebody else's code: not under the lock.
        drop(state);
        drop(end);
    }

    fn wake(mut state: parking_lot::MutexGuard<'_, State<R>>) {
        let waker = state.reader.take();
        drop(state);
        if let Some(waker) = waker {
            waker.wake();
        }
    }
}

impl<R: Body<Data = Bytes>> PipeReader<R> {
    pub(crate) fn poll_frame(
        &mut self,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, R::Error>>> {
        if let Some(rest) = &mut self.rest {
            return rest.as_mut().poll_frame(cx);
        }
        let mut state = self.state.lock();
        if let Some(frame) = state.frames.pop_front() {
            let bytes = frame.data_ref().map_or(0, Bytes::len);
            state.unread -= bytes;
            if state.held.is_none() {
                state.ahead.sub(bytes);
            }
            drop(state);
            if let Some(data) = frame.data_ref() {
                self.hint = less(&self.hint, data.len() as u64);
            }
            return Poll::Ready(Some(Ok(frame)));
        }
        match std::mem::replace(&mut state.end, End::Seen) {
            End::Open => {
                state.end = End::Open;
                state.reader = Some(cx.waker().clone());
                Poll::Pending
            }
            End::Closed(error) => Poll::Ready(error.map(Err)),
            End::Seen => Poll::Ready(None),
            End::Aborted => {
                drop(state);
                // What has arrived must not pass for the whole. Without a cache the panic would
                // have unwound through here.
                std::panic::resume_unwind(Box::new("the response body panicked"))
            }
            End::Rest(body) => {
                drop(state);
                self.rest.insert(body).as_mut().poll_frame(cx)
            }
        }
    }

    pub(crate) fn is_end_stream(&self) -> bool {
        if let Some(rest) = &self.rest {
            return rest.is_end_stream();
        }
        let state = self.state.lock();
        state.frames.is_empty()
            && match &state.end {
                End::Open | End::Aborted | End::Closed(Some(_)) => false,
                End::Closed(None) | End::Seen => true,
                End::Rest(body) => body.is_end_stream(),
            }
    }

    pub(crate) fn size_hint(&self) -> SizeHint {
        match &self.rest {
            Some(rest) => rest.size_hint(),
            None => self.hint,
        }
    }
}

impl<R: Body> Drop for PipeReader<R> {
    fn drop(&mut self) {
        let mut state = self.state.lock();
        state.reader_gone = true;
        let unread = std::mem::take(&mut state.unread);
        if state.held.is_none() {
            state.ahead.sub(unread);
        }
        let frames = std::mem::take(&mut state.frames);
        let end = std::mem::replace(&mut state.end, End::Seen);
        drop(state);
        drop((frames, end));
    }
}

impl<R: Body> Drop for Held<R> {
    fn drop(&mut self) {
        let mut state = self.0.lock();
        if let Some(held) = state.held.take() {
            state.ahead.sub(held - state.unread);
        }
    }
}

impl<R: Body> Drop for PipeWriter<R> {
    fn drop(&mut self) {
        let mut state = self.0.lock();
        if matches!(state.end, End::Open) {
            state.end = End::Aborted;
            Self::wake(state);
        }
    }
}

fn less(hint: &SizeHint, by: u64) -> SizeHint {
    let mut left = SizeHint::new();
    if let Some(upper) = hint.upper() {
        left.set_upper(upper.saturating_sub(by));
    }
    left.set_lower(hint.lower().saturating_sub(by));
    left
}

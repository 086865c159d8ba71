//! Reading a handler's body to its end, for the client and for the store at once.

use std::future::poll_fn;
use std::pin::Pin;

use bytes::Bytes;
use http_body::Body;
use tokio::time::{Instant, timeout_at};

use super::pipe::PipeWriter;
use crate::protocol::Uncacheable;

/// Why a body did not become an entry.
pub(crate) enum Broken {
    /// It failed, or came too late.
    Failed,
    Uncacheable(Uncacheable),
}

/// Reads the body to its end, passing on each frame as it comes.
pub(crate) async fn collect<R: Body<Data = Bytes>>(
    mut body: Pin<Box<R>>,
    writer: PipeWriter<R>,
    most: usize,
    deadline: Instant,
) -> Result<Vec<Bytes>, Broken> {
    let mut chunks = Vec::new();
    let mut size = 0;
    loop {
        let next = poll_fn(|cx| body.as_mut().poll_frame(cx));
        let Ok(next) = timeout_at(deadline, next).await else {
            writer.hand_over(body);
            return Err(Broken::Failed);
        };
        match next {
            None => {
                writer.close(None);
                return Ok(chunks);
            }
            Some(Err(error)) => {
                writer.close(Some(error));
                return Err(Broken::Failed);
            }
            Some(Ok(frame)) => {
                let Some(data) = frame.data_ref() else {
                    // Trailers may hold anything, and a stored response has no place for them.
                    writer.push(frame);
                    writer.hand_over(body);
                    return Err(Broken::Uncacheable(Uncacheable::Trailers));
                };
                size += data.len();
                chunks.push(data.clone());
                let has_room = writer.push(frame);
                let why = if size > most {
                    Uncacheable::TooLarge
                } else if !has_room && !body.is_end_stream() {
                    Uncacheable::ReadAhead
                } else {
                    continue;
                };
                writer.hand_over(body);
                return Err(Broken::Uncacheable(why));
            }
        }
    }
}

//! A client's connection with limits of time: on a request, on the pause before the next one, and on a client that does not read.
//! What hyper replies to what is no request passes here, too, and is described (`unreadable`).

use std::io::{self, IoSlice};
use std::pin::Pin;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Waker, ready};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::time::{Sleep, sleep};

use super::unreadable::Described;

/// How long each may take.
#[derive(Debug, Clone, Copy)]
pub struct TimeLimits {
    /// From the first byte of a request to the end of its headers, and from the connection to its first byte
    pub request: Duration,
    /// From a reply to the next request on the same connection
    pub pause: Duration,
    /// In which a client takes none of what it is sent
    pub reading: Duration,
    /// For a document to be made
    pub document: Duration,
}

impl TimeLimits {
    /// Those of the daemon.
    pub const OF_DAEMON: Self = Self {
        request: Duration::from_secs(10),
        pause: Duration::from_secs(30),
        reading: Duration::from_secs(10),
        document: Duration::from_secs(60),
    };
}

/// The requests of a connection and its replies.
#[derive(Debug, Clone, Default)]
pub(super) struct Turns(Arc<Count>);

#[derive(Debug, Default)]
struct Count {
    /// Twice the requests that have come, and one less while a reply is on its way
    turns: AtomicUsize,
    /// Whom the end of a reply concerns: the time to the next request begins then
    waker: Mutex<Option<Waker>>,
}

/// A reply that is on its way, until it is dropped.
#[derive(Debug)]
pub(super) struct Turn(Turns);

impl Turns {
    /// A request has come.
    pub(super) fn begin(&self) -> Turn {
        self.0.turns.fetch_add(1, Ordering::Relaxed);
        Turn(self.clone())
    }

    fn waker(&self) -> MutexGuard<'_, Option<Waker>> {
        self.0.waker.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Turn {
    fn drop(&mut self) {
        self.0.0.turns.fetch_add(1, Ordering::Relaxed);
        if let Some(waker) = self.0.waker().take() {
            waker.wake();
        }
    }
}

/// A connection with its limits.
pub(super) struct Timed<S> {
    stream: S,
    limits: TimeLimits,
    turns: Turns,
    /// The turns when the client was last waited for
    seen: usize,
    /// Whether a part of a request has come
    has_begun: bool,
    /// When a request has to be complete, or to begin
    until_read: Option<Pin<Box<Sleep>>>,
    /// When the client has to take something
    until_written: Option<Pin<Box<Sleep>>>,
    described: Described,
}

impl<S> Timed<S> {
    pub(super) fn new(stream: S, limits: TimeLimits, turns: Turns) -> Self {
        let (until_read, until_written, described) = (None, None, Described::default());
        Self { stream, limits, turns, seen: 0, has_begun: false, until_read, until_written, described }
    }

    /// Whether the time for a request is over. None is waited for while a reply is on its way.
    fn is_late(&mut self, context: &mut Context<'_>) -> bool {
        let turns = self.turns.0.turns.load(Ordering::Relaxed);
        if turns != self.seen {
            (self.seen, self.has_begun, self.until_read) = (turns, false, None);
        }
        if turns % 2 == 1 {
            *self.turns.waker() = Some(context.waker().clone());
            return false;
        }
        let limit = if self.has_begun || turns == 0 { self.limits.request } else { self.limits.pause };
        is_over(&mut self.until_read, limit, context)
    }

    fn written(
        &mut self,
        context: &mut Context<'_>,
        result: Poll<io::Result<usize>>,
    ) -> Poll<io::Result<usize>> {
        if result.is_ready() {
            self.until_written = None;
            return result;
        }
        match is_over(&mut self.until_written, self.limits.reading, context) {
            true => Poll::Ready(Err(io::ErrorKind::TimedOut.into())),
            false => Poll::Pending,
        }
    }
}

/// Whether a time is over that begins with the first call.
fn is_over(until: &mut Option<Pin<Box<Sleep>>>, limit: Duration, context: &mut Context<'_>) -> bool {
    until.get_or_insert_with(|| Box::pin(sleep(limit))).as_mut().poll(context).is_ready()
}

impl<S: AsyncRead + Unpin> AsyncRead for Timed<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let before = buffer.filled().len();
        let result = Pin::new(&mut self.stream).poll_read(context, buffer);
        // Each byte of a request would begin the time anew, but for this: it is counted even where bytes have come.
        let is_late = self.is_late(context);
        if !self.has_begun && buffer.filled().len() > before {
            (self.has_begun, self.until_read) = (true, None);
        }
        match result {
            Poll::Pending if is_late => Poll::Ready(Err(io::ErrorKind::TimedOut.into())),
            result => result,
        }
    }
}

impl<S: AsyncWrite + Unpin> Timed<S> {
    /// Writes pieces, or what replaces them where they are a reply of hyper itself, which is a piece by itself.
    fn write(&mut self, context: &mut Context<'_>, pieces: &[IoSlice<'_>]) -> Poll<io::Result<usize>> {
        if let [head] = pieces
            && let Some(count) = ready!(self.described.poll_written(&mut self.stream, context, head))?
        {
            return Poll::Ready(Ok(count));
        }
        Pin::new(&mut self.stream).poll_write_vectored(context, pieces)
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Timed<S> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        let result = self.write(context, &[IoSlice::new(bytes)]);
        self.written(context, result)
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(context)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        pieces: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let result = self.write(context, pieces);
        self.written(context, result)
    }
}

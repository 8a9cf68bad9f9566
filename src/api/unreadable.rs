//! Gives a problem document to what hyper does not read as a request: hyper itself replies with a head alone.

use std::io::{self, IoSlice};
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use super::problem::{Problem, ProblemKind};

/// A stream on which those replies of hyper are replaced.
pub(super) struct Described<S> {
    stream: S,
    /// What is written in the place of a reply, until all of it is
    reply: Vec<u8>,
}

impl<S> Described<S> {
    pub(super) fn new(stream: S) -> Self {
        Self { stream, reply: Vec::new() }
    }
}

impl<S: AsyncWrite + Unpin> Described<S> {
    /// Writes what replaces `head`, if it is to be replaced; says then that all of `head` is written.
    fn poll_replaced(&mut self, context: &mut Context<'_>, head: &[u8]) -> Poll<io::Result<Option<usize>>> {
        if self.reply.is_empty() {
            match problem(head) {
                Some(problem) => self.reply = problem.reply().into_bytes(),
                None => return Poll::Ready(Ok(None)),
            }
        }
        while !self.reply.is_empty() {
            let count = ready!(Pin::new(&mut self.stream).poll_write(context, &self.reply))?;
            if count == 0 {
                return Poll::Ready(Err(io::ErrorKind::WriteZero.into()));
            }
            self.reply.drain(..count.min(self.reply.len()));
        }
        Poll::Ready(Ok(Some(head.len())))
    }
}

/// The problem that a reply of hyper itself is about. Those of this daemon have a policy for pages in each head.
fn problem(head: &[u8]) -> Option<Problem> {
    let head = std::str::from_utf8(head).ok()?;
    if !head.ends_with("\r\n\r\n") || head.contains("\r\ncontent-security-policy:") {
        return None;
    }
    let status = head.strip_prefix("HTTP/1.1 ")?.get(..3)?;
    [
        (ProblemKind::HeadTooLong, "the head of the request has too many headers, or is too long"),
        (ProblemKind::TooLong, "the target is too long"),
        (ProblemKind::BadRequest, "this is no request of HTTP/1.1"),
    ]
    .into_iter()
    .find(|(kind, _)| kind.status().as_str() == status)
    .map(|(kind, detail)| Problem::new(kind, detail))
}

impl<S: AsyncRead + Unpin> AsyncRead for Described<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_read(context, buffer)
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Described<S> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        match ready!(self.poll_replaced(context, bytes))? {
            Some(count) => Poll::Ready(Ok(count)),
            None => Pin::new(&mut self.stream).poll_write(context, bytes),
        }
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
        // Such a reply is a piece by itself.
        if let [head] = pieces
            && let Some(count) = ready!(self.poll_replaced(context, head))?
        {
            return Poll::Ready(Ok(count));
        }
        Pin::new(&mut self.stream).poll_write_vectored(context, pieces)
    }
}

//! Gives a problem document to what hyper does not read as a request: hyper itself replies with a head alone.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use tokio::io::AsyncWrite;

use super::problem::{Problem, ProblemKind};

/// What is written in the place of such a reply, until all of it is.
#[derive(Debug, Default)]
pub(super) struct Described(Vec<u8>);

impl Described {
    /// Writes what replaces `head`, if it is to be replaced; says then that all of `head` is written.
    pub(super) fn poll_written<S: AsyncWrite + Unpin>(
        &mut self,
        stream: &mut S,
        context: &mut Context<'_>,
        head: &[u8],
    ) -> Poll<io::Result<Option<usize>>> {
        if self.0.is_empty() {
            match problem(head) {
                Some(problem) => self.0 = problem.reply().into_bytes(),
                None => return Poll::Ready(Ok(None)),
            }
        }
        while !self.0.is_empty() {
            let count = ready!(Pin::new(&mut *stream).poll_write(context, &self.0))?;
            if count == 0 {
                return Poll::Ready(Err(io::ErrorKind::WriteZero.into()));
            }
            self.0.drain(..count.min(self.0.len()));
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

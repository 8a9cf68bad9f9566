//! Says over a connection what a check sends, and looks for what it expects.

use memchr::memmem::Finder;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};

use super::socket::failure;
use crate::health::Outcome;
use crate::model::Exchange;

/// So much of an answer is looked at.
pub(super) const LIMIT: usize = 64 * 1024;

/// What is sent, and what is looked for.
#[derive(Debug)]
pub(super) struct Conversation {
    send: Option<Vec<u8>>,
    expect: Option<Box<Finder<'static>>>,
}

impl Conversation {
    pub(super) fn new(exchange: &Exchange) -> Self {
        let expect = exchange.expect.as_ref().map(|expect| Box::new(Finder::new(expect).into_owned()));
        Self { send: exchange.send.clone(), expect }
    }

    /// What a datagram carries.
    pub(super) fn datagram(&self) -> &[u8] {
        self.send.as_deref().unwrap_or_default()
    }

    /// Whether an answer of any kind is needed.
    pub(super) fn has_expectation(&self) -> bool {
        self.expect.is_some()
    }

    /// Whether a whole answer is one that passes.
    pub(super) fn outcome(&self, answer: &[u8]) -> Outcome {
        match &self.expect {
            Some(expect) if expect.find(answer).is_none() => unexpected(),
            _ => Outcome::PASSED,
        }
    }

    /// Has it over a connection.
    pub(super) async fn over(
        &self,
        stream: &mut (impl AsyncRead + AsyncWrite + Unpin),
    ) -> Result<Outcome, Outcome> {
        let failed = |error: std::io::Error| failure(&error);
        if let Some(send) = &self.send {
            stream.write_all(send).await.map_err(failed)?;
            stream.flush().await.map_err(failed)?;
        }
        let Some(expect) = &self.expect else { return Ok(Outcome::PASSED) };
        let mut answer = Vec::new();
        let mut piece = [0; 4096];
        while answer.len() < LIMIT {
            let length = stream.read(&mut piece).await.map_err(failed)?;
            if length == 0 {
                break;
            }
            // What was looked for may begin in the last piece.
            let start = answer.len().saturating_sub(expect.needle().len());
            answer.extend(piece.get(..length).unwrap_or_default());
            if expect.find(answer.get(start..).unwrap_or_default()).is_some() {
                return Ok(Outcome::PASSED);
            }
        }
        Ok(unexpected())
    }
}

fn unexpected() -> Outcome {
    Outcome::Failed("the answer does not contain what is expected".into())
}

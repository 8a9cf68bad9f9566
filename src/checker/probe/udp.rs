//! Probes by a datagram: that there is no such port is a failure, and a wrong answer.

use std::net::IpAddr;
use std::time::Duration;

use tokio::time::timeout;

use super::answer::Conversation;
use super::socket::{connect_udp, failure};
use crate::health::{Endpoint, Outcome};
use crate::model::Exchange;

/// So much of an answer is looked at: thousands of probes may wait for theirs.
const LONGEST: usize = 4 * 1024;

/// A check of type `udp`.
#[derive(Debug)]
pub(super) struct Udp {
    source: Option<IpAddr>,
    conversation: Conversation,
}

impl Udp {
    pub(super) fn new(exchange: &Exchange, source: Option<IpAddr>) -> Self {
        Self { source, conversation: Conversation::new(exchange) }
    }

    /// Where no answer is expected, one that is missing within the time is a success, in which an ICMP error did not arrive either.
    pub(super) async fn probe(&self, target: Endpoint, time: Duration) -> Result<Outcome, Outcome> {
        let socket = connect_udp(target, self.source).await?;
        socket.send(self.conversation.datagram()).await.map_err(|error| failure(&error))?;
        let mut answer = vec![0; LONGEST];
        let received = socket.recv(&mut answer);
        let length = if self.conversation.has_expectation() {
            received.await
        } else {
            match timeout(time, received).await {
                Ok(length) => length,
                Err(_) => return Ok(Outcome::PASSED),
            }
        };
        let length = length.map_err(|error| failure(&error))?;
        Ok(self.conversation.outcome(answer.get(..length).unwrap_or_default()))
    }
}

//! Probes by a TCP connection, and by what is said over it.

use std::net::IpAddr;

use super::answer::Conversation;
use super::socket::connect;
use crate::health::{Endpoint, Outcome};
use crate::model::Exchange;

/// A check of type `tcp`.
#[derive(Debug)]
pub(super) struct Tcp {
    source: Option<IpAddr>,
    conversation: Conversation,
}

impl Tcp {
    pub(super) fn new(exchange: &Exchange, source: Option<IpAddr>) -> Self {
        Self { source, conversation: Conversation::new(exchange) }
    }

    pub(super) async fn probe(&self, target: Endpoint) -> Result<Outcome, Outcome> {
        let mut stream = connect(target, self.source).await?;
        self.conversation.over(&mut stream).await
    }
}

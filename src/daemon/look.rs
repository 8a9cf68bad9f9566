//! Looks, between two passes, for services that are gone, and for what drains and has no connections any more.

use std::time::{Duration, Instant};

use tracing::debug;

use super::pass::Passes;
use crate::error_chain::ErrorChain;
use crate::kernel::{Look, Loss};
use crate::reconcile;

/// The result of a look for services that are gone.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Looked {
    /// How far it went
    pub look: Look,
    /// What it found; nothing where it could not find out
    pub loss: Loss,
    /// Whether a server that drains has no connections any more
    pub has_drained: bool,
    /// How long it took
    pub cost: Duration,
}

impl Passes {
    /// Looks for services that the last pass has found and that are gone. What cannot be found out is left to the next resync.
    pub fn look(&mut self, look: Look) -> Looked {
        let began = Instant::now();
        let found = self.kernel.as_mut().map_or(Ok(Loss::None), |kernel| kernel.find_loss(look));
        let loss = found.unwrap_or_else(|error| {
            debug!("cannot look for lost services: {}", ErrorChain(&error));
            Loss::None
        });
        // A command that has the lock may be deleting services; what it leaves is seen by the next look.
        let loss = if loss == Loss::Certain && self.store.is_locked() { Loss::None } else { loss };
        Looked { look, loss, has_drained: self.look_at_drains(), cost: began.elapsed() }
    }

    /// Looks at the connections of what drains, and says whether a pass is due for it.
    fn look_at_drains(&mut self) -> bool {
        let (Some(kernel), false) = (&mut self.kernel, self.drains.is_empty()) else { return false };
        match kernel.read_services(&self.drains.services()) {
            Ok(live) => self.drains.look(&reconcile::live_connections(&live), (self.clock)()),
            Err(error) => {
                debug!("cannot look at what drains: {}", ErrorChain(&error));
                false
            }
        }
    }
}

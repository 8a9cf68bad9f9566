//! Writes into etcd what a director decides: a promotion, an outcome.

use std::time::SystemTime;

use tracing::{error, info, warn};

use super::{Agent, Step};
use crate::agent::controller::shown;
use crate::agent::etcd::EtcdError;
use crate::error_chain::ErrorChain;
use crate::escape::Escaped;
use crate::fleet::{Transaction, finish, forget, next_head, promote};

/// What is said where the task that follows etcd is gone.
const NOT_FOLLOWED: &str = "etcd is not followed any more; start the agent again";

impl Agent {
    pub(super) async fn transact(&self, transaction: Transaction) -> Result<bool, String> {
        let Some(follower) = &self.follower else { return Ok(false) };
        let done = follower.transact(transaction).await;
        done.map_err(|error| {
            error.map_or_else(|| NOT_FOLLOWED.to_owned(), |error| ErrorChain(&error).to_string())
        })
    }

    /// Carries out a transaction that is tried again with the next picture where its conditions did not apply.
    pub(super) async fn transact_or_rest(&mut self, transaction: Transaction) -> Step {
        match self.transact(transaction).await {
            Ok(_) => Step::Again,
            Err(error) => {
                self.rest(error, true);
                Step::Rest
            }
        }
    }

    pub(super) async fn promote(&mut self, revision: &str) -> Step {
        let (Some(view), Some(follower)) = (self.seen().view, &self.follower) else { return Step::Rest };
        let by = self.settings.name.clone();
        let head = next_head(&view, revision, &by, None, false, SystemTime::now());
        match follower.transact(promote(&view, &head)).await {
            Ok(_) => {
                info!(REVISION = %Escaped(revision), "made {} the revision of the fleet", Escaped(shown(revision)))
            }
            // It goes on with what others promote; `lbd agent sync` has it tried again.
            Err(Some(error @ EtcdError::Denied { .. })) => {
                warn!("{}; `lbd fleet promote` makes a revision that of the fleet", ErrorChain(&error));
                self.may_promote = false;
            }
            Err(error) => {
                self.rest(
                    error.map_or_else(|| NOT_FOLLOWED.to_owned(), |error| ErrorChain(&error).to_string()),
                    true,
                );
                return Step::Rest;
            }
        }
        Step::Again
    }

    pub(super) async fn forget_result(&mut self) -> Step {
        let Some(view) = self.seen().view else { return Step::Rest };
        info!("another file is in the place of the one that was verified");
        self.transact_or_rest(forget(&view, &self.settings.name)).await
    }

    pub(super) async fn report_outcome(&mut self) -> Step {
        let (Some(view), Some(outcome)) = (self.seen().view, self.state.to_report.clone()) else {
            return Step::Rest;
        };
        match self.transact(finish(&view, &self.settings.name, &outcome)).await {
            Ok(true) => {
                self.state.to_report = None;
                if let Err(error) = self.state.save(&self.directory) {
                    error!("{}", ErrorChain(&error));
                }
                Step::Again
            }
            Ok(false) => Step::Again,
            Err(error) => {
                self.rest(error, true);
                Step::Rest
            }
        }
    }
}

//! Starts, stops and restarts sync daemons, which the kernel cannot edit.

use super::Ipvs;
use super::codec::request::Request;
use crate::kernel::{KernelError, Refusal, explain};
use crate::model::{Operation, SyncDaemon, SyncRole};

impl Ipvs {
    /// Starts a sync daemon; returns the error number, 0 for success.
    pub(super) fn start_sync(&mut self, to: &SyncDaemon) -> Result<i32, KernelError> {
        if let Some(errno) = self.command(&Request::StartSync(to))? {
            return Ok(errno);
        }
        let runs = self.sync_daemons()?.iter().any(|daemon| daemon.is(to));
        Ok(if runs { 0 } else { libc::EINTR })
    }

    /// Stops a sync daemon; returns the error number, 0 for success.
    pub(super) fn stop_sync(&mut self, role: SyncRole) -> Result<i32, KernelError> {
        if let Some(errno) = self.command(&Request::StopSync(role))? {
            return Ok(errno);
        }
        // A daemon whose thread has not run yet is stopped, but without a reply (EINTR: seen on 5.10 to 7.2).
        let runs = self.sync_daemons()?.iter().any(|daemon| daemon.role == role);
        Ok(if runs { libc::EINTR } else { 0 })
    }

    /// Stops a sync daemon and starts it as another. Where that is refused, the old one is started again: better one
    /// that is not quite right than none.
    pub(super) fn restart_sync(
        &mut self,
        operation: &Operation,
        from: &SyncDaemon,
        to: &SyncDaemon,
    ) -> Result<Result<(), Refusal>, KernelError> {
        match self.stop_sync(from.role)? {
            // Another program stopped it already.
            0 | libc::ESRCH => {}
            errno => return Ok(Err(explain::refusal(operation, errno))),
        }
        let errno = self.start_sync(to)?;
        if errno == 0 {
            return Ok(Ok(()));
        }
        let again = self.start_sync(from)?;
        Ok(Err(explain::not_restarted(operation, errno, again)))
    }
}

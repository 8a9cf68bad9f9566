//! Starts, stops and restarts sync daemons, which the kernel cannot edit.

use super::Ipvs;
use super::codec::request::Request;
use crate::kernel::{KernelError, Refusals, explain};
use crate::model::{Operation, SyncDaemon, SyncOp, SyncRole};

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

    /// Restarts sync daemons, two of different roles together: both are stopped before one is started, since the kernel
    /// looks how many threads there are to be when the first one starts. Where the new one is refused, the old one is started
    /// again: better one that is not quite right than none.
    pub(super) fn restart_sync(&mut self, operations: &[Operation]) -> Result<Refusals, KernelError> {
        let (mut refusals, mut begin) = (Refusals::new(), 0);
        while let Some(rest) = operations.get(begin..).filter(|rest| !rest.is_empty()) {
            let together = match rest {
                [one, other, ..] if one.subject() != other.subject() => 2,
                _ => 1,
            };
            let mut stopped = Vec::new();
            for (place, operation) in operations.iter().enumerate().skip(begin).take(together) {
                let Operation::Sync(SyncOp::Restart { from, to, .. }) = operation else { continue };
                match self.stop_sync(from.role)? {
                    // Another program stopped it already.
                    0 | libc::ESRCH => stopped.push((place, operation, from, to)),
                    errno => drop(refusals.insert(place, explain::refusal(operation, errno))),
                }
            }
            for (place, operation, from, to) in stopped {
                let errno = self.start_sync(to)?;
                if errno != 0 {
                    let again = self.start_sync(from)?;
                    refusals.insert(place, explain::not_restarted(operation, errno, again));
                }
            }
            begin += together;
        }
        Ok(refusals)
    }
}

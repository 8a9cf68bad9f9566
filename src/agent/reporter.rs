//! Keeps the report of this director in etcd, under a lease: while it is there, the director is known to be alive.
//!
//! It has a connection of its own, and nothing waits for it: neither a file under way nor a slow source makes a director look dead.

use std::time::Duration;

use tokio::sync::watch;
use tokio::task::JoinHandle;
use tokio::time::{Instant, sleep_until, timeout};
use tracing::{info, warn};

use super::etcd::{Etcd, EtcdError, LeaseState};
use super::settings::EtcdSettings;
use crate::error_chain::ErrorChain;
use crate::fleet::{Report, Write, report, written};

/// How often the lease, which lasts 30 s, is kept.
const KEEP: Duration = Duration::from_secs(9);
/// How long a report is collected before it is written: what changes again meanwhile is written once.
const COLLECT: Duration = Duration::from_millis(500);
/// How long the end of the lease is waited for.
const PATIENCE: Duration = Duration::from_secs(2);

/// The task that keeps the report.
pub struct Reporter {
    sender: watch::Sender<Option<Report>>,
    task: JoinHandle<()>,
}

impl Reporter {
    /// Begins, without a report.
    pub fn start(director: &str, settings: EtcdSettings) -> Self {
        let (sender, receiver) = watch::channel(None);
        let task = tokio::spawn(keep(report(director), Etcd::new(settings), receiver));
        Self { sender, task }
    }

    /// Has this report written, unless it is the one of before but for its time.
    pub fn set(&self, report: Report) {
        self.sender.send_if_modified(|current| {
            let is_same =
                current.as_ref().is_some_and(|current| Report { at: report.at, ..current.clone() } == report);
            if !is_same {
                *current = Some(report);
            }
            !is_same
        });
    }

    /// Takes the report away: the director is known to be gone.
    pub async fn end(self) {
        drop(self.sender);
        let _ = timeout(PATIENCE, self.task).await;
    }
}

async fn keep(key: String, mut etcd: Etcd, mut receiver: watch::Receiver<Option<Report>>) {
    let mut due = Instant::now();
    let mut in_etcd: Option<Report> = None;
    let mut was_up = true;
    loop {
        tokio::select! {
            changed = receiver.changed() => match changed {
                // What it waits for changes with each director that ends, for all that wait: that goes with the next keep-alive.
                Ok(()) if is_about_waiting(in_etcd.as_ref(), receiver.borrow_and_update().as_ref()) => {}
                Ok(()) => due = due.min(Instant::now() + COLLECT),
                Err(_) => break,
            },
            () = sleep_until(due) => {
                let result = round(&key, &mut etcd, &mut receiver, &mut in_etcd).await;
                match &result {
                    Ok(()) if !was_up => info!("etcd takes the report of this director again"),
                    Err(error) if was_up => warn!("{}; the report of this director is not written", ErrorChain(error)),
                    Ok(()) | Err(_) => {}
                }
                was_up = result.is_ok();
                // Many directors lose etcd together, and come back one after the other.
                due = Instant::now() + KEEP.mul_f64(if was_up { 1.0 } else { 0.2 + 0.3 * fastrand::f64() });
            }
        }
    }
    let _ = etcd.end_lease().await;
}

async fn round(
    key: &str,
    etcd: &mut Etcd,
    receiver: &mut watch::Receiver<Option<Report>>,
    in_etcd: &mut Option<Report>,
) -> Result<(), EtcdError> {
    if etcd.keep_lease().await? == LeaseState::New {
        *in_etcd = None;
    }
    let report = receiver.borrow_and_update().clone();
    if let Some(report) = report.filter(|report| in_etcd.as_ref() != Some(report)) {
        let value = written(&report);
        etcd.transact(&[], &[Write::Put { key: key.to_owned(), value, is_leased: true }]).await?;
        *in_etcd = Some(report);
    }
    Ok(())
}

/// Whether a report differs from the one in etcd in nothing but what the director waits for.
fn is_about_waiting(before: Option<&Report>, now: Option<&Report>) -> bool {
    let (Some(before), Some(now)) = (before, now) else { return false };
    Report { doing: before.doing.clone(), since: before.since, at: before.at, ..now.clone() } == *before
}

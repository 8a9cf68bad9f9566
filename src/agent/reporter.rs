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
/// How seldom a report is written that differs in nothing but what a director waits for, which has nothing under way: that changes with each director
/// that ends, for all that wait, and each of them reads the reports of all.
const WAITING: Duration = Duration::from_secs(60);
/// How long the end of the lease is waited for.
const PATIENCE: Duration = Duration::from_secs(2);

/// A report, and whether the director has nothing under way.
type Wanted = Option<(Report, bool)>;
/// A report in etcd, and when it was written.
type Written = Option<(Report, Instant)>;

/// The task that keeps the report.
pub struct Reporter {
    sender: watch::Sender<Wanted>,
    task: JoinHandle<()>,
}

impl Reporter {
    /// Begins, without a report.
    pub fn start(director: &str, settings: EtcdSettings) -> Self {
        let (sender, receiver) = watch::channel(None);
        let task = tokio::spawn(keep(report(director), Etcd::new(settings), receiver));
        Self { sender, task }
    }

    /// Has this report written, unless it is the one of before but for its time; `is_idle` is whether the director has nothing under way.
    pub fn set(&self, report: Report, is_idle: bool) {
        self.sender.send_if_modified(|current| {
            let is_same = current.as_ref().is_some_and(|(current, was_idle)| {
                *was_idle == is_idle && Report { at: report.at, ..current.clone() } == report
            });
            if !is_same {
                *current = Some((report, is_idle));
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

async fn keep(key: String, mut etcd: Etcd, mut receiver: watch::Receiver<Wanted>) {
    let mut due = Instant::now();
    let mut in_etcd: Written = None;
    let mut was_up = true;
    loop {
        tokio::select! {
            changed = receiver.changed() => match changed {
                Ok(()) if !is_due(&in_etcd, &receiver.borrow_and_update()) => {}
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
    receiver: &mut watch::Receiver<Wanted>,
    in_etcd: &mut Written,
) -> Result<(), EtcdError> {
    if etcd.keep_lease().await? == LeaseState::New {
        *in_etcd = None;
    }
    let wanted = receiver.borrow_and_update().clone();
    if is_due(in_etcd, &wanted)
        && let Some((report, _)) = wanted
    {
        let value = written(&report);
        etcd.transact(&[], &[Write::Put { key: key.to_owned(), value, is_leased: true }]).await?;
        *in_etcd = Some((report, Instant::now()));
    }
    Ok(())
}

/// Whether a report is to be written now.
fn is_due(in_etcd: &Written, wanted: &Wanted) -> bool {
    let (Some((before, at)), Some((report, is_idle))) = (in_etcd, wanted) else { return wanted.is_some() };
    let is_about_waiting =
        Report { doing: before.doing.clone(), since: before.since, at: before.at, ..report.clone() }
            == *before;
    report != before && !(*is_idle && is_about_waiting && at.elapsed() < WAITING)
}

#[cfg(test)]
mod tests {
    use std::time::SystemTime;

    use super::*;
    use crate::fleet::Version;

    #[test]
    fn what_a_director_waits_for_is_written_seldom_and_all_else_at_once() {
        let now = SystemTime::now().into();
        let report = |doing: &str, in_sync: bool| Report {
            version: Version,
            at: now,
            agent: "1".to_owned(),
            labels: std::collections::BTreeMap::new(),
            revision: Some("r1".to_owned()),
            verified_sha256: None,
            in_sync: Some(in_sync),
            doing: doing.to_owned(),
            since: now,
            error: None,
            paused: None,
            source_down_since: None,
            plan: None,
        };
        let before = |ago: u64| {
            let at = Instant::now().checked_sub(Duration::from_secs(ago)).unwrap();
            Some((report("waits for lb1", true), at))
        };
        let wanted = |doing: &str, in_sync: bool, is_idle: bool| Some((report(doing, in_sync), is_idle));
        assert!(!is_due(&before(1), &None));
        assert!(is_due(&None, &wanted("waits for lb1", true, true)));
        assert!(!is_due(&before(99), &wanted("waits for lb1", true, true)), "it is there");
        assert!(!is_due(&before(59), &wanted("waits for lb2", true, true)));
        assert!(is_due(&before(61), &wanted("waits for lb2", true, true)));
        assert!(is_due(&before(1), &wanted("waits for lb2", false, true)), "not in sync");
        assert!(is_due(&before(1), &wanted("r2 is in place", true, false)), "under way");
    }
}

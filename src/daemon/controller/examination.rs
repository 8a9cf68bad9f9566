//! Decides when the host is examined, and which of its warnings are logged: each once when it appears and once when it is over.

use std::sync::Arc;
use std::time::Duration;

use tokio::time::Instant;
use tracing::{info, warn};

use super::Controller;
use crate::daemon::event::DaemonAction;
use crate::daemon::findings::Examination;
use crate::status::{HostFindings, Warning};

/// After an examination there is none for this many times its duration, unless a pass has read the kernel: a two-hundredth of the time.
const IDLE_RATIO: u32 = 200;
/// The same after a pass that has read the kernel.
const PASS_IDLE_RATIO: u32 = 20;

/// When the host is examined: after each full pass, and again when the resync interval is over.
#[derive(Debug)]
pub(super) struct Schedule {
    /// When an examination is due; none before the first full pass, and none while one runs
    next: Option<Instant>,
    is_running: bool,
    /// Whether a full pass has ended while one ran
    is_outdated: bool,
    /// Whether that was a pass for a reload
    is_requested: bool,
    /// Not examined again before
    not_before: Instant,
}

impl Schedule {
    /// Nothing is due before a pass has ended.
    pub(super) fn new(now: Instant) -> Self {
        Self { next: None, is_running: false, is_outdated: false, is_requested: false, not_before: now }
    }

    /// When [`Self::begins`] is to be called, if an examination is due at some time.
    pub(super) fn deadline(&self) -> Option<Instant> {
        self.next
    }

    /// Takes in that a pass has read the kernel, for a reload or by itself: what the operator requests has no time to wait for.
    pub(super) fn full_pass_ended(&mut self, answers_reload: bool, now: Instant) {
        let at = if answers_reload { now } else { now.max(self.not_before) };
        if self.is_running {
            self.is_outdated = true;
            self.is_requested |= answers_reload;
        } else {
            self.next = Some(self.next.map_or(at, |next| next.min(at)));
        }
    }

    /// Whether an examination begins now.
    pub(super) fn begins(&mut self, now: Instant) -> bool {
        let begins = self.next.take_if(|next| *next <= now).is_some();
        self.is_running |= begins;
        begins
    }

    fn ended(&mut self, cost: Duration, resync: Duration, now: Instant) {
        self.is_running = false;
        self.not_before = now + cost * PASS_IDLE_RATIO;
        let is_outdated = std::mem::take(&mut self.is_outdated);
        let is_requested = std::mem::take(&mut self.is_requested);
        let wait = resync.max(cost * IDLE_RATIO);
        self.next = Some(match is_outdated {
            true if is_requested => now,
            true => self.not_before,
            false => now + wait,
        });
    }
}

impl Controller {
    /// Takes in that a pass has read the kernel: the host around it is to be examined, where it is known for which state.
    pub(super) fn host_may_differ(&mut self, answers_reload: bool, now: Instant) {
        if self.goal.is_some() {
            self.examination.full_pass_ended(answers_reload, now);
        }
    }

    /// Has the host examined, if that is due.
    pub(super) fn examine_host(&mut self, now: Instant) {
        if self.examination.begins(now)
            && let Some(goal) = &self.goal
        {
            self.actions.push(DaemonAction::ExamineHost(Arc::clone(&goal.desired)));
        }
    }

    /// Takes in the result of an examination: the log and the status have it.
    pub(super) fn finish_examination(&mut self, examination: Examination, now: Instant) {
        let Examination { findings, undecided, cost } = examination;
        self.examination.ended(cost, self.policy().resync, now);
        let before = self.status.host.take().unwrap_or_default();
        let Changes { findings, begun, over, unseen } = changes(before, findings, &undecided);
        for warning in &begun {
            let Warning { code, subjects: _, count: _, cause, advice } = warning;
            warn!(code, subject = warning.subject(), cause, advice, "{warning}");
        }
        for warning in &over {
            let Warning { code, subjects: _, count: _, cause, advice: _ } = warning;
            info!(code, subject = warning.subject(), cause, "no longer: {}", warning.message());
        }
        for text in &unseen {
            info!("not examined: {text}");
        }
        self.status.host = Some(findings);
        self.write_status();
        self.notify_status();
    }
}

/// What an examination found, compared with the one before.
#[derive(Debug, PartialEq, Eq)]
struct Changes {
    /// What is found now
    findings: HostFindings,
    /// Warnings that were not there before
    begun: Vec<Warning>,
    /// Warnings that are not there any more
    over: Vec<Warning>,
    /// What could be examined before
    unseen: Vec<String>,
}

/// Compares what was found with what was found before. A warning is the same as long as its kind and its cause are, whatever it
/// is about; one of an undecided kind that is missing stays.
fn changes(before: HostFindings, mut found: HostFindings, undecided: &[&str]) -> Changes {
    let has = |warnings: &[Warning], warning: &Warning| warnings.iter().any(|other| other.is_same(warning));
    let begun = found.warnings.iter().filter(|warning| !has(&before.warnings, warning)).cloned().collect();
    let gone = before.warnings.into_iter().filter(|warning| !has(&found.warnings, warning));
    let (kept, over) = gone.partition(|warning| undecided.contains(&warning.code.as_str()));
    let is_new = |text: &&String| !before.not_examined.contains(text);
    let unseen = found.not_examined.iter().filter(is_new).cloned().collect();
    let kept: Vec<Warning> = kept;
    found.warnings.extend(kept);
    Changes { findings: found, begun, over, unseen }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn warning(code: &str, subject: &str, cause: &str) -> Warning {
        Warning::new(code, std::iter::once(subject), cause, "way out")
    }

    fn found(warnings: &[Warning], not_examined: &[&str]) -> HostFindings {
        HostFindings::new(warnings.to_vec(), not_examined.iter().map(|text| (*text).to_owned()))
    }

    #[test]
    fn a_warning_begins_once_and_is_over_once_whatever_it_is_about_meanwhile() {
        let (one, other) = (warning("a", "x", "why"), warning("b", "x", "why"));
        let compared = |before: &[Warning], after: &[Warning]| {
            let Changes { findings, begun, over, unseen } =
                changes(found(before, &[]), found(after, &[]), &[]);
            assert_eq!((findings, unseen), (found(after, &[]), vec![]));
            (begun, over)
        };
        assert_eq!(compared(&[], std::slice::from_ref(&one)), (vec![one.clone()], vec![]));
        assert_eq!(compared(std::slice::from_ref(&one), &[warning("a", "y", "why")]), (vec![], vec![]));
        let both = [one.clone(), other.clone()];
        assert_eq!(compared(&both, std::slice::from_ref(&other)), (vec![], vec![one.clone()]));
        let another = warning("a", "x", "for another reason");
        assert_eq!(
            compared(std::slice::from_ref(&one), std::slice::from_ref(&another)),
            (vec![another], vec![one])
        );
    }

    #[test]
    fn what_could_not_be_read_ends_no_warning_and_is_named_once() {
        let before = [warning("rules", "x", "why"), warning("routes", "x", "why")];
        let first = changes(found(&before, &[]), found(&[], &["cannot read rules"]), &["rules"]);
        let expected = Changes {
            findings: found(&before[..1], &["cannot read rules"]),
            begun: vec![],
            over: before[1..].to_vec(),
            unseen: vec!["cannot read rules".to_owned()],
        };
        assert_eq!(first, expected);
        let second = changes(expected.findings.clone(), found(&[], &["cannot read rules"]), &["rules"]);
        let again = Changes { over: vec![], unseen: vec![], ..expected };
        assert_eq!(second, again);
        let last = changes(again.findings, found(&[], &[]), &[]);
        assert_eq!((last.findings, last.over), (found(&[], &[]), before[..1].to_vec()));
    }
}

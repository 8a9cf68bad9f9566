//! Detects that another program keeps reverting an entry, and repairs it at growing intervals.

use std::collections::{HashMap, HashSet};
use std::time::Duration;

use tokio::time::Instant;

use crate::model::{Operation, Subject};

/// The number of repairs of one entry that make a conflict, if each follows soon after the one before.
const CONFLICT: u32 = 3;
/// How many intervals an entry must stay unchanged to be forgotten.
const REACH: u32 = 4;
/// The longest time between two repairs of an entry with a conflict.
const LONGEST: Duration = Duration::from_secs(3600);

/// The entries that were repaired.
#[derive(Debug, Default)]
pub(super) struct Conflicts {
    entries: HashMap<Subject, RepairHistory>,
}

#[derive(Debug)]
struct RepairHistory {
    repairs: u32,
    /// How soon its drift is noticed: the shortest interval so far
    interval: Duration,
    /// Not repaired again before
    backs_off_until: Instant,
    /// Forgotten when nothing happens until
    lasts_until: Instant,
}

impl Conflicts {
    /// Records that drift of an entry was repaired; returns whether it has just become a conflict. `interval` is how soon such
    /// drift is noticed.
    pub(super) fn repaired(&mut self, operation: &Operation, interval: Duration, now: Instant) -> bool {
        let history = self.entries.entry(operation.subject()).or_insert(RepairHistory {
            repairs: 0,
            interval,
            backs_off_until: now,
            lasts_until: now,
        });
        history.repairs = history.repairs.saturating_add(1);
        history.interval = history.interval.min(interval);
        let interval = history.interval;
        let pause = match history.repairs.checked_sub(CONFLICT) {
            None => Duration::ZERO,
            Some(over) => interval.saturating_mul(2_u32.saturating_pow(over.saturating_add(1))).min(LONGEST),
        };
        history.backs_off_until = now + pause;
        history.lasts_until = now + pause.max(interval) + interval.saturating_mul(REACH);
        history.repairs == CONFLICT
    }

    /// The entries that are not to be repaired now.
    pub(super) fn backing_off(&self, now: Instant) -> HashSet<Subject> {
        let backs_off = |(_, history): &(&Subject, &RepairHistory)| now < history.backs_off_until;
        self.entries.iter().filter(backs_off).map(|(subject, _)| subject.clone()).collect()
    }

    /// When the first of the entries that are not to be repaired now may be.
    pub(super) fn first_due(&self, now: Instant) -> Option<Instant> {
        self.entries.values().map(|history| history.backs_off_until).filter(|until| now < *until).min()
    }

    /// Forgets the entries that have stayed unchanged.
    pub(super) fn forget_old(&mut self, now: Instant) {
        self.entries.retain(|_, history| now < history.lasts_until);
    }

    /// Forgets everything: after a change of the file the entries are new ones.
    pub(super) fn forget_all(&mut self) {
        self.entries.clear();
    }

    /// The entries with a conflict, as text, sorted.
    pub(super) fn list(&self) -> Vec<String> {
        let conflicts = self.entries.iter().filter(|(_, history)| history.repairs >= CONFLICT);
        let mut list: Vec<String> = conflicts.map(|(subject, _)| subject.to_string()).collect();
        list.sort();
        list
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::ServiceOp;

    const INTERVAL: Duration = Duration::from_secs(30);

    fn operation(port: u16) -> Operation {
        Operation::Service(ServiceOp::Delete { service: format!("tcp://10.0.0.13:{port}").parse().unwrap() })
    }

    fn backs_off(conflicts: &Conflicts, port: u16, now: Instant) -> bool {
        conflicts.backing_off(now).contains(&operation(port).subject())
    }

    #[test]
    fn the_third_repair_is_a_conflict_and_then_the_pauses_double_up_to_an_hour() {
        let mut conflicts = Conflicts::default();
        let mut now = Instant::now();
        let mut pauses = Vec::new();
        let mut alarms = 0;
        for _ in 0..11 {
            alarms += u32::from(conflicts.repaired(&operation(80), INTERVAL, now));
            let begin = now;
            // A pass runs at every interval, and the entry was reverted each time.
            loop {
                now += INTERVAL;
                conflicts.forget_old(now);
                if !backs_off(&conflicts, 80, now) {
                    break;
                }
            }
            pauses.push((now - begin).as_secs() / 30);
        }
        assert_eq!(pauses, [1, 1, 2, 4, 8, 16, 32, 64, 120, 120, 120]);
        assert_eq!(alarms, 1);
        assert_eq!(conflicts.list(), ["tcp://10.0.0.13:80"]);
    }

    #[test]
    fn another_entry_and_one_that_stayed_unchanged_are_repaired_at_once() {
        let mut conflicts = Conflicts::default();
        let now = Instant::now();
        for _ in 0..5 {
            conflicts.repaired(&operation(80), INTERVAL, now);
        }
        assert!(backs_off(&conflicts, 80, now));
        assert!(!backs_off(&conflicts, 81, now));
        conflicts.forget_old(now + LONGEST);
        assert!(!backs_off(&conflicts, 80, now));
        assert_eq!(conflicts.list(), Vec::<String>::new());
    }
}

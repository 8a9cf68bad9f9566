//! Recognises that somebody else sets an entry back again and again, and lets lbd's repairs grow rarer.

use std::collections::HashMap;
use std::time::{Duration, Instant};

use crate::model::{Operation, Subject};

/// From so many repairs of one entry on, each within reach of the one before, it is a fight.
const FIGHT: u32 = 3;
/// How many intervals an entry has to keep still to be forgotten.
const REACH: u32 = 4;
/// The longest time between two repairs of an entry that is fought over.
const LONGEST: Duration = Duration::from_secs(3600);

/// What is known of the entries that were repaired.
#[derive(Debug, Default)]
pub(super) struct Fights {
    entries: HashMap<Subject, Bout>,
}

#[derive(Debug)]
struct Bout {
    repairs: u32,
    /// Not to be repaired again before
    rests_until: Instant,
    /// Forgotten when nothing happens until
    lasts_until: Instant,
}

impl Fights {
    /// Notes that drift of an entry was repaired, and tells whether that made it a fight just now. `interval` is the
    /// usual time between two looks.
    pub(super) fn repaired(&mut self, operation: &Operation, interval: Duration, now: Instant) -> bool {
        let bout = self.entries.entry(operation.subject()).or_insert(Bout {
            repairs: 0,
            rests_until: now,
            lasts_until: now,
        });
        bout.repairs = bout.repairs.saturating_add(1);
        let rest = match bout.repairs.checked_sub(FIGHT) {
            None => Duration::ZERO,
            Some(over) => interval.saturating_mul(2_u32.saturating_pow(over.saturating_add(1))).min(LONGEST),
        };
        bout.rests_until = now + rest;
        bout.lasts_until = now + rest.max(interval) + interval.saturating_mul(REACH);
        bout.repairs == FIGHT
    }

    /// Whether an operation has to wait, since its entry was repaired too often.
    pub(super) fn rests(&self, operation: &Operation, now: Instant) -> bool {
        self.entries.get(&operation.subject()).is_some_and(|bout| now < bout.rests_until)
    }

    /// Forgets the entries that have kept still.
    pub(super) fn calm_down(&mut self, now: Instant) {
        self.entries.retain(|_, bout| now < bout.lasts_until);
    }

    /// Forgets everything: the file has changed, and with it what is right.
    pub(super) fn forget(&mut self) {
        self.entries.clear();
    }

    /// The entries that are fought over, as text, sorted.
    pub(super) fn list(&self) -> Vec<String> {
        let fought = self.entries.iter().filter(|(_, bout)| bout.repairs >= FIGHT);
        let mut list: Vec<String> = fought.map(|(subject, _)| subject.to_string()).collect();
        list.sort();
        list
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const INTERVAL: Duration = Duration::from_secs(30);

    fn operation(port: u16) -> Operation {
        Operation::DeleteService { service: format!("tcp://10.0.0.13:{port}").parse().unwrap() }
    }

    #[test]
    fn the_third_repair_is_a_fight_and_then_the_rests_double_up_to_an_hour() {
        let mut fights = Fights::default();
        let mut now = Instant::now();
        let mut rests = Vec::new();
        let mut alarms = 0;
        for _ in 0..11 {
            alarms += u32::from(fights.repaired(&operation(80), INTERVAL, now));
            let begin = now;
            // The daemon looks at every interval, and somebody has set it back each time.
            loop {
                now += INTERVAL;
                fights.calm_down(now);
                if !fights.rests(&operation(80), now) {
                    break;
                }
            }
            rests.push((now - begin).as_secs() / 30);
        }
        assert_eq!(rests, [1, 1, 2, 4, 8, 16, 32, 64, 120, 120, 120]);
        assert_eq!(alarms, 1);
        assert_eq!(fights.list(), ["tcp://10.0.0.13:80"]);
    }

    #[test]
    fn another_entry_and_one_that_kept_still_are_repaired_at_once() {
        let mut fights = Fights::default();
        let now = Instant::now();
        for _ in 0..5 {
            fights.repaired(&operation(80), INTERVAL, now);
        }
        assert!(fights.rests(&operation(80), now));
        assert!(!fights.rests(&operation(81), now));
        fights.calm_down(now + LONGEST);
        assert!(!fights.rests(&operation(80), now));
        assert_eq!(fights.list(), Vec::<String>::new());
    }
}

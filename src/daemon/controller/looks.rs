//! Decides when it is looked whether services are gone, and how far: numbers each second, lists as far as they cost next to nothing;
//! and with it whether what drains still has connections.

use std::time::Duration;

use tokio::time::Instant;

use super::{Controller, EVENT_IDLE_RATIO, IDLE_RATIO};
use crate::daemon::event::DaemonAction;
use crate::daemon::look::Looked;
use crate::kernel::{Look, Loss};
use crate::status::PassReason;

/// From the end of one look to the next.
const INTERVAL: Duration = Duration::from_secs(1);
/// After a look at the lists there is none for this many times its duration: lists take a five-hundredth of the time, however many
/// services there are.
const LISTS_IDLE_RATIO: u32 = 500;
/// The longest pause of the looks, and how soon their drift is noticed again at the latest, whatever the resync interval is.
const LONGEST: Duration = Duration::from_secs(30);

/// When services that are gone are looked for.
#[derive(Debug)]
pub(super) struct Looks {
    /// When the next one is due
    next: Instant,
    is_running: bool,
    /// Whether a number has changed that no list has explained yet
    is_suspicious: bool,
    /// When the lists cost next to nothing
    lists_due: Instant,
    /// When they may be looked at if a number has changed
    lists_allowed: Instant,
}

impl Looks {
    pub(super) fn new(now: Instant) -> Self {
        Self { next: now, is_running: false, is_suspicious: false, lists_due: now, lists_allowed: now }
    }

    /// When [`Self::begins`] is to be called; not while one runs.
    fn deadline(&self) -> Option<Instant> {
        (!self.is_running).then_some(self.next)
    }

    /// The look that begins now, if one is due.
    fn begins(&mut self, now: Instant) -> Option<Look> {
        self.deadline().filter(|next| *next <= now)?;
        self.is_running = true;
        let lists = self.lists_due <= now || self.is_suspicious && self.lists_allowed <= now;
        Some(if lists { Look::Lists } else { Look::Numbers })
    }

    fn ended(&mut self, Looked { look, loss, has_drained: _, cost }: Looked, now: Instant) {
        self.is_running = false;
        self.next = now + INTERVAL.max(cost * IDLE_RATIO);
        match (look, loss) {
            (Look::Numbers, Loss::Possible) => {
                self.is_suspicious = true;
                self.next = now.max(self.lists_allowed);
            }
            (Look::Numbers, Loss::None | Loss::Certain) => {}
            (Look::Lists, loss) => {
                self.lists_due = now + cost * LISTS_IDLE_RATIO;
                self.lists_allowed = now + cost * IDLE_RATIO;
                self.is_suspicious = loss == Loss::Possible;
            }
        }
    }

    /// Takes in that a pass has read all services. A pass for services that were gone which did nothing is followed by a pause: they were
    /// there again, their repair is deferred, or the kernel refuses it.
    pub(super) fn full_pass_ended(
        &mut self,
        cost: Duration,
        was_in_vain: bool,
        resync: Duration,
        now: Instant,
    ) {
        self.is_suspicious = false;
        let pause = if was_in_vain { resync.min(LONGEST) } else { INTERVAL };
        self.next = now + pause.max(cost * EVENT_IDLE_RATIO);
    }
}

/// How soon drift like that of a pass for this reason is noticed again.
pub(super) fn interval(reason: PassReason, resync: Duration) -> Duration {
    match reason {
        PassReason::Services => resync.min(LONGEST),
        PassReason::Checks
        | PassReason::Resync
        | PassReason::Ruleset
        | PassReason::Retry
        | PassReason::Link
        | PassReason::Condition
        | PassReason::Requested
        | PassReason::File
        | PassReason::Start => resync,
    }
}

impl Controller {
    /// When the next look is due. None while a pass runs, which reads all services itself, nor where there is nothing to lose.
    pub(super) fn next_look(&self) -> Option<Instant> {
        let has_services = self.goal.as_ref().is_some_and(|goal| !goal.desired.state.services.is_empty());
        self.looks.deadline().filter(|_| (has_services || self.drains) && self.running.is_none())
    }

    /// Looks for services that are gone, if that is due.
    pub(super) fn look(&mut self, now: Instant) {
        if self.next_look().is_some()
            && let Some(look) = self.looks.begins(now)
        {
            self.actions.push(DaemonAction::Look(look));
        }
    }

    /// Takes in the result of a look. A pass that was started meanwhile has yet to read the services.
    pub(super) fn finish_look(&mut self, looked: Looked, now: Instant) {
        self.looks.ended(looked, now);
        if self.running.is_none() {
            if looked.loss == Loss::Certain {
                self.request_pass(PassReason::Services);
            }
            if looked.has_drained {
                self.request_pass(PassReason::Condition);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What is looked at when, in milliseconds, until a time; a look at the lists takes `lists`, and what is found is up to `finds`.
    fn looked(until: u64, lists: Duration, mut finds: impl FnMut(Look, u64) -> Loss) -> Vec<(Look, u64)> {
        let begin = Instant::now();
        let mut looks = Looks::new(begin);
        looks.full_pass_ended(Duration::ZERO, false, LONGEST, begin);
        let (mut now, mut looked) = (begin, Vec::new());
        let at = |now: Instant| (now - begin).as_millis() as u64;
        while let Some(next) = looks.deadline().filter(|next| at(*next) <= until) {
            assert!(next > now || looked.len() < 100, "it does not rest");
            let look = looks.begins(next).unwrap();
            assert_eq!((looks.begins(next), looks.deadline()), (None, None), "one at a time");
            looked.push((look, at(next)));
            let cost = if look == Look::Lists { lists } else { Duration::ZERO };
            now = next + cost;
            let loss = finds(look, at(next));
            looks.ended(Looked { look, loss, has_drained: false, cost }, now);
        }
        looked
    }

    #[test]
    fn short_lists_are_looked_at_each_second() {
        let looked = looked(3_999, Duration::from_millis(1), |_, _| Loss::None);
        assert_eq!(looked, [1_000, 2_001, 3_002].map(|at| (Look::Lists, at)));
    }

    #[test]
    fn long_lists_are_looked_at_rarely_and_where_a_number_has_changed() {
        let lists = Duration::from_millis(10);
        let calm = looked(7_999, lists, |_, _| Loss::None);
        let expected = [1_000, 2_010, 3_010, 4_010, 5_010, 6_010, 7_020]
            .map(|at| (if [1_000, 6_010].contains(&at) { Look::Lists } else { Look::Numbers }, at));
        assert_eq!(calm, expected);
        // At once; but where the numbers change all the time, no more than a twentieth of the time.
        let changes = |look, at| {
            if look == Look::Numbers && (3_000..3_500).contains(&at) { Loss::Possible } else { Loss::None }
        };
        let expected = [
            (Look::Lists, 1_000),
            (Look::Numbers, 2_010),
            (Look::Numbers, 3_010),
            (Look::Lists, 3_010),
            (Look::Numbers, 4_020),
        ];
        assert_eq!(looked(4_999, lists, changes), expected);
        let lists = Duration::from_millis(200);
        let always =
            looked(14_999, lists, |look, _| if look == Look::Numbers { Loss::Possible } else { Loss::None });
        let lists: Vec<u64> =
            always.iter().filter(|(look, _)| *look == Look::Lists).map(|(_, at)| *at).collect();
        assert_eq!(lists, [1_000, 5_200, 9_400, 13_600]);
    }
}

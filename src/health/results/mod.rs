//! Adds up the results of probes to verdicts, and decides when each probe is due; pure, all times are handed in.

mod history;
mod obstacle;
#[cfg(test)]
mod tests;
mod uplink;

use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet, BinaryHeap, HashMap};
use std::hash::BuildHasher;
use std::time::Duration;

use compact_str::{CompactString, format_compact};
use foldhash::fast::{FixedState, RandomState};

use self::history::History;
use self::obstacle::{Hindered, Obstacle};
use self::uplink::{Seen, Uplink};
use super::bounds::JITTER;
use super::probe::{Endpoint, ProbeKey, ProbedCheck, Probes};
use super::verdict::{ExecWeight, ProbeResults, Verdicts};
use crate::model::Timing;
use crate::status::Timestamp;

/// A probe that begins so many milliseconds after it was due is late.
const LATE: u64 = 1_000;
/// How many new probes begin in a millisecond at most, so that many do not begin at once.
const NEW_EACH_MILLISECOND: u64 = 2;
/// How many warnings are written one by one.
const WARNINGS: usize = 20;

/// A moment.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Moment {
    /// Milliseconds since the boot
    pub since_boot: u64,
    /// The same by the wall clock
    pub wall: Timestamp,
}

/// What one probe has shown.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Outcome {
    /// The server does what is expected.
    Passed {
        /// The weight that a program has printed
        weight: Option<ExecWeight>,
        /// What an operator should know, such as a certificate that ends soon
        warning: Option<CompactString>,
    },
    /// It does not, and why, such as `status 503`.
    Failed(CompactString),
    /// The checker could not probe it, and why: no verdict.
    Own(CompactString),
    /// The checker itself was too slow for the answer: no verdict.
    Lagged,
}

impl Outcome {
    /// Passed, and nothing else to say.
    pub const PASSED: Self = Self::Passed { weight: None, warning: None };
}

/// A probe to begin.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Start {
    /// Which one
    pub key: ProbeKey,
    /// The place of its check in [`Checks::checks`]
    pub check: usize,
}

/// One probe.
#[derive(Debug)]
struct Slot {
    key: ProbeKey,
    check: usize,
    /// The number of its target
    target: usize,
    /// When it is due, in milliseconds since the boot
    due: u64,
    /// Whether it has begun, and is in no queue
    is_in_flight: bool,
    /// Whether that was late
    is_late: bool,
    /// From it come the phase and the jitter
    noise: u64,
    /// Whether its verdict would be "failing" if the director's own network were not suspected
    is_delayed: bool,
    history: History,
}

/// All probes, with what is known by them.
#[derive(Debug)]
pub struct Checks {
    probes: Probes,
    hash: String,
    /// How many distinct targets there are
    targets: usize,
    slots: Vec<Slot>,
    places: HashMap<ProbeKey, usize, RandomState>,
    queue: BinaryHeap<Reverse<(u64, usize)>>,
    /// The slots that have something to say
    noted: BTreeSet<usize>,
    obstacles: BTreeMap<usize, Obstacle>,
    hindered: Hindered,
    warnings: BTreeMap<usize, CompactString>,
    /// How many verdicts are delayed
    delayed: usize,
    uplink: Uplink,
    seed: u64,
}

impl Checks {
    /// Those of these probes; nothing is known yet. Phases and jitter come from the seed.
    pub fn new(probes: Probes, seed: u64, now: Moment) -> Self {
        let mut checks = Self {
            probes: Probes::default(),
            hash: String::new(),
            targets: 0,
            slots: Vec::new(),
            places: HashMap::default(),
            queue: BinaryHeap::new(),
            noted: BTreeSet::new(),
            obstacles: BTreeMap::new(),
            hindered: Hindered::default(),
            warnings: BTreeMap::new(),
            delayed: 0,
            uplink: Uplink::default(),
            seed,
        };
        checks.change(probes, now);
        checks
    }

    /// The checks that [`Start::check`] counts.
    pub fn checks(&self) -> &[ProbedCheck] {
        &self.probes.checks
    }

    /// Takes other probes. What is known by those that stay is kept, also where their names or times are others.
    pub fn change(&mut self, probes: Probes, now: Moment) {
        let (old_places, mut old) = (std::mem::take(&mut self.places), std::mem::take(&mut self.slots));
        let (mut obstacles, mut warnings) =
            (std::mem::take(&mut self.obstacles), std::mem::take(&mut self.warnings));
        let added = probes.iter().filter(|(key, _)| !old_places.contains_key(key)).count();
        let mut numbers: HashMap<Endpoint, usize, RandomState> = HashMap::default();
        for (check, probed) in probes.checks.iter().enumerate() {
            let interval = milliseconds(probed.timing.interval);
            for target in &probed.targets {
                let key = ProbeKey { what: probed.what, target: *target };
                let next = numbers.len();
                let number = *numbers.entry(*target).or_insert(next);
                let place = self.slots.len();
                let old_place = old_places.get(&key);
                let kept = old_place.and_then(|place| old.get_mut(*place)).map(|slot| Slot {
                    key,
                    check,
                    target: number,
                    due: slot.due.min(now.since_boot.saturating_add(interval)),
                    history: std::mem::replace(&mut slot.history, History::NEW),
                    ..*slot
                });
                if let Some(old_place) = old_place {
                    obstacles.remove(old_place).and_then(|obstacle| self.obstacles.insert(place, obstacle));
                    warnings.remove(old_place).and_then(|warning| self.warnings.insert(place, warning));
                }
                let slot =
                    kept.unwrap_or_else(|| self.new_slot(key, check, number, added, &probed.timing, now));
                self.places.insert(key, place);
                self.slots.push(slot);
            }
        }
        self.hash = probes.hash();
        self.targets = numbers.len();
        self.probes = probes;
        let slots = || self.slots.iter().enumerate();
        self.queue = slots()
            .filter(|(_, slot)| !slot.is_in_flight)
            .map(|(place, slot)| Reverse((slot.due, place)))
            .collect();
        self.noted = slots().filter(|(_, slot)| !slot.history.is_plain()).map(|(place, _)| place).collect();
        self.delayed = slots().filter(|(_, slot)| slot.is_delayed).count();
        self.hindered = Hindered::default();
        self.obstacles.values().for_each(|obstacle| *self.hindered.of(obstacle) += 1);
    }

    /// A probe whose first result is wanted soon, but not those of a thousand at once.
    fn new_slot(
        &self,
        key: ProbeKey,
        check: usize,
        target: usize,
        added: usize,
        timing: &Timing,
        now: Moment,
    ) -> Slot {
        let noise = FixedState::with_seed(self.seed).hash_one(key);
        let of_all = u64::try_from(added).unwrap_or(u64::MAX) / NEW_EACH_MILLISECOND;
        let spread = milliseconds(timing.fast).max(of_all).min(milliseconds(timing.interval)).max(1);
        Slot {
            key,
            check,
            target,
            due: now.since_boot.saturating_add(noise % spread),
            is_in_flight: false,
            is_late: false,
            noise,
            is_delayed: false,
            history: History::NEW,
        }
    }

    /// When the next probe is due, in milliseconds since the boot.
    pub fn next(&self) -> Option<u64> {
        self.queue.peek().map(|Reverse((due, _))| *due)
    }

    /// The probes that begin now, at most so many: they are in flight until [`Self::result`].
    pub fn due(&mut self, now: Moment, at_most: usize) -> Vec<Start> {
        let mut starts = Vec::new();
        while starts.len() < at_most {
            let Some(Reverse((due, place))) = self.queue.peek().copied() else { break };
            if due > now.since_boot {
                break;
            }
            self.queue.pop();
            if let Some(slot) = self.slots.get_mut(place) {
                slot.is_in_flight = true;
                slot.is_late = now.since_boot - due > LATE;
                starts.push(Start { key: slot.key, check: slot.check });
            }
        }
        starts
    }

    /// Takes the result of a probe that began at `began`, in milliseconds since the boot; gives whether [`Self::verdicts`] says
    /// something else now, apart from numbers: in a shortage they change all the time.
    pub fn result(&mut self, key: &ProbeKey, outcome: Outcome, began: u64, now: Moment) -> bool {
        let Some(place) = self.places.get(key).copied() else { return false };
        let timing = match self.slots.get(place).filter(|slot| slot.is_in_flight) {
            Some(slot) => self.probes.checks.get(slot.check).map(|check| check.timing),
            None => None,
        };
        let Some(timing) = timing else { return false };
        let is_late = self.slots.get(place).is_some_and(|slot| slot.is_late);
        let before = self.lacks();
        let on_time = is_late.then_some(Obstacle::BegunLate);
        let (has_changed, obstacle) = match outcome {
            Outcome::Passed { weight, warning } => {
                (self.pass(place, weight, warning, &timing, began, now), on_time)
            }
            Outcome::Failed(detail) => (self.fail(place, detail, &timing, began, now), on_time),
            Outcome::Own(text) => (false, Some(Obstacle::Own(text))),
            Outcome::Lagged => (false, Some(Obstacle::Lagged)),
        };
        obstacle.iter().for_each(|obstacle| *self.hindered.of(obstacle) += 1);
        let had = match obstacle {
            Some(obstacle) => self.obstacles.insert(place, obstacle),
            None => self.obstacles.remove(&place),
        };
        had.iter().for_each(|had| *self.hindered.of(had) -= 1);
        self.requeue(place, &timing, began, now.since_boot);
        has_changed || self.lacks() != before
    }

    /// Whether results are missing of most probes, of any by the checker's own shortage, by its lag, whether any began late, and whether verdicts
    /// are delayed.
    fn lacks(&self) -> [bool; 5] {
        let Hindered { own, lagged, late } = self.hindered;
        [self.is_frozen(), own > 0, lagged > 0, late > 0, self.delayed > 0]
    }

    /// Whether more than half of the probes have no result. Where fewer have none, their verdicts stay, and those of the others count: one key that
    /// cannot be read, and one network without a route, are no reason to leave all other servers as they are.
    fn is_frozen(&self) -> bool {
        (self.hindered.own + self.hindered.lagged) * 2 > self.slots.len()
    }

    fn pass(
        &mut self,
        place: usize,
        weight: Option<ExecWeight>,
        warning: Option<CompactString>,
        timing: &Timing,
        began: u64,
        now: Moment,
    ) -> bool {
        let had = match &warning {
            Some(warning) => self.warnings.insert(place, warning.clone()),
            None => self.warnings.remove(&place),
        };
        let Some(slot) = self.slots.get_mut(place) else { return false };
        let was_delayed = std::mem::take(&mut slot.is_delayed);
        let has_changed = slot.history.pass(weight, timing, began, now.since_boot);
        self.delayed -= usize::from(was_delayed);
        self.note(place);
        has_changed || had != warning
    }

    fn fail(
        &mut self,
        place: usize,
        detail: CompactString,
        timing: &Timing,
        began: u64,
        now: Moment,
    ) -> bool {
        let Some(slot) = self.slots.get_mut(place) else { return false };
        if !slot.history.fail(timing, began) {
            return false;
        }
        let since = slot.history.failing_since.unwrap_or(began);
        let was_delayed = std::mem::take(&mut slot.is_delayed);
        self.delayed -= usize::from(was_delayed);
        let seen = self.slots.iter().map(|slot| Seen {
            target: slot.target,
            interval: self
                .probes
                .checks
                .get(slot.check)
                .map_or(timing.interval, |check| check.timing.interval),
            last: slot.history.last,
            failing_since: slot.history.failing_since,
        });
        let is_delayed = self.uplink.delays(since, now.since_boot, self.targets, seen);
        let Some(slot) = self.slots.get_mut(place) else { return false };
        if is_delayed {
            slot.is_delayed = true;
            self.delayed += 1;
            return false;
        }
        slot.history.fall(detail, timing, now);
        self.note(place);
        true
    }

    fn note(&mut self, place: usize) {
        if self.slots.get(place).is_some_and(|slot| slot.history.is_plain()) {
            self.noted.remove(&place);
        } else {
            self.noted.insert(place);
        }
    }

    fn requeue(&mut self, place: usize, timing: &Timing, began: u64, now: u64) {
        let Some(slot) = self.slots.get_mut(place) else { return };
        let interval = milliseconds(timing.interval);
        let wanted = if slot.history.is_about_to_change() {
            milliseconds(timing.fast).min(interval)
        } else {
            interval
        };
        slot.noise = mixed(slot.noise);
        let jitter = u64::from(JITTER) * 10;
        let jittered = wanted.saturating_mul(1_000 - jitter + slot.noise % (2 * jitter + 1)) / 1_000;
        slot.due = began.saturating_add(jittered).max(now);
        slot.is_in_flight = false;
        self.queue.push(Reverse((slot.due, place)));
    }

    /// What is to be said now.
    pub fn verdicts(&self, now: Moment) -> Verdicts {
        let noted = self.noted.iter().filter_map(|place| self.slots.get(*place));
        Verdicts {
            probes: self.hash.clone(),
            at: now.since_boot,
            findings: noted.map(|slot| (slot.key, slot.history.finding())).collect(),
            frozen: self.frozen(),
            warnings: self.all_warnings(),
            // What each probe took is not known here.
            results: ProbeResults::default(),
        }
    }

    /// Why there are no verdicts at present: the most that concern this director first.
    fn frozen(&self) -> Option<CompactString> {
        let (all, Hindered { own, lagged, .. }) = (self.slots.len(), self.hindered);
        if self.is_frozen() {
            let lag = "the checker itself was too slow";
            let text = self.own_texts().next().map_or(lag, CompactString::as_str);
            return Some(format_compact!("{} of {all} probes have no result: {text}", own + lagged));
        }
        if self.delayed > 0 {
            let text = "more than half of the targets fail at once, which may be the director's own network: verdicts wait for a second interval";
            return Some(text.into());
        }
        None
    }

    /// What the checker lacks, once for each probe.
    fn own_texts(&self) -> impl Iterator<Item = &CompactString> {
        self.obstacles.values().filter_map(|obstacle| match obstacle {
            Obstacle::Own(text) => Some(text),
            Obstacle::Lagged | Obstacle::BegunLate => None,
        })
    }

    fn all_warnings(&self) -> Vec<CompactString> {
        let distinct: BTreeSet<&CompactString> = self.warnings.values().collect();
        let mut warnings: Vec<CompactString> =
            distinct.iter().take(WARNINGS).map(|text| (*text).clone()).collect();
        if let Some(more) = distinct.len().checked_sub(WARNINGS).filter(|more| *more > 0) {
            warnings.push(format_compact!("and {more} more warnings"));
        }
        // (Without numbers, so that each is logged once.)
        if !self.is_frozen() {
            let distinct: BTreeSet<&CompactString> = self.own_texts().collect();
            let texts = distinct.into_iter().take(WARNINGS);
            warnings.extend(texts.map(|text| format_compact!("probes have no result: {text}")));
            if self.hindered.lagged > 0 {
                warnings.push("probes have no result: the checker itself was too slow".into());
            }
        }
        if self.hindered.late > 0 {
            warnings.push(
                "probes begin more than 1 s late: too many probes, too short intervals, or too little CPU time".into(),
            );
        }
        warnings
    }
}

/// Whole milliseconds.
fn milliseconds(time: Duration) -> u64 {
    u64::try_from(time.as_millis()).unwrap_or(u64::MAX)
}

/// The next of a sequence that looks like chance (splitmix64).
fn mixed(noise: u64) -> u64 {
    let noise = noise.wrapping_add(0x9e37_79b9_7f4a_7c15);
    let noise = (noise ^ (noise >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let noise = (noise ^ (noise >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    noise ^ (noise >> 31)
}

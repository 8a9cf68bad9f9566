//! Follows checks from pass to pass of the daemon: writes what is to be probed, and takes in what the checker says.

use std::sync::Arc;

use super::goal::Goal;
use super::health_change::HealthChange;
use crate::health::{Probes, Verdicts};
use crate::model::{Desired, ServiceKey};
use crate::reconcile::PartialPass;
use crate::store::{Heard, KnownHealth, SILENCE, SavedHealth, Store, unknown_health};
use crate::target::{Advance, Clock, Conditions, InForce, Overrides, SILENT, ServerOf, Target};

/// How many goals the probes are kept of: the one that is followed, and one that is tried.
const MOST_PROBES: usize = 2;

/// What is known of checks from pass to pass.
#[derive(Default)]
pub(super) struct Checks {
    /// Whether the daemon starts the checker itself
    pub(super) is_child: bool,
    /// What was in force at the last pass; nothing before the first one
    known: Option<KnownHealth>,
    /// What of it is on disk
    saved: Option<SavedHealth>,
    /// What is to be probed for the last goals
    probes: Vec<ProbesOf>,
    /// The hash of the probes that are on disk, and how many there are
    written: Option<(String, usize)>,
    /// How many there were before: until the checker has read the new ones, its file is about those
    written_before: usize,
    /// What has come from the checker for the pass under way
    heard: Heard,
    /// When what is in force changes by itself, in milliseconds since the boot
    changes_at: Option<u64>,
    /// The overrides under which the last whole pass followed its file
    overrides: Overrides,
}

/// What is to be probed for a state.
struct ProbesOf {
    state: Arc<Desired>,
    hash: String,
    count: usize,
}

impl Checks {
    /// The hash of the probes that are on disk, and how many the checker may say something of.
    fn written(&self) -> (Option<&str>, usize) {
        let count = self.written.as_ref().map_or(0, |(_, count)| *count);
        (self.written.as_ref().map(|(hash, _)| &**hash), count.max(self.written_before))
    }

    /// What is to be probed for a goal; computed once.
    fn probes(&mut self, goal: &Goal) -> (&str, usize) {
        let place = self.probes.iter().position(|of| Arc::ptr_eq(&of.state, &goal.desired));
        let place = place.unwrap_or_else(|| {
            let probes = Probes::of(&goal.desired);
            self.probes.truncate(MOST_PROBES - 1);
            let of = ProbesOf { state: Arc::clone(&goal.desired), hash: probes.hash(), count: probes.len() };
            self.probes.insert(0, of);
            0
        });
        self.probes.get(place).map_or(("", 0), |of| (&*of.hash, of.count))
    }

    /// When what is in force changes by itself, or the checker has to have written again, in milliseconds from now.
    fn changes_in(&self, heard: &Heard, now: Clock) -> Option<u64> {
        let silent_at = heard.verdicts.as_ref().map(|verdicts| verdicts.at.saturating_add(SILENCE + 1));
        let next = [self.changes_at, silent_at].into_iter().flatten().min();
        next.map(|at| at.saturating_sub(now.since_boot))
    }
}

/// Whether a checker says the same, perhaps at different times.
fn is_same(one: Option<&Verdicts>, other: Option<&Verdicts>) -> bool {
    match (one, other) {
        (Some(one), Some(other)) => {
            (&one.probes, &one.frozen, &one.warnings) == (&other.probes, &other.frozen, &other.warnings)
                && one.findings == other.findings
        }
        (one, other) => one.is_none() && other.is_none(),
    }
}

/// What was done because of verdicts alone.
#[derive(Debug)]
pub struct ChecksPass {
    /// The operations, and the difference of the services that they concern
    pub part: PartialPass,
    /// The services that were read
    pub services: Vec<ServiceKey>,
    /// What the verdicts have changed
    pub health: HealthChange,
}

impl Checks {
    /// Whether the checker has said nothing new and nothing changes by itself, so that a pass for checks would do nothing; gives then when that
    /// may be otherwise, in milliseconds.
    pub(super) fn no_verdict_is_new(&self, store: &Store, now: Clock) -> Option<Option<u64>> {
        let Checks { known, heard: before, changes_at, .. } = self;
        let known = known.as_ref()?;
        let (written, most) = self.written();
        let heard = store.hear(written, most, known, now);
        let is_new = heard.silent_since != known.silent_since
            || heard.problem != before.problem
            || !is_same(heard.verdicts.as_ref(), before.verdicts.as_ref())
            || changes_at.is_some_and(|at| at <= now.since_boot);
        (!is_new).then(|| self.changes_in(&heard, now))
    }

    /// Begins a pass: reads what is known of checks, and what the checker says. `kept` is the goal that is kept. Gives why the verdicts in force
    /// cannot be read, if so.
    pub(super) fn hear(
        &mut self,
        store: &Store,
        kept: Option<&Goal>,
        now: Clock,
        warnings: &mut Vec<String>,
    ) -> Option<String> {
        if self.known.is_none() {
            match store.load_health() {
                Ok(known) => self.known = Some(known),
                Err(error) => return Some(unknown_health(&error)),
            }
        }
        // It may have been removed.
        if kept.is_some_and(|kept| self.probes(kept).1 > 0) && store.lacks_probes() {
            self.written = None;
        }
        let are_any = match kept {
            // At once where another process of the daemon has written them: the checker may have begun before this one.
            Some(kept) if self.written.is_none() => self.write_probes(store, kept, now, warnings),
            Some(kept) => self.probes(kept).1 > 0,
            None => false,
        };
        let (written, most) = self.written();
        let (written, mut known) = (written.map(str::to_owned), self.known.take());
        self.heard = match &mut known {
            Some(known) if are_any => {
                let heard = store.hear(written.as_deref(), most, known, now);
                known.silent_since = heard.silent_since;
                heard
            }
            Some(_) | None => Heard::default(),
        };
        self.known = known;
        warnings.extend(
            self.heard.problem.as_ref().map(|problem| format!("{problem}; verdicts stay as they are")),
        );
        None
    }

    /// Writes what is to be probed for a goal, where that is not on disk; gives whether there is anything to be probed.
    fn write_probes(&mut self, store: &Store, goal: &Goal, now: Clock, warnings: &mut Vec<String>) -> bool {
        let (hash, count) = self.probes(goal);
        let (hash, are_any) = (hash.to_owned(), count > 0);
        if self.written.as_ref().is_some_and(|(written, _)| *written == hash) {
            return are_any;
        }
        // A checker that had nothing to do has written nothing.
        if let Some(known) = self.known.as_mut().filter(|_| are_any) {
            let was_idle =
                self.written.as_ref().map_or(known.in_force.is_empty(), |(_, before)| *before == 0);
            if was_idle {
                (known.silent_since, self.heard.silent_since) = (Some(now.since_boot), Some(now.since_boot));
                let silent_at = now.since_boot.saturating_add(SILENCE + 1);
                self.changes_at = Some(self.changes_at.map_or(silent_at, |at| at.min(silent_at)));
            }
        }
        match store.save_probes(&Probes::of(&goal.desired)) {
            Ok(()) => {
                let before = self.written.replace((hash, count));
                self.written_before = before.map_or(0, |(_, before)| before);
            }
            Err(error) => warnings.push(format!("{error}; the checker does not learn what is to be probed")),
        }
        are_any
    }

    /// Takes in the verdicts that are in force for a goal; `kept` is another one that it may go back to. They are written down, before anything
    /// is changed because of them.
    pub(super) fn take_in(
        &mut self,
        store: &Store,
        goal: &Goal,
        kept: Option<&Goal>,
        conditions: &mut Conditions,
        now: Clock,
        warnings: &mut Vec<String>,
    ) {
        let hash = self.probes(goal).0.to_owned();
        let Checks { known, heard, .. } = self;
        let Some(known) = known else { return };
        let advance = Advance {
            desired: &goal.desired,
            before: kept.filter(|kept| kept.revision != goal.revision).map(|kept| &*kept.desired),
            overrides: &conditions.overrides,
            pauses: &conditions.pauses,
            verdicts: heard.verdicts.as_ref().filter(|verdicts| verdicts.probes == hash),
            silent_for: heard.silent_for(now),
            now,
        };
        let in_force = known.in_force.advance(&advance);
        // Then the checker is gone, and then it is not known any more how the servers are.
        let silent = [SILENCE + 1, SILENT].into_iter().filter_map(|length| {
            heard.silent_since?.saturating_add(length).checked_sub(now.since_boot).filter(|left| *left > 0)
        });
        let dues = in_force.changes_in(&advance).into_iter().chain(silent);
        self.changes_at = dues.min().map(|left| now.since_boot + left);
        conditions.take_in_altered(&goal.desired, &known.in_force, &known.altered);
        conditions.health = in_force;
        if let Some(known) = self.known_with(conditions) {
            self.save(store, known, warnings);
        }
    }

    fn save(&mut self, store: &Store, known: KnownHealth, warnings: &mut Vec<String>) {
        if self.has_saved(&known) && !store.lacks_health(&known) {
            return;
        }
        match store.save_health(known, self.saved.as_ref()) {
            Ok(saved) => self.saved = saved,
            Err(error) => warnings.push(format!("{error}; after a restart verdicts may be taken in anew")),
        }
    }

    fn has_saved(&self, known: &KnownHealth) -> bool {
        self.saved.as_ref().map(|saved| &saved.known) == Some(known)
    }

    /// The verdicts that were in force at the pass before.
    pub(super) fn at_last_pass(&self) -> InForce {
        self.known.as_ref().map(|known| known.in_force.clone()).unwrap_or_default()
    }

    fn known_with(&self, conditions: &Conditions) -> Option<KnownHealth> {
        let silent_since = self.known.as_ref()?.silent_since;
        let (in_force, altered) = (conditions.health.clone(), conditions.altered.clone());
        Some(KnownHealth { in_force, silent_since, altered })
    }

    /// Takes in under which conditions the last attempt of a pass has followed a goal, and whether a server is not as it should be after it; gives
    /// what verdicts have changed since the pass before.
    pub(super) fn followed(
        &mut self,
        store: &Store,
        goal: &Goal,
        conditions: &Conditions,
        is_undone: &dyn Fn(&ServerOf) -> bool,
        now: Clock,
        warnings: &mut Vec<String>,
    ) -> HealthChange {
        self.write_probes(store, goal, now, warnings);
        let mut known = self.known_with(conditions);
        let before = self.known.take().map(|known| known.in_force).unwrap_or_default();
        if let Some(known) = known.as_mut().filter(|known| !known.altered.is_empty()) {
            known.altered.retain(is_undone);
        }
        self.known = known;
        // Commands read it, too.
        if let Some(known) = self.known.clone().filter(|known| !self.has_saved(known)) {
            self.save(store, known, warnings);
        }
        self.overrides.clone_from(&conditions.overrides);
        let target = Target::new(&goal.desired, conditions);
        let heard = &self.heard;
        let changes_in = self.changes_in(heard, now);
        HealthChange::new(&before, &target, heard, self.is_child, changes_in, now)
    }

    /// Whether these are the overrides under which the last whole pass followed its file.
    pub(super) fn has_overrides(&self, overrides: &Overrides) -> bool {
        self.overrides == *overrides
    }
}

//! Reads the record at the start of a pass and writes it as the pass goes on; one that cannot be read is not overwritten.

use super::{StateDiff, Summary, noted};
use crate::history::Trigger;
use crate::model::{Desired, Kind, Operation, SyncDaemon, SyncLink, SyncOp, SyncRole};
use crate::ownership;
use crate::store::{LoadError, Record, Store};
use crate::target::{Clock, Conditions, Drains, Leaving, Pauses, Targets, Trial};

/// The record while a pass runs, and what went wrong with it.
pub(super) struct RecordSession<'a> {
    store: &'a Store,
    pub(super) record: Record,
    on_disk: Option<Record>,
    /// Why the record, or the last verified file, is not known: it is not overwritten then
    unknown: Option<String>,
    /// The drains on disk; `None` where they are not known: their file is not overwritten then
    drains: Option<Drains>,
    /// What is paused
    pauses: &'a Pauses,
    pub(super) warnings: Vec<String>,
    /// The trial under way, if there is one
    trial: Option<Trial>,
}

impl<'a> RecordSession<'a> {
    /// Reads the record. A spoilt one is kept under another name, and made again from `verified`, the file that was
    /// verified last.
    pub(super) fn open(store: &'a Store, verified: &Desired, conditions: &'a Conditions) -> Self {
        store.mend();
        let mut session = Self {
            store,
            record: Record::default(),
            on_disk: None,
            unknown: None,
            drains: store.load_drains().ok().filter(|_| conditions.unreadable.is_none()),
            pauses: &conditions.pauses,
            warnings: Vec::new(),
            trial: None,
        };
        match store.load_for_pass() {
            Ok((record, is_bound)) => {
                session.on_disk = is_bound.then(|| record.clone());
                session.record = record;
                // At once: the pass may end without anything to record.
                session.write();
            }
            Err(LoadError::Unreadable(reason)) => session.unknown = Some(reason),
            Err(LoadError::Corrupt(reason)) => match store.set_aside_record() {
                Ok(name) => {
                    session.record = Record::rebuilt(verified);
                    session.warnings.push(format!(
                        "{reason}; it is kept as {name}, and a new one was made from the file that was verified last: a \
                         service that left the file before that is foreign now, and `lbd teardown` will not know what kernel \
                         settings and timeouts were at first"
                    ));
                }
                Err(error) => session.unknown = Some(format!("{reason}; it cannot be set aside: {error}")),
            },
        }
        session
    }

    /// Leaves the state files alone from now on, for a reason that was found elsewhere.
    pub(super) fn is_unknown(&mut self, reason: &str) {
        self.unknown.get_or_insert_with(|| reason.to_owned());
    }

    /// Why nothing may be deleted or called verified, if so.
    pub(super) fn unknown(&self) -> Option<String> {
        self.unknown.clone()
    }

    /// Records what is about to be added and changed, before it is: after a crash in the middle, all of it is still owned.
    pub(super) fn claim(&mut self, desired: &Desired, comparison: &StateDiff, leaving: &Leaving) {
        let StateDiff { plan, managed, .. } = comparison;
        ownership::claim(&mut self.record.owned, desired);
        self.record.changed.claim(desired, &managed.sysctls, plan.operations());
        self.record.spared = comparison.spared();
        self.write();
        self.note_drains(comparison, leaving);
    }

    /// Records what drains, and what was draining, as long as no pass has verified the file.
    pub(super) fn note_drains(&mut self, comparison: &StateDiff, leaving: &Leaving) {
        let pauses = self.pauses;
        self.write_drains(leaving.during_pass(&|service| pauses.cover(comparison.cluster(service))));
    }

    fn write_drains(&mut self, drains: Drains) {
        if self.drains.as_ref().is_some_and(|on_disk| *on_disk != drains) {
            match self.store.save_drains(&drains) {
                Ok(()) => self.drains = Some(drains),
                Err(error) => self.warn(&error.to_string()),
            }
        }
    }

    /// Records on which interface the sync master was started, where it was. What a pass leaves undone must not start it again.
    pub(super) fn started(&mut self, done: &[Operation], comparison: &StateDiff) {
        for operation in done {
            if let Operation::Sync(SyncOp::Start { to } | SyncOp::Restart { to, .. }) = operation {
                self.note_link(to, comparison);
                self.write();
            }
        }
    }

    /// Notes the interface of a sync master, if it is one and the index of the interface is known.
    fn note_link(&mut self, daemon: &SyncDaemon, comparison: &StateDiff) {
        if daemon.role == SyncRole::Master
            && let Some(index) = comparison.indices.get(&daemon.interface)
        {
            let interface = daemon.interface.clone();
            self.record.changed.master_link = Some(SyncLink { interface, index: *index });
        }
    }

    /// Records that the kernel is as the file describes it.
    pub(super) fn verified(&mut self, desired: &Desired, comparison: &StateDiff) {
        let wanted = &desired.state.services;
        let owned = &mut self.record.owned;
        ownership::claim(owned, desired);
        ownership::release(owned, wanted, |service| {
            comparison.foreign.contains_key(service) || comparison.draining.concern(service)
        });
        let live = &comparison.managed.sysctls;
        let changed = &mut self.record.changed;
        changed.claim(desired, live, std::iter::empty());
        // One that waits for its interface runs on another one, if at all.
        let awaits = comparison.awaiting_link.iter().any(|operation| operation.kind() == Kind::Sync);
        let known = changed.master_link.as_ref().map(|link| link.interface.clone());
        let had_filter = changed.filter;
        changed.release(desired, live);
        // The rules of what drains are in it.
        changed.filter |= comparison.needs_filter();
        // A table that cannot be read may still be there, and is lbd's own.
        if let Some(reason) = comparison.nftables_error.as_ref().filter(|_| had_filter) {
            changed.filter = true;
            self.warnings.push(format!("lbd's own nftables table may still be there: {reason}"));
        }
        for daemon in desired.state.sync.iter().filter(|_| !awaits) {
            if known.as_ref() != Some(&daemon.interface) {
                self.note_link(daemon, comparison);
            }
        }
        self.record.verified = wanted.keys().copied().collect();
        self.record.spared = comparison.spared();
        self.write();
    }

    /// Keeps a file that is verified, unless it is the one that was verified last: first in the history, which takes up the one before it,
    /// if there is a trigger to be noted.
    pub(super) fn keep(&mut self, text: &str, trigger: Option<&Trigger>, done: &[Operation], most: u32) {
        if self.store.verified_is(text) == Some(true) {
            return;
        }
        let done = || Summary::of(done.iter()).counts();
        match trigger.map(|trigger| self.store.note_verified(text, trigger, done(), most as usize)) {
            Some(Ok(warning)) => self.warnings.extend(warning),
            Some(Err(error)) => {
                self.warnings.push(format!("{error}; lbd goes on, but the history lacks this file"))
            }
            None => {}
        }
        if let Err(error) = self.store.save_verified(text) {
            self.warn(&error.to_string());
        }
    }

    /// The pass follows the file of this trial, if there is one.
    pub(super) fn begin_trial(&mut self, trial: Option<&Trial>) {
        self.trial = trial.cloned();
    }

    /// Records what the trial adds, and the settings that only its file names, before anything is changed.
    pub(super) fn note_trial(&mut self, targets: &Targets<'_>, comparison: &StateDiff) {
        let live = &comparison.managed;
        if let (Some(trial), Some(before)) = (&mut self.trial, targets.verified())
            && trial.note(&targets.file.desired, &before.state, &live.sysctls, live.timeouts)
        {
            self.write_trial();
        }
    }

    /// Records that the kernel is as the file of the trial describes it. That file is neither kept nor compared with later ones. What was draining
    /// and is in that file drains again when the trial has ended.
    pub(super) fn tried(&mut self, targets: &Targets<'_>, comparison: &StateDiff, leaving: &Leaving) {
        self.note_trial(targets, comparison);
        self.claim(targets.kernel(), comparison, leaving);
        if let Some(trial) = self.trial.as_mut().filter(|trial| !trial.verified) {
            trial.verified = true;
            self.write_trial();
        }
    }

    fn write_trial(&mut self) {
        if let Some(Err(error)) = self.trial.as_ref().map(|trial| self.store.save_trial(trial)) {
            self.warn(&error.to_string());
        }
    }

    /// Forgets a trial that is over, whose effects were taken back.
    fn settle_trial(&mut self, now: Clock) {
        // What cannot be read is named elsewhere.
        let Ok(Some(trial)) = self.store.load_trial() else { return };
        if !trial.is_over(now) {
            return;
        }
        if let Err(error) = self.store.forget_trial() {
            self.warn(&error.to_string());
            return;
        }
        if let Err(error) = self.store.note_event(&noted::trial_ended(&trial, now)) {
            self.warnings.push(error.to_string());
        }
    }

    /// Ends the conditions that the file has ended, and those whose time is over, a trial among them.
    pub(super) fn settle(&mut self, file: &Desired, comparison: &StateDiff, leaving: &Leaving, now: Clock) {
        let overrides = self.store.settle_overrides(&file.state.services, now);
        for error in [overrides, self.store.settle_pauses(now)].into_iter().filter_map(Result::err) {
            self.warn(&error.to_string());
        }
        // A pass that was verified leaves nothing out.
        self.write_drains(leaving.draining.clone());
        self.settle_trial(now);
        if let Some(event) = noted::drains_ended(leaving, comparison, now)
            && let Err(error) = self.store.note_event(&event)
        {
            self.warnings.push(error.to_string());
        }
    }

    fn write(&mut self) {
        if self.unknown.is_some() || self.on_disk.as_ref() == Some(&self.record) {
            return;
        }
        match self.store.save(&self.record) {
            Ok(()) => self.on_disk = Some(self.record.clone()),
            Err(error) => self.warn(&error.to_string()),
        }
    }

    fn warn(&mut self, error: &str) {
        let warning = format!("{error}; lbd goes on, but will not remember this pass");
        if !self.warnings.contains(&warning) {
            self.warnings.push(warning);
        }
    }
}

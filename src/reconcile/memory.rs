//! The record while a pass runs, and what went wrong with it.

use super::Comparison;
use crate::model::Desired;
use crate::ownership;
use crate::store::{Record, Store};

/// The record while a pass runs, and what went wrong with it.
pub(super) struct Memory<'a> {
    store: &'a Store,
    pub(super) record: Record,
    on_disk: Option<Record>,
    pub(super) warnings: Vec<String>,
}

impl<'a> Memory<'a> {
    pub(super) fn recall(store: &'a Store) -> Self {
        match store.load() {
            Ok(record) => Self { store, on_disk: Some(record.clone()), record, warnings: Vec::new() },
            Err(error) => Self { store, on_disk: None, record: Record::default(), warnings: vec![error] },
        }
    }

    pub(super) fn claim(&mut self, desired: &Desired, comparison: &Comparison) {
        let Comparison { plan, managed, .. } = comparison;
        ownership::claim(&mut self.record.owned, desired);
        self.record.changed.claim(desired, &managed.sysctls, plan.operations());
        self.write();
    }

    pub(super) fn verified(&mut self, desired: &Desired, comparison: &Comparison, text: &str) {
        let wanted = &desired.state.services;
        let owned = &mut self.record.owned;
        ownership::claim(owned, desired);
        ownership::release(owned, wanted, |service| comparison.foreign.contains_key(service));
        let live = &comparison.managed.sysctls;
        let changed = &mut self.record.changed;
        changed.claim(desired, live, std::iter::empty());
        let had_filter = changed.filter;
        changed.release(desired, live);
        // What cannot be seen may still be there, and is lbd's own.
        if let Some(trouble) = comparison.filter_trouble.as_ref().filter(|_| had_filter) {
            changed.filter = true;
            self.warnings.push(format!("lbd's own table of the packet filter may still be there: {trouble}"));
        }
        self.record.verified = wanted.keys().copied().collect();
        if let Err(error) = self.store.save_verified(text) {
            self.warn(error);
        }
        self.write();
    }

    fn write(&mut self) {
        if self.on_disk.as_ref() == Some(&self.record) {
            return;
        }
        match self.store.save(&self.record) {
            Ok(()) => self.on_disk = Some(self.record.clone()),
            Err(error) => self.warn(error),
        }
    }

    fn warn(&mut self, error: String) {
        let warning = format!("{error}; lbd goes on, but will not remember this pass");
        if !self.warnings.contains(&warning) {
            self.warnings.push(warning);
        }
    }
}

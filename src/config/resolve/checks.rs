//! Finds the checks that clusters, servers and defaults name or define; each distinct check and each distinct list is stored once.

use std::collections::{HashMap, HashSet};
use std::net::IpAddr;
use std::sync::Arc;

use compact_str::CompactString;
use indexmap::IndexMap;

use super::{check, name};
use crate::config::format::document::{CheckEntry, CheckList, CheckUse};
use crate::config::format::issue::{Issue, Issues};
use crate::config::format::limits::MOST_CHECKS;
use crate::config::format::nearest::nearest;
use crate::config::format::path::{KeyPath, key_path};
use crate::model::{Check, CheckType, Checks, Named};

/// In place of a check: that there is none.
const NONE: &str = "none";
/// How many names a message lists.
const LISTED: usize = 20;

/// The checks of a file.
#[derive(Debug, Default)]
pub(super) struct KnownChecks {
    /// Those under `checks`
    named: IndexMap<CompactString, Arc<Check>>,
    /// Those of them that something names
    used: HashSet<CompactString>,
    /// The lists that are in use, by what is written where that is a name alone
    by_name: HashMap<CompactString, Checks>,
    checks: HashSet<Arc<Check>>,
    lists: HashSet<Checks>,
    /// The addresses that are probed from, with their places
    sources: Vec<(IpAddr, KeyPath)>,
}

/// The checks that the file gives some servers.
#[derive(Debug, Clone)]
pub(super) struct Given {
    /// The checks; none where the file says so
    pub(super) checks: Checks,
    /// Where it says so
    pub(super) place: KeyPath,
    /// Whether some are written, be they right or not
    pub(super) are_written: bool,
}

impl KnownChecks {
    /// Those under `checks`.
    pub(super) fn new(named: &IndexMap<String, CheckEntry>, issues: &mut Issues) -> Self {
        let mut known = Self::default();
        for (name, entry) in named {
            let here = || key_path!["checks", name.clone()];
            name::check(name, "check", here(), true, issues);
            if name == NONE {
                issues.push(
                    Issue::new(here(), "`none` cannot be the name of a check: `check: none` is no check")
                        .at_key()
                        .expected("another name"),
                );
            }
            let check = known.defined(entry, Some(name), here, issues);
            known.named.insert(name.as_str().into(), check);
        }
        known
    }

    fn defined(
        &mut self,
        entry: &CheckEntry,
        name: Option<&str>,
        here: impl Fn() -> KeyPath,
        issues: &mut Issues,
    ) -> Arc<Check> {
        let check = check::check(entry, name, &here, issues);
        self.sources.extend(check.source.map(|source| (source, here().then("source"))));
        match self.checks.get(&check) {
            Some(known) => Arc::clone(known),
            None => {
                let check = Arc::new(check);
                self.checks.insert(Arc::clone(&check));
                check
            }
        }
    }

    /// The checks that a `check` key gives.
    pub(super) fn given(&mut self, list: &CheckList, place: KeyPath, issues: &mut Issues) -> Given {
        if let CheckList::One(CheckUse::Name(name)) = list
            && let Some(checks) = self.by_name.get(name.as_str())
        {
            return Given { checks: Arc::clone(checks), place, are_written: !checks.is_empty() };
        }
        let is_list = matches!(list, CheckList::Many(_));
        let uses = list.uses();
        if uses.is_empty() || uses.len() > MOST_CHECKS {
            let message =
                if uses.is_empty() { "the list of checks is empty" } else { "these are too many checks" };
            issues.push(
                Issue::new(place.clone(), message).expected(format!("`none`, or 1 to {MOST_CHECKS} checks")),
            );
        }
        let mut checks: Vec<Arc<Check>> = Vec::with_capacity(uses.len());
        for (index, used) in uses.iter().enumerate() {
            let here = || if is_list { place.then(index) } else { place.clone() };
            let check = match used {
                CheckUse::Inline(entry) => self.defined(entry, None, here, issues),
                CheckUse::Name(name) => match self.named.get(name.as_str()) {
                    Some(check) => {
                        self.used.insert(name.as_str().into());
                        Arc::clone(check)
                    }
                    None if name.as_str() == NONE => {
                        if is_list {
                            issues.push(
                                Issue::new(here(), "`none` cannot be one of several checks")
                                    .expected("`check: none`, or no `none`"),
                            );
                        }
                        continue;
                    }
                    None => {
                        issues.push(self.unknown(name.as_str(), here()));
                        continue;
                    }
                },
            };
            if let Some(first) = checks.iter().position(|other| *other == check) {
                issues.push(
                    Issue::new(here(), format!("duplicate check `{}`", check.name)).first(place.then(first)),
                );
            }
            checks.push(check);
        }
        let checks = match self.lists.get(checks.as_slice()) {
            Some(known) => Arc::clone(known),
            None => {
                let checks: Checks = checks.into();
                self.lists.insert(Arc::clone(&checks));
                checks
            }
        };
        let is_none = |used: &CheckUse| matches!(used, CheckUse::Name(name) if name.as_str() == NONE);
        let are_written = !uses.iter().all(is_none);
        if let CheckList::One(CheckUse::Name(name)) = list
            && are_written != checks.is_empty()
        {
            self.by_name.insert(name.as_str().into(), Arc::clone(&checks));
        }
        Given { checks, place, are_written }
    }

    fn unknown(&self, name: &str, here: KeyPath) -> Issue {
        let names = self.named.keys().map(CompactString::as_str);
        let listed: Vec<&str> = names.clone().take(LISTED).collect();
        let more = if self.named.len() > LISTED { ", …" } else { "" };
        let defined = match listed.as_slice() {
            [] => "the name of a check under `checks`".to_owned(),
            [only] => format!("`{only}`"),
            several => format!("one of {}{more}", several.join(", ")),
        };
        let of_type = CheckType::from_name(name).map(|kind| format!("{{ type: {kind} }}"));
        Issue::new(here, format!("unknown check `{name}`"))
            .expected(format!("{defined}, or a check itself, such as `{{ type: tcp }}`"))
            .suggest(nearest(name, names.chain([NONE])).map(str::to_owned).or(of_type))
            .involving(key_path!["checks"])
            .involving(key_path!["checks", name.to_owned()])
    }

    /// Reports each address that is probed from and that a cluster listens on. `listener` is the cluster that does, if so.
    pub(super) fn check_sources<'a>(
        &self,
        listener: impl Fn(IpAddr) -> Option<&'a str>,
        issues: &mut Issues,
    ) {
        for (source, place) in &self.sources {
            if let Some(cluster) = listener(*source) {
                issues.push(
                    Issue::new(
                        place.clone(),
                        format!(
                            "`{cluster}` listens on {source}: its servers have that address themselves, and answer to it there"
                        ),
                    )
                    .expected("another address of this host, or no `source`"),
                );
            }
        }
    }

    /// Those under `checks` that nothing names.
    pub(super) fn unused(&self) -> Vec<CompactString> {
        self.named.keys().filter(|name| !self.used.contains(*name)).cloned().collect()
    }

    /// Whether any is probed from an address that the file names.
    pub(super) fn have_sources(&self) -> bool {
        !self.sources.is_empty()
    }
}

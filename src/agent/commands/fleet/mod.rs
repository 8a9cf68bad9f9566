//! `lbd fleet`: one look at all directors, and who may go when. All of it is reading and writing in etcd.

mod diff;
mod push;
mod status;
mod steer;
mod strategy;

use std::time::SystemTime;

use super::AgentError;
use super::small::settings;
use crate::agent::etcd::{Condition, Etcd, Write};
use crate::agent::settings::{EtcdSettings, Settings};
use crate::agent::{etcd_of, view_of};
use crate::cli::{FleetCommand, FleetOptions, StrategyCommand};
use crate::commands::{Console, who};
use crate::fleet::{AUDIT, Audit, Version, View, written};
use crate::host;

/// How many records of what operators did are kept.
const KEPT: usize = 500;
/// How many of them go at once: a transaction of etcd has at most 128 operations.
const GO: usize = 50;

/// The etcd of a fleet, for a command.
struct Fleet {
    settings: Settings,
    place: EtcdSettings,
    etcd: Etcd,
    runtime: tokio::runtime::Runtime,
}

/// What a command has read.
struct Reading {
    view: View,
    /// The keys of what operators did, the oldest first
    audits: Vec<String>,
}

impl Fleet {
    fn new(options: &FleetOptions) -> Result<Self, AgentError> {
        let settings = settings(&options.config)?;
        let Some(place) = etcd_of(&settings).cloned() else {
            return Err(AgentError::Other(format!(
                "{}: it names no etcd, so there is no fleet; add `rollout: {{ etcd: … }}`",
                options.config.display()
            )));
        };
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
        let runtime =
            runtime.map_err(|cause| AgentError::System { what: "cannot start".to_owned(), cause })?;
        Ok(Self { settings, etcd: Etcd::new(place.clone()), place, runtime })
    }

    fn read(&mut self) -> Result<Reading, AgentError> {
        let range = self.runtime.block_on(self.etcd.range(""))?;
        let audits = range.entries.iter().filter(|entry| entry.key.starts_with(AUDIT));
        Ok(Reading { audits: audits.map(|entry| entry.key.clone()).collect(), view: view_of(&range, None) })
    }

    fn transact(&mut self, conditions: &[Condition], writes: &[Write]) -> Result<bool, AgentError> {
        Ok(self.runtime.block_on(self.etcd.transact(conditions, writes))?)
    }

    /// Carries out what an operator wants, with a record of it. Where something changed meanwhile, nothing is done.
    fn change(
        &mut self,
        reading: &Reading,
        conditions: &[Condition],
        mut writes: Vec<Write>,
        what: &str,
        reason: Option<&str>,
    ) -> Result<(), AgentError> {
        writes.push(audit(what, reason));
        let old = reading.audits.len().saturating_sub(KEPT).min(GO);
        writes.extend(reading.audits.iter().take(old).cloned().map(Write::Delete));
        match self.transact(conditions, &writes)? {
            true => Ok(()),
            false => Err(AgentError::Other(
                "the fleet has changed meanwhile; nothing was done; look again, and repeat the command"
                    .to_owned(),
            )),
        }
    }
}

/// Who types a command, and where.
fn by() -> String {
    format!("{}@{}", who(), host::name())
}

fn audit(what: &str, reason: Option<&str>) -> Write {
    let now = SystemTime::now();
    let audit = Audit {
        version: Version,
        at: now.into(),
        by: by(),
        what: what.to_owned(),
        reason: reason.map(str::to_owned),
    };
    // Sorted by time; two of one moment have two keys.
    let nanoseconds = now.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default().as_nanos();
    let key = format!("{AUDIT}{nanoseconds:020}-{:04x}", fastrand::u16(..));
    Write::Put { key, value: written(&audit), is_leased: false }
}

/// The whole revision that an operator means by its first digits, where the fleet knows one.
fn whole(view: &View, given: &str) -> Result<String, AgentError> {
    let heads = view.head.iter().map(|head| &head.value);
    let of_head = heads.flat_map(|head| head.former.iter().chain([&head.revision]));
    let of_reports = view.reports.values().filter_map(|report| report.revision.as_ref());
    let mut found: Vec<&String> = of_head
        .chain(of_reports)
        .filter(|revision| given.len() >= 7 && revision.starts_with(given))
        .collect();
    found.sort();
    found.dedup();
    match found.as_slice() {
        [one] => Ok((*one).clone()),
        [] if [40, 64].contains(&given.len()) && given.bytes().all(|byte| byte.is_ascii_hexdigit()) => {
            Ok(given.to_ascii_lowercase())
        }
        [] => Err(AgentError::Other(format!(
            "{given}: no revision that the fleet knows begins so; write all of its digits, as `git rev-parse` prints them"
        ))),
        several => Err(AgentError::Other(format!(
            "{given}: {} revisions begin so; write more of its digits",
            several.len()
        ))),
    }
}

/// Carries out a command of `fleet`; gives its exit code.
pub(super) fn run(options: &FleetOptions, console: &mut Console<'_>) -> Result<u8, AgentError> {
    match &options.command {
        FleetCommand::Status { output, watch } => status::run(options, *output, *watch, console),
        FleetCommand::Diff { revision, output } => diff::run(options, revision, *output, console),
        FleetCommand::Push { file, labels, all, yes, reason } => {
            let push = push::Push { file, labels, all: *all, yes: *yes, reason: reason.as_deref() };
            push::run(options, &push, console)
        }
        FleetCommand::Strategy { command } => match command {
            StrategyCommand::Set { file, reason } => strategy::set(options, file, reason.as_deref(), console),
            StrategyCommand::Show => strategy::show(options, console),
            StrategyCommand::Validate { file } => strategy::validate(file, console),
        },
        FleetCommand::Halt { reason } => steer::halt(options, reason.as_deref(), console),
        FleetCommand::Resume => steer::resume(options, console),
        FleetCommand::Promote { revision, reason } => {
            steer::promote(options, revision, reason.as_deref(), console)
        }
        FleetCommand::Rollback { revision, yes, reason } => {
            steer::rollback(options, revision.as_deref(), *yes, reason.as_deref(), console)
        }
        FleetCommand::Release { director, reason } => {
            steer::release(options, director, reason.as_deref(), console)
        }
        FleetCommand::Roles => strategy::roles(options, console),
    }
}

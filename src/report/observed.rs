//! Writes what `lbd status` shows: the daemon's last status, whether all is in sync, and the table with its connections.

use std::fmt::Display;
use std::io;

use super::health;
use super::output::Output;
use super::statistics::ShownStatistics;
use super::styled::{PLAIN, line};
use super::text::{
    DELETE, EDIT, HEAD, NOTE, draining, foreign, in_part, overrides, pauses, size, trial, waiting,
};
use super::warnings;
use crate::health::ProbeResults;
use crate::kernel::Live;
use crate::model::{Connections, Desired, RealServer, ServerKey, ServiceKey, VirtualService};
use crate::reconcile::StateDiff;
use crate::reconcile::Summary;
use crate::status::{HealthSummary, HostFindings, LastChange, Presence, Status};
use anstyle::Style;

/// Everything that `lbd status` shows.
pub struct Observed<'a> {
    /// The desired file
    pub file: String,
    /// What is wrong with it, if anything; the comparison is with the last verified state then
    pub file_problem: Option<String>,
    /// The SHA-256 of its text, where it can be read
    pub file_sha256: Option<String>,
    /// Whether it has changed since the trial under way began, and waits for the end of that
    pub waits: bool,
    /// The SHA-256 of the text of the file that was verified last, if there is one
    pub verified_sha256: Option<String>,
    /// What is known of the daemon
    pub daemon: DaemonReport,
    /// Why it is not known what lbd owns, if so: what is to be deleted is not known either
    pub unknown: Option<String>,
    /// The difference between the live state and the desired one
    pub comparison: &'a StateDiff,
    /// What checks do at present
    pub health: HealthSummary,
    /// What the probes of the checker have shown so far, where it has written anything
    pub probes: Option<ProbeResults>,
    /// The live state
    pub live: &'a Live,
    /// What the kernel has counted, where that is to be shown
    pub statistics: Option<ShownStatistics>,
    /// What the kernel is compared with: the desired file, or the file of a trial; while the file is not valid, the one that was verified last
    pub desired: &'a Desired,
}

/// What `lbd status` shows of the daemon.
pub struct DaemonReport {
    /// Whether it runs
    pub presence: Presence,
    /// Its last status
    pub status: Option<Status>,
    /// The last change, by whichever command, if one was recorded
    pub last_change: Option<LastChange>,
}

impl DaemonReport {
    /// The last change; a daemon of an older lbd recorded it in its status only.
    pub(super) fn last_change(&self) -> Option<LastChange> {
        let of_daemon = || self.status.as_ref()?.last_pass.as_ref().and_then(LastChange::of_pass);
        self.last_change.or_else(of_daemon)
    }

    /// What the daemon found on the host, if it runs and has examined it.
    pub fn findings(&self) -> Option<&HostFindings> {
        self.status.as_ref().filter(|_| self.presence.holder().is_some())?.host.as_ref()
    }
}

impl Observed<'_> {
    /// Whether the file is valid and the kernel is equal to it.
    pub fn is_in_sync(&self) -> bool {
        self.file_problem.is_none() && self.unknown.is_none() && self.comparison.is_in_sync()
    }

    /// The services sorted by key, so that the output is the same each time.
    pub(super) fn services(&self) -> Vec<(&ServiceKey, &VirtualService)> {
        let mut services: Vec<_> = self.live.state.services.iter().collect();
        services.sort_unstable_by_key(|(key, _)| **key);
        services
    }

    pub(super) fn connections(&self, service: &ServiceKey, server: &ServerKey) -> Connections {
        self.live.connections.get(&(*service, *server)).copied().unwrap_or_default()
    }
}

/// Writes it as text.
///
/// # Errors
/// Those of `out`.
pub fn text(out: &mut Output, observed: &Observed<'_>) -> io::Result<()> {
    head(out, observed)?;
    match &observed.statistics {
        Some(shown) => shown.text(out, &observed.services(), |service| observed.comparison.cluster(service)),
        None => table(out, observed),
    }
}

/// Writes what is above the table as text.
///
/// # Errors
/// Those of `out`.
pub fn head(out: &mut Output, observed: &Observed<'_>) -> io::Result<()> {
    let comparison = observed.comparison;
    let Summary { add, edit, delete } = Summary::of(comparison.plan.operations());
    let left_out = match comparison.left_out.len() {
        0 => String::new(),
        count => format!(", {count} left out"),
    };
    match &observed.file_problem {
        Some(problem) => say(out, DELETE, "bad file:", problem)?,
        None if observed.is_in_sync() => say(out, HEAD, "in sync:", &size(comparison))?,
        None => say(
            out,
            DELETE,
            "not in sync:",
            &format_args!(
                "{add} to add, {edit} to edit, {delete} to delete{left_out} (`lbd diff` shows them)"
            ),
        )?,
    }
    pauses(out, comparison)?;
    trial(out, comparison)?;
    if observed.waits {
        say(out, EDIT, "the desired file has changed,", &"and waits for the end of the trial")?;
    }
    overrides(out, comparison)?;
    draining(out, comparison)?;
    health::text(out, &observed.health, comparison)?;
    let refused = comparison.guard_refusal.as_ref().map(ToString::to_string);
    if let (Some(guard_refusal), Some(text)) = (&comparison.guard_refusal, &refused) {
        say(out, DELETE, &format!("refused{}:", in_part(guard_refusal)), text)?;
    }
    if let Some(reason) = &observed.unknown {
        say(out, DELETE, "not verified, and nothing is deleted:", reason)?;
    }
    daemon(out, &observed.daemon, refused.as_deref())?;
    waiting(out, comparison)?;
    foreign(out, comparison)
}

/// Writes what is known of the daemon as text. `refused` is the refusal that was written already and is not repeated.
///
/// # Errors
/// Those of `out`.
pub fn daemon(out: &mut Output, daemon: &DaemonReport, refused: Option<&str>) -> io::Result<()> {
    let DaemonReport { presence, status, last_change: _ } = daemon;
    let running = status.as_ref().filter(|_| presence.holder().is_some());
    match (presence, running) {
        (Presence::Running(holder), Some(status)) if !status.watching.is_empty() => {
            say(out, HEAD, "daemon:", &format_args!("{holder}, {}", status.watching))?;
        }
        (Presence::Running(holder), _) => say(out, HEAD, "daemon:", &format_args!("{holder}, starting"))?,
        (Presence::Died { .. }, _) => say(out, DELETE, "daemon:", presence)?,
        (Presence::Stopped(_) | Presence::Absent | Presence::Unknown, _) => {
            say(out, HEAD, "daemon:", presence)?;
        }
    }
    if let Some(change) = daemon.last_change() {
        say(out, HEAD, "last change:", &change)?;
    }
    running.map_or(Ok(()), |status| details(out, status, refused))?;
    daemon.findings().map_or(Ok(()), |findings| warnings::text(out, findings))
}

/// A line with a heading.
fn say(out: &mut Output, style: Style, heading: &str, rest: &dyn Display) -> io::Result<()> {
    line(out, &[(style, &heading), (PLAIN, &format_args!(" {rest}"))])
}

fn details(out: &mut Output, status: &Status, written: Option<&str>) -> io::Result<()> {
    if let Some(bad) = &status.bad_file {
        say(out, DELETE, "the daemon keeps the last good state:", bad)?;
    }
    let more = |text: &str| match written.and_then(|written| text.strip_prefix(written)) {
        Some(more) => more.trim_start_matches("; ").to_owned(),
        None => text.to_owned(),
    };
    if let Some(refused) = &status.refused {
        say(out, DELETE, "the daemon keeps the last good state:", &more(refused))?;
    }
    if let Some(refused) = &status.refused_in_part {
        say(out, DELETE, "the daemon leaves out the deletions:", &more(refused))?;
    }
    for failed in &status.failed {
        say(out, DELETE, "failed:", failed)?;
    }
    if let Some(retry_at) = &status.retry_at {
        say(out, HEAD, "next attempt:", retry_at)?;
    }
    for entry in &status.conflicts {
        say(out, DELETE, "another program keeps reverting", entry)?;
    }
    Ok(())
}

fn table(out: &mut Output, observed: &Observed<'_>) -> io::Result<()> {
    let marks = health::Marks::of(observed.comparison);
    for (service, VirtualService { scheduling, servers }) in observed.services() {
        let cluster = observed.comparison.cluster(service);
        let cluster = cluster.map(|name| match observed.comparison.file_of(name) {
            Some(file) => format!(" ({name}, {file})"),
            None => format!(" ({name})"),
        });
        let cluster = cluster.unwrap_or_default();
        let rest = format_args!("{cluster}  {}", scheduling.scheduler);
        line(out, &[(HEAD, service), (PLAIN, &rest)])?;
        for (server, RealServer { weight, forwarding, .. }) in servers.iter() {
            let Connections { active, inactive, persistent, packets: _ } =
                observed.connections(service, server);
            let quiesced = if *weight == 0 { " (quiesced)" } else { "" };
            let persistent =
                if persistent > 0 { format!(", {persistent} persistent") } else { String::new() };
            let checked = marks.mark(service, server);
            let what = format_args!("  {server}  {forwarding}, weight {weight}{quiesced}{checked}  ");
            let connections = format_args!("{active} active, {inactive} inactive{persistent}");
            line(out, &[(PLAIN, &what), (NOTE, &connections)])?;
        }
    }
    Ok(())
}

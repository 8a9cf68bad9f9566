//! `lbd status`: what the daemon did last and why, whether all is in sync, and the table with its connections.

use std::collections::BTreeSet;
use std::io;

use super::inputs::{LastVerified, StoredState};
use super::kernel_reader::{KernelReader, Wanted};
use super::part::Part;
use super::tried::{trial_of, tried};
use super::{CommandError, Console, DIFFERS, DONE, advice, by_socket, inputs};
use crate::cli::{Arguments, ReportOutput, StatusOptions};
use crate::files::sha256;
use crate::kernel::{Live, StatisticsScope, TableStatistics};
use crate::reconcile;
use crate::report::{self, DaemonReport, Observed, Output, ShownStatistics};
use crate::status::Presence;
use crate::store::{Heard, Store};
use crate::target::Clock;

/// Shows it once; gives the exit code.
pub(super) fn run(
    arguments: &Arguments,
    options: &StatusOptions,
    kernel: &mut KernelReader,
    console: &mut Console<'_>,
) -> Result<u8, CommandError> {
    if let Some(code) = by_socket::status(arguments, options, console)? {
        return Ok(code);
    }
    direct(arguments, options, true, kernel, console)
}

/// The same by the privileges of this process; as JSON with the services, or without.
pub(super) fn direct(
    arguments: &Arguments,
    options: &StatusOptions,
    has_services: bool,
    kernel: &mut KernelReader,
    console: &mut Console<'_>,
) -> Result<u8, CommandError> {
    let with_servers = has_services || options.output == ReportOutput::Text;
    observe(arguments, options, with_servers, kernel, console, &mut |out, observed| match options.output {
        ReportOutput::Text => report::observed_text(out, observed),
        ReportOutput::Json => report::observed_json(out, observed, has_services),
    })
}

/// The same, written by `write`; with what the kernel has counted of servers, or only of services.
pub(super) fn observe(
    arguments: &Arguments,
    options: &StatusOptions,
    with_servers: bool,
    kernel: &mut KernelReader,
    console: &mut Console<'_>,
    write: &mut dyn FnMut(&mut Output, &Observed<'_>) -> io::Result<()>,
) -> Result<u8, CommandError> {
    let store = inputs::store(arguments)?;
    if !store.is_there() {
        console.note(format_args!(
            "there is no state directory {}, so a running daemon cannot be detected",
            arguments.state_dir.display()
        ));
    }
    let mut daemon = daemon(&store, console);
    // A daemon warns of its file itself.
    if daemon.findings().is_none() {
        advice::warn_of_file(&arguments.file, console);
    }
    let is_missing = daemon.presence.is_missing(options.require_daemon);
    let mut file_problem = None;
    let source = inputs::read(&arguments.file, &console.progress);
    let file_sha256 = source.as_ref().ok().map(|source| kernel.sha256(&source.text));
    let stored_text = store.load_verified();
    let verified_sha256 = match (&stored_text, &source) {
        (Ok(Some(text)), Ok(source)) if *text == source.text => file_sha256.clone(),
        (Ok(Some(text)), _) => Some(sha256(text)),
        (Ok(None) | Err(_), _) => None,
    };
    // During a trial the kernel follows its file; the desired file waits.
    let trial = trial_of(&arguments.file, &store);
    let loaded = match &trial {
        Some(trial) => tried(trial).map(|(source, desired)| (desired, source)),
        None => source.and_then(|source| Ok((kernel.load(&source)?, source))),
    };
    let waits = trial.as_ref().is_some_and(|trial| file_sha256.as_ref() != Some(&trial.desired_sha256));
    let (desired, verified) = match loaded {
        Ok((desired, source)) => (desired, inputs::verified_in(stored_text, &source)),
        // While the file is not valid, the last verified state is kept: the kernel is compared with that.
        Err(error) => {
            file_problem = Some(error.line());
            let verified = inputs::last_verified(&store, &console.progress)?;
            (verified.map(|(_, desired)| desired).unwrap_or_default(), LastVerified::same())
        }
    };
    let stored = StoredState::read(&store, verified, &desired, console).in_trial(trial);
    let part = Part::new(&options.clusters, [&desired.clusters, &stored.record.owned])?;
    let question = reconcile::question(&desired, &stored.record);
    let wanted = Wanted {
        question: &question,
        expected: &desired.state.services,
        statistics: (options.clusters.is_empty() && (options.stats || options.rates)).then_some(with_servers),
        // What drains is looked at closely.
        is_exact: !stored.conditions.drains.is_empty(),
    };
    let mut live = match kernel.read(&wanted, &console.progress) {
        Ok(live) => live,
        Err(error) => {
            // What the daemon wrote can be read without the privileges that the kernel demands.
            if options.output == ReportOutput::Text {
                report::daemon_text(console.out, &daemon, None)?;
            }
            return Err(error);
        }
    };
    let counted = live.statistics.take();
    let mut comparison = stored.compare(live.clone(), &desired);
    // What a pass has yet to begin does not drain.
    comparison.draining.retain(&|server| stored.conditions.drains.get(server).is_some());
    if let Some(error) = &comparison.nftables_error {
        console.warn(error);
    }
    // The daemon finds out at its next pass.
    let is_applied =
        file_problem.is_none() && stored.verified.is_same() && comparison.guard_refusal.is_none();
    if let Some(status) = daemon.status.as_mut().filter(|_| is_applied) {
        status.end_refusal();
    }
    live.state.services.retain(|service, _| part.has(service, &comparison));
    part.limit(&mut comparison, &mut Vec::new());
    let statistics = statistics(options, with_servers, counted, &live, kernel, console)?;
    // Where the daemon was stopped, its checker need not run.
    let silent_since = stored.heard.silent_since.filter(|_| daemon.presence.holder().is_some());
    let heard = Heard { silent_since, ..stored.heard };
    let is_child = daemon.status.as_ref().is_some_and(|status| status.health.is_child);
    let health = reconcile::health_summary(&comparison.health, &heard, is_child, Clock::now());
    let observed = Observed {
        file: arguments.file.display().to_string(),
        file_problem,
        file_sha256,
        waits,
        verified_sha256,
        daemon,
        unknown: stored.verified.unknown().map(str::to_owned),
        comparison: &comparison,
        health,
        probes: heard.verdicts.as_ref().map(|verdicts| verdicts.results),
        live: &live,
        desired: &desired,
        statistics,
    };
    write(console.out, &observed)?;
    let is_free =
        comparison.pauses.is_empty() && stored.conditions.unreadable.is_none() && !observed.health.is_bad();
    Ok(if observed.is_in_sync() && is_free && !is_missing { DONE } else { DIFFERS })
}

/// What the kernel has counted of the services shown, where it is to be shown: `counted`, or what is read now.
fn statistics(
    options: &StatusOptions,
    servers: bool,
    counted: Option<TableStatistics>,
    live: &Live,
    kernel: &mut KernelReader,
    console: &Console<'_>,
) -> Result<Option<ShownStatistics>, CommandError> {
    let StatusOptions { stats: counters, rates, exact: is_exact, .. } = *options;
    if !counters && !rates {
        return Ok(None);
    }
    let table = match counted {
        Some(table) => table,
        None => {
            let keys = || live.state.services.keys().copied().collect();
            let services = (!options.clusters.is_empty()).then(keys);
            let scope = StatisticsScope { services, servers, totals: true };
            kernel.read_statistics(&scope, &console.progress)?
        }
    };
    Ok(Some(ShownStatistics { table, counters, rates, is_exact }))
}

/// What is known of the daemon; prints why something is not.
fn daemon(store: &Store, console: &mut Console<'_>) -> DaemonReport {
    // A daemon has the lock before it writes its first status, and until it has written that it was stopped.
    let holder = store.daemon();
    let status = store.load_status().map_err(|error| error.to_string());
    let holder = match holder {
        // One may have started meanwhile, and written the status.
        Ok(None) => store.daemon(),
        known => known,
    };
    let holder = holder.map_err(|error| error.to_string());
    let last_change = store.load_last_change().map_err(|error| error.to_string());
    let problems: BTreeSet<&String> =
        [holder.as_ref().err(), status.as_ref().err(), last_change.as_ref().err()]
            .into_iter()
            .flatten()
            .collect();
    problems.into_iter().for_each(|problem| console.warn(problem));
    let (status, last_change) = (status.unwrap_or_default(), last_change.unwrap_or_default());
    let presence = match holder {
        Ok(holder) => Presence::of(holder, status.as_ref(), store.boot()),
        Err(_) => Presence::Unknown,
    };
    DaemonReport { presence, status, last_change }
}

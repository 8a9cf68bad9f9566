//! `lbd check`: probes the servers of the file once, without kernel or daemon, and prints verdict and time.

use std::collections::HashMap;
use std::io::{self, Write};
use std::sync::Arc;

use compact_str::{CompactString, format_compact};
use rustix::process::{Resource, geteuid, getrlimit};
use serde_json::json;
use tokio::select;
use tokio::signal::unix::{SignalKind, signal};
use tokio::task::JoinSet;

use super::{CommandError, Console, DIFFERS, DONE, ERROR, check_child, inputs, named};
use crate::checker::{Probed, Prober, privileges};
use crate::cli::{Arguments, CheckOptions, ReportOutput};
use crate::config;
use crate::daemon::StartError;
use crate::escape;
use crate::health::{ExecWeight, Keys, Outcome, ProbeKey, Probes};
use crate::model::{Desired, ServerKey, ServiceKey};
use crate::report::{JSON_VERSION, count};
use crate::target::FileServers;

/// How many probes are in flight at most; fewer where fewer descriptors are allowed.
const IN_FLIGHT: u64 = 4_096;
/// How many warnings are printed one by one.
const WARNINGS: usize = 20;
/// Descriptors that are no probe's.
const OTHERS: u64 = 64;

/// A server and a check of it. Where several listeners of a cluster share the probe, they are one.
#[derive(Debug, PartialEq, Eq)]
struct Row {
    cluster: CompactString,
    server: CompactString,
    check: CompactString,
    key: ProbeKey,
}

pub(super) fn run(
    arguments: &Arguments,
    options: &CheckOptions,
    console: &mut Console<'_>,
) -> Result<u8, CommandError> {
    let (source, desired) = match options.parent {
        // The process that has started this one has read it, with all that it includes.
        Some(_) => {
            let source = config::read_from_lbd()?;
            let desired = config::load(&source)?;
            (source, desired)
        }
        None => inputs::desired(&arguments.file, &console.progress)?,
    };
    let rows = rows(&desired, options.name.as_deref())?;
    if rows.is_empty() && options.output == ReportOutput::Text {
        let of = options.name.as_ref().map(|name| format!(" of {name}")).unwrap_or_default();
        writeln!(console.out, "{}", escape::text(&format!("{}: no server{of} has a check", source.name)))?;
        return Ok(DONE);
    }
    // What a server sends, and a program, is nothing for root; nor is root's terminal for them, which only another process can leave.
    if options.parent.is_none() && geteuid().is_root() {
        return check_child::run(&source, options, console);
    }
    if options.parent.is_some() {
        privileges::leave_terminal();
    }
    privileges::drop().map_err(CommandError::Privileges)?;
    if options.parent.is_some_and(|parent| !privileges::end_with_parent(parent)) {
        return Ok(ERROR);
    }
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let runtime = runtime.map_err(|error| CommandError::Start(StartError::Threads(error)))?;
    let probed: Result<_, CommandError> = runtime.block_on(async {
        let interrupted = interrupted().map_err(|error| CommandError::Start(StartError::Signals(error)))?;
        let mut report = check_child::reporter(&mut *console.err);
        let progress = &console.progress;
        let shown: &mut dyn FnMut(usize, usize) = match options.parent {
            Some(_) => &mut report,
            None => &mut |done, of| progress.probe(done, of),
        };
        select! {
            probed = probe(&desired, &rows, shown) => Ok(Some(probed)),
            () = interrupted => Ok(None),
        }
    });
    // The programs that still run end with it.
    drop(runtime);
    match probed? {
        Some(probed) => print(&rows, &probed, options.output, console),
        None => {
            console.error("interrupted");
            Ok(ERROR)
        }
    }
}

/// Waits for a signal that ends this process: it has programs of checks to end, which are in process groups of their own.
fn interrupted() -> io::Result<impl Future<Output = ()>> {
    let mut hangup = signal(SignalKind::hangup())?;
    let (mut interrupt, mut terminate) = (signal(SignalKind::interrupt())?, signal(SignalKind::terminate())?);
    Ok(async move {
        select! {
            _ = interrupt.recv() => {}
            _ = terminate.recv() => {}
            _ = hangup.recv() => {}
        }
    })
}

/// The servers with checks that a name is about, in the order of the file.
fn rows(desired: &Desired, name: Option<&str>) -> Result<Vec<Row>, CommandError> {
    let servers = match name {
        Some(name) => {
            let scope = named::find(name, desired).map_err(CommandError::UnknownName)?;
            scope.servers(&FileServers::of(&desired.state.services))
        }
        None => {
            let services = desired.state.services.iter();
            services.flat_map(|(key, service)| service.servers.keys().map(|server| (*key, *server))).collect()
        }
    };
    let mut keys = Keys::default();
    let mut found = indexmap::IndexSet::new();
    for (service, server) in &servers {
        let cluster = desired.clusters.get(service).map_or("", CompactString::as_str);
        for check in desired.health.checks(service, server) {
            let key = keys.of(check, cluster, service, server);
            found.insert((cluster, shown(service, server), check.name.clone(), key));
        }
    }
    let row = |(cluster, server, check, key): (&str, CompactString, CompactString, ProbeKey)| Row {
        cluster: cluster.into(),
        server,
        check,
        key,
    };
    Ok(found.into_iter().map(row).collect())
}

/// A server as it is in the file: with its port where it is not that of the service.
fn shown(service: &ServiceKey, server: &ServerKey) -> CompactString {
    match service {
        ServiceKey::Address { port, .. } if *port != server.port => format_compact!("{server}"),
        ServiceKey::Address { .. } | ServiceKey::FirewallMark { .. } => format_compact!("{}", server.address),
    }
}

/// Probes each of them once; all at once, as far as descriptors allow. `shown` gets how far it is.
async fn probe(
    desired: &Desired,
    rows: &[Row],
    shown: &mut dyn FnMut(usize, usize),
) -> HashMap<ProbeKey, Probed> {
    let probes = Probes::of(desired);
    let wanted: std::collections::HashSet<ProbeKey> = rows.iter().map(|row| row.key).collect();
    let mut waiting = Vec::new();
    for check in &probes.checks {
        let prober = Arc::new(Prober::new(check));
        let keys = check.targets.iter().map(|target| ProbeKey { what: check.what, target: *target });
        waiting.extend(keys.filter(|key| wanted.contains(key)).map(|key| (key, Arc::clone(&prober))));
    }
    let allowed = getrlimit(Resource::Nofile).current.unwrap_or(IN_FLIGHT);
    let at_once = usize::try_from(IN_FLIGHT.min(allowed.saturating_sub(OTHERS))).unwrap_or_default().max(1);
    let (all, mut waiting) = (waiting.len(), waiting.into_iter());
    let mut in_flight = JoinSet::new();
    let mut probed = HashMap::with_capacity(all);
    loop {
        while in_flight.len() < at_once
            && let Some((key, prober)) = waiting.next()
        {
            in_flight.spawn(async move { (key, prober.probe(key.target).await) });
        }
        shown(probed.len(), all);
        match in_flight.join_next().await {
            Some(Ok((key, result))) => probed.insert(key, result),
            // A task neither panics nor is aborted.
            Some(Err(_)) => continue,
            None => return probed,
        };
    }
}

/// What a row says: the word for its verdict, and more.
fn verdict(probed: Option<&Probed>) -> (&'static str, CompactString) {
    match probed.map(|probed| &probed.outcome) {
        Some(Outcome::Passed { weight: Some(ExecWeight::Percent(share)), .. }) => {
            ("passing", format_compact!("weight {share}%"))
        }
        Some(Outcome::Passed { weight: Some(ExecWeight::Weight(weight)), .. }) => {
            ("passing", format_compact!("weight {weight}"))
        }
        Some(Outcome::Passed { weight: None, .. }) => ("passing", CompactString::default()),
        Some(Outcome::Failed(detail)) => ("failing", detail.clone()),
        Some(Outcome::Own(detail)) => ("not probed", detail.clone()),
        Some(Outcome::Lagged) | None => ("not probed", CompactString::default()),
    }
}

fn print(
    rows: &[Row],
    probed: &HashMap<ProbeKey, Probed>,
    output: ReportOutput,
    console: &mut Console<'_>,
) -> Result<u8, CommandError> {
    let milliseconds = |row: &Row| probed.get(&row.key).map_or(0, |probed| probed.took.as_millis());
    let mut counts = [("passing", 0), ("failing", 0), ("not probed", 0)];
    let mut documents = Vec::new();
    let width = |of: fn(&Row) -> usize| rows.iter().map(of).max().unwrap_or_default();
    let server = |row: &Row| escape::text(&format!("{}/{}", row.cluster, row.server)).into_owned();
    let widths = [
        rows.iter().map(|row| server(row).chars().count()).max().unwrap_or_default(),
        width(|row| escape::text(&row.check).chars().count()),
        width(|row| row.key.target.to_string().len()),
    ];
    for row in rows {
        let (word, detail) = verdict(probed.get(&row.key));
        counts.iter_mut().filter(|(of, _)| *of == word).for_each(|(_, count)| *count += 1);
        let (server, took) = (server(row), milliseconds(row));
        match output {
            ReportOutput::Text => {
                let [first, second, third] = widths;
                let (check, target) = (escape::text(&row.check), row.key.target.to_string());
                let line = format!(
                    "{server:first$}  {check:second$}  {target:third$}  {word:10}  {took:>5} ms  {}",
                    escape::text(&detail)
                );
                writeln!(console.out, "{}", line.trim_end())?;
            }
            ReportOutput::Json => documents.push(json!({
                "cluster": row.cluster, "server": row.server, "check": row.check,
                "target": row.key.target.to_string(), "verdict": word.replace(' ', "_"), "milliseconds": u64::try_from(took).unwrap_or(u64::MAX),
                "detail": (!detail.is_empty()).then_some(&detail), "warning": warning(probed.get(&row.key)),
            })),
        }
    }
    let [(_, passing), (_, failing), (_, not_probed)] = counts;
    match output {
        ReportOutput::Text => {
            let more = match not_probed {
                0 => String::new(),
                _ => format!(", {not_probed} not probed"),
            };
            writeln!(
                console.out,
                "{}: {passing} passing, {failing} failing{more}",
                count(rows.len(), "check")
            )?;
            console.out.flush()?;
            let warnings = || rows.iter().filter_map(|row| Some((row, warning(probed.get(&row.key))?)));
            for (row, warning) in warnings().take(WARNINGS) {
                console.warn(format_args!("{}: {warning}", row.check));
            }
            if let Some(more) = warnings().count().checked_sub(WARNINGS).filter(|more| *more > 0) {
                console.warn(format_args!("and {more} more; `--output json` has them all"));
            }
        }
        ReportOutput::Json => {
            let document = json!({ "version": JSON_VERSION, "checks": documents, "passing": passing, "failing": failing, "not_probed": not_probed });
            escape::json(console.out, &document)?;
            writeln!(console.out)?;
        }
    }
    Ok(match (failing, not_probed) {
        (0, 0) => DONE,
        (_, 0) => DIFFERS,
        _ => ERROR,
    })
}

fn warning(probed: Option<&Probed>) -> Option<&CompactString> {
    match probed.map(|probed| &probed.outcome) {
        Some(Outcome::Passed { warning, .. }) => warning.as_ref(),
        Some(Outcome::Failed(_) | Outcome::Own(_) | Outcome::Lagged) | None => None,
    }
}

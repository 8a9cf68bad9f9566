//! `lbd drain`, `weight`, `undo` and `overrides`: an operator takes servers out of service, or gives them another weight, for a time.

use std::collections::{BTreeSet, HashSet};
use std::io::Write;
use std::thread;
use std::time::{Duration, SystemTime};

use super::confirm::confirm;
use super::named;
use super::who::who;
use super::{CommandError, Console, DONE, ERROR, apply, inputs};
use crate::cli::{Apply, Arguments, DrainOptions, Lasting, ReportOutput, Term, UndoOptions, WeightOptions};
use crate::escape::{self, Escaped};
use crate::files::FileError;
use crate::history::{EventKind, HistoryEvent};
use crate::kernel::Kernel;
use crate::model::{Connections, Desired, RealServer, ServerKey, ServiceKey, Services};
use crate::reconcile;
use crate::report;
use crate::store::Store;
use crate::target::{
    Cause, CheckReason, Clock, Conditions, Drains, Effect, FileServers, FileWeight, InForce, MOST_OVERRIDES,
    Override, Overrides, Period, Scope, ServicePlace, Target, refuses_clients,
};

/// Takes servers out of service.
pub(super) fn drain(
    arguments: &Arguments,
    options: &DrainOptions,
    console: &mut Console<'_>,
) -> Result<u8, CommandError> {
    let effect = |_: &Scope, _: &Desired| if options.hard { Effect::Remove } else { Effect::Drain };
    let servers = set(arguments, &options.lasting, effect, console)?;
    if options.wait { wait(arguments, &servers, &options.lasting.name, console) } else { Ok(DONE) }
}

/// Gives servers another weight.
pub(super) fn weight(
    arguments: &Arguments,
    options: &WeightOptions,
    console: &mut Console<'_>,
) -> Result<u8, CommandError> {
    let effect = |scope: &Scope, file: &Desired| {
        let servers = scope.servers(&FileServers::of(&file.state.services)).into_iter();
        let from = servers.filter_map(|(service, server)| {
            let real = file.state.services.get(&service)?.servers.get(&server)?;
            Some(FileWeight::new(service, server, real.weight))
        });
        Effect::Weight { to: options.weight, from: from.collect(), despite_checks: options.despite_checks }
    };
    set(arguments, &options.lasting, effect, console)?;
    Ok(DONE)
}

/// The servers that an override is about.
type Concerned = Vec<(ServiceKey, ServerKey)>;

/// Sets an override, after a confirmation where it takes out the last usable server of a service.
fn set(
    arguments: &Arguments,
    lasting: &Lasting,
    effect: impl Fn(&Scope, &Desired) -> Effect,
    console: &mut Console<'_>,
) -> Result<Concerned, CommandError> {
    let (_, file) = inputs::desired(&arguments.file, &console.progress)?;
    let store = inputs::store(arguments)?;
    let scope = named::find(&lasting.name, &file).map_err(CommandError::UnknownName)?;
    let now = Clock::now();
    let new = Override {
        name: lasting.name.clone(),
        effect: effect(&scope, &file),
        scope,
        by: who(),
        reason: lasting.reason.clone(),
        since: now.wall.into(),
        period: match lasting.length {
            Term::Limited(length) => Some(Period::new(now, length)),
            Term::Unlimited => None,
        },
    };
    let before = store.load_overrides(now)?;
    // Where it cannot be read, no more is known than the file says.
    let in_force = store.load_health().unwrap_or_default().in_force;
    let emptied = emptied(&file, &before, &new, &in_force);
    if !emptied.is_empty() && !lasting.yes {
        console.warn(format_args!("this takes out the last usable server of {}", emptied.join(", ")));
        confirm("Take it out?", console)?;
    }
    let lock = inputs::lock(&store, "drain", console);
    // Another command may have set one meanwhile.
    let settled = store.note_ended_overrides(now);
    let saved = store.load_overrides(now).map_err(CommandError::from).and_then(|mut overrides| {
        overrides.add(new.clone());
        if overrides.len() > MOST_OVERRIDES {
            return Err(CommandError::TooManyOverrides(MOST_OVERRIDES));
        }
        store.save_overrides(&overrides).map_err(CommandError::StateFile)
    });
    let noted =
        if saved.is_ok() { note(&store, EventKind::OverrideSet, std::slice::from_ref(&new)) } else { Ok(()) };
    drop(lock);
    saved?;
    console.warn_of(settled);
    console.warn_of(noted);
    let servers = new.servers(&FileServers::of(&file.state.services));
    let overrides = store.load_overrides(now)?;
    let conditions = Conditions { overrides, health: in_force, ..Conditions::default() };
    show(&file, &new, &servers, &Target::new(&file, &conditions), console)?;
    let pauses = store.load_pauses(now).unwrap_or_default();
    let is_paused = |(service, _): &(ServiceKey, ServerKey)| {
        pauses.cover(file.clusters.get(service).map(|cluster| cluster.as_str()))
    };
    if servers.iter().any(is_paused) {
        console.note(
            "paused: it comes into force when the pause ends; `lbd resume` ends it, `lbd status` shows it",
        );
    }
    bring(arguments, &store, lasting.apply, console)?;
    Ok(servers)
}

/// Notes that overrides were set or ended.
fn note(store: &Store, kind: EventKind, overrides: &[Override]) -> Result<(), FileError> {
    let (by, now) = (who(), SystemTime::now());
    overrides.iter().try_for_each(|one| {
        store.note_event(&HistoryEvent::new(now, kind, one).by(by.as_str()).of(one.cluster()))
    })
}

/// The services that have a usable server under the overrides so far, and none with the new one. One that serves only since none passes its checks
/// is none.
fn emptied(file: &Desired, before: &Overrides, new: &Override, in_force: &InForce) -> Vec<String> {
    let conditions = |overrides: Overrides| {
        let health = in_force.clone();
        Conditions { overrides, health, ..Conditions::default() }
    };
    let mut after = before.clone();
    after.add(new.clone());
    let (before, after) = (conditions(before.clone()), conditions(after));
    let (before, after) = (Target::new(file, &before), Target::new(file, &after));
    let [open_before, open_after] = [&before, &after].map(|target| {
        let places = target.health().services.iter();
        places
            .filter(|(_, place)| *place == ServicePlace::FailsOpen)
            .map(|(key, _)| *key)
            .collect::<HashSet<ServiceKey>>()
    });
    let serves = |target: &Target<'_>, open: &HashSet<ServiceKey>, key: &ServiceKey| {
        let service = target.desired.state.services.get(key);
        !open.contains(key) && service.is_some_and(|service| service.servers.values().any(RealServer::serves))
    };
    let lost = file
        .state
        .services
        .keys()
        .filter(|key| serves(&before, &open_before, key) && !serves(&after, &open_after, key));
    lost.map(|key| match file.clusters.get(key) {
        Some(cluster) => format!("{key} ({cluster})"),
        None => key.to_string(),
    })
    .collect()
}

/// Shows what an override does.
fn show(
    file: &Desired,
    new: &Override,
    servers: &[(ServiceKey, ServerKey)],
    target: &Target<'_>,
    console: &mut Console<'_>,
) -> Result<(), CommandError> {
    writeln!(console.out, "{}", Escaped(new))?;
    let mut decide = false;
    for (key, server) in servers {
        let Some(service) = file.state.services.get(key) else { continue };
        let Some(real) = service.servers.get(server) else { continue };
        let cluster = file.clusters.get(key).map(|cluster| format!(" ({cluster})")).unwrap_or_default();
        let to = match new.effect {
            Effect::Remove => None,
            Effect::Drain => Some(0),
            Effect::Weight { to, .. } => Some(to),
        };
        let (refuses, scheduler) = (refuses_clients(&service.scheduling), &service.scheduling.scheduler);
        let what = match to {
            None => "taken out of the table".to_owned(),
            Some(0) if refuses => {
                format!(
                    "taken out of the table, since {scheduler} refuses the clients of a server of weight 0"
                )
            }
            Some(to) => match checked_weight(target, to, &(*key, *server)) {
                None => format!("weight: {} -> {to}", real.weight),
                Some((weight, check)) => {
                    decide = true;
                    format!("weight: {} -> {to}, and {weight} for now: {}", real.weight, Escaped(check))
                }
            },
        };
        writeln!(console.out, "  {key}{}  {server}  {what}", escape::text(&cluster))?;
    }
    console.out.flush()?;
    console.note("for this director only; `lbd undo` ends it");
    if decide {
        console.note("checks still decide; `--despite-checks` gives a server its weight whatever they say");
    }
    Ok(())
}

/// The weight that a server has by its checks, and why, where that is another one than an operator gives it.
fn checked_weight<'a>(
    target: &'a Target<'_>,
    to: u32,
    of: &(ServiceKey, ServerKey),
) -> Option<(u32, &'a CheckReason)> {
    let Some(Cause::Check(check, _)) = target.reason(&of.0, &of.1) else { return None };
    let servers = target.desired.state.services.get(&of.0).map(|service| &service.servers);
    let weight = servers.and_then(|servers| servers.get(&of.1)).map_or(0, |real| real.weight);
    (weight != to).then_some((weight, check))
}

/// Brings the overrides into the kernel by a pass of this command, or says who does it.
fn bring(
    arguments: &Arguments,
    store: &Store,
    applies: bool,
    console: &mut Console<'_>,
) -> Result<(), CommandError> {
    if applies {
        let code = apply::run(arguments, &Apply::plain(), console)?;
        return if code == DONE { Ok(()) } else { Err(CommandError::NotApplied) };
    }
    if store.daemon().is_ok_and(|daemon| daemon.is_none()) {
        console.note(
            "no daemon runs; the next `lbd apply` brings it into the kernel, as `--apply` does at once",
        );
    }
    Ok(())
}

/// Waits until servers have no connections any more; ends with an error where the override ends before.
fn wait(
    arguments: &Arguments,
    servers: &[(ServiceKey, ServerKey)],
    name: &str,
    console: &mut Console<'_>,
) -> Result<u8, CommandError> {
    const INTERVAL: Duration = Duration::from_secs(1);
    let store = inputs::store(arguments)?;
    let mut kernel = inputs::kernel(&console.progress)?;
    let mut shown = None;
    let mut waiting = Drains::waiting_for(servers, Clock::now());
    let mut services: Vec<ServiceKey> = servers.iter().map(|(service, _)| *service).collect();
    services.dedup();
    loop {
        let live = kernel.read_services(&services)?;
        waiting.take_out_ended(&reconcile::live_connections(&live), Clock::now());
        let all = waiting.iter().filter_map(|(server, _)| live.connections.get(server));
        let sum = |sum: u64, of: &Connections| {
            sum + u64::from(of.active) + u64::from(of.inactive) + u64::from(of.persistent)
        };
        let left = all.fold(0, sum);
        if waiting.is_empty() {
            writeln!(console.out, "{}: no connections are left", escape::text(name))?;
            return Ok(DONE);
        }
        // Another command may have given them a weight meanwhile.
        let drains = |one: &Override| one.name == name && one.kind() == "drain";
        if !store.load_overrides(Clock::now())?.iter().any(drains) {
            console.error(format_args!("{name}: the override has ended, and {left} connections are left"));
            return Ok(ERROR);
        }
        if shown != Some(left) {
            console.note(format_args!(
                "{name}: {}",
                report::count(usize::try_from(left).unwrap_or(usize::MAX), "connection")
            ));
            shown = Some(left);
        }
        thread::sleep(INTERVAL);
    }
}

/// Ends overrides.
pub(super) fn undo(
    arguments: &Arguments,
    options: &UndoOptions,
    console: &mut Console<'_>,
) -> Result<u8, CommandError> {
    let store = inputs::store(arguments)?;
    let lock = inputs::lock(&store, "undo", console);
    let settled = store.note_ended_overrides(Clock::now());
    let overrides = match store.load_overrides(Clock::now()) {
        Ok(overrides) => Ok((overrides, None)),
        // The way out of a file that cannot be read.
        Err(error) if options.all => Ok((Overrides::default(), Some(error))),
        Err(error) => Err(CommandError::from(error)),
    };
    let result = overrides.and_then(|(mut overrides, problem)| {
        let is_named = |one: &Override| options.all || options.names.contains(&one.name);
        let ended = overrides.end(is_named);
        store.save_overrides(&overrides).map_err(CommandError::StateFile)?;
        Ok((overrides, ended, problem))
    });
    let noted = match &result {
        Ok((_, ended, _)) => note(&store, EventKind::OverrideUndone, ended),
        Err(_) => Ok(()),
    };
    drop(lock);
    console.warn_of(settled);
    console.warn_of(noted);
    let (overrides, ended, problem) = result?;
    if let Some(problem) = problem {
        console.warn(format_args!("{problem}; it is removed, and the overrides in it end"));
    }
    for one in &ended {
        writeln!(console.out, "ended: {}", Escaped(one))?;
    }
    console.out.flush()?;
    let unknown: Vec<&str> = options
        .names
        .iter()
        .map(String::as_str)
        .filter(|name| !ended.iter().any(|one| one.name == *name))
        .collect();
    if !unknown.is_empty() {
        let names: Vec<&str> = overrides.iter().map(|one| one.name.as_str()).collect();
        return Err(CommandError::NoOverride { name: unknown.join(", "), names: names.join(", ") });
    }
    if ended.is_empty() {
        console.note("there are no overrides");
        return Ok(DONE);
    }
    bring(arguments, &store, options.apply, console)?;
    Ok(DONE)
}

/// Lists the overrides.
pub(super) fn list(
    arguments: &Arguments,
    output: ReportOutput,
    console: &mut Console<'_>,
) -> Result<u8, CommandError> {
    let store = inputs::store(arguments)?;
    let overrides = store.load_overrides(Clock::now())?;
    let all: Vec<&Override> = overrides.iter().collect();
    match output {
        ReportOutput::Text => {
            for one in &all {
                writeln!(console.out, "{}", Escaped(one))?;
            }
            if all.is_empty() {
                console.note("there are no overrides");
            }
        }
        ReportOutput::Json => report::override_list_json(console.out, &all)?,
    }
    Ok(DONE)
}

/// Puts the file's weights, and the servers that were taken out, back into a live state that is to be exported: what lbd itself took out
/// of service is no part of what the file would say. `verified` is the file that was verified last.
pub(super) fn without(services: &mut Services, verified: &Desired, conditions: &Conditions) {
    let target = Target::new(verified, conditions);
    let sorted: BTreeSet<_> = target.reasons().map(|(server, _)| server).collect();
    for (key, server) in sorted {
        let Some(service) = services.get_mut(&key) else { continue };
        match verified.state.services.get(&key).and_then(|service| service.servers.get(&server)) {
            Some(file) => match service.servers_mut().get_mut(&server) {
                Some(real) => real.weight = file.weight,
                None => drop(service.servers_mut().insert(server, *file)),
            },
            // The fallback.
            None => drop(service.servers_mut().shift_remove(&server)),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::UNIX_EPOCH;

    use super::*;
    use crate::config::{Source, load};
    use crate::health::{Failure, Finding, Probes, Verdict, Verdicts};
    use crate::target::{Advance, Pauses};

    // The only server that passed was drained without a word, and all clients went to one that was known to be dead.
    #[test]
    fn to_take_out_the_last_server_that_passes_has_to_be_confirmed() {
        let text = "version: 1\nclusters: [{ name: web, listen: tcp://10.0.0.1:80, check: { type: tcp }, servers: [192.168.8.1, 192.168.8.2, 192.168.8.3] }]\n";
        let file = load(&Source::new("x", text)).unwrap();
        let now = Clock { since_boot: 1_000, wall: UNIX_EPOCH };
        let finding = |verdict| Finding { verdict, ..Finding::PASSING };
        let failure =
            Failure { detail: "refused".into(), since: UNIX_EPOCH.into(), since_boot: 1, failed: 3, fall: 3 };
        let probes = Probes::of(&file);
        let failing = probes.iter().filter(|(probe, _)| !probe.target.ip().to_string().ends_with(".3"));
        let findings =
            failing.map(|(probe, _)| (probe, finding(Verdict::Failing(failure.clone())))).collect();
        let verdicts = Verdicts { findings, ..Verdicts::default() };
        let in_force = InForce::NONE.advance(&Advance {
            desired: &file,
            before: None,
            overrides: &Overrides::NONE,
            pauses: &Pauses::NONE,
            verdicts: Some(&verdicts),
            silent_for: 0,
            now,
        });
        let drain = |name: &str| Override {
            name: name.to_owned(),
            scope: named::find(name, &file).unwrap(),
            effect: Effect::Drain,
            by: "alice".into(),
            reason: None,
            since: now.wall.into(),
            period: None,
        };
        let emptied = |name| emptied(&file, &Overrides::NONE, &drain(name), &in_force);
        assert_eq!(emptied("web/192.168.8.1"), [""; 0]);
        assert_eq!(emptied("web/192.168.8.3"), ["tcp://10.0.0.1:80 (web)"]);

        // It printed `1 -> 5`, and the server stayed at 0 without a word.
        let conditions = Conditions { health: in_force, ..Conditions::default() };
        let target = Target::new(&file, &conditions);
        let mut keys = file.state.services.iter();
        let (service, servers) = keys.next().map(|(key, service)| (*key, service.servers.keys())).unwrap();
        let checked = servers.map(|server| {
            checked_weight(&target, 5, &(service, *server)).map(|(weight, why)| (weight, why.to_string()))
        });
        let why = || Some((0, "check tcp: refused, 3 of 3, since 1970-01-01T00:00:00Z".to_owned()));
        // (One is kept in service: two of three are the least.)
        assert_eq!(checked.collect::<Vec<_>>(), [why(), None, None]);
    }
}

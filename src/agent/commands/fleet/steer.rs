//! `lbd fleet halt`, `resume`, `promote`, `rollback` and `release`.

use std::io::Write as _;
use std::time::SystemTime;

use super::{Fleet, by, whole};
use crate::agent::commands::AgentError;
use crate::agent::controller::shown;
use crate::agent::etcd::{Condition, Write};
use crate::cli::FleetOptions;
use crate::commands::{Console, DONE, confirm};
use crate::escape;
use crate::fleet::{HALT, Halt, Version, next_head, promote as promotion, slot, written};

pub(super) fn halt(
    options: &FleetOptions,
    reason: Option<&str>,
    console: &mut Console<'_>,
) -> Result<u8, AgentError> {
    let mut fleet = Fleet::new(options)?;
    let reading = fleet.read()?;
    let halt =
        Halt { version: Version, by: by(), at: SystemTime::now().into(), reason: reason.map(str::to_owned) };
    let write = Write::Put { key: HALT.to_owned(), value: written(&halt), is_leased: false };
    fleet.change(&reading, &[], vec![write], "fleet halt", reason)?;
    writeln!(console.out, "halted: no director takes a new revision; `lbd fleet resume` ends it")?;
    for (director, slot) in &reading.view.slots {
        console.note(format_args!("{director} takes {} already, and ends that", shown(&slot.value.revision)));
    }
    Ok(DONE)
}

pub(super) fn resume(options: &FleetOptions, console: &mut Console<'_>) -> Result<u8, AgentError> {
    let mut fleet = Fleet::new(options)?;
    let reading = fleet.read()?;
    if reading.view.halt.is_none() {
        console.note("the fleet was not halted");
    } else {
        fleet.change(&reading, &[], vec![Write::Delete(HALT.to_owned())], "fleet resume", None)?;
        writeln!(console.out, "resumed")?;
    }
    if let Some((director, outcome)) = reading.view.failed().next() {
        console.note(format_args!(
            "the revision failed at {director}, so no other director takes it: {}; a new revision goes on, and `lbd fleet promote` of the same tries it again",
            outcome.error.as_deref().unwrap_or("no reason is known")
        ));
    }
    Ok(DONE)
}

pub(super) fn promote(
    options: &FleetOptions,
    revision: &str,
    reason: Option<&str>,
    console: &mut Console<'_>,
) -> Result<u8, AgentError> {
    let mut fleet = Fleet::new(options)?;
    let reading = fleet.read()?;
    let revision = whole(&reading.view, revision)?;
    let head =
        next_head(&reading.view, &revision, &by(), reason.map(str::to_owned), false, SystemTime::now());
    let transaction = promotion(&reading.view, &head);
    let what = format!("fleet promote {revision}");
    fleet.change(&reading, &transaction.conditions, transaction.writes, &what, reason)?;
    writeln!(console.out, "promoted: {}", escape::text(&revision))?;
    note_halt(&reading.view, console);
    Ok(DONE)
}

fn note_halt(view: &crate::fleet::View, console: &mut Console<'_>) {
    if let Some(halt) = &view.halt {
        console.warn(format_args!(
            "the fleet is halted since {}: nothing is taken until `lbd fleet resume`",
            halt.at
        ));
    }
}

pub(super) fn rollback(
    options: &FleetOptions,
    revision: Option<&str>,
    yes: bool,
    reason: Option<&str>,
    console: &mut Console<'_>,
) -> Result<u8, AgentError> {
    let mut fleet = Fleet::new(options)?;
    let reading = fleet.read()?;
    let view = &reading.view;
    let Some(head) = &view.head else {
        return Err(AgentError::Other(
            "no revision is promoted yet, so there is none to go back from".to_owned(),
        ));
    };
    let good = match view.is_verified_by_all() {
        // Nothing is wrong with it: the one before is meant.
        true => head.value.former.last(),
        false => head.value.last_good.as_ref(),
    };
    let revision = match (revision, good) {
        (Some(revision), _) => whole(view, revision)?,
        (None, Some(good)) => good.clone(),
        (None, None) => {
            return Err(AgentError::Other(
                "no revision before is known that all directors had verified; name one: lbd fleet rollback REVISION".to_owned(),
            ));
        }
    };
    if revision == head.value.revision {
        return Err(AgentError::Other(format!("{} is the revision of the fleet already", shown(&revision))));
    }
    let directors = view.strategy.as_ref().map_or(0, |strategy| strategy.value.directors.len());
    let (from, to) = (shown(&head.value.revision).to_owned(), shown(&revision).to_owned());
    writeln!(
        console.out,
        "from {} to {}: {directors} directors, all at once, without stages",
        escape::text(&from),
        escape::text(&to)
    )?;
    console.out.flush()?;
    if !yes {
        confirm("Roll the fleet back?", console)?;
    }
    let head = next_head(view, &revision, &by(), reason.map(str::to_owned), true, SystemTime::now());
    let transaction = promotion(view, &head);
    let what = format!("fleet rollback {revision}");
    fleet.change(&reading, &transaction.conditions, transaction.writes, &what, reason)?;
    writeln!(console.out, "begun; `lbd fleet status --watch` shows it")?;
    note_halt(view, console);
    Ok(DONE)
}

pub(super) fn release(
    options: &FleetOptions,
    director: &str,
    reason: Option<&str>,
    console: &mut Console<'_>,
) -> Result<u8, AgentError> {
    let mut fleet = Fleet::new(options)?;
    let reading = fleet.read()?;
    let Some(of) = reading.view.slots.get(director) else {
        let names: Vec<&str> = reading.view.slots.keys().map(String::as_str).collect();
        let names = if names.is_empty() {
            "no director has one".to_owned()
        } else {
            format!("have one: {}", names.join(", "))
        };
        return Err(AgentError::Other(format!("{director} has no slot; {names}")));
    };
    let key = slot(director);
    let unchanged = Condition::ModifiedAt { key: key.clone(), revision: of.modified };
    fleet.change(
        &reading,
        &[unchanged],
        vec![Write::Delete(key)],
        &format!("fleet release {director}"),
        reason,
    )?;
    let revision = escape::text(shown(&of.value.revision)).into_owned();
    writeln!(
        console.out,
        "released: the slot of {} for {revision}, which it had since {}",
        escape::text(director),
        of.value.since
    )?;
    if reading.view.reports.contains_key(director) {
        console.warn(format_args!("{director} is alive, and may be in the middle of it"));
    }
    Ok(DONE)
}

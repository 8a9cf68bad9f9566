//! `lbd fleet strategy` and `lbd fleet roles`.

use std::io::Write as _;
use std::path::Path;

use super::Fleet;
use crate::agent::commands::AgentError;
use crate::agent::etcd::{Condition, Write};
use crate::agent::settings::SourceSettings;
use crate::cli::FleetOptions;
use crate::commands::{Console, DONE};
use crate::config::other;
use crate::escape;
use crate::fleet::{STRATEGY, Strategy, fleet_roles, load_strategy};

/// The user of etcd for whoever types the commands of `lbd fleet`.
const OPERATOR: &str = "operator";

fn summary(strategy: &Strategy) -> String {
    let stages = (0..strategy.stages.len()).map(|stage| strategy.directors_of(stage).count().to_string());
    let stages = stages.collect::<Vec<_>>().join(", ");
    format!("{} directors in {} stages ({stages})", strategy.directors.len(), strategy.stages.len())
}

pub(super) fn validate(file: &Path, console: &mut Console<'_>) -> Result<u8, AgentError> {
    let strategy = load_strategy(&other::read(file)?)?;
    writeln!(console.out, "valid: {}", summary(&strategy))?;
    Ok(DONE)
}

pub(super) fn set(
    options: &FleetOptions,
    file: &Path,
    reason: Option<&str>,
    console: &mut Console<'_>,
) -> Result<u8, AgentError> {
    let source = other::read(file)?;
    let strategy = load_strategy(&source)?;
    let mut fleet = Fleet::new(options)?;
    let reading = fleet.read()?;
    let condition = match &reading.view.strategy {
        Some(stored) => Condition::ModifiedAt { key: STRATEGY.to_owned(), revision: stored.modified },
        None if reading.view.unreadable.iter().any(|unreadable| unreadable.key == STRATEGY) => {
            // One of a newer lbd, or a broken one: it is replaced by this one.
            Condition::NothingNewIn { folder: STRATEGY.to_owned(), since: reading.view.at }
        }
        None => Condition::Absent(STRATEGY.to_owned()),
    };
    let write = Write::Put { key: STRATEGY.to_owned(), value: source.text.into_bytes(), is_leased: false };
    fleet.change(&reading, &[condition], vec![write], "fleet strategy set", reason)?;
    writeln!(console.out, "set: {}", summary(&strategy))?;
    for director in reading.view.reports.keys().filter(|name| !strategy.directors.contains_key(*name)) {
        console.warn(format_args!(
            "{director} reports, and the strategy does not have it: it takes no revision"
        ));
    }
    Ok(DONE)
}

pub(super) fn show(options: &FleetOptions, console: &mut Console<'_>) -> Result<u8, AgentError> {
    let mut fleet = Fleet::new(options)?;
    let entry = fleet.runtime.block_on(fleet.etcd.get(STRATEGY))?;
    let entry = entry.ok_or_else(|| {
        AgentError::Other("there is no strategy; set one: lbd fleet strategy set FILE".to_owned())
    })?;
    for line in String::from_utf8_lossy(&entry.value).lines() {
        writeln!(console.out, "{}", escape::text(line))?;
    }
    Ok(DONE)
}

pub(super) fn roles(options: &FleetOptions, console: &mut Console<'_>) -> Result<u8, AgentError> {
    let mut fleet = Fleet::new(options)?;
    let reading = fleet.read()?;
    let Some(strategy) = reading.view.strategy.map(|strategy| strategy.value) else {
        return Err(AgentError::Other(
            "there is no strategy, so the directors are not known; set one: lbd fleet strategy set FILE"
                .to_owned(),
        ));
    };
    // What is pushed into etcd comes with its head, which the operator writes.
    let is_pushed = matches!(fleet.settings.source, SourceSettings::Etcd(_));
    let canary = strategy.first_canary().filter(|_| !is_pushed);
    let directors: Vec<(&str, bool)> =
        strategy.directors.keys().map(|name| (name.as_str(), canary == Some(name.as_str()))).collect();
    console.out.write_all(fleet_roles(&fleet.place.prefix, &directors, OPERATOR).as_bytes())?;
    Ok(DONE)
}

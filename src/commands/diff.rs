//! `lbd diff`: shows what `apply` would do now, and changes nothing.

use std::path::Path;

use super::{Console, DIFFERS, DONE, Stop, inputs};
use crate::cli::{Arguments, Diff, DiffOutput};
use crate::config;
use crate::ipvsadm;
use crate::kernel::Live;
use crate::model::{Desired, State, Thresholds};
use crate::reconcile::Comparison;
use crate::report;
use crate::store::Record;

pub(super) fn run(arguments: &Arguments, options: &Diff, console: &mut Console<'_>) -> Result<u8, Stop> {
    let (_, mut desired) = inputs::desired(&arguments.file)?;
    desired.policy = inputs::policy(desired.policy, &options.overrides);
    inputs::tell_what_is_left_out(&desired, console);
    let (live, record) = match &options.live {
        // An export says nothing of who owns what, and may come from another host.
        Some(export) => (from_export(export, &desired, console)?, Record::default()),
        None => {
            let record = inputs::store(arguments)?.load().unwrap_or_else(|error| {
                console.warn(error);
                Record::default()
            });
            (inputs::live()?, record)
        }
    };
    let comparison = Comparison::new(live, &desired, &record);
    match options.output {
        DiffOutput::Text => report::comparison_text(console.out, &comparison)?,
        DiffOutput::Json => report::comparison_json(console.out, &comparison)?,
        DiffOutput::Ipvsadm => {
            for operation in comparison.plan.operations() {
                writeln!(console.out, "{}", ipvsadm::command(operation))?;
            }
            if let Some(objection) = &comparison.objection {
                console.warn(format_args!("apply would refuse: {objection}"));
            }
        }
    }
    Ok(if comparison.is_in_sync() { DONE } else { DIFFERS })
}

/// A live state from a file: an export of lbd, or what `ipvsadm -Sn` printed.
fn from_export(path: &Path, desired: &Desired, console: &mut Console<'_>) -> Result<Live, Stop> {
    let source = inputs::read(path)?;
    let state = if ipvsadm::is_rules_text(&source.text) {
        let parsed = ipvsadm::read(&source.text);
        if !parsed.problems.is_empty() {
            let problems = parsed.problems.iter().map(|problem| format!("{}: {problem}", source.name));
            return Err(Stop::Trouble(problems.collect::<Vec<_>>().join("\n")));
        }
        if has_limits(&parsed.state) || !has_limits(&desired.state) {
            parsed.state
        } else {
            console.note("connection limits are not compared: `ipvsadm -S` does not print them");
            with_limits_of(parsed.state, &desired.state)
        }
    } else {
        config::load(&source).map_err(|problems| Stop::Invalid(Box::new(problems)))?.state
    };
    Ok(Live { state, ..Live::default() })
}

fn has_limits(state: &State) -> bool {
    let mut servers = state.services.values().flat_map(|service| service.servers.values());
    servers.any(|server| server.thresholds != Thresholds::default())
}

/// Gives the servers of `live` the connection limits that they shall have, where these are not known.
fn with_limits_of(mut live: State, desired: &State) -> State {
    for (key, service) in &mut live.services {
        let Some(wanted) = desired.services.get(key) else { continue };
        for (key, server) in &mut service.servers {
            if let Some(wanted) = wanted.servers.get(key) {
                server.thresholds = wanted.thresholds;
            }
        }
    }
    live
}

//! `lbd diff`: shows what `apply` would do now, and changes nothing.

use std::io::Write;
use std::path::Path;

use super::advice::Detail;
use super::candidate::Candidate;
use super::inputs::{Input, StoredState};
use super::part::Part;
use super::tried::{Followed, followed};
use super::{CommandError, Console, DIFFERS, DONE, ERROR, advice, by_socket, history, inputs};
use crate::cli::{Arguments, Diff, DiffOutput};
use crate::config::{self, Source};
use crate::files::sha256;
use crate::ipvsadm;
use crate::kernel::Live;
use crate::model::{Desired, Forwarding, State, Thresholds, Timeouts};
use crate::reconcile::{self, Fingerprint, StateDiff};
use crate::report::{self, PlannedFile};
use crate::target::Trial;

pub(super) fn run(
    arguments: &Arguments,
    options: &Diff,
    console: &mut Console<'_>,
) -> Result<u8, CommandError> {
    match by_socket::plan(arguments, options, console)? {
        Some(code) => Ok(code),
        None => direct(arguments, options, console),
    }
}

/// The same by the privileges of this process.
pub(super) fn direct(
    arguments: &Arguments,
    options: &Diff,
    console: &mut Console<'_>,
) -> Result<u8, CommandError> {
    let (source, desired, trial) = match options.against {
        Some(number) => {
            let source = history::text(&inputs::store(arguments)?, number)?;
            // Several files are not replaced at once.
            let how = if source.is_set() { "--for TIME" } else { "--now" };
            console.note(format_args!(
                "compared with {}: this is what `lbd rollback {number} {how}` would do",
                source.name
            ));
            let desired = config::load(&source)?;
            (source, desired, None)
        }
        None => {
            // An export may come from another host.
            let store = match &options.live {
                Some(_) => None,
                None => Some(inputs::store(arguments)?),
            };
            let followed = followed(&arguments.file, store.as_ref(), console);
            let Followed { source, desired, trial } =
                followed.map_err(|error| Part::explain(&options.clusters, error))?;
            (source, desired, trial)
        }
    };
    if let Some(trial) = &trial {
        console.note(format_args!("a trial is under way, and this is about its file: {trial}"));
    }
    let of = trial.map_or(Of::Operator, |trial| Of::Trial(Box::new(trial)));
    Ok(show(arguments, options, &source, desired, of, console)?.0)
}

/// The same of a file that an agent would make the desired one.
pub(super) fn of_candidate(
    arguments: &Arguments,
    options: &Diff,
    candidate: Candidate,
    console: &mut Console<'_>,
) -> Result<u8, CommandError> {
    let Candidate { source, desired } = candidate;
    Ok(show(arguments, options, &source, desired, Of::Agent, console)?.0)
}

/// Whose file is compared with the live state.
pub(super) enum Of {
    /// The desired one, or one that an operator would put into its place
    Operator,
    /// That of a trial
    Trial(Box<Trial>),
    /// One that an agent would put into its place; it may be replaced meanwhile, so the document says which it was
    Agent,
}

/// Compares a state with the live one, and shows the difference; gives the exit code with it. `source` is the text of the state, of a
/// trial where it is the file of one.
pub(super) fn show(
    arguments: &Arguments,
    options: &Diff,
    source: &Source,
    mut desired: Desired,
    of: Of,
    console: &mut Console<'_>,
) -> Result<(u8, StateDiff), CommandError> {
    desired.policy = inputs::policy(desired.policy, &options.overrides);
    let (trial, planned) = match of {
        Of::Operator => (None, None),
        Of::Trial(trial) => (Some(*trial), None),
        Of::Agent => (None, Some(PlannedFile { path: &source.name, sha256: sha256(&source.text) })),
    };
    let stored = match &options.live {
        // An export does not contain what lbd owns, and may come from another host.
        Some(_) => StoredState::nothing(),
        None => {
            let store = inputs::store(arguments)?;
            let verified = inputs::verified(&store, source);
            StoredState::read(&store, verified, &desired, console).in_trial(trial)
        }
    };
    let part = Part::new(&options.clusters, [&desired.clusters, &stored.record.owned])?;
    let live = match &options.live {
        Some(export) => from_export(export, &mut desired, console)?,
        None => inputs::live(&reconcile::question(&desired, &stored.record), &console.progress)?,
    };
    console.progress.set_task("comparing");
    let mut comparison = stored.compare(live, &desired);
    comparison.is_of_export = options.live.is_some();
    if let Some(error) = &comparison.nftables_error {
        console.warn(error);
    }
    let mut warnings = match &options.live {
        Some(_) => advice::of_the_file(&desired),
        None => advice::of(&desired, &advice::look(&desired.state, &arguments.file, console), &comparison),
    };
    part.limit(&mut comparison, &mut warnings);
    // A part of a plan, or one against an export or for another file, cannot be carried out.
    let is_plan = options.live.is_none()
        && options.against.is_none()
        && options.clusters.is_empty()
        && planned.is_none();
    let fingerprint = is_plan.then(|| Fingerprint::of(&comparison)).flatten();
    match options.output {
        DiffOutput::Text => report::comparison_text(console.out, &comparison, fingerprint.as_ref())?,
        DiffOutput::Json => {
            report::comparison_json(console.out, planned, &comparison, fingerprint.as_ref(), &warnings)?;
        }
        DiffOutput::Ipvsadm => {
            for command in report::commands(&comparison) {
                writeln!(console.out, "{command}")?;
            }
            if let Some(guard_refusal) = &comparison.guard_refusal {
                let in_part = if guard_refusal.is_partial() { " in part" } else { "" };
                console.warn(format_args!("apply would refuse{in_part}: {guard_refusal}"));
            }
        }
    }
    if options.output != DiffOutput::Json {
        console.out.flush()?;
        advice::print(&warnings, Detail::of(options.verbose, "lbd diff --verbose"), console);
    }
    if let Some(reason) = stored.verified.unknown() {
        console.not_verified(reason);
    }
    let code = match comparison.is_in_sync() {
        _ if stored.verified.unknown().is_some() => ERROR,
        _ if options.strict && !warnings.is_empty() => ERROR,
        true => DONE,
        false => DIFFERS,
    };
    Ok((code, comparison))
}

/// Reads a live state from a file: an export of lbd, or the output of `ipvsadm -Sn`. What such a file does not contain is removed
/// from the desired state, and the operator is told.
fn from_export(path: &Path, desired: &mut Desired, console: &mut Console<'_>) -> Result<Live, CommandError> {
    let source = inputs::read_input(path, Input::Live, &console.progress)?;
    let state = &mut desired.state;
    let mut missing = Vec::new();
    let live = if ipvsadm::is_rules_text(&source.text) {
        let parsed = ipvsadm::read(&source.text);
        if !parsed.problems.is_empty() {
            return Err(CommandError::Rules { name: source.name, problems: parsed.problems });
        }
        missing.extend(forget_what_ipvsadm_does_not_save(state, &parsed.state));
        parsed.state
    } else {
        let another = || config::of_another_program(&source, &Input::Live.takes());
        config::load(&source).map_err(|problems| another().unwrap_or(problems))?.state
    };
    let known = state.sysctls.len();
    state.sysctls.retain(|name, _| live.sysctls.contains_key(name));
    if state.sysctls.len() < known {
        missing.push("kernel settings (`lbd export --sysctl NAME` adds them)");
    }
    if !missing.is_empty() {
        console.note(format_args!(
            "not compared, since they are not in {}: {}",
            source.name,
            missing.join(", ")
        ));
    }
    Ok(Live { state: live, ..Live::default() })
}

/// Removes from a desired state what `ipvsadm -S` does not print; returns its names.
fn forget_what_ipvsadm_does_not_save(desired: &mut State, saved: &State) -> Vec<&'static str> {
    let mut missing = Vec::new();
    if !desired.mark_rules().is_empty() {
        missing.push("mark rules");
        desired.marks.iter_mut().for_each(|mark| mark.matches.clear());
    }
    if !desired.untracked.is_empty() {
        missing.push("untracked packets");
        desired.untracked.clear();
    }
    if saved.timeouts == Timeouts::default() && desired.timeouts != Timeouts::default() {
        missing.push("timeouts");
        desired.timeouts = Timeouts::default();
    }
    if saved.sync.is_empty() && !desired.sync.is_empty() {
        missing.push("sync daemons");
        desired.sync.clear();
    }
    let has_limits = |state: &State| {
        let mut servers = state.services.values().flat_map(|service| service.servers.values());
        servers.any(|server| server.thresholds != Thresholds::default())
    };
    let forget_limits = !has_limits(saved) && has_limits(desired);
    if forget_limits {
        missing.push("connection limits");
    }
    if desired.has_fullnat() {
        missing.push("source NAT (fullnat or nat)");
    }
    for server in desired.services.values_mut().flat_map(|service| service.servers_mut().values_mut()) {
        if forget_limits {
            server.thresholds = Thresholds::default();
        }
        if server.forwarding == Forwarding::FullNat {
            server.forwarding = Forwarding::Nat;
        }
    }
    missing
}

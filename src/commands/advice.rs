//! Collects and prints the warnings of the commands about the host and the file.

use std::path::Path;

use super::Console;
use crate::advice::{self, Advice, Planned, Shortened};

pub(super) use crate::advice::of_the_file;
use crate::host::Host;
use crate::model::{Desired, State};
use crate::reconcile::StateDiff;

/// Examines the host in this network namespace, and who may write the desired file; prints what cannot be examined.
pub(super) fn look(desired: &State, file: &Path, console: &mut Console<'_>) -> Host {
    console.progress.set_task("checking the host");
    let host = advice::examine(desired, file, true);
    for unknown in &host.unknown {
        console.note(unknown);
    }
    host
}

/// Warnings about what the director needs and the file does not configure, before the plan of `comparison` is carried out.
pub(super) fn of(desired: &Desired, host: &Host, comparison: &StateDiff) -> Vec<Advice> {
    let planned = Planned {
        plan: &comparison.plan,
        live: comparison.services(),
        connections: &|service, server| comparison.connections(service, server),
    };
    let mut advice = advice::of_the_file(desired);
    advice.extend(advice::advise(&desired.state, host, Some(&planned)));
    advice
}

/// The same where the kernel's table cannot be read.
pub(super) fn without_plan(desired: &Desired, host: &Host) -> Vec<Advice> {
    let mut advice = advice::of_the_file(desired);
    advice.extend(advice::advise(&desired.state, host, None));
    advice
}

/// Warns about a desired file that other users may write, for commands that check nothing else of the host.
pub(super) fn warn_of_file(file: &Path, console: &mut Console<'_>) {
    for warning in advice::grouped(&advice::of_file(file)) {
        console.warn(warning);
    }
}

/// How much of the warnings is printed.
#[derive(Debug, Clone, Copy)]
pub(super) enum Detail {
    /// All subjects and ways out
    Full,
    /// One line each, and in the end which command prints all
    Short(&'static str),
}

impl Detail {
    /// Full with `--verbose`; `command` prints all.
    pub(super) fn of(is_verbose: bool, command: &'static str) -> Self {
        if is_verbose { Self::Full } else { Self::Short(command) }
    }
}

/// Prints warnings.
pub(super) fn print(advice: &[Advice], detail: Detail, console: &mut Console<'_>) {
    match detail {
        Detail::Full => advice::in_full(advice).iter().for_each(|warning| console.warn(warning)),
        Detail::Short(command) => {
            let Shortened { lines, is_cut } = advice::shortened(advice);
            lines.iter().for_each(|line| console.warn(line));
            if is_cut {
                console.note(format_args!("`{command}` shows the warnings in full"));
            }
        }
    }
}

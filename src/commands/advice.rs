//! What `diff`, `apply` and `validate --host` say about the host.

use std::path::Path;

use super::Console;
use crate::advice::{self, Advice, Planned};
use crate::host::{self, Host, Roots};
use crate::model::{Desired, State};
use crate::reconcile::Comparison;

/// Looks at the host, in this network namespace, and at who may write the desired file; what cannot be looked at is told.
pub(super) fn look(desired: &State, file: &Path, console: &mut Console<'_>) -> Host {
    console.progress.say("looking at the host");
    let live = host::settings(advice::settings(desired));
    let question = advice::question(desired, &live);
    let mut host = host::look(question, live, &Roots::default());
    host.writable = host::writable(file);
    for unknown in &host.unknown {
        console.note(unknown);
    }
    host
}

/// What the director needs of the host and the file forgot, before the plan of `comparison` is carried out.
pub(super) fn of(desired: &Desired, host: &Host, comparison: &Comparison) -> Vec<Advice> {
    let planned = Planned {
        plan: &comparison.plan,
        live: comparison.services(),
        connections: &|service, server| comparison.connections(service, server),
    };
    let mut advice = of_the_file(desired);
    advice.extend(advice::advise(&desired.state, host, Some(&planned)));
    advice
}

/// The same where the kernel could not be asked for its table.
pub(super) fn without_plan(desired: &Desired, host: &Host) -> Vec<Advice> {
    let mut advice = of_the_file(desired);
    advice.extend(advice::advise(&desired.state, host, None));
    advice
}

/// What can be seen in the file alone.
pub(super) fn of_the_file(desired: &Desired) -> Vec<Advice> {
    advice::unusable(&desired.state.services, &desired.allow_empty)
}

/// Warns of a desired file that others may write, for commands that look at nothing else of the host.
pub(super) fn warn_of_file(file: &Path, console: &mut Console<'_>) {
    tell(&advice::of_file(file), console);
}

/// Tells the operator.
pub(super) fn tell(advice: &[Advice], console: &mut Console<'_>) {
    for warning in advice::grouped(advice) {
        console.warn(warning);
    }
}

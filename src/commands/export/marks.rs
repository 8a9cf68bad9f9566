//! Reads the marks that firewall rules set, for the services that listen on them.

use std::collections::BTreeSet;
use std::path::Path;

use crate::commands::inputs::{self, Input};
use crate::commands::{CommandError, Console};
use crate::host;
use crate::import::{self, Effect, Finding, FoundMarks, OtherRule, Place};
use crate::model::{Family, Mark, State};

/// What was found, and what there is to say of the rules that are no `match` entries.
#[derive(Debug, Default)]
pub(super) struct Found {
    pub(super) marks: Vec<Mark>,
    pub(super) findings: Vec<Finding>,
}

impl Found {
    fn add(&mut self, name: &str, FoundMarks { marks, others }: FoundMarks) {
        import::join_marks(&mut self.marks, marks);
        let finding = |OtherRule { line, text, why }: OtherRule| Finding {
            file: name.to_owned(),
            line,
            text,
            message: format!("this rule may set a mark of a cluster, and is left to the firewall: {why}"),
            effect: Effect::Note,
            place: Place::Head,
        };
        self.findings.extend(others.into_iter().map(finding));
    }
}

/// The marks of a state that a file of rules sets.
pub(super) fn of_file(path: &Path, state: &State, console: &Console<'_>) -> Result<Found, CommandError> {
    let source = inputs::read_input(path, Input::Marks, &console.progress)?;
    let mut found = Found::default();
    let marks = import::read_marks(&source.text, &import::open_marks(state))
        .map_err(|error| CommandError::Marks { name: source.name.clone(), error })?;
    found.add(&source.name, marks);
    Ok(found)
}

/// The marks of a live state that the host's own firewall sets.
pub(super) fn of_host(state: &State, console: &mut Console<'_>) -> Found {
    let (open, mut found) = (import::open_marks(state), Found::default());
    if open.is_empty() {
        return found;
    }
    console.progress.set_task("reading the firewall");
    let families: BTreeSet<Family> = state
        .services
        .keys()
        .filter(|key| key.mark().is_some_and(|mark| open.contains(&mark)))
        .map(|key| key.family())
        .collect();
    let families: Vec<Family> = families.into_iter().collect();
    for (name, listing) in host::firewall_listings(&families, Path::new("/proc")) {
        let marks =
            listing.and_then(|text| import::read_marks(&text, &open).map_err(|error| error.to_string()));
        match marks {
            Ok(marks) => found.add(name, marks),
            Err(why) => console.warn(format_args!("marks: {name}: {why}")),
        }
    }
    found
}

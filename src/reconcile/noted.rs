//! Describes operations for the history of events: how many, of which fields, in which clusters, and the first of them.

use std::borrow::Cow;
use std::collections::{BTreeMap, BTreeSet};

use super::{StateDiff, Summary};
use crate::history::{EventKind, HistoryEvent, MOST_CHANGES, MOST_CLUSTERS, shortened};
use crate::model::{Action, Change, Kind, Operation, Part, Value};
use crate::target::{Clock, DrainEnd, Leaving, ServerOf, Trial, TrialEnd};

/// The event with what these operations did. However many there are, it stays short.
#[must_use]
pub fn noted(event: HistoryEvent, operations: &[&Operation], comparison: &StateDiff) -> HistoryEvent {
    let change = |operation: &&Operation| match changed_fields(operation) {
        Some(fields) => shortened(&format!("{operation}: {fields}")),
        None => operation.to_string(),
    };
    HistoryEvent {
        counts: Some(Summary::of(operations.iter().copied()).counts()),
        fields: fields(operations),
        clusters: clusters(operations, comparison),
        changes: operations.iter().take(MOST_CHANGES).map(change).collect(),
        ..event
    }
}

/// The event of the drains that a pass has ended, if it has: each server with how its drain ended, of many the first ones.
pub(super) fn drains_ended(leaving: &Leaving, comparison: &StateDiff, now: Clock) -> Option<HistoryEvent> {
    let one = |((service, server), end): (&ServerOf, &DrainEnd)| format!("{server} of {service}: {end}");
    let text = match leaving.ended.len() {
        0 => return None,
        1 => leaving.ended.iter().map(one).collect(),
        servers => format!("{servers} servers"),
    };
    let of = leaving.ended.keys().filter_map(|(service, _)| comparison.cluster(service));
    let clusters: BTreeSet<&str> = of.collect();
    let is_short = clusters.len() <= MOST_CLUSTERS;
    Some(HistoryEvent {
        clusters: clusters.into_iter().filter(|_| is_short).map(str::to_owned).collect(),
        changes: leaving
            .ended
            .iter()
            .filter(|_| leaving.ended.len() > 1)
            .take(MOST_CHANGES)
            .map(one)
            .collect(),
        ..HistoryEvent::new(now.wall, EventKind::DrainEnded, text)
    })
}

/// The event of a trial whose effects a pass has taken back, or whose file it has verified as the desired file.
pub(super) fn trial_ended(trial: &Trial, now: Clock) -> HistoryEvent {
    let event = |kind| HistoryEvent::new(now.wall, kind, trial);
    match &trial.ended {
        None => event(EventKind::TrialTimedOut),
        Some(TrialEnd::Confirmed { by }) => event(EventKind::TrialConfirmed).by(by.as_str()),
        Some(TrialEnd::Cancelled { by }) => event(EventKind::TrialCancelled).by(by.as_str()),
        Some(TrialEnd::RolledBack { why }) => {
            HistoryEvent::new(now.wall, EventKind::TrialRolledBack, format_args!("{trial}; {why}"))
        }
    }
}

/// The fields that an operation sets, as text; none for a deletion.
pub fn changed_fields(operation: &Operation) -> Option<String> {
    let parts = operation.parts();
    let several = parts.len() > 1;
    let change = |part: &Part, Change { field, from, to }: &Change| {
        let text =
            |value: &Option<Value>| value.as_ref().map_or_else(|| "none".to_owned(), ToString::to_string);
        let of = part.name.as_ref().filter(|_| several).map(|name| format!("{name} ")).unwrap_or_default();
        match part.action {
            Action::Add => format!("{of}{field}: {}", text(to)),
            Action::Edit | Action::Delete => format!("{of}{field}: {} -> {}", text(from), text(to)),
        }
    };
    let changes: Vec<String> =
        parts.iter().flat_map(|part| part.changes.iter().map(|of| change(part, of))).collect();
    (!changes.is_empty()).then(|| changes.join(", "))
}

/// Of how many objects each field was changed, and how many of each kind were added and deleted.
fn fields(operations: &[&Operation]) -> BTreeMap<String, usize> {
    let mut fields: BTreeMap<Cow<'static, str>, usize> = BTreeMap::new();
    // There can be a hundred thousand: those of one kind are counted together.
    let mut objects: Vec<((Kind, Action), usize)> = Vec::new();
    let mut count = |kind, action| match objects.iter_mut().find(|(of, _)| *of == (kind, action)) {
        Some((_, number)) => *number += 1,
        None => objects.push(((kind, action), 1)),
    };
    for operation in operations {
        if operation.has_parts() {
            operation.parts().into_iter().for_each(|part| count(part.kind, part.action));
        } else if operation.action() == Action::Edit {
            operation.each_change(|change| *fields.entry(change.field.clone()).or_default() += 1);
        } else {
            count(operation.kind(), operation.action());
        }
    }
    let done = |action| match action {
        Action::Add => "added",
        Action::Edit => "edited",
        Action::Delete => "deleted",
    };
    let objects =
        objects.into_iter().map(|((kind, action), number)| (format!("{kind} {}", done(action)), number));
    fields
        .into_iter()
        .map(|(field, number)| (field.into_owned(), number))
        .chain(objects)
        .take(MOST_CLUSTERS)
        .collect()
}

/// The clusters of the services that they change; none where there are many, or where something else is changed as well.
fn clusters(operations: &[&Operation], comparison: &StateDiff) -> Vec<String> {
    let mut clusters = BTreeSet::new();
    for operation in operations {
        let Some(cluster) = operation.service().and_then(|service| comparison.cluster(service)) else {
            return Vec::new();
        };
        clusters.insert(cluster);
        if clusters.len() > MOST_CLUSTERS {
            return Vec::new();
        }
    }
    clusters.into_iter().map(str::to_owned).collect()
}

//! Collects what the operations of a plan do to live traffic; operations that do the same are collected together.

use std::collections::HashMap;

use crate::model::Operation;
use crate::reconcile::StateDiff;

/// Up to so many operations that do the same have their notes; of more, the first has, with their number.
const NOTED: usize = 3;

/// What some operations do to live traffic.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Impact {
    /// What they do, as a sentence
    pub(super) message: String,
    /// The numbers of their rows, from 0; never empty
    pub(super) rows: Vec<usize>,
}

/// What the operations of the plan do, in the order of the first that does it.
pub(super) fn of(comparison: &StateDiff) -> Vec<Impact> {
    let mut impacts: Vec<Impact> = Vec::new();
    let mut places: HashMap<String, usize> = HashMap::new();
    let mut row = 0;
    for operation in comparison.plan.operations() {
        if let Some(message) = comparison.impact(operation) {
            match places.get(&message).and_then(|place| impacts.get_mut(*place)) {
                Some(impact) => impact.rows.push(row),
                None => {
                    places.insert(message.clone(), impacts.len());
                    impacts.push(Impact { message, rows: vec![row] });
                }
            }
        }
        row += height(operation);
    }
    impacts
}

/// How many rows an operation has: one for each object that it is about.
pub(super) fn height(operation: &Operation) -> usize {
    if operation.has_parts() { operation.parts().len() } else { 1 }
}

/// The notes for people, each with the number of the row that it belongs to.
pub(super) fn notes(impacts: Vec<Impact>) -> HashMap<usize, String> {
    let mut notes = HashMap::new();
    for Impact { message, rows } in impacts {
        let Some((first, others)) = rows.split_first() else { continue };
        if rows.len() > NOTED {
            notes.insert(*first, format!("{message} (so do {} more operations)", others.len()));
        } else {
            notes.extend(rows.into_iter().map(|row| (row, message.clone())));
        }
    }
    notes
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_sentence_that_many_operations_share_is_noted_once_with_their_number() {
        let impact = |message: &str, rows: &[usize]| Impact { message: message.into(), rows: rows.into() };
        let impacts = vec![impact("is rare", &[4, 5, 9]), impact("maps clients", &[0, 1, 3, 7])];
        let note = |row, text: &str| (row, text.to_owned());
        let first = note(0, "maps clients (so do 3 more operations)");
        let expected = [first, note(4, "is rare"), note(5, "is rare"), note(9, "is rare")];
        assert_eq!(notes(impacts), HashMap::from(expected));
    }
}

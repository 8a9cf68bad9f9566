//! The operation on the mark rules.

use std::collections::HashSet;
use std::fmt;

use super::{Action, Change, Edit, Kind, Part, Set, Subject, Value};
use crate::model::mark::without;
use crate::model::{Link, Mark, MarkMatch};

/// Replace the mark rules in lbd's own nftables table, all of them in one transaction.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ReplaceMarks {
    /// The live rules, in their order
    pub from: Box<[Mark]>,
    /// The desired rules, in their order
    pub to: Box<[Mark]>,
    /// What else is in the table and is deleted with it
    pub strays: Box<[String]>,
}

impl ReplaceMarks {
    /// Whether a rule or a stray is deleted.
    pub fn deletes(&self) -> bool {
        !self.strays.is_empty() || self.parts().iter().any(|part| part.action == Action::Delete)
    }

    /// The marks that differ, each with the matches that are deleted and added; then the strays.
    pub fn parts(&self) -> Vec<Part> {
        let Self { from, to, strays } = self;
        let mut parts = Vec::new();
        let mut numbers: Vec<u32> = to.iter().chain(from.iter()).map(|mark| mark.mark).collect();
        let mut seen = HashSet::new();
        numbers.retain(|number| seen.insert(*number));
        for number in numbers {
            let (old, new) = (matches_of(from, number), matches_of(to, number));
            let gone = without(&old, &new).into_iter().map(|packets| Change {
                field: "match".into(),
                from: Some(Value::Match(packets.into())),
                to: None,
            });
            let come = without(&new, &old).into_iter().map(|packets| Change {
                field: "match".into(),
                from: None,
                to: Some(Value::Match(packets.into())),
            });
            let changes: Vec<Change> = gone.chain(come).collect();
            let action = match (old.is_empty(), new.is_empty()) {
                (true, _) => Action::Add,
                (false, true) => Action::Delete,
                (false, false) => Action::Edit,
            };
            if !changes.is_empty() {
                parts.push(Part { action, kind: Kind::Mark, name: Some(number.to_string()), changes });
            }
        }
        parts.extend(strays.iter().map(|stray| Part {
            action: Action::Delete,
            kind: Kind::Mark,
            name: Some(stray.clone()),
            changes: Vec::new(),
        }));
        if parts.is_empty() && from != to {
            // Every rule is there, but in another order: a packet that two of them match gets the wrong mark.
            let order = |marks: &[Mark]| {
                let numbers: Vec<String> = marks.iter().map(|mark| mark.mark.to_string()).collect();
                Some(Value::Text(numbers.join(", ").into()))
            };
            let change = Change { field: "marks".into(), from: order(from), to: order(to) };
            parts.push(Part {
                action: Action::Edit,
                kind: Kind::Mark,
                name: Some("order".to_owned()),
                changes: vec![change],
            });
        }
        parts
    }
}

impl Edit for ReplaceMarks {
    fn action(&self) -> Action {
        let Self { from, to, strays } = self;
        match (from.is_empty() && strays.is_empty(), to.is_empty()) {
            (true, _) => Action::Add,
            (false, true) => Action::Delete,
            (false, false) => Action::Edit,
        }
    }

    fn subject(&self) -> Subject {
        Subject::Marks
    }

    fn link(&self) -> Option<Link> {
        None
    }

    /// None: they are several objects, each with its own changes ([`ReplaceMarks::parts`]).
    fn each_change(&self, _take: &mut dyn FnMut(Set<'_>)) {}
}

impl fmt::Display for ReplaceMarks {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} mark rules", self.action())
    }
}

fn matches_of(marks: &[Mark], number: u32) -> Vec<&MarkMatch> {
    marks.iter().filter(|mark| mark.mark == number).flat_map(|mark| &mark.matches).collect()
}

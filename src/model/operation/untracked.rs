//! The operation on the rules by which packets pass connection tracking by.

use std::fmt;

use super::{Action, Change, Edit, Kind, Part, Set, Subject, Value};
use crate::model::mark::without;
use crate::model::{Link, MarkMatch};

/// Replace the rules by which packets pass connection tracking by, all of them in one transaction.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ReplaceUntracked {
    /// The packets of the live rules
    pub from: Box<[MarkMatch]>,
    /// Those of the desired rules
    pub to: Box<[MarkMatch]>,
}

impl ReplaceUntracked {
    /// Whether a rule is deleted.
    pub fn deletes(&self) -> bool {
        self.parts().iter().any(|part| part.action == Action::Delete)
    }

    /// The rules that are added and deleted, each with its packets.
    pub fn parts(&self) -> Vec<Part> {
        let (old, new): (Vec<_>, Vec<_>) = (self.from.iter().collect(), self.to.iter().collect());
        let part = |action, from: Option<MarkMatch>, to: Option<MarkMatch>| {
            let value = |packets: MarkMatch| Value::Match(packets.into());
            let change = Change { field: "match".into(), from: from.map(value), to: to.map(value) };
            Part { action, kind: Kind::Untracked, name: None, changes: vec![change] }
        };
        let come = without(&new, &old).into_iter().map(|packets| part(Action::Add, None, Some(packets)));
        let gone = without(&old, &new).into_iter().map(|packets| part(Action::Delete, Some(packets), None));
        come.chain(gone).collect()
    }
}

impl Edit for ReplaceUntracked {
    fn action(&self) -> Action {
        match (self.from.is_empty(), self.to.is_empty()) {
            (true, _) => Action::Add,
            (false, true) => Action::Delete,
            (false, false) => Action::Edit,
        }
    }

    fn subject(&self) -> Subject {
        Subject::Untracked
    }

    fn link(&self) -> Option<Link> {
        None
    }

    /// None: they are several objects ([`ReplaceUntracked::parts`]).
    fn each_change(&self, _take: &mut dyn FnMut(Set<'_>)) {}
}

impl fmt::Display for ReplaceUntracked {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} rules for untracked packets", self.action())
    }
}

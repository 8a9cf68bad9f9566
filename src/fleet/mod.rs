//! Who of a fleet of directors takes which revision when. Nothing of a network.
//!
//! `strategy` says in which stages a revision goes out, `records` what lies in etcd, `view` reads that into one picture, from which `decide`
//! decides for one director, and `transaction` writes what follows, so that it happens only where nothing has changed since.

mod decide;
mod keys;
pub(crate) mod names;
mod records;
mod roles;
mod strategy;
mod strategy_file;
mod transaction;
mod view;

#[cfg(test)]
mod simulation;

pub use self::decide::{Decision, Stay, decide};
pub use self::keys::{
    AUDIT, CANDIDATE, CONTENT, DESIRED, FILES, HALT, HEAD, REPORTS, RESULTS, SLOTS, STRATEGY, report, result,
    slot,
};
pub(crate) use self::names::{LabelText, NAME, NameText};
pub use self::records::{
    Audit, Candidate, FileList, Halt, Head, ListedFile, Outcome, OutcomeKind, PlanReport, Report, Slot,
    Version, are_labels_of,
};
pub use self::roles::fleet_roles;
pub use self::strategy::{Healthy, OnFailure, Parallel, Revert, Stage, Strategy};
pub use self::strategy_file::{load as load_strategy, schema as strategy_schema};
pub use self::transaction::{Condition, Transaction, Write, claim, finish, forget, next_head, promote};
pub use self::view::{Stored, StoredKey, UnreadableKey, View, written};

//! Names the keys of a fleet, below its prefix in etcd.

/// Which revision all directors are to take.
pub const HEAD: &str = "head";
/// In which stages they take it.
pub const STRATEGY: &str = "strategy";
/// There while no director takes a new revision, by an operator's word.
pub const HALT: &str = "halt";
/// A revision of which the directors show what they would do.
pub const CANDIDATE: &str = "candidate";
/// The folder of the slots: a director has one while it takes a revision.
pub const SLOTS: &str = "slots/";
/// The folder of the results: how the last revision went at each director.
pub const RESULTS: &str = "results/";
/// The folder of the reports: how each director is. They have a lease, so that one which is gone says that nothing is known.
pub const REPORTS: &str = "reports/";
/// The folder of what operators did, and why.
pub const AUDIT: &str = "audit/";
/// What the prefix of the files ends with, where the source is etcd: they lie beside the fleet, so that who follows it does not read them.
pub const CONTENT: &str = ".files";
/// The folder of the lists of files, one for each revision, where the source is etcd.
pub const DESIRED: &str = "desired/";
/// The folder of the files themselves, by their digests.
pub const FILES: &str = "files/";

/// The key of a director's slot.
pub fn slot(director: &str) -> String {
    format!("{SLOTS}{director}")
}

/// The key of a director's result.
pub fn result(director: &str) -> String {
    format!("{RESULTS}{director}")
}

/// The key of a director's report.
pub fn report(director: &str) -> String {
    format!("{REPORTS}{director}")
}

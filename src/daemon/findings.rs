//! Examines the host for the daemon, and groups what is found.

use std::path::Path;
use std::time::{Duration, Instant};

use crate::advice::{self, Advice, Finding};
use crate::model::Desired;
use crate::status::{HostFindings, Warning};

/// The result of an examination.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Examination {
    /// What was found
    pub findings: HostFindings,
    /// The codes of the warnings of which it is not known whether they hold, since a part of the host could not be read
    pub undecided: Vec<&'static str>,
    /// How long it took
    pub cost: Duration,
}

/// Examines the host in the network namespace of this thread, as far as a kernel that is equal to this state depends on it.
pub(super) fn examine(desired: &Desired, file: &Path) -> Examination {
    let began = Instant::now();
    // A pass names the modules that are missing itself, and the unit hides where they are (ProtectKernelModules).
    let host = advice::examine(&desired.state, file, false);
    let warnings = advice::in_sync(desired, &host);
    let undecided = advice::undecided(&host);
    let findings = HostFindings::new(grouped(&warnings), host.unknown);
    Examination { findings, undecided, cost: began.elapsed() }
}

/// One warning per finding: ten thousand services may have the same.
fn grouped(advice: &[Advice]) -> Vec<Warning> {
    let warning = |group: &Vec<&Advice>| {
        let Finding { code, cause, advice } = &*group.first()?.finding;
        Some(Warning::new(code, group.iter().map(|one| one.subject.as_str()), cause, advice))
    };
    advice::by_finding(advice).iter().filter_map(warning).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::{Source, load};

    #[test]
    fn the_same_finding_of_many_services_is_one_warning() {
        let cluster = |number: u16| {
            format!("  - {{ name: c{number}, listen: 'tcp://127.0.0.1:{number}', servers: [] }}\n")
        };
        let clusters: String = (1..=100).map(cluster).collect();
        let desired = load(&Source::new("x", format!("version: 1\nclusters:\n{clusters}"))).unwrap();
        let warnings = grouped(&advice::of_the_file(&desired));
        let [Warning { code, subjects, count, .. }] = warnings.as_slice() else { panic!("{warnings:?}") };
        assert_eq!((code.as_str(), subjects.len(), *count), ("no-usable-server", 10, 100));
    }
}

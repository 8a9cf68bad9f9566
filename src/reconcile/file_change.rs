//! Decides which operations carry out a change of the file; every other one repairs what another program changed.

use std::collections::HashSet;

use crate::model::{Action, Desired, Kind, Operation, Subject};
use crate::plan::plan;

/// What differs between a desired state that was verified and a later one.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct FileChange {
    subjects: HashSet<Subject>,
    /// Whether kernel settings or timeouts differ: where one is no longer desired, its value before lbd is restored, which no plan shows
    in_settings: bool,
    /// Whether the policy differs, on which deletions depend
    in_policy: bool,
}

impl FileChange {
    /// What `desired` changes of what was `verified`.
    pub fn between(verified: &Desired, desired: &Desired) -> Self {
        let (old, new) = (&verified.state, &desired.state);
        Self {
            subjects: plan(old, new).operations().map(Operation::subject).collect(),
            in_settings: (&old.sysctls, old.timeouts) != (&new.sysctls, new.timeouts),
            in_policy: verified.policy != desired.policy,
        }
    }

    /// Whether the operation may be there because the file changed.
    pub fn explains(&self, operation: &Operation) -> bool {
        let is_of_kind = match operation.kind() {
            Kind::Sysctl | Kind::Timeouts => self.in_settings,
            Kind::Service | Kind::Server | Kind::Sync | Kind::Mark | Kind::Untracked => false,
        };
        is_of_kind
            || self.in_policy && operation.action() == Action::Delete
            || self.subjects.contains(&operation.subject())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::{
        MaxDelete, SchedulerFlags, SchedulerName, Scheduling, Servers, ServiceOp, SetSysctl, State,
        VirtualService,
    };

    #[test]
    fn what_the_file_changed_explains_an_operation_and_nothing_else_does() {
        let service = |number: u8| format!("tcp://10.0.0.{number}:80").parse().unwrap();
        let delete = |number| Operation::Service(ServiceOp::Delete { service: service(number) });
        let set = |name: &str| Operation::Sysctl(SetSysctl { name: name.into(), from: None, to: "1".into() });
        let scheduling = || Scheduling {
            scheduler: SchedulerName::new("rr").unwrap(),
            flags: SchedulerFlags::default(),
            persistence: None,
            engine: None,
            one_packet: false,
        };
        let contents = || VirtualService::new(scheduling(), Servers::default());
        let desired = |services: &[u8], settings: &[&str]| Desired {
            state: State {
                services: services.iter().map(|number| (service(*number), contents())).collect(),
                sysctls: settings.iter().map(|name| ((*name).to_owned(), "1".to_owned())).collect(),
                ..State::default()
            },
            ..Desired::default()
        };
        let operations = [delete(1), delete(2), set("net.a"), set("net.b")];
        let explained = |verified: &Desired, desired: &Desired| {
            let change = FileChange::between(verified, desired);
            operations.each_ref().map(|operation| change.explains(operation))
        };
        let before = desired(&[1, 2], &["net.a"]);
        assert_eq!(explained(&before, &before), [false; 4]);
        assert_eq!(explained(&before, &desired(&[2], &["net.a"])), [true, false, false, false]);
        // What a setting was before lbd is not in the file.
        assert_eq!(explained(&before, &desired(&[1, 2], &[])), [false, false, true, true]);
        let mut other = before.clone();
        other.policy.max_delete = MaxDelete::Percent(1);
        assert_eq!(explained(&before, &other), [true, true, false, false]);
    }
}

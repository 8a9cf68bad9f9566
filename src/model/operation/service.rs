//! The operations on a virtual service.

use std::borrow::Cow;
use std::fmt;
use std::sync::Arc;

use super::change::{Fields, each_difference, each_set};
use super::{Action, Edit, Set, Subject, Value};
use crate::model::{Link, Persistence, PersistenceMask, SchedulerName, Scheduling, ServiceKey};

/// An operation on a virtual service.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ServiceOp {
    /// Add it, without servers.
    Add {
        /// The service
        service: ServiceKey,
        /// Its scheduling
        to: Arc<Scheduling>,
    },
    /// Change its scheduling; its servers and connections stay.
    Edit {
        /// The service
        service: ServiceKey,
        /// The live scheduling
        from: Arc<Scheduling>,
        /// The desired scheduling
        to: Arc<Scheduling>,
    },
    /// Delete it; the kernel deletes its servers with it.
    Delete {
        /// The service
        service: ServiceKey,
    },
}

impl ServiceOp {
    /// The service.
    pub fn service(&self) -> &ServiceKey {
        match self {
            Self::Add { service, .. } | Self::Edit { service, .. } | Self::Delete { service } => service,
        }
    }
}

impl Edit for ServiceOp {
    fn action(&self) -> Action {
        match self {
            Self::Add { .. } => Action::Add,
            Self::Edit { .. } => Action::Edit,
            Self::Delete { .. } => Action::Delete,
        }
    }

    fn subject(&self) -> Subject {
        Subject::Service(*self.service())
    }

    fn link(&self) -> Option<Link> {
        None
    }

    fn each_change(&self, take: &mut dyn FnMut(Set<'_>)) {
        match self {
            Self::Add { to, .. } => each_set(&fields(to, &to.scheduler), take),
            Self::Edit { from, to, .. } => {
                each_difference(&fields(from, &to.scheduler), &fields(to, &to.scheduler), take);
            }
            Self::Delete { .. } => {}
        }
    }
}

impl fmt::Display for ServiceOp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} service {}", self.action(), self.service())
    }
}

/// The scheduling of a service by the keys of the file. `scheduler` is the one that names the flags: the new one on both
/// sides of a comparison, so that a flag that stays set is equal.
fn fields(scheduling: &Scheduling, scheduler: &SchedulerName) -> Fields<6> {
    let namer = scheduler;
    let Scheduling { scheduler, flags, persistence, engine, one_packet } = scheduling;
    let mask = |Persistence { mask, .. }: Persistence| match mask {
        PersistenceMask::V4(mask) => Value::Text(mask.to_string().into()),
        PersistenceMask::V6(length) => Value::Number(length),
    };
    let engine = engine.as_ref().map(|name| Value::Text(name.to_string().into()));
    [
        (Cow::Borrowed("scheduler"), Some(Value::Text(scheduler.to_string().into()))),
        (Cow::Borrowed("scheduler_flags"), Some(Value::List(flags.names(namer)))),
        (Cow::Borrowed("persistence"), persistence.map(|Persistence { timeout, .. }| Value::Number(timeout))),
        (Cow::Borrowed("persistence_mask"), persistence.map(mask)),
        (Cow::Borrowed("persistence_engine"), engine),
        (Cow::Borrowed("one_packet"), Some(Value::Flag(*one_packet))),
    ]
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::{Change, Operation, SchedulerFlags};

    #[test]
    fn a_flag_that_keeps_its_bit_but_changes_its_name_is_no_change_of_its_own() {
        let with = |name: &str| Scheduling {
            scheduler: SchedulerName::new(name).unwrap(),
            flags: SchedulerFlags { flag_1: true, ..SchedulerFlags::default() },
            persistence: None,
            engine: None,
            one_packet: false,
        };
        let service: ServiceKey = "tcp://10.0.0.13:80".parse().unwrap();
        let edit = ServiceOp::Edit { service, from: with("sh").into(), to: with("mh").into() };
        assert_eq!(
            Operation::Service(edit).parts().remove(0).changes,
            [Change {
                field: "scheduler".into(),
                from: Some(Value::Text("sh".into())),
                to: Some(Value::Text("mh".into()))
            }]
        );
    }
}

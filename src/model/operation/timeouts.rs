//! The operation on the timeouts of connections.

use std::borrow::Cow;
use std::fmt;

use super::change::{Fields, each_difference};
use super::{Action, Edit, Set, Subject, Value};
use crate::model::{Link, Timeouts};

/// Set timeouts of connections.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SetTimeouts {
    /// The live timeouts
    pub from: Timeouts,
    /// The desired timeouts, only those that differ
    pub to: Timeouts,
}

impl Edit for SetTimeouts {
    fn action(&self) -> Action {
        Action::Edit
    }

    fn subject(&self) -> Subject {
        Subject::Timeouts
    }

    fn link(&self) -> Option<Link> {
        None
    }

    fn each_change(&self, take: &mut dyn FnMut(Set<'_>)) {
        // A timeout that is not in `to` keeps its value.
        each_difference(&fields(self.from), &fields(self.to), |set| {
            if set.to.is_some() {
                take(set)
            }
        });
    }
}

impl fmt::Display for SetTimeouts {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("set the timeouts")
    }
}

/// The timeouts by the keys of the file.
fn fields(timeouts: Timeouts) -> Fields<3> {
    let Timeouts { tcp, tcp_fin, udp } = timeouts;
    [
        (Cow::Borrowed("tcp"), tcp.map(Value::Number)),
        (Cow::Borrowed("tcp_fin"), tcp_fin.map(Value::Number)),
        (Cow::Borrowed("udp"), udp.map(Value::Number)),
    ]
}

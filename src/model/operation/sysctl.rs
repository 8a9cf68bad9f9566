//! The operation on a kernel setting.

use std::fmt;

use super::{Action, Edit, Set, Subject, Value};
use crate::model::{Link, sysctl};

/// Set a kernel setting.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SetSysctl {
    /// Its full name
    pub name: Box<str>,
    /// The live value; `None` where the kernel does not have the setting
    pub from: Option<Box<str>>,
    /// The desired value
    pub to: Box<str>,
}

impl Edit for SetSysctl {
    fn action(&self) -> Action {
        Action::Edit
    }

    fn subject(&self) -> Subject {
        Subject::Sysctl(self.name.to_string())
    }

    /// The interface that the setting belongs to: it has to exist, since the setting is a file in its folder.
    fn link(&self) -> Option<Link> {
        let interface = sysctl::interface(&self.name)?;
        Some(Link { interface: interface.to_owned(), up: false })
    }

    fn each_change(&self, take: &mut dyn FnMut(Set<'_>)) {
        let Self { name, from, to } = self;
        take(Set {
            field: &name.to_string().into(),
            from: from.as_ref().map(|from| Value::Setting(from.to_string())).as_ref(),
            to: Some(&Value::Setting(to.to_string())),
        });
    }
}

impl fmt::Display for SetSysctl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { name, from: _, to } = self;
        write!(f, "set {name} to {to}")
    }
}

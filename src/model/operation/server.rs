//! The operations on a real server.

use std::borrow::Cow;
use std::fmt;

use super::change::{Fields, each_difference, each_set};
use super::{Action, Edit, Set, Subject, Value};
use crate::model::{Forwarding, Link, RealServer, ServerKey, ServiceKey, Thresholds};

/// An operation on a real server.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ServerOp {
    /// Add it to a virtual service.
    Add {
        /// The service
        service: ServiceKey,
        /// The server
        server: ServerKey,
        /// Its attributes
        to: RealServer,
    },
    /// Change its attributes; its connections stay.
    Edit {
        /// The service
        service: ServiceKey,
        /// The server
        server: ServerKey,
        /// The live attributes
        from: Box<RealServer>,
        /// The desired attributes
        to: Box<RealServer>,
    },
    /// Delete it from its service.
    Delete {
        /// The service
        service: ServiceKey,
        /// The server
        server: ServerKey,
    },
}

impl ServerOp {
    /// The service that has the server.
    pub fn service(&self) -> &ServiceKey {
        match self {
            Self::Add { service, .. } | Self::Edit { service, .. } | Self::Delete { service, .. } => service,
        }
    }

    /// The server.
    pub fn server(&self) -> &ServerKey {
        match self {
            Self::Add { server, .. } | Self::Edit { server, .. } | Self::Delete { server, .. } => server,
        }
    }
}

impl Edit for ServerOp {
    fn action(&self) -> Action {
        match self {
            Self::Add { .. } => Action::Add,
            Self::Edit { .. } => Action::Edit,
            Self::Delete { .. } => Action::Delete,
        }
    }

    fn subject(&self) -> Subject {
        Subject::Server(*self.service(), *self.server())
    }

    fn link(&self) -> Option<Link> {
        None
    }

    fn each_change(&self, take: &mut dyn FnMut(Set<'_>)) {
        match self {
            Self::Add { to, .. } => each_set(&fields(to), take),
            Self::Edit { from, to, .. } => each_difference(&fields(from), &fields(to), take),
            Self::Delete { .. } => {}
        }
    }
}

impl fmt::Display for ServerOp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Add { service, server, .. } => write!(f, "add server {server} to {service}"),
            Self::Edit { service, server, .. } => write!(f, "edit server {server} of {service}"),
            Self::Delete { service, server } => write!(f, "delete server {server} from {service}"),
        }
    }
}

/// The attributes of a server by the keys of the file.
fn fields(server: &RealServer) -> Fields<5> {
    let RealServer { weight, forwarding, thresholds: Thresholds { upper, lower } } = *server;
    let tunnel = match forwarding {
        Forwarding::Tunnel(tunnel) => Some(Value::Tunnel(tunnel)),
        Forwarding::Nat | Forwarding::FullNat | Forwarding::DirectRouting | Forwarding::Other(_) => None,
    };
    [
        (Cow::Borrowed("forward"), Some(Value::Text(forwarding.word()))),
        (Cow::Borrowed("tunnel"), tunnel),
        (Cow::Borrowed("weight"), Some(Value::Number(weight))),
        (Cow::Borrowed("upper_threshold"), upper.map(|limit| Value::Number(limit.get()))),
        (Cow::Borrowed("lower_threshold"), lower.map(|limit| Value::Number(limit.get()))),
    ]
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::{Change, Operation};

    #[test]
    fn an_edit_names_the_fields_that_differ_and_an_addition_all_that_are_set() {
        let service: ServiceKey = "tcp://10.0.0.13:80".parse().unwrap();
        let server = ServerKey { address: "192.168.8.14".parse().unwrap(), port: 80 };
        let one = RealServer { weight: 1, forwarding: Forwarding::Nat, thresholds: Thresholds::default() };
        let three = RealServer { weight: 3, ..one };
        let edit = Operation::Server(ServerOp::Edit { service, server, from: one.into(), to: three.into() });
        assert_eq!(edit.to_string(), "edit server 192.168.8.14:80 of tcp://10.0.0.13:80");
        assert_eq!(
            edit.parts().remove(0).changes,
            [Change { field: "weight".into(), from: Some(Value::Number(1)), to: Some(Value::Number(3)) }]
        );
        let add = Operation::Server(ServerOp::Add { service, server, to: three });
        assert_eq!(
            add.parts().remove(0).changes,
            [
                Change { field: "forward".into(), from: None, to: Some(Value::Text("nat".into())) },
                Change { field: "weight".into(), from: None, to: Some(Value::Number(3)) },
            ]
        );
    }
}

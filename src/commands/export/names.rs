//! Looks up the names of a configuration by the system's resolver, each once.

use std::cell::RefCell;
use std::collections::HashMap;
use std::net::Ipv4Addr;

use crate::host::{addresses_of, port_of};
use crate::ipvsadm::Lookup;
use crate::model::Protocol;

/// What the system's resolver has found.
#[derive(Debug, Default)]
pub(super) struct SystemNames {
    hosts: RefCell<HashMap<String, Result<Vec<Ipv4Addr>, String>>>,
    ports: RefCell<HashMap<String, Result<u16, String>>>,
}

impl Lookup for SystemNames {
    fn port(&self, name: &str, protocol: Protocol) -> Result<u16, String> {
        let key = format!("{name}/{protocol}");
        let mut ports = self.ports.borrow_mut();
        ports.entry(key).or_insert_with(|| port_of(name, &protocol.to_string())).clone()
    }

    fn host(&self, name: &str) -> Option<Result<Vec<Ipv4Addr>, String>> {
        let mut hosts = self.hosts.borrow_mut();
        Some(hosts.entry(name.to_owned()).or_insert_with(|| addresses_of(name)).clone())
    }
}

//! Describes for reports what the checks make of a file: what is out of service, kept in it, or on its way back.

use super::guard::{Place, ServicePlace};
use super::state::ServerHealth;
use crate::model::ServiceKey;
use crate::target::drains::ServerOf;

/// What the checks make of a file.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct HealthReport {
    /// The services that have servers with checks, in the order of the file
    pub checked: Vec<CheckedService>,
    /// The servers that do not just pass, in the order of the file
    pub servers: Vec<ServerReport>,
    /// The services in which not just those serve that pass, in the order of the file
    pub services: Vec<(ServiceKey, ServicePlace)>,
}

impl HealthReport {
    /// How many servers have checks; one that is in several services counts in each.
    pub fn checked(&self) -> usize {
        self.checked.iter().map(|of| of.servers).sum()
    }

    /// How many of them have shown nothing yet.
    pub fn unknown(&self) -> usize {
        self.checked.iter().map(|of| of.unknown).sum()
    }
}

/// A virtual service that has servers with checks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct CheckedService {
    /// The service
    pub service: ServiceKey,
    /// How many of its servers have checks
    pub servers: usize,
    /// How many of them have shown nothing yet
    pub unknown: usize,
}

/// What its checks make of a server.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ServerReport {
    /// The server
    pub server: ServerOf,
    /// What is in force for it
    pub health: ServerHealth,
    /// What becomes of it
    pub place: Place,
    /// Its weight under file and overrides
    pub full: u32,
    /// The weight that it has
    pub weight: u32,
}

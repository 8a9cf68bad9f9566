//! Resolves the fallback of a cluster: the server that serves when no other one does.

use std::net::IpAddr;

use super::server::{self, Wanted};
use super::untracked;
use crate::config::format::document::{Cluster, ServerEntry};
use crate::config::format::issue::{Issue, Issues};
use crate::config::format::path::KeyPath;
use crate::model::{Forwarding, ForwardingMethod, RealServer, ServerKey, Servers, ServiceKey};

/// The fallback of a cluster as the file describes it.
#[derive(Debug, Clone)]
pub(super) struct Fallback {
    wanted: Wanted,
    /// The place of its entry
    here: KeyPath,
    /// The place of its address
    address: KeyPath,
}

/// Reads the fallback of a cluster, if it has one; `inherited` is the forwarding method of the cluster.
pub(super) fn fallback(
    cluster: &Cluster,
    inherited: ForwardingMethod,
    cluster_place: &KeyPath,
    issues: &mut Issues,
) -> Option<Fallback> {
    let entry = cluster.fallback.as_ref()?;
    let here = cluster_place.then("fallback");
    let address = match entry {
        ServerEntry::Short(_) => here.clone(),
        ServerEntry::Full(full) => {
            for (key, is_written, why) in [
                (
                    "check",
                    full.check.is_some(),
                    "a fallback has no check: it serves when no other server does",
                ),
                ("drain", full.drain.is_some(), "a fallback has no `drain`: it leaves as `on_failure` says"),
            ] {
                if is_written {
                    issues
                        .push(Issue::new(here.then(key), why).at_key().expected(format!("no `{key}` here")));
                }
            }
            if full.weight.is_some_and(|weight| weight.get() == 0) {
                issues.push(
                    Issue::new(here.then("weight"), "a fallback of weight 0 would never serve")
                        .expected("a number from 1 on, or no `weight`"),
                );
            }
            here.then("address")
        }
    };
    let wanted = server::server(entry, inherited, || here.clone(), issues)?;
    Some(Fallback { wanted, here, address })
}

impl Fallback {
    /// Its address, where that looks like one with a port.
    pub(super) fn port_like(&self) -> Option<IpAddr> {
        self.wanted.is_port_like.then_some(self.wanted.address)
    }

    /// The fallback as a server behind a virtual service that has these others, or why it cannot be one. `sync` is whether the file has sync daemons.
    pub(super) fn behind(
        &self,
        service: &ServiceKey,
        cluster: &Cluster,
        servers: &Servers,
        sync: bool,
    ) -> Result<(ServerKey, RealServer), Box<Issue>> {
        match self.misfit(service, cluster, servers, sync) {
            Some(misfit) => Err(misfit.into()),
            None => Ok((self.wanted.key(service), self.wanted.real)),
        }
    }

    fn misfit(
        &self,
        service: &ServiceKey,
        cluster: &Cluster,
        servers: &Servers,
        sync: bool,
    ) -> Option<Issue> {
        let address = || self.address.clone();
        let (key, real) = (self.wanted.key(service), self.wanted.real);
        if let Some(misfit) = self.wanted.misfit(service, || self.here.clone(), address, sync) {
            return Some(misfit);
        }
        if let Some(misfit) = cluster.untracked.then(|| untracked::misfit(&real, address)).flatten() {
            return Some(server::involving_methods(misfit, &self.here));
        }
        if servers.contains_key(&key) {
            let message = format!("the fallback {key} is also a server behind {service}");
            return Some(Issue::new(address(), message).expected(
                "a server of its own: one that fails with the others cannot serve in their place",
            ));
        }
        let is_full = |real: &RealServer| real.forwarding == Forwarding::FullNat;
        let (other, _) = servers
            .iter()
            .find(|(other, of)| other.address == key.address && is_full(of) != is_full(&real))?;
        let message =
            format!("of the fallback {key} and the server {other}, one is `fullnat` and the other is not");
        Some(Issue::new(address(), message).expected("one forwarding method for all ports of an address"))
    }
}

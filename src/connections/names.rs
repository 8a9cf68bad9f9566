//! Finds the virtual service and the cluster that a connection belongs to; the kernel's list names addresses only.

use std::collections::HashMap;
use std::net::IpAddr;

use compact_str::CompactString;

use crate::kernel::connections::{ConnectionEntry, VirtualEnd};
use crate::model::{
    Desired, Family, MarkMatch, PersistenceMask, Prefix, Protocol, ServerKey, ServiceKey, Table,
};

/// The port of FTP, whose templates are for all ports.
const FTP: u16 = 21;

/// What a connection belongs to, as far as it is known.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Belonging<'a> {
    /// The virtual service; `None` where none is known for its virtual address
    pub service: Option<ServiceKey>,
    /// The cluster of the service; `None` for a service of another program
    pub cluster: Option<&'a str>,
    /// The clients of a template, which count as one; of a connection the one client
    pub clients: Prefix,
}

/// The services that are known, and how connections are found to be theirs.
#[derive(Debug, Default)]
pub struct ServiceNames {
    services: HashMap<ServiceKey, Named>,
    /// Which packets get which mark, by their destination where that is one address
    marks_by_address: HashMap<IpAddr, Vec<(MarkMatch, u32)>>,
    /// The others
    marks: Vec<(MarkMatch, u32)>,
    /// The service of a mark that alone has this server; `None` where several have it
    servers_of_marks: HashMap<(Family, ServerKey), Option<ServiceKey>>,
}

#[derive(Debug, Default)]
struct Named {
    cluster: Option<CompactString>,
    /// How many bits of the address distinguish its clients, where it is persistent
    client_bits: Option<u8>,
}

impl ServiceNames {
    /// Of the services of the file, of those that lbd `owned` when it looked last, and of those that there are in the kernel, as far as
    /// that is known.
    pub fn new(
        desired: &Desired,
        owned: &Table<ServiceKey, CompactString>,
        live: impl IntoIterator<Item = ServiceKey>,
    ) -> Self {
        let mut names = Self::default();
        names.services.extend(live.into_iter().map(|service| (service, Named::default())));
        for (service, cluster) in owned.iter().chain(desired.clusters.iter()) {
            let named = Named { cluster: Some(cluster.clone()), client_bits: None };
            names.services.insert(*service, named);
        }
        for (service, contents) in &desired.state.services {
            if let Some(named) = names.services.get_mut(service) {
                let persistence = contents.scheduling.persistence;
                named.client_bits = persistence.and_then(|persistence| bits(persistence.mask));
            }
            if service.mark().is_some() {
                names.add_servers_of_mark(*service, contents.servers.keys());
            }
        }
        for mark in &desired.state.marks {
            for packets in &mark.matches {
                names.add_match(packets, mark.mark);
            }
        }
        names
    }

    fn add_servers_of_mark<'a>(&mut self, service: ServiceKey, servers: impl Iterator<Item = &'a ServerKey>) {
        for server in servers {
            let only = self.servers_of_marks.entry((service.family(), *server));
            only.and_modify(|only| *only = None).or_insert(Some(service));
        }
    }

    fn add_match(&mut self, packets: &MarkMatch, mark: u32) {
        let entry = (packets.clone(), mark);
        match packets.address {
            Some(prefix) if prefix.length == Family::of(prefix.address).bits() => {
                self.marks_by_address.entry(prefix.address).or_default().push(entry);
            }
            Some(_) | None => self.marks.push(entry),
        }
    }

    /// What a connection belongs to.
    pub fn of(&self, entry: &ConnectionEntry) -> Belonging<'_> {
        let service = self.service(entry);
        let named = service.and_then(|service| self.services.get(&service));
        let client = entry.client.ip();
        let all_bits = Family::of(client).bits();
        let client_bits = named.filter(|_| entry.is_template).and_then(|named| named.client_bits);
        Belonging {
            service,
            cluster: named.and_then(|named| named.cluster.as_deref()),
            clients: Prefix::around(client, client_bits.unwrap_or(all_bits)),
        }
    }

    fn service(&self, entry: &ConnectionEntry) -> Option<ServiceKey> {
        let family = Family::of(entry.client.ip());
        let to = match entry.to {
            VirtualEnd::Mark(mark) => return self.known(ServiceKey::FirewallMark { family, mark }),
            VirtualEnd::Address(to) => to,
        };
        let at_port = |port: u16| {
            let protocol = entry.protocol;
            self.known(ServiceKey::Address { protocol, address: to.ip(), port })
        };
        let key = ServiceKey::Address { protocol: entry.protocol, address: to.ip(), port: to.port() };
        let is_ftp = entry.is_template && to.port() == 0 && entry.protocol == Protocol::Tcp;
        // The kernel looks for the service of a mark first.
        self.of_mark(entry, &key, |packets| packets.interface.is_none())
            .or_else(|| at_port(to.port()))
            .or_else(|| at_port(0))
            .or_else(|| is_ftp.then(|| at_port(FTP)).flatten())
            // The interface that the client came in by is not known.
            .or_else(|| self.of_mark(entry, &key, |packets| packets.interface.is_some()))
            .or_else(|| self.of_server(entry, family, to.port()))
    }

    fn known(&self, service: ServiceKey) -> Option<ServiceKey> {
        self.services.contains_key(&service).then_some(service)
    }

    /// The service of the mark that the file gives to such packets.
    fn of_mark(
        &self,
        entry: &ConnectionEntry,
        to: &ServiceKey,
        is_considered: impl Fn(&MarkMatch) -> bool,
    ) -> Option<ServiceKey> {
        // A template of a mark has no address.
        if entry.is_template {
            return None;
        }
        let ServiceKey::Address { address, .. } = to else { return None };
        let family = Family::of(*address);
        let matches = self.marks_by_address.get(address).into_iter().flatten().chain(&self.marks);
        let client = entry.client.ip();
        let gets_mark = |packets: &MarkMatch| {
            is_considered(packets)
                && packets.reaches(to)
                && packets.source.is_none_or(|source| source.contains(client))
        };
        let mut marks = matches.filter(|(packets, _)| gets_mark(packets)).map(|(_, mark)| *mark);
        marks.find_map(|mark| self.known(ServiceKey::FirewallMark { family, mark }))
    }

    /// The only service of a mark that has its server, where another program sets the mark.
    fn of_server(&self, entry: &ConnectionEntry, family: Family, virtual_port: u16) -> Option<ServiceKey> {
        let any_port = ServerKey { port: 0, ..entry.server };
        let found = self.servers_of_marks.get(&(family, entry.server));
        let found = found.or_else(|| {
            // Such a server gets the port that the client sent to.
            let is_kept = entry.server.port == virtual_port;
            is_kept.then(|| self.servers_of_marks.get(&(family, any_port))).flatten()
        });
        found.copied().flatten()
    }
}

/// How many bits of the address distinguish clients. `None` for a mask that is no prefix.
fn bits(mask: PersistenceMask) -> Option<u8> {
    match mask {
        PersistenceMask::V4(mask) => {
            let mask = mask.to_bits();
            let ones = mask.leading_ones();
            (mask.count_ones() == ones).then_some(ones as u8)
        }
        PersistenceMask::V6(length) => u8::try_from(length).ok().filter(|length| *length <= 128),
    }
}

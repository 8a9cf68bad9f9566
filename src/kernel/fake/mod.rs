//! A kernel for tests: it refuses what the kernel refuses, stores what the kernel stores, and can be told to fail.
//!
//! Whether it is right is tested against a real kernel (`tests/kernel/fake.rs`): the same operations have the same results
//! and leave the same table. It knows no routes, so that the broadcast addresses of the director's own networks and its
//! own link-local ones are not told from others.

mod statistics;
mod sync;

use std::collections::VecDeque;
use std::io;

use super::explain::{is_unicast, refusal};
use super::ipvs::codec::normal;
use super::netlink::NetlinkError;
use super::{
    Kernel, KernelError, Live, Look, Loss, Permit, ReadScope, Refusal, Refusals, StatisticsScope,
    TableStatistics,
};
use crate::model::{
    EngineName, Family, Forwarding, Operation, PersistenceMask, RealServer, SchedulerName, Scheduling,
    ServerKey, ServerOp, Servers, ServiceKey, ServiceOp, Services, SetSysctl, State, SyncOp, Timeouts,
    TunnelKind, VirtualService, sysctl,
};

/// The most servers that the scheduler `mh` starts with: its lookup table has 4093 places.
const MH_SERVERS: usize = 4093;

/// Another program that writes to the table.
type Meddler = Box<dyn FnMut(&mut Live) + Send>;

/// An opinion on one operation: an error number refuses it.
type Verdict = Box<dyn FnMut(&Operation) -> Option<i32> + Send>;

/// A kernel that exists in memory only.
pub struct Fake {
    /// Its state now; a test may change it at any time, as another program would
    pub live: Live,
    /// The schedulers that it has
    pub schedulers: Vec<SchedulerName>,
    /// The persistence engines that it has
    pub engines: Vec<EngineName>,
    /// Whether any address is up in its network namespace: without, no IPv4 server can be added
    pub address_up: bool,
    /// Whether a service keeps its scheduler where the new one rejects the service. Early 5.10 kernels
    /// leave it without any
    pub keeps_scheduler: bool,
    /// What it has counted; a test sets it
    pub statistics: TableStatistics,
    /// How often it was read
    pub reads: usize,
    /// How often [`Kernel::has_changed`] was called
    pub glances: usize,
    /// The calls of [`Kernel::find_loss`]
    pub looks: Vec<Look>,
    /// How often it was given operations
    pub executes: usize,
    /// Every operation that it was given, in order, refused or not
    pub operations: Vec<Operation>,
    seen: Option<State>,
    /// The services that the last reading expected and found
    found: Vec<ServiceKey>,
    verdicts: Vec<Verdict>,
    permit: Option<Permit>,
    before_read: Option<Meddler>,
    before_execute: Option<Meddler>,
    broken_reads: VecDeque<KernelError>,
    broken_executes: VecDeque<(usize, KernelError)>,
}

/// An error of the socket with a text of its own.
fn broken(message: &str) -> KernelError {
    KernelError::Netlink(NetlinkError::Socket(io::Error::other(message)))
}

impl Default for Fake {
    fn default() -> Self {
        Self {
            live: Live::default(),
            schedulers: SchedulerName::MAINLINE.into_iter().filter_map(SchedulerName::new).collect(),
            engines: EngineName::new("sip").into_iter().collect(),
            address_up: true,
            keeps_scheduler: true,
            statistics: TableStatistics::default(),
            reads: 0,
            glances: 0,
            looks: Vec::new(),
            executes: 0,
            operations: Vec::new(),
            seen: None,
            found: Vec::new(),
            verdicts: Vec::new(),
            permit: None,
            before_read: None,
            before_execute: None,
            broken_reads: VecDeque::new(),
            broken_executes: VecDeque::new(),
        }
    }
}

impl Fake {
    /// A kernel with this table.
    pub fn with(services: Services) -> Self {
        let mut fake = Self::default();
        fake.live.state.services = services;
        fake
    }

    /// Refuses every operation for which `verdict` has an error number, instead of carrying it out.
    pub fn refuse(&mut self, verdict: impl FnMut(&Operation) -> Option<i32> + Send + 'static) {
        self.verdicts.push(Box::new(verdict));
    }

    /// Refuses the operation that comes after `before` others from now on, once.
    pub fn refuse_nth(&mut self, mut before: usize, errno: i32) {
        let mut done = false;
        self.refuse(move |_| {
            if done || before > 0 {
                before = before.saturating_sub(1);
                return None;
            }
            done = true;
            Some(errno)
        });
    }

    /// Lets another program write to the table before each reading.
    pub fn before_read(&mut self, meddler: impl FnMut(&mut Live) + Send + 'static) {
        self.before_read = Some(Box::new(meddler));
    }

    /// Lets another program write to the table between each reading and the execution after it.
    pub fn before_execute(&mut self, meddler: impl FnMut(&mut Live) + Send + 'static) {
        self.before_execute = Some(Box::new(meddler));
    }

    /// Lets the next reading, or look for lost services, that is not broken yet fail.
    pub fn break_read(&mut self, message: &str) {
        self.broken_reads.push_back(broken(message));
    }

    /// Lets the next execution that is not broken yet fail, after it has carried out so many operations.
    pub fn break_execute(&mut self, after: usize, message: &str) {
        self.broken_executes.push_back((after, broken(message)));
    }

    fn carry_out(&mut self, operation: &Operation) -> Result<(), Refusal> {
        let refused = |errno| refusal(operation, errno);
        if let Some(errno) = self.verdicts.iter_mut().find_map(|verdict| verdict(operation)) {
            return Err(refused(errno));
        }
        match operation {
            Operation::Service(edit) => self.edit_services(edit).map_err(refused),
            Operation::Server(edit) => self.edit_servers(edit).map_err(refused),
            Operation::Sysctl(set) => self.set_sysctl(set).map_err(refused),
            Operation::Timeouts(set) => {
                self.set_timeouts(set.to);
                Ok(())
            }
            Operation::Sync(SyncOp::Start { to }) => sync::start(&mut self.live, to).map_err(refused),
            Operation::Sync(SyncOp::Restart { from, to, .. }) => {
                sync::restart(&mut self.live, operation, from, to)
            }
            Operation::Sync(SyncOp::Stop { role }) => sync::stop(&mut self.live, *role).map_err(refused),
            Operation::Untracked(untracked) => {
                self.live.state.untracked = untracked.to.to_vec();
                Ok(())
            }
            Operation::Marks(marks) => {
                self.live.state.marks = marks.to.to_vec();
                self.live.state.strays.clear();
                Ok(())
            }
        }
    }

    fn edit_services(&mut self, operation: &ServiceOp) -> Result<(), i32> {
        if operation.service().mark() == Some(0) {
            return Err(libc::EINVAL);
        }
        match operation {
            ServiceOp::Add { service, to } => self.add_service(service, to),
            ServiceOp::Edit { service, to, .. } => self.edit_service(service, to),
            ServiceOp::Delete { service } => {
                self.live.state.services.shift_remove(service).ok_or(libc::ESRCH)?;
                self.live.connections.retain(|(of, _), _| *of != *service);
                Ok(())
            }
        }
    }

    fn edit_servers(&mut self, operation: &ServerOp) -> Result<(), i32> {
        if operation.service().mark() == Some(0) {
            return Err(libc::EINVAL);
        }
        match operation {
            ServerOp::Add { service, server, to } => {
                let to = stored(to);
                self.check_server(service, server, &to)?;
                let address_up = self.address_up;
                let servers = self.service(service)?.servers_mut();
                if servers.contains_key(server) {
                    return Err(libc::EEXIST);
                }
                if !is_unicast(server.address) || (server.address.is_ipv4() && !address_up) {
                    return Err(libc::EINVAL);
                }
                servers.insert(*server, to);
                Ok(())
            }
            ServerOp::Edit { service, server, to, .. } => {
                let to = stored(to);
                self.check_server(service, server, &to)?;
                *self.service(service)?.servers_mut().get_mut(server).ok_or(libc::ENOENT)? = to;
                Ok(())
            }
            ServerOp::Delete { service, server } => {
                self.service(service)?.servers_mut().shift_remove(server).ok_or(libc::ENOENT)?;
                self.live.connections.remove(&(*service, *server));
                Ok(())
            }
        }
    }

    fn set_sysctl(&mut self, SetSysctl { name, to, .. }: &SetSysctl) -> Result<(), i32> {
        if !self.live.state.sysctls.contains_key(&**name) {
            return Err(libc::ENOENT);
        }
        sysctl::apply(&mut self.live.state.sysctls, name, to);
        Ok(())
    }

    fn set_timeouts(&mut self, to: Timeouts) {
        let timeouts = &mut self.live.state.timeouts;
        // The kernel takes 0 for "leave it", like no value.
        let new = |to: Option<u32>, live| to.filter(|seconds| *seconds > 0).or(live);
        *timeouts = Timeouts {
            tcp: new(to.tcp, timeouts.tcp),
            tcp_fin: new(to.tcp_fin, timeouts.tcp_fin),
            udp: new(to.udp, timeouts.udp),
        };
    }

    fn service(&mut self, key: &ServiceKey) -> Result<&mut VirtualService, i32> {
        self.live.state.services.get_mut(key).ok_or(libc::ESRCH)
    }

    fn add_service(&mut self, key: &ServiceKey, to: &Scheduling) -> Result<(), i32> {
        if self.live.state.services.contains_key(key) {
            return Err(libc::EEXIST);
        }
        self.check_scheduling(to)?;
        let service = VirtualService::new(to.clone(), Servers::default());
        self.live.state.services.insert(*key, service);
        Ok(())
    }

    fn edit_service(&mut self, key: &ServiceKey, to: &Scheduling) -> Result<(), i32> {
        self.service(key)?;
        self.check_scheduling(to)?;
        let keeps_scheduler = self.keeps_scheduler;
        let service = self.service(key)?;
        let changes = service.scheduling.scheduler != to.scheduler;
        if changes && to.scheduler.as_str() == "mh" && service.servers.len() > MH_SERVERS {
            if !keeps_scheduler {
                service.scheduling_mut().scheduler = SchedulerName::from_kernel(SchedulerName::NONE);
            }
            return Err(libc::EINVAL);
        }
        service.scheduling = to.clone().into();
        Ok(())
    }

    fn check_scheduling(&self, to: &Scheduling) -> Result<(), i32> {
        let known = to.scheduler.as_str() == SchedulerName::NONE || self.schedulers.contains(&to.scheduler);
        if !known || to.engine.as_ref().is_some_and(|engine| !self.engines.contains(engine)) {
            return Err(libc::ENOENT);
        }
        match to.persistence.map(|persistence| persistence.mask) {
            Some(PersistenceMask::V6(length)) if !(1..=128).contains(&length) => Err(libc::EINVAL),
            Some(PersistenceMask::V4(_) | PersistenceMask::V6(_)) | None => Ok(()),
        }
    }

    /// What the kernel looks at before it looks for the server.
    fn check_server(&mut self, service: &ServiceKey, server: &ServerKey, to: &RealServer) -> Result<(), i32> {
        self.service(service)?;
        let is_tunnel = matches!(to.forwarding, Forwarding::Tunnel(_));
        let is_mixed = Family::of(server.address) != service.family();
        if is_mixed && (!is_tunnel || !self.live.state.sync.is_empty()) {
            return Err(libc::EINVAL);
        }
        let limit = |limit: Option<std::num::NonZeroU32>| limit.map_or(0, std::num::NonZeroU32::get);
        if to.weight > i32::MAX as u32 || limit(to.thresholds.lower) > limit(to.thresholds.upper) {
            return Err(libc::ERANGE);
        }
        if let Forwarding::Tunnel(tunnel) = to.forwarding
            && tunnel.kind == TunnelKind::Gue
            && tunnel.port == 0
        {
            return Err(libc::EINVAL);
        }
        Ok(())
    }
}

/// A server as it is read back.
fn stored(server: &RealServer) -> RealServer {
    let forwarding = match server.forwarding {
        // FULLNAT is nat with a rule of nftables, which the fake always has.
        Forwarding::FullNat => Forwarding::FullNat,
        other => normal(other),
    };
    RealServer { forwarding, ..*server }
}

impl Kernel for Fake {
    fn read_expecting(&mut self, question: &ReadScope, expected: &Services) -> Result<Live, KernelError> {
        self.reads += 1;
        if let Some(meddler) = &mut self.before_read {
            meddler(&mut self.live);
        }
        match self.broken_reads.pop_front() {
            Some(error) => Err(error),
            None => {
                let mut live = self.live.clone();
                live.state.sysctls.retain(|name, _| question.sysctls.contains(name));
                live.absent.retain(|name| question.interfaces.contains(name));
                live.down.retain(|name| question.interfaces.contains(name));
                live.indices.retain(|name, _| question.interfaces.contains(name));
                if !question.filter {
                    live.state.marks.clear();
                    live.state.untracked.clear();
                    live.state.strays.clear();
                }
                self.seen = Some(live.state.clone());
                let is_found = |service: &&ServiceKey| live.state.services.contains_key(*service);
                self.found = expected.keys().filter(is_found).copied().collect();
                Ok(live)
            }
        }
    }

    fn has_changed(&mut self, question: &ReadScope) -> Result<bool, KernelError> {
        let (reads, seen, found) = (self.reads, self.seen.take(), std::mem::take(&mut self.found));
        let now = self.read(question)?.state;
        (self.reads, self.found) = (reads, found);
        self.glances += 1;
        let changed = seen != Some(now);
        if changed {
            self.seen = None;
        }
        Ok(changed)
    }

    /// Its numbers are as exact as its lists.
    fn find_loss(&mut self, look: Look) -> Result<Loss, KernelError> {
        self.looks.push(look);
        if let Some(error) = self.broken_reads.pop_front() {
            return Err(error);
        }
        let is_there = |service| self.live.state.services.contains_key(service);
        Ok(if self.found.iter().all(is_there) { Loss::None } else { Loss::Certain })
    }

    fn read_services(&mut self, keys: &[ServiceKey]) -> Result<Live, KernelError> {
        let all = &self.live;
        let service = |key: &ServiceKey| Some((*key, all.state.services.get(key)?.clone()));
        let connections = all.connections.iter().filter(|((service, _), _)| keys.contains(service));
        Ok(Live {
            state: State { services: keys.iter().filter_map(service).collect(), ..State::default() },
            connections: connections.map(|(server, of)| (*server, *of)).collect(),
            expire_nodest_conn: all.expire_nodest_conn,
            expire_quiescent_template: all.expire_quiescent_template,
            counters_rest: all.counters_rest,
            ..Live::default()
        })
    }

    fn read_statistics(&mut self, scope: &StatisticsScope) -> Result<TableStatistics, KernelError> {
        match self.broken_reads.pop_front() {
            Some(error) => Err(error),
            None => Ok(statistics::within(&self.statistics, scope)),
        }
    }

    fn zero_counters(&mut self, service: Option<&ServiceKey>) -> Result<bool, KernelError> {
        match self.broken_executes.pop_front() {
            Some((_, error)) => Err(error),
            None => Ok(statistics::zero(&mut self.statistics, service)),
        }
    }

    fn execute(&mut self, operations: &[Operation]) -> Result<Refusals, KernelError> {
        self.executes += 1;
        self.seen = None;
        self.found.clear();
        if let Some(meddler) = &mut self.before_execute {
            meddler(&mut self.live);
        }
        let broken = self.broken_executes.pop_front();
        let most = broken.as_ref().map_or(usize::MAX, |(after, _)| *after);
        let mut refusals = Refusals::new();
        for (place, operation) in operations.iter().take(most).enumerate() {
            // Each is a batch of its own.
            if self.permit.as_ref().is_some_and(|permit| !permit()) {
                return Err(KernelError::NotPermitted);
            }
            let refused = self.carry_out(operation).err();
            if matches!(operation, Operation::Sync(SyncOp::Restart { .. })) && refused.is_none() {
                sync::restarted(&mut self.live, operations, place);
            }
            refusals.extend(refused.map(|refusal| (place, refusal)));
            self.operations.push(operation.clone());
        }
        match broken {
            Some((_, error)) => Err(error),
            None => Ok(refusals),
        }
    }

    fn set_permit(&mut self, permit: Option<Permit>) {
        self.permit = permit;
    }
}

#[cfg(test)]
mod tests;

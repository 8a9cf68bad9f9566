//! The kernel of a director as one: routes each operation to IPVS, the kernel settings or lbd's own nftables table.

use std::collections::{HashMap, HashSet};

use super::interfaces::Groups;
use super::ipvs::Ipvs;
use super::nftables::{NftClient, NftError};
use super::{
    Kernel, KernelError, Live, Look, Loss, Permit, ProgressSink, ReadScope, Refusal, Refusals,
    StatisticsScope, TableStatistics, interfaces, permitted, sync_sockets, sysctl,
};
use crate::error_chain::ErrorChain;
use crate::model::sysctl::{VS_SYNC_PORTS, is_same};
use crate::model::{
    Forwarding, Operation, RealServer, ReplaceMarks, ReplaceUntracked, ServerKey, ServiceKey, Services,
    SetSysctl, SyncDaemon, SyncRole, Sysctls,
};
use crate::nft::{FullNat, SourceNat, Table};

/// Everything of a kernel that a desired file describes, in one network namespace.
pub struct Director {
    ipvs: Ipvs,
    filter: NftClient,
    /// lbd's own table as it was read or written last
    table: Table,
    /// The live FULLNAT servers, and with them the source-NAT rules that the table needs
    full_nat: FullNat,
    /// What the last reading showed beside IPVS, and of which question and sync daemons
    seen: Option<(ReadScope, Vec<SyncDaemon>, Beside)>,
    /// Whether it may still be written
    permit: Option<Permit>,
}

/// What was read beside IPVS.
#[derive(Debug, PartialEq, Eq)]
struct Beside {
    sysctls: Sysctls,
    absent: HashSet<String>,
    down: HashSet<String>,
    indices: HashMap<String, u32>,
    sync_threads: Option<u32>,
    stale_sync: Vec<SyncRole>,
}

impl Beside {
    fn read(question: &ReadScope, daemons: &[SyncDaemon]) -> Self {
        let mut sysctls = Sysctls::new();
        for name in &question.sysctls {
            // A setting that is absent or cannot be read counts as missing; setting it reports the reason.
            if let Ok(value) = sysctl::read(name) {
                sysctls.insert(name.clone(), value);
            }
        }
        let names = &question.interfaces;
        let needs_none = names.is_empty() && daemons.is_empty();
        let groups = if needs_none { Groups::unread() } else { Groups::read() };
        // The table of sockets may be long.
        let is_ports = |name: &String| is_same(name, VS_SYNC_PORTS);
        let sync_threads =
            question.sysctls.iter().any(is_ports).then(|| sync_sockets::threads(daemons)).flatten();
        Self {
            sysctls,
            absent: interfaces::absent(names),
            down: groups.down(names),
            indices: groups.indices(names),
            sync_threads,
            stale_sync: sync_sockets::deaf(daemons, &groups),
        }
    }
}

impl Director {
    /// Connects to the kernel, in the calling thread's network namespace. Loads IPVS where it is not loaded.
    ///
    /// # Errors
    /// Where the kernel has no IPVS, or the process may not use it.
    pub fn connect() -> Result<Self, KernelError> {
        Ok(Self::over(Ipvs::connect()?))
    }

    /// The same over an IPVS of the caller's.
    pub fn over(ipvs: Ipvs) -> Self {
        Self {
            ipvs,
            filter: NftClient::default(),
            table: Table::default(),
            full_nat: FullNat::default(),
            seen: None,
            permit: None,
        }
    }

    /// Remembers from now on what each reading found, for [`Kernel::has_changed`] and [`Kernel::find_loss`].
    pub fn remember(&mut self) {
        self.ipvs.remember();
    }

    /// Reports from now on how far it is with IPVS, beside which all else is little, to `progress`; or to nobody.
    pub fn set_progress(&mut self, progress: Option<ProgressSink>) {
        self.ipvs.set_progress(progress);
    }

    /// Reads lbd's own table, and gives the servers behind its source-NAT rules the forwarding method that they have
    /// with them.
    fn read_filter(&mut self, live: &mut Live) {
        match self.filter.read() {
            Ok(table) => self.table = table,
            Err(error) => live.nftables_error = Some(ErrorChain(&error).to_string()),
        }
        live.state.marks = self.table.marks.clone();
        live.state.untracked = self.table.untracked.clone();
        live.state.strays = self.table.strays.clone();
        full_nat(&mut live.state.services, &self.table.source_nat);
        self.full_nat.add_servers(&live.state.services);
        let served = self.full_nat.rules();
        let mut orphans: Vec<&SourceNat> = self.table.source_nat.difference(&served).collect();
        orphans.sort_unstable();
        live.state.strays.extend(orphans.into_iter().map(ToString::to_string));
    }

    /// Replaces lbd's own table by one with the source NAT for these servers, and beside it what there is.
    fn write_source_nat(&mut self, full_nat: &FullNat) -> Result<(), NftError> {
        let Table { marks, untracked, source_nat: _, strays: _ } = self.table.clone();
        self.write_filter(Table { marks, untracked, source_nat: full_nat.rules(), strays: Vec::new() })
    }

    /// Replaces lbd's own table. Strays are deleted, since it is replaced as a whole.
    fn write_filter(&mut self, table: Table) -> Result<(), NftError> {
        if table != self.table {
            self.filter.write(&table)?;
            self.table = table;
        }
        Ok(())
    }

    /// Edits of IPVS itself. The source-NAT rule of a FULLNAT server comes before it and goes after it.
    fn edit_ipvs(&mut self, operations: &[Operation]) -> Result<Refusals, KernelError> {
        let mut grown = self.full_nat.clone();
        let coming = operations.iter().filter_map(|operation| grown.grow(operation)).count();
        if coming > 0
            && let Err(error) = self.write_source_nat(&grown)
        {
            // Without its rule the answers of such a server would be lost.
            let message = ErrorChain(&error).to_string();
            return self.edit_without_filter(operations, &Refusal { errno: 0, message });
        }
        let refusals = self.ipvs.execute(operations)?;
        let mut is_smaller = false;
        let mut note = |operation: &Operation| {
            self.full_nat.grow(operation);
            is_smaller |= !self.full_nat.shrink(operation).is_empty();
        };
        let places = operations.iter().enumerate();
        places.filter(|(place, _)| !refusals.contains_key(place)).for_each(|(_, done)| note(done));
        if is_smaller || grown != self.full_nat {
            // A rule that is left over does no harm, and is seen at the next reading.
            let _ = self.write_source_nat(&self.full_nat.clone());
        }
        Ok(refusals)
    }

    /// The same where nft fails: the servers that need a new rule are rejected, too.
    fn edit_without_filter(
        &mut self,
        operations: &[Operation],
        refusal: &Refusal,
    ) -> Result<Refusals, KernelError> {
        let served = self.full_nat.rules();
        let lacks = |operation: &Operation| {
            let mut none = FullNat::default();
            none.grow(operation).is_some_and(|rule| !served.contains(&rule))
        };
        let places = operations.iter().cloned().enumerate();
        let (deaf, free): (Vec<_>, Vec<_>) = places.partition(|(_, operation)| lacks(operation));
        let (free, those): (Vec<usize>, Vec<Operation>) = free.into_iter().unzip();
        let refused = self.ipvs.execute(&those)?;
        let mut refusals: Refusals = deaf.into_iter().map(|(place, _)| (place, refusal.clone())).collect();
        for (among, (place, operation)) in free.into_iter().zip(&those).enumerate() {
            if let Some(refusal) = refused.get(&among) {
                refusals.insert(place, refusal.clone());
            } else {
                self.full_nat.grow(operation);
                self.full_nat.shrink(operation);
            }
        }
        Ok(refusals)
    }

    /// Whether all is as the last reading of the same scope found it; `is_ipvs_same` says it of IPVS.
    fn is_as_seen(
        &mut self,
        question: &ReadScope,
        is_ipvs_same: impl FnOnce(&mut Ipvs) -> Result<bool, KernelError>,
    ) -> Result<bool, KernelError> {
        let Some((read, daemons, beside)) = self.seen.take() else { return Ok(false) };
        // The cheapest comparison comes first.
        let is_same = read == *question
            && beside == Beside::read(question, &daemons)
            && (!question.filter || self.filter.read().is_ok_and(|table| table == self.table))
            && is_ipvs_same(&mut self.ipvs)?;
        self.seen = is_same.then_some((read, daemons, beside));
        Ok(is_same)
    }

    /// Replaces the marks, or the untracked packets, in lbd's own table; what `change` leaves stays as it is.
    fn replace_rules(&mut self, change: impl FnOnce(&mut Table)) -> Result<(), Refusal> {
        let mut table = Table { source_nat: self.full_nat.rules(), strays: Vec::new(), ..self.table.clone() };
        change(&mut table);
        self.write_filter(table)
            .map_err(|error| Refusal { errno: 0, message: ErrorChain(&error).to_string() })
    }
}

impl Kernel for Director {
    fn read_expecting(&mut self, question: &ReadScope, expected: &Services) -> Result<Live, KernelError> {
        self.seen = None;
        let mut live = self.ipvs.read_expecting(question, expected)?;
        (self.table, self.full_nat) = Default::default();
        if question.filter {
            self.read_filter(&mut live);
        }
        // Settings of IPVS are there only after its module, which answered by now.
        let daemons = live.state.sync.clone();
        let beside = Beside::read(question, &daemons);
        let Beside { sysctls, absent, down, indices, sync_threads, stale_sync } = &beside;
        live.state.sysctls.clone_from(sysctls);
        live.state.sync_threads = *sync_threads;
        live.state.stale_sync.clone_from(stale_sync);
        live.absent.clone_from(absent);
        live.down.clone_from(down);
        live.indices.clone_from(indices);
        self.seen = Some((ReadScope { statistics: false, ..question.clone() }, daemons, beside));
        Ok(live)
    }

    fn has_changed(&mut self, question: &ReadScope) -> Result<bool, KernelError> {
        Ok(!self.is_as_seen(question, |ipvs| Ok(!ipvs.has_changed(question)?))?)
    }

    fn refresh(
        &mut self,
        question: &ReadScope,
        live: &mut Live,
        statistics: bool,
    ) -> Result<bool, KernelError> {
        self.is_as_seen(question, |ipvs| ipvs.refresh(question, live, statistics))
    }

    fn find_loss(&mut self, look: Look) -> Result<Loss, KernelError> {
        self.ipvs.find_loss(look)
    }

    fn read_services(&mut self, keys: &[ServiceKey]) -> Result<Live, KernelError> {
        let mut live = self.ipvs.read_services(keys)?;
        full_nat(&mut live.state.services, &self.table.source_nat);
        Ok(live)
    }

    fn read_statistics(&mut self, scope: &StatisticsScope) -> Result<TableStatistics, KernelError> {
        self.ipvs.read_statistics(scope)
    }

    fn zero_counters(&mut self, service: Option<&ServiceKey>) -> Result<bool, KernelError> {
        self.ipvs.zero_counters(service)
    }

    fn execute(&mut self, operations: &[Operation]) -> Result<Refusals, KernelError> {
        let (mut place, mut refusals) = (0, Refusals::new());
        for run in operations.chunk_by(|one, next| is_ipvs(one) && is_ipvs(next)) {
            permitted(&self.permit)?;
            match run.first() {
                Some(
                    Operation::Service(_)
                    | Operation::Server(_)
                    | Operation::Timeouts(_)
                    | Operation::Sync(_),
                ) => {
                    let refused = self.edit_ipvs(run)?;
                    refusals.extend(refused.into_iter().map(|(among, refusal)| (place + among, refusal)));
                }
                Some(Operation::Sysctl(SetSysctl { name, to, .. })) => {
                    refusals.extend(sysctl::set(name, to).err().map(|refusal| (place, refusal)));
                }
                Some(Operation::Marks(ReplaceMarks { to, .. })) => {
                    let refused = self.replace_rules(|table| table.marks = to.to_vec());
                    refusals.extend(refused.err().map(|refusal| (place, refusal)));
                }
                Some(Operation::Untracked(ReplaceUntracked { to, .. })) => {
                    let refused = self.replace_rules(|table| table.untracked = to.to_vec());
                    refusals.extend(refused.err().map(|refusal| (place, refusal)));
                }
                None => {}
            }
            place += run.len();
        }
        Ok(refusals)
    }

    fn set_permit(&mut self, permit: Option<Permit>) {
        self.ipvs.set_permit(permit.clone());
        self.permit = permit;
    }
}

/// Whether an operation is one of IPVS, of which several are sent together; every other one is carried out by itself.
fn is_ipvs(operation: &Operation) -> bool {
    match operation {
        Operation::Service(_) | Operation::Server(_) | Operation::Timeouts(_) | Operation::Sync(_) => true,
        Operation::Sysctl(_) | Operation::Marks(_) | Operation::Untracked(_) => false,
    }
}

/// Gives each NAT server that a source-NAT rule is for the method FULLNAT.
fn full_nat(services: &mut Services, rules: &HashSet<SourceNat>) {
    if rules.is_empty() {
        return;
    }
    for (service, contents) in services.iter_mut() {
        let is_full_nat = |(server, real): (&ServerKey, &RealServer)| {
            real.forwarding == Forwarding::Nat && rules.contains(&SourceNat::of(service, server))
        };
        if contents.servers.iter().any(is_full_nat) {
            for (server, real) in contents.servers_mut().iter_mut() {
                if is_full_nat((server, real)) {
                    real.forwarding = Forwarding::FullNat;
                }
            }
        }
    }
}

#[cfg(test)]
mod tests;

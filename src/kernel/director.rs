//! The kernel of a director as a whole: IPVS, kernel settings and lbd's own table of the packet filter as one.

use std::collections::HashSet;

use super::filter::Filter;
use super::interfaces::absent;
use super::ipvs::Ipvs;
use super::{Kernel, KernelError, Live, Question, Refusal, sysctl};
use crate::model::{Forwarding, Kind, Operation, ServerKey, ServiceKey, Services, Sysctls};
use crate::nft::{SourceNat, Table};

/// Everything of a kernel that a desired file describes, in one network namespace.
pub struct Director {
    ipvs: Ipvs,
    filter: Filter,
    /// lbd's own table as it was read or written last
    table: Table,
    /// What the last reading showed beside IPVS, and of which question
    seen: Option<(Question, Beside)>,
}

/// What lies beside IPVS.
#[derive(Debug, PartialEq, Eq)]
struct Beside {
    sysctls: Sysctls,
    absent: HashSet<String>,
}

impl Beside {
    fn read(question: &Question) -> Self {
        let mut sysctls = Sysctls::new();
        for name in &question.sysctls {
            if let Ok(value) = sysctl::read(name) {
                sysctls.insert(name.clone(), value);
            }
        }
        Self { sysctls, absent: absent(&question.interfaces) }
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
        Self { ipvs, filter: Filter::default(), table: Table::default(), seen: None }
    }

    /// Reads lbd's own table, and gives the servers behind its source-NAT rules the forwarding method that they have
    /// with them.
    fn read_filter(&mut self, live: &mut Live) {
        self.table = match self.filter.read() {
            Ok(table) => table,
            Err(trouble) => {
                live.filter_trouble = Some(trouble);
                Table::default()
            }
        };
        live.state.marks = self.table.marks.clone();
        live.state.strays = self.table.strays.clone();
        let served = full_nat(&mut live.state.services, &self.table.source_nat);
        let mut stale: Vec<&SourceNat> = self.table.source_nat.difference(&served).collect();
        stale.sort_unstable();
        live.state.strays.extend(stale.into_iter().map(ToString::to_string));
    }

    /// Writes lbd's own table, if that changes it.
    fn write_filter(&mut self, table: Table) -> Result<(), String> {
        if table != self.table {
            self.filter.write(&table)?;
            self.table = table;
        }
        Ok(())
    }

    /// Edits of IPVS itself. The source-NAT rule of a FULLNAT server comes before it and goes after it.
    fn edit_ipvs(&mut self, operations: &[Operation]) -> Result<Vec<Result<(), Refusal>>, KernelError> {
        let comes: HashSet<SourceNat> = operations.iter().filter_map(needs_source_nat).collect();
        let mut table = self.table.clone();
        table.source_nat.extend(comes);
        if let Err(message) = self.write_filter(table) {
            // Without its rule the answers of such a server would be lost: better none than a deaf one.
            let refusal = Refusal { errno: 0, message };
            let is_free = |operation: &&Operation| needs_source_nat(operation).is_none();
            let free: Vec<Operation> = operations.iter().filter(is_free).cloned().collect();
            let mut results = self.ipvs.execute(&free)?.into_iter();
            return Ok(operations
                .iter()
                .map(|operation| match needs_source_nat(operation) {
                    Some(_) => Err(refusal.clone()),
                    None => results.next().unwrap_or_else(|| Err(refusal.clone())),
                })
                .collect());
        }
        let results = self.ipvs.execute(operations)?;
        let mut table = self.table.clone();
        for (operation, result) in operations.iter().zip(&results) {
            if result.is_ok() {
                forget_source_nat(&mut table.source_nat, operation);
            }
        }
        // What is left behind does no harm, and is seen at the next reading.
        let _ = self.write_filter(table);
        Ok(results)
    }

    fn replace_marks(&mut self, operation: &Operation) -> Result<(), Refusal> {
        let Operation::ReplaceMarks { to, .. } = operation else { return Ok(()) };
        let table = Table { marks: to.clone(), strays: Vec::new(), ..self.table.clone() };
        self.write_filter(table).map_err(|message| Refusal { errno: 0, message })
    }
}

impl Kernel for Director {
    fn read(&mut self, question: &Question) -> Result<Live, KernelError> {
        self.seen = None;
        let mut live = self.ipvs.read(question)?;
        if question.filter {
            self.read_filter(&mut live);
        }
        // Settings of IPVS are there only after its module, which answered by now.
        let beside = Beside::read(question);
        live.state.sysctls.clone_from(&beside.sysctls);
        live.absent.clone_from(&beside.absent);
        self.seen = Some((question.clone(), beside));
        Ok(live)
    }

    fn has_changed(&mut self, question: &Question) -> Result<bool, KernelError> {
        let Some((asked, beside)) = &self.seen else { return Ok(true) };
        if asked != question || *beside != Beside::read(question) || self.ipvs.has_changed(question)? {
            self.seen = None;
            return Ok(true);
        }
        Ok(false)
    }

    fn read_services(&mut self, keys: &[ServiceKey]) -> Result<Services, KernelError> {
        let mut services = self.ipvs.read_services(keys)?;
        full_nat(&mut services, &self.table.source_nat);
        Ok(services)
    }

    fn execute(&mut self, operations: &[Operation]) -> Result<Vec<Result<(), Refusal>>, KernelError> {
        let mut results = Vec::with_capacity(operations.len());
        let is_ipvs = |operation: &Operation| !matches!(operation.kind(), Kind::Sysctl | Kind::Mark);
        for run in operations.chunk_by(|one, next| is_ipvs(one) && is_ipvs(next)) {
            match run {
                [operation @ Operation::SetSysctl { name, to, .. }] => {
                    results.push(sysctl::write(name, to).map_err(|error| sysctl::refusal(operation, &error)));
                }
                [operation @ Operation::ReplaceMarks { .. }] => results.push(self.replace_marks(operation)),
                run => results.append(&mut self.edit_ipvs(run)?),
            }
        }
        Ok(results)
    }
}

/// Gives each NAT server that a source-NAT rule is for the method FULLNAT, and tells which rules are for somebody.
fn full_nat(services: &mut Services, rules: &HashSet<SourceNat>) -> HashSet<SourceNat> {
    let mut served = HashSet::new();
    if rules.is_empty() {
        return served;
    }
    for (service, contents) in services {
        for (server, real) in &mut contents.servers {
            if real.forwarding != Forwarding::Nat {
                continue;
            }
            let rule = SourceNat::of(service, server);
            if rules.contains(&rule) {
                real.forwarding = Forwarding::FullNat;
                served.insert(rule);
            }
        }
    }
    served
}

/// The source-NAT rule without which what the operation brings would not work.
fn needs_source_nat(operation: &Operation) -> Option<SourceNat> {
    match operation {
        Operation::AddServer { service, server, to } | Operation::EditServer { service, server, to, .. }
            if to.forwarding == Forwarding::FullNat =>
        {
            Some(SourceNat::of(service, server))
        }
        _ => None,
    }
}

/// Takes out the rules that nobody needs any more once the operation is carried out.
fn forget_source_nat(rules: &mut HashSet<SourceNat>, operation: &Operation) {
    let mut forget = |service: &ServiceKey, server: &ServerKey| {
        rules.remove(&SourceNat::of(service, server));
    };
    match operation {
        Operation::DeleteServer { service, server } => forget(service, server),
        Operation::EditServer { service, server, from, to }
            if from.forwarding == Forwarding::FullNat && to.forwarding != Forwarding::FullNat =>
        {
            forget(service, server);
        }
        Operation::DeleteService { service } => rules.retain(|rule| rule.service != *service),
        _ => {}
    }
}

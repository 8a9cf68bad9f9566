//! Reads and edits the kernel's IPVS over netlink.

mod batch;
pub mod codec;
mod fingerprint;
mod loss;
mod read;
mod snapshot;
pub(super) mod sockopt;
mod statistics;
mod sync;
mod totals;
mod uapi;

use std::collections::HashMap;
use std::process::{Command, Stdio};

use neli::consts::nl::{GenlId, NlmF};

use self::codec::request::Request;
use self::codec::{decode, encode};
use self::fingerprint::{Fingerprint, NewNumbers};
use self::loss::{LossCheck, Numbers};
use self::uapi::{IPVS_GENL_NAME, cmd};
use super::netlink::message::attributes;
use super::netlink::{Client, Malformed, NetlinkError, NetlinkSocket, Reply, Transport};
use super::{
    Kernel, KernelError, Live, Look, Loss, Permit, ProgressEvent, ProgressSink, Query, ReadScope, Refusal,
    Refusals, StatisticsScope, TableStatistics, explain, permitted,
};
use crate::model::{Operation, ServiceKey, Services, SetTimeouts, SyncOp, Timeouts};

/// What went over netlink so far.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Traffic {
    /// System calls that sent something
    pub sends: u64,
    /// Messages in them
    pub messages: u64,
    /// Those among them that edit the table
    pub writes: u64,
}

/// The load balancer of the network namespace in which it was connected.
pub struct Ipvs {
    client: Client,
    /// Lists real servers, where that is another socket: its frames stay short as long as no service has very many
    server_client: Option<Client>,
    /// The number of the IPVS family: another one each time the module is loaded
    family: u16,
    /// How many edits were sent
    writes: u64,
    /// Whether the fingerprint of a reading is kept
    remembers: bool,
    /// The fingerprint of the last full reading, unless something was edited since
    last: Option<Fingerprint>,
    /// The services of the last full reading, unless something was edited since
    losses: Option<LossCheck>,
    /// What receives how far it is
    progress: Option<ProgressSink>,
    /// Whether it may still be written
    permit: Option<Permit>,
}

/// How a query of the kernel ended.
struct Answer {
    /// A positive error number, or 0
    errno: i32,
    /// In how many datagrams it came
    frames: usize,
}

impl Ipvs {
    /// Connects to the IPVS of the calling thread's network namespace. Loads the module where it is not loaded.
    ///
    /// # Errors
    /// Where the kernel has no IPVS, or the process may not use it.
    pub fn connect() -> Result<Self, KernelError> {
        let socket = || NetlinkSocket::open().map(Box::new).map_err(NetlinkError::Socket);
        let mut kernel = Self::over(socket()?)?;
        kernel.server_client = Some(Client::over(socket()?));
        Ok(kernel)
    }

    /// The same over a transport of the caller's.
    ///
    /// # Errors
    /// As for [`Ipvs::connect`].
    pub fn over(transport: Box<dyn Transport>) -> Result<Self, KernelError> {
        let mut kernel = Self {
            client: Client::over(transport),
            server_client: None,
            family: 0,
            writes: 0,
            remembers: false,
            last: None,
            losses: None,
            progress: None,
            permit: None,
        };
        kernel.family = kernel.resolve()?;
        // Every process may look up the family's number; whether it may use it shows at the first query.
        match kernel.query(cmd::GET_INFO, NlmF::ACK, None, |_| Ok(()))?.errno {
            0 => Ok(kernel),
            errno => Err(KernelError::Refused { query: Query::Info, errno }),
        }
    }

    /// Keeps from now on a fingerprint of each reading, so that [`Kernel::has_changed`] and [`Kernel::find_loss`] can compare with it.
    pub fn remember(&mut self) {
        self.remembers = true;
    }

    /// Reports from now on how far it is to `progress`, or to nobody.
    pub fn set_progress(&mut self, progress: Option<ProgressSink>) {
        self.progress = progress;
    }

    fn report_progress(&mut self, event: ProgressEvent) {
        if let Some(progress) = &mut self.progress {
            progress(event);
        }
    }

    /// What went over netlink so far.
    pub fn traffic(&self) -> Traffic {
        let clients = || std::iter::once(&self.client).chain(&self.server_client);
        Traffic {
            sends: clients().map(|client| client.sends).sum(),
            messages: clients().map(|client| client.messages).sum(),
            writes: self.writes,
        }
    }

    /// The number that the IPVS family has now; loads the module where the kernel does not.
    fn resolve(&mut self) -> Result<u16, KernelError> {
        if let Some(family) = self.family_number()? {
            return Ok(family);
        }
        // Kernels since 5.16 load the module when the family is looked up; older ones do not.
        load_module();
        self.family_number()?.ok_or(KernelError::NoIpvs)
    }

    fn family_number(&mut self) -> Result<Option<u16>, KernelError> {
        let mut batch = self.client.batch();
        batch.push(GenlId::Ctrl.into(), NlmF::ACK, |buffer| encode::family_query(buffer, IPVS_GENL_NAME));
        let (mut family, mut errno) = (None, 0);
        batch.exchange(|_, reply| {
            match reply {
                Reply::Data(payload) => family = Some(decode::family(attributes(payload)?)?),
                Reply::End(number) => errno = number,
            }
            Ok(())
        })?;
        match errno {
            0 | libc::ENOENT => Ok(family),
            errno => Err(KernelError::Refused { query: Query::Family, errno }),
        }
    }

    /// Whether an ENOENT came from a stale family number, because the module was unloaded and loaded again: the kernel has
    /// the same error for that and for a server that is not there. Looks up the new number.
    fn was_reloaded(&mut self) -> Result<bool, KernelError> {
        let family = self.resolve()?;
        Ok(std::mem::replace(&mut self.family, family) != family)
    }

    /// Sends one query and passes the attributes of each data message to `take`.
    fn query(
        &mut self,
        command: u8,
        flags: NlmF,
        service: Option<&ServiceKey>,
        mut take: impl FnMut(&[u8]) -> Result<(), Malformed>,
    ) -> Result<Answer, KernelError> {
        let mut renewed = false;
        loop {
            let client = match &mut self.server_client {
                Some(client) if command == cmd::GET_DEST => client,
                _ => &mut self.client,
            };
            let mut batch = client.batch();
            batch.push(self.family, flags, |buffer| encode::query(buffer, command, service));
            let mut errno = 0;
            let frames = batch.exchange(|_, reply| match reply {
                Reply::Data(payload) => take(attributes(payload)?),
                Reply::End(number) => {
                    errno = number;
                    Ok(())
                }
            })?;
            if errno == libc::ENOENT && !renewed && self.was_reloaded()? {
                renewed = true;
                continue;
            }
            return Ok(Answer { errno, frames });
        }
    }

    /// Carries out edits of the table, as many as fit into one send; returns the places of those that were refused, in
    /// order, and their error numbers.
    fn transmit(&mut self, edits: &[Operation]) -> Result<Vec<(usize, i32)>, KernelError> {
        let refused = self.send(edits)?;
        if refused.iter().any(|(_, errno)| *errno == libc::ENOENT) && self.was_reloaded()? {
            // What had reached the table before is gone with the module.
            return self.send(edits);
        }
        Ok(refused)
    }

    /// The same, without a check of what an ENOENT means.
    fn send(&mut self, edits: &[Operation]) -> Result<Vec<(usize, i32)>, KernelError> {
        permitted(&self.permit)?;
        let mut batch = self.client.batch();
        for (place, request) in edits.iter().filter_map(Request::of).enumerate() {
            // A refusal is always answered; the acknowledgement of the last request ends the batch.
            let flags = if place + 1 == edits.len() { NlmF::ACK } else { NlmF::empty() };
            batch.push(self.family, flags, |buffer| encode::request(buffer, &request));
        }
        self.writes += edits.len() as u64;
        let mut refused = Vec::new();
        batch.exchange(|place, reply| {
            if let Reply::End(errno) = reply
                && errno != 0
            {
                refused.push((place, errno));
            }
            Ok(())
        })?;
        Ok(refused)
    }

    /// Sends one request by itself; returns its error number, 0 for success, or `None` where the kernel does not answer it,
    /// as where its handler was interrupted (EINTR).
    fn command(&mut self, request: &Request<'_>) -> Result<Option<i32>, KernelError> {
        permitted(&self.permit)?;
        let mut renewed = false;
        loop {
            let mut batch = self.client.batch();
            batch.push(self.family, NlmF::ACK, |buffer| encode::request(buffer, request));
            // The kernel answers in order: the answer to this query shows that none to the request before will come.
            batch.push(self.family, NlmF::ACK, |buffer| encode::query(buffer, cmd::GET_INFO, None));
            self.writes += 1;
            let mut answer = None;
            batch.exchange(|place, reply| {
                if let (0, Reply::End(errno)) = (place, reply) {
                    answer = Some(errno);
                }
                Ok(())
            })?;
            if answer == Some(libc::ENOENT) && !renewed && self.was_reloaded()? {
                renewed = true;
                continue;
            }
            return Ok(answer);
        }
    }

    fn set_timeouts(&mut self, to: Timeouts) -> Result<i32, KernelError> {
        Ok(self.command(&Request::SetTimeouts(to))?.unwrap_or(libc::EINTR))
    }

    /// Carries out edits of the table, in as few sends as possible.
    fn edit_table(&mut self, edits: &[Operation]) -> Result<Refusals, KernelError> {
        let (mut begin, mut refused) = (0, Vec::new());
        for batch in batch::batches(edits) {
            refused.extend(self.transmit(batch)?.into_iter().map(|(place, errno)| (begin + place, errno)));
            begin += batch.len();
            self.report_progress(ProgressEvent::Executed { edits: batch.len() });
        }
        Ok(refused
            .into_iter()
            .filter_map(|(place, errno)| Some((place, explain::refusal(edits.get(place)?, errno))))
            .collect())
    }
}

/// Whether it edits IPVS's table.
fn is_edit(operation: &Operation) -> bool {
    let is_of_table = match operation {
        Operation::Service(_) | Operation::Server(_) => true,
        Operation::Sysctl(_)
        | Operation::Timeouts(_)
        | Operation::Sync(_)
        | Operation::Marks(_)
        | Operation::Untracked(_) => false,
    };
    is_of_table && !is_about_no_mark(operation)
}

/// Whether it restarts a sync daemon.
fn is_restart(operation: &Operation) -> bool {
    matches!(operation, Operation::Sync(SyncOp::Restart { .. }))
}

/// Whether it is about the firewall mark 0, that of all unmarked packets: the kernel would take that for a TCP service on
/// 0.0.0.0:0.
fn is_about_no_mark(operation: &Operation) -> bool {
    operation.service().and_then(ServiceKey::mark) == Some(0)
}

fn refusal(operation: &Operation, errno: i32) -> Option<Refusal> {
    (errno != 0).then(|| explain::refusal(operation, errno))
}

impl Kernel for Ipvs {
    /// What lies beside IPVS is not for it to read.
    fn read_expecting(&mut self, question: &ReadScope, expected: &Services) -> Result<Live, KernelError> {
        (self.last, self.losses) = (None, None);
        let numbers = self.remembers.then(Numbers::read);
        let live = self.read_all(expected, question.statistics)?;
        self.last = self.remembers.then(|| Fingerprint::of(&live));
        self.losses = numbers.map(|numbers| LossCheck::of(expected, &live.state.services, numbers));
        Ok(live)
    }

    fn has_changed(&mut self, _question: &ReadScope) -> Result<bool, KernelError> {
        let Some(last) = self.last.take() else { return Ok(true) };
        let is_same = last.matches(self, &mut None)?;
        self.last = is_same.then_some(last);
        Ok(!is_same)
    }

    fn refresh(
        &mut self,
        _question: &ReadScope,
        live: &mut Live,
        statistics: bool,
    ) -> Result<bool, KernelError> {
        let Some(last) = self.last.take() else { return Ok(false) };
        let mut numbers = Some(NewNumbers::new(statistics));
        let is_same = last.matches(self, &mut numbers)?;
        self.last = is_same.then_some(last);
        if let Some(NewNumbers { connections, services }) = numbers.filter(|_| is_same) {
            live.connections = connections;
            live.statistics = services.map(|services| totals::whole(services, HashMap::new()));
            read::settings(live);
        }
        Ok(is_same)
    }

    fn find_loss(&mut self, look: Look) -> Result<Loss, KernelError> {
        let Some(mut losses) = self.losses.take() else { return Ok(Loss::None) };
        let found = losses.look(self, look);
        self.losses = Some(losses);
        found
    }

    fn read_services(&mut self, keys: &[ServiceKey]) -> Result<Live, KernelError> {
        self.read_some(keys)
    }

    fn read_statistics(&mut self, scope: &StatisticsScope) -> Result<TableStatistics, KernelError> {
        self.table_statistics(scope)
    }

    fn zero_counters(&mut self, service: Option<&ServiceKey>) -> Result<bool, KernelError> {
        self.zero(service)
    }

    fn execute(&mut self, operations: &[Operation]) -> Result<Refusals, KernelError> {
        (self.last, self.losses) = (None, None);
        let (mut place, mut refusals) = (0, Refusals::new());
        let are_together = |one: &Operation, next: &Operation| {
            is_edit(one) && is_edit(next) || is_restart(one) && is_restart(next)
        };
        for run in operations.chunk_by(are_together) {
            let Some(operation) = run.first() else { continue };
            let refused = match operation {
                Operation::Service(_) | Operation::Server(_) if is_about_no_mark(operation) => {
                    refusal(operation, libc::EINVAL)
                }
                Operation::Service(_) | Operation::Server(_) => {
                    let refused = self.edit_table(run)?;
                    refusals.extend(refused.into_iter().map(|(among, refusal)| (place + among, refusal)));
                    None
                }
                Operation::Timeouts(SetTimeouts { to, .. }) => refusal(operation, self.set_timeouts(*to)?),
                Operation::Sync(SyncOp::Start { to }) => refusal(operation, self.start_sync(to)?),
                Operation::Sync(SyncOp::Stop { role }) => refusal(operation, self.stop_sync(*role)?),
                Operation::Sync(SyncOp::Restart { .. }) => {
                    let refused = self.restart_sync(run)?;
                    refusals.extend(refused.into_iter().map(|(among, refusal)| (place + among, refusal)));
                    None
                }
                // Not for IPVS to do.
                Operation::Sysctl(_) | Operation::Marks(_) | Operation::Untracked(_) => {
                    refusal(operation, libc::EOPNOTSUPP)
                }
            };
            refusals.extend(refused.map(|refusal| (place, refusal)));
            place += run.len();
        }
        Ok(refusals)
    }

    fn set_permit(&mut self, permit: Option<Permit>) {
        self.permit = permit;
    }
}

/// Loads the module by the usual program; whether that worked shows at the next query.
fn load_module() {
    for program in ["/sbin/modprobe", "modprobe"] {
        let outcome = Command::new(program)
            .args(["-q", "ip_vs"])
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .status();
        if outcome.is_ok() {
            return;
        }
    }
}

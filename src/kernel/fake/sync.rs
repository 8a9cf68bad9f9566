//! The sync daemons of the kernel for tests.

use std::net::{IpAddr, Ipv4Addr};

use super::super::explain;
use super::{Live, Refusal};
use crate::model::{
    Family, Operation, ServiceKey, State, SyncDaemon, SyncOp, SyncRole, VirtualService, sysctl,
};

/// Starts a sync daemon, or gives the error number of the first thing that the kernel would stumble over.
pub(super) fn start(live: &mut Live, to: &SyncDaemon) -> Result<(), i32> {
    let state = &mut live.state;
    let is_mixed = |(service, contents): (&ServiceKey, &VirtualService)| {
        contents.servers.keys().any(|server| Family::of(server.address) != service.family())
    };
    if to.group.is_some_and(|group| !group.is_multicast()) || state.services.iter().any(is_mixed) {
        Err(libc::EINVAL)
    } else if live.absent.contains(&to.interface) {
        Err(libc::ENODEV)
    } else if state.sync.iter().any(|daemon| daemon.role == to.role) {
        Err(libc::EEXIST)
    } else if to.role == SyncRole::Master && live.down.contains(&to.interface) {
        Err(libc::ENETUNREACH)
    } else {
        if state.sync.is_empty() {
            state.sync_threads = setting(state);
        }
        state.stale_sync.retain(|role| *role != to.role);
        state.sync.push(stored(to));
        // The kernel lists the master first.
        state.sync.sort_by_key(|daemon| daemon.role);
        Ok(())
    }
}

pub(super) fn stop(live: &mut Live, role: SyncRole) -> Result<(), i32> {
    let state = &mut live.state;
    let place = state.sync.iter().position(|daemon| daemon.role == role).ok_or(libc::ESRCH)?;
    state.sync.remove(place);
    state.stale_sync.retain(|stale| *stale != role);
    if state.sync.is_empty() {
        state.sync_threads = None;
    }
    Ok(())
}

/// How many threads a daemon gets that is the first one to start, where the kernel was given a setting.
fn setting(state: &State) -> Option<u32> {
    state.sysctls.get(sysctl::VS_SYNC_PORTS)?.parse().ok()
}

/// Records that a sync daemon was restarted. Restarts that follow each other stop all of them first; the threads are counted
/// anew then, if no other daemon runs on.
pub(super) fn restarted(live: &mut Live, operations: &[Operation], place: usize) {
    let is_neighbour = |at: Option<usize>| {
        let other = at.and_then(|at| operations.get(at));
        matches!(other, Some(Operation::Sync(SyncOp::Restart { .. })))
    };
    if live.state.sync.len() < 2 || is_neighbour(place.checked_sub(1)) || is_neighbour(place.checked_add(1)) {
        live.state.sync_threads = setting(&live.state);
    }
}

pub(super) fn restart(
    live: &mut Live,
    operation: &Operation,
    from: &SyncDaemon,
    to: &SyncDaemon,
) -> Result<(), Refusal> {
    // That none runs any more is as good.
    let _ = stop(live, from.role);
    start(live, to).map_err(|errno| {
        let again = start(live, from).err().unwrap_or(0);
        explain::not_restarted(operation, errno, again)
    })
}

/// A sync daemon as it is listed, on an interface that takes 1500 bytes.
fn stored(to: &SyncDaemon) -> SyncDaemon {
    let group = to.group.unwrap_or(IpAddr::V4(Ipv4Addr::new(224, 0, 0, 81)));
    let headers = if group.is_ipv4() { 28 } else { 48 };
    let least = if to.role == SyncRole::Backup { 1024 } else { 1 };
    let length = match to.max_length {
        None | Some(0) => 1500 - headers,
        Some(length) => length.clamp(least, u16::MAX - headers),
    };
    SyncDaemon {
        max_length: Some(length),
        group: Some(group),
        port: Some(to.port.filter(|port| *port > 0).unwrap_or(8848)),
        ttl: Some(to.ttl.filter(|ttl| *ttl > 0).unwrap_or(1)),
        ..to.clone()
    }
}

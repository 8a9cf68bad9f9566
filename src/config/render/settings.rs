//! Turns what stands beside the clusters into the head of the file: kernel settings, marks, timeouts, sync daemons.

use std::collections::BTreeSet;

use indexmap::IndexMap;

use super::{empty, wrong};
use crate::config::format::document::{
    Document, Duration, Group, Interface, Mark, MarkNumber, Match, MatchProtocol, MessageLength, Number,
    Port, PrefixText, Role, SyncDaemon, SysctlValue, Timeouts,
};
use crate::config::resolve::resolve;
use crate::model::sysctl::VS_CONNTRACK;
use crate::model::{self, MarkMatch, Prefix, Protocol, State, SyncRole};

/// Writes the head; what it cannot hold goes to `lost`, in words.
pub(super) fn settings(state: &State, head: &mut Document, lost: &mut Vec<String>) {
    let mut sysctls: Vec<_> = state.sysctls.iter().collect();
    sysctls.sort();
    for (name, value) in sysctls {
        if name == VS_CONNTRACK && value == "0" && state.has_fullnat() {
            lost.push(format!("sysctl {name}: it is 0, and `fullnat` servers need it"));
            continue;
        }
        let entry = (name.clone(), sysctl(value));
        let alone = Document { sysctls: [entry.clone()].into_iter().collect(), ..empty() };
        // (Not compared: a name may be asked for in more than one spelling.)
        if kept(alone, &format!("sysctl {name}"), "sysctls", |_| true, lost) {
            head.sysctls.extend([entry]);
        }
    }
    // In the order of the rules, which decides where two of them describe the same packets; then every other mark that is
    // in use: somebody else's firewall sets it.
    let mut marks: IndexMap<u32, Vec<MarkMatch>> = IndexMap::new();
    for model::Mark { mark, matches } in &state.marks {
        if marks.contains_key(mark) && !matches.is_empty() {
            lost.push(format!("mark {mark}: a rule of another mark stands between two of its own"));
        }
        marks.entry(*mark).or_default().extend(matches.iter().cloned());
    }
    let used: BTreeSet<u32> = state.services.keys().filter_map(|key| key.mark()).collect();
    for mark in used {
        marks.entry(mark).or_default();
    }
    lost.extend(state.strays.iter().map(|stray| format!("lbd's own table of the packet filter: {stray}")));
    for (mark, matches) in marks {
        let entry = Mark { mark: MarkNumber::from(mark), matches: matches.iter().map(packets).collect() };
        let alone = Document { marks: vec![entry.clone()], ..empty() };
        let wanted = model::Mark { mark, matches };
        if kept(alone, &format!("mark {mark}"), "marks", |read| read.marks.first() == Some(&wanted), lost) {
            head.marks.push(entry);
        }
    }
    let model::Timeouts { tcp, tcp_fin, udp } = state.timeouts;
    let seconds = |seconds: Option<u32>| seconds.map(duration);
    if state.timeouts != model::Timeouts::default() {
        let timeouts = Timeouts { tcp: seconds(tcp), tcp_fin: seconds(tcp_fin), udp: seconds(udp) };
        let alone = Document { timeouts: Some(timeouts.clone()), ..empty() };
        if kept(alone, "timeouts", "timeouts", |read| read.timeouts == state.timeouts, lost) {
            head.timeouts = Some(timeouts);
        }
    }
    for daemon in sync(state) {
        let alone = Document { sync: vec![daemon.clone()], ..empty() };
        let what = format!("sync {}", daemon.role.word());
        if kept(alone, &what, "sync", |read| read.sync.iter().all(|read| state.sync.contains(read)), lost) {
            head.sync.push(daemon);
        }
    }
}

/// Whether the file takes an entry, and for what it is; if not, says why in `lost`.
fn kept(
    alone: Document,
    what: &str,
    section: &'static str,
    same: impl FnOnce(&State) -> bool,
    lost: &mut Vec<String>,
) -> bool {
    let wrong = wrong(alone.clone(), section);
    lost.extend(wrong.iter().map(|finding| format!("{what}: {}", finding.message)));
    if !wrong.is_empty() {
        return false;
    }
    let same = same(&resolve(alone).0.state);
    if !same {
        lost.push(format!("{what}: it would not be read back as it is"));
    }
    same
}

/// A number without quotes, where that is what the file takes for the same value.
fn sysctl(value: &str) -> SysctlValue {
    match value.parse::<i64>() {
        Ok(number) if number.to_string() == value => number.into(),
        _ => value.into(),
    }
}

/// Seconds in the largest unit that holds them without a rest.
pub(super) fn duration(seconds: u32) -> Duration {
    let (unit, letter) = [(86_400, 'd'), (3_600, 'h'), (60, 'm')]
        .into_iter()
        .find(|(unit, _)| seconds != 0 && seconds.is_multiple_of(*unit))
        .unwrap_or((1, 's'));
    format!("{}{letter}", seconds / unit).into()
}

/// The sync daemons of a state, the master first.
pub(super) fn sync(state: &State) -> Vec<SyncDaemon> {
    let mut daemons: Vec<_> = state.sync.iter().collect();
    daemons.sort_by_key(|daemon| daemon.role);
    daemons
        .into_iter()
        .map(|model::SyncDaemon { role, interface, id, max_length, group, port, ttl }| SyncDaemon {
            role: match role {
                SyncRole::Master => Role::Master,
                SyncRole::Backup => Role::Backup,
            },
            interface: Interface::from(interface.as_str()),
            id: Number::new((*id).into()).filter(|_| *id != 0),
            sync_maxlen: max_length.and_then(|length| MessageLength::new(length.into())),
            mcast_group: group.map(|group| Group::from(group.to_string())),
            mcast_port: port.and_then(|port| Number::new(port.into())),
            mcast_ttl: ttl.and_then(|ttl| Number::new(ttl.into())),
        })
        .collect()
}

fn packets(MarkMatch { protocol, address, ports, source, interface }: &MarkMatch) -> Match {
    let prefix = |prefix: &Option<Prefix>| prefix.map(|prefix| PrefixText::from(prefix.to_string()));
    let port = |range: &std::ops::RangeInclusive<u16>| match (*range.start(), *range.end()) {
        (first, last) if first == last => Port::from(u32::from(first)),
        (first, last) => Port::from(format!("{first}-{last}")),
    };
    Match {
        protocol: protocol.and_then(|protocol| match protocol {
            Protocol::Tcp => Some(MatchProtocol::Tcp),
            Protocol::Udp => Some(MatchProtocol::Udp),
            Protocol::Sctp => Some(MatchProtocol::Sctp),
            // Said by the comparison with what is read back.
            Protocol::Other(_) => None,
        }),
        address: prefix(address),
        ports: (!ports.is_empty()).then(|| ports.iter().map(port).collect()),
        source: prefix(source),
        interface: interface.as_deref().map(Interface::from),
    }
}

//! Turns the state beside the services into the head of the file: kernel settings, marks, timeouts, sync daemons.

use std::collections::BTreeSet;

use indexmap::IndexMap;

use super::{empty, wrong};
use crate::config::format::document::{
    Choice, Document, DurationText, Group, Interface, MarkEntry, MarkNumber, MatchEntry, MessageLength,
    Number, Port, PrefixText, SyncEntry, SysctlValue, TimeoutsEntry,
};
use crate::config::resolve::resolve;
use crate::config::resolve::value::UNITS;
use crate::model::sysctl::VS_CONNTRACK;
use crate::model::{Mark, MarkMatch, Named, Prefix, State, SyncDaemon, Timeouts};

/// Writes the head; what the file cannot express goes to `lost`, in sentences.
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
        // (Not compared: a setting can have more than one name.)
        if kept(alone, &format!("sysctl {name}"), "sysctls", |_| true, lost) {
            head.sysctls.extend([entry]);
        }
    }
    // In the order of the rules, which decides where two of them describe the same packets; then every other mark that is
    // in use: another program's firewall rules set it.
    let mut marks: IndexMap<u32, Vec<MarkMatch>> = IndexMap::new();
    for Mark { mark, matches } in &state.marks {
        if marks.contains_key(mark) && !matches.is_empty() {
            lost.push(format!("mark {mark}: a rule of another mark is between two of its own"));
        }
        marks.entry(*mark).or_default().extend(matches.iter().cloned());
    }
    let used: BTreeSet<u32> = state.services.keys().filter_map(|key| key.mark()).collect();
    for mark in used {
        marks.entry(mark).or_default();
    }
    lost.extend(state.strays.iter().map(|stray| format!("lbd's own nftables table: {stray}")));
    for (mark, matches) in marks {
        let entry =
            MarkEntry { mark: MarkNumber::from(mark), matches: matches.iter().map(packets).collect() };
        let alone = Document { marks: vec![entry.clone()], ..empty() };
        let wanted = Mark { mark, matches };
        if kept(alone, &format!("mark {mark}"), "marks", |read| read.marks.first() == Some(&wanted), lost) {
            head.marks.push(entry);
        }
    }
    let Timeouts { tcp, tcp_fin, udp } = state.timeouts;
    let seconds = |seconds: Option<u32>| seconds.map(duration);
    if state.timeouts != Timeouts::default() {
        let timeouts = TimeoutsEntry { tcp: seconds(tcp), tcp_fin: seconds(tcp_fin), udp: seconds(udp) };
        let alone = Document { timeouts: Some(timeouts.clone()), ..empty() };
        if kept(alone, "timeouts", "timeouts", |read| read.timeouts == state.timeouts, lost) {
            head.timeouts = Some(timeouts);
        }
    }
    for daemon in sync(state) {
        let alone = Document { sync: vec![daemon.clone()], ..empty() };
        let what = format!("sync {}", daemon.role.0);
        if kept(alone, &what, "sync", |read| read.sync.iter().all(|read| state.sync.contains(read)), lost) {
            head.sync.push(daemon);
        }
    }
}

/// Whether the file accepts an entry and reads it back as the same; if not, the reason goes to `lost`.
fn kept(
    alone: Document,
    what: &str,
    section: &'static str,
    same: impl FnOnce(&State) -> bool,
    lost: &mut Vec<String>,
) -> bool {
    let wrong = wrong(alone.clone(), section);
    lost.extend(wrong.iter().map(|issue| format!("{what}: {}", issue.message)));
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

/// Seconds in the largest unit that divides them without a remainder.
pub fn duration(seconds: u32) -> DurationText {
    let largest = |(_, unit): &(char, u32)| seconds.is_multiple_of(*unit) && (seconds != 0 || *unit == 1);
    let (letter, unit) = UNITS.into_iter().find(largest).unwrap_or(('s', 1));
    format!("{}{letter}", seconds / unit).into()
}

/// The sync daemons of a state, the master first.
pub(super) fn sync(state: &State) -> Vec<SyncEntry> {
    let mut daemons: Vec<_> = state.sync.iter().collect();
    daemons.sort_by_key(|daemon| daemon.role);
    daemons
        .into_iter()
        .map(|SyncDaemon { role, interface, id, max_length, group, port, ttl }| SyncEntry {
            role: Choice(*role),
            interface: Interface::from(interface.as_str()),
            id: Number::new((*id).into()).filter(|_| *id != 0),
            sync_maxlen: max_length.and_then(|length| MessageLength::new(length.into())),
            mcast_group: group.map(|group| Group::from(group.to_string())),
            mcast_port: port.and_then(|port| Number::new(port.into())),
            mcast_ttl: ttl.and_then(|ttl| Number::new(ttl.into())),
        })
        .collect()
}

/// What gives packets a mark.
pub(super) fn matches(mark: u32, state: &State) -> Vec<MatchEntry> {
    let own = state.marks.iter().filter(|rules| rules.mark == mark);
    own.flat_map(|rules| &rules.matches).map(packets).collect()
}

fn packets(MarkMatch { protocol, address, ports, source, interface }: &MarkMatch) -> MatchEntry {
    let prefix = |prefix: &Option<Prefix>| prefix.map(|prefix| PrefixText::from(prefix.to_string()));
    let port = |range: &std::ops::RangeInclusive<u16>| match (*range.start(), *range.end()) {
        (first, last) if first == last => Port::from(u32::from(first)),
        (first, last) => Port::from(format!("{first}-{last}")),
    };
    MatchEntry {
        protocol: // (One that has no name is found by the comparison with what is read back.)
            protocol.filter(|protocol| protocol.name().is_some()).map(Choice),
        address: prefix(address),
        ports: (!ports.is_empty()).then(|| ports.iter().map(port).collect()),
        source: prefix(source),
        interface: interface.as_deref().map(Interface::from),
    }
}

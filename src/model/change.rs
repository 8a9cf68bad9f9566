//! The fields that an operation sets, each with what it was and what it shall be.

use std::borrow::Cow;
use std::fmt;

use super::{
    Forwarding, MarkMatch, Persistence, PersistenceMask, RealServer, SchedulerName, Scheduling, SyncDaemon,
    Thresholds, Timeouts, Tunnel,
};

/// One field that an operation sets.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Change {
    /// The key in the file
    pub field: Cow<'static, str>,
    /// What it was; `None` where it was not set or the object is new
    pub from: Option<Value>,
    /// What it shall be; `None` where it shall not be set
    pub to: Option<Value>,
}

/// The value of a field, ready to be printed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Value {
    /// A number; seconds for a time
    Number(u32),
    /// A word
    Text(Cow<'static, str>),
    /// A switch
    Flag(bool),
    /// Several words
    List(Vec<&'static str>),
    /// How a packet is wrapped
    Tunnel(Tunnel),
    /// The value of a kernel setting
    Setting(String),
    /// Packets that get a mark
    Match(Box<MarkMatch>),
}

impl Value {
    /// Prints itself at the end of a text: a plan can have a hundred thousand servers, and they have numbers and words.
    pub fn push_to(&self, text: &mut String) {
        match self {
            Self::Number(number) => text.push_str(itoa::Buffer::new().format(*number)),
            Self::Text(word) => text.push_str(word),
            other => text.push_str(&other.to_string()),
        }
    }
}

impl fmt::Display for Value {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Number(number) => number.fmt(f),
            Self::Text(text) => f.write_str(text),
            Self::Flag(on) => on.fmt(f),
            Self::List(words) => write!(f, "[{}]", words.join(", ")),
            Self::Tunnel(Tunnel { kind, port, checksum }) => {
                write!(f, "{{type: {kind}, port: {port}, checksum: {checksum}}}")
            }
            Self::Setting(value) => f.write_str(value),
            Self::Match(packets) => packets.fmt(f),
        }
    }
}

pub(super) type Fields<const N: usize> = [(&'static str, Option<Value>); N];

/// Hands on the fields that are set, of what is new.
pub(super) fn set<const N: usize>(to: Fields<N>, take: impl FnMut(Change)) {
    let set = to.into_iter().filter(|(_, to)| to.is_some());
    set.map(|(field, to)| Change { field: field.into(), from: None, to }).for_each(take);
}

/// Hands on the fields that differ.
pub(super) fn compare<const N: usize>(from: Fields<N>, to: Fields<N>, take: impl FnMut(Change)) {
    let both = from.into_iter().zip(to).filter(|((_, from), (_, to))| from != to);
    both.map(|((_, from), (field, to))| Change { field: field.into(), from, to }).for_each(take);
}

/// `words` is the scheduler that names the switches: the new one on both sides, so that a switch that stays on is equal.
pub(super) fn scheduling_fields(scheduling: &Scheduling, words: &SchedulerName) -> Fields<6> {
    let Scheduling { scheduler, flags, persistence, engine, one_packet } = scheduling;
    let mask = |Persistence { mask, .. }: Persistence| match mask {
        PersistenceMask::V4(mask) => Value::Text(mask.to_string().into()),
        PersistenceMask::V6(length) => Value::Number(length),
    };
    [
        ("scheduler", Some(Value::Text(scheduler.to_string().into()))),
        ("scheduler_flags", Some(Value::List(flags.names(words)))),
        ("persistence", persistence.map(|Persistence { timeout, .. }| Value::Number(timeout))),
        ("persistence_mask", persistence.map(mask)),
        ("persistence_engine", engine.as_ref().map(|name| Value::Text(name.to_string().into()))),
        ("one_packet", Some(Value::Flag(*one_packet))),
    ]
}

pub(super) fn server_fields(server: &RealServer) -> Fields<5> {
    let RealServer { weight, forwarding, thresholds: Thresholds { upper, lower } } = *server;
    let tunnel = match forwarding {
        Forwarding::Tunnel(tunnel) => Some(Value::Tunnel(tunnel)),
        Forwarding::Nat | Forwarding::FullNat | Forwarding::DirectRouting | Forwarding::Other(_) => None,
    };
    [
        ("forward", Some(Value::Text(forwarding.word()))),
        ("tunnel", tunnel),
        ("weight", Some(Value::Number(weight))),
        ("upper_threshold", upper.map(|limit| Value::Number(limit.get()))),
        ("lower_threshold", lower.map(|limit| Value::Number(limit.get()))),
    ]
}

/// Hands on the timeouts that shall be others, with what they are.
pub(super) fn timeout_fields(from: Timeouts, to: Timeouts, take: impl FnMut(Change)) {
    [("tcp", from.tcp, to.tcp), ("tcp_fin", from.tcp_fin, to.tcp_fin), ("udp", from.udp, to.udp)]
        .into_iter()
        .filter(|(_, _, to)| to.is_some())
        .map(|(field, from, to)| Change {
            field: field.into(),
            from: from.map(Value::Number),
            to: to.map(Value::Number),
        })
        .for_each(take);
}

pub(super) fn sync_fields(daemon: &SyncDaemon) -> Fields<6> {
    let SyncDaemon { role: _, interface, id, max_length, group, port, ttl } = daemon;
    [
        ("interface", Some(Value::Text(interface.clone().into()))),
        ("id", Some(Value::Number((*id).into()))),
        ("sync_maxlen", max_length.map(|length| Value::Number(length.into()))),
        ("mcast_group", group.map(|group| Value::Text(group.to_string().into()))),
        ("mcast_port", port.map(|port| Value::Number(port.into()))),
        ("mcast_ttl", ttl.map(|ttl| Value::Number(ttl.into()))),
    ]
}

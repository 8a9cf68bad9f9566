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

/// One field that an operation sets, where it stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Set<'a> {
    /// The key in the file
    pub field: &'a Cow<'static, str>,
    /// What it was
    pub from: Option<&'a Value>,
    /// What it shall be
    pub to: Option<&'a Value>,
}

impl<'a> From<&'a Change> for Set<'a> {
    fn from(Change { field, from, to }: &'a Change) -> Self {
        Self { field, from: from.as_ref(), to: to.as_ref() }
    }
}

impl From<Set<'_>> for Change {
    fn from(Set { field, from, to }: Set<'_>) -> Self {
        Self { field: field.clone(), from: from.cloned(), to: to.cloned() }
    }
}

pub(super) type Fields<const N: usize> = [(Cow<'static, str>, Option<Value>); N];

/// Hands on the fields that are set, of what is new.
pub(super) fn set<const N: usize>(to: &Fields<N>, take: impl FnMut(Set<'_>)) {
    let set = to.iter().filter(|(_, to)| to.is_some());
    set.map(|(field, to)| Set { field, from: None, to: to.as_ref() }).for_each(take);
}

/// Hands on the fields that differ.
pub(super) fn compare<const N: usize>(from: &Fields<N>, to: &Fields<N>, take: impl FnMut(Set<'_>)) {
    let both = from.iter().zip(to).filter(|((_, from), (_, to))| from != to);
    both.map(|((_, from), (field, to))| Set { field, from: from.as_ref(), to: to.as_ref() }).for_each(take);
}

/// `words` is the scheduler that names the switches: the new one on both sides, so that a switch that stays on is equal.
pub(super) fn scheduling_fields(scheduling: &Scheduling, words: &SchedulerName) -> Fields<6> {
    let Scheduling { scheduler, flags, persistence, engine, one_packet } = scheduling;
    let mask = |Persistence { mask, .. }: Persistence| match mask {
        PersistenceMask::V4(mask) => Value::Text(mask.to_string().into()),
        PersistenceMask::V6(length) => Value::Number(length),
    };
    [
        (Cow::Borrowed("scheduler"), Some(Value::Text(scheduler.to_string().into()))),
        (Cow::Borrowed("scheduler_flags"), Some(Value::List(flags.names(words)))),
        (Cow::Borrowed("persistence"), persistence.map(|Persistence { timeout, .. }| Value::Number(timeout))),
        (Cow::Borrowed("persistence_mask"), persistence.map(mask)),
        (
            Cow::Borrowed("persistence_engine"),
            engine.as_ref().map(|name| Value::Text(name.to_string().into())),
        ),
        (Cow::Borrowed("one_packet"), Some(Value::Flag(*one_packet))),
    ]
}

pub(super) fn server_fields(server: &RealServer) -> Fields<5> {
    let RealServer { weight, forwarding, thresholds: Thresholds { upper, lower } } = *server;
    let tunnel = match forwarding {
        Forwarding::Tunnel(tunnel) => Some(Value::Tunnel(tunnel)),
        Forwarding::Nat | Forwarding::FullNat | Forwarding::DirectRouting | Forwarding::Other(_) => None,
    };
    [
        (Cow::Borrowed("forward"), Some(Value::Text(forwarding.word()))),
        (Cow::Borrowed("tunnel"), tunnel),
        (Cow::Borrowed("weight"), Some(Value::Number(weight))),
        (Cow::Borrowed("upper_threshold"), upper.map(|limit| Value::Number(limit.get()))),
        (Cow::Borrowed("lower_threshold"), lower.map(|limit| Value::Number(limit.get()))),
    ]
}

pub(super) fn timeout_fields(timeouts: Timeouts) -> Fields<3> {
    let Timeouts { tcp, tcp_fin, udp } = timeouts;
    [
        (Cow::Borrowed("tcp"), tcp.map(Value::Number)),
        (Cow::Borrowed("tcp_fin"), tcp_fin.map(Value::Number)),
        (Cow::Borrowed("udp"), udp.map(Value::Number)),
    ]
}

pub(super) fn sync_fields(daemon: &SyncDaemon) -> Fields<6> {
    let SyncDaemon { role: _, interface, id, max_length, group, port, ttl } = daemon;
    [
        (Cow::Borrowed("interface"), Some(Value::Text(interface.clone().into()))),
        (Cow::Borrowed("id"), Some(Value::Number((*id).into()))),
        (Cow::Borrowed("sync_maxlen"), max_length.map(|length| Value::Number(length.into()))),
        (Cow::Borrowed("mcast_group"), group.map(|group| Value::Text(group.to_string().into()))),
        (Cow::Borrowed("mcast_port"), port.map(|port| Value::Number(port.into()))),
        (Cow::Borrowed("mcast_ttl"), ttl.map(|ttl| Value::Number(ttl.into()))),
    ]
}

//! The fields that an operation sets, each with what it was and what it shall be.

use std::borrow::Cow;
use std::fmt;

use super::{
    Forwarding, MarkMatch, PersistenceMask, RealServer, SchedulerName, Scheduling, SyncDaemon, Timeouts,
    Tunnel,
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

/// A field of an object: the key in the file, and the value, where it is set.
pub(super) type Field<T> = (Cow<'static, str>, fn(&T) -> Option<Value>);

/// Hands on the fields that are set, of what is new.
pub(super) fn set<T>(fields: &[Field<T>], to: &T, mut take: impl FnMut(Set<'_>)) {
    for (field, value) in fields {
        if let Some(to) = value(to) {
            take(Set { field, from: None, to: Some(&to) });
        }
    }
}

/// Hands on the fields that differ.
pub(super) fn compare<T>(fields: &[Field<T>], from: &T, to: &T, mut take: impl FnMut(Set<'_>)) {
    for (field, value) in fields {
        let (from, to) = (value(from), value(to));
        if from != to {
            take(Set { field, from: from.as_ref(), to: to.as_ref() });
        }
    }
}

/// A scheduling, and the scheduler that names its switches: the new one on both sides of an edit, so that a switch that
/// stays on is equal.
pub(super) type Worded<'a> = (&'a Scheduling, &'a SchedulerName);

pub(super) fn scheduling_fields<'a>() -> [Field<Worded<'a>>; 6] {
    [
        (Cow::Borrowed("scheduler"), |(of, _)| Some(Value::Text(of.scheduler.to_string().into()))),
        (Cow::Borrowed("scheduler_flags"), |(of, words)| Some(Value::List(of.flags.names(words)))),
        (Cow::Borrowed("persistence"), |(of, _)| Some(Value::Number(of.persistence?.timeout))),
        (Cow::Borrowed("persistence_mask"), |(of, _)| {
            Some(match of.persistence?.mask {
                PersistenceMask::V4(mask) => Value::Text(mask.to_string().into()),
                PersistenceMask::V6(length) => Value::Number(length),
            })
        }),
        (Cow::Borrowed("persistence_engine"), |(of, _)| {
            Some(Value::Text(of.engine.as_ref()?.to_string().into()))
        }),
        (Cow::Borrowed("one_packet"), |(of, _)| Some(Value::Flag(of.one_packet))),
    ]
}

pub(super) static SERVER_FIELDS: [Field<RealServer>; 5] = [
    (Cow::Borrowed("forward"), |server| Some(Value::Text(server.forwarding.word()))),
    (Cow::Borrowed("tunnel"), |server| match server.forwarding {
        Forwarding::Tunnel(tunnel) => Some(Value::Tunnel(tunnel)),
        Forwarding::Nat | Forwarding::FullNat | Forwarding::DirectRouting | Forwarding::Other(_) => None,
    }),
    (Cow::Borrowed("weight"), |server| Some(Value::Number(server.weight))),
    (Cow::Borrowed("upper_threshold"), |server| Some(Value::Number(server.thresholds.upper?.get()))),
    (Cow::Borrowed("lower_threshold"), |server| Some(Value::Number(server.thresholds.lower?.get()))),
];

pub(super) static TIMEOUT_FIELDS: [Field<Timeouts>; 3] = [
    (Cow::Borrowed("tcp"), |timeouts| timeouts.tcp.map(Value::Number)),
    (Cow::Borrowed("tcp_fin"), |timeouts| timeouts.tcp_fin.map(Value::Number)),
    (Cow::Borrowed("udp"), |timeouts| timeouts.udp.map(Value::Number)),
];

pub(super) static SYNC_FIELDS: [Field<SyncDaemon>; 6] = [
    (Cow::Borrowed("interface"), |daemon| Some(Value::Text(daemon.interface.clone().into()))),
    (Cow::Borrowed("id"), |daemon| Some(Value::Number(daemon.id.into()))),
    (Cow::Borrowed("sync_maxlen"), |daemon| Some(Value::Number(daemon.max_length?.into()))),
    (Cow::Borrowed("mcast_group"), |daemon| Some(Value::Text(daemon.group?.to_string().into()))),
    (Cow::Borrowed("mcast_port"), |daemon| Some(Value::Number(daemon.port?.into()))),
    (Cow::Borrowed("mcast_ttl"), |daemon| Some(Value::Number(daemon.ttl?.into()))),
];

//! The fields that an operation changes, each with its live and its desired value.

use std::borrow::Cow;
use std::fmt;

use crate::model::{MarkMatch, Tunnel};

/// One field that an operation changes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Change {
    /// The key in the file
    pub field: Cow<'static, str>,
    /// The live value; `None` where the field is not set or the object is new
    pub from: Option<Value>,
    /// The desired value; `None` where the field is to be unset
    pub to: Option<Value>,
}

/// The value of a field, ready to be printed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Value {
    /// A number; seconds for a time
    Number(u32),
    /// A text
    Text(Cow<'static, str>),
    /// A boolean
    Flag(bool),
    /// Several names
    List(Vec<&'static str>),
    /// The encapsulation of a tunnel
    Tunnel(Tunnel),
    /// The value of a kernel setting
    Setting(String),
    /// Packets that get a mark
    Match(Box<MarkMatch>),
}

impl Value {
    /// Appends the printed value to `text`. What most servers have, numbers and texts, does without a formatter: a plan can
    /// have a hundred thousand servers.
    pub fn push_to(&self, text: &mut String) {
        match self {
            Self::Number(number) => text.push_str(itoa::Buffer::new().format(*number)),
            Self::Text(word) => text.push_str(word),
            Self::Flag(_) | Self::List(_) | Self::Tunnel(_) | Self::Setting(_) | Self::Match(_) => {
                text.push_str(&self.to_string())
            }
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

/// One field that an operation changes, borrowed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Set<'a> {
    /// The key in the file
    pub field: &'a Cow<'static, str>,
    /// The live value
    pub from: Option<&'a Value>,
    /// The desired value
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

/// The fields of an object by the keys of the file, in the order of the file; `None` where one is not set.
pub(super) type Fields<const N: usize> = [(Cow<'static, str>, Option<Value>); N];

/// Calls `take` with each field that is set, for an object that is new.
pub(super) fn each_set<const N: usize>(to: &Fields<N>, take: impl FnMut(Set<'_>)) {
    let set = to.iter().filter(|(_, to)| to.is_some());
    set.map(|(field, to)| Set { field, from: None, to: to.as_ref() }).for_each(take);
}

/// Calls `take` with each field that differs.
pub(super) fn each_difference<const N: usize>(from: &Fields<N>, to: &Fields<N>, take: impl FnMut(Set<'_>)) {
    let both = from.iter().zip(to).filter(|((_, from), (_, to))| from != to);
    both.map(|((_, from), (field, to))| Set { field, from: from.as_ref(), to: to.as_ref() }).for_each(take);
}

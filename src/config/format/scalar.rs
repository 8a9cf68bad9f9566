//! The single values of the desired file as they are written, each with the schema that an editor checks it by.
//!
//! They are stored as text or number, as the file has them; `resolve` interprets them and reports what is wrong.

use std::fmt;

use compact_str::CompactString;
use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::de::{Deserializer, Error, Visitor};
use serde::{Deserialize, Serialize, Serializer};

use super::limits;
use crate::model::{Family, SchedulerName, link};

/// A value that is written as a number or as text.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize)]
#[serde(untagged)]
pub enum Scalar {
    /// A whole number
    Number(i64),
    /// Anything else
    Text(String),
}

impl fmt::Display for Scalar {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Number(number) => number.fmt(f),
            Self::Text(text) => f.write_str(text),
        }
    }
}

impl<'de> Deserialize<'de> for Scalar {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct ScalarVisitor;

        impl Visitor<'_> for ScalarVisitor {
            type Value = Scalar;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a whole number or text")
            }

            fn visit_i64<E: Error>(self, number: i64) -> Result<Scalar, E> {
                Ok(Scalar::Number(number))
            }

            fn visit_u64<E: Error>(self, number: u64) -> Result<Scalar, E> {
                i64::try_from(number).map(Scalar::Number).map_err(|_| E::custom("the number is too large"))
            }

            fn visit_str<E: Error>(self, text: &str) -> Result<Scalar, E> {
                Ok(Scalar::Text(text.into()))
            }

            fn visit_string<E: Error>(self, text: String) -> Result<Scalar, E> {
                Ok(Scalar::Text(text))
            }
        }

        deserializer.deserialize_any(ScalarVisitor)
    }
}

/// Text, and nothing that YAML reads as something else: `name: 80` is a number, which a derived `String` would let pass.
pub(crate) fn text<'de, D: Deserializer<'de>>(deserializer: D) -> Result<CompactString, D::Error> {
    struct TextVisitor;

    impl Visitor<'_> for TextVisitor {
        type Value = CompactString;

        fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.write_str("text")
        }

        fn visit_str<E: Error>(self, text: &str) -> Result<CompactString, E> {
            Ok(text.into())
        }

        fn visit_string<E: Error>(self, text: String) -> Result<CompactString, E> {
            Ok(text.into())
        }
    }

    deserializer.deserialize_any(TextVisitor)
}

/// The name of a definition in the schema: that of its type, where it has no other.
macro_rules! definition {
    ($name:ident) => {
        stringify!($name)
    };
    ($name:ident $definition:literal) => {
        $definition
    };
}
pub(crate) use definition;

/// A value that is text in the file. Where it is used, `CompactString`, `Deserialize`, `Deserializer`, `JsonSchema`, `Schema`, `SchemaGenerator`,
/// `Serialize`, `json_schema` and [`text`] are to be in scope.
macro_rules! texts {
    ($($(#[$doc:meta])* $name:ident $(as $definition:literal)?: $schema:tt;)*) => {$(
        $(#[$doc])*
        #[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize)]
        #[serde(transparent)]
        pub struct $name(pub CompactString);

        impl $name {
            /// As it is written.
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl From<&str> for $name {
            fn from(text: &str) -> Self {
                Self(text.into())
            }
        }

        impl From<String> for $name {
            fn from(text: String) -> Self {
                Self(text.into())
            }
        }

        impl<'de> Deserialize<'de> for $name {
            fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                text(deserializer).map(Self)
            }
        }

        impl JsonSchema for $name {
            fn schema_name() -> std::borrow::Cow<'static, str> {
                definition!($name $($definition)?).into()
            }

            fn json_schema(_: &mut SchemaGenerator) -> Schema {
                json_schema!($schema)
            }
        }
    )*};
}
pub(crate) use texts;

texts! {
    /// The name of a cluster.
    Name: {
        "type": "string", "title": "a name", "minLength": 1, "maxLength": (limits::NAME_LENGTH), "examples": ["web"]
    };

    /// A `listen` URL.
    Listener: {
        "type": "string",
        "title": "a listener",
        "pattern": "^((tcp|udp|sctp)://([0-9]{1,3}(\\.[0-9]{1,3}){3}|\\[[0-9a-fA-F:.]+\\]):[0-9]{1,5}\
                    |fwmark6?://(0[xX][0-9a-fA-F]+|[0-9]+))$",
        "examples": ["tcp://10.0.0.13:80", "fwmark://10", "tcp://[fd00::13]:80"]
    };

    /// The address of a real server, with or without a port.
    Address: {
        "type": "string",
        "title": "a server address",
        "pattern": "^([0-9]{1,3}(\\.[0-9]{1,3}){3}(:[0-9]{1,5})?|[0-9a-fA-F:.]*:[0-9a-fA-F:.]*\
                    |\\[[0-9a-fA-F:.]+\\](:[0-9]{1,5})?)$",
        "examples": ["192.168.8.14", "192.168.8.14:8080", "[fd00::14]:8080"]
    };

    /// A scheduler by its name, or a module of the operator's own.
    SchedulerWord: {
        "type": "string",
        "title": "a scheduler",
        "anyOf": [
            { "enum": (SchedulerName::MAINLINE) },
            { "pattern": "^module:[A-Za-z0-9_.-]{1,15}$" }
        ],
        "examples": ["rr", "wlc", "module:mine"]
    };

    /// An IP address or a prefix.
    PrefixText: {
        "type": "string",
        "title": "an IP address or prefix",
        "pattern": "^[0-9a-fA-F:.]+(/[0-9]{1,3})?$",
        "examples": ["192.168.8.13", "192.168.8.0/24", "fd00::/64"]
    };

    /// The name of a network interface.
    Interface: {
        "type": "string",
        "title": "an interface",
        "minLength": 1,
        "maxLength": (link::LONGEST),
        "pattern": "^[^\\s/:*?\\[\"\\\\]+$",
        "examples": ["eth1"]
    };

    /// The address of a multicast group.
    Group: {
        "type": "string",
        "title": "a multicast group",
        "pattern": "^[0-9a-fA-F:.]+$",
        "examples": ["224.0.0.81", "ff02::81"]
    };
}

/// A value that is text or a number in the file.
macro_rules! scalars {
    ($($(#[$doc:meta])* $name:ident $(as $definition:literal)?: $schema:tt;)*) => {$(
        $(#[$doc])*
        #[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
        #[serde(transparent)]
        pub struct $name(pub Scalar);

        impl From<i64> for $name {
            fn from(number: i64) -> Self {
                Self(Scalar::Number(number))
            }
        }

        impl From<u32> for $name {
            fn from(number: u32) -> Self {
                Self(Scalar::Number(number.into()))
            }
        }

        impl From<&str> for $name {
            fn from(text: &str) -> Self {
                Self(Scalar::Text(text.into()))
            }
        }

        impl From<String> for $name {
            fn from(text: String) -> Self {
                Self(Scalar::Text(text))
            }
        }

        impl JsonSchema for $name {
            fn schema_name() -> std::borrow::Cow<'static, str> {
                definition!($name $($definition)?).into()
            }

            fn json_schema(_: &mut SchemaGenerator) -> Schema {
                json_schema!($schema)
            }
        }
    )*};
}
pub(super) use scalars;

scalars! {
    /// A duration: `N` (seconds), `Ns`, `Nm`, `Nh`, `Nd`.
    DurationText as "Duration": {
        "title": "a duration",
        "anyOf": [
            { "type": "integer", "minimum": (limits::DURATION.start()), "maximum": (limits::DURATION.end()) },
            { "type": "string", "pattern": "^0*[1-9][0-9]*[smhd]?$" }
        ],
        "examples": ["30s", "5m", 300]
    };

    /// A duration that may be 0: `0`, `N` (seconds), `Ns`, `Nm`, `Nh`, `Nd`.
    DrainText as "Drain": {
        "title": "a duration or 0",
        "anyOf": [
            { "type": "integer", "minimum": (limits::DRAIN.start()), "maximum": (limits::DRAIN.end()) },
            { "type": "string", "pattern": "^[0-9]+[smhd]?$" }
        ],
        "examples": ["5m", "90s", 0]
    };

    /// A firewall mark, decimal or `0x…`.
    MarkNumber: {
        "title": "a firewall mark",
        "anyOf": [
            { "type": "integer", "minimum": (limits::MARK.start()), "maximum": (limits::MARK.end()) },
            { "type": "string", "pattern": "^(0[xX]0*[1-9a-fA-F][0-9a-fA-F]{0,7}|0*[1-9][0-9]{0,9})$" }
        ],
        "examples": [10, "0x10"]
    };

    /// A netmask or a prefix length.
    Mask: {
        "title": "a netmask or prefix length",
        "anyOf": [
            { "type": "integer", "minimum": 0, "maximum": (Family::V6.bits()) },
            { "type": "string", "pattern": "^([0-9]{1,3}(\\.[0-9]{1,3}){3}|[0-9]{1,3})$" }
        ],
        "examples": ["255.255.255.0", 24]
    };

    /// A share or a number of services.
    MaxDeleteText as "MaxDelete": {
        "title": "a share or a number",
        "anyOf": [
            { "type": "integer", "minimum": 0, "maximum": (u32::MAX) },
            { "type": "string", "pattern": "^(100|[0-9]{1,2})%$" }
        ],
        "examples": ["50%", 3]
    };

    /// A share of the directors of a stage, or a number of them.
    ParallelText as "Parallel": {
        "title": "a number of directors or a share of the stage",
        "anyOf": [
            { "type": "integer", "minimum": 1, "maximum": 10000 },
            { "type": "string", "pattern": "^(100|[1-9][0-9]?)%$" }
        ],
        "examples": ["25%", 1]
    };

    /// A port or a range of ports.
    Port: {
        "title": "a port or a range of ports",
        "anyOf": [
            { "type": "integer", "minimum": (PortNumber::LEAST), "maximum": (PortNumber::MOST) },
            { "type": "string", "pattern": "^[0-9]{1,5}(-[0-9]{1,5})?$" }
        ],
        "examples": [80, "8000-8010"]
    };

    /// The value of a kernel setting.
    SysctlValue: {
        "title": "a whole number or text",
        "type": ["integer", "string"],
        "examples": [1, "4096 87380 6291456"]
    };
}

/// A whole number from `MIN` to `MAX`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Number<const MIN: u32, const MAX: u32>(u32);

/// A port.
pub type PortNumber = Number<1, { u16::MAX as u32 }>;

/// The share of new connections that a real server gets.
pub type Weight = Number<0, 2_147_483_647>;

/// A limit of connections.
pub type Limit = Number<0, 2_147_483_647>;

/// How many files the history keeps.
pub type KeptFiles = Number<0, 1_000>;

/// The length of a sync message.
pub type MessageLength = Number<1, { limits::LONGEST_SYNC_MESSAGE }>;

impl<const MIN: u32, const MAX: u32> Number<MIN, MAX> {
    /// The least number that is valid.
    pub const LEAST: u32 = MIN;
    /// The greatest number that is valid.
    pub const MOST: u32 = MAX;

    /// The number, if it is in the range.
    pub fn new(number: u32) -> Option<Self> {
        (MIN..=MAX).contains(&number).then_some(Self(number))
    }

    /// The number.
    pub fn get(self) -> u32 {
        self.0
    }
}

/// The least number: the version of the format, for one.
impl<const MIN: u32, const MAX: u32> Default for Number<MIN, MAX> {
    fn default() -> Self {
        Self(MIN)
    }
}

impl<const MIN: u32, const MAX: u32> Serialize for Number<MIN, MAX> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_u32(self.0)
    }
}

impl<'de, const MIN: u32, const MAX: u32> Deserialize<'de> for Number<MIN, MAX> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let number = u32::deserialize(deserializer)?;
        Self::new(number).ok_or_else(|| D::Error::custom(format!("expected a number from {MIN} to {MAX}")))
    }
}

impl<const MIN: u32, const MAX: u32> JsonSchema for Number<MIN, MAX> {
    fn inline_schema() -> bool {
        true
    }

    fn schema_name() -> std::borrow::Cow<'static, str> {
        format!("Number_{MIN}_{MAX}").into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        if MIN == MAX {
            return json_schema!({ "type": "integer", "title": MIN.to_string(), "const": MIN });
        }
        let title = format!("a number from {MIN} to {MAX}");
        json_schema!({ "type": "integer", "title": title, "minimum": MIN, "maximum": MAX })
    }
}

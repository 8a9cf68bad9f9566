//! Reads what may be written short or in full: a server, what a cluster listens on, and its checks.

use std::fmt;

use serde::Deserialize;
use serde::de::value::{MapAccessDeserializer, SeqAccessDeserializer};
use serde::de::{Deserializer, Error, MapAccess, SeqAccess, Visitor};

use super::check::{CheckEntry, CheckList, CheckUse, VerifyEntry, VerifyFile};
use super::document::Listen;
use super::server::{FullServer, ServerEntry};

// By hand and not `untagged`: an untagged enum copies every value before it looks at it, and a file may have 100,000
// servers.
impl<'de> Deserialize<'de> for ServerEntry {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct ServerVisitor;

        impl<'de> Visitor<'de> for ServerVisitor {
            type Value = ServerEntry;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("the address of a server, or a mapping with one")
            }

            fn visit_str<E: Error>(self, text: &str) -> Result<ServerEntry, E> {
                Ok(ServerEntry::Short(text.into()))
            }

            fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<ServerEntry, A::Error> {
                FullServer::deserialize(MapAccessDeserializer::new(map)).map(ServerEntry::Full)
            }
        }

        deserializer.deserialize_any(ServerVisitor)
    }
}

impl<'de> Deserialize<'de> for Listen {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct ListenVisitor;

        impl<'de> Visitor<'de> for ListenVisitor {
            type Value = Listen;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a `listen` URL or a list of them")
            }

            fn visit_str<E: Error>(self, text: &str) -> Result<Listen, E> {
                Ok(Listen::One(text.into()))
            }

            fn visit_seq<A: SeqAccess<'de>>(self, seq: A) -> Result<Listen, A::Error> {
                Vec::deserialize(SeqAccessDeserializer::new(seq)).map(Listen::Many)
            }
        }

        deserializer.deserialize_any(ListenVisitor)
    }
}

impl<'de> Deserialize<'de> for CheckUse {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct UseVisitor;

        impl<'de> Visitor<'de> for UseVisitor {
            type Value = CheckUse;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("the name of a check, or a mapping that describes one")
            }

            fn visit_str<E: Error>(self, name: &str) -> Result<CheckUse, E> {
                Ok(CheckUse::Name(name.into()))
            }

            fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<CheckUse, A::Error> {
                CheckEntry::deserialize(MapAccessDeserializer::new(map)).map(Box::new).map(CheckUse::Inline)
            }
        }

        deserializer.deserialize_any(UseVisitor)
    }
}

impl<'de> Deserialize<'de> for CheckList {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct ListVisitor;

        impl<'de> Visitor<'de> for ListVisitor {
            type Value = CheckList;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("the name of a check, a mapping that describes one, or a list of these")
            }

            fn visit_str<E: Error>(self, name: &str) -> Result<CheckList, E> {
                Ok(CheckList::One(CheckUse::Name(name.into())))
            }

            fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<CheckList, A::Error> {
                CheckUse::deserialize(MapAccessDeserializer::new(map)).map(CheckList::One)
            }

            fn visit_seq<A: SeqAccess<'de>>(self, seq: A) -> Result<CheckList, A::Error> {
                Vec::deserialize(SeqAccessDeserializer::new(seq)).map(CheckList::Many)
            }
        }

        deserializer.deserialize_any(ListVisitor)
    }
}

impl<'de> Deserialize<'de> for VerifyEntry {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct VerifyVisitor;

        impl<'de> Visitor<'de> for VerifyVisitor {
            type Value = VerifyEntry;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("`system`, `none`, or a mapping with `ca` or `name`")
            }

            fn visit_str<E: Error>(self, word: &str) -> Result<VerifyEntry, E> {
                Ok(VerifyEntry::Word(word.into()))
            }

            fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<VerifyEntry, A::Error> {
                VerifyFile::deserialize(MapAccessDeserializer::new(map)).map(VerifyEntry::By)
            }
        }

        deserializer.deserialize_any(VerifyVisitor)
    }
}

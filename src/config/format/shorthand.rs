//! Reads what may be written short or in full: a server, and what a cluster listens on.

use std::fmt;

use serde::Deserialize;
use serde::de::value::{MapAccessDeserializer, SeqAccessDeserializer};
use serde::de::{Deserializer, Error, MapAccess, SeqAccess, Visitor};

use super::document::{FullServer, Listen, ServerEntry};

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

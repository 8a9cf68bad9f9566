//! Reads a whole file and resolves each of its clusters as soon as it is read: of the clusters of a large file, none is
//! held beside what becomes of it.

use std::fmt;

use indexmap::IndexMap;
use serde::Deserialize;
use serde::de::value::{MapAccessDeserializer, StrDeserializer};
use serde::de::{DeserializeSeed, Deserializer, Error, IntoDeserializer, MapAccess, SeqAccess, Visitor};

use super::Resolution;
use crate::config::format::document::{
    Cluster, Defaults, Mark, Number, Policy, SyncDaemon, SysctlValue, Timeouts,
};
use crate::config::format::given::{list, present, unique};
use crate::config::format::place::Findings;
use crate::model::Desired;

/// The key that most of a file lies under.
const CLUSTERS: &str = "clusters";

/// A file, read in the order of its keys.
pub(in crate::config) enum Whole {
    /// What it asks for, and what is wrong with that, if anything
    Resolved(Box<Desired>, Findings),
    /// What the clusters depend on came behind them: the file is to be read as a [`Document`](super::Document).
    TooEarly,
}

/// The keys of a [`Document`](super::Document) but the clusters, as far as they stand before these, or behind them.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Part {
    #[serde(default, deserialize_with = "present")]
    version: Option<Number<1, 1>>,
    #[serde(default, deserialize_with = "unique")]
    sysctls: IndexMap<String, SysctlValue>,
    #[serde(default, deserialize_with = "list")]
    marks: Vec<Mark>,
    #[serde(default, deserialize_with = "present")]
    timeouts: Option<Timeouts>,
    #[serde(default, deserialize_with = "list")]
    sync: Vec<SyncDaemon>,
    #[serde(default, deserialize_with = "present")]
    defaults: Option<Defaults>,
    #[serde(default, deserialize_with = "present")]
    policy: Option<Policy>,
}

impl<'de> Deserialize<'de> for Whole {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct WholeVisitor;

        impl<'de> Visitor<'de> for WholeVisitor {
            type Value = Whole;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a mapping")
            }

            fn visit_map<A: MapAccess<'de>>(self, entries: A) -> Result<Whole, A::Error> {
                let mut keys = Keys { entries, seen: Vec::new(), is_at_clusters: false };
                let before = keys.part()?;
                if !keys.is_at_clusters {
                    return Err(A::Error::missing_field(CLUSTERS));
                }
                let has_sync = !before.sync.is_empty();
                let mut resolution = Resolution::begin(&before.marks, before.defaults, has_sync);
                keys.entries.next_value_seed(EachCluster(&mut resolution))?;
                let behind = keys.part()?;
                if before.version.or(behind.version).is_none() {
                    return Err(A::Error::missing_field("version"));
                }
                if !(behind.marks.is_empty() && behind.sync.is_empty() && behind.defaults.is_none()) {
                    return Ok(Whole::TooEarly);
                }
                // No key stands twice, so that one of the two is empty.
                let mut sysctls = before.sysctls;
                sysctls.extend(behind.sysctls);
                let (timeouts, policy) =
                    (before.timeouts.or(behind.timeouts), before.policy.or(behind.policy));
                let (desired, findings) =
                    resolution.end(&sysctls, timeouts.as_ref(), &before.sync, policy.as_ref());
                Ok(Whole::Resolved(desired.into(), findings))
            }
        }

        deserializer.deserialize_any(WholeVisitor)
    }
}

/// The keys of the file, one after another; they end before the clusters, and begin again behind them.
struct Keys<A> {
    entries: A,
    seen: Vec<String>,
    is_at_clusters: bool,
}

impl<'de, A: MapAccess<'de>> Keys<A> {
    fn part(&mut self) -> Result<Part, A::Error> {
        self.is_at_clusters = false;
        Part::deserialize(MapAccessDeserializer::new(self))
    }
}

impl<'de, A: MapAccess<'de>> MapAccess<'de> for &mut Keys<A> {
    type Error = A::Error;

    fn next_key_seed<K: DeserializeSeed<'de>>(&mut self, seed: K) -> Result<Option<K::Value>, A::Error> {
        let Some(key) = self.entries.next_key::<String>()? else { return Ok(None) };
        if self.seen.contains(&key) {
            return Err(A::Error::custom(format!("`{key}` stands twice")));
        }
        self.is_at_clusters = key == CLUSTERS;
        let word: StrDeserializer<'_, A::Error> = key.as_str().into_deserializer();
        let found = if self.is_at_clusters { None } else { Some(seed.deserialize(word)?) };
        self.seen.push(key);
        Ok(found)
    }

    fn next_value_seed<V: DeserializeSeed<'de>>(&mut self, seed: V) -> Result<V::Value, A::Error> {
        self.entries.next_value_seed(seed)
    }
}

/// Resolves each cluster of the list.
struct EachCluster<'a>(&'a mut Resolution);

impl<'de> DeserializeSeed<'de> for EachCluster<'_> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for EachCluster<'_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a list")
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut clusters: A) -> Result<(), A::Error> {
        while let Some(cluster) = clusters.next_element::<Cluster>()? {
            self.0.add(&cluster);
        }
        Ok(())
    }
}

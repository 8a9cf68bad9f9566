//! Reads a whole file and resolves each of its clusters as soon as it is read: of the clusters of a large file, none is
//! held beside what becomes of it.

use std::fmt;

use indexmap::IndexMap;
use serde::Deserialize;
use serde::de::value::{MapAccessDeserializer, StrDeserializer};
use serde::de::{DeserializeSeed, Deserializer, Error, IntoDeserializer, MapAccess, SeqAccess, Visitor};

use super::format::document::{
    Cluster, Defaults, Document, Mark, Number, Policy, SyncDaemon, SysctlValue, Timeouts,
};
use super::format::given::{list, present, unique};
use super::format::place::Findings;
use super::resolve::{Resolution, resolve};
use super::stream::{self, Refusal};
use crate::model::Desired;

/// The key that most of a file lies under.
const CLUSTERS: &str = "clusters";

/// What a file asks for, and what is wrong with that, if anything.
///
/// # Errors
/// Where the text is no document.
pub(super) fn read(text: &str) -> Result<(Desired, Findings), Refusal> {
    match stream::read(text)? {
        Whole::Resolved(desired, findings) => Ok((*desired, findings)),
        Whole::TooEarly => stream::read::<Document>(text).map(resolve),
    }
}

/// A file, read in the order of its keys.
enum Whole {
    Resolved(Box<Desired>, Findings),
    /// What the clusters depend on came behind them.
    TooEarly,
}

/// The keys of a [`Document`] but the clusters, as far as they stand before these, or behind them.
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

#[cfg(test)]
mod tests {
    use super::*;

    /// The parts of a file with everything in it.
    const PARTS: [&str; 8] = [
        "version: 1\n",
        "sysctls: { net.ipv4.ip_forward: 1 }\n",
        "marks: [{ mark: 10, match: [{ protocol: tcp, address: 10.0.0.1, ports: [80] }] }]\n",
        "timeouts: { tcp: 15m }\n",
        "sync: [{ role: master, interface: eth0 }]\n",
        "defaults: { scheduler: rr, forward: nat }\n",
        "clusters: [{ name: web, listen: fwmark://10, servers: [192.168.8.14] }]\n",
        "policy: { prune: never }\n",
    ];

    #[test]
    fn the_order_of_the_keys_means_nothing() {
        let (expected, findings) = resolve(stream::read::<Document>(&PARTS.concat()).unwrap());
        assert_eq!(findings.list, []);
        for turned in 0..PARTS.len() {
            let mut parts = PARTS;
            parts.rotate_left(turned);
            let text = parts.concat();
            let (desired, findings) = read(&text).unwrap();
            assert_eq!((desired, findings.list), (expected.clone(), vec![]), "{text}");
        }
    }

    #[test]
    fn a_part_that_is_missing_twice_there_or_unknown_is_told() {
        let message = |text: &str| read(text).map(|_| ()).unwrap_err().message;
        assert_eq!(message("version: 1\n"), "missing field `clusters`");
        assert_eq!(message("clusters: []\n"), "missing field `version`");
        for part in PARTS {
            let key = part.split(':').next().unwrap();
            for text in [format!("{part}{}", PARTS.concat()), format!("{}{part}", PARTS.concat())] {
                assert_eq!(message(&text), format!("`{key}` stands twice"), "{text}");
            }
        }
        assert!(message("version: 1\nclusters: []\nclster: 1\n").starts_with("unknown field `clster`"));
        assert!(message("versoin: 1\nclusters: []\n").starts_with("unknown field `versoin`"));
    }
}

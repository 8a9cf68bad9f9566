//! Defines what lbd records between two passes, and its form on disk.

use std::borrow::Cow;
use std::fmt;
use std::sync::Arc;

use serde::de::{Error as _, MapAccess, Visitor};
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::files::Origin;
use crate::files::seal::{self, SealError};
use crate::model::{Desired, ServiceKey, Spared, SyncLink, SyncRole, Sysctls, Timeouts, sysctl};
use crate::ownership::{Changed, Owned};

/// What lbd records between two passes.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Record {
    /// The services that lbd owns in this boot and network namespace; none in any other
    pub owned: Arc<Owned>,
    /// What `teardown` has to restore in this boot and network namespace; nothing in any other
    pub changed: Changed,
    /// The services of the last verified state, also of an earlier boot
    pub verified: Arc<[ServiceKey]>,
    /// The services whose deletion a guard refused in this boot and this network namespace
    pub spared: Spared,
}

/// Whether this is the form on disk of a record that was written in `origin`.
pub(super) fn is_from(text: &[u8], origin: &Origin) -> bool {
    let its: Result<Origin, _> = serde_json::from_slice(text);
    seal::check_json(text, VERSION).is_ok() && its.is_ok_and(|its| its.is(origin))
}

/// The newest version of the record. Version 1 had no checksum.
pub(super) const VERSION: u32 = 2;

impl Record {
    /// Reads the form on disk, for a process in `origin`; and whether it has all of that origin, and need not be written again.
    ///
    /// # Errors
    /// Where it is corrupt, or a newer lbd wrote it.
    pub(super) fn read(text: &[u8], origin: &Origin) -> Result<(Self, bool), SealError> {
        seal::check_json(text, VERSION)?;
        let spoilt = |error: String| SealError::Corrupt(format!("not a record of lbd ({error})"));
        let OnDisk { origin: its, owned, changed, verified, spared } =
            serde_json::from_slice(text).map_err(|error| spoilt(error.to_string()))?;
        if let Some(name) =
            changed.sysctls.iter().find_map(|(name, value)| (!is_restorable(name, value)).then_some(name))
        {
            return Err(spoilt(format!("{name:?} is not a kernel setting that lbd sets")));
        }
        let verified = verified.0.into_owned().into();
        if !its.is(origin) {
            // Only what comes to be owned here is written for this origin.
            return Ok((Self { verified, ..Self::default() }, true));
        }
        let record = Self {
            owned: owned.0.into_owned().into(),
            changed: changed.into(),
            verified,
            spared: spared.into(),
        };
        Ok((record, its == *origin))
    }

    /// The form on disk.
    pub(super) fn on_disk(&self, origin: &Origin) -> impl Serialize {
        let Self { owned, changed, verified, spared } = self;
        OnDisk {
            origin: origin.clone(),
            owned: OwnedOnDisk(Cow::Borrowed(owned)),
            changed: changed.into(),
            verified: VerifiedOnDisk(Cow::Borrowed(verified)),
            spared: spared.into(),
        }
    }

    /// Rebuilds a lost record from the file that was verified last: its services, marks and sync daemons. The kernel settings and
    /// timeouts before lbd changed them are unknown then.
    pub fn rebuilt(verified: &Desired) -> Self {
        let Desired { state, clusters, .. } = verified;
        Self {
            owned: Arc::clone(clusters),
            changed: Changed {
                sync: state.sync.iter().map(|daemon| daemon.role).collect(),
                filter: state.needs_filter(),
                ..Changed::default()
            },
            verified: state.services.keys().copied().collect(),
            spared: Spared::default(),
        }
    }
}

/// Whether a recorded kernel setting may be restored: a forged record must not make root set anything that no desired file could
/// set.
fn is_restorable(name: &str, value: &str) -> bool {
    sysctl::is_name(name) && sysctl::is_value(value)
}

/// The record on disk, without its version and checksum.
#[derive(Serialize, Deserialize)]
struct OnDisk<'a> {
    #[serde(flatten)]
    origin: Origin,
    owned: OwnedOnDisk<'a>,
    #[serde(default)]
    changed: ChangedOnDisk,
    verified: VerifiedOnDisk<'a>,
    #[serde(default, skip_serializing_if = "SparedOnDisk::is_empty")]
    spared: SparedOnDisk,
}

/// The services that are owned, each with its cluster.
struct OwnedOnDisk<'a>(Cow<'a, Owned>);

impl Serialize for OwnedOnDisk<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_map(self.0.iter().map(|(service, cluster)| (KeyOnDisk(*service), &**cluster)))
    }
}

impl<'de> Deserialize<'de> for OwnedOnDisk<'_> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Entries;
        impl<'de> Visitor<'de> for Entries {
            type Value = Owned;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("services with their clusters")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut entries: A) -> Result<Owned, A::Error> {
                let mut owned = Owned::default();
                while let Some((KeyOnDisk(service), BorrowedText(cluster))) = entries.next_entry()? {
                    owned.insert(service, cluster.into());
                }
                Ok(owned)
            }
        }
        Ok(Self(Cow::Owned(deserializer.deserialize_map(Entries)?)))
    }
}

/// The services that were verified; borrowed, since there can be a hundred thousand.
struct VerifiedOnDisk<'a>(Cow<'a, [ServiceKey]>);

impl Serialize for VerifiedOnDisk<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_seq(self.0.iter().copied().map(KeyOnDisk))
    }
}

impl<'de> Deserialize<'de> for VerifiedOnDisk<'_> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let keys: Vec<KeyOnDisk> = Deserialize::deserialize(deserializer)?;
        Ok(Self(keys.into_iter().map(|KeyOnDisk(service)| service).collect()))
    }
}

/// A service by its URL.
struct KeyOnDisk(ServiceKey);

/// A text, borrowed from the file where it has no escapes.
#[derive(Deserialize)]
struct BorrowedText<'a>(#[serde(borrow)] Cow<'a, str>);

impl Serialize for KeyOnDisk {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&self.0.to_string())
    }
}

impl<'de> Deserialize<'de> for KeyOnDisk {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let BorrowedText(url) = Deserialize::deserialize(deserializer)?;
        url.parse().map(Self).map_err(D::Error::custom)
    }
}

/// The services whose deletion was refused.
#[derive(Default, Serialize, Deserialize)]
struct SparedOnDisk {
    services: Vec<KeyOnDisk>,
    of: usize,
}

impl SparedOnDisk {
    fn is_empty(&self) -> bool {
        self.services.is_empty()
    }
}

impl From<&Spared> for SparedOnDisk {
    fn from(Spared { services, of }: &Spared) -> Self {
        Self { services: services.iter().copied().map(KeyOnDisk).collect(), of: *of }
    }
}

impl From<SparedOnDisk> for Spared {
    fn from(SparedOnDisk { services, of }: SparedOnDisk) -> Self {
        Self { services: services.into_iter().map(|KeyOnDisk(service)| service).collect(), of }
    }
}

#[derive(Default, Serialize, Deserialize)]
#[serde(default)]
struct ChangedOnDisk {
    sysctls: Sysctls,
    timeouts: [Option<u32>; 3],
    sync: Vec<String>,
    /// The name and the index of the interface on which the sync master was started
    #[serde(skip_serializing_if = "Option::is_none")]
    master_link: Option<(String, u32)>,
    filter: bool,
}

impl From<&Changed> for ChangedOnDisk {
    fn from(Changed { sysctls, timeouts, sync, master_link, filter }: &Changed) -> Self {
        let Timeouts { tcp, tcp_fin, udp } = *timeouts;
        Self {
            sysctls: sysctls.clone(),
            timeouts: [tcp, tcp_fin, udp],
            sync: sync.iter().map(ToString::to_string).collect(),
            master_link: master_link.as_ref().map(|link| (link.interface.clone(), link.index)),
            filter: *filter,
        }
    }
}

impl From<ChangedOnDisk> for Changed {
    fn from(changed: ChangedOnDisk) -> Self {
        let ChangedOnDisk { sysctls, timeouts: [tcp, tcp_fin, udp], sync, master_link, filter } = changed;
        let role = |word: &String| {
            [SyncRole::Master, SyncRole::Backup].into_iter().find(|role| role.to_string() == *word)
        };
        Self {
            sysctls,
            timeouts: Timeouts { tcp, tcp_fin, udp },
            sync: sync.iter().filter_map(role).collect(),
            master_link: master_link.map(|(interface, index)| SyncLink { interface, index }),
            filter,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    // A namespace that was deleted and made again has its inode number again: what another program put there was deleted as
    // lbd's own.
    #[test]
    fn a_namespace_with_the_same_inode_number_and_another_cookie_is_another_one() {
        let at = |cookie| Origin { boot: "this".into(), namespace: "4:4026532281".into(), cookie };
        let owned = Record {
            owned: Arc::new([("tcp://10.0.0.13:80".parse().unwrap(), "web".into())].into_iter().collect()),
            ..Record::default()
        };
        let read = |written: &Origin, here: &Origin| {
            let text = seal::json(VERSION, &owned.on_disk(written)).unwrap();
            Record::read(&text, here).unwrap()
        };
        assert_eq!(read(&at(Some(7)), &at(Some(7))), (owned.clone(), true));
        assert_eq!(read(&at(Some(7)), &at(Some(8))), (Record::default(), true));
        // An older record has no cookie, nor has a kernel before 5.14: the inode number has to do.
        assert_eq!(read(&at(None), &at(Some(7))), (owned.clone(), false));
        assert_eq!(read(&at(None), &at(None)), (owned.clone(), true));
        let another = Origin { namespace: "4:1".into(), ..at(None) };
        assert_eq!(read(&another, &at(Some(7))), (Record::default(), true));
    }
}

//! Defines the boot and the network namespace from which a file comes: what is written in one counts in no other.

use std::fs;
use std::io;
use std::os::unix::fs::MetadataExt;

use serde::{Deserialize, Serialize};

/// A boot and a network namespace: the kernel's table ends with either.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Origin {
    /// The number of the boot
    pub boot: String,
    /// Device and inode number of the namespace: the number is given again when the namespace is gone
    pub namespace: String,
    /// Its cookie, which is not given again; none where the kernel, or the older lbd that wrote it, has none
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cookie: Option<u64>,
}

impl Origin {
    /// This boot, and the network namespace of this thread, which has this cookie.
    ///
    /// # Errors
    /// Where `/proc` does not show them.
    pub fn here(cookie: Option<u64>) -> io::Result<Self> {
        let boot = fs::read_to_string("/proc/sys/kernel/random/boot_id")?.trim().to_owned();
        // That of the thread: threads of one process can be in different namespaces.
        let namespace = fs::metadata("/proc/thread-self/ns/net")?;
        let namespace = format!("{}:{}", namespace.dev(), namespace.ino());
        Ok(Self { boot, namespace, cookie })
    }

    /// Whether both are the same boot and network namespace. Where one of them has no cookie, the inode number has to do.
    pub fn is(&self, other: &Self) -> bool {
        let Self { boot, namespace, cookie } = self;
        let is_same_cookie = cookie.zip(other.cookie).is_none_or(|(one, other)| one == other);
        (boot, namespace) == (&other.boot, &other.namespace) && is_same_cookie
    }
}

//! Finds out on which file systems inotify does not see every change.

use std::fs;
use std::path::Path;

/// File systems that are also changed from outside (by other hosts, the host of a virtual machine, a program), beside all
/// `fuse.*`. inotify reports only changes through this kernel; on hostfs (Linux 6.1) not even those.
const CHANGED_ELSEWHERE: [&str; 24] = [
    "9p",
    "afs",
    "beegfs",
    "ceph",
    "cifs",
    "coda",
    "davfs",
    "fuse",
    "fuseblk",
    "gfs2",
    "glusterfs",
    "gpfs",
    "hostfs",
    "lustre",
    "ncpfs",
    "nfs",
    "nfs4",
    "ocfs2",
    "orangefs",
    "prl_fs",
    "smb3",
    "smbfs",
    "vboxsf",
    "virtiofs",
];

/// What is mounted, as this process sees it.
pub(super) struct Mounts {
    table: String,
}

/// One line of the table.
struct Mount<'a> {
    device: &'a str,
    point: &'a str,
    kind: &'a str,
}

impl Mounts {
    /// Reads what is mounted. Where `/proc` cannot be read, every file system counts as local.
    pub(super) fn read() -> Self {
        Self { table: fs::read_to_string("/proc/self/mountinfo").unwrap_or_default() }
    }

    fn iter(&self) -> impl Iterator<Item = Mount<'_>> {
        self.table.lines().filter_map(|line| {
            let (mount, source) = line.split_once(" - ")?;
            let mut fields = mount.split(' ');
            let (device, point) = (fields.nth(2)?, fields.nth(1)?);
            Some(Mount { device, point, kind: source.split(' ').next()? })
        })
    }

    /// The kind of the file system with this device number, if inotify does not see all its changes. (For btrfs the
    /// table has other numbers than the files: it is not found, and counts as local.)
    pub(super) fn changed_elsewhere(&self, device: u64) -> Option<&str> {
        let device = format!("{}:{}", libc::major(device), libc::minor(device));
        let kind = self.iter().find(|mount| mount.device == device)?.kind;
        (CHANGED_ELSEWHERE.contains(&kind) || kind.starts_with("fuse.")).then_some(kind)
    }

    /// Whether something is mounted on just this path.
    pub(super) fn has(&self, path: &Path) -> bool {
        let escaped =
            path.to_string_lossy().replace('\\', "\\134").replace(' ', "\\040").replace('\t', "\\011");
        self.iter().any(|mount| mount.point == escaped)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TABLE: &str = "\
22 1 254:0 / / rw,relatime shared:1 - ext4 /dev/root rw
40 22 0:35 / /mnt/nfs rw,relatime shared:9 master:2 - nfs4 10.0.0.1:/ rw
41 22 0:36 / /mnt/ssh rw - fuse.sshfs me@10.0.0.1: rw
42 22 254:0 /var/x /etc/lbd/the\\040file.yaml rw,relatime - ext4 /dev/root rw
";

    #[test]
    fn network_file_systems_are_distinguished_from_local_ones() {
        let mounts = Mounts { table: TABLE.to_owned() };
        let kinds = [(254, 0), (0, 35), (0, 36), (0, 99)]
            .map(|(major, minor)| mounts.changed_elsewhere(libc::makedev(major, minor)));
        assert_eq!(kinds, [None, Some("nfs4"), Some("fuse.sshfs"), None]);
    }

    #[test]
    fn a_mount_point_is_found_by_its_path() {
        let mounts = Mounts { table: TABLE.to_owned() };
        assert!(mounts.has(Path::new("/etc/lbd/the file.yaml")));
        assert!(!mounts.has(Path::new("/etc/lbd")));
    }

    #[test]
    fn the_table_of_this_machine_can_be_read() {
        assert!(Mounts::read().has(Path::new("/")));
    }
}

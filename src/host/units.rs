//! Finds other managers of IPVS by the control groups of their units, where the processes of other users are hidden.
//!
//! Under `ProtectProc=invisible` the daemon sees no process of root's in /proc. Which processes a unit of the system manager has is still
//! seen in its control group, which only root fills; and /proc/net/netlink lists the netlink sockets of the own network namespace, whose
//! port numbers have the numbers of their processes in them: keepalived has at least one such socket.

use std::path::Path;

use super::Roots;
use super::keepalived::{Budget, Configuration, configuration_of_unit};
use super::manager::Manager;
use crate::error_chain::ErrorChain;
use crate::files::read_regular;

/// The most that is read of a list of processes or of sockets, in bytes.
const LIST: u64 = 4 << 20;

/// Where control groups are: version 2; version 1, whose hierarchy of systemd is a directory of its own; both side by side.
const HIERARCHIES: [&str; 3] = ["", "systemd", "unified"];

/// Whether the processes of other users are hidden: the first process belongs to root, and everybody sees it else.
pub(super) fn are_processes_hidden(roots: &Roots) -> bool {
    !roots.proc.join("1").exists()
}

/// Whether this is the first network namespace. Its processes cannot be compared with the first one where that is hidden; but the
/// kernel has this setting in the first namespace only (seen on 6.1 and 6.12).
pub(super) fn is_first_namespace(roots: &Roots) -> bool {
    roots.proc.join("sys/net/core/netdev_max_backlog").exists()
}

/// The managers whose units have processes; what cannot be seen is named in `unknown`.
pub(super) fn look(roots: &Roots, unknown: &mut Vec<String>) -> Vec<Manager> {
    unknown.push(
        "the processes of other users are hidden from this one: other managers of IPVS are looked for in the units \
         keepalived.service and ldirectord.service only"
            .to_owned(),
    );
    let mut managers = Vec::new();
    let of_keepalived = processes(roots, "keepalived.service");
    let users = if of_keepalived.is_empty() { Vec::new() } else { netlink_users(roots) };
    if let Some(process) = of_keepalived.into_iter().find(|process| users.contains(process)) {
        let Configuration { file, has_virtual_servers } =
            configuration_of_unit(&roots.etc, roots.owner, &mut Budget::default());
        let is_manager = !matches!(has_virtual_servers, Ok(false));
        let unread = has_virtual_servers.err().map(|error| ErrorChain(&error).to_string());
        managers.extend(is_manager.then_some(Manager::Keepalived { process, file, unread }));
    }
    // It has no netlink socket, so that its network namespace is not known.
    let of_ldirectord = processes(roots, "ldirectord.service");
    managers.extend(of_ldirectord.first().map(|process| Manager::Ldirectord { process: *process }));
    managers
}

/// The processes of a unit of the system manager.
fn processes(roots: &Roots, unit: &str) -> Vec<u32> {
    let of = |hierarchy: &&str| {
        let group = roots.cgroup.join(hierarchy).join("system.slice").join(unit);
        numbers(&group.join("cgroup.procs"), 0)
    };
    HIERARCHIES.iter().map(of).find(|processes| !processes.is_empty()).unwrap_or_default()
}

/// The processes that seem to have netlink sockets in this network namespace.
fn netlink_users(roots: &Roots) -> Vec<u32> {
    /// The kernel takes the number of the process as the number of its first port. libnl, which keepalived uses for IPVS, puts the number
    /// of the socket above it.
    const PROCESS: u32 = (1 << 22) - 1;
    numbers(&roots.proc.join("net/netlink"), 2).into_iter().map(|port| port & PROCESS).collect()
}

/// The numbers in one column of a file of the kernel's; none where it is not there.
fn numbers(file: &Path, column: usize) -> Vec<u32> {
    let text = read_regular(file, LIST).unwrap_or_default();
    let text = String::from_utf8_lossy(&text);
    text.lines().filter_map(|line| line.split_whitespace().nth(column)?.parse().ok()).collect()
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::os::unix::fs::MetadataExt;

    use super::*;

    const SOCKETS: &str = "\
sk               Eth Pid        Groups   Rmem     Wmem     Dump  Locks    Drops    Inode
00000000834ae558 0   0          00000000 0        0        0     2        0        1986572
000000003d95e10b 0   763        00000551 0        0        0     2        0        1986578
00000000420b7687 16  985662150  00000000 0        0        0     2        0        1986580
";

    /// A host whose processes are hidden.
    struct Host(tempfile::TempDir);

    impl Host {
        fn new() -> Self {
            let host = Self(tempfile::tempdir().unwrap());
            host.write("proc/net/netlink", SOCKETS);
            host
        }

        fn write(&self, path: &str, text: &str) {
            let path = self.0.path().join(path);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, text).unwrap();
        }

        fn look(&self) -> Vec<Manager> {
            let root = self.0.path();
            let owner = fs::metadata(root).unwrap().uid();
            let mut unknown = Vec::new();
            let [proc, etc, cgroup] = ["proc", "etc", "cgroup"].map(|name| root.join(name));
            let managers = super::super::managers::look(
                &Roots { proc, etc, cgroup, owner, ..Roots::default() },
                &mut unknown,
            );
            assert_eq!(unknown.len(), 1, "{unknown:?}");
            managers
        }
    }

    fn keepalived(unread: Option<&str>) -> Manager {
        let file = "/etc/keepalived/keepalived.conf".into();
        Manager::Keepalived { process: 763, file, unread: unread.map(str::to_owned) }
    }

    #[test]
    fn keepalived_is_found_by_its_unit_and_its_sockets_of_this_namespace() {
        for hierarchy in ["cgroup", "cgroup/systemd", "cgroup/unified"] {
            let host = Host::new();
            let processes = format!("{hierarchy}/system.slice/keepalived.service/cgroup.procs");
            assert_eq!(host.look(), []);
            // In another network namespace.
            host.write(&processes, "761\n762\n");
            assert_eq!(host.look(), []);
            // It has only the socket for IPVS, which libnl has opened.
            host.write(&processes, "708\n710\n");
            assert!(matches!(host.look()[..], [Manager::Keepalived { process: 710, .. }]));
            host.write(&processes, "762\n763\n");
            assert_eq!(host.look(), [keepalived(Some("No such file or directory (os error 2)"))]);
            host.write("etc/keepalived/keepalived.conf", "vrrp_instance a {\n}\n");
            assert_eq!(host.look(), []);
            host.write("etc/keepalived/keepalived.conf", "virtual_server 10.0.0.1 80 {\n}\n");
            assert_eq!(host.look(), [keepalived(None)]);
        }
    }

    #[test]
    fn ldirectord_is_found_by_its_unit_and_rules_at_boot_in_the_first_namespace() {
        let host = Host::new();
        host.write("cgroup/system.slice/ldirectord.service/cgroup.procs", "20\n21\n");
        host.write("etc/default/ipvsadm", "AUTO=\"true\"\n");
        let ldirectord = Manager::Ldirectord { process: 20 };
        assert_eq!(host.look(), std::slice::from_ref(&ldirectord));
        host.write("proc/sys/net/core/netdev_max_backlog", "1000\n");
        assert_eq!(host.look(), [ldirectord, Manager::IpvsadmAtBoot { file: "/etc/default/ipvsadm".into() }]);
    }
}

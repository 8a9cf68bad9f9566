//! Looks for other programs that manage IPVS in this network namespace: keepalived, kube-proxy, ldirectord, ipvsadm at boot.
//!
//! Anybody can start a process by such a name. What it says of itself is read only where it is root's.

use std::fs;
use std::io;
use std::os::unix::ffi::OsStringExt;
use std::path::{Path, PathBuf};

use super::keepalived::{Budget, Configuration, configuration};
use super::manager::Manager;
use super::process::{self, Process};
use super::{Roots, units};
use crate::error_chain::ErrorChain;
use crate::files::read_regular;

/// Looks for them; what cannot be seen is named in `unknown`.
pub(super) fn look(roots: &Roots, unknown: &mut Vec<String>) -> Vec<Manager> {
    let (mut managers, is_first_namespace) = if units::are_processes_hidden(roots) {
        (units::look(roots, unknown), units::is_first_namespace(roots))
    } else {
        by_process(roots, unknown)
    };
    // What happens at boot happens in the first network namespace.
    if is_first_namespace {
        managers.extend(ipvsadm_at_boot(&roots.etc).map(|file| Manager::IpvsadmAtBoot { file }));
    }
    managers
}

/// Looks at the processes, and whether the first one is in this network namespace. One that is not trusted is named in `unknown`, once.
fn by_process(roots: &Roots, unknown: &mut Vec<String>) -> (Vec<Manager>, bool) {
    let (mut managers, mut budget) = (Vec::new(), Budget::default());
    let own = namespace(&roots.proc.join("thread-self"));
    let is_here = |other: io::Result<Vec<u8>>| match (&own, other) {
        (Ok(own), Ok(other)) => *own == other,
        // It has ended.
        (_, Err(error)) if error.kind() == io::ErrorKind::NotFound => false,
        // Whoever may not see it takes it for his own.
        _ => true,
    };
    let mut processes: Vec<u32> = fs::read_dir(&roots.proc)
        .into_iter()
        .flatten()
        .filter_map(|entry| entry.ok()?.file_name().to_str()?.parse().ok())
        .collect();
    processes.sort_unstable();
    let of_the_kernel = kernel_threads(&roots.proc);
    processes.retain(|process| of_the_kernel.binary_search(process).is_err());
    let mut seen = Vec::new();
    let mut stranger = None;
    for number in processes {
        let directory = roots.proc.join(number.to_string());
        let Ok(name) = process::name(&directory) else { continue };
        let Some(kind) = kind(&name).filter(|kind| !seen.contains(kind)) else { continue };
        // From here on it is this process, and not one that gets its number next.
        let Ok(process) = Process::open(directory) else { continue };
        if !is_here(process.namespace()) {
            continue;
        }
        if !process.is_wholly_of(roots.owner) {
            stranger = stranger.or_else(|| Some((kind, number, process.owner().ok()?)));
            continue;
        }
        let manager = match kind {
            "keepalived" => {
                let Configuration { file, has_virtual_servers } =
                    configuration(&process, roots.owner, &mut budget);
                let is_manager = !matches!(has_virtual_servers, Ok(false));
                let unread = has_virtual_servers.err().map(|error| ErrorChain(&error).to_string());
                is_manager.then_some(Manager::Keepalived { process: number, file, unread })
            }
            "kube-proxy" => schedules_by_ipvs(&process).then_some(Manager::KubeProxy { process: number }),
            _ => Some(Manager::Ldirectord { process: number }),
        };
        // It may have become another by now.
        let is_still = || {
            process.is_wholly_of(roots.owner)
                && process.name().is_ok_and(|name| self::kind(&name) == Some(kind))
        };
        if let Some(manager) = manager.filter(|_| is_still()) {
            seen.push(kind);
            managers.push(manager);
        }
    }
    if let Some((kind, number, owner)) = stranger {
        unknown.push(format!(
            "{kind} (process {number}) is not looked at, since it runs as uid {owner}: what only root may do is believed only \
             of root's processes"
        ));
    }
    (managers, is_here(namespace(&roots.proc.join("1"))))
}

/// Which manager a process is by its name. ldirectord adds its configuration to that; keepalived's children are named after
/// it.
fn kind(name: &[u8]) -> Option<&'static str> {
    ["keepalived", "kube-proxy", "ldirectord"].into_iter().find(|kind| name.starts_with(kind.as_bytes()))
}

fn namespace(process: &Path) -> io::Result<Vec<u8>> {
    Ok(fs::read_link(process.join("ns/net"))?.into_os_string().into_vec())
}

/// The processes that are threads of the kernel, in order: the children of kthreadd. To look at each of them takes longer
/// than to look at everything else.
fn kernel_threads(proc: &Path) -> Vec<u32> {
    let kthreadd = proc.join("2");
    if !process::name(&kthreadd).is_ok_and(|name| name.starts_with(b"kthreadd\n")) {
        return Vec::new(); // a PID namespace of its own
    }
    let children = fs::read_to_string(kthreadd.join("task/2/children")).unwrap_or_default();
    let mut threads: Vec<u32> =
        children.split_whitespace().filter_map(|number| number.parse().ok()).collect();
    threads.sort_unstable();
    threads
}

/// kube-proxy leaves IPVS alone in its other modes, where it was told of them by an argument.
fn schedules_by_ipvs(process: &Process) -> bool {
    let mode = |word: &String| word.strip_prefix("--proxy-mode=").map(str::to_owned);
    process.arguments().iter().find_map(mode).is_none_or(|mode| mode == "ipvs")
}

/// The file that says that ipvsadm puts back rules of its own at boot, if one does.
fn ipvsadm_at_boot(etc: &Path) -> Option<PathBuf> {
    let unit = etc.join("systemd/system");
    let masked = unit.join("ipvsadm.service");
    if fs::read_link(masked).is_ok_and(|target| target == Path::new("/dev/null")) {
        return None;
    }
    // Debian: a start script that asks this file.
    if let Ok(bytes) = read_regular(&etc.join("default/ipvsadm"), 64 << 10) {
        let text = String::from_utf8_lossy(&bytes);
        let value =
            |line: &str| Some(line.trim().strip_prefix("AUTO=")?.trim_matches(['"', '\'']).to_owned());
        return (text.lines().filter_map(value).next_back()? == "true")
            .then(|| "/etc/default/ipvsadm".into());
    }
    // Red Hat: a unit that loads this file, where it is enabled.
    let enabled = fs::read_dir(&unit).into_iter().flatten().filter_map(Result::ok).any(|entry| {
        entry.file_name().to_string_lossy().ends_with(".wants")
            && entry.path().join("ipvsadm.service").symlink_metadata().is_ok()
    });
    (enabled && etc.join("sysconfig/ipvsadm").exists()).then(|| "/etc/sysconfig/ipvsadm".into())
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::{MetadataExt, PermissionsExt, symlink};

    use super::*;

    /// A host with processes and files; process 1 is in the same network namespace as we are.
    struct Host(tempfile::TempDir);

    impl Host {
        fn new() -> Self {
            let host = Self(tempfile::tempdir().unwrap());
            host.process("thread-self", "lbd", "net:[1]", &[]);
            host.process("1", "systemd", "net:[1]", &[]);
            host
        }

        fn process(&self, number: &str, name: &str, namespace: &str, arguments: &[&str]) {
            let directory = self.0.path().join("proc").join(number);
            fs::create_dir_all(directory.join("ns")).unwrap();
            fs::write(directory.join("comm"), format!("{name}\n")).unwrap();
            fs::write(directory.join("cmdline"), arguments.join("\0")).unwrap();
            symlink(namespace, directory.join("ns/net")).unwrap();
            symlink(self.0.path(), directory.join("root")).unwrap();
            symlink(self.0.path().join("etc"), directory.join("cwd")).unwrap();
            let own = self.owner();
            self.users(number, [own, own, own, own]);
        }

        fn owner(&self) -> u32 {
            fs::metadata(self.0.path()).unwrap().uid()
        }

        fn users(&self, number: &str, users: [u32; 4]) {
            let status =
                format!("Name:\tx\nUid:\t{}\nGid:\t0\n", users.map(|user| user.to_string()).join("\t"));
            fs::write(self.0.path().join("proc").join(number).join("status"), status).unwrap();
        }

        fn write(&self, path: &str, text: &str) {
            let path = self.0.path().join(path);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(&path, text).unwrap();
            // Whatever the umask is: a file that others may write is not believed.
            fs::set_permissions(&path, fs::Permissions::from_mode(0o644)).unwrap();
        }

        fn look(&self) -> (Vec<Manager>, Vec<String>) {
            let mut unknown = Vec::new();
            let (proc, etc) = (self.0.path().join("proc"), self.0.path().join("etc"));
            let managers = look(
                &Roots { proc, etc, cgroup: "/nowhere".into(), owner: self.owner(), ..Roots::default() },
                &mut unknown,
            );
            (managers, unknown)
        }

        #[track_caller]
        fn managers(&self) -> Vec<Manager> {
            let (managers, unknown) = self.look();
            assert_eq!(unknown, Vec::<String>::new());
            managers
        }
    }

    #[test]
    fn keepalived_counts_only_with_virtual_servers() {
        let host = Host::new();
        host.process("20", "keepalived", "net:[1]", &["/usr/sbin/keepalived", "--dont-fork"]);
        let keepalived = |file: &str, unread: Option<&str>| {
            vec![Manager::Keepalived { process: 20, file: file.into(), unread: unread.map(str::to_owned) }]
        };
        let missing = "No such file or directory (os error 2)";
        let default = "/etc/keepalived/keepalived.conf";
        assert_eq!(host.managers(), keepalived(default, Some(missing)));
        host.write(&default[1..], "vrrp_instance a {\n}\n# virtual_server 10.0.0.1 80 {\n! virtual_server\n");
        assert_eq!(host.managers(), []);
        host.write(&default[1..], "vrrp_instance a {\n}\ninclude conf.d/*.conf\n");
        assert_eq!(host.managers(), keepalived(default, Some(missing)));
        host.write("etc/keepalived/conf.d/a.conf", "virtual_server_group a {\n}\ninclude /etc/more\n");
        host.write("etc/keepalived/conf.d/b.txt", "virtual_server 10.0.0.1 80 {\n}\n");
        host.write("etc/more", "\n");
        assert_eq!(host.managers(), []);
        host.write("etc/more", "  virtual_server 10.0.0.1 80 {\n");
        assert_eq!(host.managers(), keepalived(default, None));
        // A file that includes itself ends as well.
        host.write("etc/more", "include /etc/more\n");
        let (managers, _) = host.look();
        let [Manager::Keepalived { unread: Some(unread), .. }] = &managers[..] else {
            panic!("{managers:?}")
        };
        assert!(
            unread.ends_with("more, which it includes: its files include each other too deep"),
            "{unread}"
        );
    }

    // A process of nobody's by that name made root read a pipe or /dev/zero, and put escape sequences on its terminal.
    #[test]
    fn a_process_is_believed_only_where_it_is_wholly_roots() {
        let host = Host::new();
        host.process("20", "keepalived", "net:[1]", &["keepalived", "-f", "a.conf"]);
        host.process("21", "ldirectord", "net:[1]", &[]);
        host.process("22", "kube-proxy", "net:[2]", &[]);
        host.write("etc/a.conf", "virtual_server fwmark 1 {\n");
        assert_eq!(host.managers().len(), 2);
        let own = host.owner();
        for users in [[65_534; 4], [65_534, own, own, own], [own, own, own, 65_534]] {
            ["20", "21", "22"].into_iter().for_each(|number| host.users(number, users));
            let note = format!(
                "keepalived (process 20) is not looked at, since it runs as uid {own}: what only root may do is believed only of \
                 root's processes"
            );
            assert_eq!(host.look(), (vec![], vec![note]));
        }
        host.users("20", [own; 4]);
        assert_eq!(host.look().0.len(), 1);
        fs::remove_file(host.0.path().join("proc/20/status")).unwrap();
        assert_eq!(host.look().0, []);
    }

    #[test]
    fn a_configuration_counts_only_where_nobody_else_wrote_it_and_it_is_a_file_of_some_length() {
        let host = Host::new();
        host.process("20", "keepalived", "net:[1]", &["keepalived", "--use-file=a.conf"]);
        let path = host.0.path().join("etc/a.conf");
        let unread = || match &host.managers()[..] {
            [Manager::Keepalived { unread: Some(unread), .. }] => unread.clone(),
            managers => panic!("{managers:?}"),
        };
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        assert!(std::process::Command::new("mkfifo").arg(&path).status().unwrap().success());
        assert_eq!(unread(), "it is a pipe, not a regular file");
        fs::remove_file(&path).unwrap();
        symlink("/dev/zero", &path).unwrap();
        assert_eq!(unread(), "it is a device, not a regular file");
        fs::remove_file(&path).unwrap();
        fs::write(&path, vec![b'#'; (1 << 20) + 1]).unwrap();
        assert_eq!(unread(), "it is longer than 1048576 bytes");
        for mode in [0o664, 0o646] {
            fs::write(&path, "\n").unwrap();
            fs::set_permissions(&path, fs::Permissions::from_mode(mode)).unwrap();
            assert_eq!(unread(), "others than its owner may write it");
        }
        fs::set_permissions(&path, fs::Permissions::from_mode(0o644)).unwrap();
        assert_eq!(host.managers(), []);
        // A thousand files and no more, and no more than so many bytes of them.
        fs::write(&path, "include b.conf\n".repeat(1_000)).unwrap();
        host.write("etc/b.conf", "\n");
        assert_eq!(unread(), "b.conf, which it includes: it includes too many files");
        fs::write(&path, "include b.conf\n".repeat(100)).unwrap();
        host.write("etc/b.conf", &"#".repeat(1 << 20));
        assert!(unread().starts_with("b.conf, which it includes: it is longer than "), "{}", unread());
    }

    #[test]
    fn keepalived_is_asked_for_its_own_file() {
        let host = Host::new();
        host.process("20", "keepalived", "net:[1]", &["keepalived", "-f", "other.conf"]);
        host.write("etc/other.conf", "virtual_server fwmark 1 {\n");
        assert_eq!(
            host.managers(),
            [Manager::Keepalived { process: 20, file: "other.conf".into(), unread: None }]
        );
    }

    #[test]
    fn who_is_in_another_network_namespace_is_nobody() {
        let host = Host::new();
        host.process("20", "kube-proxy", "net:[2]", &[]);
        host.process("21", "ldirectord [/et", "net:[1]", &[]);
        host.process("22", "ldirectord", "net:[1]", &[]);
        host.process("23", "kube-proxy", "net:[1]", &["kube-proxy", "--proxy-mode=nftables"]);
        assert_eq!(host.managers(), [Manager::Ldirectord { process: 21 }]);
        host.process("24", "kube-proxy", "net:[1]", &["kube-proxy", "--proxy-mode=ipvs"]);
        assert_eq!(
            host.managers(),
            [Manager::Ldirectord { process: 21 }, Manager::KubeProxy { process: 24 }]
        );
    }

    #[test]
    fn threads_of_the_kernel_are_no_managers_whatever_they_are_called() {
        let host = Host::new();
        host.process("2", "kthreadd", "net:[1]", &[]);
        host.process("7", "ldirectord", "net:[1]", &[]);
        assert_eq!(host.managers(), [Manager::Ldirectord { process: 7 }]);
        host.write("proc/2/task/2/children", "3 7 12 ");
        assert_eq!(host.managers(), []);
        // In a PID namespace of its own, number 2 is anybody.
        host.write("proc/2/comm", "bash\n");
        assert_eq!(host.managers(), [Manager::Ldirectord { process: 7 }]);
    }

    #[test]
    fn ipvsadm_counts_where_it_is_started_at_boot() {
        let host = Host::new();
        host.write("etc/default/ipvsadm", "# AUTO=true\nAUTO=\"false\"\n");
        assert_eq!(host.managers(), []);
        host.write("etc/default/ipvsadm", "AUTO=\"true\"\nDAEMON=\"none\"\n");
        let at_boot = |file: &str| vec![Manager::IpvsadmAtBoot { file: file.into() }];
        assert_eq!(host.managers(), at_boot("/etc/default/ipvsadm"));
        fs::create_dir_all(host.0.path().join("etc/systemd/system")).unwrap();
        symlink("/dev/null", host.0.path().join("etc/systemd/system/ipvsadm.service")).unwrap();
        assert_eq!(host.managers(), []);

        let host = Host::new();
        host.write("etc/sysconfig/ipvsadm", "-A -t 10.0.0.1:80 -s rr\n");
        assert_eq!(host.managers(), []);
        host.write("etc/systemd/system/multi-user.target.wants/ipvsadm.service", "");
        assert_eq!(host.managers(), at_boot("/etc/sysconfig/ipvsadm"));
    }
}

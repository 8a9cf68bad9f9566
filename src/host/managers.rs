//! Looks for others who manage IPVS in this network namespace: keepalived, kube-proxy, ldirectord, ipvsadm at boot.

use std::fs::{self, File};
use std::io::{self, Read};
use std::path::{Path, PathBuf};

use super::Roots;

/// Somebody else who manages IPVS here.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Manager {
    /// keepalived with virtual servers in its configuration
    Keepalived {
        /// The process
        process: u32,
        /// Its configuration
        file: PathBuf,
        /// Whether that could be read; what cannot be read may hold virtual servers
        is_readable: bool,
    },
    /// kube-proxy
    KubeProxy {
        /// The process
        process: u32,
    },
    /// ldirectord
    Ldirectord {
        /// The process
        process: u32,
    },
    /// ipvsadm, which puts back rules of its own at boot
    IpvsadmAtBoot {
        /// The file that says so
        file: PathBuf,
    },
}

/// Looks for them.
pub(super) fn look(roots: &Roots) -> Vec<Manager> {
    let mut managers = Vec::new();
    let own = namespace(&roots.proc.join("thread-self"));
    let is_here = |process: &Path| match (&own, namespace(process)) {
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
    for process in processes {
        let directory = roots.proc.join(process.to_string());
        let Ok(name) = name(&directory) else { continue };
        // ldirectord adds its configuration to its name; keepalived's children are named after it.
        let is_its = |kind: &&str| name.starts_with(kind.as_bytes());
        let kind = ["keepalived", "kube-proxy", "ldirectord"].into_iter().find(is_its);
        let Some(kind) = kind.filter(|kind| !seen.contains(kind) && is_here(&directory)) else { continue };
        let manager = match kind {
            "keepalived" => keepalived(process, &directory),
            "kube-proxy" => schedules_by_ipvs(&directory).then_some(Manager::KubeProxy { process }),
            _ => Some(Manager::Ldirectord { process }),
        };
        if manager.is_some() {
            seen.push(kind);
        }
        managers.extend(manager);
    }
    // What happens at boot happens in the first network namespace.
    if is_here(&roots.proc.join("1")) {
        managers.extend(ipvsadm_at_boot(&roots.etc).map(|file| Manager::IpvsadmAtBoot { file }));
    }
    managers
}

/// The processes that are threads of the kernel, in order: the children of kthreadd. To look at each of them takes longer
/// than to look at everything else.
fn kernel_threads(proc: &Path) -> Vec<u32> {
    let kthreadd = proc.join("2");
    if !name(&kthreadd).is_ok_and(|name| name.starts_with(b"kthreadd\n")) {
        return Vec::new(); // a PID namespace of its own
    }
    let children = fs::read_to_string(kthreadd.join("task/2/children")).unwrap_or_default();
    let mut threads: Vec<u32> =
        children.split_whitespace().filter_map(|number| number.parse().ok()).collect();
    threads.sort_unstable();
    threads
}

/// What a process is called. The kernel keeps 15 bytes of that, so that one read has them all: a host can have thousands of
/// processes.
fn name(process: &Path) -> io::Result<[u8; 16]> {
    let mut name = [0; 16];
    let _ = File::open(process.join("comm"))?.read(&mut name)?;
    Ok(name)
}

fn namespace(process: &Path) -> io::Result<PathBuf> {
    fs::read_link(process.join("ns/net"))
}

fn arguments(process: &Path) -> Vec<String> {
    let bytes = fs::read(process.join("cmdline")).unwrap_or_default();
    bytes
        .split(|byte| *byte == 0)
        .filter(|word| !word.is_empty())
        .map(|word| String::from_utf8_lossy(word).into_owned())
        .collect()
}

/// kube-proxy leaves IPVS alone in its other modes, where it was told of them by an argument.
fn schedules_by_ipvs(process: &Path) -> bool {
    let mode = |word: &String| word.strip_prefix("--proxy-mode=").map(str::to_owned);
    arguments(process).iter().find_map(mode).is_none_or(|mode| mode == "ipvs")
}

fn keepalived(process: u32, directory: &Path) -> Option<Manager> {
    let words = arguments(directory);
    let given = words.iter().enumerate().find_map(|(place, word)| {
        if let Some(file) = word.strip_prefix("--use-file=") {
            return Some(file.to_owned());
        }
        matches!(word.as_str(), "-f" | "--use-file").then(|| words.get(place + 1).cloned())?
    });
    let file = PathBuf::from(given.unwrap_or_else(|| "/etc/keepalived/keepalived.conf".to_owned()));
    // Its files may be those of a container.
    let root = directory.join("root");
    let start = if file.is_absolute() { root.clone() } else { directory.join("cwd") };
    let inside = |path: &Path| start.join(path.strip_prefix("/").unwrap_or(path));
    match has_virtual_server(&inside(&file), &root, 0) {
        Ok(false) => None,
        Ok(true) => Some(Manager::Keepalived { process, file, is_readable: true }),
        Err(_) => Some(Manager::Keepalived { process, file, is_readable: false }),
    }
}

/// How deep files may include each other.
const DEPTH: usize = 5;

/// Whether a configuration of keepalived, or a file that it includes, has virtual servers.
fn has_virtual_server(file: &Path, root: &Path, depth: usize) -> io::Result<bool> {
    if depth > DEPTH {
        return Err(io::Error::other("files that include each other"));
    }
    let text = String::from_utf8_lossy(&fs::read(file)?).into_owned();
    for line in text.lines() {
        let mut words = line.split_whitespace();
        match words.next() {
            Some("virtual_server") => return Ok(true),
            Some(word) if word.starts_with("include") => {
                let pattern = words.next().unwrap_or_default();
                let pattern = match pattern.strip_prefix('/') {
                    Some(inside) => root.join(inside),
                    None => file.parent().unwrap_or(root).join(pattern),
                };
                for included in matching(&pattern)? {
                    if has_virtual_server(&included, root, depth + 1)? {
                        return Ok(true);
                    }
                }
            }
            _ => {}
        }
    }
    Ok(false)
}

/// The files that a pattern names; a `*` may stand in its last part.
fn matching(pattern: &Path) -> io::Result<Vec<PathBuf>> {
    let name = pattern.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
    let (Some((first, last)), Some(directory)) = (name.split_once('*'), pattern.parent()) else {
        return Ok(vec![pattern.to_owned()]);
    };
    let mut files = Vec::new();
    for entry in fs::read_dir(directory)? {
        let entry = entry?;
        let name = entry.file_name().to_string_lossy().into_owned();
        // A directory among them is none of keepalived's either.
        if name.starts_with(first) && name.ends_with(last) && entry.path().is_file() {
            files.push(entry.path());
        }
    }
    Ok(files)
}

/// The file that says that ipvsadm puts back rules of its own at boot, if one does.
fn ipvsadm_at_boot(etc: &Path) -> Option<PathBuf> {
    let unit = etc.join("systemd/system");
    let masked = unit.join("ipvsadm.service");
    if fs::read_link(masked).is_ok_and(|target| target == Path::new("/dev/null")) {
        return None;
    }
    // Debian: a start script that asks this file.
    if let Ok(text) = fs::read_to_string(etc.join("default/ipvsadm")) {
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
    use std::os::unix::fs::symlink;

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
        }

        fn write(&self, path: &str, text: &str) {
            let path = self.0.path().join(path);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, text).unwrap();
        }

        fn managers(&self) -> Vec<Manager> {
            look(&Roots { proc: self.0.path().join("proc"), etc: self.0.path().join("etc") })
        }
    }

    #[test]
    fn keepalived_counts_only_with_virtual_servers() {
        let host = Host::new();
        host.process("20", "keepalived", "net:[1]", &["/usr/sbin/keepalived", "--dont-fork"]);
        let keepalived = |file: &str, is_readable| {
            vec![Manager::Keepalived { process: 20, file: file.into(), is_readable }]
        };
        let default = "/etc/keepalived/keepalived.conf";
        assert_eq!(host.managers(), keepalived(default, false));
        host.write(&default[1..], "vrrp_instance a {\n}\n# virtual_server 10.0.0.1 80 {\n! virtual_server\n");
        assert_eq!(host.managers(), []);
        host.write(&default[1..], "vrrp_instance a {\n}\ninclude conf.d/*.conf\n");
        assert_eq!(host.managers(), keepalived(default, false));
        host.write("etc/keepalived/conf.d/a.conf", "virtual_server_group a {\n}\ninclude /etc/more\n");
        host.write("etc/keepalived/conf.d/b.txt", "virtual_server 10.0.0.1 80 {\n}\n");
        host.write("etc/more", "\n");
        assert_eq!(host.managers(), []);
        host.write("etc/more", "  virtual_server 10.0.0.1 80 {\n");
        assert_eq!(host.managers(), keepalived(default, true));
        // A file that includes itself ends as well.
        host.write("etc/more", "include /etc/more\n");
        assert_eq!(host.managers(), keepalived(default, false));
    }

    #[test]
    fn keepalived_is_asked_for_its_own_file() {
        let host = Host::new();
        host.process("20", "keepalived", "net:[1]", &["keepalived", "-f", "other.conf"]);
        host.write("etc/other.conf", "virtual_server fwmark 1 {\n");
        assert_eq!(
            host.managers(),
            [Manager::Keepalived { process: 20, file: "other.conf".into(), is_readable: true }]
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

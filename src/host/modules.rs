//! Finds out which of the kernel modules that matter are neither loaded nor can be, and whether IPv6 is switched off.

use std::path::Path;

use super::{Host, MissingModule, ModuleAbsence, Roots};
use crate::files::{UntrustedFileError, read_regular};

/// The most that is read of an index of modules, in bytes. Those of distributions are below 3 MB.
const INDEX: u64 = 32 << 20;

/// The most that is read of a file with one word, in bytes.
const WORD: u64 = 4096;

/// Looks for modules. Where the index of this kernel's modules cannot be read, as in a container, those
/// that are not loaded are in [`Host::unknown`].
pub(super) fn look(mut wanted: Vec<String>, roots: &Roots, host: &mut Host) {
    wanted.retain(|module| !is_loaded(module, roots));
    if wanted.is_empty() {
        return;
    }
    let Some(release) = word(&roots.proc.join("sys/kernel/osrelease")) else { return };
    let directory = roots.modules.join(release);
    let installed = match read(&directory.join("modules.dep")) {
        Ok(index) => index,
        Err(error) => {
            host.unknown.push(format!(
                "not known whether this kernel has {}: cannot read {}: {error}",
                wanted.join(", "),
                directory.join("modules.dep").display()
            ));
            return;
        }
    };
    // These two need not be there.
    let [built_in, aliases] =
        ["modules.builtin", "modules.alias"].map(|name| read(&directory.join(name)).unwrap_or_default());
    let is_forbidden = word(&roots.proc.join("sys/kernel/modules_disabled")).is_some_and(|word| word == "1");
    for name in wanted {
        let is_installed = || {
            let by_alias = aliases.lines().any(|line| line.split_whitespace().nth(1) == Some(name.as_str()));
            by_alias || has_file(&installed, &name)
        };
        let absence = match has_file(&built_in, &name) {
            true => continue,
            false if !is_installed() => ModuleAbsence::NotInstalled,
            false if is_forbidden => ModuleAbsence::LoadingForbidden,
            false => continue,
        };
        host.missing_modules.push(MissingModule { name, absence });
    }
}

/// Whether the kernel was started with `ipv6.disable=1`.
pub(super) fn is_ipv6_off(roots: &Roots) -> bool {
    word(&roots.sys.join("module/ipv6/parameters/disable")).is_some_and(|word| word == "1")
}

/// Modules that are built in have a directory there, too, if they have parameters.
fn is_loaded(module: &str, roots: &Roots) -> bool {
    roots.sys.join("module").join(spelled(module)).exists()
}

/// A module's name as the kernel spells it: files may have a `-` for each `_`.
fn spelled(module: &str) -> String {
    module.replace('-', "_")
}

/// Whether an index has the file of a module: `kernel/net/netfilter/ipvs/ip_vs_rr.ko.xz: …` or without what is needed before.
fn has_file(index: &str, module: &str) -> bool {
    let module = spelled(module);
    let name = |line: &str| {
        let path = line.split(':').next()?;
        let (name, _) = path.rsplit('/').next()?.split_once(".ko")?;
        Some(spelled(name))
    };
    index.lines().any(|line| name(line).as_ref() == Some(&module))
}

fn read(path: &Path) -> Result<String, UntrustedFileError> {
    Ok(String::from_utf8_lossy(&read_regular(path, INDEX)?).into_owned())
}

/// The only word of a file of the kernel's.
fn word(path: &Path) -> Option<String> {
    let text = read_regular(path, WORD).ok()?;
    Some(String::from_utf8_lossy(&text).trim().to_owned())
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    struct Machine(tempfile::TempDir);

    impl Machine {
        fn new() -> Self {
            let machine = Self(tempfile::tempdir().unwrap());
            machine.write("proc/sys/kernel/osrelease", "6.1.0-cloud\n");
            machine.write("proc/sys/kernel/modules_disabled", "0\n");
            machine.write("sys/module/ip_vs_wlc/refcnt", "1\n");
            machine
        }

        fn write(&self, path: &str, text: &str) {
            let path = self.0.path().join(path);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, text).unwrap();
        }

        fn roots(&self) -> Roots {
            let [proc, sys, modules] = ["proc", "sys", "modules"].map(|name| self.0.path().join(name));
            Roots { proc, sys, modules, ..Roots::default() }
        }

        fn look(&self, wanted: &[&str]) -> (Vec<(String, ModuleAbsence)>, Vec<String>) {
            let mut host = Host::default();
            look(wanted.iter().map(|name| (*name).to_owned()).collect(), &self.roots(), &mut host);
            let missing = host.missing_modules.into_iter().map(|module| (module.name, module.absence));
            (missing.collect(), host.unknown)
        }
    }

    const ALL: [&str; 8] = [
        "ip_vs_lc",
        "ip_vs_my-own.v2",
        "ip_vs_pe_sip",
        "ip_vs_rr",
        "ip_vs_sh",
        "ip_vs_twos",
        "ip_vs_wlc",
        "ip_vs_wrr",
    ];

    #[test]
    fn a_module_is_missing_that_is_neither_loaded_nor_built_in_nor_installed() {
        let machine = Machine::new();
        let dep = "\
kernel/net/netfilter/ipvs/ip_vs_rr.ko: kernel/net/netfilter/ipvs/ip_vs.ko
kernel/net/netfilter/ipvs/ip_vs_wrr.ko.xz: kernel/net/netfilter/ipvs/ip_vs_twos.ko.xz
updates/ip_vs_my_own.v2.ko.zst:
";
        machine.write("modules/6.1.0-cloud/modules.dep", dep);
        let twos = ("ip_vs_twos".to_owned(), ModuleAbsence::NotInstalled);
        let sip = ("ip_vs_pe_sip".to_owned(), ModuleAbsence::NotInstalled);
        let other = |name: &str| (name.to_owned(), ModuleAbsence::NotInstalled);
        let expected = vec![other("ip_vs_lc"), sip.clone(), other("ip_vs_sh"), twos.clone()];
        assert_eq!(machine.look(&ALL), (expected, vec![]));
        machine.write("modules/6.1.0-cloud/modules.builtin", "kernel/net/netfilter/ipvs/ip_vs_sh.ko\n");
        machine.write("modules/6.1.0-cloud/modules.alias", "# Aliases\nalias ip_vs_lc least_connections\n");
        assert_eq!(machine.look(&ALL), (vec![sip.clone(), twos.clone()], vec![]));
        machine.write("proc/sys/kernel/modules_disabled", "1\n");
        let forbidden = |name: &str| (name.to_owned(), ModuleAbsence::LoadingForbidden);
        let expected = vec![
            forbidden("ip_vs_lc"),
            forbidden("ip_vs_my-own.v2"),
            sip,
            forbidden("ip_vs_rr"),
            twos,
            forbidden("ip_vs_wrr"),
        ];
        assert_eq!(machine.look(&ALL), (expected, vec![]));
    }

    #[test]
    fn where_there_is_no_index_nothing_is_missing_and_that_is_said() {
        let machine = Machine::new();
        assert_eq!(machine.look(&["ip_vs_wlc"]), (vec![], vec![]), "what is loaded needs no index");
        let (missing, unknown) = machine.look(&ALL);
        assert_eq!(missing, []);
        let path = machine.0.path().join("modules/6.1.0-cloud/modules.dep");
        assert_eq!(
            unknown,
            [format!(
                "not known whether this kernel has ip_vs_lc, ip_vs_my-own.v2, ip_vs_pe_sip, ip_vs_rr, ip_vs_sh, ip_vs_twos, \
                 ip_vs_wrr: cannot read {}: No such file or directory (os error 2)",
                path.display()
            )]
        );
    }

    #[test]
    fn ipv6_is_off_only_where_the_kernel_says_so() {
        let machine = Machine::new();
        assert!(!is_ipv6_off(&machine.roots()));
        for (value, is_off) in [("0\n", false), ("1\n", true)] {
            machine.write("sys/module/ipv6/parameters/disable", value);
            assert_eq!(is_ipv6_off(&machine.roots()), is_off);
        }
    }
}

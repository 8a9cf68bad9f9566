//! Knows the programs that scripts start around those of ipvsadm, and what each means for a conversion.

/// What a program in a script means for a conversion.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    /// `ipvsadm`, or the options of it alone, as it saves them
    Ipvsadm,
    /// `ipvsadm-restore`
    Restore,
    /// `sysctl`
    Sysctl,
    /// It prints its words.
    Echo,
    /// It sets variables.
    Assigns,
    /// It takes variables away.
    Unset,
    /// It reads variables from its input.
    Reads,
    /// It runs another file in the same shell.
    Sources,
    /// It ends the script.
    Ends,
    /// It changes nothing that a director depends on.
    Harmless,
    /// It is run for its exit status.
    Tests,
    /// It changes the host, which is not lbd's; what of it, as a sentence
    OfHost(&'static str),
    /// Any other
    Unknown,
}

/// What a program means, by its name without the directory.
pub(super) fn kind(name: &str) -> Kind {
    match name {
        "ipvsadm" => Kind::Ipvsadm,
        "ipvsadm-restore" => Kind::Restore,
        "sysctl" => Kind::Sysctl,
        "echo" | "printf" => Kind::Echo,
        "export" | "readonly" | "declare" | "local" | "typeset" => Kind::Assigns,
        "unset" => Kind::Unset,
        "read" => Kind::Reads,
        "." | "source" => Kind::Sources,
        "exit" | "return" => Kind::Ends,
        "[" | "[[" | "test" | "grep" | "egrep" | "fgrep" | "pidof" | "pgrep" | "which" | "type" | "false"
        | "ping" | "lsmod" | "((" => Kind::Tests,
        "true" | ":" | "sleep" | "logger" | "set" | "shopt" | "umask" | "trap" | "cd" | "pushd" | "popd"
        | "wait" | "ulimit" | "date" | "ls" | "cat" | "awk" | "sed" | "cut" | "head" | "tail" | "sort"
        | "wc" | "tee" | "touch" | "mkdir" | "rm" | "cp" | "mv" | "chmod" | "chown" | "hostname"
        | "uname" | "id" | "ps" | "clear" | "tput" | "shift" | "break" | "continue" | "ipvsadm-save"
        | "modprobe" | "insmod" | "depmod" | "watch" | "less" | "more" | "column" | "stty" | "alias"
        | "sync" | "basename" | "dirname" | "success" | "failure" | "log_daemon_msg" | "log_end_msg" => {
            Kind::Harmless
        }
        "ip" | "ifconfig" | "route" | "arp" | "arping" | "ifup" | "ifdown" | "ethtool" | "brctl"
        | "bridge" | "vconfig" | "tc" | "tunctl" | "send_arp" | "nmcli" => {
            Kind::OfHost("addresses, links and routes are not lbd's; keep this line where the host is set up")
        }
        "iptables" | "ip6tables" | "iptables-restore" | "ip6tables-restore" | "nft" | "ebtables"
        | "ipchains" | "ipset" | "firewall-cmd" | "ufw" => Kind::OfHost(
            "firewall rules are not lbd's, but for marks: `--marks FILE` turns those that `iptables-save` or `nft -j list ruleset` lists into `match`",
        ),
        "systemctl" | "service" | "chkconfig" | "update-rc.d" | "kill" | "killall" | "pkill"
        | "keepalived" | "ldirectord" | "rmmod" => Kind::OfHost("other services are not lbd's"),
        _ if name.starts_with([
            '-', '\u{2010}', '\u{2011}', '\u{2012}', '\u{2013}', '\u{2014}', '\u{2015}', '\u{2212}',
            '\u{fe58}', '\u{fe63}', '\u{ff0d}',
        ]) =>
        {
            Kind::Ipvsadm
        }
        _ => Kind::Unknown,
    }
}

/// The name of a kernel setting by its path below `/proc/sys`.
pub(super) fn setting_of_path(path: &str) -> String {
    let name = path.trim_start_matches("/proc/sys").trim_matches('/');
    // An interface may have a dot in its name.
    if name.contains('.') { name.to_owned() } else { name.replace('/', ".") }
}

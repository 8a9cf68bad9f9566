//! Kernel settings: when two values are the same, and what setting one does to others.

use indexmap::IndexMap;

use super::link::is_interface_name;

/// Kernel settings: value by name. A name has dots (`net.ipv4.ip_forward`), or slashes where a part of it holds a dot
/// itself (`net/ipv4/conf/eth0.100/forwarding`); the words of a value are separated by one blank.
pub type Sysctls = IndexMap<String, String>;

/// IPVS' conntrack: whether its connections have an entry in the kernel's connection tracking.
pub const VS_CONNTRACK: &str = "net.ipv4.vs.conntrack";

/// Whether the clients of a server that was deleted go to another one at once, and established connections get a reset.
pub const VS_EXPIRE_NODEST: &str = "net.ipv4.vs.expire_nodest_conn";

/// How many threads a sync daemon has that starts while no other one runs.
pub const VS_SYNC_PORTS: &str = "net.ipv4.vs.sync_ports";

/// Settings that the kernel itself switches between 1 and 2, as memory runs short and recovers.
const SELF_CHANGING: [&str; 3] =
    ["net.ipv4.vs.drop_entry", "net.ipv4.vs.drop_packet", "net.ipv4.vs.secure_tcp"];

/// Whether a setting has the desired value.
pub fn is_set(name: &str, live: &str, wanted: &str) -> bool {
    let automatic = |value: &str| matches!(value, "1" | "2");
    live == wanted || SELF_CHANGING.contains(&name) && automatic(live) && automatic(wanted)
}

/// The parts of a name: `net`, `ipv4`, `conf`, `eth0.100`, `forwarding`.
pub fn parts(name: &str) -> Vec<&str> {
    name.split(if name.contains('/') { '/' } else { '.' }).collect()
}

/// Whether two names are those of one setting, one with dots and the other with slashes.
pub fn is_same(name: &str, other: &str) -> bool {
    parts(name) == parts(other)
}

/// Whether a setting below `net.` can have this name: each part of it a file's name, the interface in it one that can be,
/// and nothing a pattern. What a remembered or written name has to be before it becomes a path below /proc/sys.
pub fn is_name(name: &str) -> bool {
    let parts = parts(name);
    let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || b"_-.".contains(&byte);
    let is_file_name = |part: &str| {
        (1..=255).contains(&part.len()) && !matches!(part, "." | "..") && part.bytes().all(is_plain)
    };
    let of_interface = interface(name);
    let is_sound = |part: &&str| match of_interface {
        // The same part, not one that reads alike.
        Some(interface) if std::ptr::eq(interface, *part) => is_interface_name(interface),
        _ => is_file_name(part),
    };
    parts.len() >= 2 && parts.first() == Some(&"net") && parts.iter().all(is_sound)
}

/// Whether a setting can be given this value: ASCII that can be seen, with single blanks between its words, as the kernel
/// shows all its values.
pub fn is_value(value: &str) -> bool {
    value.bytes().all(|byte| byte.is_ascii_graphic() || byte == b' ')
}

/// The interface that a setting belongs to: `eth1` for `net.ipv4.conf.eth1.rp_filter`; none for those of all.
pub fn interface(name: &str) -> Option<&str> {
    match parts(name).as_slice() {
        ["net", "ipv4" | "ipv6", "conf" | "neigh", interface, _, ..]
        | ["net", "mpls", "conf", interface, _, ..]
            if !matches!(*interface, "all" | "default") =>
        {
            Some(interface)
        }
        _ => None,
    }
}

/// In which order settings are set: first what others depend on, then what is set for every interface at once, last
/// what a single interface has of its own.
pub fn rank(name: &str) -> u8 {
    match parts(canonical(name)).as_slice() {
        // Without it, an interface loses what routers announced as soon as it forwards.
        [.., "accept_ra"] => 0,
        // It changes others.
        [.., "conf", "all", "forwarding"] => 1,
        [.., "conf" | "neigh", "all", _] => 2,
        [.., "conf" | "neigh", "default", _] => 3,
        _ if interface(name).is_none() => 4,
        _ => 5,
    }
}

/// The name that a setting is known by: `net.ipv4.ip_forward` is `net.ipv4.conf.all.forwarding`.
pub fn canonical(name: &str) -> &str {
    match name {
        "net.ipv4.ip_forward" => "net.ipv4.conf.all.forwarding",
        "net.nf_conntrack_max" => "net.netfilter.nf_conntrack_max",
        _ => name,
    }
}

/// Changes `settings` as the kernel does when `name` is written. Forwarding for all reaches every interface, and for IPv4
/// turns the acceptance of redirects round; nothing else of what the kernel's documentation promises happens. For IPv6 a
/// few more settings reach every interface, and they do so also where their own value stays.
///
/// What an IPv4 interface follows `default` in cannot be foreseen: in whatever was never set for itself, which the kernel
/// knows and does not show.
pub fn apply(settings: &mut Sysctls, name: &str, value: &str) {
    // For IPv4 the kernel looks first whether the value changes.
    let is_v4 = parts(canonical(name)).get(1) == Some(&"ipv4");
    let stays = is_v4 && settings.get(name).is_some_and(|old| old == value);
    for (other, held) in &mut *settings {
        if canonical(other) == canonical(name) {
            value.clone_into(held);
        } else if !stays && reaches(name, other) {
            let turned = if value == "0" { "1" } else { "0" };
            if canonical(other).ends_with("accept_redirects") { turned } else { value }.clone_into(held);
        }
    }
    settings.insert(name.to_owned(), value.to_owned());
}

/// Whether writing one setting changes another one, too (seen on 5.10 to 7.2).
pub fn reaches(name: &str, other: &str) -> bool {
    match (parts(canonical(name)).as_slice(), parts(canonical(other)).as_slice()) {
        (["net", "ipv4", "conf", "all", "forwarding"], ["net", "ipv4", "conf", of, setting]) => {
            (*of != "all" && *setting == "forwarding") || (*of == "all" && *setting == "accept_redirects")
        }
        (["net", "ipv6", "conf", "all", setting], ["net", "ipv6", "conf", of, reached]) => {
            *of != "all"
                && setting == reached
                && matches!(
                    *setting,
                    "forwarding" | "disable_ipv6" | "ignore_routes_with_linkdown" | "addr_gen_mode"
                )
        }
        _ => false,
    }
}

/// The settings that writing `name` [reaches](reaches), of those that have a fixed name.
pub fn companions(name: &str) -> &'static [&'static str] {
    match canonical(name) {
        "net.ipv4.conf.all.forwarding" => {
            &["net.ipv4.conf.all.accept_redirects", "net.ipv4.conf.default.forwarding"]
        }
        "net.ipv6.conf.all.forwarding" => &["net.ipv6.conf.default.forwarding"],
        "net.ipv6.conf.all.disable_ipv6" => &["net.ipv6.conf.default.disable_ipv6"],
        _ => &[],
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn settings(pairs: &[(&str, &str)]) -> Sysctls {
        pairs.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect()
    }

    #[test]
    fn what_the_kernel_switches_by_itself_is_not_drift() {
        assert!(is_set("net.ipv4.vs.drop_entry", "2", "1"));
        assert!(!is_set("net.ipv4.vs.drop_entry", "0", "1"));
        assert!(!is_set("net.ipv4.vs.drop_entry", "1", "3"));
        assert!(!is_set("net.ipv4.conf.all.rp_filter", "2", "1"));
    }

    #[test]
    fn a_setting_of_one_interface_names_it() {
        assert_eq!(interface("net.ipv4.conf.eth1.rp_filter"), Some("eth1"));
        assert_eq!(interface("net/ipv6/conf/eth0.100/accept_ra"), Some("eth0.100"));
        for name in ["net.ipv4.conf.all.rp_filter", "net.ipv4.vs.conntrack", "net.ipv4.ip_forward"] {
            assert_eq!(interface(name), None, "{name}");
        }
    }

    #[test]
    fn forwarding_for_all_reaches_every_interface_and_only_when_it_changes() {
        let mut live = settings(&[
            ("net.ipv4.conf.all.forwarding", "0"),
            ("net.ipv4.ip_forward", "0"),
            ("net.ipv4.conf.eth0.forwarding", "0"),
            ("net.ipv4.conf.all.accept_redirects", "1"),
            ("net.ipv6.conf.eth0.forwarding", "0"),
        ]);
        let after = settings(&[
            ("net.ipv4.conf.all.forwarding", "1"),
            ("net.ipv4.ip_forward", "1"),
            ("net.ipv4.conf.eth0.forwarding", "1"),
            ("net.ipv4.conf.all.accept_redirects", "0"),
            ("net.ipv6.conf.eth0.forwarding", "0"),
        ]);
        apply(&mut live, "net.ipv4.ip_forward", "1");
        assert_eq!(live, after);
        apply(&mut live, "net.ipv4.conf.eth0.forwarding", "0");
        let own = live.clone();
        apply(&mut live, "net.ipv4.ip_forward", "1");
        assert_eq!(live, own);
    }

    #[test]
    fn a_name_is_below_net_and_neither_a_pattern_nor_a_way_out() {
        for name in [
            "net.ipv4.ip_forward",
            "net/ipv4/ip_forward",
            "net.ipv4.conf.all.rp_filter",
            "net/ipv4/conf/eth0.100/forwarding",
            "net.ipv4.conf.$(id).rp_filter",
            "net.ipv6.neigh.eth1@if2.base_reachable_time_ms",
            "net.netfilter.nf_log.0",
            "net.core.somaxconn",
        ] {
            assert!(is_name(name), "{name:?}");
        }
        for name in [
            "",
            "net",
            "net.",
            ".net.ipv4",
            "net..ipv4",
            "net/../vm/swappiness",
            "net/./ipv4",
            "/net/ipv4/ip_forward",
            "kernel.hostname",
            "net.ipv4.ip_forward ",
            "net.ipv4.ip\nforward",
            "net.ipv4.ip_forward\0",
            "net.ipv4.conf.*.rp_filter",
            "net.ipv4.conf.eth?.rp_filter",
            "net.ipv4.conf.eth[01].rp_filter",
            "net.ipv4.conf.a-long-name-0016.rp_filter",
            "net.ipv4.conf..rp_filter",
            "net.ipv4.$(id)",
            "net.ipv4.ip;id",
            "net.ipv4.conf.eth0/100.forwarding",
            "net/ipv4/conf/a:1/rp_filter",
            "net.ipv4.gr\u{f6}\u{df}e",
            "net.ipv4.conf.a\u{1b}[2J.rp_filter",
        ] {
            assert!(!is_name(name), "{name:?}");
        }
        assert!(["", "1", "4096 87380 6291456", "bbr", "a;b"].into_iter().all(is_value));
        assert!(!["1\n2", "1\0", "\u{1b}[2J", "a\u{202e}", "1\t2"].into_iter().any(is_value));
    }

    #[test]
    fn what_is_set_for_all_comes_before_what_one_interface_has() {
        let mut names = [
            "net.ipv4.conf.eth0.forwarding",
            "net.ipv4.vs.conntrack",
            "net.ipv4.conf.all.accept_redirects",
            "net.ipv6.conf.all.forwarding",
            "net.ipv6.conf.eth0.accept_ra",
            "net.ipv4.ip_forward",
        ];
        names.sort_by_key(|name| rank(name));
        assert_eq!(
            names,
            [
                "net.ipv6.conf.eth0.accept_ra",
                "net.ipv6.conf.all.forwarding",
                "net.ipv4.ip_forward",
                "net.ipv4.conf.all.accept_redirects",
                "net.ipv4.vs.conntrack",
                "net.ipv4.conf.eth0.forwarding",
            ]
        );
    }
}

//! Resolves the sections beside the clusters: kernel settings, timeouts, sync daemons and the policy.

use std::collections::HashMap;
use std::net::IpAddr;
use std::time::Duration;

use indexmap::IndexMap;

use super::value;
use crate::config::format::document::{
    Choice, DurationText, Interface, PolicyEntry, Scalar, SyncEntry, SysctlValue, TimeoutsEntry,
};
use crate::config::format::issue::{Issue, Issues};
use crate::config::format::limits::{RESYNC, TIMEOUT, sync_message};
use crate::config::format::path::{KeyPath, key_path};
use crate::model::link::{self, is_interface_name};
use crate::model::sysctl::{self, VS_CONNTRACK, VS_EXPIRE_NODEST};
use crate::model::{Family, Policy, State, SyncDaemon, SyncRole, Sysctls, Timeouts};

/// The kernel settings, each under the one name that it has: by dots, and by slashes only where a part contains a dot.
pub(super) fn sysctls(
    settings: &IndexMap<String, SysctlValue>,
    issues: &mut Issues,
) -> IndexMap<String, String> {
    let mut resolved: IndexMap<String, String> = IndexMap::with_capacity(settings.len());
    let mut first: HashMap<String, &String> = HashMap::new();
    for (name, value) in settings {
        let here = || key_path!["sysctls", name.clone()];
        match sysctl_name(name) {
            Err(wrong) => issues.push(
                Issue::new(here(), wrong.message)
                    .at_key()
                    .expected(if is_pattern(name, sysctl::is_name) { NO_PATTERN } else { FULL_NAME })
                    .suggest(wrong.instead),
            ),
            Ok(full) => {
                if let Some(other) = first.get(&full) {
                    issues.push(
                        Issue::new(here(), format!("duplicate setting `{full}`"))
                            .at_key()
                            .first(key_path!["sysctls", (*other).clone()]),
                    );
                }
                first.insert(full.clone(), name);
                resolved.insert(full, sysctl_value(value, here, issues));
            }
        }
    }
    check_aliases(settings, &resolved, issues);
    resolved
}

/// Finds two names of one setting with different values: whichever came last would win, and the other be drift.
fn check_aliases(written: &IndexMap<String, SysctlValue>, resolved: &Sysctls, issues: &mut Issues) {
    for (name, value) in resolved {
        let canonical = sysctl::canonical(name);
        if canonical == name {
            continue;
        }
        let other = resolved.get(canonical).filter(|other| *other != value);
        let as_written = |full: &str| {
            written.keys().find(|name| sysctl_name(name).is_ok_and(|known| known == full)).cloned()
        };
        if other.is_some()
            && let (Some(here), Some(first)) = (as_written(name), as_written(canonical))
        {
            issues.push(
                Issue::new(key_path!["sysctls", here], format!("`{name}` and `{canonical}` are one setting"))
                    .at_key()
                    .expected("one value for both, or only one of them")
                    .first(key_path!["sysctls", first]),
            );
        }
    }
}

/// FULLNAT needs the connections of IPVS in the kernel's connection tracking; a file without this setting gets it.
pub(super) fn for_fullnat(
    state: &mut State,
    is_used: bool,
    written: &IndexMap<String, SysctlValue>,
    issues: &mut Issues,
) {
    if is_used {
        let why = || format!("`fullnat` servers need {VS_CONNTRACK}: without it their answers are lost");
        needed(VS_CONNTRACK, why, state, written, issues);
    }
}

/// Where checks delete servers, their clients have to go to others; a file without this setting gets it. `removing` is a cluster that does.
pub(super) fn for_checks(
    state: &mut State,
    removing: Option<&str>,
    written: &IndexMap<String, SysctlValue>,
    issues: &mut Issues,
) {
    if let Some(cluster) = removing {
        let why = || {
            format!(
                "the checks of `{cluster}` delete failing servers, which needs {VS_EXPIRE_NODEST}: without it their clients stay on them"
            )
        };
        needed(VS_EXPIRE_NODEST, why, state, written, issues);
    }
}

/// Sets a setting to 1 that the file needs; that the file has it at 0 is an issue.
fn needed(
    setting: &'static str,
    why: impl FnOnce() -> String,
    state: &mut State,
    written: &IndexMap<String, SysctlValue>,
    issues: &mut Issues,
) {
    let value = state.sysctls.entry(setting.to_owned()).or_insert_with(|| "1".to_owned());
    if value == "0" {
        let name = written.keys().find(|name| sysctl_name(name).is_ok_and(|full| full == setting));
        let here = key_path!["sysctls", name.cloned().unwrap_or_default()];
        issues.push(Issue::new(here, why()).expected(format!("{setting}: 1, or no entry for it")));
    }
}

/// Whether a name would be one, but for the signs of a pattern.
fn is_pattern(name: &str, is_name: fn(&str) -> bool) -> bool {
    let signs = ['*', '?', '['];
    name.contains(signs) && is_name(&name.replace(signs, "x"))
}

struct WrongName {
    message: String,
    instead: Option<String>,
}

/// What is right of the names of settings.
const FULL_NAME: &str = "a full name under `net.`, such as net.ipv4.ip_forward";
/// What is right in place of a pattern.
const NO_PATTERN: &str =
    "a name for each interface, or `all` and `default` in its place: net.ipv4.conf.all.rp_filter";

fn sysctl_name(name: &str) -> Result<String, WrongName> {
    let wrong = |message: String, instead: Option<String>| {
        Err(WrongName { message, instead: instead.filter(|name| sysctl_name(name).is_ok()) })
    };
    if let Some(rest) = name.strip_prefix("/proc/sys/").or_else(|| name.strip_prefix('/')) {
        return wrong(format!("`{name}` is a path, not the name of a setting"), Some(rest.into()));
    }
    let separator = if name.contains('/') { '/' } else { '.' };
    let parts: Vec<&str> = name.split(separator).collect();
    match parts.as_slice() {
        _ if parts.iter().any(|part| matches!(*part, "" | "." | ".."))
            || name.contains(|letter: char| letter.is_whitespace() || letter.is_control()) =>
        {
            wrong(format!("`{name}` is not the name of a setting"), None)
        }
        ["net", _, ..] if is_pattern(name, sysctl::is_name) => {
            wrong(format!("`{name}` is a pattern, and no setting has such a name"), None)
        }
        // Nothing is below the settings of one interface: the dots in between are those of its name.
        ["net", family @ ("ipv4" | "ipv6" | "mpls"), kind @ ("conf" | "neigh"), interface @ .., setting]
            if interface.len() > 1 =>
        {
            let by_slashes = format!("net/{family}/{kind}/{}/{setting}", interface.join("."));
            let of = interface.join(".");
            if separator == '.' {
                let message = "separates by dots, and the name of the interface";
                wrong(format!("`{name}` {message} `{of}` contains one"), Some(by_slashes))
            } else {
                wrong(format!("`{name}` is not the name of a setting"), None)
            }
        }
        ["net", _, ..] if sysctl::is_name(name) => {
            let separator = if parts.iter().any(|part| part.contains('.')) { "/" } else { "." };
            Ok(parts.join(separator))
        }
        ["net", _, ..] => match sysctl::interface(name).filter(|interface| !is_interface_name(interface)) {
            Some(interface) => {
                wrong(format!("`{name}`: `{interface}` is not the name of an interface"), None)
            }
            None => wrong(format!("`{name}` is not the name of a setting"), None),
        },
        // sysctl(8) writes a dot inside a name as a slash; only one of the two can separate here.
        [first, _, ..] if first.starts_with("net.") => {
            let swapped = name
                .chars()
                .map(|letter| match letter {
                    '.' => '/',
                    '/' => '.',
                    other => other,
                })
                .collect();
            wrong(format!("`{name}` mixes dots and slashes"), Some(swapped))
        }
        ["ipv4" | "ipv6" | "core" | "netfilter", _, ..] => {
            wrong(format!("`{name}` is not a full name"), Some(format!("net{separator}{name}")))
        }
        _ => wrong(format!("`{name}` is not a setting under `net.`"), None),
    }
}

/// The value as the kernel shows it: words that are separated by one blank.
fn sysctl_value(value: &SysctlValue, here: impl Fn() -> KeyPath, issues: &mut Issues) -> String {
    match &value.0 {
        Scalar::Number(number) => number.to_string(),
        Scalar::Text(text) => {
            if text.contains(|letter: char| letter.is_control() && letter != '\t') {
                issues.push(
                    Issue::new(here(), "the value contains a line break or another control character")
                        .expected("a value on one line"),
                );
            } else if !text.split_whitespace().all(sysctl::is_value) {
                issues.push(
                    Issue::new(here(), "the value contains characters that no kernel setting has")
                        .expected("a value of ASCII letters, digits and punctuation"),
                );
            }
            let mut words = text.split_whitespace();
            let mut joined: String = words.next().unwrap_or_default().into();
            for word in words {
                joined.push(' ');
                joined.push_str(word);
            }
            joined
        }
    }
}

/// The timeouts of connections.
pub(super) fn timeouts(entry: Option<&TimeoutsEntry>, issues: &mut Issues) -> Timeouts {
    let Some(TimeoutsEntry { tcp, tcp_fin, udp }) = entry else { return Timeouts::default() };
    let mut timeout = |key: &'static str, duration: &Option<DurationText>| {
        value::seconds(duration.as_ref()?, TIMEOUT, || key_path!["timeouts", key], issues)
    };
    Timeouts { tcp: timeout("tcp", tcp), tcp_fin: timeout("tcp_fin", tcp_fin), udp: timeout("udp", udp) }
}

/// The sync daemons.
pub(super) fn sync(daemons: &[SyncEntry], issues: &mut Issues) -> Vec<SyncDaemon> {
    let mut roles: HashMap<SyncRole, usize> = HashMap::new();
    let mut resolved = Vec::with_capacity(daemons.len());
    for (index, daemon) in daemons.iter().enumerate() {
        let here = |key: &'static str| key_path!["sync", index, key];
        let SyncEntry { role: Choice(role), interface, id, sync_maxlen, mcast_group, mcast_port, mcast_ttl } =
            daemon;
        if let Some(first) = roles.get(role) {
            issues.push(
                Issue::new(here("role"), format!("duplicate {role}: only one can run"))
                    .first(key_path!["sync", *first, "role"]),
            );
        } else {
            roles.insert(*role, index);
        }
        check_interface(interface, here("interface"), issues);
        let group = mcast_group.as_ref().and_then(|group| match group.as_str().parse::<IpAddr>() {
            Ok(address) if address.is_multicast() => Some(address),
            _ => {
                issues.push(
                    Issue::new(here("mcast_group"), format!("`{}` is not a multicast group", group.as_str()))
                        .expected("an address from 224.0.0.0 to 239.255.255.255, or one that begins with ff"),
                );
                None
            }
        });
        let limits = sync_message(*role, group.map_or(Family::V4, Family::of));
        if let Some(length) = sync_maxlen
            && !limits.contains(&length.get())
        {
            issues.push(
                Issue::new(
                    here("sync_maxlen"),
                    format!("a {role} cannot have messages of {} bytes", length.get()),
                )
                .expected(format!("a number from {} to {}", limits.start(), limits.end())),
            );
        }
        resolved.push(SyncDaemon {
            role: *role,
            interface: interface.0.to_string(),
            id: id.and_then(|id| u8::try_from(id.get()).ok()).unwrap_or(0),
            max_length: sync_maxlen.and_then(|length| u16::try_from(length.get()).ok()),
            group,
            port: mcast_port.and_then(|port| u16::try_from(port.get()).ok()),
            ttl: mcast_ttl.and_then(|ttl| u8::try_from(ttl.get()).ok()),
        });
    }
    resolved
}

/// Checks that an interface could have this name.
pub(super) fn check_interface(name: &Interface, here: KeyPath, issues: &mut Issues) {
    let Interface(name) = name;
    if !is_interface_name(name) {
        let (wrong, expected) = if is_pattern(name, is_interface_name) {
            (
                "is a pattern, and no interface has such a name",
                "the name of one interface, such as eth1".to_owned(),
            )
        } else {
            (
                "is not the name of an interface",
                format!("1 to {} characters without spaces, `/` and `:`, such as eth1", link::LONGEST),
            )
        };
        issues.push(Issue::new(here, format!("`{name}` {wrong}")).expected(expected));
    }
}

/// How far lbd may go.
pub(super) fn policy(entry: Option<&PolicyEntry>, issues: &mut Issues) -> Policy {
    let mut policy = Policy::default();
    let Some(PolicyEntry { prune, allow_empty, max_delete, resync, history }) = entry else { return policy };
    if let Some(Choice(prune)) = prune {
        policy.prune = *prune;
    }
    policy.allow_empty = *allow_empty;
    if let Some(limit) = max_delete
        && let Some(limit) = value::max_delete(limit, || key_path!["policy", "max_delete"], issues)
    {
        policy.max_delete = limit;
    }
    if let Some(duration) = resync
        && let Some(seconds) = value::seconds(duration, RESYNC, || key_path!["policy", "resync"], issues)
    {
        policy.resync = Duration::from_secs(seconds.into());
    }
    if let Some(history) = history {
        policy.history = history.get();
    }
    policy
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_setting_has_one_name() {
        for (name, full) in [
            ("net.ipv4.ip_forward", "net.ipv4.ip_forward"),
            ("net/ipv4/ip_forward", "net.ipv4.ip_forward"),
            ("net/ipv4/conf/eth0.100/forwarding", "net/ipv4/conf/eth0.100/forwarding"),
        ] {
            assert_eq!(sysctl_name(name).ok().as_deref(), Some(full), "{name}");
        }
    }

    #[test]
    fn what_is_no_setting_says_why_and_what_to_write() {
        for (name, message, instead) in [
            ("net", "`net` is not a setting under `net.`", None),
            ("net..ip_forward", "`net..ip_forward` is not the name of a setting", None),
            ("net/../vm/x", "`net/../vm/x` is not the name of a setting", None),
            ("net.ipv4.ip_forward ", "`net.ipv4.ip_forward ` is not the name of a setting", None),
            ("vm.swappiness", "`vm.swappiness` is not a setting under `net.`", None),
            ("ipv4.ip_forward", "`ipv4.ip_forward` is not a full name", Some("net.ipv4.ip_forward")),
            (
                "/proc/sys/net/ipv4/ip_forward",
                "`/proc/sys/net/ipv4/ip_forward` is a path, not the name of a setting",
                Some("net/ipv4/ip_forward"),
            ),
            (
                "net.ipv4.conf.eth0/100.forwarding",
                "`net.ipv4.conf.eth0/100.forwarding` mixes dots and slashes",
                Some("net/ipv4/conf/eth0.100/forwarding"),
            ),
            (
                "net.ipv4.conf.*.rp_filter",
                "`net.ipv4.conf.*.rp_filter` is a pattern, and no setting has such a name",
                None,
            ),
            (
                "net.ipv4.conf.an-interface-of-20.rp_filter",
                "`net.ipv4.conf.an-interface-of-20.rp_filter`: `an-interface-of-20` is not the name of an interface",
                None,
            ),
            (
                "net.ipv4.conf.eth0.100.rp_filter",
                "`net.ipv4.conf.eth0.100.rp_filter` separates by dots, and the name of the interface `eth0.100` contains one",
                Some("net/ipv4/conf/eth0.100/rp_filter"),
            ),
            (
                "net.ipv6.neigh.bond0.4.7.gc_stale_time",
                "`net.ipv6.neigh.bond0.4.7.gc_stale_time` separates by dots, and the name of the interface `bond0.4.7` contains one",
                Some("net/ipv6/neigh/bond0.4.7/gc_stale_time"),
            ),
            (
                "net/ipv4/conf/eth0/100/rp_filter",
                "`net/ipv4/conf/eth0/100/rp_filter` is not the name of a setting",
                None,
            ),
            ("net.ipv4.$(id)", "`net.ipv4.$(id)` is not the name of a setting", None),
            ("/etc/passwd", "`/etc/passwd` is a path, not the name of a setting", None),
        ] {
            let wrong = sysctl_name(name).err().unwrap();
            assert_eq!((wrong.message.as_str(), wrong.instead.as_deref()), (message, instead), "{name}");
        }
    }

    #[test]
    fn words_of_a_value_are_separated_by_one_blank() {
        let mut issues = Issues::default();
        let value = sysctl_value(&" 4096\t87380  6291456 ".into(), || key_path![], &mut issues);
        assert_eq!(value, "4096 87380 6291456");
        assert_eq!(issues.list, []);
    }
}

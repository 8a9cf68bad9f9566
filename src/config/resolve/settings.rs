//! What stands beside the clusters: kernel settings, timeouts, sync daemons and the policy.

use std::collections::HashMap;
use std::net::IpAddr;
use std::time::Duration;

use indexmap::IndexMap;

use super::value;
use crate::config::format::document::{self, Interface, Prune, Role, Scalar, SysctlValue};
use crate::config::format::place::{Finding, Findings, Place, place};
use crate::model::link::is_interface_name;
use crate::model::sysctl::{self, VS_CONNTRACK};
use crate::model::{self, Policy, State, SyncDaemon, SyncRole, Sysctls, Timeouts};

/// The kernel settings, each under the one name that it has: by dots, and by slashes only where a part holds a dot.
pub(super) fn sysctls(
    settings: &IndexMap<String, SysctlValue>,
    findings: &mut Findings,
) -> IndexMap<String, String> {
    let mut resolved: IndexMap<String, String> = IndexMap::with_capacity(settings.len());
    let mut first: HashMap<String, &String> = HashMap::new();
    for (name, value) in settings {
        let here = || place!["sysctls", name.clone()];
        match sysctl_name(name) {
            Err(wrong) => findings.push(
                Finding::new(here(), wrong.message)
                    .at_key()
                    .expected(if is_pattern(name, sysctl::is_name) { NO_PATTERN } else { FULL_NAME })
                    .suggest(wrong.instead),
            ),
            Ok(full) => {
                if let Some(other) = first.get(&full) {
                    findings.push(
                        Finding::new(here(), format!("duplicate setting `{full}`"))
                            .at_key()
                            .first(place!["sysctls", (*other).clone()]),
                    );
                }
                first.insert(full.clone(), name);
                resolved.insert(full, sysctl_value(value, here, findings));
            }
        }
    }
    check_aliases(settings, &resolved, findings);
    resolved
}

/// Finds two names of one setting with different values: whichever came last would win, and the other be drift.
fn check_aliases(written: &IndexMap<String, SysctlValue>, resolved: &Sysctls, findings: &mut Findings) {
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
            findings.push(
                Finding::new(place!["sysctls", here], format!("`{name}` and `{canonical}` are one setting"))
                    .at_key()
                    .expected("one value for both, or only one of them")
                    .first(place!["sysctls", first]),
            );
        }
    }
}

/// FULLNAT needs the connections of IPVS in the kernel's connection tracking; a file that says nothing of it gets it.
pub(super) fn for_fullnat(
    state: &mut State,
    written: &IndexMap<String, SysctlValue>,
    findings: &mut Findings,
) {
    if !state.has_fullnat() {
        return;
    }
    let conntrack = state.sysctls.entry(VS_CONNTRACK.to_owned()).or_insert_with(|| "1".to_owned());
    if conntrack == "0" {
        let name = written.keys().find(|name| sysctl_name(name).is_ok_and(|full| full == VS_CONNTRACK));
        findings.push(
            Finding::new(
                place!["sysctls", name.cloned().unwrap_or_default()],
                format!("`fullnat` servers need {VS_CONNTRACK}: without it their answers are lost"),
            )
            .expected(format!("{VS_CONNTRACK}: 1, or nothing of it")),
        );
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
fn sysctl_value(value: &SysctlValue, here: impl Fn() -> Place, findings: &mut Findings) -> String {
    match &value.0 {
        Scalar::Number(number) => number.to_string(),
        Scalar::Text(text) => {
            if text.contains(|letter: char| letter.is_control() && letter != '\t') {
                findings.push(
                    Finding::new(here(), "the value holds a line break or another control character")
                        .expected("a value on one line"),
                );
            } else if !text.split_whitespace().all(sysctl::is_value) {
                findings.push(
                    Finding::new(here(), "the value holds letters that no kernel setting has")
                        .expected("a value of ASCII letters, digits and signs"),
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
pub(super) fn timeouts(given: Option<&document::Timeouts>, findings: &mut Findings) -> Timeouts {
    let Some(document::Timeouts { tcp, tcp_fin, udp }) = given else { return Timeouts::default() };
    let mut timeout = |key: &'static str, duration: &Option<document::Duration>| {
        // The kernel refuses more than INT_MAX/HZ seconds; 0 would leave the old value without a word.
        value::seconds(duration.as_ref()?, 1..=2_147_483, || place!["timeouts", key], findings)
    };
    Timeouts { tcp: timeout("tcp", tcp), tcp_fin: timeout("tcp_fin", tcp_fin), udp: timeout("udp", udp) }
}

/// The sync daemons.
pub(super) fn sync(daemons: &[document::SyncDaemon], findings: &mut Findings) -> Vec<SyncDaemon> {
    let mut roles: HashMap<Role, usize> = HashMap::new();
    let mut resolved = Vec::with_capacity(daemons.len());
    for (index, daemon) in daemons.iter().enumerate() {
        let here = |key: &'static str| place!["sync", index, key];
        let document::SyncDaemon { role, interface, id, sync_maxlen, mcast_group, mcast_port, mcast_ttl } =
            daemon;
        if let Some(first) = roles.get(role) {
            findings.push(
                Finding::new(here("role"), format!("duplicate {}: only one can run", role.word()))
                    .first(place!["sync", *first, "role"]),
            );
        } else {
            roles.insert(*role, index);
        }
        check_interface(interface, here("interface"), findings);
        let group = mcast_group.as_ref().and_then(|group| match group.as_str().parse::<IpAddr>() {
            Ok(address) if address.is_multicast() => Some(address),
            _ => {
                findings.push(
                    Finding::new(
                        here("mcast_group"),
                        format!("`{}` is not a multicast group", group.as_str()),
                    )
                    .expected("an address from 224.0.0.0 to 239.255.255.255, or one that begins with ff"),
                );
                None
            }
        });
        // The kernel quietly changes a length outside these limits, and the table would never be in sync.
        let least = if *role == Role::Backup { 1_024 } else { 1 };
        let most = if group.is_some_and(|group| group.is_ipv6()) { 65_487 } else { 65_507 };
        if let Some(length) = sync_maxlen
            && !(least..=most).contains(&length.get())
        {
            findings.push(
                Finding::new(
                    here("sync_maxlen"),
                    format!("a {} takes no messages of {} bytes", role.word(), length.get()),
                )
                .expected(format!("a number from {least} to {most}")),
            );
        }
        resolved.push(SyncDaemon {
            role: match role {
                Role::Master => SyncRole::Master,
                Role::Backup => SyncRole::Backup,
            },
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
pub(super) fn check_interface(name: &Interface, here: Place, findings: &mut Findings) {
    let Interface(name) = name;
    if !is_interface_name(name) {
        let (wrong, expected) = if is_pattern(name, is_interface_name) {
            ("is a pattern, and no interface has such a name", "the name of one interface, such as eth1")
        } else {
            (
                "is not the name of an interface",
                "1 to 15 characters without blanks, `/` and `:`, such as eth1",
            )
        };
        findings.push(Finding::new(here, format!("`{name}` {wrong}")).expected(expected));
    }
}

/// How far lbd may go.
pub(super) fn policy(given: Option<&document::Policy>, findings: &mut Findings) -> Policy {
    let mut policy = Policy::default();
    let Some(document::Policy { prune, allow_empty, max_delete, resync }) = given else { return policy };
    match prune {
        None | Some(Prune::Owned) => policy.prune = model::Prune::Owned,
        Some(Prune::All) => policy.prune = model::Prune::All,
        Some(Prune::Never) => policy.prune = model::Prune::Never,
    }
    policy.allow_empty = *allow_empty;
    if let Some(limit) = max_delete
        && let Some(limit) = value::max_delete(limit, || place!["policy", "max_delete"], findings)
    {
        policy.max_delete = limit;
    }
    if let Some(duration) = resync
        && let Some(seconds) = value::seconds(duration, 1..=86_400, || place!["policy", "resync"], findings)
    {
        policy.resync = Duration::from_secs(seconds.into());
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
            ("net.ipv4.$(id)", "`net.ipv4.$(id)` is not the name of a setting", None),
            ("/etc/passwd", "`/etc/passwd` is a path, not the name of a setting", None),
        ] {
            let wrong = sysctl_name(name).err().unwrap();
            assert_eq!((wrong.message.as_str(), wrong.instead.as_deref()), (message, instead), "{name}");
        }
    }

    #[test]
    fn words_of_a_value_are_separated_by_one_blank() {
        let mut findings = Findings::default();
        let value = sysctl_value(&" 4096\t87380  6291456 ".into(), || place![], &mut findings);
        assert_eq!(value, "4096 87380 6291456");
        assert_eq!(findings.list, []);
    }
}

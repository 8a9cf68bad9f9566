//! Explains why the kernel does not have a kernel setting, or does not take a value for it.

use super::{Refusal, os_text, with_name};
use crate::model::sysctl::{interface, parts};

/// A refusal with the number's name in its message.
fn refused(errno: i32, text: &str) -> Refusal {
    Refusal { errno, message: with_name(errno, text) }
}

/// Why a setting was refused, as far as the number alone tells.
pub(super) fn cause(name: &str, errno: i32) -> Option<String> {
    match errno {
        libc::ENOENT => Some(absence(name, parts(name).len().saturating_sub(1), None)),
        libc::EINVAL => Some(format!("the kernel does not take the value; {}", expectation(name, None))),
        _ => None,
    }
}

/// A setting that is not there: of its name the parts before `place` are. `near` is a setting that is there and has
/// nearly the same name.
pub(in crate::kernel) fn missing(name: &str, place: usize, near: Option<&str>) -> Refusal {
    let text = match near {
        Some(_) => format!("this kernel has no such setting; {}", absence(name, place, near)),
        None => absence(name, place, near),
    };
    refused(libc::ENOENT, &text)
}

/// Why a setting may be missing, of whose name the parts before `place` are there, or which one was meant.
pub(in crate::kernel) fn absence(name: &str, place: usize, near: Option<&str>) -> String {
    if let Some(near) = near {
        return format!("did you mean {near}?");
    }
    let parts = parts(name);
    let path = parts.get(..=place).unwrap_or(&parts);
    let newer = |version| format!("this kernel does not have it; kernels from {version} on do");
    match path {
        ["net", "ipv4", "vs"] => "the settings of IPVS are not there; load the module ip_vs, and mind that kernels \
                                  before 6.12 hide them from user namespaces"
            .into(),
        ["net", "ipv4", "vs", "run_estimation"] => newer("6.1"),
        ["net", "ipv4", "vs", "est_cpulist" | "est_nice"] => newer("6.12"),
        ["net", "ipv4", "vs", "conn_max" | "conn_lfactor" | "svc_lfactor"] => newer("7.0"),
        ["net", "ipv4", "vs", "conntrack" | "snat_reroute"] => {
            "this kernel's IPVS was built without connection tracking (CONFIG_IP_VS_NFCT); take a kernel that has it"
                .into()
        }
        ["net", "ipv4", "vs", "debug_level"] => {
            "this kernel's IPVS was built without debugging (CONFIG_IP_VS_DEBUG); leave it out".into()
        }
        ["net", "bridge", ..] => needs_module("br_netfilter"),
        ["net", "nf_conntrack_max"] | ["net", "netfilter"] => needs_module("nf_conntrack"),
        ["net", "netfilter", leaf] if leaf.starts_with("nf_conntrack") => needs_module("nf_conntrack"),
        ["net", "mpls", ..] => needs_module("mpls_router"),
        ["net", "ipv6"] => "this kernel does no IPv6; was it started with ipv6.disable=1?".into(),
        [.., part] if place == 3 && interface(name) == Some(part) => {
            format!("interface {part} is not there, or has no IPv6 (an MTU below 1280?); it went a moment ago, read again")
        }
        _ => "this kernel does not have it here; it may need a module or a newer kernel, or be in the host's own network \
              namespace only"
            .into(),
    }
}

fn needs_module(module: &str) -> String {
    format!(
        "the module {module} is not loaded, and its settings are not there; load it by `modprobe {module}`, and at boot by \
         a file in /etc/modules-load.d"
    )
}

/// A name that leads to several settings.
pub(in crate::kernel) fn directory() -> Refusal {
    refused(libc::EISDIR, "this is a directory of settings, and no setting; name one of those in it")
}

/// A setting that can be written but never be read, as net.ipv4.route.flush.
pub(in crate::kernel) fn unreadable() -> Refusal {
    refused(
        libc::EACCES,
        "the kernel never shows what it is: this makes something happen, and cannot be kept; take it out of the file",
    )
}

/// A setting that could not be opened for writing. `is_fixed` where nobody may write to it.
pub(in crate::kernel) fn unwritable(errno: i32, is_fixed: bool) -> Refusal {
    let text = match errno {
        libc::EACCES | libc::EPERM if is_fixed => {
            "it cannot be changed here; it is fixed, or can be set in the host's own network namespace only"
                .into()
        }
        libc::EACCES | libc::EPERM => "lbd may not change it; it takes CAP_NET_ADMIN, and under systemd \
                                       ReadWritePaths=/proc/sys/net"
            .into(),
        libc::EROFS => {
            "/proc/sys is read-only here; under systemd set ReadWritePaths=/proc/sys/net, and in a container \
                        mount it writable (for Docker --privileged or --sysctl)"
                .into()
        }
        errno => os_text(errno),
    };
    refused(errno, &text)
}

/// A value that the kernel refuses; `now` is the one that it has.
pub(in crate::kernel) fn value(name: &str, value: &str, errno: i32, now: Option<&str>) -> Refusal {
    let text = match errno {
        libc::EINVAL | libc::ERANGE | libc::EDOM => {
            format!("the kernel does not take `{value}`; {}", expectation(name, now))
        }
        libc::ENOENT => {
            format!(
                "the kernel does not know `{value}`; is there a module to be loaded for it? {}",
                is_now(now)
            )
        }
        libc::EPERM | libc::EACCES => format!("the kernel does not let lbd set `{value}`; {}", is_now(now)),
        libc::EBUSY => "the kernel is busy with it; try again".into(),
        errno => os_text(errno),
    };
    refused(errno, text.trim_end_matches("; "))
}

fn is_now(now: Option<&str>) -> String {
    now.map(|now| format!("it is `{now}` now")).unwrap_or_default()
}

/// What the kernel takes, where that is known.
fn expectation(name: &str, now: Option<&str>) -> String {
    match parts(name).as_slice() {
        ["net", "ipv4", "vs", "drop_entry" | "drop_packet" | "secure_tcp" | "sync_retries"] => {
            "it can be 0 to 3".into()
        }
        ["net", "ipv4", "vs", "sync_version"] => "it can be 0 or 1".into(),
        ["net", "ipv4", "vs", "sync_ports"] => "it can be 1, 2, 4, 8, 16, 32 or 64".into(),
        ["net", "ipv4", "vs", "sync_threshold"] => {
            "it takes two numbers, the second one larger than the first, or 0: `3 50`".into()
        }
        ["net", "ipv4", "vs", "est_nice"] => "it can be -20 to 19".into(),
        ["net", "ipv4", "ip_local_port_range"] => {
            "it takes two port numbers, the smaller one first: `32768 60999`".into()
        }
        _ => match now {
            Some(now) if now.parse::<i64>().is_ok() => format!("it takes a whole number, and is {now} now"),
            Some(now) => format!("it is `{now}` now"),
            None => "see the kernel's documentation for what it takes".into(),
        },
    }
}

/// A value of which the kernel made another one. In the file it would be drift for ever.
pub(in crate::kernel) fn other_value(wanted: &str, shown: &str) -> Refusal {
    Refusal {
        errno: 0,
        message: format!(
            "the kernel took `{wanted}` and made `{shown}` of it; write `{shown}` into the file"
        ),
    }
}

/// A value of which nobody can say whether it was taken.
pub(in crate::kernel) fn not_read_back(errno: i32) -> Refusal {
    refused(errno, &format!("it was written, but cannot be read back: {}", os_text(errno)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_missing_setting_is_told_with_what_it_may_be_missing_for() {
        let said = |name: &str, place| missing(name, place, None).message;
        for (name, place, words) in [
            ("net.ipv4.vs.conntrack", 2, "load the module ip_vs"),
            ("net.ipv4.vs.conntrack", 3, "CONFIG_IP_VS_NFCT"),
            ("net.ipv4.vs.est_nice", 3, "kernels from 6.12 on"),
            ("net.bridge.bridge-nf-call-iptables", 1, "`modprobe br_netfilter`"),
            ("net.netfilter.nf_conntrack_max", 2, "`modprobe nf_conntrack`"),
            ("net.ipv6.conf.all.forwarding", 1, "does no IPv6"),
            ("net/ipv4/conf/eth0.7/rp_filter", 3, "interface eth0.7 is not there"),
            ("net.core.wmem_max", 2, "host's own network namespace only"),
        ] {
            let message = said(name, place);
            assert!(message.contains(words) && message.contains(" (ENOENT); "), "{name}: {message}");
        }
        assert_eq!(
            missing("net.ipv4.ip_foward", 2, Some("net.ipv4.ip_forward")).message,
            "this kernel has no such setting (ENOENT); did you mean net.ipv4.ip_forward?"
        );
    }

    #[test]
    fn a_value_that_is_not_taken_is_told_with_what_is() {
        assert_eq!(
            value("net.ipv4.vs.drop_entry", "4", libc::EINVAL, Some("0")).message,
            "the kernel does not take `4` (EINVAL); it can be 0 to 3"
        );
        assert_eq!(
            value("net.ipv4.conf.all.rp_filter", "yes", libc::EINVAL, Some("0")).message,
            "the kernel does not take `yes` (EINVAL); it takes a whole number, and is 0 now"
        );
        assert_eq!(
            other_value("8080,8081", "8080-8081").message,
            "the kernel took `8080,8081` and made `8080-8081` of it; write `8080-8081` into the file"
        );
    }
}

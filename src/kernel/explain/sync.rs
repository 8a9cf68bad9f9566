//! Explains why the kernel refuses timeouts and sync daemons.

use crate::model::{SyncDaemon, SyncRole, Timeouts};

/// Why timeouts were refused, where that can be told.
pub(super) fn timeouts(to: Timeouts, errno: i32) -> Option<String> {
    if errno != libc::EINVAL {
        return None;
    }
    let Timeouts { tcp, tcp_fin, udp } = to;
    let longest = [("tcp", tcp), ("tcp_fin", tcp_fin), ("udp", udp)]
        .into_iter()
        .filter_map(|(key, seconds)| Some((key, seconds?)))
        .max_by_key(|(_, seconds)| *seconds);
    // The kernel counts in ticks and has 31 bits for them; a tick is 1 to 10 ms.
    Some(match longest {
        Some((key, seconds)) => format!(
            "{key} with {seconds} s is longer than this kernel can count, and it set none of them; 2147483 s always fit"
        ),
        None => "the kernel does not take the timeouts; 2147483 s always fit".into(),
    })
}

/// Why a sync daemon did not start, where that can be told.
pub(super) fn start(to: &SyncDaemon, errno: i32) -> Option<String> {
    let SyncDaemon { role, interface, group, .. } = to;
    let is_v6 = group.is_some_and(|group| group.is_ipv6());
    Some(match errno {
        libc::ENODEV => format!("there is no interface {interface}; it went a moment ago, read again"),
        libc::EEXIST => format!("a sync {role} runs already; another program started it, read again"),
        // Whether an address is there does not matter (seen on 5.10 to 7.2).
        libc::ENETUNREACH | libc::ENETDOWN | libc::EHOSTUNREACH if is_v6 => format!(
            "nothing can be sent to an IPv6 group by interface {interface}; set it up (`ip link set {interface} up`), \
             and see that net.ipv6.conf.{interface}.disable_ipv6 is 0"
        ),
        libc::ENETUNREACH | libc::ENETDOWN | libc::EHOSTUNREACH => {
            format!("interface {interface} is down; set it up (`ip link set {interface} up`)")
        }
        libc::EADDRINUSE => {
            "another program holds the port; stop it, or set another mcast_port here and on the other director".into()
        }
        libc::EADDRNOTAVAIL => format!(
            "interface {interface} has no address to send from yet; give it one, or wait until its IPv6 address is valid"
        ),
        libc::EINVAL => "a sync daemon cannot run while a service has a server of another family (IPv4 behind IPv6 or \
                         the other way round); take these servers out of the table, foreign ones included, or run no \
                         sync daemon"
            .into(),
        libc::EAFNOSUPPORT | libc::EPROTONOSUPPORT => {
            "the kernel does no IPv6; take an IPv4 group such as 224.0.0.81".into()
        }
        libc::EINTR => "the kernel was interrupted, and the sync daemon does not run; try again".into(),
        _ => return None,
    })
}

/// Why a sync daemon did not stop, where that can be told.
pub(super) fn stop(role: SyncRole, errno: i32) -> Option<String> {
    Some(match errno {
        libc::ESRCH => format!("no sync {role} runs any more; another program stopped it, read again"),
        libc::EINTR => format!("the kernel was interrupted, and the sync {role} still runs; try again"),
        _ => return None,
    })
}

//! Explains why the kernel refuses an edit of a virtual service or a real server.

use std::net::IpAddr;

use crate::model::{
    Action, Family, Forwarding, PersistenceMask, RealServer, Scheduling, ServerKey, ServerOp, ServiceKey,
    ServiceOp, TunnelKind,
};

/// Why the kernel rejected an operation on a virtual service, where the cause is known.
pub(super) fn service(operation: &ServiceOp, errno: i32) -> Option<String> {
    Some(match errno {
        libc::EEXIST => {
            "this service is there already; another program added it, read again and edit it".into()
        }
        libc::ESRCH => "no such service in the kernel; another program removed it, read again".into(),
        libc::ENOENT => match operation {
            ServiceOp::Add { to, .. } | ServiceOp::Edit { to, .. } => unknown_module(to),
            ServiceOp::Delete { .. } => return None,
        },
        libc::ERANGE => OUT_OF_RANGE.into(),
        libc::EINVAL if operation.service().mark() == Some(0) => MARK_0.into(),
        libc::EINVAL => match operation {
            ServiceOp::Add { to, .. } => invalid_service(Action::Add, to),
            ServiceOp::Edit { to, .. } => invalid_service(Action::Edit, to),
            ServiceOp::Delete { .. } => REFUSED_VALUE.into(),
        },
        libc::EAFNOSUPPORT => no_family(operation.service()),
        _ => return None,
    })
}

/// Why the kernel rejected an operation on a real server, where the cause is known.
pub(super) fn server(operation: &ServerOp, errno: i32) -> Option<String> {
    Some(match errno {
        libc::EEXIST => {
            "the service has this server already; another program added it, read again and edit it".into()
        }
        libc::ESRCH => {
            "no such service in the kernel any more; another program removed it, read again".into()
        }
        libc::ENOENT => {
            "no such server in the service any more; another program removed it, read again".into()
        }
        libc::ERANGE => match operation {
            ServerOp::Add { to, .. } => out_of_range(to),
            ServerOp::Edit { to, .. } => out_of_range(to),
            ServerOp::Delete { .. } => OUT_OF_RANGE.into(),
        },
        libc::EINVAL if operation.service().mark() == Some(0) => MARK_0.into(),
        libc::EINVAL => match operation {
            ServerOp::Add { service, server, to } => invalid_server(Action::Add, service, server, to),
            ServerOp::Edit { service, server, to, .. } => invalid_server(Action::Edit, service, server, to),
            ServerOp::Delete { .. } => REFUSED_VALUE.into(),
        },
        libc::EAFNOSUPPORT => no_family(operation.service()),
        _ => return None,
    })
}

const OUT_OF_RANGE: &str = "a value is out of the kernel's range";

const MARK_0: &str = "a firewall mark of 0 is no mark; marks are 1 to 4294967295";

fn no_family(service: &ServiceKey) -> String {
    match service.family() {
        Family::V6 => "the kernel does no IPv6; was it started with ipv6.disable=1?".into(),
        Family::V4 => {
            "the kernel does not know the address family; is IPv6 switched off (ipv6.disable=1)?".into()
        }
    }
}

fn unknown_module(to: &Scheduling) -> String {
    let scheduler = &to.scheduler;
    let engine = match &to.engine {
        Some(engine) => format!(" or persistence engine `{engine}`"),
        None => String::new(),
    };
    let modules = match &to.engine {
        Some(engine) => format!("are the modules ip_vs_{scheduler} and ip_vs_pe_{engine}"),
        None => format!("is the module ip_vs_{scheduler}"),
    };
    format!(
        "this kernel cannot load scheduler `{scheduler}`{engine}; {modules} installed, and kernel.modules_disabled 0? \
         Try modprobe, or take another one"
    )
}

fn out_of_range(to: &RealServer) -> String {
    if to.weight > i32::MAX as u32 {
        return format!("the weight {} is too large; the kernel's largest is {}", to.weight, i32::MAX);
    }
    "the lower threshold is above the upper one; lower it, or raise the other".into()
}

const REFUSED_VALUE: &str = "the kernel does not take one of the values; it does not say which, \
     compare them with those of a service that works";

fn invalid_service(action: Action, to: &Scheduling) -> String {
    if let Some(persistence) = to.persistence
        && let PersistenceMask::V6(length) = persistence.mask
        && !(1..=128).contains(&length)
    {
        return format!("the persistence mask {length} is no prefix length of IPv6; it can be 1 to 128");
    }
    if to.scheduler.as_str() == "mh" && action == Action::Edit {
        return "the scheduler mh takes at most 4093 servers (a lookup table of 12 bits); spread \
                them over several services or take another scheduler (old kernels leave the service without any)"
            .into();
    }
    REFUSED_VALUE.into()
}

fn invalid_server(action: Action, service: &ServiceKey, server: &ServerKey, to: &RealServer) -> String {
    if let Forwarding::Tunnel(tunnel) = to.forwarding
        && tunnel.kind == TunnelKind::Gue
        && tunnel.port == 0
    {
        return "a GUE tunnel needs a port; give tunnel.port the one on which the server listens".into();
    }
    if Family::of(server.address) != service.family() {
        return match to.forwarding {
            Forwarding::Tunnel(_) => format!(
                "a server of another family than its service's cannot be used while a sync daemon runs; stop the \
                 daemon, or give the server an {} address",
                service.family()
            ),
            Forwarding::Nat | Forwarding::FullNat | Forwarding::DirectRouting | Forwarding::Other(_) => {
                format!(
                    "an {} server behind an {} service can only be reached by a tunnel; set forward: tun",
                    Family::of(server.address),
                    service.family()
                )
            }
        };
    }
    if to.thresholds.upper.is_some_and(|upper| upper.get() > i32::MAX as u32) {
        return format!("this kernel takes no upper threshold above {}; lower it", i32::MAX);
    }
    if action == Action::Add && !is_unicast(server.address) {
        return format!("{} is no address of one host; give the server's own", server.address);
    }
    if action == Action::Add && server.address.is_ipv4() {
        // Without the local routing table, which the first address makes, no address is known to be one host's.
        return "the kernel does not take the address for one of a host; it is a broadcast address here, or no \
                interface of this network namespace is up yet (`ip link set lo up` is enough)"
            .into();
    }
    REFUSED_VALUE.into()
}

/// Whether IPVS takes the address for one host's, whatever the routes are.
pub(in crate::kernel) fn is_unicast(address: IpAddr) -> bool {
    match address {
        IpAddr::V4(v4) => !v4.is_unspecified() && !v4.is_broadcast() && !v4.is_multicast(),
        // Link-local ones are taken only where they are the director's own, which cannot be seen from here.
        IpAddr::V6(v6) => {
            !v6.is_unspecified()
                && !v6.is_multicast()
                && !v6.is_unicast_link_local()
                && v6.to_ipv4_mapped().is_none()
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::super::refusal;
    use super::*;
    use crate::model::{Operation, SchedulerFlags, SchedulerName, Thresholds};

    fn add_server(service: &str, server: &str, forwarding: Forwarding) -> Operation {
        let socket: std::net::SocketAddr = server.parse().unwrap();
        Operation::Server(ServerOp::Add {
            service: service.parse().unwrap(),
            server: ServerKey { address: socket.ip(), port: socket.port() },
            to: RealServer { weight: 1, forwarding, thresholds: Thresholds::default() },
        })
    }

    fn said(operation: &Operation, errno: i32) -> String {
        format!("{operation}: {}", refusal(operation, errno))
    }

    #[test]
    fn a_refusal_names_cause_number_and_way_out() {
        let gone = add_server("tcp://192.0.2.1:443", "10.0.0.7:80", Forwarding::Nat);
        assert_eq!(
            said(&gone, libc::ESRCH),
            "add server 10.0.0.7:80 to tcp://192.0.2.1:443: no such service in the kernel any more (ESRCH); another \
             program removed it, read again"
        );
        let foo = Operation::Service(ServiceOp::Add {
            service: "tcp://192.0.2.1:443".parse().unwrap(),
            to: Arc::new(Scheduling {
                scheduler: SchedulerName::new("foo").unwrap(),
                flags: SchedulerFlags::default(),
                persistence: None,
                engine: None,
                one_packet: false,
            }),
        });
        assert_eq!(
            said(&foo, libc::ENOENT),
            "add service tcp://192.0.2.1:443: this kernel cannot load scheduler `foo` (ENOENT); is the module ip_vs_foo \
             installed, and kernel.modules_disabled 0? Try modprobe, or take another one"
        );
    }

    #[test]
    fn what_the_operation_shows_is_named_before_what_is_likely() {
        let cases = [
            ("tcp://192.0.2.1:443", "[fd00::7]:80", "can only be reached by a tunnel"),
            ("tcp://192.0.2.1:443", "224.0.0.1:80", "no address of one host"),
            ("tcp://192.0.2.1:443", "10.0.0.7:80", "ip link set lo up"),
        ];
        for (service, server, words) in cases {
            let text = said(&add_server(service, server, Forwarding::Nat), libc::EINVAL);
            assert!(text.contains(words) && text.contains("(EINVAL); "), "{text}");
        }
    }
}

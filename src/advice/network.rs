//! Whether packets get to IPVS at all: addresses that are not local, checks of the way back, routes that go.

use std::collections::HashSet;
use std::sync::Arc;

use foldhash::fast::RandomState;

use super::after::Settings;
use super::question::begins_to_forward;
use super::{Advice, Finding};
use crate::host::{self, AddressInterface, Host, InterfaceKind, Target};
use crate::model::State;

fn foreign_address() -> Arc<Finding> {
    let cause = "this virtual address is not local to this host, so that IPVS never sees its packets";
    // Without a length of the prefix it is the address alone, of both families.
    let way_out = "give it to an interface (`ip address add ADDRESS dev lo`), or make it local without one (`ip route add local \
                   ADDRESS dev lo`); on a standby director this is correct";
    Finding { code: "address-not-local", cause: cause.into(), advice: way_out.into() }.into()
}

/// Virtual addresses that the kernel does not take for its own.
pub(super) fn not_local(addresses: &[Target], advice: &mut Vec<Advice>) {
    advice.reserve(addresses.len());
    let finding = foreign_address();
    // An address can be that of a service and of a mark.
    let are_distinct = addresses.iter().all(|target| target.mark.is_none());
    let mut told = HashSet::with_hasher(RandomState::default());
    for Target { address, mark: _ } in addresses {
        if !are_distinct && !told.insert(address) {
            continue;
        }
        advice.push(Advice::of(address.to_string(), &finding));
    }
}

/// Interfaces that throw away packets whose answers would leave elsewhere.
pub(super) fn strict_filters(
    address_interfaces: &[AddressInterface],
    after: &Settings,
    advice: &mut Vec<Advice>,
) {
    let mut told: Vec<&str> = Vec::new();
    for AddressInterface { interface, kind, address, default_route } in address_interfaces {
        if told.contains(&interface.as_str()) || !after.is_strict(interface) {
            continue;
        }
        let setting = host::of_interface("ipv4", interface, "rp_filter");
        let way_out = format!("add `{setting}: 2` to `sysctls`");
        match kind {
            InterfaceKind::Real if !default_route.is_empty() && !default_route.contains(interface) => {
                advice.push(Advice::new(
                    "strict-reverse-path",
                    interface,
                    format!(
                        "rp_filter is strict (1), and the default route leaves by {}: packets to {address} from clients \
                         behind that are dropped where they arrive here",
                        default_route.join(", ")
                    ),
                    way_out,
                ));
            }
            InterfaceKind::Tunnel => advice.push(Advice::new(
                "strict-reverse-path-tunnel",
                interface,
                format!(
                    "rp_filter is strict (1) on a tunnel that holds the virtual address {address}: the packets that \
                     another director sends through it are dropped"
                ),
                way_out,
            )),
            InterfaceKind::Real | InterfaceKind::AddressOnly => continue,
        }
        told.push(interface);
    }
}

/// Routes that the kernel drops as soon as it is a router itself.
pub(super) fn learned_routes(desired: &State, host: &Host, after: &Settings, advice: &mut Vec<Advice>) {
    let Some(forwarding) = begins_to_forward(desired, &host.settings) else { return };
    for interface in &host.learned {
        let setting = host::of_interface("ipv6", interface, "accept_ra");
        // With 0 the kernel takes no announcements: the routes are those of a program, which keeps them.
        let is_kernels = host.settings.get(&setting).is_none_or(|value| value != "0");
        if is_kernels && after.get(&setting).is_some_and(|value| value != "2") {
            advice.push(Advice::new(
                "learned-routes-lost",
                interface,
                format!(
                    "the IPv6 routes that routers announced there, the default route among them, are deleted as soon as \
                     {forwarding} is 1"
                ),
                format!("add `{setting}: 2` to `sysctls` (lbd sets it first), or routes of your own"),
            ));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::advice::stage::{advised, desired, live};

    fn target(address: &str, mark: Option<u32>) -> Target {
        Target { address: address.parse().unwrap(), mark }
    }

    #[test]
    fn an_address_that_is_not_local_is_named_once() {
        let host = Host {
            not_local: vec![target("10.0.0.1", None), target("10.0.0.1", Some(7)), target("fd00::1", None)],
            ..Host::default()
        };
        let cause = "this virtual address is not local to this host, so that IPVS never sees its packets";
        let advice = |address: &str| {
            Advice::new(
                "address-not-local",
                address,
                cause,
                "give it to an interface (`ip address add ADDRESS dev lo`), or make it local without one (`ip route add local \
                 ADDRESS dev lo`); on a standby director this is correct",
            )
        };
        assert_eq!(advised(&desired(""), &host), [advice("10.0.0.1"), advice("fd00::1")]);
    }

    fn holder(interface: &str, kind: InterfaceKind, default_route: &[&str]) -> AddressInterface {
        let default_route = default_route.iter().map(|name| (*name).to_owned()).collect();
        AddressInterface { interface: interface.into(), kind, address: [10, 0, 0, 1].into(), default_route }
    }

    #[test]
    fn a_strict_interface_is_named_where_clients_would_be_dropped() {
        let told = |holder: AddressInterface, all: &str, own: &str| {
            let setting = host::of_interface("ipv4", &holder.interface, "rp_filter");
            let settings = live(&[("net.ipv4.conf.all.rp_filter", all), (&setting, own)]);
            // Two addresses on one interface are one finding.
            let address_interfaces = vec![holder.clone(), holder];
            advised(&desired(""), &Host { settings, address_interfaces, ..Host::default() })
        };
        let elsewhere = || holder("eth0", InterfaceKind::Real, &["eth1", "eth2"]);
        let expected = [Advice::new(
            "strict-reverse-path",
            "eth0",
            "rp_filter is strict (1), and the default route leaves by eth1, eth2: packets to 10.0.0.1 from \
                    clients behind that are dropped where they arrive here",
            "add `net.ipv4.conf.eth0.rp_filter: 2` to `sysctls`",
        )];
        assert_eq!(told(elsewhere(), "0", "1"), expected);
        assert_eq!(told(elsewhere(), "1", "0"), expected);
        assert_eq!(told(elsewhere(), "1", "2"), []);
        assert_eq!(told(elsewhere(), "0", "0"), []);
        assert_eq!(told(holder("eth0", InterfaceKind::Real, &["eth1", "eth0"]), "1", "1"), []);
        assert_eq!(told(holder("eth0", InterfaceKind::Real, &[]), "1", "1"), []);
        assert_eq!(told(holder("dummy0", InterfaceKind::AddressOnly, &[]), "1", "1"), []);
        assert_eq!(
            told(holder("tunl0", InterfaceKind::Tunnel, &[]), "1", "0"),
            [Advice::new(
                "strict-reverse-path-tunnel",
                "tunl0",
                "rp_filter is strict (1) on a tunnel that holds the virtual address 10.0.0.1: the packets that \
                        another director sends through it are dropped",
                "add `net.ipv4.conf.tunl0.rp_filter: 2` to `sysctls`"
            )]
        );
    }

    #[test]
    fn routes_that_routers_announced_go_when_the_host_becomes_a_router() {
        let told = |forwarding: &str, accept_ra: &str, sysctls: &[(&str, &str)]| {
            let settings = live(&[
                ("net.ipv6.conf.all.forwarding", forwarding),
                ("net/ipv6/conf/eth0.100/accept_ra", accept_ra),
            ]);
            let host = Host { settings, learned: vec!["eth0.100".into()], ..Host::default() };
            let mut state = desired("");
            state.sysctls = live(sysctls);
            advised(&state, &host)
        };
        let all = ("net.ipv6.conf.all.forwarding", "1");
        let expected = |setting: &str| {
            [Advice::new(
                "learned-routes-lost",
                "eth0.100",
                format!(
                    "the IPv6 routes that routers announced there, the default route among them, are deleted as soon as \
                     {setting} is 1"
                ),
                "add `net/ipv6/conf/eth0.100/accept_ra: 2` to `sysctls` (lbd sets it first), or routes of your \
                         own",
            )]
        };
        assert_eq!(told("0", "1", &[all]), expected("net.ipv6.conf.all.forwarding"));
        let one = "net.ipv6.conf.eth1.forwarding";
        assert_eq!(told("0", "1", &[(one, "1")]), expected(one));
        assert_eq!(told("0", "1", &[]), []);
        assert_eq!(told("1", "1", &[all]), [], "whoever is a router already has none to lose");
        assert_eq!(told("0", "2", &[all]), []);
        assert_eq!(told("0", "1", &[all, ("net/ipv6/conf/eth0.100/accept_ra", "2")]), []);
        assert_eq!(told("0", "0", &[all]), [], "a program keeps its own routes");
        assert_eq!(told("0", "1", &[("net.ipv6.conf.all.forwarding", "0")]), []);
    }
}

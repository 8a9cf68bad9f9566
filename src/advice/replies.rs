//! Warns of nat services whose servers' replies the firewall does not forward, as where Docker has set the policy to drop.

use std::collections::HashMap;
use std::sync::Arc;

use super::walk::{Packet, Walk};
use super::{Advice, Finding};
use crate::host::{Chain, Hook, Host, TrackState};
use crate::model::{
    Family, Forwarding, Prefix, Protocol, ServerKey, ServiceKey, State, VirtualService, untracked,
};

/// IPVS takes replies at the hook of what is forwarded, with this priority: rules behind it see none.
const IPVS: i32 = 99;

/// The chain that Docker leaves to the operator, before its own rules.
const DOCKER_USER: &str = "chain DOCKER-USER of table filter ";

/// The servers whose replies go back through the host.
pub(super) fn forwarded(service: &VirtualService) -> impl Iterator<Item = &ServerKey> {
    let is_forwarded = |forwarding: &Forwarding| matches!(forwarding, Forwarding::Nat | Forwarding::FullNat);
    let servers = service.servers.iter().filter(move |(_, real)| is_forwarded(&real.forwarding));
    servers.map(|(server, _)| server).filter(|server| !server.address.is_loopback())
}

/// Adds a warning for each such service. Of a server to which no route is known, nothing is said.
pub(super) fn dropped(desired: &State, host: &Host, advice: &mut Vec<Advice>) {
    if host.server_interfaces.is_empty() {
        return;
    }
    let chains = &host.filter.chains;
    let walk = Walk::new(chains);
    let mut findings: HashMap<&str, Arc<Finding>> = HashMap::new();
    for (key, service) in &desired.services {
        let protocol = protocol(key, desired);
        let dropper = forwarded(service).find_map(|server| {
            let interfaces = host.server_interfaces.get(&server.address)?;
            dropper(&walk, key.family(), protocol, server, interfaces)
        });
        if let Some(chain) = dropper {
            let finding = findings.entry(chain).or_insert_with(|| not_forwarded(chain, chains, key.family()));
            advice.push(Advice::of(key, finding));
        }
    }
}

/// The protocol of a service; none where a mark has packets of several.
fn protocol(key: &ServiceKey, desired: &State) -> Option<Protocol> {
    let packets = untracked::packets(key, &desired.marks);
    let first = packets.first()?.protocol?;
    packets.iter().all(|packets| packets.protocol == Some(first)).then_some(first)
}

/// The chain that drops all replies of a server, if any does.
fn dropper<'a>(
    walk: &Walk<'a>,
    family: Family,
    protocol: Option<Protocol>,
    server: &ServerKey,
    interfaces: &[String],
) -> Option<&'a str> {
    let mut dropper = None;
    for interface in interfaces {
        let packet = Packet {
            family,
            // With another state it is the setting `vs.conntrack` that is warned of.
            state: TrackState::Established,
            protocol,
            source: Some(Prefix::around(server.address, Family::of(server.address).bits())),
            source_port: Some(server.port).filter(|port| *port != 0),
            destination: None,
            ports: &[],
            input: Some(interface),
            is_to_host: false,
        };
        let outcome = walk.at(Hook::Forward, IPVS, &packet);
        if outcome.may_pass {
            return None;
        }
        dropper = dropper.or(outcome.droppers.first().map(|(chain, _)| *chain));
    }
    dropper
}

fn not_forwarded(chain: &str, chains: &[Chain], family: Family) -> Arc<Finding> {
    let has_docker =
        chains.iter().any(|one| one.family == Some(family) && one.place.starts_with(DOCKER_USER));
    let program = match family {
        Family::V4 => "iptables",
        Family::V6 => "ip6tables",
    };
    let advice = if has_docker {
        format!(
            "let them pass before Docker's rules: `{program} -I DOCKER-USER -s NETWORK -j ACCEPT`, with the servers' network"
        )
    } else {
        "accept there what comes from the servers' network".into()
    };
    Arc::new(Finding {
        code: "replies-dropped",
        cause: format!("the firewall forwards no replies of its nat servers ({chain})").into(),
        advice: advice.into(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::advice::stage::{advised, desired};
    use crate::host::recorded;

    const DOCKER: &str = include_str!("../../tests/rulesets/docker.txt");
    const FIREWALLD: &str = include_str!("../../tests/rulesets/firewalld.json");
    const UFW: &str = include_str!("../../tests/rulesets/ufw.txt");

    fn told(listing: &str, services: &str, interface: &str) -> Vec<Advice> {
        let desired = desired(services);
        let servers = desired.services.values().flat_map(forwarded).map(|server| server.address);
        let server_interfaces = servers.map(|server| (server, vec![interface.to_owned()])).collect();
        advised(&desired, &Host { filter: recorded(listing), server_interfaces, ..Host::default() })
    }

    const NAT: &str = "tcp://10.0.0.1:80 rr nat 192.168.8.1:80*1";

    // Docker sets the policy of FORWARD to drop.
    #[test]
    fn where_docker_has_closed_forward_the_way_out_is_its_own_chain() {
        let cause =
            "the firewall forwards no replies of its nat servers (chain FORWARD of table filter (iptables))";
        let advice = "let them pass before Docker's rules: `iptables -I DOCKER-USER -s NETWORK -j ACCEPT`, with the servers' \
                      network";
        let expected = [Advice::new("replies-dropped", "tcp://10.0.0.1:80", cause, advice)];
        assert_eq!(told(DOCKER, NAT, "eth1"), expected);
        assert_eq!(told(DOCKER, &NAT.replace("nat", "fullnat"), "eth1"), expected);
        let with = |rule: &str| {
            let before = "-A DOCKER-USER -j RETURN";
            told(&DOCKER.replace(before, &format!("-A DOCKER-USER {rule} -j ACCEPT\n{before}")), NAT, "eth1")
        };
        for accepts in
            ["-s 192.168.8.0/24", "-i eth1 -p tcp", "-p tcp -m tcp --sport 80", "-d 10.0.0.0/8", "! -i eth0"]
        {
            assert_eq!(with(accepts), [], "{accepts}");
        }
        for others in ["-s 192.168.9.0/24", "-i eth2", "-p tcp -m tcp --sport 443", "-p udp"] {
            assert_eq!(with(others), expected, "{others}");
        }
    }

    #[test]
    fn nothing_is_said_of_containers_of_other_methods_and_of_firewalls_that_know_the_connection() {
        assert_eq!(told(DOCKER, "tcp://10.0.0.1:80 rr nat 172.17.0.2:80*1", "docker0"), []);
        assert_eq!(told(DOCKER, "tcp://10.0.0.1:80 rr dr 192.168.8.1:80*1", "eth1"), []);
        assert_eq!(told(DOCKER, "tcp://[fd00::1]:80 rr nat [fd00::8]:80*1", "eth1"), []);
        for listing in [FIREWALLD, &UFW.replace(":INPUT DROP", ":INPUT ACCEPT")] {
            assert_eq!(told(listing, NAT, "eth1"), []);
        }
        let closed =
            UFW.replace(" -m conntrack --ctstate RELATED,ESTABLISHED -j ACCEPT", " -p icmp -j ACCEPT");
        let advice = told(&closed, NAT, "eth1");
        assert_eq!(advice.len(), 1);
        assert_eq!(advice[0].finding.advice, "accept there what comes from the servers' network");
    }
}

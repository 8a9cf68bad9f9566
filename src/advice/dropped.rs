//! Warns of services whose packets the firewall drops: by the state of their connections, or since no rule accepts them.

use std::collections::{BTreeSet, HashMap, HashSet};
use std::fmt::Write;
use std::sync::Arc;

use super::after::Settings;
use super::services::is_behind_nat;
use super::walk::{Outcome, Packet, Walk};
use super::{Advice, Finding};
use crate::host::{FirewallRules, Hook, TrackState};
use crate::model::{
    Forwarding, MarkMatch, Protocol, RealServer, ServerKey, ServiceKey, State, VirtualService, sysctl,
    untracked,
};

/// IPVS takes its packets at the hook of those for the host itself, with this priority: rules behind it see none.
const IPVS: i32 = 99;

/// How many services an advice names.
const NAMED: usize = 3;

/// What the firewall does with the packets of the services at the hook of those for the host itself.
#[derive(Default)]
pub(super) struct Dropped {
    /// Those to which no rule accepts a connection: each with the chain that drops it
    closed: Vec<(ServiceKey, String)>,
    /// Those with `untracked: true` of which it drops just therefore all packets
    untracked: Vec<(ServiceKey, String)>,
    /// Those with dr or tun servers of which it drops what is of no known connection
    one_way: Vec<OneWay>,
}

struct OneWay {
    service: ServiceKey,
    chain: String,
    way_out: WayOut,
}

/// How connection tracking can be kept off a service.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
enum WayOut {
    /// `untracked: true`
    Untracked,
    /// The same, and rules that accept what is not tracked
    UntrackedAndRule,
    /// The same, and a `match` for the mark
    UntrackedAndMatch,
    /// It has nat servers as well.
    Rule,
}

impl Dropped {
    /// Finds them.
    pub(super) fn of(desired: &State, filter: &FirewallRules) -> Self {
        let mut dropped = Self::default();
        if filter.chains.is_empty() {
            return dropped;
        }
        let walk = Walk::new(&filter.chains);
        let not_tracked: HashSet<&MarkMatch> = desired.untracked.iter().collect();
        for (key, service) in &desired.services {
            let packets = untracked::packets(key, &desired.marks);
            let is_untracked =
                !packets.is_empty() && packets.iter().all(|packets| not_tracked.contains(packets));
            dropped.add(&walk, *key, service, &packets, is_untracked);
        }
        dropped
    }

    fn add(
        &mut self,
        walk: &Walk<'_>,
        key: ServiceKey,
        service: &VirtualService,
        packets: &[MarkMatch],
        is_untracked: bool,
    ) {
        let to = |state| to_service(walk, key, packets, state);
        let (new, untracked) = (to(TrackState::New), to(TrackState::Untracked));
        let own = if is_untracked { &untracked } else { &new };
        if !own.may_pass {
            let dropped = if new.may_pass { &mut self.untracked } else { &mut self.closed };
            dropped.extend(first(own).map(|chain| (key, chain)));
            return;
        }
        if is_untracked {
            return;
        }
        // Each packet of UDP is that of a new connection.
        let has_states = packets.is_empty() || packets.iter().any(|one| one.protocol != Some(Protocol::Udp));
        if !has_states || !is_one_way(service) {
            return;
        }
        let invalid = to(TrackState::Invalid);
        let by_state: BTreeSet<_> = invalid.droppers.difference(&new.droppers).collect();
        let Some((chain, _)) = by_state.first().copied().or(invalid.droppers.first()) else { return };
        if by_state.is_empty() && invalid.may_pass {
            return;
        }
        let way_out = if is_behind_nat(service) {
            WayOut::Rule
        } else if packets.is_empty() {
            WayOut::UntrackedAndMatch
        } else if untracked.may_pass {
            WayOut::Untracked
        } else {
            WayOut::UntrackedAndRule
        };
        self.one_way.push(OneWay { service: key, chain: (*chain).to_owned(), way_out });
    }

    /// Adds a warning for each.
    pub(super) fn warn(&self, after: &Settings, advice: &mut Vec<Advice>) {
        let mut findings: HashMap<(&'static str, &str), Arc<Finding>> = HashMap::new();
        for (service, chain) in &self.closed {
            let finding = findings.entry(("service-dropped", chain)).or_insert_with(|| closed(chain));
            advice.push(Advice::of(service, finding));
        }
        for (service, chain) in &self.untracked {
            let finding = findings.entry(("untracked-dropped", chain)).or_insert_with(|| only_known(chain));
            advice.push(Advice::of(service, finding));
        }
        let Some(conntrack) = after.get(sysctl::VS_CONNTRACK) else { return };
        let mut findings: HashMap<(&str, WayOut), Arc<Finding>> = HashMap::new();
        for OneWay { service, chain, way_out } in &self.one_way {
            let finding =
                findings.entry((chain, *way_out)).or_insert_with(|| one_way(chain, *way_out, conntrack));
            advice.push(Advice::of(service, finding));
        }
    }

    /// What has to be done with the setting `net.ipv4.vs.conntrack: 1`, so that no service loses its packets by it; empty where
    /// none would.
    pub(super) fn beside_tracking(&self) -> String {
        let Some(last) = self.one_way.len().checked_sub(1) else { return String::new() };
        let mut text =
            String::from(", and `untracked: true` to the clusters of services with dr or tun servers (");
        for OneWay { service, .. } in self.one_way.iter().take(NAMED) {
            let _ = write!(text, "{service}, ");
        }
        text.truncate(text.len().saturating_sub(2));
        if last >= NAMED {
            let _ = write!(text, " and {} more", last + 1 - NAMED);
        }
        text.push_str("), whose data would be dropped otherwise");
        text
    }
}

/// Whether the host sees what clients send to one of the servers, and not what it answers.
fn is_one_way(service: &VirtualService) -> bool {
    service.servers.iter().any(|(server, real): (&ServerKey, &RealServer)| match real.forwarding {
        Forwarding::DirectRouting | Forwarding::Tunnel(_) => !server.address.is_loopback(),
        Forwarding::Nat | Forwarding::FullNat | Forwarding::Other(_) => false,
    })
}

/// What may become of the packets of clients, of all kinds that lead to the service.
fn to_service<'a>(walk: &Walk<'a>, key: ServiceKey, packets: &[MarkMatch], state: TrackState) -> Outcome<'a> {
    let any = [MarkMatch { protocol: None, address: None, ports: Vec::new(), source: None, interface: None }];
    let packets = if packets.is_empty() { &any } else { packets };
    let mut all = Outcome::default();
    for MarkMatch { protocol, address, ports, source, interface } in packets {
        let packet = Packet {
            family: key.family(),
            state,
            protocol: *protocol,
            source: *source,
            source_port: None,
            destination: *address,
            ports,
            input: interface.as_deref(),
            is_to_host: true,
        };
        let one = walk.at(Hook::Input, IPVS, &packet);
        all.may_pass |= one.may_pass;
        all.droppers.extend(one.droppers);
    }
    all
}

fn first(outcome: &Outcome<'_>) -> Option<String> {
    outcome.droppers.first().map(|(chain, _)| (*chain).to_owned())
}

fn closed(chain: &str) -> Arc<Finding> {
    Arc::new(Finding {
        code: "service-dropped",
        cause: format!(
            "no rule of the firewall accepts connections to it, and what is not accepted is dropped ({chain})"
        )
        .into(),
        advice: "accept its address and port in the firewall: by `firewall-cmd --add-port`, `ufw allow`, or a rule of your own"
            .into(),
    })
}

fn only_known(chain: &str) -> Arc<Finding> {
    Arc::new(Finding {
        code: "untracked-dropped",
        cause: format!("its cluster has `untracked: true`, and the firewall accepts packets of tracked connections only ({chain})")
            .into(),
        advice: "accept its packets there by address and port without a state, or by `ct state untracked`".into(),
    })
}

fn one_way(chain: &str, way_out: WayOut, conntrack: &str) -> Arc<Finding> {
    let name = sysctl::VS_CONNTRACK;
    let effect = if conntrack == "0" {
        "the last packets of clients (FIN, RST) are dropped"
    } else {
        "all data of clients is dropped"
    };
    let advice = match way_out {
        WayOut::Untracked => "write `untracked: true` in its cluster",
        WayOut::UntrackedAndRule => {
            "write `untracked: true` in its cluster, and accept its packets in the firewall, by address and port without a \
             state or by `ct state untracked`"
        }
        WayOut::UntrackedAndMatch => "give its mark a `match`, and write `untracked: true` in its cluster",
        WayOut::Rule => {
            "accept its packets by address and port before that rule, since `untracked: true` is not for its nat servers"
        }
    };
    Arc::new(Finding {
        code: "one-way-connections",
        cause: format!(
            "the firewall drops packets of no known connection ({chain}), and the host sees one direction only of those to \
             dr and tun servers: {effect}, since {name} is {conntrack}"
        )
        .into(),
        advice: advice.into(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::advice::stage::{advised, desired, live};
    use crate::host::{Host, recorded};
    use crate::model::Mark;

    const FIREWALLD: &str = include_str!("../../tests/rulesets/firewalld.json");
    const UFW: &str = include_str!("../../tests/rulesets/ufw.txt");
    const VERDICT_MAPS: &str = include_str!("../../tests/rulesets/verdict_maps.json");

    /// The warnings behind a recorded firewall, as code, subject, cause and way out.
    fn told(listing: &str, state: &State, conntrack: &str) -> Vec<Advice> {
        let settings = live(&[("net.ipv4.vs.conntrack", conntrack)]);
        advised(state, &Host { settings, filter: recorded(listing), ..Host::default() })
    }

    fn codes(listing: &str, services: &str) -> Vec<String> {
        let advice = told(listing, &desired(services), "0");
        advice.iter().map(|one| format!("{} {}", one.finding.code, one.subject)).collect()
    }

    fn untracked(services: &str) -> State {
        let mut state = desired(services);
        let keys: Vec<ServiceKey> = state.services.keys().copied().collect();
        state.untracked = keys.iter().flat_map(|key| untracked::packets(key, &state.marks)).collect();
        state
    }

    const DR: &str = "tcp://10.0.0.1:80 rr dr 192.168.8.1:80*1";

    // With 0 the client's FIN was dropped, with 1 all of its data, and in both cases nothing was said.
    #[test]
    fn behind_firewalld_dr_and_tun_are_warned_of_with_either_value_and_not_when_untracked() {
        let warning = |subject: &str, effect: &str| {
            let cause = format!(
                "the firewall drops packets of no known connection (chain filter_INPUT of table inet firewalld \
                 (nftables)), and the host sees one direction only of those to dr and tun servers: {effect}"
            );
            Advice::new("one-way-connections", subject, cause, "write `untracked: true` in its cluster")
        };
        let last = "the last packets of clients (FIN, RST) are dropped, since net.ipv4.vs.conntrack is 0";
        let all = "all data of clients is dropped, since net.ipv4.vs.conntrack is 1";
        assert_eq!(told(FIREWALLD, &desired(DR), "0"), [warning("tcp://10.0.0.1:80", last)]);
        let tun = desired("tcp://[fd00::1]:80 rr tun [fd00::8]:80*1");
        assert_eq!(told(FIREWALLD, &tun, "1"), [warning("tcp://[fd00::1]:80", all)]);
        for conntrack in ["0", "1"] {
            assert_eq!(told(FIREWALLD, &untracked(DR), conntrack), []);
        }
        let local = desired("tcp://10.0.0.1:80 rr dr 127.0.0.1:80*1");
        assert_eq!(told(FIREWALLD, &local, "0"), [], "the host itself answers");
        let nat = desired("tcp://10.0.0.1:80 rr nat 192.168.8.1:80*1");
        assert_eq!(told(FIREWALLD, &nat, "1"), []);
    }

    // The advice for nat killed the dr service beside it.
    #[test]
    fn the_advice_for_nat_names_the_services_that_it_would_kill() {
        let both = format!("tcp://10.0.0.2:80 rr nat 192.168.8.1:80*1\n{DR}");
        let advice = told(FIREWALLD, &desired(&both), "0");
        let nat: Vec<_> = advice.iter().filter(|one| one.finding.code == "connections-not-tracked").collect();
        assert_eq!(nat.len(), 1);
        assert_eq!(
            nat[0].finding.advice,
            "add `net.ipv4.vs.conntrack: 1` to `sysctls`, and `untracked: true` to the clusters of services with dr or tun \
             servers (tcp://10.0.0.1:80), whose data would be dropped otherwise"
        );
    }

    #[test]
    fn the_way_out_fits_the_firewall_and_the_service() {
        let way_out = |listing, state: &State| -> Vec<(&str, String)> {
            let advice = told(listing, state, "1");
            advice.iter().map(|one| (one.finding.code, one.finding.advice.to_string())).collect()
        };
        // Of this firewall no rule accepts what is not tracked.
        let port_5432 = "tcp://10.0.0.1:5432 rr dr 192.168.8.1:5432*1";
        let accept = "write `untracked: true` in its cluster, and accept its packets in the firewall, by address and port \
                      without a state or by `ct state untracked`";
        assert_eq!(way_out(VERDICT_MAPS, &desired(port_5432)), [("one-way-connections", accept.into())]);
        let accept =
            "accept its packets there by address and port without a state, or by `ct state untracked`";
        assert_eq!(way_out(VERDICT_MAPS, &untracked(port_5432)), [("untracked-dropped", accept.into())]);
        let mut mark = desired("fwmark://10 rr dr 192.168.8.1:0*1");
        mark.marks = vec![Mark { mark: 10, matches: Vec::new() }];
        let of_mark = way_out(FIREWALLD, &mark);
        let text = "give its mark a `match`, and write `untracked: true` in its cluster";
        assert!(of_mark.contains(&("one-way-connections", text.into())), "{of_mark:?}");
        let mut mixed = desired(DR);
        let nat = desired("tcp://10.0.0.1:80 rr nat 192.168.8.2:80*1");
        for (key, service) in mixed.services.iter_mut() {
            service.servers_mut().extend(nat.services[key].servers.iter().map(|(key, real)| (*key, *real)));
        }
        let text = "accept its packets by address and port before that rule, since `untracked: true` is not for its nat \
                    servers";
        assert_eq!(way_out(FIREWALLD, &mixed), [("one-way-connections", text.into())]);
    }

    #[test]
    fn a_service_that_no_rule_accepts_is_named_and_nothing_is_said_where_one_may() {
        assert_eq!(
            told(FIREWALLD, &desired("udp://10.0.0.1:53 rr nat 192.168.8.1:53*1"), "1"),
            [Advice::new(
                "service-dropped",
                "udp://10.0.0.1:53",
                "no rule of the firewall accepts connections to it, and what is not accepted is dropped (chain \
                 filter_IN_public of table inet firewalld (nftables))",
                "accept its address and port in the firewall: by `firewall-cmd --add-port`, `ufw allow`, or a rule of your own"
            )]
        );
        let dr = |service: &str| codes(UFW, &format!("{service} rr dr 192.168.8.1:0*1"));
        assert_eq!(dr("tcp://10.0.0.1:8005"), ["one-way-connections tcp://10.0.0.1:8005"]);
        assert_eq!(dr("tcp://10.0.0.2:8005"), ["service-dropped tcp://10.0.0.2:8005"]);
        assert_eq!(dr("udp://10.0.0.1:80"), ["service-dropped udp://10.0.0.1:80"]);
        assert_eq!(dr("udp://10.0.0.1:137"), ["service-dropped udp://10.0.0.1:137"]);
        let dr = |service: &str| codes(VERDICT_MAPS, &format!("{service} rr dr 192.168.8.1:0*1"));
        assert_eq!(
            dr("udp://10.0.0.9:53"),
            Vec::<String>::new(),
            "UDP has no packets of unknown connections"
        );
        assert_eq!(dr("udp://10.0.0.8:53"), ["service-dropped udp://10.0.0.8:53"]);
        assert_eq!(dr("tcp://10.0.0.1:8005"), ["one-way-connections tcp://10.0.0.1:8005"]);
        assert_eq!(dr("tcp://10.0.0.1:444"), ["service-dropped tcp://10.0.0.1:444"]);
        // Its clients may be in the set.
        assert_eq!(dr("tcp://10.0.0.1:9000"), ["one-way-connections tcp://10.0.0.1:9000"]);
    }

    #[test]
    fn packets_that_a_firewall_accepts_since_they_are_not_tracked_are_accepted() {
        let chain = r#"{"nftables": [
            {"chain": {"family": "inet", "table": "t", "name": "in", "type": "filter", "hook": "input", "prio": 0, "policy": "drop"}},
            {"rule": {"family": "inet", "table": "t", "chain": "in", "expr": [{"match": {"op": "in", "left": {"ct": {"key": "state"}}, "right": ["established", "untracked"]}}, {"accept": null}]}}]}"#;
        assert_eq!(codes(chain, DR), ["service-dropped tcp://10.0.0.1:80"]);
        assert_eq!(told(chain, &untracked(DR), "0"), []);
    }

    #[test]
    fn a_firewall_that_looks_at_no_states_is_nothing_to_warn_of() {
        let chain = r#"{"nftables": [
            {"chain": {"family": "ip", "table": "t", "name": "in", "type": "filter", "hook": "input", "prio": 0, "policy": "drop"}},
            {"rule": {"family": "ip", "table": "t", "chain": "in", "expr": [{"match": {"op": "==", "left": {"payload": {"protocol": "tcp", "field": "dport"}}, "right": 80}}, {"accept": null}]}},
            {"rule": {"family": "ip", "table": "t", "chain": "in", "expr": [{"match": {"op": "in", "left": {"ct": {"key": "state"}}, "right": "invalid"}}, {"drop": null}]}}]}"#;
        assert_eq!(codes(chain, DR), Vec::<String>::new(), "the port is accepted before");
        assert_eq!(codes(chain, "tcp://[fd00::1]:81 rr dr [fd00::8]:81*1"), Vec::<String>::new());
        let behind_ipvs = chain.replace("\"prio\": 0", "\"prio\": 100");
        assert_eq!(codes(&behind_ipvs, "tcp://10.0.0.1:81 rr dr 192.168.8.1:81*1"), Vec::<String>::new());
    }
}

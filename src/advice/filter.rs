//! Warns of what other programs' firewall rules do to IPVS: marks that no rule sets, marks that are changed, states that are not known.

use std::collections::{HashMap, HashSet};

use super::Advice;
use super::after::Settings;
use super::dropped::Dropped;
use super::services::is_behind_nat;
use crate::host::{FirewallRules, Hook, HookPoint, MarkEffect, StateRule};
use crate::model::{Family, State, sysctl};

/// IPVS takes its packets at the hook of those for the host itself, with this priority: what comes later is too late.
const IPVS: i32 = 99;

/// Where lbd's own rules set marks, before routing.
const OWN: i32 = -150;

/// Whether a mark that is set here is seen by IPVS, that of local clients included.
fn is_before_ipvs(point: &HookPoint) -> bool {
    match point.hook {
        Hook::Ingress | Hook::Prerouting | Hook::Output => true,
        Hook::Input => point.priority < IPVS,
        Hook::Forward | Hook::Postrouting => false,
    }
}

/// Whether a mark that lbd has set is overwritten here before IPVS sees it.
fn is_behind_own(point: &HookPoint) -> bool {
    match point.hook {
        Hook::Prerouting => point.priority >= OWN,
        Hook::Input => point.priority < IPVS,
        Hook::Ingress | Hook::Output | Hook::Forward | Hook::Postrouting => false,
    }
}

/// Marks that a service listens on and that no rule sets.
pub(super) fn unset_marks(desired: &State, filter: &FirewallRules, advice: &mut Vec<Advice>) {
    let own: HashMap<u32, bool> =
        desired.marks.iter().map(|mark| (mark.mark, !mark.matches.is_empty())).collect();
    for key in desired.services.keys() {
        let Some(mark) = key.mark().filter(|mark| own.get(mark) != Some(&true)) else { continue };
        let family = key.family();
        let is_set = filter.marks.iter().any(|rule| {
            rule.family.is_none_or(|of| of == family)
                && rule.sets.can_be(mark)
                && rule.points.iter().any(is_before_ipvs)
        });
        if !is_set && filter.known.contains(&family) {
            advice.push(Advice::new(
                "mark-not-set",
                key,
                "no rule of nftables or iptables on this host sets this mark, and in `marks` it has no `match`",
                "give it a `match`, or set it in the firewall before IPVS sees the packet (`meta mark set`, `-j MARK`)",
            ));
        }
    }
}

/// Rules of others that change the marks that lbd sets.
pub(super) fn marks_of_others(desired: &State, filter: &FirewallRules, advice: &mut Vec<Advice>) {
    let rules = desired.mark_rules();
    let used: HashSet<(u32, Family)> =
        desired.services.keys().filter_map(|key| Some((key.mark()?, key.family()))).collect();
    let listens = |mark: u32, family: Option<Family>| match family {
        Some(family) => used.contains(&(mark, family)),
        None => [Family::V4, Family::V6].iter().any(|family| used.contains(&(mark, *family))),
    };
    let is_others = |mark: u32| !rules.iter().any(|rule| rule.mark == mark);
    let mut told = Vec::new();
    for rule in &filter.marks {
        // A mark that the file leaves to others is set as it should be.
        let is_asked_for = match rule.sets {
            MarkEffect::Exactly(mark) => is_others(mark) && listens(mark, rule.family),
            // Where it is not even known that it sets any there is nothing to warn of.
            MarkEffect::Perhaps => true,
            MarkEffect::Bits { .. } | MarkEffect::Computed => false,
        };
        let disturbs =
            rules.iter().any(|own| listens(own.mark, rule.family)) && rule.points.iter().any(is_behind_own);
        if disturbs && !is_asked_for && !told.contains(&&rule.place) {
            told.push(&rule.place);
            advice.push(Advice::new(
                "marks-changed",
                &rule.place,
                "a rule sets or restores marks of packets that lbd may have marked, and IPVS compares all 32 bits: such \
                 a packet misses its service",
                "let that rule pass over packets to the virtual addresses, or set its mark before priority mangle",
            ));
        }
    }
}

/// Firewall rules that match connection states, which IPVS does not provide.
pub(super) fn connection_states(
    desired: &State,
    filter: &FirewallRules,
    after: &Settings,
    dropped: &Dropped,
    advice: &mut Vec<Advice>,
) {
    if !after.is_off(sysctl::VS_CONNTRACK) {
        return;
    }
    let is_asked = |point: &HookPoint| matches!(point.hook, Hook::Input | Hook::Forward | Hook::Output);
    let asks = |family: Family| -> Option<&StateRule> {
        filter
            .states
            .iter()
            .find(|rule| rule.family.is_none_or(|of| of == family) && rule.points.iter().any(is_asked))
    };
    let (v4, v6) = (asks(Family::V4), asks(Family::V6));
    for (key, _) in desired.services.iter().filter(|(_, service)| is_behind_nat(service)) {
        let rule = match key.family() {
            Family::V4 => v4,
            Family::V6 => v6,
        };
        if let Some(rule) = rule {
            advice.push(Advice::new(
                "connections-not-tracked",
                key,
                format!(
                    "the firewall asks for the state of connections ({}), and does not know those of nat servers, since \
                     {} is 0",
                    rule.place,
                    sysctl::VS_CONNTRACK
                ),
                format!("add `{}: 1` to `sysctls`{}", sysctl::VS_CONNTRACK, dropped.beside_tracking()),
            ));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::advice::stage::{advised, desired, live};
    use crate::host::{Host, MarkRule};
    use crate::model::{Mark, MarkMatch};

    fn marked(text: &str, marks: &[(u32, bool)]) -> State {
        let anything =
            || MarkMatch { protocol: None, address: None, ports: Vec::new(), source: None, interface: None };
        let mark = |&(mark, has_match): &(u32, bool)| Mark {
            mark,
            matches: has_match.then(anything).into_iter().collect(),
        };
        State { marks: marks.iter().map(mark).collect(), ..desired(text) }
    }

    fn rule(sets: MarkEffect, hook: Hook, priority: i32) -> MarkRule {
        let place = "chain pre of table ip mangle (nftables)".into();
        MarkRule { place, family: Some(Family::V4), sets, points: vec![HookPoint { hook, priority }] }
    }

    fn told(state: &State, marks: Vec<MarkRule>, known: &[Family]) -> Vec<Advice> {
        let filter = FirewallRules { marks, known: known.to_vec(), ..FirewallRules::default() };
        advised(state, &Host { filter, ..Host::default() })
    }

    const BOTH: &[Family] = &[Family::V4, Family::V6];

    #[test]
    fn a_mark_without_a_match_has_to_be_set_by_another_program() {
        let state = marked("fwmark://10 rr dr 192.168.8.1:0*1", &[(10, false)]);
        let expected = [Advice::new(
            "mark-not-set",
            "fwmark://10",
            "no rule of nftables or iptables on this host sets this mark, and in `marks` it has no `match`",
            "give it a `match`, or set it in the firewall before IPVS sees the packet (`meta mark set`, `-j MARK`)",
        )];
        let pre = |sets| vec![rule(sets, Hook::Prerouting, -150)];
        assert_eq!(told(&state, vec![], BOTH), expected);
        assert_eq!(told(&state, pre(MarkEffect::Exactly(11)), BOTH), expected);
        assert_eq!(told(&state, pre(MarkEffect::Bits { value: 0x4000, mask: 0x4000 }), BOTH), expected);
        assert_eq!(told(&state, vec![rule(MarkEffect::Exactly(10), Hook::Input, 100)], BOTH), expected);
        assert_eq!(
            told(&state, vec![rule(MarkEffect::Exactly(10), Hook::Postrouting, -150)], BOTH),
            expected
        );
        for sets in [MarkEffect::Exactly(10), MarkEffect::Computed, MarkEffect::Perhaps] {
            assert_eq!(told(&state, pre(sets), BOTH), [], "{sets:?}");
        }
        assert_eq!(told(&state, vec![rule(MarkEffect::Exactly(10), Hook::Input, 0)], BOTH), []);
        assert_eq!(told(&state, vec![], &[]), [], "rules that could not be read may set it");
        assert_eq!(told(&marked("fwmark://10 rr dr 192.168.8.1:0*1", &[(10, true)]), vec![], BOTH), []);
        // The rule is one of IPv4.
        let six = marked("fwmark6://10 rr dr [fd00::1]:0*1", &[(10, false)]);
        assert_eq!(told(&six, pre(MarkEffect::Exactly(10)), BOTH).len(), 1);
    }

    #[test]
    fn marks_of_others_behind_lbds_own_are_named() {
        let state = marked(
            "fwmark://10 rr dr 192.168.8.1:0*1\nfwmark://20 rr dr 192.168.8.1:0*1",
            &[(10, true), (20, false)],
        );
        let expected = [Advice::new(
            "marks-changed",
            "chain pre of table ip mangle (nftables)",
            "a rule sets or restores marks of packets that lbd may have marked, and IPVS compares all 32 bits: \
                    such a packet misses its service",
            "let that rule pass over packets to the virtual addresses, or set its mark before priority mangle",
        )];
        let set_20 = || rule(MarkEffect::Exactly(20), Hook::Prerouting, -150);
        let with = |other: MarkRule| told(&state, vec![set_20(), other.clone(), other], BOTH);
        assert_eq!(with(rule(MarkEffect::Computed, Hook::Prerouting, -150)), expected);
        assert_eq!(with(rule(MarkEffect::Bits { value: 1, mask: 1 }, Hook::Input, 0)), expected);
        assert_eq!(with(rule(MarkEffect::Exactly(10), Hook::Prerouting, 0)), expected);
        assert_eq!(with(rule(MarkEffect::Exactly(30), Hook::Prerouting, 0)), expected);
        assert_eq!(
            with(rule(MarkEffect::Computed, Hook::Prerouting, -300)),
            [],
            "lbd's own rule comes later"
        );
        assert_eq!(with(rule(MarkEffect::Perhaps, Hook::Prerouting, -150)), []);
        assert_eq!(with(rule(MarkEffect::Computed, Hook::Forward, -150)), []);
        assert_eq!(with(rule(MarkEffect::Computed, Hook::Input, 100)), []);
        let six = MarkRule { family: Some(Family::V6), ..rule(MarkEffect::Computed, Hook::Prerouting, -150) };
        assert_eq!(with(six), []);
    }

    #[test]
    fn a_firewall_that_asks_for_states_needs_the_connections_of_nat() {
        let states = |hook| {
            let place = "chain forward of table inet filter (nftables)".into();
            vec![StateRule { place, family: None, points: vec![HookPoint { hook, priority: 0 }] }]
        };
        let told = |text: &str, hook, conntrack: &str| {
            let filter = FirewallRules { states: states(hook), ..FirewallRules::default() };
            let settings = live(&[("net.ipv4.vs.conntrack", conntrack)]);
            advised(&desired(text), &Host { settings, filter, ..Host::default() })
        };
        let nat = "tcp://10.0.0.1:80 rr nat 192.168.8.1:80*1";
        assert_eq!(
            told(nat, Hook::Forward, "0"),
            [Advice::new(
                "connections-not-tracked",
                "tcp://10.0.0.1:80",
                "the firewall asks for the state of connections (chain forward of table inet filter (nftables)), \
                        and does not know those of nat servers, since net.ipv4.vs.conntrack is 0",
                "add `net.ipv4.vs.conntrack: 1` to `sysctls`"
            )]
        );
        assert_eq!(told(nat, Hook::Forward, "1"), []);
        assert_eq!(told(nat, Hook::Prerouting, "0"), []);
        assert_eq!(told("tcp://10.0.0.1:80 rr dr 192.168.8.1:80*1", Hook::Forward, "0"), []);
    }
}

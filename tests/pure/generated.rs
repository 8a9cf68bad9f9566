//! Checks the generators of the property tests themselves: that they reach every field, and stay within the rules.

#![allow(clippy::unwrap_used)]

use std::collections::BTreeSet;

use crate::generate;
use lbd::model::{Checksum, Family, Forwarding, ServiceKey, State, TunnelKind};
use proptest::prelude::*;
use proptest::strategy::ValueTree;
use proptest::test_runner::TestRunner;

proptest! {
    #[test]
    fn a_desired_state_is_in_the_normal_form(state in generate::state()) {
        for (key, service) in &state.services {
            prop_assert!(key.mark().is_none_or(|used| state.marks.iter().any(|mark| mark.mark == used)));
            for (server, of) in service.servers.iter() {
                let tunnel = matches!(of.forwarding, Forwarding::Tunnel(_));
                prop_assert!(tunnel || Family::of(server.address) == key.family());
                if key.mark().is_none() && !matches!(of.forwarding, Forwarding::Nat | Forwarding::FullNat) {
                    prop_assert_eq!(server.port, key.default_server_port());
                }
                prop_assert!(of.thresholds.lower <= of.thresholds.upper);
                let is_nat = matches!(of.forwarding, Forwarding::Nat | Forwarding::FullNat);
                prop_assert!(!is_nat || !server.address.is_loopback());
            }
        }
    }
}

#[test]
fn the_generators_reach_everything_that_a_state_can_hold() {
    let mut seen = BTreeSet::new();
    let (mut overlap, mut runner) = (0, TestRunner::deterministic());
    for _ in 0..500 {
        let desired = generate::state().new_tree(&mut runner).unwrap().current();
        let live = generate::live_state().new_tree(&mut runner).unwrap().current();
        note(&desired, "desired", &mut seen);
        note(&live, "live", &mut seen);
        overlap += usize::from(desired.services.keys().any(|key| live.services.contains_key(key)));
    }
    for what in [
        "desired address",
        "desired fwmark",
        "desired persistent",
        "desired engine",
        "desired one packet",
        "desired flags",
        "desired upper",
        "desired lower",
        "desired nat",
        "desired dr",
        "desired ipip",
        "desired gue",
        "desired gre",
        "desired csum",
        "desired remcsum",
        "desired mixed",
        "desired quiesced",
        "desired empty",
        "desired match",
        "desired sysctl",
        "desired timeout",
        "desired sync",
        "live bypass",
        "live type-3",
        "live flags-0x8",
        "live none",
    ] {
        assert!(seen.contains(what), "no generated state has: {what}");
    }
    assert!(overlap > 250, "only {overlap} of 500 pairs of states share a service");
}

fn note(state: &State, whose: &str, seen: &mut BTreeSet<String>) {
    let mut note = |what: &str| {
        seen.insert(format!("{whose} {what}"));
    };
    for (key, service) in &state.services {
        let scheduling = &service.scheduling;
        note(if matches!(key, ServiceKey::Address { .. }) { "address" } else { "fwmark" });
        note(scheduling.scheduler.as_str());
        for (on, what) in [
            (scheduling.persistence.is_some(), "persistent"),
            (scheduling.engine.is_some(), "engine"),
            (scheduling.one_packet, "one packet"),
            (scheduling.flags != lbd::model::SchedulerFlags::default(), "flags"),
            (service.servers.is_empty(), "empty"),
        ] {
            if on {
                note(what);
            }
        }
        for (server, of) in service.servers.iter() {
            note(&of.forwarding.to_string());
            if let Forwarding::Tunnel(tunnel) = of.forwarding {
                note(&tunnel.kind.to_string());
                note(&tunnel.checksum.to_string());
                debug_assert!(tunnel.kind != TunnelKind::Ipip || tunnel.checksum == Checksum::None);
            }
            for (on, what) in [
                (Family::of(server.address) != key.family(), "mixed"),
                (!of.serves(), "quiesced"),
                (of.thresholds.upper.is_some(), "upper"),
                (of.thresholds.lower.is_some(), "lower"),
            ] {
                if on {
                    note(what);
                }
            }
        }
    }
    for (on, what) in [
        (state.marks.iter().any(|mark| !mark.matches.is_empty()), "match"),
        (!state.sysctls.is_empty(), "sysctl"),
        (state.timeouts.tcp.is_some(), "timeout"),
        (!state.sync.is_empty(), "sync"),
    ] {
        if on {
            note(what);
        }
    }
}

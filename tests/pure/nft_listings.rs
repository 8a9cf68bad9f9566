//! Reads listings that were recorded from nft: lbd's own table comes back as it was written, and nothing else passes for it.
//!
//! In `tests/listings`: `own.nft` is the script for [`own`], `own.json` what nft 1.0.6 lists after it. `foreign.nft` was
//! carried out after that; `foreign.json` and `foreign.txt` is what nft lists then.

#![allow(clippy::unwrap_used, clippy::indexing_slicing)]

use std::collections::HashSet;

use lbd::model::untracked::sorted;
use lbd::model::{Mark, MarkMatch, Prefix, Protocol};
use lbd::nft::{Listing, SourceNat, Table};
use proptest::prelude::*;
use serde_json::Value;

const SCRIPT: &str = include_str!("../listings/own.nft");
const OWN: &str = include_str!("../listings/own.json");
const FOREIGN: &str = include_str!("../listings/foreign.json");
const FOREIGN_TEXT: &str = include_str!("../listings/foreign.txt");

fn prefix(text: &str) -> Option<Prefix> {
    let (address, length) = text.split_once('/').unwrap();
    Some(Prefix { address: address.parse().unwrap(), length: length.parse().unwrap() })
}

fn packets() -> MarkMatch {
    MarkMatch { protocol: None, address: None, ports: Vec::new(), source: None, interface: None }
}

fn source_nat(service: &str, address: &str) -> SourceNat {
    SourceNat { service: service.parse().unwrap(), address: address.parse().unwrap() }
}

/// One of everything.
fn own() -> Table {
    let (tcp, udp, sctp) = (Some(Protocol::Tcp), Some(Protocol::Udp), Some(Protocol::Sctp));
    let ten = vec![
        MarkMatch {
            protocol: tcp,
            address: prefix("192.168.8.13/32"),
            ports: vec![80..=80, 443..=443, 8000..=8010],
            ..packets()
        },
        MarkMatch {
            protocol: udp,
            address: prefix("10.1.0.0/23"),
            ports: vec![53..=53],
            source: prefix("10.0.0.0/8"),
            interface: Some("eth0.100".to_owned()),
        },
    ];
    let eleven = vec![
        MarkMatch { protocol: sctp, address: prefix("0.0.0.0/0"), ports: vec![1..=65535], ..packets() },
        MarkMatch { protocol: tcp, address: prefix("::/0"), ..packets() },
        MarkMatch { protocol: tcp, source: prefix("fc00::/7"), ..packets() },
    ];
    let most = vec![
        MarkMatch { address: prefix("::ffff:1.2.3.4/128"), ..packets() },
        MarkMatch { protocol: udp, ports: vec![0..=0], ..packets() },
        MarkMatch { interface: Some("a{b}$'#;".to_owned()), ..packets() },
    ];
    let again = vec![MarkMatch { protocol: udp, ..packets() }];
    let mark = |mark, matches| Mark { mark, matches };
    let at = |protocol, address, port| MarkMatch {
        protocol,
        address: prefix(address),
        ports: vec![port..=port],
        ..packets()
    };
    let untracked = vec![
        at(tcp, "10.0.0.13/32", 443),
        at(tcp, "10.0.0.13/32", 80),
        at(udp, "fd00::1/128", 53),
        at(tcp, "10.0.0.0/24", 80),
        MarkMatch {
            source: prefix("10.0.0.0/8"),
            interface: Some("eth0".to_owned()),
            ..at(sctp, "10.0.0.13/32", 9)
        },
        MarkMatch { protocol: udp, address: prefix("fd00::1/128"), ..packets() },
        MarkMatch {
            protocol: tcp,
            address: prefix("0.0.0.0/0"),
            ports: vec![80..=80, 8000..=8010],
            ..packets()
        },
    ];
    Table {
        marks: vec![mark(10, ten), mark(11, eleven), mark(u32::MAX, most), mark(10, again)],
        untracked: sorted(untracked),
        source_nat: HashSet::from([
            source_nat("tcp://10.0.0.13:80", "192.168.8.14"),
            source_nat("tcp://10.0.0.13:80", "192.168.8.15"),
            source_nat("tcp://10.0.0.13:443", "192.168.8.14"),
            source_nat("udp://[fd00::1]:53", "fd00::ffff:1:2"),
            source_nat("sctp://10.0.0.13:36412", "192.168.8.14"),
            source_nat("fwmark://4294967295", "192.168.8.14"),
            source_nat("fwmark6://10", "::ffff:1.2.3.4"),
        ]),
        strays: Vec::new(),
    }
}

#[test]
fn the_script_is_what_a_person_would_type() {
    assert_eq!(own().script(), SCRIPT);
    assert_eq!(Table::default().script(), "add table inet lbd\ndelete table inet lbd\n");
}

#[test]
fn lbds_own_table_comes_back() {
    let listing = Listing::read(OWN).unwrap();
    assert!(!listing.needs_names());
    assert_eq!(listing.table(""), own());
}

// Without `-n`, as with an nft that has names for everything.
#[test]
fn names_are_as_good_as_numbers() {
    let named = OWN
        .replace(r#"{"key": "l4proto"}}, "right": 6}"#, r#"{"key": "l4proto"}}, "right": "tcp"}"#)
        .replace(r#"{"key": "l4proto"}}, "right": 17}"#, r#"{"key": "l4proto"}}, "right": "udp"}"#)
        .replace(r#"{"key": "l4proto"}}, "right": 132}"#, r#"{"key": "l4proto"}}, "right": "sctp"}"#)
        .replace(r#"{"key": "nfproto"}}, "right": 2}"#, r#"{"key": "nfproto"}}, "right": "ipv4"}"#)
        .replace(r#"{"key": "nfproto"}}, "right": 10}"#, r#"{"key": "nfproto"}}, "right": "ipv6"}"#);
    assert_ne!(named, OWN);
    assert_eq!(Listing::read(&named).unwrap().table(""), own());
}

#[test]
fn everything_else_is_a_stray_by_its_name() {
    let listing = Listing::read(FOREIGN).unwrap();
    assert!(listing.needs_names());
    let table = listing.table(FOREIGN_TEXT);
    let expected = [
        "map m",
        "set x",
        "counter c",
        "ct helper h",
        "limit l",
        "quota q",
        "chain mine",
        "rule tcp dport 22 counter drop in prerouting",
        "rule tcp dport 22 meta mark set 0x00000005 comment \"hi # handle 3\" in prerouting",
        "rule jump mine in prerouting",
        "rule meta mark set 0x0000000a in prerouting",
        "rule tcp dport { 1, 2 } tcp sport 5 meta mark set 0x0000000a in prerouting",
        "rule tcp dport != 1 meta mark set 0x0000000a in prerouting",
        "rule meta l4proto { tcp, udp } th dport 80 meta mark set 0x0000000a in prerouting",
        "rule ip daddr 1.2.3.4-1.2.3.9 meta mark set 0x0000000a in prerouting",
        "rule ip daddr { 1.2.3.4, 1.2.3.9 } meta mark set 0x0000000a in prerouting",
        "rule tcp dport @x meta mark set 0x0000000a in prerouting",
        "rule tcp dport 80 meta mark set meta mark | 0x00000010 in prerouting",
        "rule tcp dport 80 ct mark set 0x0000000a in prerouting",
        "rule tcp dport 80 meta mark set 0x0000000a accept in prerouting",
        "rule tcp dport 80 meta mark set 0x00000000 in prerouting",
        "rule meta l4proto icmp meta mark set 0x0000000a in prerouting",
        "rule iifname \"eth*\" meta mark set 0x0000000a in prerouting",
        "rule iif \"lo\" meta mark set 0x0000000a in prerouting",
        "rule meta mark . ip daddr @fullnat_mark4 masquerade in postrouting",
        "rule ip daddr 1.2.3.4 masquerade in postrouting",
        "rule udp dport 53 counter notrack in untracked",
        "rule notrack in untracked",
        "rule tcp dport 80 meta mark set 0x0000000a in untracked",
        "rule tcp dport 80 notrack in prerouting",
        "set untracked_tcp6",
        "element { 12 . 1.2.3.4 } of fullnat_mark4",
    ];
    let (mut found, mut expected) = (table.strays.clone(), expected.map(str::to_owned).to_vec());
    found.sort();
    expected.sort();
    assert_eq!(found, expected);
    assert_eq!(Table { strays: Vec::new(), ..table }, own());
}

#[test]
fn a_rule_that_is_gone_when_its_text_is_asked_for_is_named_by_its_number() {
    let listing = Listing::read(FOREIGN).unwrap();
    let nameless =
        listing.table("").strays.into_iter().filter(|stray| stray.starts_with("rule with handle "));
    assert_eq!(nameless.count(), 23);
}

fn entries() -> Value {
    serde_json::from_str(OWN).unwrap()
}

/// The table that is read once `edit` has been at the listing.
fn after(edit: impl FnOnce(&mut Vec<Value>)) -> Table {
    let mut document = entries();
    edit(document["nftables"].as_array_mut().unwrap());
    Listing::read(&document.to_string()).unwrap().table("")
}

/// Edits the entry of this kind and name.
fn edit(kind: &str, name: &str, key: &str, value: Value) -> Table {
    after(|entries| {
        let entry = entries.iter_mut().find(|entry| entry[kind]["name"] == name).unwrap();
        entry[kind][key] = value;
    })
}

const SETS: [&str; 8] = [
    "set fullnat_tcp4",
    "set fullnat_tcp6",
    "set fullnat_udp4",
    "set fullnat_udp6",
    "set fullnat_sctp4",
    "set fullnat_sctp6",
    "set fullnat_mark4",
    "set fullnat_mark6",
];

#[test]
fn the_rules_of_a_chain_that_is_not_lbds_are_none() {
    for (key, value) in [
        ("hook", Value::from("input")),
        ("prio", Value::from(0)),
        ("policy", Value::from("drop")),
        ("type", Value::from("route")),
        ("comment", Value::from("mine")),
    ] {
        let table = edit("chain", "prerouting", key, value);
        let strays = vec!["chain prerouting".to_owned()];
        assert_eq!(table, Table { marks: Vec::new(), strays, ..own() }, "{key}");
    }
    let table = edit("chain", "untracked", "prio", (-150).into());
    let strays = ["chain untracked", "set untracked_tcp4", "set untracked_udp6"].map(str::to_owned).into();
    assert_eq!(table, Table { untracked: Vec::new(), strays, ..own() });
    let table = edit("chain", "postrouting", "policy", "drop".into());
    let strays = ["chain postrouting"].into_iter().chain(SETS).map(str::to_owned).collect();
    assert_eq!(table, Table { source_nat: HashSet::new(), strays, ..own() });
}

#[test]
fn a_set_without_its_rule_gives_nobody_source_nat() {
    let table = after(|entries| entries.retain(|entry| !entry.to_string().contains("@fullnat_tcp4")));
    let mut expected = own();
    expected.source_nat.retain(|of| !of.service.to_string().starts_with("tcp://10."));
    expected.strays.push("set fullnat_tcp4".to_owned());
    assert_eq!(table, expected);
}

#[test]
fn a_set_that_is_made_otherwise_is_not_lbds() {
    let changes =
        [("flags", serde_json::json!(["timeout"])), ("type", "ipv4_addr".into()), ("elem", "none".into())];
    for (key, value) in changes {
        let table = edit("set", "fullnat_udp6", key, value);
        let mut expected = own();
        expected.source_nat.retain(|of| !of.service.to_string().starts_with("udp"));
        expected.strays.push("set fullnat_udp6".to_owned());
        assert_eq!(table, expected, "{key}");
    }
}

// What is in a dormant table has no effect. nft 1.0.6 may list the flag with a random value, or list nothing.
#[test]
fn a_table_with_a_flag_holds_nothing() {
    let for_people = "table inet lbd { # handle 1\n\tflags dormant\n\n\tchain prerouting { # handle 1\n";
    let dormant = Table { strays: vec!["flags dormant".to_owned()], ..Table::default() };
    let mut document = entries();
    document["nftables"][1]["table"]["flags"] = 80.into();
    let listing = Listing::read(&document.to_string()).unwrap();
    assert!(listing.needs_names());
    assert_eq!(listing.table(for_people), dormant);
    assert_eq!(Listing::of_flagged(for_people).unwrap().table(for_people), dormant);
    assert_eq!(Listing::of_flagged(FOREIGN_TEXT), None);
}

#[test]
fn what_is_no_listing_is_an_error() {
    for text in ["", "null", "[]", "{}", r#"{"nftables": 1}"#, &OWN[..OWN.len() / 2], &"[".repeat(100_000)] {
        assert!(Listing::read(text).is_err(), "{}", text.get(..40).unwrap_or(text));
    }
    assert_eq!(Listing::read(r#"{"nftables": []}"#).unwrap().table(""), Table::default());
}

/// Every place in a document.
fn places(value: &Value, here: &str, into: &mut Vec<String>) {
    into.push(here.to_owned());
    match value {
        Value::Array(list) => {
            list.iter()
                .enumerate()
                .for_each(|(index, value)| places(value, &format!("{here}/{index}"), into));
        }
        Value::Object(map) => {
            map.iter().for_each(|(key, value)| places(value, &format!("{here}/{key}"), into))
        }
        _ => {}
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 1000, failure_persistence: None, ..ProptestConfig::default() })]

    // Somebody else's tables, and those of an nft that does not exist yet.
    #[test]
    fn nothing_in_a_listing_is_passed_over(place in any::<prop::sample::Index>(), value in odd_value()) {
        let mut document = entries();
        let mut all = Vec::new();
        places(&document, "", &mut all);
        let place = place.get(&all);
        // Numbers that are other ones each time, and what the listing says of itself.
        let is_idle = place.ends_with("/handle") || place.starts_with("/nftables/0/");
        let target = document.pointer_mut(place).unwrap();
        let is_same = *target == value;
        *target = value;
        match Listing::read(&document.to_string()) {
            Ok(listing) => prop_assert_eq!(listing.table("") == own(), is_idle || is_same, "{}", place),
            Err(_) => prop_assert!(place.is_empty() || place == "/nftables"),
        }
    }
}

fn odd_value() -> impl Strategy<Value = Value> {
    use serde_json::json;
    prop::sample::select(vec![
        Value::Null,
        json!(true),
        json!(0),
        json!(-1),
        json!(4_294_967_296_u64),
        json!(1.5),
        json!(""),
        json!("10.0.0.99"),
        json!([]),
        json!({}),
        json!({ "metainfo": {} , "rule": {} }),
        json!([[["deep"]]]),
        json!({ "range": [9, 1] }),
    ])
}

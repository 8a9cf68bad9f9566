//! Writes lbd's table as text for `nft`: the script that is carried out, and the commands that a person would type.

use std::fmt::Write;
use std::ops::RangeInclusive;

use super::sets::{NatSet, SETS};
use super::untracked::{self, UntrackedSet};
use super::{SourceNat, TABLE, Table};
use crate::model::{Family, Mark, MarkMatch, Prefix, Protocol};

/// Before IPVS, and before everything that might look at a mark.
const PREROUTING: &str = "type filter hook prerouting priority mangle; policy accept;";

/// Before connection tracking.
const RAW: &str = "type filter hook prerouting priority raw; policy accept;";

/// Behind IPVS, which has put in the server's address by then.
const POSTROUTING: &str = "type nat hook postrouting priority srcnat; policy accept;";

impl Table {
    /// The script that makes the table contain this and nothing else, whatever it contains now and whether or not it exists.
    /// nft carries it out in one transaction: no packet meets half a table.
    pub fn script(&self) -> String {
        let Self { marks, untracked, source_nat, strays: _ } = self;
        // Added first, so that there is one to delete.
        let mut text = format!("add table inet {TABLE}\ndelete table inet {TABLE}\n");
        let mut line = |depth: usize, words: &str| {
            text.push_str(&"\t".repeat(depth));
            text.push_str(words);
            text.push('\n');
        };
        let mut rules = mark_rules(marks).peekable();
        if rules.peek().is_none() && untracked.is_empty() && source_nat.is_empty() {
            return text;
        }
        line(0, &format!("table inet {TABLE} {{"));
        if rules.peek().is_some() {
            line(1, "chain prerouting {");
            line(2, PREROUTING);
            rules.for_each(|rule| line(2, &rule));
            line(1, "}");
        }
        if !untracked.is_empty() {
            let (sets, rules) = untracked_rules(untracked);
            for (set, elements) in sets {
                line(1, &format!("set {} {{", set.name));
                line(2, &format!("type {};", set.types().join(" . ")));
                line(2, &format!("elements = {{ {} }};", elements.join(", ")));
                line(1, "}");
            }
            line(1, &format!("chain {} {{", untracked::CHAIN));
            line(2, RAW);
            rules.iter().for_each(|rule| line(2, rule));
            line(1, "}");
        }
        if !source_nat.is_empty() {
            for set in &SETS {
                line(1, &format!("set {} {{", set.name));
                line(2, &format!("type {};", set.types().join(" . ")));
                let elements = elements(set, source_nat);
                if !elements.is_empty() {
                    line(2, &format!("elements = {{ {} }};", elements.join(", ")));
                }
                line(1, "}");
            }
            line(1, "chain postrouting {");
            line(2, POSTROUTING);
            SETS.iter().for_each(|set| line(2, &set.rule()));
            line(1, "}");
        }
        line(0, "}");
        text
    }
}

/// In order, so that the same table is always the same script.
fn elements<'a>(set: &NatSet, source_nat: impl IntoIterator<Item = &'a SourceNat>) -> Vec<String> {
    let own = source_nat.into_iter().filter_map(|of| match NatSet::element(of) {
        Some((its_set, element)) if its_set == set => Some((*of, element)),
        _ => None,
    });
    let mut own: Vec<(SourceNat, String)> = own.collect();
    own.sort_unstable();
    own.into_iter().map(|(_, element)| element).collect()
}

/// The script that replaces the mark rules, and leaves everything else in the table as it is.
pub fn replace_marks(marks: &[Mark]) -> String {
    let chain = format!("inet {TABLE} prerouting");
    let mut text =
        format!("add table inet {TABLE}\nadd chain {chain} {{ {PREROUTING} }}\nflush chain {chain}\n");
    for rule in mark_rules(marks) {
        let _ = writeln!(text, "add rule {chain} {rule}");
    }
    text
}

/// The script that replaces what passes connection tracking by, and leaves everything else in the table as it is. The sets of
/// `from`, the live packets, are deleted.
pub fn replace_untracked(from: &[MarkMatch], to: &[MarkMatch]) -> String {
    let chain = format!("inet {TABLE} {}", untracked::CHAIN);
    let mut text = format!("add table inet {TABLE}\nadd chain {chain} {{ {RAW} }}\nflush chain {chain}\n");
    for (set, _) in untracked_rules(from).0 {
        let _ = writeln!(text, "delete set inet {TABLE} {}", set.name);
    }
    let (sets, rules) = untracked_rules(to);
    for (set, elements) in sets {
        let (name, types) = (set.name, set.types().join(" . "));
        let elements = elements.join(", ");
        let _ =
            writeln!(text, "add set inet {TABLE} {name} {{ type {types}; elements = {{ {elements} }}; }}");
    }
    for rule in rules {
        let _ = writeln!(text, "add rule {chain} {rule}");
    }
    text
}

/// The script that deletes what passes connection tracking by, `from` being the live packets.
pub fn delete_untracked(from: &[MarkMatch]) -> String {
    let mut text = format!("delete chain inet {TABLE} {}\n", untracked::CHAIN);
    for (set, _) in untracked_rules(from).0 {
        let _ = writeln!(text, "delete set inet {TABLE} {}", set.name);
    }
    text
}

/// The sets that have elements, each with these; and the rules.
fn untracked_rules(packets: &[MarkMatch]) -> (Vec<(&'static UntrackedSet, Vec<String>)>, Vec<String>) {
    let mut sets: Vec<(&UntrackedSet, Vec<String>)> =
        untracked::SETS.iter().map(|set| (set, Vec::new())).collect();
    let mut rules = Vec::new();
    for packets in packets {
        match UntrackedSet::element(packets) {
            Some((its_set, element)) => {
                let of_set = sets.iter_mut().find(|(set, _)| *set == its_set);
                if let Some((_, elements)) = of_set {
                    elements.push(element);
                }
            }
            None => rules.push(format!("{}notrack", conditions(packets))),
        }
    }
    sets.retain(|(_, elements)| !elements.is_empty());
    let rules = sets.iter().map(|(set, _)| set.rule()).chain(rules).collect();
    (sets, rules)
}

/// The command that deletes the mark rules with their chain.
pub fn delete_marks() -> String {
    format!("delete chain inet {TABLE} prerouting")
}

/// The script that sets up what source NAT needs, or sets it up again, and leaves the elements of the sets as they are.
pub fn skeleton() -> String {
    let chain = format!("inet {TABLE} postrouting");
    let mut text = format!("add table inet {TABLE}\n");
    for set in &SETS {
        let _ = writeln!(text, "add set inet {TABLE} {} {{ type {}; }}", set.name, set.types().join(" . "));
    }
    let _ = writeln!(text, "add chain {chain} {{ {POSTROUTING} }}\nflush chain {chain}");
    for set in &SETS {
        let _ = writeln!(text, "add rule {chain} {}", set.rule());
    }
    text
}

impl SourceNat {
    /// Its element, and the set of that element: `fullnat_tcp4` and `10.0.0.13 . 80 . 192.168.8.14`.
    /// `None` for what FULLNAT is not for.
    pub fn element(&self) -> Option<(&'static str, String)> {
        NatSet::element(self).map(|(set, element)| (set.name, element))
    }
}

fn mark_rules(marks: &[Mark]) -> impl Iterator<Item = String> {
    marks.iter().flat_map(|Mark { mark, matches }| matches.iter().map(|packets| rule(*mark, packets)))
}

/// `ip daddr 192.168.8.13 tcp dport { 80, 443, 8000-8010 } meta mark set 10`. The rule sets the mark and nothing else.
fn rule(mark: u32, packets: &MarkMatch) -> String {
    format!("{}meta mark set {mark}", conditions(packets))
}

/// What packets have to be, with a space behind it.
fn conditions(packets: &MarkMatch) -> String {
    let MarkMatch { protocol, address, ports, source, interface } = packets;
    let mut words = String::new();
    if let Some(interface) = interface {
        // A file can name none that has anything else in it.
        let plain = |letter: &char| letter.is_ascii_graphic() && !matches!(letter, '"' | '\\' | '*');
        let _ = write!(words, "iifname \"{}\" ", interface.chars().filter(plain).collect::<String>());
    }
    for (field, prefix) in [("saddr", source), ("daddr", address)] {
        if let Some(prefix) = prefix {
            let _ = write!(words, "{} ", addresses(field, prefix));
        }
    }
    match (protocol, ports.as_slice()) {
        // No file can ask for another one.
        (Some(Protocol::Other(number)), _) => {
            let _ = write!(words, "meta l4proto {number} ");
        }
        (Some(protocol), [one]) => {
            let _ = write!(words, "{protocol} dport {} ", range(one));
        }
        (Some(protocol), [_, ..]) => {
            let ports: Vec<String> = ports.iter().map(range).collect();
            let _ = write!(words, "{protocol} dport {{ {} }} ", ports.join(", "));
        }
        (Some(protocol), []) => {
            let _ = write!(words, "meta l4proto {protocol} ");
        }
        (None, _) => {}
    }
    words
}

fn addresses(field: &str, prefix: &Prefix) -> String {
    match (Family::of(prefix.address), prefix.length) {
        (Family::V4, 0) => "meta nfproto ipv4".to_owned(),
        (Family::V6, 0) => "meta nfproto ipv6".to_owned(),
        (Family::V4, _) => format!("ip {field} {prefix}"),
        (Family::V6, _) => format!("ip6 {field} {prefix}"),
    }
}

fn range(ports: &RangeInclusive<u16>) -> String {
    match (ports.start(), ports.end()) {
        (first, last) if first == last => first.to_string(),
        (first, last) => format!("{first}-{last}"),
    }
}

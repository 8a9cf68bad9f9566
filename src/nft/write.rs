//! Writes lbd's table as text for `nft`: the script that is carried out, and the commands that a person would type.

use std::fmt::Write;
use std::ops::RangeInclusive;

use super::sets::{NatSet, SETS};
use super::{SourceNat, TABLE, Table};
use crate::model::{Family, Mark, MarkMatch, Prefix, Protocol};

/// Before IPVS, and before everything that might look at a mark.
const PREROUTING: &str = "type filter hook prerouting priority mangle; policy accept;";

/// Behind IPVS, which has put in the server's address by then.
const POSTROUTING: &str = "type nat hook postrouting priority srcnat; policy accept;";

impl Table {
    /// The script that makes the table contain this and nothing else, whatever it contains now and whether or not it exists.
    /// nft carries it out in one transaction: no packet meets half a table.
    pub fn script(&self) -> String {
        let Self { marks, source_nat, strays: _ } = self;
        // Added first, so that there is one to delete.
        let mut text = format!("add table inet {TABLE}\ndelete table inet {TABLE}\n");
        let mut line = |depth: usize, words: &str| {
            text.push_str(&"\t".repeat(depth));
            text.push_str(words);
            text.push('\n');
        };
        let mut rules = mark_rules(marks).peekable();
        if rules.peek().is_none() && source_nat.is_empty() {
            return text;
        }
        line(0, &format!("table inet {TABLE} {{"));
        if rules.peek().is_some() {
            line(1, "chain prerouting {");
            line(2, PREROUTING);
            rules.for_each(|rule| line(2, &rule));
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

/// The command that deletes the mark rules with their chain.
pub fn delete_chain() -> String {
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
    let _ = write!(words, "meta mark set {mark}");
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

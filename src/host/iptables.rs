//! Finds in the text of `iptables-save` the chains, and the rules that set marks or match connection states.

use std::collections::{HashMap, HashSet};

use super::hook::{Hook, HookPoint};
use super::iptables_chains::{SavedTable, chains};
use super::rules::{FirewallRules, MarkEffect, MarkRule, StateRule};
use crate::model::Family;

/// A rule: its chain and its words.
struct Rule {
    chain: String,
    words: Vec<String>,
}

/// Adds what is found to `filter`, and gives the names of the tables.
pub(super) fn parse(text: &str, family: Family, filter: &mut FirewallRules) -> Vec<String> {
    let mut tables = Vec::new();
    let (mut rules, mut declared) = (Vec::new(), Vec::new());
    for line in text.lines() {
        if let Some(name) = line.strip_prefix('*') {
            tables.push(name.trim().to_owned());
            rules.clear();
            declared.clear();
        } else if let Some(chain) = line.strip_prefix(':') {
            // `:INPUT DROP [0:0]`
            let mut words = chain.split(' ').map(str::to_owned);
            declared.extend(words.next().zip(words.next()));
        } else if line.trim() == "COMMIT" {
            if let Some(table) = tables.last() {
                find(table, &rules, &declared, family, filter);
            }
            rules.clear();
        } else if line.starts_with("-A ") || line.starts_with('[') {
            // With counters, `[packets:bytes]` stands before the rule.
            let mut words = words(line).0.into_iter().skip_while(|word| word != "-A").skip(1);
            if let Some(chain) = words.next() {
                rules.push(Rule { chain, words: without_comment(words.collect()) });
            }
        }
    }
    tables
}

fn find(
    table: &str,
    rules: &[Rule],
    declared: &[(String, String)],
    family: Family,
    filter: &mut FirewallRules,
) {
    let reached = reached(table, rules);
    let program = match family {
        Family::V4 => "iptables",
        Family::V6 => "ip6tables",
    };
    let saved = SavedTable { family, name: table, program, chains: declared };
    let words = rules.iter().map(|rule| (rule.chain.as_str(), rule.words.as_slice()));
    let first = filter.chains.len();
    filter.chains.extend(chains(&saved, words, |hook| priority(table, hook), first));
    for Rule { chain, words } in rules {
        let Some(points) = reached.get(chain.as_str()) else { continue };
        let place = || format!("chain {chain} of table {table} ({program})");
        if let Some(sets) = sets_mark(words) {
            filter.marks.push(MarkRule {
                place: place(),
                family: Some(family),
                sets,
                points: points.clone(),
            });
        }
        if words.iter().any(|word| matches!(word.as_str(), "--ctstate" | "--state")) {
            filter.states.push(StateRule { place: place(), family: Some(family), points: points.clone() });
        }
    }
}

/// From where in the path of packets each chain is reached.
fn reached<'a>(table: &str, rules: &'a [Rule]) -> HashMap<&'a str, Vec<HookPoint>> {
    let mut jumps: HashMap<&str, Vec<&str>> = HashMap::new();
    for Rule { chain, words } in rules {
        let target = option(words, &["-j", "-g"]);
        jumps.entry(chain).or_default().extend(target);
    }
    let mut reached: HashMap<&str, Vec<HookPoint>> = HashMap::new();
    for (name, hook) in [
        ("PREROUTING", Hook::Prerouting),
        ("INPUT", Hook::Input),
        ("FORWARD", Hook::Forward),
        ("OUTPUT", Hook::Output),
        ("POSTROUTING", Hook::Postrouting),
    ] {
        let point = HookPoint { hook, priority: priority(table, hook) };
        let (mut left, mut seen) = (vec![name], HashSet::new());
        while let Some(chain) = left.pop() {
            if seen.insert(chain) {
                // The names of the kernel's chains are the rules' own.
                if let Some((chain, targets)) = jumps.get_key_value(chain) {
                    reached.entry(*chain).or_default().push(point);
                    left.extend(targets);
                }
            }
        }
    }
    reached
}

/// Where the kernel has hung up the tables of iptables.
fn priority(table: &str, hook: Hook) -> i32 {
    match (table, hook) {
        ("raw", _) => -300,
        ("mangle", _) => -150,
        ("nat", Hook::Input | Hook::Postrouting) => 100,
        ("nat", _) => -100,
        ("security", _) => 50,
        _ => 0,
    }
}

fn sets_mark(words: &[String]) -> Option<MarkEffect> {
    match option(words, &["-j"])? {
        "MARK" => {
            let value = option(words, &["--set-xmark", "--set-mark"]).and_then(masked);
            Some(match value {
                Some((value, u32::MAX)) => MarkEffect::Exactly(value),
                Some((value, mask)) => MarkEffect::Bits { value, mask },
                None => MarkEffect::Computed,
            })
        }
        "TPROXY" => {
            let (value, mask) = option(words, &["--tproxy-mark"]).and_then(masked)?;
            (value & mask != 0).then_some(MarkEffect::Bits { value, mask })
        }
        "CONNMARK" => words.iter().any(|word| word == "--restore-mark").then_some(MarkEffect::Computed),
        _ => None,
    }
}

/// `0xa/0xffffffff`, `10`
fn masked(text: &str) -> Option<(u32, u32)> {
    let number = |text: &str| match text.strip_prefix("0x") {
        Some(digits) => u32::from_str_radix(digits, 16).ok(),
        None => text.parse().ok(),
    };
    match text.split_once('/') {
        Some((value, mask)) => Some((number(value)?, number(mask)?)),
        None => Some((number(text)?, u32::MAX)),
    }
}

/// The word behind the first of these options.
fn option<'a>(words: &'a [String], names: &[&str]) -> Option<&'a str> {
    let place = words.iter().position(|word| names.contains(&word.as_str()))?;
    words.get(place + 1).map(String::as_str)
}

/// A comment can look like an option.
pub fn without_comment(mut words: Vec<String>) -> Vec<String> {
    if let Some(place) = words.iter().position(|word| word == "--comment") {
        words.drain(place..words.len().min(place + 2));
    }
    words
}

/// The words of a line, and whether its last quote is closed; quotes hold several together. What stands in quotes is never an option.
pub fn words(line: &str) -> (Vec<String>, bool) {
    let (mut words, mut is_closed) = (Vec::new(), true);
    let mut characters = line.chars().peekable();
    while let Some(first) = characters.next() {
        match first {
            ' ' => {}
            '"' => {
                let mut word = String::from("\"");
                is_closed = false;
                while let Some(character) = characters.next() {
                    match character {
                        '"' => {
                            is_closed = true;
                            break;
                        }
                        '\\' => word.extend(characters.next()),
                        other => word.push(other),
                    }
                }
                words.push(word);
            }
            other => {
                let mut word = String::from(other);
                while let Some(character) = characters.next_if(|character| *character != ' ') {
                    word.push(character);
                }
                words.push(word);
            }
        }
    }
    (words, is_closed)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// As `iptables-nft-save` 1.8.9 writes it, with a chain that nothing reaches.
    const SAVED: &str = r#"# Generated by iptables-nft-save v1.8.9 (nf_tables) on Wed Nov 25 10:15:49 2026
*mangle
:PREROUTING ACCEPT [0:0]
:INPUT ACCEPT [0:0]
:LOST - [0:0]
-A PREROUTING -d 10.0.0.1/32 -p tcp -m tcp --dport 80 -j MARK --set-xmark 0xa/0xffffffff
-A PREROUTING -j CONNMARK --restore-mark --nfmask 0xffffffff --ctmask 0xffffffff
-A PREROUTING -j CONNMARK --save-mark --nfmask 0xffffffff --ctmask 0xffffffff
-A PREROUTING -p tcp -j TPROXY --on-port 3128 --on-ip 0.0.0.0 --tproxy-mark 0x1/0x1
-A LOST -j MARK --set-xmark 0x15/0xffffffff
COMMIT
# Completed on Wed Nov 25 10:15:49 2026
*filter
:INPUT ACCEPT [0:0]
:KUBE-X - [0:0]
[0:0] -A INPUT -j KUBE-X
[7:420] -A FORWARD -m conntrack --ctstate RELATED,ESTABLISHED -j ACCEPT
-A FORWARD -m state --state INVALID -j DROP
-A KUBE-X -m comment --comment "a \"b\" -j MARK --ctstate" -j MARK --set-xmark 0x4000/0x4000
-A OUTPUT -m comment --comment --ctstate -g KUBE-X
COMMIT
"#;

    #[test]
    fn rules_that_packets_reach_are_found() {
        let mut filter = FirewallRules::default();
        assert_eq!(parse(SAVED, Family::V4, &mut filter), ["mangle", "filter"]);
        filter.chains.clear();
        let mark = |chain: &str, table: &str, sets, points: &[(Hook, i32)]| MarkRule {
            place: format!("chain {chain} of table {table} (iptables)"),
            family: Some(Family::V4),
            sets,
            points: points.iter().map(|&(hook, priority)| HookPoint { hook, priority }).collect(),
        };
        let pre = &[(Hook::Prerouting, -150)];
        let state = StateRule {
            place: "chain FORWARD of table filter (iptables)".into(),
            family: Some(Family::V4),
            points: vec![HookPoint { hook: Hook::Forward, priority: 0 }],
        };
        assert_eq!(
            filter,
            FirewallRules {
                marks: vec![
                    mark("PREROUTING", "mangle", MarkEffect::Exactly(10), pre),
                    mark("PREROUTING", "mangle", MarkEffect::Computed, pre),
                    mark("PREROUTING", "mangle", MarkEffect::Bits { value: 1, mask: 1 }, pre),
                    mark(
                        "KUBE-X",
                        "filter",
                        MarkEffect::Bits { value: 0x4000, mask: 0x4000 },
                        &[(Hook::Input, 0), (Hook::Output, 0)]
                    ),
                ],
                states: vec![state.clone(), state],
                chains: vec![],
                known: vec![],
            }
        );
    }
}

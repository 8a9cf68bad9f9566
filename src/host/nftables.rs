//! Finds in `nft -j list ruleset` the chains of other programs, and the rules that set marks or match connection states.

use std::collections::{HashMap, HashSet};
use std::fmt;

use serde_json::Value;

use super::hook::{Hook, HookPoint};
use super::nft_chains::Chains;
use super::rules::{FirewallRules, MarkEffect, MarkRule, StateRule};
use crate::model::Family;
use crate::nft::TABLE;

/// A chain or map: family, table, name.
type Named<'a> = (&'a str, &'a str, &'a str);

/// Why the output of nft is not a list of rules.
#[derive(Debug)]
pub(super) enum RulesetError {
    /// It is no JSON.
    Json(serde_json::Error),
    /// It is JSON without a list of rules.
    NoRules,
}

impl fmt::Display for RulesetError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Json(_) => "its list cannot be read",
            Self::NoRules => "it lists no rules",
        })
    }
}

impl std::error::Error for RulesetError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Self::Json(error) => Some(error),
            Self::NoRules => None,
        }
    }
}

/// Adds what is found to `filter`. Tables of `iptables` are read elsewhere, where it can be seen what their rules do.
///
/// # Errors
/// Where the text is no list of rules.
pub(super) fn parse(
    text: &str,
    iptables: &[(Family, String)],
    filter: &mut FirewallRules,
) -> Result<(), RulesetError> {
    let document: Value = serde_json::from_str(text).map_err(RulesetError::Json)?;
    let objects = document.get("nftables").and_then(Value::as_array).ok_or(RulesetError::NoRules)?;
    let all = |kind: &'static str| objects.iter().filter_map(move |object| object.get(kind));
    let mut graph = ChainGraph::default();
    for chain in all("chain") {
        if let (Some(name), Some(point)) = (named(chain, "name"), point(chain)) {
            graph.points.entry(name).or_default().insert(point);
        }
    }
    let mut maps: HashMap<Named<'_>, Vec<&str>> = HashMap::new();
    for map in all("map") {
        if let Some(name) = named(map, "name") {
            let targets = maps.entry(name).or_default();
            visit(map, &mut |value| targets.extend(jump(value)));
        }
    }
    for rule in all("rule") {
        let Some(chain @ (family, table, _)) = named(rule, "chain") else { continue };
        let jumps = graph.jumps.entry(chain).or_default();
        visit(rule.get("expr").unwrap_or(&Value::Null), &mut |value| {
            jumps.extend(jump(value));
            if let Some(map) = value.as_str().and_then(|word| word.strip_prefix('@')) {
                jumps.extend(maps.get(&(family, table, map)).into_iter().flatten());
            }
        });
    }
    let reached = graph.reached();
    let is_others = |(family, table, _): &Named<'_>| {
        let is_own = *family == "inet" && *table == TABLE;
        !is_own && !iptables.iter().any(|(of, name)| word(*of) == *family && name == table)
    };
    let named_chains = all("chain").filter_map(|chain| Some((named(chain, "name")?, point(chain), chain)));
    let named_maps = all("map").filter_map(|map| Some((named(map, "name")?, map)));
    let others = named_chains.filter(|(name, _, _)| is_others(name));
    let mut chains = Chains::new(others, named_maps, filter.chains.len());
    for rule in all("rule") {
        let Some(chain @ (family, table, name)) = named(rule, "chain") else { continue };
        chains.add(chain, rule);
        let Some(points) = reached.get(&chain).filter(|_| is_others(&chain)) else { continue };
        let family = match family {
            "ip" => Some(Family::V4),
            "ip6" => Some(Family::V6),
            "inet" | "netdev" | "bridge" => None,
            // What is no IP packet reaches no service.
            _ => continue,
        };
        let place = || format!("chain {name} of table {} {table} (nftables)", chain.0);
        let (mut sets, mut matches) = (Vec::new(), false);
        visit(rule.get("expr").unwrap_or(&Value::Null), &mut |value| {
            sets.extend(sets_mark(value));
            matches |= matches_state(value);
        });
        for sets in sets {
            filter.marks.push(MarkRule { place: place(), family, sets, points: points.clone() });
        }
        if matches {
            filter.states.push(StateRule { place: place(), family, points: points.clone() });
        }
    }
    filter.chains.extend(chains.into_chains());
    Ok(())
}

fn word(family: Family) -> &'static str {
    match family {
        Family::V4 => "ip",
        Family::V6 => "ip6",
    }
}

/// The hooks of chains, and the jumps between them.
#[derive(Default)]
struct ChainGraph<'a> {
    points: HashMap<Named<'a>, HashSet<HookPoint>>,
    jumps: HashMap<Named<'a>, Vec<&'a str>>,
}

impl<'a> ChainGraph<'a> {
    /// The places in the path of packets from which each chain is reached, over other chains as well.
    fn reached(self) -> HashMap<Named<'a>, Vec<HookPoint>> {
        let mut reached: HashMap<Named<'a>, HashSet<HookPoint>> = HashMap::new();
        for (base, points) in &self.points {
            let mut left = vec![*base];
            let mut seen = HashSet::new();
            while let Some(chain @ (family, table, _)) = left.pop() {
                if seen.insert(chain) {
                    reached.entry(chain).or_default().extend(points);
                    left.extend(self.jumps.get(&chain).into_iter().flatten().map(|to| (family, table, *to)));
                }
            }
        }
        let sorted = |points: HashSet<HookPoint>| {
            let mut points: Vec<HookPoint> = points.into_iter().collect();
            points.sort_unstable();
            points
        };
        reached.into_iter().map(|(chain, points)| (chain, sorted(points))).collect()
    }
}

fn named<'a>(object: &'a Value, key: &str) -> Option<Named<'a>> {
    let text = |key: &str| object.get(key).and_then(Value::as_str);
    Some((text("family")?, text("table")?, text(key)?))
}

fn point(chain: &Value) -> Option<HookPoint> {
    let hook = match chain.get("hook")?.as_str()? {
        "ingress" => Hook::Ingress,
        "prerouting" => Hook::Prerouting,
        "input" => Hook::Input,
        "forward" => Hook::Forward,
        "output" => Hook::Output,
        "postrouting" => Hook::Postrouting,
        _ => return None,
    };
    let priority = chain.get("prio").and_then(Value::as_i64).unwrap_or(0);
    Some(HookPoint { hook, priority: i32::try_from(priority).unwrap_or(0) })
}

/// Shows `take` a value and everything in it.
fn visit<'a>(value: &'a Value, take: &mut impl FnMut(&'a Value)) {
    take(value);
    match value {
        Value::Array(values) => values.iter().for_each(|value| visit(value, take)),
        Value::Object(values) => values.values().for_each(|value| visit(value, take)),
        _ => {}
    }
}

fn jump(value: &Value) -> Option<&str> {
    value.get("jump").or_else(|| value.get("goto"))?.get("target")?.as_str()
}

fn sets_mark(value: &Value) -> Option<MarkEffect> {
    if let Some(foreign) = value.get("xt") {
        // A part that only iptables understands. Older versions of nft do not even name it.
        return match foreign.get("name").and_then(Value::as_str) {
            Some("MARK" | "CONNMARK" | "TPROXY") | None => Some(MarkEffect::Perhaps),
            Some(_) => None,
        };
    }
    let mangle = value.get("mangle")?;
    let key = mangle.get("key")?.get("meta")?.get("key")?.as_str()?;
    (key == "mark").then(|| {
        let constant = mangle.get("value").and_then(Value::as_u64);
        constant.and_then(|mark| u32::try_from(mark).ok()).map_or(MarkEffect::Computed, MarkEffect::Exactly)
    })
}

fn matches_state(value: &Value) -> bool {
    let native = value.get("ct").and_then(|ct| ct.get("key")).and_then(Value::as_str) == Some("state");
    let foreign = value.get("xt").and_then(|xt| xt.get("name")).and_then(Value::as_str);
    native || matches!(foreign, Some("conntrack" | "state"))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// As nft 1.0.6 lists it: lbd's own table; one with jumps, a named map of verdicts and a chain that nothing reaches;
    /// one for IPv6.
    const RULESET: &str = r#"{"nftables": [{"metainfo": {"version": "1.0.6", "release_name": "Lester Gooch #5", "json_schema_version": 1}},
{"table": {"family": "inet", "name": "lbd", "handle": 1}},
{"chain": {"family": "inet", "table": "lbd", "name": "pre", "handle": 1, "type": "filter", "hook": "prerouting", "prio": -150, "policy": "accept"}},
{"rule": {"family": "inet", "table": "lbd", "chain": "pre", "handle": 2, "expr": [{"mangle": {"key": {"meta": {"key": "mark"}}, "value": 99}}]}},
{"table": {"family": "inet", "name": "filter", "handle": 2}},
{"map": {"family": "inet", "name": "verdicts", "table": "filter", "type": "ct_state", "handle": 7, "map": "verdict", "elem": [["invalid", {"drop": null}], ["established", {"accept": null}], ["new", {"jump": {"target": "fresh"}}]]}},
{"chain": {"family": "inet", "table": "filter", "name": "fresh", "handle": 1}},
{"chain": {"family": "inet", "table": "filter", "name": "web", "handle": 2}},
{"chain": {"family": "inet", "table": "filter", "name": "other", "handle": 3}},
{"chain": {"family": "inet", "table": "filter", "name": "forward", "handle": 4, "type": "filter", "hook": "forward", "prio": 0, "policy": "drop"}},
{"chain": {"family": "inet", "table": "filter", "name": "input", "handle": 5, "type": "filter", "hook": "input", "prio": 0, "policy": "accept"}},
{"chain": {"family": "inet", "table": "filter", "name": "lost", "handle": 6}},
{"rule": {"family": "inet", "table": "filter", "chain": "fresh", "handle": 8, "expr": [{"mangle": {"key": {"meta": {"key": "mark"}}, "value": {"|": [{"meta": {"key": "mark"}}, 16]}}}]}},
{"rule": {"family": "inet", "table": "filter", "chain": "web", "handle": 9, "expr": [{"mangle": {"key": {"meta": {"key": "mark"}}, "value": 20}}]}},
{"rule": {"family": "inet", "table": "filter", "chain": "web", "handle": 10, "expr": [{"mangle": {"key": {"ct": {"key": "mark"}}, "value": {"meta": {"key": "mark"}}}}]}},
{"rule": {"family": "inet", "table": "filter", "chain": "other", "handle": 11, "expr": [{"mangle": {"key": {"meta": {"key": "mark"}}, "value": {"ct": {"key": "mark"}}}}]}},
{"rule": {"family": "inet", "table": "filter", "chain": "forward", "handle": 12, "expr": [{"vmap": {"key": {"ct": {"key": "state"}}, "data": "@verdicts"}}]}},
{"rule": {"family": "inet", "table": "filter", "chain": "input", "handle": 14, "expr": [{"match": {"op": "==", "left": {"ct": {"key": "state"}}, "right": {"set": ["established", "related"]}}}, {"accept": null}]}},
{"rule": {"family": "inet", "table": "filter", "chain": "input", "handle": 16, "expr": [{"vmap": {"key": {"payload": {"protocol": "tcp", "field": "dport"}}, "data": {"set": [[80, {"jump": {"target": "web"}}], [81, {"goto": {"target": "other"}}]]}}}]}},
{"rule": {"family": "inet", "table": "filter", "chain": "lost", "handle": 17, "expr": [{"mangle": {"key": {"meta": {"key": "mark"}}, "value": 21}}]}},
{"table": {"family": "ip6", "name": "mangle", "handle": 3}},
{"chain": {"family": "ip6", "table": "mangle", "name": "pre", "handle": 1, "type": "filter", "hook": "prerouting", "prio": -300, "policy": "accept"}},
{"rule": {"family": "ip6", "table": "mangle", "chain": "pre", "handle": 4, "expr": [{"mangle": {"key": {"meta": {"key": "mark"}}, "value": 30}}]}}]}"#;

    /// What `iptables-nft` made, as nft 1.0.6 lists it.
    const FOREIGN: &str = r#"{"nftables": [
{"chain": {"family": "ip", "table": "mangle", "name": "PREROUTING", "handle": 1, "type": "filter", "hook": "prerouting", "prio": -150, "policy": "accept"}},
{"rule": {"family": "ip", "table": "mangle", "chain": "PREROUTING", "handle": 2, "expr": [{"match": {"op": "==", "left": {"payload": {"protocol": "tcp", "field": "dport"}}, "right": 80}}, {"counter": {"packets": 0, "bytes": 0}}, {"xt": {"type": "target", "name": "MARK"}}]}},
{"rule": {"family": "ip", "table": "mangle", "chain": "PREROUTING", "handle": 3, "expr": [{"xt": {"type": "match", "name": "conntrack"}}, {"accept": null}]}}]}"#;

    fn found(text: &str, iptables: &[(Family, String)]) -> FirewallRules {
        let mut filter = FirewallRules::default();
        parse(text, iptables, &mut filter).unwrap();
        filter.chains.clear();
        filter
    }

    fn at(hook: Hook, priority: i32) -> Vec<HookPoint> {
        vec![HookPoint { hook, priority }]
    }

    #[test]
    fn rules_that_packets_reach_are_found_wherever_they_jump() {
        let inet = |chain: &str| format!("chain {chain} of table inet filter (nftables)");
        let mark = |chain: &str, sets, points| MarkRule { place: inet(chain), family: None, sets, points };
        let state = |chain: &str, points| StateRule { place: inet(chain), family: None, points };
        assert_eq!(
            found(RULESET, &[]),
            FirewallRules {
                marks: vec![
                    mark("fresh", MarkEffect::Computed, at(Hook::Forward, 0)),
                    mark("web", MarkEffect::Exactly(20), at(Hook::Input, 0)),
                    mark("other", MarkEffect::Computed, at(Hook::Input, 0)),
                    MarkRule {
                        place: "chain pre of table ip6 mangle (nftables)".into(),
                        family: Some(Family::V6),
                        sets: MarkEffect::Exactly(30),
                        points: at(Hook::Prerouting, -300),
                    },
                ],
                states: vec![state("forward", at(Hook::Forward, 0)), state("input", at(Hook::Input, 0))],
                chains: vec![],
                known: vec![],
            }
        );
    }

    #[test]
    fn what_iptables_made_is_left_to_iptables_where_that_can_tell() {
        let place = "chain PREROUTING of table ip mangle (nftables)";
        let (family, points) = (Some(Family::V4), at(Hook::Prerouting, -150));
        assert_eq!(
            found(FOREIGN, &[]),
            FirewallRules {
                marks: vec![MarkRule {
                    place: place.into(),
                    family,
                    sets: MarkEffect::Perhaps,
                    points: points.clone()
                }],
                states: vec![StateRule { place: place.into(), family, points }],
                chains: vec![],
                known: vec![],
            }
        );
        assert_eq!(found(FOREIGN, &[(Family::V4, "mangle".into())]), FirewallRules::default());
    }

    #[test]
    fn what_is_no_list_is_an_error_and_chains_may_jump_in_a_circle() {
        let mut filter = FirewallRules::default();
        assert!(matches!(parse("{}", &[], &mut filter), Err(RulesetError::NoRules)));
        assert!(matches!(parse("nft: no", &[], &mut filter), Err(RulesetError::Json(_))));
        let circle = r#"{"nftables": [{"chain": {"family": "ip", "table": "t", "name": "a", "hook": "input", "prio": 0}},
            {"rule": {"family": "ip", "table": "t", "chain": "a", "expr": [{"jump": {"target": "a"}}]}}]}"#;
        assert_eq!(found(circle, &[]), FirewallRules::default());
    }
}

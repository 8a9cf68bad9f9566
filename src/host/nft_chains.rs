//! Reads `nft -j list ruleset` as chains that packets walk.

use std::collections::HashMap;
use std::ops::RangeInclusive;

use serde_json::{Map, Value};

use super::chains::{Chain, ChainRule, Condition, Entry, TrackState, Verdict, prefix};
use super::hook::HookPoint;
use crate::model::{Family, Prefix, Protocol};

/// A chain or map: family, table, name.
type Named<'a> = (&'a str, &'a str, &'a str);

/// Statements that do nothing to the path of a packet.
const PASSING: [&str; 5] = ["counter", "log", "mangle", "notrack", "dup"];

/// The chains of a ruleset.
pub(super) struct Chains<'a> {
    /// The number of the first
    first: usize,
    numbers: HashMap<Named<'a>, usize>,
    /// The elements of named maps
    maps: HashMap<Named<'a>, &'a Value>,
    chains: Vec<Chain>,
}

impl<'a> Chains<'a> {
    /// The chains by their names, without rules; `maps` has the maps. The first chain gets the number `first`.
    pub(super) fn new(
        named: impl Iterator<Item = (Named<'a>, Option<HookPoint>, &'a Value)>,
        maps: impl Iterator<Item = (Named<'a>, &'a Value)>,
        first: usize,
    ) -> Self {
        let mut all = Self { first, numbers: HashMap::new(), maps: HashMap::new(), chains: Vec::new() };
        for (name @ (of, table, chain), point, value) in named {
            let family = match of {
                "ip" => Some(Family::V4),
                "ip6" => Some(Family::V6),
                "inet" => None,
                // Those see no packets of their own hooks.
                _ => continue,
            };
            let drops = value.get("policy").and_then(Value::as_str) == Some("drop");
            all.numbers.insert(name, first + all.chains.len());
            all.chains.push(Chain {
                place: format!("chain {chain} of table {of} {table} (nftables)"),
                family,
                entry: point.map(|point| Entry { point, drops }),
                rules: Vec::new(),
            });
        }
        all.maps = maps.filter_map(|(name, map)| Some((name, map.get("elem")?))).collect();
        all
    }

    /// Adds a rule to its chain.
    pub(super) fn add(&mut self, chain: Named<'a>, rule: &'a Value) {
        let place = self.numbers.get(&chain).and_then(|number| number.checked_sub(self.first));
        let Some(place) = place else { return };
        let rules = self.rules(chain, rule.get("expr").unwrap_or(&Value::Null));
        if let Some(chain) = self.chains.get_mut(place) {
            chain.rules.extend(rules);
        }
    }

    /// All of them.
    pub(super) fn into_chains(self) -> Vec<Chain> {
        self.chains
    }

    /// A rule as one for each verdict that it has.
    fn rules(&self, chain: Named<'a>, statements: &'a Value) -> Vec<ChainRule> {
        let Some(statements) = statements.as_array() else { return Vec::new() };
        let mut conditions = Vec::new();
        let mut is_known = true;
        for statement in statements.iter().filter_map(Value::as_object) {
            let Some((kind, value)) = statement.iter().next() else { continue };
            match kind.as_str() {
                "match" => conditions.extend(condition(value)),
                "vmap" => return self.mapped(chain, &conditions, value),
                _ if PASSING.contains(&kind.as_str()) => {}
                _ => match self.verdict(chain, statement) {
                    Verdict::Unknown => {
                        is_known = false;
                        conditions.push(Condition::Unknown);
                    }
                    verdict @ (Verdict::Accept
                    | Verdict::Drop
                    | Verdict::Return
                    | Verdict::Jump(_)
                    | Verdict::Goto(_)
                    | Verdict::Continue) => return vec![ChainRule { conditions, verdict }],
                },
            }
        }
        let verdict = if is_known { Verdict::Continue } else { Verdict::Unknown };
        vec![ChainRule { conditions, verdict }]
    }

    fn verdict(&self, (family, table, _): Named<'a>, statement: &'a Map<String, Value>) -> Verdict {
        let target = |kind: &str| statement.get(kind)?.get("target")?.as_str();
        let number = |name| self.numbers.get(&(family, table, name)).copied();
        if statement.contains_key("accept") {
            Verdict::Accept
        } else if statement.contains_key("drop") || statement.contains_key("reject") {
            Verdict::Drop
        } else if statement.contains_key("return") {
            Verdict::Return
        } else if statement.contains_key("continue") {
            Verdict::Continue
        } else if let Some(chain) = target("jump").and_then(number) {
            Verdict::Jump(chain)
        } else if let Some(chain) = target("goto").and_then(number) {
            Verdict::Goto(chain)
        } else {
            Verdict::Unknown
        }
    }

    /// A rule for each element of a map of verdicts.
    fn mapped(&self, chain: Named<'a>, conditions: &[Condition], vmap: &'a Value) -> Vec<ChainRule> {
        let (family, table, _) = chain;
        let data = vmap.get("data");
        let elements = match data.and_then(Value::as_str).and_then(|name| name.strip_prefix('@')) {
            Some(name) => self.maps.get(&(family, table, name)).copied(),
            None => data.and_then(|data| data.get("set")),
        };
        let key = vmap.get("key").unwrap_or(&Value::Null);
        let element = |element: &'a Value| {
            let verdict = element.get(1).and_then(Value::as_object);
            let verdict = verdict.map_or(Verdict::Unknown, |verdict| self.verdict(chain, verdict));
            let mut conditions = conditions.to_vec();
            let known = element.get(0).and_then(|value| compared(key, value));
            conditions.push(known.unwrap_or(Condition::Unknown));
            ChainRule { conditions, verdict }
        };
        match elements.and_then(Value::as_array) {
            Some(elements) => elements.iter().map(element).collect(),
            None => {
                let conditions = [conditions, &[Condition::Unknown]].concat();
                vec![ChainRule { conditions, verdict: Verdict::Unknown }]
            }
        }
    }
}

/// What a comparison asks of a packet.
fn condition(of: &Value) -> Vec<Condition> {
    let (left, right) = (of.get("left").unwrap_or(&Value::Null), of.get("right").unwrap_or(&Value::Null));
    let mut conditions = Vec::new();
    // What looks into the header of a protocol is for that protocol only.
    let header = left.get("payload").and_then(|payload| payload.get("protocol")).and_then(Value::as_str);
    match header {
        Some("ip") => conditions.push(Condition::Family(Family::V4)),
        Some("ip6") => conditions.push(Condition::Family(Family::V6)),
        Some("th") | None => {}
        Some(name) => {
            conditions.push(Condition::Protocols(protocol(&Value::from(name)).into_iter().collect()))
        }
    }
    let known = compared(left, right);
    conditions.push(match (of.get("op").and_then(Value::as_str), known) {
        (Some("==" | "in"), Some(known)) => known,
        (Some("!="), Some(Condition::States(states))) => Condition::NotStates(states),
        _ => Condition::Unknown,
    });
    conditions
}

/// What it asks of a packet that something of it is this.
fn compared(left: &Value, right: &Value) -> Option<Condition> {
    let text = |of: &str, key: &str| left.get(of)?.get(key)?.as_str();
    let each = elements(right);
    // A named set may hold anything.
    if each.iter().any(|value| value.as_str().is_some_and(|name| name.starts_with('@'))) {
        return None;
    }
    if let Some(key) = text("ct", "key") {
        return match key {
            "state" => {
                let states = each.iter().map(|word| TrackState::named(word.as_str()?));
                states.collect::<Option<_>>().map(Condition::States)
            }
            // IPVS translates addresses itself: no packet has this status.
            "status" if each.iter().all(|word| *word == "dnat" || *word == "snat") => Some(Condition::Never),
            _ => None,
        };
    }
    if let Some(key) = text("meta", "key") {
        let names = || each.iter().map(|name| interface(name)).collect::<Option<Vec<_>>>();
        return match key {
            "iif" | "iifname" => names().map(Condition::InputInterfaces),
            "oif" | "oifname" => names().map(Condition::OutputInterfaces),
            "l4proto" => protocols(&each),
            "nfproto" => match each.as_slice() {
                [one] if **one == "ipv4" || **one == 2 => Some(Condition::Family(Family::V4)),
                [one] if **one == "ipv6" || **one == 10 => Some(Condition::Family(Family::V6)),
                _ => None,
            },
            _ => None,
        };
    }
    if left.get("fib").is_some() {
        let is_type_of_destination = text("fib", "result") == Some("type")
            && left.pointer("/fib/flags/0").is_some_and(|flag| flag == "daddr");
        return match each.as_slice() {
            [one] if is_type_of_destination && **one == "local" => Some(Condition::ToHost),
            _ => None,
        };
    }
    let prefixes = || each.iter().map(|value| address(value)).collect::<Option<Vec<_>>>();
    let ports = || each.iter().map(|value| port(value)).collect::<Option<Vec<_>>>();
    match (text("payload", "protocol")?, text("payload", "field")?) {
        ("ip" | "ip6", "saddr") => prefixes().map(Condition::Sources),
        ("ip" | "ip6", "daddr") => prefixes().map(Condition::Destinations),
        ("ip", "protocol") | ("ip6", "nexthdr") => protocols(&each),
        ("tcp" | "udp" | "sctp" | "th", "sport") => ports().map(Condition::SourcePorts),
        ("tcp" | "udp" | "sctp" | "th", "dport") => ports().map(Condition::Ports),
        ("icmp" | "icmpv6" | "igmp" | "ah" | "esp", _) => Some(Condition::Never),
        _ => None,
    }
}

/// The values that something is compared with.
fn elements(right: &Value) -> Vec<&Value> {
    let list = right.get("set").unwrap_or(right);
    list.as_array().map_or_else(|| vec![list], |list| list.iter().collect())
}

fn protocols(each: &[&Value]) -> Option<Condition> {
    let is_plain = each.iter().all(|value| value.is_string() || value.is_u64());
    is_plain.then(|| Condition::Protocols(each.iter().filter_map(|value| protocol(value)).collect()))
}

/// `None` is one that IPVS does not know.
fn protocol(name: &Value) -> Option<Protocol> {
    match name.as_str() {
        Some("tcp") => Some(Protocol::Tcp),
        Some("udp") => Some(Protocol::Udp),
        Some("sctp") => Some(Protocol::Sctp),
        Some(_) => None,
        None => match name.as_u64()? {
            6 => Some(Protocol::Tcp),
            17 => Some(Protocol::Udp),
            132 => Some(Protocol::Sctp),
            _ => None,
        },
    }
}

/// A name that ends in `*` is a pattern.
fn interface(name: &Value) -> Option<String> {
    name.as_str().filter(|name| !name.ends_with('*')).map(str::to_owned)
}

fn address(value: &Value) -> Option<Prefix> {
    match value.get("prefix") {
        Some(of) => prefix(&format!("{}/{}", of.get("addr")?.as_str()?, of.get("len")?.as_u64()?)),
        None => prefix(value.as_str()?),
    }
}

fn port(value: &Value) -> Option<RangeInclusive<u16>> {
    let number = |value: &Value| u16::try_from(value.as_u64()?).ok();
    match value.get("range") {
        Some(range) => Some(number(range.get(0)?)?..=number(range.get(1)?)?),
        None => number(value).map(|port| port..=port),
    }
}

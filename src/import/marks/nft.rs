//! Finds in `nft -j list ruleset` the rules that set marks.

use std::collections::{BTreeSet, HashMap};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::ops::RangeInclusive;

use serde_json::Value;

use super::{ALL, FoundMarks, NoListing, OtherRule, can_give};
use crate::model::{Family, MarkMatch, Prefix, Protocol};

/// The name of lbd's own table.
const OWN: &str = "lbd";

/// A chain or a rule: family, table, name of the chain.
type Chain<'a> = (&'a str, &'a str, &'a str);

/// Reads a listing.
///
/// # Errors
/// Where it is none.
pub(super) fn read(text: &str, marks: &BTreeSet<u32>, found: &mut FoundMarks) -> Result<(), NoListing> {
    let document: Value =
        serde_json::from_str(text).map_err(|error| NoListing(format!("its JSON ends early: {error}")))?;
    let objects = document
        .get("nftables")
        .and_then(Value::as_array)
        .ok_or_else(|| NoListing("its JSON has no list `nftables`".to_owned()))?;
    let all = |kind: &'static str| objects.iter().filter_map(move |object| object.get(kind));
    // Where each chain is reached directly: only those of `prerouting` see what comes in before IPVS does.
    let hooks: HashMap<Chain<'_>, &str> = all("chain")
        .filter_map(|chain| Some((named(chain, "name")?, chain.get("hook")?.as_str()?)))
        .collect();
    // Chains in which a rule above may let packets pass by
    let mut left: BTreeSet<Chain<'_>> = BTreeSet::new();
    for rule in all("rule") {
        let Some(chain @ (family, table, name)) = named(rule, "chain") else { continue };
        if table == OWN && family == "inet" {
            continue;
        }
        let Some(statements) = rule.get("expr").and_then(Value::as_array) else { continue };
        let Some(mangle) = statements.iter().find_map(sets_mark) else {
            if statements.iter().any(ends) {
                left.insert(chain);
            }
            continue;
        };
        let mut other = |why: &str| {
            let handle = rule.get("handle").and_then(Value::as_u64).unwrap_or_default();
            let text = format!("rule with handle {handle} of chain {name} of table {family} {table}");
            found.others.push(OtherRule { line: 1, text, why: why.to_owned() });
        };
        let Some(value) = mangle.as_u64().and_then(|value| u32::try_from(value).ok()) else {
            if may_give(mangle, marks) {
                other("it sets some bits of the mark, or works it out, and `match` sets the whole");
            }
            continue;
        };
        if !marks.contains(&value) {
            continue;
        }
        if hooks.get(&chain) != Some(&"prerouting") {
            other("it is in no chain with the hook `prerouting`, and `match` is for what comes in there");
        } else if left.contains(&chain) {
            other("a rule above it may let packets pass it by");
        } else {
            match packets(statements, family) {
                Ok(all) => all.into_iter().for_each(|packets| found.push(value, packets)),
                Err(what) => other(&format!("`match` has nothing for {what}")),
            }
        }
    }
    Ok(())
}

/// What an object names, with its family and table.
fn named<'a>(object: &'a Value, key: &str) -> Option<Chain<'a>> {
    let text = |key: &str| object.get(key).and_then(Value::as_str);
    Some((text("family")?, text("table")?, text(key)?))
}

/// The value that a statement gives the mark.
fn sets_mark(statement: &Value) -> Option<&Value> {
    let mangle = statement.get("mangle")?;
    let is_mark = mangle.get("key")?.get("meta")?.get("key")?.as_str()? == "mark";
    mangle.get("value").filter(|_| is_mark)
}

/// Whether a statement may end the way of a packet through its chain.
fn ends(statement: &Value) -> bool {
    ["accept", "drop", "reject", "return", "jump", "goto", "vmap", "xt", "queue"]
        .iter()
        .any(|kind| statement.get(kind).is_some())
}

/// Whether a value that is worked out may be one of the marks: `meta mark | 0x10` is known.
fn may_give(value: &Value, marks: &BTreeSet<u32>) -> bool {
    let operands = value.get("|").and_then(Value::as_array);
    let bits = operands.and_then(|operands| operands.iter().find_map(Value::as_u64));
    match bits.and_then(|bits| u32::try_from(bits).ok()) {
        Some(bits) => can_give(marks, bits, bits),
        None => true,
    }
}

/// A statement in short, as nft calls it: `ct state`, `ip ttl`, `limit`.
fn shown(statement: &Value) -> String {
    let text = |object: &Value, key: &str| object.get(key).and_then(Value::as_str).map(str::to_owned);
    let left = statement.get("match").and_then(|condition| condition.get("left"));
    let of_left = left.and_then(|left| {
        let (kind, inside) = left.as_object()?.iter().next()?;
        let words = match kind.as_str() {
            "payload" => [text(inside, "protocol"), text(inside, "field")],
            kind => [Some(kind.to_owned()), text(inside, "key")],
        };
        Some(words.into_iter().flatten().collect::<Vec<_>>().join(" "))
    });
    let name = || statement.as_object().and_then(|object| object.keys().next().cloned());
    format!("`{}`", of_left.or_else(name).unwrap_or_default())
}

/// The packets of a rule, one entry for each address of a set.
///
/// # Errors
/// For what there is no key.
fn packets(statements: &[Value], family: &str) -> Result<Vec<MarkMatch>, String> {
    let mut base = ALL;
    let (mut addresses, mut sources): (Vec<Option<Prefix>>, Vec<Option<Prefix>>) = (vec![None], vec![None]);
    let mut only: Option<Family> = match family {
        "ip" => Some(Family::V4),
        "ip6" => Some(Family::V6),
        _ => None,
    };
    for statement in statements {
        if statement.get("counter").is_some() || sets_mark(statement).is_some() {
            continue;
        }
        let unknown = || shown(statement);
        let condition = statement.get("match").ok_or_else(unknown)?;
        let (left, right) = condition.get("left").zip(condition.get("right")).ok_or_else(unknown)?;
        let operator = condition.get("op").and_then(Value::as_str).unwrap_or_default();
        if operator != "==" && !(operator == "in" && right.get("set").is_some()) {
            return Err(unknown());
        }
        let text = |object: &Value, key: &str| {
            object.get(key).and_then(Value::as_str).unwrap_or_default().to_owned()
        };
        let (what, field) = match (left.get("payload"), left.get("meta")) {
            (Some(payload), _) => (text(payload, "protocol"), text(payload, "field")),
            (None, Some(meta)) => ("meta".to_owned(), text(meta, "key")),
            (None, None) => return Err(unknown()),
        };
        match (what.as_str(), field.as_str()) {
            ("ip" | "ip6", "daddr") => addresses = prefixes(right).ok_or_else(unknown)?,
            ("ip" | "ip6", "saddr") => sources = prefixes(right).ok_or_else(unknown)?,
            ("ip", "protocol") | ("ip6", "nexthdr") | ("meta", "l4proto") => {
                base.protocol = Some(protocol(right).ok_or_else(unknown)?);
            }
            ("tcp" | "udp" | "sctp", "dport") => {
                base.protocol = protocol(&Value::from(what.as_str()));
                base.ports = ports(right).ok_or_else(unknown)?;
            }
            ("th", "dport") if base.protocol.is_some() => base.ports = ports(right).ok_or_else(unknown)?,
            ("meta", "iifname" | "iif") => {
                let name = right.as_str().filter(|name| !name.contains('*')).ok_or_else(unknown)?;
                base.interface = Some(name.to_owned());
            }
            ("meta", "nfproto") => {
                only = match right.as_str() {
                    Some("ipv4") => Some(Family::V4),
                    Some("ipv6") => Some(Family::V6),
                    Some(_) | None => return Err(unknown()),
                };
            }
            _ => return Err(unknown()),
        }
    }
    if addresses == [None] && sources == [None] {
        // The rule is for one family, `match` is for both.
        let wide = |address: IpAddr| vec![Some(Prefix { address, length: 0 })];
        match only {
            Some(Family::V4) => addresses = wide(Ipv4Addr::UNSPECIFIED.into()),
            Some(Family::V6) => addresses = wide(Ipv6Addr::UNSPECIFIED.into()),
            None => {}
        }
    }
    let one = |address: Option<Prefix>, source: Option<Prefix>| MarkMatch { address, source, ..base.clone() };
    let all =
        addresses.iter().flat_map(|address| sources.iter().map(|source| one(*address, *source).normal()));
    let all: Vec<MarkMatch> = all.collect();
    if all.contains(&ALL) {
        return Err("a rule without a condition".to_owned());
    }
    Ok(all)
}

/// The values of `right`: one, or those of a set without a name.
fn values(right: &Value) -> Vec<&Value> {
    match right.get("set").and_then(Value::as_array) {
        Some(list) => list.iter().collect(),
        None => vec![right],
    }
}

fn prefixes(right: &Value) -> Option<Vec<Option<Prefix>>> {
    let prefix = |value: &Value| {
        if let Some(address) = value.as_str() {
            let address: IpAddr = address.parse().ok()?;
            return Some(Some(Prefix::around(address, if address.is_ipv4() { 32 } else { 128 })));
        }
        let prefix = value.get("prefix")?;
        let address: IpAddr = prefix.get("addr")?.as_str()?.parse().ok()?;
        let length = prefix.get("len")?.as_u64()?;
        Some(Some(Prefix::around(address, u8::try_from(length).ok()?)))
    };
    values(right).into_iter().map(prefix).collect()
}

fn protocol(value: &Value) -> Option<Protocol> {
    match (value.as_str(), value.as_u64()) {
        (Some("tcp"), _) | (None, Some(6)) => Some(Protocol::Tcp),
        (Some("udp"), _) | (None, Some(17)) => Some(Protocol::Udp),
        (Some("sctp"), _) | (None, Some(132)) => Some(Protocol::Sctp),
        _ => None,
    }
}

fn ports(right: &Value) -> Option<Vec<RangeInclusive<u16>>> {
    let port = |value: &Value| u16::try_from(value.as_u64()?).ok();
    let range = |value: &Value| {
        if let Some(port) = port(value) {
            return Some(port..=port);
        }
        match value.get("range")?.as_array()?.as_slice() {
            [first, last] => Some(port(first)?..=port(last)?),
            _ => None,
        }
    };
    values(right).into_iter().map(range).collect()
}

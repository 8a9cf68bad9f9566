//! Reads groups of virtual servers: addresses, ranges of them, and marks.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use super::address;
use super::numbers::unsigned;
use super::text::Text;
use super::tree::Node;
use crate::model::Family;

/// How many addresses a range may have.
const MOST: u128 = 65_536;

/// A group.
#[derive(Debug)]
pub(super) struct Group {
    pub(super) name: String,
    pub(super) members: Vec<Member>,
}

/// What of a group listens.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Member {
    Address(IpAddr, u16),
    Mark(u32, Option<Family>),
}

impl Member {
    /// Its family, if it says one.
    pub(super) fn family(self) -> Option<Family> {
        match self {
            Self::Address(address, _) => Some(Family::of(address)),
            Self::Mark(_, family) => family,
        }
    }
}

/// Reads a group, if it has anything.
pub(super) fn group(node: &Node, text: &mut Text) -> Option<Group> {
    let Some(name) = node.words.get(1) else {
        text.lost(node.origin, "the group needs a name; without it keepalived refuses the whole file");
        return None;
    };
    let mut members = Vec::new();
    for line in &node.children {
        let second = line.words.get(1).filter(|word| word.starts_with(|c: char| c.is_ascii_digit()));
        if let Some(number) = second.filter(|word| !word.chars().all(|digit| digit.is_ascii_digit())) {
            text.note(line.origin, format!("keepalived reads the number at the beginning of `{number}`"));
        }
        match member(line) {
            // An address that is there twice is added once.
            Ok(more) => more.into_iter().for_each(|member| {
                if members.len() < 1_000 && members.contains(&member) {
                    return;
                }
                members.push(member);
            }),
            Err(Wrong::Skipped(why)) => text.note(line.origin, format!("left out, as by keepalived: {why}")),
            Err(Wrong::Lost(why)) => text.lost(line.origin, why),
        }
    }
    if members.is_empty() {
        text.note(node.origin, "left out, as by keepalived: the group has no entries");
        return None;
    }
    let has = |family| members.iter().any(|member| member.family() == Some(family));
    let has_any = members.iter().any(|member| member.family().is_none());
    if has(Family::V4) && has(Family::V6) && has_any {
        text.note(
            node.origin,
            "left out, as by keepalived: the group has IPv4, IPv6 and a mark that says neither",
        );
        return None;
    }
    Some(Group { name: name.clone(), members })
}

enum Wrong {
    Skipped(String),
    Lost(String),
}

fn member(line: &Node) -> Result<Vec<Member>, Wrong> {
    let (first, second) = (line.name(), line.words.get(1).map(String::as_str));
    if first == "fwmark" {
        let mark = address::mark(second).map_err(Wrong::Lost)?;
        let family = match line.words.get(2).map(String::as_str) {
            None => None,
            Some("inet") => Some(Family::V4),
            Some("inet6") => Some(Family::V6),
            Some(other) => return Err(Wrong::Skipped(format!("`{other}` is neither inet nor inet6"))),
        };
        return Ok(vec![Member::Mark(mark, family)]);
    }
    let (start, port) = address::endpoint(Some(first), second).map_err(Wrong::Skipped)?;
    let last = last(first, start).map_err(Wrong::Skipped)?;
    let (from, to) = (number(start), number(last));
    if to - from >= MOST {
        return Err(Wrong::Lost(format!(
            "the range has more than {MOST} addresses; use a firewall mark for it"
        )));
    }
    Ok((from..=to).map(|number| Member::Address(address_of(number, start), port)).collect())
}

/// The last address of a range: behind `/` or `-`, or the first one.
fn last(text: &str, start: IpAddr) -> Result<IpAddr, String> {
    let bits = u32::from(Family::of(start).bits());
    if let Some((_, length)) = text.split_once('/') {
        let length: u32 =
            length.parse().ok().filter(|length| (1..=bits).contains(length)).ok_or("the netmask is wrong")?;
        let host = (1_u128 << (bits - length)).wrapping_sub(1);
        if number(start) & host != 0 {
            return Err("the address has bits behind its netmask".to_owned());
        }
        return Ok(address_of(number(start) | host, start));
    }
    let Some((_, end)) = text.split_once('-') else { return Ok(start) };
    let is_whole = end.contains(if start.is_ipv4() { '.' } else { ':' });
    let last = if is_whole {
        address::without_range(end).ok_or_else(|| format!("`{end}` is not an address"))?
    } else if start.is_ipv4() {
        let end = unsigned(end, 0, 255, false).ok_or("the end of the range is above 255")?;
        address_of(number(start) & !0xff | u128::from(end.value), start)
    } else {
        let end = u16::from_str_radix(end, 16).map_err(|_| "the end of the range is above ffff")?;
        address_of(number(start) & !0xffff | u128::from(end), start)
    };
    if Family::of(last) != Family::of(start) || number(last) < number(start) || (!is_whole && last == start) {
        return Err("the range ends before it begins".to_owned());
    }
    Ok(last)
}

fn number(address: IpAddr) -> u128 {
    match address {
        IpAddr::V4(address) => u128::from(address.to_bits()),
        IpAddr::V6(address) => address.to_bits(),
    }
}

/// The address of a number, in the family of another one.
fn address_of(number: u128, like: IpAddr) -> IpAddr {
    match (like, u32::try_from(number)) {
        (IpAddr::V4(_), Ok(number)) => Ipv4Addr::from_bits(number).into(),
        _ => Ipv6Addr::from_bits(number).into(),
    }
}

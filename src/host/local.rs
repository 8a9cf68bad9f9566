//! Finds out which addresses are the host's own by the kernel's table of them, which is one request and not one for each.

use std::collections::HashMap;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use foldhash::fast::RandomState;
use neli::consts::rtnl::{FrAct, Frattr, Rta, Rtm, Rtn};

use super::rtnetlink::{Rtnetlink, u32_at};
use crate::kernel::netlink::NetlinkError;
use crate::kernel::netlink::attribute::{Attributes, u32_of};
use crate::model::Prefix;

/// The table in which the kernel keeps the host's own addresses.
const LOCAL_TABLE: u32 = libc::RT_TABLE_LOCAL as u32;

/// The rule is for all packets that do not match it (linux/fib_rules.h).
const FIB_RULE_INVERT: u32 = 2;

/// A hop of the route cannot be used now: it is dead, or its link is down (linux/rtnetlink.h).
const UNUSABLE: u32 = 1 | 16;

/// The host's own addresses of one family.
///
/// Every packet is looked up there first, as long as nobody has put a rule before that one. What the table holds is told
/// by its longest prefix; what it does not hold can only be local by a local route in another table.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Local {
    /// The lengths of prefixes that there are, the longest first
    lengths: Vec<u8>,
    /// Whether each is local, or `None` where that depends on more than the address
    prefixes: HashMap<Prefix, Option<bool>, RandomState>,
    /// Whether another table has local routes
    elsewhere: bool,
}

/// One route, as far as it matters.
struct TableRoute {
    table: u32,
    prefix: Prefix,
    is_local: Option<bool>,
}

impl Local {
    /// Reads the table of a family; `None` where routing does not begin there, or the kernel does not tell: a kernel without
    /// rules, or without the family.
    pub(super) fn read(kernel: &mut Rtnetlink, family: u8) -> Option<Self> {
        let rules = kernel.list(Rtm::Getrule, &message(family, 0, 0)).ok()?;
        if !looks_there(rules.first()?) {
            return None;
        }
        // The kernel lists what was asked for only where it checks questions strictly, as it does since 4.20; what it
        // lists beyond that is passed over here.
        let table = match kernel.list(Rtm::Getroute, &message(family, libc::RT_TABLE_LOCAL, 0)) {
            Err(NetlinkError::Refused(libc::ENOENT)) => Vec::new(),
            listed => listed.ok()?,
        };
        let local = kernel.list(Rtm::Getroute, &message(family, 0, Rtn::Local.into())).ok()?;
        let routes = |payloads: &[Vec<u8>]| -> Vec<TableRoute> {
            payloads.iter().filter_map(|payload| route(payload)).collect()
        };
        let elsewhere = |route: &TableRoute| route.table != LOCAL_TABLE && route.is_local != Some(false);
        let table = routes(&table).into_iter().filter(|route| route.table == LOCAL_TABLE);
        Some(Self::of(table, routes(&local).iter().any(elsewhere)))
    }

    fn of(routes: impl Iterator<Item = TableRoute>, elsewhere: bool) -> Self {
        let mut prefixes = HashMap::default();
        for TableRoute { table: _, prefix, is_local } in routes {
            // Of several routes to one prefix, more than the address decides.
            let same = |known: &mut Option<bool>| *known = known.filter(|_| *known == is_local);
            prefixes.entry(prefix).and_modify(same).or_insert(is_local);
        }
        let mut lengths: Vec<u8> = prefixes.keys().map(|prefix| prefix.length).collect();
        lengths.sort_unstable_by(|one, other| other.cmp(one));
        lengths.dedup();
        Self { lengths, prefixes, elsewhere }
    }

    /// Whether packets to the address stay on this host; `None` where this one has to be looked up.
    pub(super) fn contains(&self, address: IpAddr) -> Option<bool> {
        let held = |length: &u8| self.prefixes.get(&Prefix::around(address, *length));
        match self.lengths.iter().find_map(held) {
            Some(is_local) => *is_local,
            None => (!self.elsewhere).then_some(false),
        }
    }
}

/// The body of a request for rules or routes: the header that both have.
fn message(family: u8, table: u8, kind: u8) -> [u8; 12] {
    [family, 0, 0, 0, table, 0, 0, kind, 0, 0, 0, 0]
}

/// Whether a rule is `0: from all lookup local`.
fn looks_there(rule: &[u8]) -> bool {
    let Some([_, to, from, service, _, _, _, action, ..]) = rule.first_chunk::<12>() else { return false };
    let invert = u32_at(rule, 8).is_none_or(|flags| flags & FIB_RULE_INVERT != 0);
    let mut table = None;
    let has_no_condition = Attributes::new(rule.get(12..).unwrap_or_default()).all(|attribute| {
        let Ok((kind, value)) = attribute else { return false };
        match Frattr::from(kind) {
            Frattr::Table => {
                table = u32_of(value);
                true
            }
            Frattr::SuppressPrefixlen => u32_of(value) == Some(u32::MAX),
            Frattr::Protocol => true,
            _ => false,
        }
    });
    [*to, *from, *service] == [0; 3]
        && FrAct::from(*action) == FrAct::FrActToTbl
        && !invert
        && has_no_condition
        && table == Some(LOCAL_TABLE)
}

fn route(payload: &[u8]) -> Option<TableRoute> {
    let [family, length, from, _, table, _, _, kind, ..] = *payload.first_chunk::<12>()?;
    let flags = u32_at(payload, 8)?;
    let (mut number, mut network) = (u32::from(table), None);
    for attribute in Attributes::new(payload.get(12..)?) {
        let (kind, value) = attribute.ok()?;
        match Rta::from(kind) {
            Rta::Table => number = u32_of(value)?,
            Rta::Dst => network = address(value),
            _ => {}
        }
    }
    let any = if i32::from(family) == libc::AF_INET {
        IpAddr::from(Ipv4Addr::UNSPECIFIED)
    } else {
        IpAddr::from(Ipv6Addr::UNSPECIFIED)
    };
    let is_local = match Rtn::from(kind) {
        _ if from != 0 || flags & UNUSABLE != 0 => None,
        // The lookup goes on with the next rule.
        Rtn::Throw => None,
        kind => Some(kind == Rtn::Local),
    };
    let prefix = Prefix::around(network.unwrap_or(any), length);
    Some(TableRoute { table: number, prefix, is_local })
}

fn address(value: &[u8]) -> Option<IpAddr> {
    if let Ok(octets) = <[u8; 4]>::try_from(value) {
        return Some(octets.into());
    }
    <[u8; 16]>::try_from(value).ok().map(IpAddr::from)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn holds(routes: &[(&str, u8, Option<bool>)], elsewhere: bool, asked: &str) -> Option<bool> {
        let routes = routes.iter().map(|(network, length, is_local)| TableRoute {
            table: LOCAL_TABLE,
            prefix: Prefix { address: network.parse().unwrap(), length: *length },
            is_local: *is_local,
        });
        Local::of(routes, elsewhere).contains(asked.parse().unwrap())
    }

    #[test]
    fn the_longest_prefix_tells() {
        let routes = [
            ("10.16.0.0", 16, Some(true)),
            ("10.16.255.255", 32, Some(false)),
            ("10.16.7.0", 24, None),
            ("fd00::", 64, Some(true)),
        ];
        for (asked, expected) in [
            ("10.16.0.1", Some(true)),
            ("10.16.255.255", Some(false)),
            ("10.16.7.1", None),
            ("10.17.0.1", Some(false)),
            ("fd00::1:2:3:4", Some(true)),
            ("fd00:0:0:1::", Some(false)),
        ] {
            assert_eq!(holds(&routes, false, asked), expected, "{asked}");
        }
        assert_eq!(holds(&[("0.0.0.0", 0, Some(true))], false, "255.255.255.255"), Some(true));
    }

    #[test]
    fn what_another_table_may_hold_has_to_be_asked_for() {
        assert_eq!(holds(&[("10.0.0.1", 32, Some(true))], true, "10.0.0.1"), Some(true));
        assert_eq!(holds(&[("10.0.0.1", 32, Some(true))], true, "10.0.0.2"), None);
    }

    #[test]
    fn routes_to_one_prefix_that_differ_tell_nothing() {
        let differ = [("10.0.0.0", 8, Some(true)), ("10.0.0.0", 8, Some(false))];
        assert_eq!(holds(&differ, false, "10.0.0.1"), None);
        let agree = [("10.0.0.0", 8, Some(true)), ("10.0.0.0", 8, Some(true))];
        assert_eq!(holds(&agree, false, "10.0.0.1"), Some(true));
    }

    // `ip rule` on an untouched host, as the kernel sends its first line; then with each thing that changes it.
    #[test]
    fn only_the_kernels_own_first_rule_looks_there_for_every_packet() {
        let own = |change: &dyn Fn(&mut Vec<u8>)| {
            let mut rule = vec![2, 0, 0, 0, 255, 0, 0, 1, 0, 0, 0, 0];
            rule.extend([8, 0, 15, 0, 255, 0, 0, 0]);
            rule.extend([8, 0, 14, 0, 255, 255, 255, 255]);
            rule.extend([5, 0, 21, 0, 2, 0, 0, 0]);
            change(&mut rule);
            looks_there(&rule)
        };
        assert!(own(&|_| ()));
        assert!(!own(&|rule| rule[2] = 32), "from an address");
        assert!(!own(&|rule| rule[3] = 8), "for a type of service");
        assert!(!own(&|rule| rule[7] = 3), "nop");
        assert!(!own(&|rule| rule[8] = 2), "not");
        assert!(!own(&|rule| rule[16] = 254), "lookup main");
        assert!(!own(&|rule| rule[24] = 0), "suppress_prefixlength");
        assert!(!own(&|rule| rule.extend([8, 0, 10, 0, 1, 0, 0, 0])), "fwmark 1");
        assert!(!own(&|rule| rule.truncate(11)));
        assert!(!own(&|rule| rule.truncate(12)));
    }
}

//! Reads a table of `iptables-save` as chains that packets walk.

use super::chains::{Chain, ChainRule, Condition, Entry, TrackState, Verdict, prefix};
use super::hook::{Hook, HookPoint};
use crate::model::{Family, Protocol};

/// Targets after which the packet goes on to the next rule.
const PASSING: [&str; 14] = [
    "LOG",
    "NFLOG",
    "ULOG",
    "MARK",
    "CONNMARK",
    "CT",
    "NOTRACK",
    "TCPMSS",
    "DSCP",
    "TOS",
    "CLASSIFY",
    "SECMARK",
    "CONNSECMARK",
    "TRACE",
];

/// Matches that are no condition without an option.
const PLAIN: [&str; 7] = ["tcp", "udp", "sctp", "conntrack", "state", "multiport", "comment"];

/// A table, as it was saved.
pub(super) struct SavedTable<'a> {
    /// Of which family its packets are
    pub(super) family: Family,
    /// Its name
    pub(super) name: &'a str,
    /// The program that lists it
    pub(super) program: &'a str,
    /// Its chains, each with its policy
    pub(super) chains: &'a [(String, String)],
}

/// The chains of a table, each rule as its chain and its words; the first of them gets the number `first`.
pub(super) fn chains<'a>(
    table: &SavedTable<'_>,
    rules: impl Iterator<Item = (&'a str, &'a [String])> + Clone,
    priority: impl Fn(Hook) -> i32,
    first: usize,
) -> Vec<Chain> {
    let number = |name: &str| table.chains.iter().position(|(chain, _)| chain == name).map(|at| first + at);
    let chain = |(name, policy): &(String, String)| {
        let hook = match name.as_str() {
            "INPUT" => Some(Hook::Input),
            "FORWARD" => Some(Hook::Forward),
            _ => None,
        };
        let point = |hook| HookPoint { hook, priority: priority(hook) };
        let of_chain = rules.clone().filter(|(chain, _)| chain == name);
        Chain {
            place: format!("chain {name} of table {} ({})", table.name, table.program),
            family: Some(table.family),
            entry: hook.map(|hook| Entry { point: point(hook), drops: policy == "DROP" }),
            rules: of_chain.map(|(_, words)| rule(words, number)).collect(),
        }
    };
    table.chains.iter().map(chain).collect()
}

fn rule(words: &[String], number: impl Fn(&str) -> Option<usize>) -> ChainRule {
    let mut conditions = Vec::new();
    let mut words = words.iter().map(String::as_str).peekable();
    while let Some(word) = words.next() {
        let is_negated = word == "!";
        let option = if is_negated { words.next().unwrap_or_default() } else { word };
        if let "-j" | "-g" = option {
            let verdict = verdict(words.next().unwrap_or_default(), option == "-g", number);
            return ChainRule { conditions, verdict };
        }
        // What follows the option, up to the next one.
        let mut values = Vec::new();
        while let Some(value) = words.next_if(|next| !next.starts_with('-') && *next != "!") {
            values.push(value);
        }
        conditions.extend(condition(option, &values, is_negated));
    }
    ChainRule { conditions, verdict: Verdict::Continue }
}

fn verdict(target: &str, is_goto: bool, number: impl Fn(&str) -> Option<usize>) -> Verdict {
    match target {
        "ACCEPT" => Verdict::Accept,
        "DROP" | "REJECT" => Verdict::Drop,
        "RETURN" => Verdict::Return,
        target if PASSING.contains(&target) => Verdict::Continue,
        target => match number(target) {
            Some(chain) if is_goto => Verdict::Goto(chain),
            Some(chain) => Verdict::Jump(chain),
            None => Verdict::Unknown,
        },
    }
}

/// What an option asks of a packet; `None` where it asks nothing.
fn condition(option: &str, values: &[&str], is_negated: bool) -> Option<Condition> {
    let value = values.first().copied().unwrap_or_default();
    let parts = || value.split(',');
    let known = match option {
        "-m" if PLAIN.contains(&value) => return None,
        "--ctstate" | "--state" => {
            let states = parts().filter_map(|name| TrackState::named(&name.to_ascii_lowercase())).collect();
            return Some(if is_negated { Condition::NotStates(states) } else { Condition::States(states) });
        }
        "-p" => protocol(value).map(|protocol| Condition::Protocols(protocol.into_iter().collect())),
        "-s" => prefix(value).map(|prefix| Condition::Sources(vec![prefix])),
        "-d" => prefix(value).map(|prefix| Condition::Destinations(vec![prefix])),
        "-i" => interface(value).map(|name| Condition::InputInterfaces(vec![name])),
        "-o" => interface(value).map(|name| Condition::OutputInterfaces(vec![name])),
        "--dport" | "--dports" => parts().map(ports).collect::<Option<_>>().map(Condition::Ports),
        "--sport" | "--sports" => parts().map(ports).collect::<Option<_>>().map(Condition::SourcePorts),
        // The options of `-m addrtype`, which is a condition without any.
        "--dst-type" if value == "LOCAL" => Some(Condition::ToHost),
        "--dst-type" => Some(Condition::Never),
        "-m" if value == "addrtype" => return None,
        _ => None,
    };
    Some(known.filter(|_| !is_negated).unwrap_or(Condition::Unknown))
}

/// `Some(None)` is one that IPVS does not know.
fn protocol(name: &str) -> Option<Option<Protocol>> {
    Some(match name {
        "tcp" => Some(Protocol::Tcp),
        "udp" => Some(Protocol::Udp),
        "sctp" => Some(Protocol::Sctp),
        "icmp" | "icmpv6" | "ipv6-icmp" | "igmp" | "esp" | "ah" | "gre" => None,
        _ => return None,
    })
}

/// A name that ends in `+` is a pattern.
fn interface(name: &str) -> Option<String> {
    (!name.ends_with('+')).then(|| name.to_owned())
}

/// `80`, `8000:8010`
fn ports(text: &str) -> Option<std::ops::RangeInclusive<u16>> {
    let (first, last) = text.split_once(':').unwrap_or((text, text));
    Some(first.parse().ok()?..=last.parse().ok()?)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> ChainRule {
        let words: Vec<String> = text.split(' ').map(str::to_owned).collect();
        rule(&words, |name| (name == "mine").then_some(7))
    }

    #[test]
    fn a_rule_is_read_as_far_as_it_can_be_and_the_rest_is_unknown() {
        let text = "-s 10.0.0.0/8 -i eth1 -p tcp -m multiport --dports 80,8000:8010 -m comment -m conntrack ! --ctstate \
                    INVALID,DNAT -j ACCEPT";
        let conditions = vec![
            Condition::Sources(vec![prefix("10.0.0.0/8").unwrap()]),
            Condition::InputInterfaces(vec!["eth1".into()]),
            Condition::Protocols(vec![Protocol::Tcp]),
            Condition::Ports(vec![80..=80, 8000..=8010]),
            Condition::NotStates(vec![TrackState::Invalid]),
        ];
        assert_eq!(read(text), ChainRule { conditions, verdict: Verdict::Accept });
        for (text, condition) in [
            ("-m addrtype --dst-type LOCAL", Condition::ToHost),
            ("-p icmp", Condition::Protocols(vec![])),
            ("! -d 10.0.0.1/32", Condition::Unknown),
            ("-i eth+", Condition::Unknown),
            ("-m limit", Condition::Unknown),
            ("-m socket", Condition::Unknown),
        ] {
            assert_eq!(read(text), ChainRule { conditions: vec![condition], verdict: Verdict::Continue });
        }
        for (text, verdict) in [
            ("-j REJECT --reject-with icmp-port-unreachable", Verdict::Drop),
            ("-j LOG --log-prefix -j", Verdict::Continue),
            ("-j mine", Verdict::Jump(7)),
            ("-g mine", Verdict::Goto(7)),
            ("-j NFQUEUE --queue-num 0", Verdict::Unknown),
        ] {
            assert_eq!(read(text), ChainRule { conditions: vec![], verdict });
        }
    }
}

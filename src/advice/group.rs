//! Writes warnings for people: the same finding of many subjects is one warning, which names the first few and counts the others.

use std::collections::HashMap;
use std::hash::Hash;

use super::{Advice, Finding};

/// How many subjects a warning names.
const NAMED: usize = 3;

/// How many subjects a warning names in full.
const NAMED_IN_FULL: usize = 300;

/// How many different causes of one kind of finding are short lines of their own; of each other one only the subject is named.
const CAUSES: usize = 3;

/// A warning of more characters is shortened.
const LONG: usize = 200;

/// The same finding of many subjects together, in the order in which they come.
pub fn by_finding(advice: &[Advice]) -> Vec<Vec<&Advice>> {
    groups(advice, |one| &one.finding)
}

/// The warnings for people, each with the way out.
pub fn grouped(advice: &[Advice]) -> Vec<String> {
    by_finding(advice).iter().filter_map(|group| warning(group, NAMED)).collect()
}

/// The same with all subjects, or some hundred of them.
pub fn in_full(advice: &[Advice]) -> Vec<String> {
    by_finding(advice).iter().filter_map(|group| warning(group, NAMED_IN_FULL)).collect()
}

/// Warnings in short.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Shortened {
    /// One line each
    pub lines: Vec<String>,
    /// Whether something was left out: subjects, ways out, causes of the same kind
    pub is_cut: bool,
}

/// The warnings for an operator who reads them each time: of a long one the cause and the first way out.
pub fn shortened(advice: &[Advice]) -> Shortened {
    let mut short = Shortened::default();
    let mut causes: HashMap<&str, usize> = HashMap::new();
    let mut others: Vec<&Advice> = Vec::new();
    for group in groups(advice, |one| (one.finding.code, &one.finding.cause)) {
        let Some(first) = group.first() else { continue };
        let Finding { code, cause, advice } = &*first.finding;
        let causes = causes.entry(code).or_default();
        *causes += 1;
        if *causes > CAUSES {
            others.extend(group);
            continue;
        }
        let subjects = subjects(&group, NAMED);
        short.is_cut |= group.len() > NAMED;
        let line = format!("{subjects}: {cause}; {advice}");
        short.lines.push(match first_way_out(advice) {
            Some(first) if line.chars().count() > LONG => {
                short.is_cut = true;
                format!("{subjects}: {cause}; {first} …")
            }
            _ => line,
        });
    }
    for group in groups(others, |one| one.finding.code) {
        let Some(first) = group.first() else { continue };
        short.is_cut = true;
        short.lines.push(format!(
            "{}: more of the same kind ({})",
            subjects(&group, NAMED),
            first.finding.code
        ));
    }
    short
}

/// The findings with the same key, in the order of the first of each.
fn groups<'a, K: Copy + Hash + Eq>(
    advice: impl IntoIterator<Item = &'a Advice>,
    key: impl Fn(&'a Advice) -> K,
) -> Vec<Vec<&'a Advice>> {
    let mut groups: Vec<Vec<&Advice>> = Vec::new();
    let mut places: HashMap<K, usize> = HashMap::new();
    // The same finding mostly comes in a run, in which nothing has to be looked up.
    let mut run: Option<(K, usize)> = None;
    for one in advice {
        let key = key(one);
        let place = match run {
            Some((last, place)) if last == key => place,
            _ => *places.entry(key).or_insert_with(|| {
                groups.push(Vec::new());
                groups.len() - 1
            }),
        };
        run = Some((key, place));
        if let Some(group) = groups.get_mut(place) {
            group.push(one);
        }
    }
    groups
}

fn warning(group: &[&Advice], named: usize) -> Option<String> {
    let Finding { code: _, cause, advice } = &*group.first()?.finding;
    Some(format!("{}: {cause}; {advice}", subjects(group, named)))
}

/// The first subjects, and how many more there are.
fn subjects(group: &[&Advice], named: usize) -> String {
    let named: Vec<&str> = group.iter().take(named).map(|one| one.subject.as_str()).collect();
    let more = match group.len() - named.len() {
        0 => String::new(),
        more => format!(" and {more} more"),
    };
    format!("{}{more}", named.join(", "))
}

/// The first of several ways out. What is in backticks is to be typed, and stays whole.
fn first_way_out(advice: &str) -> Option<&str> {
    let mut is_outside = true;
    for (at, letter) in advice.char_indices() {
        let (before, rest) = advice.split_at_checked(at)?;
        if letter == '`' {
            is_outside = !is_outside;
        } else if is_outside && rest.starts_with(", or ") {
            return Some(before);
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_same_finding_of_many_is_one_warning() {
        let many =
            (1..=10_000).map(|number| Advice::new("a", format!("service {number}"), "no way", "find one"));
        let other = ["x", "y"].map(|name| Advice::new("b", name, "no way", "find one"));
        let advice: Vec<Advice> = many.chain(other).collect();
        let first = "service 1, service 2, service 3 and 9997 more: no way; find one";
        let second = "x, y: no way; find one";
        assert_eq!(grouped(&advice), [first, second]);
        let lines = [first, second].map(str::to_owned).into();
        assert_eq!(shortened(&advice), Shortened { lines, is_cut: true });
        assert!(in_full(&advice)[0].ends_with(", service 299, service 300 and 9700 more: no way; find one"));
        assert_eq!(grouped(&[]), Vec::<String>::new());
        assert_eq!(shortened(&[]), Shortened::default());
    }

    // The same 300 characters came at each `diff` and each `apply`.
    #[test]
    fn a_long_warning_keeps_its_cause_and_its_first_way_out() {
        let address = |address: &str, length: u8| {
            let way_out = format!(
                "give it to an interface (`ip address add ADDRESS/{length} dev lo`), or make it local without one (`ip route \
                 add local ADDRESS dev lo`); on a standby director this is correct"
            );
            Advice::new(
                "address",
                address,
                "is not local to this host, so that IPVS never sees its packets",
                way_out,
            )
        };
        let advice = [address("10.0.0.1", 32), address("10.0.0.2", 32), address("fd00::1", 128)];
        assert_eq!(
            shortened(&advice),
            Shortened {
                lines: vec![
                    "10.0.0.1, 10.0.0.2, fd00::1: is not local to this host, so that IPVS never sees its packets; give it to an \
                     interface (`ip address add ADDRESS/32 dev lo`) …"
                        .into()
                ],
                is_cut: true,
            }
        );
        assert_eq!(in_full(&advice), grouped(&advice));
        let one_way = Advice::new("file", "/etc", "c".repeat(200), "`chown root: /etc; chmod go-w /etc`");
        let whole = format!("/etc: {}; `chown root: /etc; chmod go-w /etc`", "c".repeat(200));
        assert_eq!(shortened(&[one_way]), Shortened { lines: vec![whole], is_cut: false });
    }

    #[test]
    fn of_many_causes_of_one_kind_the_first_are_written_and_the_others_named() {
        let strict =
            |number: u32| Advice::new("a", format!("eth{number}"), format!("cause {number}"), "add it");
        let advice: Vec<Advice> = (1..=8).map(strict).collect();
        let lines = ["eth1: cause 1; add it", "eth2: cause 2; add it", "eth3: cause 3; add it"];
        let more = "eth4, eth5, eth6 and 2 more: more of the same kind (a)";
        let lines = lines.into_iter().chain([more]).map(str::to_owned).collect();
        assert_eq!(shortened(&advice), Shortened { lines, is_cut: true });
        assert_eq!(in_full(&advice).len(), 8);
    }
}

//! What the packet filter of others does with marks and connection states: the rules of nftables and iptables, found.

use std::path::Path;

use super::program::{self, Trouble};
use super::rules::Filter;
use super::{iptables, nftables};
use crate::kernel::generation::Generation;
use crate::model::Family;

/// Reads the rules that concern these families.
pub(super) fn look(families: &[Family], proc: &Path, unknown: &mut Vec<String>) -> Filter {
    let mut filter = Filter::default();
    // Where nobody ever made a rule, no program has to be started to hear of none.
    if families.iter().all(|family| legacy_tables(proc, *family).is_empty())
        && Generation::default().is_first()
    {
        filter.known.extend(families);
        return filter;
    }
    let mut tables = Vec::new();
    let mut has_iptables = false;
    for &family in families {
        let legacy = legacy_tables(proc, family);
        let mut is_known = true;
        let (save, legacy_save) = match family {
            Family::V4 => ("iptables-save", "iptables-legacy-save"),
            Family::V6 => ("ip6tables-save", "ip6tables-legacy-save"),
        };
        match program::ask(save, &[]) {
            Ok(text) => {
                has_iptables = true;
                let found = iptables::parse(&text, family, &mut filter);
                // What is not among the old kernel tables is one of nftables, and listed there once more.
                tables.extend(
                    found.iter().filter(|name| !legacy.contains(name)).map(|name| (family, name.clone())),
                );
                if legacy.iter().any(|name| !found.contains(name)) {
                    is_known = also_legacy(legacy_save, family, &mut filter, unknown);
                }
            }
            Err(Trouble::Missing) if legacy.is_empty() => {}
            Err(Trouble::Missing) => is_known = also_legacy(legacy_save, family, &mut filter, unknown),
            Err(trouble) => {
                is_known = false;
                unknown.push(format!("cannot look at the rules of iptables: {save}: {trouble}"));
            }
        }
        if is_known {
            filter.known.push(family);
        }
    }
    let listed = program::ask("nft", &["-j", "list", "ruleset"]);
    match listed.and_then(|text| nftables::parse(&text, &tables, &mut filter).map_err(Trouble::Failed)) {
        Ok(()) => {}
        // A kernel without nftables has no rules of it.
        Err(Trouble::Failed(words)) if words.contains("cache initialization failed") => {}
        // A host that has only iptables.
        Err(Trouble::Missing) if has_iptables => {}
        Err(trouble) => {
            filter.known.clear();
            unknown.push(format!("cannot look at the rules of nftables: nft: {trouble}"));
        }
    }
    filter.marks.retain(|rule| rule.family.is_none_or(|family| families.contains(&family)));
    filter.states.retain(|rule| rule.family.is_none_or(|family| families.contains(&family)));
    filter
}

/// Reads the rules of the old kernel tables, and tells whether they could be read.
fn also_legacy(program: &str, family: Family, filter: &mut Filter, unknown: &mut Vec<String>) -> bool {
    match program::ask(program, &[]) {
        Ok(text) => {
            iptables::parse(&text, family, filter);
            true
        }
        Err(trouble) => {
            unknown.push(format!("cannot look at the rules of iptables: {program}: {trouble}"));
            false
        }
    }
}

/// The old tables that the kernel has for a family. Only to ask for others would load their modules.
fn legacy_tables(proc: &Path, family: Family) -> Vec<String> {
    let name = match family {
        Family::V4 => "thread-self/net/ip_tables_names",
        Family::V6 => "thread-self/net/ip6_tables_names",
    };
    let names = std::fs::read_to_string(proc.join(name)).unwrap_or_default();
    names.split_whitespace().map(str::to_owned).collect()
}

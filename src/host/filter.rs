//! Finds the rules of other programs, in nftables and iptables, that set marks or match connection states.

use std::error::Error;
use std::path::Path;

use super::program::{ProgramError, output_of};
use super::rules::FirewallRules;
use super::{iptables, nftables};
use crate::error_chain::ErrorChain;
use crate::kernel::nftables::Generation;
use crate::model::Family;

/// Reads the rules that concern these families.
pub(super) fn look(families: &[Family], proc: &Path, unknown: &mut Vec<String>) -> FirewallRules {
    let mut filter = FirewallRules::default();
    // Where nobody ever made a rule, no program has to be started to find none.
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
        match output_of(save, &[]) {
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
            Err(ProgramError::NotInstalled) if legacy.is_empty() => {}
            Err(ProgramError::NotInstalled) => {
                is_known = also_legacy(legacy_save, family, &mut filter, unknown)
            }
            Err(error) => {
                is_known = false;
                unknown.push(format!("cannot read the rules of iptables: {save}: {}", ErrorChain(&error)));
            }
        }
        if is_known {
            filter.known.push(family);
        }
    }
    let mut fail = |filter: &mut FirewallRules, error: &(dyn Error + 'static)| {
        filter.known.clear();
        unknown.push(format!("cannot read the rules of nftables: nft: {}", ErrorChain(error)));
    };
    match output_of("nft", &["-j", "list", "ruleset"]) {
        Ok(text) => {
            if let Err(error) = nftables::parse(&text, &tables, &mut filter) {
                fail(&mut filter, &error);
            }
        }
        // A kernel without nftables has no rules of it.
        Err(ProgramError::Failed { message: Some(message), .. })
            if message.contains("cache initialization failed") => {}
        // A host that has only iptables.
        Err(ProgramError::NotInstalled) if has_iptables => {}
        Err(error) => fail(&mut filter, &error),
    }
    filter.marks.retain(|rule| rule.family.is_none_or(|family| families.contains(&family)));
    filter.states.retain(|rule| rule.family.is_none_or(|family| families.contains(&family)));
    filter
}

/// Reads the rules of the old kernel tables; returns whether they could be read.
fn also_legacy(program: &str, family: Family, filter: &mut FirewallRules, unknown: &mut Vec<String>) -> bool {
    match output_of(program, &[]) {
        Ok(text) => {
            iptables::parse(&text, family, filter);
            true
        }
        Err(error) => {
            unknown.push(format!("cannot read the rules of iptables: {program}: {}", ErrorChain(&error)));
            false
        }
    }
}

/// What the programs of the firewall list for these families, each by its name: for whoever reads the rules by themselves. A program that
/// is not installed lists nothing; where no rule was ever made, none is started.
pub fn firewall_listings(families: &[Family], proc: &Path) -> Vec<(&'static str, Result<String, String>)> {
    let legacy: Vec<_> = families.iter().map(|family| (*family, legacy_tables(proc, *family))).collect();
    if legacy.iter().all(|(_, tables)| tables.is_empty()) && Generation::default().is_first() {
        return Vec::new();
    }
    let mut listings = Vec::new();
    let mut list = |name: &'static str, arguments: &[&str]| {
        let listing = match output_of(name, arguments) {
            Err(ProgramError::NotInstalled) => return None,
            listing => listing.map_err(|error| ErrorChain(&error).to_string()),
        };
        let text = listing.as_ref().ok().cloned();
        listings.push((name, listing));
        text
    };
    for (family, tables) in legacy {
        let (save, legacy_save) = match family {
            Family::V4 => ("iptables-save", "iptables-legacy-save"),
            Family::V6 => ("ip6tables-save", "ip6tables-legacy-save"),
        };
        let text = list(save, &[]).unwrap_or_default();
        let has = |table: &String| text.lines().any(|line| line.strip_prefix('*') == Some(table));
        if !tables.iter().all(has) {
            list(legacy_save, &[]);
        }
    }
    list("nft", &["-j", "list", "ruleset"]);
    listings
}

/// The old tables that the kernel has for a family. Listing others would load their modules.
fn legacy_tables(proc: &Path, family: Family) -> Vec<String> {
    let name = match family {
        Family::V4 => "thread-self/net/ip_tables_names",
        Family::V6 => "thread-self/net/ip6_tables_names",
    };
    let names = std::fs::read_to_string(proc.join(name)).unwrap_or_default();
    names.split_whitespace().map(str::to_owned).collect()
}

/// The rules of recorded listings: of `nft -j list ruleset` or of `iptables-save`.
#[cfg(test)]
pub(crate) fn recorded(listing: &str) -> FirewallRules {
    let mut filter = FirewallRules::default();
    if listing.starts_with('{') {
        nftables::parse(listing, &[], &mut filter).unwrap();
    } else {
        iptables::parse(listing, Family::V4, &mut filter);
    }
    filter
}

//! Turns firewall rules that do nothing but set a mark into `match` entries, and names the others that may set it.

mod iptables;
mod nft;

use std::collections::BTreeSet;
use std::fmt;

use crate::config::{self, Document};
use crate::model::{Mark, MarkMatch, State};

/// What was found in a listing of firewall rules.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct FoundMarks {
    /// The marks in the order of the rules, so that one may be there twice
    pub marks: Vec<Mark>,
    /// The rules that may set a mark and do more, or less, than a `match` entry can say
    pub others: Vec<OtherRule>,
}

/// A rule that may set a mark and is no `match` entry.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OtherRule {
    /// The number of its line in the listing, from 1; 1 where that has no lines
    pub line: usize,
    /// The rule, or where it is
    pub text: String,
    /// Why it is no `match` entry
    pub why: String,
}

/// Why a listing cannot be read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NoListing(String);

impl fmt::Display for NoListing {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}; give what `iptables-save` or `nft -j list ruleset` prints", self.0)
    }
}

impl std::error::Error for NoListing {}

/// Reads what `iptables-save`, `ip6tables-save` or `nft -j list ruleset` prints; of rules for other marks than these nothing is said.
///
/// # Errors
/// Where the text is no such listing.
pub fn read_marks(text: &str, marks: &BTreeSet<u32>) -> Result<FoundMarks, NoListing> {
    let mut found = FoundMarks::default();
    if text.trim_start().starts_with('{') {
        nft::read(text, marks, &mut found)?;
    } else if iptables::is_listing(text) {
        iptables::read(text, marks, &mut found);
    } else {
        return Err(NoListing("it is no listing of firewall rules".to_owned()));
    }
    Ok(found)
}

/// The marks that the clusters of a document listen on and that it does not set itself.
pub fn open_marks(state: &State) -> BTreeSet<u32> {
    let used = state.services.keys().filter_map(|key| key.mark());
    let is_set = |mark: u32| state.marks.iter().any(|of| of.mark == mark && !of.matches.is_empty());
    used.filter(|mark| !is_set(*mark)).collect()
}

/// Puts marks that were found into a document, in place of those that it declares without a `match`.
pub fn add_marks(document: &mut Document, found: &[Mark]) -> Vec<String> {
    let rendered = config::render_in_order(&State { marks: found.to_vec(), ..State::default() });
    let entries = rendered.document().marks;
    // The order of the rules decides which of two sets the mark of a packet.
    document.marks.retain(|declared| !entries.iter().any(|entry| entry.mark == declared.mark));
    let rest = std::mem::replace(&mut document.marks, entries);
    document.marks.extend(rest);
    rendered.head_lost().to_vec()
}

impl FoundMarks {
    /// Adds packets that get a mark.
    fn push(&mut self, mark: u32, packets: MarkMatch) {
        join_one(&mut self.marks, mark, packets);
    }
}

/// Adds marks behind others, each to its like, where no rule between the two sets another mark of the same packets.
pub fn join_marks(all: &mut Vec<Mark>, more: Vec<Mark>) {
    for Mark { mark, matches } in more {
        matches.into_iter().for_each(|packets| join_one(all, mark, packets));
    }
}

fn join_one(all: &mut Vec<Mark>, mark: u32, packets: MarkMatch) {
    let place = all.iter().rposition(|of| of.mark == mark);
    let is_free = |place: usize| {
        let between = all.iter().skip(place + 1).flat_map(|other| &other.matches);
        between.into_iter().all(|other| !other.meets(&packets))
    };
    match place.filter(|place| is_free(*place)).and_then(|place| all.get_mut(place)) {
        Some(of) if of.matches.contains(&packets) => {}
        Some(of) => of.matches.push(packets),
        None => all.push(Mark { mark, matches: vec![packets] }),
    }
}

/// Whether a rule that sets some bits can give one of these marks.
fn can_give(marks: &BTreeSet<u32>, value: u32, mask: u32) -> bool {
    value & mask != 0 && marks.iter().any(|mark| mark & mask == value & mask)
}

/// Packets without any condition.
const ALL: MarkMatch =
    MarkMatch { protocol: None, address: None, ports: Vec::new(), source: None, interface: None };

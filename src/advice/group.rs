//! Groups the same finding of many subjects into one warning, which names the first few and counts the others.

use std::collections::HashMap;

use super::{Advice, Finding};

/// How many subjects a warning names.
const NAMED: usize = 3;

/// The warnings for people, each with the way out.
pub fn grouped(advice: &[Advice]) -> Vec<String> {
    let mut groups: Vec<Vec<&Advice>> = Vec::new();
    let mut places: HashMap<&Finding, usize> = HashMap::new();
    // The same finding mostly comes in a run.
    for run in advice.chunk_by(|one, next| one.finding == next.finding) {
        let Some(first) = run.first() else { continue };
        let place = *places.entry(&first.finding).or_insert_with(|| {
            groups.push(Vec::new());
            groups.len() - 1
        });
        if let Some(group) = groups.get_mut(place) {
            group.extend(run);
        }
    }
    groups.iter().filter_map(|group| warning(group)).collect()
}

fn warning(group: &[&Advice]) -> Option<String> {
    let Finding { code: _, cause, advice } = &*group.first()?.finding;
    let named: Vec<&str> = group.iter().take(NAMED).map(|one| one.subject.as_str()).collect();
    let more = match group.len() - named.len() {
        0 => String::new(),
        more => format!(" and {more} more"),
    };
    Some(format!("{}{more}: {cause}; {advice}", named.join(", ")))
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
        assert_eq!(
            grouped(&advice),
            ["service 1, service 2, service 3 and 9997 more: no way; find one", "x, y: no way; find one"]
        );
        assert_eq!(grouped(&[]), Vec::<String>::new());
    }
}

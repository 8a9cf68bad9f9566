//! Loads a file: by the fast reader, and where anything is wrong, by the one that explains it.

use super::format::document::Document;
use super::format::place::Findings;
use super::format::schema;
use super::resolve::resolve;
use super::resolve::whole::Whole;
use super::source::Source;
use super::validate::check::Checked;
use super::validate::diagnose::Problems;
use super::validate::problem::Problem;
use super::validate::{bounds, syntax};
use super::yaml::stream::{self, Refusal};
use super::yaml::tree::Tree;
use crate::model::Desired;

/// The state that a file asks for, or everything that is wrong with it.
pub fn load(source: &Source) -> Result<Desired, Problems> {
    bounds::check(&source.text).map_err(|problem| Problems::new(source, vec![problem], 0))?;
    // Places cost time and memory, so they are looked for only when there is a problem to show.
    match read_fast(&source.text) {
        Ok(desired) => Ok(desired),
        Err(refusal) => explain(source, refusal),
    }
}

/// Reads a file without places. What is wrong with it is only good for telling that something is.
fn read_fast(text: &str) -> Result<Desired, Option<Problem>> {
    if let Some(problem) = syntax::control_character(text) {
        return Err(Some(problem));
    }
    let problem = |message| Problem::new(1, 1, 0, message);
    let (desired, findings) =
        resolved(text).map_err(|refusal| (!refusal.is_unread).then(|| problem(refusal.message)))?;
    match findings.list.into_iter().next() {
        None => Ok(desired),
        Some(finding) => Err(Some(problem(finding.message))),
    }
}

/// What a file asks for, and what is wrong with that, if anything.
fn resolved(text: &str) -> Result<(Desired, Findings), Refusal> {
    match stream::read(text)? {
        Whole::Resolved(desired, findings) => Ok((*desired, findings)),
        Whole::TooEarly => stream::read::<Document>(text).map(resolve),
    }
}

/// Finds all that is wrong with a file, and where. `refusal` is why it was refused without places, if it was.
fn explain(source: &Source, refusal: Option<Problem>) -> Result<Desired, Problems> {
    let one = |problem| Problems::new(source, vec![problem], 0);
    let tree = Tree::parse(&source.text).map_err(|error| one(syntax::problem(&source.text, &error)))?;
    let mut checked = Checked::new(&tree, schema::schema_value());
    let (value, mut problems) = (checked.value.take(), std::mem::take(&mut checked.problems));
    let document = value.map(serde_json::from_value::<Document>).transpose();
    debug_assert!(document.is_ok(), "the schema let something through: {document:?}");
    let document = document.unwrap_or_else(|error| {
        problems.push(Problem::new(1, 1, 0, error.to_string()));
        None
    });
    let (desired, findings) = document.map(resolve).unwrap_or_default();
    let more = checked.more + findings.more;
    problems.extend(findings.list.into_iter().filter_map(|finding| checked.locate(finding)));
    // What was refused once stays refused, should the two readings ever disagree.
    if problems.is_empty() {
        problems.extend(refusal);
    }
    if problems.is_empty() { Ok(desired) } else { Err(Problems::new(source, problems, more)) }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The parts of a file with everything in it.
    const PARTS: [&str; 8] = [
        "version: 1\n",
        "sysctls: { net.ipv4.ip_forward: 1 }\n",
        "marks: [{ mark: 10, match: [{ protocol: tcp, address: 10.0.0.1, ports: [80] }] }]\n",
        "timeouts: { tcp: 15m }\n",
        "sync: [{ role: master, interface: eth0 }]\n",
        "defaults: { scheduler: rr, forward: nat }\n",
        "clusters: [{ name: web, listen: fwmark://10, servers: [192.168.8.14] }]\n",
        "policy: { prune: never }\n",
    ];

    #[test]
    fn the_order_of_the_keys_means_nothing() {
        let (expected, findings) = resolve(stream::read::<Document>(&PARTS.concat()).unwrap());
        assert_eq!(findings.list, []);
        for turned in 0..PARTS.len() {
            let mut parts = PARTS;
            parts.rotate_left(turned);
            let text = parts.concat();
            let (desired, findings) = resolved(&text).unwrap();
            assert_eq!((desired, findings.list), (expected.clone(), vec![]), "{text}");
        }
    }

    #[test]
    fn a_part_that_is_missing_twice_there_or_unknown_is_told() {
        let message = |text: &str| resolved(text).map(|_| ()).unwrap_err().message;
        assert_eq!(message("version: 1\n"), "missing field `clusters`");
        assert_eq!(message("clusters: []\n"), "missing field `version`");
        for part in PARTS {
            let key = part.split(':').next().unwrap();
            for text in [format!("{part}{}", PARTS.concat()), format!("{}{part}", PARTS.concat())] {
                assert_eq!(message(&text), format!("`{key}` stands twice"), "{text}");
            }
        }
        assert!(message("version: 1\nclusters: []\nclster: 1\n").starts_with("unknown field `clster`"));
        assert!(message("versoin: 1\nclusters: []\n").starts_with("unknown field `versoin`"));
    }
}

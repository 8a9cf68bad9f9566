//! Loads the files of a desired state together: their checks, names, listeners and marks are those of one.

use serde::Deserialize;

use super::format::document::Document;
use super::format::extension::Extended;
use super::format::fragment::Fragment;
use super::format::schema;
use super::resolve::resolve_all;
use super::set::Part;
use super::source::Source;
use super::validate::check::{Checked, CheckedFiles};
use super::validate::diagnose::Diagnostics;
use super::validate::problem::Diagnostic;
use super::validate::{foreign, fullwidth, syntax};
use super::yaml::stream;
use super::yaml::tree::Tree;
use crate::model::Desired;

/// The state that several files describe, or everything that is wrong with them.
pub(super) fn load(source: &Source) -> Result<Desired, Diagnostics> {
    let parts = source.parts();
    let Some((main, included)) = parts.split_first() else {
        let problem = Diagnostic::new(1, 1, 0, "these are several files, and not as lbd has written them");
        return Err(Diagnostics::new(source, vec![problem], 0));
    };
    match read_fast(main, included) {
        Ok(desired) => Ok(desired),
        Err(known) => explain(source, &parts, known),
    }
}

fn names<'a>(main: &Part<'a>, included: &[Part<'a>]) -> Vec<&'a str> {
    std::iter::once(main).chain(included).map(|part| part.name).collect()
}

/// Reads all without places. Its error only shows that something is wrong.
fn read_fast(main: &Part<'_>, included: &[Part<'_>]) -> Result<Desired, Option<Diagnostic>> {
    let document = read_part::<Document>(main.text, 0)?;
    let mut fragments = Vec::with_capacity(included.len());
    for (index, part) in included.iter().enumerate() {
        fragments.push(read_part::<Fragment>(part.text, index + 1)?);
    }
    let (desired, issues, _) = resolve_all(document, &names(main, included), fragments);
    match issues.list.into_iter().next() {
        None => Ok(desired),
        Some(issue) => Err(Some(Diagnostic::new(1, 1, 0, issue.message))),
    }
}

fn read_part<'t, T: Deserialize<'t>>(text: &'t str, file: usize) -> Result<T, Option<Diagnostic>> {
    if let Some(problem) = syntax::control_character(text) {
        return Err(Some(problem.in_file(file)));
    }
    let problem = |message| Diagnostic::new(1, 1, 0, message).in_file(file);
    let read = stream::read::<Extended<T>>(text);
    read.map(|Extended(read)| read).map_err(|error| (!error.is_unsupported).then(|| problem(error.message)))
}

/// Finds all that is wrong with the files, and where. `known` is the problem that the fast reader found, if it did.
fn explain(source: &Source, parts: &[Part<'_>], known: Option<Diagnostic>) -> Result<Desired, Diagnostics> {
    let mut problems = Vec::new();
    let mut files =
        CheckedFiles::new(parts.iter().enumerate().map(|(index, part)| source.part_name(index, part.name)));
    for (index, part) in parts.iter().enumerate() {
        let problem = |problem: Diagnostic| problem.in_file(index);
        if let Some(found) = foreign::problem(part.text) {
            problems.push(problem(found));
            continue;
        }
        let tree = match Tree::parse(part.text) {
            Ok(tree) => tree,
            Err(error) => {
                problems.push(problem(syntax::problem(part.text, &error)));
                continue;
            }
        };
        let schema = if index == 0 { schema::schema_value() } else { schema::fragment_schema_value() };
        let mut checked = Checked::new(&tree, schema, index > 0);
        let begin = problems.len();
        problems.extend(std::mem::take(&mut checked.problems).into_iter().map(problem));
        if let Some(found) = problems.get_mut(begin..) {
            fullwidth::name(part.text, found);
        }
        files.push(checked);
    }
    let mut more = files.more();
    let mut desired = Desired::default();
    // Without one of them, names that it defines would be unknown to the others.
    if let Some((document, fragments)) = files.documents(parts.len()) {
        let names: Vec<&str> = parts.iter().map(|part| part.name).collect();
        let (resolved, issues, places) = resolve_all(document, &names, fragments);
        desired = resolved;
        more += issues.more;
        problems.extend(
            issues.list.into_iter().filter_map(|issue| files.locate(issue, &|path| places.place(path))),
        );
    }
    // What the fast reader refused stays refused, should the two ever disagree.
    if problems.is_empty() {
        problems.extend(known);
    }
    if problems.is_empty() && more == 0 { Ok(desired) } else { Err(Diagnostics::new(source, problems, more)) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::set::join;

    /// Main files and fragments, right and wrong; each pair is one desired state.
    const MAIN: [&str; 4] = [
        "version: 1\ninclude: [a.yaml]\nclusters: []\n",
        "version: 1\ninclude: [a.yaml]\nmarks: [{ mark: 1 }]\nchecks: { c: { type: tcp } }\ndefaults: { check: c, drain: 5s, forward: nat }\n\
         clusters: [{ name: m, listen: 'tcp://10.0.0.1:80', servers: [192.168.8.14] }]\n",
        "version: 1\ninclude: [a.yaml]\nclusters: [{ name: m, listen: fwmark://1, check: c, servers: [192.168.8.14] }]\n",
        "x-a: &s [192.168.8.14]\nversion: 1\ninclude: [a.yaml]\nclusters: [{ name: m, listen: 'udp://10.0.0.1:80', servers: *s }]\nclsters: 1\n",
    ];
    const FRAGMENTS: [&str; 10] = [
        "",
        "{}\n",
        "clusters:\n",
        "marks: [{ mark: 1 }]\nchecks: { c: { type: tcp } }\n",
        "defaults: { scheduler: rr, check: none }\nclusters: [{ name: n, listen: 'tcp://10.0.0.2:80', servers: [192.168.8.15] }]\n",
        "defaults: { scheduler: rrr }\n",
        "clusters: [{ name: m, listen: 'tcp://10.0.0.1:80', servers: [192.168.8.14] }]\n",
        "clusters: [{ name: n, listen: 'tcp://10.0.0.3:80', check: [c, { type: http, port: 8 }], servers: [192.168.8.15, 192.168.8.15] }]\n",
        "x-a: &s [192.168.8.14]\nclusters: [{ name: n, listen: fwmark://1, servers: *s }]\n",
        "policy: {}\nclusters: []\nclusters: []\n",
    ];

    #[test]
    fn both_readers_agree_on_files_that_are_read_together() {
        let mut valid = 0;
        for (main, fragment) in MAIN.iter().flat_map(|main| FRAGMENTS.map(|fragment| (main, fragment))) {
            let parts = [Part { name: "desired.yaml", text: main }, Part { name: "a.yaml", text: fragment }];
            let fast = read_fast(&parts[0], &parts[1..]);
            let explained = explain(&Source::new("", join(parts)), &parts, None);
            assert_eq!(fast.ok(), explained.clone().ok(), "{main}---\n{fragment}");
            valid += usize::from(explained.is_ok());
        }
        assert_eq!(valid, 6);
    }
}

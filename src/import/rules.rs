//! Converts rules of `ipvsadm`: each service becomes a cluster, in the order of the lines.

use std::collections::HashMap;

use super::{Effect, Finding, ImportError, Imported, Place};
use crate::config::{self, Source};
use crate::ipvsadm::{self, LineError};
use crate::model::ServiceKey;

/// Converts rules.
pub(super) fn import(source: &Source) -> Result<Imported, ImportError> {
    let parsed = ipvsadm::read(&source.text);
    if let Some(listing) = parsed.problems.iter().find(|problem| problem.error == LineError::Listing) {
        return Err(ImportError::Listing(listing.clone()));
    }
    let finding = |line: usize, text: &str, message: String, place: Place| Finding {
        file: source.name.clone(),
        line,
        text: text.to_owned(),
        message,
        effect: Effect::Lost,
        place,
    };
    let rendered = config::render_in_order(&parsed.state);
    let mut findings = Vec::new();
    let mut next = 0;
    let lines: Vec<&str> = source.text.lines().collect();
    let whole: HashMap<String, (ServiceKey, usize)> =
        parsed.lines.iter().map(|(key, line)| (key.to_string(), (*key, *line))).collect();
    let mut before: Vec<usize> = Vec::new();
    for (listen, wrong) in rendered.clusters() {
        let line = whole.get(listen).map_or(0, |(_, line)| *line);
        for why in wrong {
            let text = line.checked_sub(1).and_then(|index| lines.get(index)).copied().unwrap_or_default();
            findings.push(finding(line, text, format!("{listen}: {why}"), Place::Before(next)));
        }
        if wrong.is_empty() {
            before.push(line);
            next += 1;
        }
    }
    for why in rendered.head_lost() {
        findings.push(finding(1, lines.first().copied().unwrap_or_default(), why.clone(), Place::Head));
    }
    for problem in &parsed.problems {
        // Before the first service that a later line adds.
        let place = Place::Before(before.iter().filter(|line| **line < problem.line).count());
        findings.push(finding(problem.line, &problem.text, problem.error.to_string(), place));
    }
    findings.sort_by_key(|finding| finding.line);
    Ok(Imported { document: rendered.document(), findings })
}

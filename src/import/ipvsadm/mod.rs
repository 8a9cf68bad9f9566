//! Converts rules of `ipvsadm` and scripts of its commands: each service becomes a cluster, in the order of the lines.

mod commands;
mod lexer;
mod run;
mod script;
mod variables;

use self::run::{Remark, Run, listing};
use super::{COMMANDS, Effect, Finding, ImportError, Imported, Place};
use crate::config::{self, Source};
use crate::ipvsadm::{Lookup, TableReader};
use crate::model::ServiceKey;

/// Converts rules; `names` looks up hosts and ports.
pub(super) fn import(source: &Source, names: &dyn Lookup) -> Result<Imported, ImportError> {
    if let Some(listing) = listing(&source.text) {
        return Err(ImportError::Listing(listing));
    }
    let mut run = Run::new(TableReader::new(names, COMMANDS));
    run.script(&source.text);
    let Run { table, mut remarks, .. } = run;
    let rendered = config::render_in_order(&table.state);
    let line_of = |listen: &str| {
        let key = listen.parse::<ServiceKey>().ok();
        key.and_then(|key| table.lines.get(&key)).copied().unwrap_or_default()
    };
    let mut kept = Vec::new();
    for (listen, wrong) in rendered.clusters() {
        let line = line_of(listen);
        let lost = |why: &String| Remark {
            line,
            message: format!("{listen}: {why}"),
            effect: Effect::Lost,
            of_host: false,
        };
        remarks.extend(wrong.iter().map(lost));
        if wrong.is_empty() {
            kept.push(line);
        }
    }
    let of_head =
        |why: &String| Remark { line: 1, message: why.clone(), effect: Effect::Lost, of_host: true };
    remarks.extend(rendered.head_lost().iter().map(of_head));
    remarks.sort_by_key(|remark| remark.line);
    // (A host may be there twice in one line.)
    remarks.dedup();
    let lines: Vec<&str> = source.text.lines().collect();
    let finding = |Remark { line, message, effect, of_host }: Remark| Finding {
        file: source.name.clone(),
        line,
        text: whole_line(&lines, line),
        message,
        effect,
        place: if of_host {
            Place::Head
        } else {
            // Before the first service that a later line adds.
            Place::Before(kept.partition_point(|kept| *kept < line))
        },
    };
    let findings = remarks.into_iter().map(finding).collect();
    Ok(Imported { document: rendered.document(), findings })
}

/// A line with those that go on with it behind a backslash.
fn whole_line(lines: &[&str], number: usize) -> String {
    let mut whole = String::new();
    for line in lines.iter().skip(number.saturating_sub(1)) {
        match line.trim().strip_suffix('\\') {
            Some(start) => whole.push_str(start),
            None => {
                whole.push_str(line.trim());
                break;
            }
        }
    }
    whole
}

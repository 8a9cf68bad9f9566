//! Writes the list of the files that were verified, and that of the events, as text and as JSON.

use std::io::{self, Write};

use anstyle::{AnsiColor, Style};
use serde_json::{Value, json};

use super::json::VERSION;
use super::output::Output;
use super::styled::{PLAIN, line};
use crate::escape;
use crate::history::{Entry, EventKind, History, HistoryEvent};

/// How much of a SHA-256 people need.
const SHORT_DIGEST: usize = 12;

/// Writes the files, the newest first; `in_force` is the number of the one that was verified last.
///
/// # Errors
/// Those of `out`.
pub fn text(out: &mut Output, history: &History, in_force: Option<u64>) -> io::Result<()> {
    let bold = AnsiColor::Green.on_default().bold();
    let rows = history.entries().iter().rev().map(|entry| {
        let Entry { number, at, cause, counts, sha256, bytes: _ } = entry;
        let digest: String = sha256.chars().take(SHORT_DIGEST).collect();
        let cause = escape::text(&cause.to_string()).into_owned();
        [number.to_string(), at.to_string(), cause, counts.to_string(), digest]
    });
    let head = ["number", "time", "by", "changes", "sha-256"].map(str::to_owned);
    let rows: Vec<[String; 5]> = [head].into_iter().chain(rows).collect();
    let mut widths = [0; 5];
    for row in &rows {
        widths.iter_mut().zip(row).for_each(|(width, cell)| *width = cell.chars().count().max(*width));
    }
    let numbers = history.entries().iter().rev().map(|entry| Some(entry.number));
    for (row, number) in rows.iter().zip([None].into_iter().chain(numbers)) {
        let cells: Vec<String> =
            row.iter().zip(widths).map(|(cell, width)| format!("{cell:<width$}")).collect();
        let is_in_force = number.is_some() && number == in_force;
        let (mark, style): (&str, Style) = if is_in_force { ("* ", bold) } else { ("  ", PLAIN) };
        line(out, &[(style, &mark), (style, &cells.join("  ").trim_end())])?;
    }
    Ok(())
}

/// Writes the files as one document, the newest first.
///
/// # Errors
/// Those of `out`.
pub fn json(out: &mut dyn Write, history: &History, in_force: Option<u64>) -> io::Result<()> {
    let entry = |entry: &Entry| -> serde_json::Result<Value> {
        let mut value = serde_json::to_value(entry)?;
        if let Some(fields) = value.as_object_mut() {
            fields.insert("verified".to_owned(), entry.cause.is_verified().into());
            fields.insert("in_force".to_owned(), (Some(entry.number) == in_force).into());
        }
        Ok(value)
    };
    let entries: Vec<Value> = history.entries().iter().rev().map(entry).collect::<Result<_, _>>()?;
    escape::json(out, &json!({ "version": VERSION, "history": entries }))?;
    writeln!(out)
}

/// Writes the events: a line for each, and one for each of the changes that it names.
///
/// # Errors
/// Those of `out`.
pub fn events_text(out: &mut Output, events: &[HistoryEvent]) -> io::Result<()> {
    for event in events {
        let HistoryEvent { at, kind, by, text, clusters: _, sha256: _, counts, fields, changes } = event;
        let style = match kind {
            EventKind::Drift
            | EventKind::Conflict
            | EventKind::Refused
            | EventKind::CheckFailed
            | EventKind::TrialRolledBack => AnsiColor::Yellow.on_default(),
            EventKind::Applied
            | EventKind::Restored
            | EventKind::Edited
            | EventKind::RolledBack
            | EventKind::OverrideSet
            | EventKind::OverrideUndone
            | EventKind::OverrideEnded
            | EventKind::PauseSet
            | EventKind::PauseResumed
            | EventKind::PauseEnded
            | EventKind::DrainEnded
            | EventKind::CheckPassed
            | EventKind::CountersZeroed
            | EventKind::TrialBegun
            | EventKind::TrialConfirmed
            | EventKind::TrialCancelled
            | EventKind::TrialTimedOut => PLAIN,
        };
        let by = by.as_ref().map(|by| format!(" by {by}")).unwrap_or_default();
        let counted = counts.map(|counts| format!("; {counts}")).unwrap_or_default();
        let fields: Vec<String> = fields.iter().map(|(field, number)| format!("{field}: {number}")).collect();
        let fields = if fields.is_empty() { String::new() } else { format!(" ({})", fields.join(", ")) };
        line(
            out,
            &[
                (PLAIN, &format_args!("{at}  ")),
                (style, kind),
                (PLAIN, &format_args!("{by}: {text}{counted}{fields}")),
            ],
        )?;
        for change in changes {
            line(out, &[(PLAIN, &format_args!("    {change}"))])?;
        }
        let total = counts.map_or(0, |counts| counts.added + counts.edited + counts.deleted);
        if let Some(more) = total.checked_sub(changes.len()).filter(|more| *more > 0 && !changes.is_empty()) {
            line(out, &[(PLAIN, &format_args!("    and {more} more"))])?;
        }
    }
    Ok(())
}

/// Writes the events as one document.
///
/// # Errors
/// Those of `out`.
pub fn events_json(out: &mut dyn Write, events: &[HistoryEvent]) -> io::Result<()> {
    escape::json(out, &json!({ "version": VERSION, "events": events }))?;
    writeln!(out)
}

/// Writes each event as a document of one line.
///
/// # Errors
/// Those of `out`.
pub fn event_lines(out: &mut dyn Write, events: &[HistoryEvent]) -> io::Result<()> {
    for event in events {
        let mut document = serde_json::to_value(event)?;
        if let Some(fields) = document.as_object_mut() {
            fields.insert("version".to_owned(), VERSION.into());
        }
        // No line begins inside a string, in which a line break is written as `\n`.
        let line: String = escape::json_text(&document)?.lines().map(str::trim_start).collect();
        out.write_all(line.as_bytes())?;
        writeln!(out)?;
    }
    Ok(())
}

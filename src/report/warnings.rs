//! Writes what the daemon found on the host: its warnings, and what it could not examine.

use std::io;

use anstyle::{AnsiColor, Style};
use serde_json::{Value, json};

use super::output::Output;
use super::styled::{PLAIN, line};
use super::text::NOTE;
use crate::status::{HostFindings, Warning};

const WARNING: Style = AnsiColor::Yellow.on_default();

/// Writes a line for each of them.
pub(super) fn text(out: &mut Output, findings: &HostFindings) -> io::Result<()> {
    let HostFindings { warnings, more, not_examined } = findings;
    for warning in warnings {
        line(out, &[(WARNING, &"warning:"), (PLAIN, &format_args!(" {warning}"))])?;
    }
    if *more > 0 {
        line(out, &[(WARNING, &format_args!("and {more} more warnings"))])?;
    }
    for text in not_examined {
        line(out, &[(NOTE, &"not examined:"), (PLAIN, &format_args!(" {text}"))])?;
    }
    Ok(())
}

/// The warnings in the form that `diff` gives them, one row per kind and cause; null where no daemon has examined the host.
pub(super) fn json(findings: Option<&HostFindings>) -> Value {
    let row = |warning: &Warning| {
        let Warning { code, subjects, count, cause: _, advice } = warning;
        json!({
            "code": code,
            "subject": subjects.first(),
            "message": warning.message(),
            "advice": advice,
            "subjects": subjects,
            "count": count,
        })
    };
    findings.map_or(Value::Null, |findings| findings.warnings.iter().map(row).collect())
}

//! Writes a line of styled pieces, whose text is escaped.

use std::fmt::Display;
use std::io::{self, Write};

use anstyle::Style;

use super::output::Output;
use crate::escape::Escaped;

/// Text without a style.
pub(super) const PLAIN: Style = Style::new();

/// Writes a line of pieces, each in its style if the output has colours. Names come from files, from the kernel and from other
/// programs, so all text is escaped.
pub(super) fn line(out: &mut Output, pieces: &[(Style, &dyn Display)]) -> io::Result<()> {
    for (style, piece) in pieces {
        let style = out.style(*style);
        write!(out, "{style}{}{style:#}", Escaped(piece))?;
    }
    writeln!(out)
}

//! Writes a line in which only the styles are lbd's own: everything else is escaped.

use std::fmt::Display;
use std::io::{self, Write};

use anstyle::Style;

use crate::escape::Escaped;

/// Text without a style.
pub(super) const PLAIN: Style = Style::new();

/// Writes a line of pieces, each in its style. Names come from files, from the kernel and from other programs: everything
/// is escaped but the styles.
pub(super) fn line(out: &mut dyn Write, pieces: &[(Style, &dyn Display)]) -> io::Result<()> {
    for (style, piece) in pieces {
        write!(out, "{style}{}{style:#}", Escaped(piece))?;
    }
    writeln!(out)
}

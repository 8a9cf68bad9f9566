//! One thing that is wrong with a file, and where.

use crate::config::format::shorten::{LONGEST, shorten};
use crate::config::yaml::tree::Span;

/// One thing that is wrong with a file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Diagnostic {
    /// Which of several files it is in: the main file is 0
    pub file: usize,
    /// Line, from 1
    pub line: usize,
    /// Column in characters, from 1
    pub column: usize,
    /// How many characters are meant, on that line; 0 where something is missing
    pub width: usize,
    /// What is wrong
    pub message: String,
    /// What would be right
    pub expected: Option<String>,
    /// The nearest valid text
    pub suggestion: Option<String>,
}

impl Diagnostic {
    /// A problem at a place.
    pub(in crate::config) fn new(
        line: usize,
        column: usize,
        width: usize,
        message: impl Into<String>,
    ) -> Self {
        Self {
            file: 0,
            line,
            column,
            width,
            message: shorten(message.into()),
            expected: None,
            suggestion: None,
        }
    }

    /// The same in one of several files.
    pub(in crate::config) fn in_file(mut self, file: usize) -> Self {
        self.file = file;
        self
    }

    /// A problem at a place that a tree knows.
    pub(super) fn at(Span { line, column, width }: Span, message: impl Into<String>) -> Self {
        Self::new(line, column, width, message)
    }

    /// What would be right.
    pub(in crate::config) fn expecting(mut self, expected: impl Into<String>) -> Self {
        self.expected = Some(shorten(expected.into()));
        self
    }

    /// The nearest valid text, if there is one.
    pub(super) fn suggest(mut self, suggestion: Option<impl Into<String>>) -> Self {
        // A suggestion is copied by hand or by a script: it is whole or it is not there.
        self.suggestion = suggestion.map(Into::into).filter(|text| text.len() <= LONGEST);
        self
    }
}

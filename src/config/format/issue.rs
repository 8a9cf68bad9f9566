//! What is wrong with a document that has the right form, and where.

use super::path::KeyPath;
use super::shorten::shorten;

/// Something that is wrong with a document, though it has the right form.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Issue {
    /// The value that is wrong
    pub(in crate::config) path: KeyPath,
    /// Whether the key is meant, and not its value
    pub(in crate::config) at_key: bool,
    /// What else makes it wrong: where one of these could not be read, the issue may be a mere consequence
    pub(in crate::config) involved: Vec<KeyPath>,
    /// The other place, of two that collide
    pub(in crate::config) first: Option<KeyPath>,
    /// What is wrong, as a sentence
    pub(in crate::config) message: String,
    /// What would be right
    pub(in crate::config) expected: Option<String>,
    /// The nearest valid text
    pub(in crate::config) suggestion: Option<String>,
}

impl Issue {
    /// An issue with a value.
    pub fn new(path: KeyPath, message: impl Into<String>) -> Self {
        Self {
            path,
            at_key: false,
            involved: Vec::new(),
            first: None,
            message: shorten(message.into()),
            expected: None,
            suggestion: None,
        }
    }

    /// It is the key that should not be there.
    pub fn at_key(mut self) -> Self {
        self.at_key = true;
        self
    }

    /// What would be right.
    pub fn expected(mut self, expected: impl Into<String>) -> Self {
        self.expected = Some(expected.into());
        self
    }

    /// The nearest valid text, if there is one.
    pub fn suggest(mut self, suggestion: Option<impl Into<String>>) -> Self {
        self.suggestion = suggestion.map(Into::into);
        self
    }

    /// Another value that makes it wrong.
    pub fn involving(mut self, path: KeyPath) -> Self {
        self.involved.push(path);
        self
    }

    /// The place that it collides with.
    pub fn first(mut self, path: KeyPath) -> Self {
        self.first = Some(path);
        self
    }
}

/// The issues of one file. All are counted; the number stored is limited, so that a file of nothing but mistakes fills no memory.
#[derive(Debug, Default)]
pub struct Issues {
    /// Those that are kept
    pub(in crate::config) list: Vec<Issue>,
    /// How many more there were
    pub(in crate::config) more: usize,
}

impl Issues {
    /// How many are kept.
    pub(in crate::config) const KEPT: usize = 10_000;

    /// Adds one.
    pub fn push(&mut self, issue: Issue) {
        if self.list.len() < Self::KEPT { self.list.push(issue) } else { self.more += 1 }
    }
}

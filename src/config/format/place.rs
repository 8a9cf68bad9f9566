//! Where in the desired file something stands, by its keys and positions; lines are found only when a problem is shown.

use std::borrow::Cow;

use super::shorten::shorten;

/// One step on the way from the top of the file.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(in crate::config) enum Step {
    /// The value of a key
    Key(Cow<'static, str>),
    /// An entry of a list
    Index(usize),
}

impl From<&'static str> for Step {
    fn from(key: &'static str) -> Self {
        Self::Key(Cow::Borrowed(key))
    }
}

impl From<String> for Step {
    fn from(key: String) -> Self {
        Self::Key(Cow::Owned(key))
    }
}

impl From<usize> for Step {
    fn from(index: usize) -> Self {
        Self::Index(index)
    }
}

/// A value, by the way from the top of the file.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Default)]
pub(in crate::config) struct Place(pub(in crate::config) Vec<Step>);

impl Place {
    /// A value inside this one.
    pub(in crate::config) fn then(&self, step: impl Into<Step>) -> Self {
        let mut steps = self.0.clone();
        steps.push(step.into());
        Self(steps)
    }

    /// The first `count` steps of the way.
    pub(in crate::config) fn upto(&self, count: usize) -> Self {
        Self(self.0.iter().take(count).cloned().collect())
    }
}

/// A place by its steps: `place!["clusters", 0, "name"]`.
macro_rules! place {
    ($($step:expr),* $(,)?) => {
        $crate::config::format::place::Place(vec![$($crate::config::format::place::Step::from($step)),*])
    };
}
pub(in crate::config) use place;

/// Something that is wrong with the meaning of the file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::config) struct Finding {
    /// What is wrong
    pub(in crate::config) place: Place,
    /// Whether the key is meant, and not its value
    pub(in crate::config) at_key: bool,
    /// What else makes it wrong: where one of these could not be read, the finding may be a mere consequence
    pub(in crate::config) involved: Vec<Place>,
    /// The other place, of two that collide
    pub(in crate::config) first: Option<Place>,
    /// What is wrong, in words
    pub(in crate::config) message: String,
    /// What would be right
    pub(in crate::config) expected: Option<String>,
    /// The nearest valid text
    pub(in crate::config) suggestion: Option<String>,
}

impl Finding {
    /// A finding about a value.
    pub(in crate::config) fn new(place: Place, message: impl Into<String>) -> Self {
        Self {
            place,
            at_key: false,
            involved: Vec::new(),
            first: None,
            message: shorten(message.into()),
            expected: None,
            suggestion: None,
        }
    }

    /// It is the key that should not be there.
    pub(in crate::config) fn at_key(mut self) -> Self {
        self.at_key = true;
        self
    }

    /// What would be right.
    pub(in crate::config) fn expected(mut self, expected: impl Into<String>) -> Self {
        self.expected = Some(expected.into());
        self
    }

    /// The nearest valid text, if there is one.
    pub(in crate::config) fn suggest(mut self, suggestion: Option<impl Into<String>>) -> Self {
        self.suggestion = suggestion.map(Into::into);
        self
    }

    /// Another value that makes it wrong.
    pub(in crate::config) fn involving(mut self, place: Place) -> Self {
        self.involved.push(place);
        self
    }

    /// The place that it collides with.
    pub(in crate::config) fn first(mut self, place: Place) -> Self {
        self.first = Some(place);
        self
    }
}

/// The findings of one file. All are counted; so many are kept that a file of nothing but mistakes fills no memory.
#[derive(Debug, Default)]
pub(in crate::config) struct Findings {
    /// Those that are kept
    pub(in crate::config) list: Vec<Finding>,
    /// How many more there were
    pub(in crate::config) more: usize,
}

impl Findings {
    /// How many are kept.
    pub(in crate::config) const KEPT: usize = 10_000;

    /// Takes note of one.
    pub(in crate::config) fn push(&mut self, finding: Finding) {
        if self.list.len() < Self::KEPT { self.list.push(finding) } else { self.more += 1 }
    }
}

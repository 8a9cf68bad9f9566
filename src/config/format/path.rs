//! Places in the desired file, by keys and positions; lines are looked up only where there is a problem to report.

use std::borrow::Cow;

/// One step of a path.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum PathStep {
    /// What follows is in this one of several files; without it, the index of a cluster or mark counts those of all files
    File(usize),
    /// The value of a key
    Key(Cow<'static, str>),
    /// An entry of a list
    Index(usize),
}

impl From<&'static str> for PathStep {
    fn from(key: &'static str) -> Self {
        Self::Key(Cow::Borrowed(key))
    }
}

impl From<String> for PathStep {
    fn from(key: String) -> Self {
        Self::Key(Cow::Owned(key))
    }
}

impl From<usize> for PathStep {
    fn from(index: usize) -> Self {
        Self::Index(index)
    }
}

/// The place of a value, by the keys and positions from the top of the file.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Default)]
pub struct KeyPath(pub(in crate::config) Vec<PathStep>);

impl KeyPath {
    /// A value inside this one.
    pub fn then(&self, step: impl Into<PathStep>) -> Self {
        let mut steps = self.0.clone();
        steps.push(step.into());
        Self(steps)
    }

    /// The first `count` steps.
    pub(in crate::config) fn upto(&self, count: usize) -> Self {
        Self(self.0.iter().take(count).cloned().collect())
    }
}

/// A path by its steps: `key_path!["clusters", 0, "name"]`.
macro_rules! key_path {
    ($($step:expr),* $(,)?) => {
        $crate::config::format::path::KeyPath(vec![$($crate::config::format::path::PathStep::from($step)),*])
    };
}
pub(in crate::config) use key_path;

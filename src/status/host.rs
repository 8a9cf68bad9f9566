//! Defines what the daemon found on the host: warnings, and what it could not examine.

use std::fmt;

use serde::{Deserialize, Serialize};

/// How many subjects of a warning are named; the others are counted.
const NAMED: usize = 10;
/// How many warnings, and how many parts that were not examined, are kept: the file stays small.
const MOST: usize = 50;
/// The most characters of a text: some come from other programs.
const LONGEST: usize = 600;

/// What the daemon found when it examined the host.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct HostFindings {
    /// What is wrong, one entry per kind and cause
    pub warnings: Vec<Warning>,
    /// How many more warnings there are
    #[serde(default)]
    pub more: usize,
    /// What could not be examined, each with the reason: nothing is known of it, which does not mean that it is right
    #[serde(default)]
    pub not_examined: Vec<String>,
}

/// One thing that is wrong, with everything that it is wrong with.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Warning {
    /// Which kind, for scripts
    pub code: String,
    /// The first services, addresses, interfaces or programs that it is about
    pub subjects: Vec<String>,
    /// How many there are in all
    pub count: usize,
    /// Why it will not work, or not well; reads on from the subjects
    pub cause: String,
    /// The way out
    pub advice: String,
}

impl HostFindings {
    /// Keeps as much of these as is shown.
    pub fn new(mut warnings: Vec<Warning>, not_examined: impl IntoIterator<Item = String>) -> Self {
        let more = warnings.len().saturating_sub(MOST);
        warnings.truncate(MOST);
        let not_examined = not_examined.into_iter().take(MOST).map(|text| shortened(&text)).collect();
        Self { warnings, more, not_examined }
    }

    /// How many warnings there are.
    pub fn count(&self) -> usize {
        self.warnings.len().saturating_add(self.more)
    }
}

impl Warning {
    /// A warning about these subjects; keeps as much of the texts as is shown.
    pub fn new<'a>(
        code: &str,
        subjects: impl ExactSizeIterator<Item = &'a str>,
        cause: &str,
        advice: &str,
    ) -> Self {
        Self {
            code: code.to_owned(),
            count: subjects.len(),
            subjects: subjects.take(NAMED).map(shortened).collect(),
            cause: shortened(cause),
            advice: shortened(advice),
        }
    }

    /// What it is about: the first few, and how many more.
    pub fn subject(&self) -> String {
        const SHOWN: usize = 3;
        let named: Vec<&str> = self.subjects.iter().take(SHOWN).map(String::as_str).collect();
        match self.count.saturating_sub(named.len()) {
            0 => named.join(", "),
            more => format!("{} and {more} more", named.join(", ")),
        }
    }

    /// What is wrong with what.
    pub fn message(&self) -> String {
        format!("{}: {}", self.subject(), self.cause)
    }

    /// Whether it is the same warning, whatever it is about.
    pub fn is_same(&self, other: &Self) -> bool {
        (&self.code, &self.cause) == (&other.code, &other.cause)
    }
}

impl fmt::Display for Warning {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}; {}", self.message(), self.advice)
    }
}

fn shortened(text: &str) -> String {
    match text.char_indices().nth(LONGEST) {
        Some((end, _)) => format!("{}…", text.get(..end).unwrap_or_default()),
        None => text.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_warning_names_a_few_subjects_and_counts_the_others() {
        let names: Vec<String> = (1..=10_000).map(|number| format!("service {number}")).collect();
        let warning = |count: usize| {
            Warning::new("a", names[..count].iter().map(String::as_str), "no way", "find one").to_string()
        };
        assert_eq!(warning(1), "service 1: no way; find one");
        assert_eq!(warning(3), "service 1, service 2, service 3: no way; find one");
        assert_eq!(warning(10_000), "service 1, service 2, service 3 and 9997 more: no way; find one");
    }

    #[test]
    fn what_is_kept_is_small_whatever_is_found() {
        let long = "ä".repeat(100_000);
        let warning = Warning::new("a", std::iter::repeat_n(long.as_str(), 10_000), &long, &long);
        let findings = HostFindings::new(vec![warning; 10_000], vec![long.clone(); 10_000]);
        assert_eq!((findings.count(), findings.more, findings.not_examined.len()), (10_000, 9_950, MOST));
        let [first, ..] = findings.warnings.as_slice() else { panic!("{findings:?}") };
        assert_eq!((first.count, first.subjects.len()), (10_000, NAMED));
        assert_eq!(first.cause.chars().count(), LONGEST + 1);
        assert!(serde_json::to_string(&findings).unwrap().len() < 1 << 20);
    }
}

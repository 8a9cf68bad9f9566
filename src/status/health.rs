//! Defines what checks do at present, in numbers and in words, for people.

use std::fmt;

use serde::{Deserialize, Serialize};

/// What checks do at present.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct HealthSummary {
    /// How many servers are checked; one that is in several services counts in each
    pub checked: usize,
    /// How many of them fail
    pub failing: usize,
    /// How many are new, and have weight 0 until their first success
    pub waiting: usize,
    /// How many changed so often that a success has to last before it counts
    pub flapping: usize,
    /// How many nothing is known of, so that they serve
    pub unknown: usize,
    /// How many fail and serve all the same, since too few would be left
    pub kept: usize,
    /// The first of them, each with the reason
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub kept_named: Vec<String>,
    /// In how many services no server passes, so that all of them serve
    pub open: usize,
    /// The first of them
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub open_named: Vec<String>,
    /// In how many services the fallback serves
    pub on_fallback: usize,
    /// The first of them
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub on_fallback_named: Vec<String>,
    /// Why the checker gives no verdicts at present, if so
    #[serde(skip_serializing_if = "Option::is_none")]
    pub frozen: Option<String>,
    /// Since when nothing has come from the checker, if so, and why its file cannot be used
    #[serde(skip_serializing_if = "Option::is_none")]
    pub silent: Option<String>,
    /// Whether that is so for so long that it is not known how the servers are
    pub not_known: bool,
    /// Whether the daemon starts the checker itself, in place of a unit of its own
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub is_child: bool,
    /// What the checker warns of
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub warnings: Vec<String>,
}

impl HealthSummary {
    /// Whether nothing is checked, and nothing is to be said.
    pub fn is_none(&self) -> bool {
        *self == Self::default()
    }

    /// Whether all pass, as far as is known, so that an operator has to know nothing of it.
    pub fn is_well(&self) -> bool {
        let Self { failing, waiting, flapping, unknown, on_fallback, frozen, .. } = self;
        failing + waiting + flapping + unknown + on_fallback == 0 && frozen.is_none() && !self.is_bad()
    }

    /// Whether an operator has to act: servers serve that fail, or it is not known how they are.
    pub fn is_bad(&self) -> bool {
        self.kept + self.open > 0 || self.silent.is_some()
    }
}

/// In one line, the worst first: what an operator has to know.
impl fmt::Display for HealthSummary {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { checked, failing, waiting, flapping, unknown, kept, open, on_fallback, .. } = self;
        let mut parts = Vec::new();
        let mut part = |number: usize, text: &str| {
            if number > 0 {
                parts.push(format!("{number} {text}"));
            }
        };
        let services = |number| if number == 1 { "service" } else { "services" };
        part(*open, &format!("{} without a passing server, where all serve", services(*open)));
        part(*kept, "kept in service though failing");
        part(*on_fallback, &format!("{} on the fallback", services(*on_fallback)));
        part(*failing, &format!("of {checked} checked servers failing"));
        part(*waiting, "waiting for the first success");
        part(*flapping, "flapping");
        part(*unknown, "unknown");
        match (&self.silent, &self.frozen) {
            (Some(silent), _) if self.not_known => {
                parts.push(format!("health of {checked} servers is not known: {silent}"));
            }
            (Some(silent), _) => parts.push(silent.clone()),
            (None, Some(reason)) => parts.push(format!("no verdicts at present: {reason}")),
            (None, None) => {}
        }
        if parts.is_empty() {
            write!(f, "all {checked} checked servers pass")
        } else {
            f.write_str(&parts.join(", "))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_worst_comes_first_and_what_is_not_so_is_left_out() {
        let well = HealthSummary { checked: 3, ..HealthSummary::default() };
        assert_eq!((well.to_string(), well.is_bad()), ("all 3 checked servers pass".to_owned(), false));
        let all = HealthSummary {
            failing: 4,
            checked: 9,
            waiting: 1,
            flapping: 2,
            unknown: 3,
            kept: 1,
            open: 2,
            on_fallback: 1,
            frozen: Some("no free descriptor".to_owned()),
            ..HealthSummary::default()
        };
        assert_eq!(
            (all.to_string(), all.is_bad()),
            (
                "2 services without a passing server, where all serve, 1 kept in service though failing, 1 service on the fallback, 4 of 9 \
                 checked servers failing, 1 waiting for the first success, 2 flapping, 3 unknown, no verdicts at present: no free \
                 descriptor"
                    .to_owned(),
                true
            )
        );
    }
}

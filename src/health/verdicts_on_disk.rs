//! Defines the form of the verdicts on disk: one group for each check, so that a hundred thousand findings are a few megabytes.

use std::borrow::Cow;
use std::fmt;

use compact_str::CompactString;
use foldhash::fast::RandomState;
use indexmap::IndexMap;
use serde::{Deserialize, Serialize};

use super::probe::{Digest, Endpoint, ProbeKey};
use super::verdict::{ExecWeight, Failure, Finding, ProbeResults, Verdict, Verdicts};
use crate::status::Timestamp;

/// How many findings are read at most.
const MOST_FINDINGS: usize = 1_000_000;
/// How many characters a text has at most.
const LONGEST_TEXT: usize = 200;
/// How many characters the details of all findings have together: with a hundred thousand, each has 40.
const DETAILS: usize = 4_000_000;
/// How many warnings there are at most.
const MOST_WARNINGS: usize = 1_000;
/// How many results a checker has at most, and how many microseconds they took.
const MOST_RESULTS: u64 = 1 << 53;
/// The largest weight of IPVS that lbd sets.
const LARGEST_WEIGHT: u32 = 65_535;

/// What the checker says, on disk.
#[derive(Serialize, Deserialize)]
pub(super) struct VerdictsOnDisk<'a> {
    probes: Cow<'a, str>,
    at: u64,
    frozen: Option<CompactString>,
    warnings: Vec<CompactString>,
    findings: Vec<Group<'a>>,
    /// Older versions of lbd did not write it
    #[serde(default)]
    results: ProbeResults,
}

/// What is found of one check; a target of none of these lists is just passing.
#[derive(Serialize, Deserialize)]
struct Group<'a> {
    what: Digest,
    unknown: Vec<Endpoint>,
    failing: Vec<FailingOnDisk<'a>>,
    flapping: Vec<Endpoint>,
    weights: Vec<(Endpoint, ExecWeight)>,
}

/// A target with its failure: detail, since when by the wall clock and since the boot, how many failed, and how many have to.
#[derive(Serialize, Deserialize)]
struct FailingOnDisk<'a>(Endpoint, Cow<'a, str>, Timestamp, u64, u32, u32);

/// Why what a checker has written is not used.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum UnusableFinding {
    /// There are too many findings.
    Findings,
    /// There are too many warnings.
    Warnings,
    /// A text is too long.
    Text,
    /// A weight is too large.
    Weight,
    /// There are too many results.
    Results,
}

impl fmt::Display for UnusableFinding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Findings => write!(f, "it has more than {MOST_FINDINGS} findings"),
            Self::Warnings => write!(f, "it has more than {MOST_WARNINGS} warnings"),
            Self::Text => write!(f, "it has a text of more than {LONGEST_TEXT} characters"),
            Self::Weight => write!(f, "it has a weight above {LARGEST_WEIGHT}"),
            Self::Results => write!(f, "it has more than {MOST_RESULTS} results"),
        }
    }
}

impl std::error::Error for UnusableFinding {}

impl<'a> VerdictsOnDisk<'a> {
    /// The form on disk. Texts that are too long are cut.
    pub(super) fn of(verdicts: &'a Verdicts) -> Self {
        let Verdicts { probes, at, findings, frozen, warnings, results } = verdicts;
        let longest = (DETAILS / findings.len().max(1)).min(LONGEST_TEXT);
        let mut groups: IndexMap<Digest, Group<'a>, RandomState> = IndexMap::default();
        for (ProbeKey { what, target }, Finding { verdict, flapping, weight }) in findings {
            let group = groups.entry(*what).or_insert_with(|| Group::new(*what));
            match verdict {
                Verdict::Passing => {}
                Verdict::Unknown => group.unknown.push(*target),
                Verdict::Failing(Failure { detail, since, since_boot, failed, fall }) => {
                    let detail = Cow::Borrowed(cut(detail, longest));
                    group.failing.push(FailingOnDisk(*target, detail, *since, *since_boot, *failed, *fall));
                }
            }
            if *flapping {
                group.flapping.push(*target);
            }
            group.weights.extend(weight.map(|weight| (*target, weight)));
        }
        let short = |text: &CompactString| CompactString::from(cut(text, LONGEST_TEXT));
        Self {
            probes: Cow::Borrowed(probes),
            at: *at,
            frozen: frozen.as_ref().map(short),
            warnings: warnings.iter().take(MOST_WARNINGS).map(short).collect(),
            findings: groups.into_values().collect(),
            results: *results,
        }
    }

    /// What the checker says.
    ///
    /// # Errors
    /// Where there is more of it than a checker writes.
    pub(super) fn read(self) -> Result<Verdicts, UnusableFinding> {
        let Self { probes, at, frozen, warnings, findings: groups, results } = self;
        let count = |group: &Group<'_>| {
            [group.unknown.len(), group.failing.len(), group.flapping.len(), group.weights.len()]
                .iter()
                .sum::<usize>()
        };
        if groups.iter().map(count).sum::<usize>() > MOST_FINDINGS {
            return Err(UnusableFinding::Findings);
        }
        if warnings.len() > MOST_WARNINGS {
            return Err(UnusableFinding::Warnings);
        }
        if is_long(&probes) || frozen.iter().chain(&warnings).any(|text| is_long(text)) {
            return Err(UnusableFinding::Text);
        }
        let ProbeResults { passed, failed, durations } = &results;
        if [*passed, *failed, durations.count(), durations.micros].iter().any(|count| *count > MOST_RESULTS) {
            return Err(UnusableFinding::Results);
        }
        let mut verdicts =
            Verdicts { probes: probes.into_owned(), at, frozen, warnings, results, ..Verdicts::default() };
        for group in groups {
            group.add_to(&mut verdicts)?;
        }
        Ok(verdicts)
    }
}

impl Group<'_> {
    fn new(what: Digest) -> Self {
        Self { what, unknown: Vec::new(), failing: Vec::new(), flapping: Vec::new(), weights: Vec::new() }
    }

    fn add_to(self, verdicts: &mut Verdicts) -> Result<(), UnusableFinding> {
        let Self { what, unknown, failing, flapping, weights } = self;
        let findings = &mut verdicts.findings;
        findings.reserve(unknown.len() + failing.len());
        let of = |target| ProbeKey { what, target };
        for target in unknown {
            findings.insert(of(target), Finding { verdict: Verdict::Unknown, ..Finding::PASSING });
        }
        for FailingOnDisk(target, detail, since, since_boot, failed, fall) in failing {
            if is_long(&detail) {
                return Err(UnusableFinding::Text);
            }
            let failure = Failure { detail: (*detail).into(), since, since_boot, failed, fall };
            findings.insert(of(target), Finding { verdict: Verdict::Failing(failure), ..Finding::PASSING });
        }
        for target in flapping {
            findings.entry(of(target)).or_insert(Finding::PASSING).flapping = true;
        }
        for (target, weight) in weights {
            let (ExecWeight::Percent(number) | ExecWeight::Weight(number)) = weight;
            if number > LARGEST_WEIGHT {
                return Err(UnusableFinding::Weight);
            }
            findings.entry(of(target)).or_insert(Finding::PASSING).weight = Some(weight);
        }
        Ok(())
    }
}

/// The first characters of a text.
fn cut(text: &str, longest: usize) -> &str {
    text.char_indices().nth(longest).and_then(|(end, _)| text.get(..end)).unwrap_or(text)
}

fn is_long(text: &str) -> bool {
    text.len() > LONGEST_TEXT && text.chars().nth(LONGEST_TEXT).is_some()
}

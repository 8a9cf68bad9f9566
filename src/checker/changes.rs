//! Says in lines of the log what is new in the verdicts.

use std::collections::HashMap;

use foldhash::fast::RandomState;

use crate::escape::Escaped;
use crate::health::{Finding, ProbeKey, Probes, Verdict, Verdicts};

/// How many changes of verdicts are logged one by one: where all servers fail at once, their number says it.
const NAMED: usize = 20;

/// What is new.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(super) struct Changes {
    /// What an operator should know
    pub(super) warnings: Vec<String>,
    /// Each server that is failing now, or passing again
    pub(super) verdicts: Vec<String>,
}

impl Changes {
    /// What the later verdicts say that the earlier ones did not. All texts are escaped.
    pub(super) fn between(earlier: &Verdicts, later: &Verdicts, probes: &Probes) -> Self {
        let mut warnings: Vec<String> = later
            .warnings
            .iter()
            .filter(|warning| !earlier.warnings.contains(warning))
            .map(|warning| Escaped(warning).to_string())
            .collect();
        let mut verdicts = Vec::new();
        match (&earlier.frozen, &later.frozen) {
            // (Its numbers change all the time.)
            (None, Some(reason)) => {
                warnings.push(format!("no verdict changes at present: {}", Escaped(reason)));
            }
            (Some(_), None) => verdicts.push("verdicts change again".to_owned()),
            (Some(_), Some(_)) | (None, None) => {}
        }
        let names: HashMap<_, _, RandomState> =
            probes.checks.iter().map(|check| (check.what, check.name.as_str())).collect();
        let mut changed: Vec<(&ProbeKey, &Finding)> =
            later.findings.iter().filter(|(key, finding)| is_other(earlier.of(key), finding)).collect();
        // What is in no list is passing.
        let again = earlier.findings.keys().filter(|key| !later.findings.contains_key(key));
        changed.extend(
            again
                .map(|key| (key, &Finding::PASSING))
                .filter(|(key, finding)| names.contains_key(&key.what) && is_other(earlier.of(key), finding)),
        );
        changed.sort_unstable_by_key(|(key, _)| **key);
        for (key, finding) in changed.iter().take(NAMED) {
            let name = names.get(&key.what).copied().unwrap_or_default();
            let start = format!("check {} of {}", Escaped(name), key.target);
            verdicts.push(match &finding.verdict {
                Verdict::Failing(failure) => format!("{start}: failing: {}", Escaped(failure)),
                Verdict::Passing | Verdict::Unknown => format!("{start}: passing"),
            });
        }
        if let Some(more) = changed.len().checked_sub(NAMED).filter(|more| *more > 0) {
            verdicts.push(format!("and {more} more verdicts have changed"));
        }
        Self { warnings, verdicts }
    }
}

/// Whether a server fails that did not, or passes that failed. The first success of a probe is no news.
fn is_other(earlier: &Finding, later: &Finding) -> bool {
    match (&earlier.verdict, &later.verdict) {
        (Verdict::Failing(_), Verdict::Passing)
        | (Verdict::Passing | Verdict::Unknown, Verdict::Failing(_)) => true,
        (Verdict::Failing(_), Verdict::Failing(_) | Verdict::Unknown)
        | (Verdict::Passing | Verdict::Unknown, Verdict::Passing | Verdict::Unknown) => false,
    }
}

#[cfg(test)]
mod tests {
    use std::time::{Duration, UNIX_EPOCH};

    use super::*;
    use crate::health::{Digest, Endpoint, Failure, ProbedCheck};
    use crate::model::{CheckKind, Timing};

    fn key(target: u8) -> ProbeKey {
        ProbeKey { what: Digest::try_from("1".to_owned()).unwrap(), target: target_of(target) }
    }

    fn target_of(number: u8) -> Endpoint {
        Endpoint::new([10, 0, 0, number].into(), 80)
    }

    fn failing(detail: &str) -> Finding {
        let since = (UNIX_EPOCH + Duration::from_secs(1_795_460_685)).into();
        let failure = Failure { detail: detail.into(), since, since_boot: 1, failed: 3, fall: 3 };
        Finding { verdict: Verdict::Failing(failure), ..Finding::PASSING }
    }

    fn verdicts(findings: impl IntoIterator<Item = (u8, Finding)>) -> Verdicts {
        let findings = findings.into_iter().map(|(target, finding)| (key(target), finding)).collect();
        Verdicts { findings, ..Verdicts::default() }
    }

    fn probes() -> Probes {
        let check = ProbedCheck {
            what: key(0).what,
            name: "web".into(),
            cluster: None,
            source: None,
            kind: CheckKind::Ping,
            timing: Timing::DEFAULT,
            targets: (0..=255).map(target_of).collect(),
        };
        Probes { checks: vec![check] }
    }

    #[test]
    fn who_fails_and_who_passes_again_is_a_line_each() {
        let unknown = Finding { verdict: Verdict::Unknown, ..Finding::PASSING };
        let earlier =
            verdicts([(1, unknown.clone()), (2, unknown), (3, failing("status 503")), (4, failing("a"))]);
        let later = Verdicts {
            frozen: Some("no free descriptor".into()),
            warnings: vec!["a certificate ends\n".into()],
            ..verdicts([(2, failing("sent \u{1b}[2J")), (4, failing("b")), (5, failing("no answer"))])
        };
        let end = "3 of 3, since 2026-11-23T19:04:45Z";
        let changes = Changes {
            warnings: vec![
                "a certificate ends\\n".to_owned(),
                "no verdict changes at present: no free descriptor".to_owned(),
            ],
            verdicts: vec![
                format!("check web of 10.0.0.2:80: failing: sent \\x1b[2J, {end}"),
                "check web of 10.0.0.3:80: passing".to_owned(),
                format!("check web of 10.0.0.5:80: failing: no answer, {end}"),
            ],
        };
        assert_eq!(Changes::between(&earlier, &later, &probes()), changes);
        assert_eq!(Changes::between(&later, &later, &probes()), Changes::default());
        let thawed = Changes::between(&later, &Verdicts { frozen: None, ..later.clone() }, &probes());
        assert_eq!(thawed.verdicts, ["verdicts change again"]);
        // What is no longer probed does not pass.
        assert_eq!(
            Changes::between(&later, &verdicts([]), &Probes::default()).verdicts,
            ["verdicts change again"]
        );
    }

    #[test]
    fn many_at_once_are_counted() {
        let all = verdicts((0..=255).map(|target| (target, failing("no answer"))));
        let changes = Changes::between(&Verdicts::default(), &all, &probes());
        assert_eq!(changes.verdicts.len(), NAMED + 1);
        assert_eq!(changes.verdicts.last().map(String::as_str), Some("and 236 more verdicts have changed"));
    }
}

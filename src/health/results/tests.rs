//! Verdicts on virtual time.

use std::time::{Duration, UNIX_EPOCH};

use proptest::prelude::*;

use super::*;
use crate::health::{Digest, Finding, Verdict};
use crate::model::{CheckKind, Exchange};

const TIMING: Timing = Timing::DEFAULT;

fn at(since_boot: u64) -> Moment {
    Moment { since_boot, wall: (UNIX_EPOCH + Duration::from_millis(since_boot)).into() }
}

fn check(what: u64, timing: Timing, targets: usize) -> ProbedCheck {
    let target = |number: usize| Endpoint::from(([10, 0, (number / 200) as u8, (number % 200) as u8], 80));
    ProbedCheck {
        what: Digest::try_from(format!("{what:x}")).unwrap(),
        name: "web".into(),
        cluster: None,
        source: None,
        kind: CheckKind::Tcp(Exchange::default()),
        timing,
        targets: (0..targets).map(target).collect(),
    }
}

fn probes(targets: usize) -> Probes {
    Probes { checks: vec![check(1, TIMING, targets)] }
}

fn failed() -> Outcome {
    Outcome::Failed("status 503".into())
}

/// A checker on virtual time, whose probes are answered at once.
struct Run {
    checks: Checks,
    now: u64,
    /// Each probe that began: when, and its key
    begun: Vec<(u64, ProbeKey)>,
    /// When the verdicts changed
    changed: Vec<u64>,
}

impl Run {
    fn new(probes: Probes) -> Self {
        Self { checks: Checks::new(probes, 7, at(0)), now: 0, begun: Vec::new(), changed: Vec::new() }
    }

    /// Until a moment; `answer` says what a probe of a target sees, and after how many milliseconds.
    fn until(&mut self, end: u64, answer: impl Fn(&ProbeKey) -> (Outcome, u64)) {
        let mut in_flight: Vec<(u64, u64, ProbeKey, Outcome)> = Vec::new();
        loop {
            let next = in_flight.iter().map(|(ready, ..)| *ready).chain(self.checks.next()).min();
            let Some(next) = next.filter(|next| *next <= end) else { break };
            self.now = self.now.max(next);
            for Start { key, .. } in self.checks.due(at(self.now), usize::MAX) {
                let (outcome, after) = answer(&key);
                self.begun.push((self.now, key));
                in_flight.push((self.now + after, self.now, key, outcome));
            }
            let (ready, waiting): (Vec<_>, Vec<_>) =
                in_flight.into_iter().partition(|(ready, ..)| *ready <= self.now);
            in_flight = waiting;
            for (_, began, key, outcome) in ready {
                if self.checks.result(&key, outcome, began, at(self.now)) {
                    self.changed.push(self.now);
                }
            }
        }
        // What is left in flight ends at once, so that the next step begins afresh.
        for (_, began, key, outcome) in in_flight {
            self.checks.result(&key, outcome, began, at(end));
        }
        self.now = end;
    }

    fn passing_until(&mut self, end: u64) {
        self.until(end, |_| (Outcome::PASSED, 0));
    }

    fn failing_until(&mut self, end: u64) {
        self.until(end, |_| (failed(), 0));
    }

    fn verdicts(&self) -> Vec<Verdict> {
        let said = self.checks.verdicts(at(self.now));
        self.checks.probes.iter().map(|(key, _)| said.of(&key).verdict.clone()).collect()
    }

    fn failing(&self) -> usize {
        self.verdicts().iter().filter(|verdict| matches!(verdict, Verdict::Failing(_))).count()
    }

    fn finding(&self) -> Finding {
        let (key, _) = self.checks.probes.iter().next().unwrap();
        self.checks.verdicts(at(self.now)).of(&key).clone()
    }
}

#[test]
fn one_success_suffices_where_nothing_was_known() {
    let mut run = Run::new(probes(3));
    assert_eq!(run.verdicts(), [Verdict::Unknown, Verdict::Unknown, Verdict::Unknown]);
    run.passing_until(TIMING.fast.as_millis() as u64);
    assert_eq!(run.verdicts(), [Verdict::Passing, Verdict::Passing, Verdict::Passing]);
    assert_eq!(run.checks.verdicts(at(run.now)).findings.len(), 0);
}

#[test]
fn three_failures_in_a_row_are_a_verdict_and_two_successes_end_it() {
    for seed in 0..200 {
        let mut run = Run::new(probes(1));
        run.checks = Checks::new(probes(1), seed, at(0));
        run.passing_until(20_000);
        run.changed.clear();
        run.begun.clear();
        run.failing_until(40_000);
        let [first, second, third, ..] = run.begun[..] else { panic!() };
        assert_eq!(run.changed, [third.0]);
        // "Out of service 1.8 to 7.7 s after it refuses."
        assert!((20_000..=25_500).contains(&first.0), "{first:?}");
        assert!(
            (900..=1_100).contains(&(second.0 - first.0)) && (900..=1_100).contains(&(third.0 - second.0))
        );
        assert_eq!(
            run.finding(),
            Finding {
                verdict: Verdict::Failing(crate::health::Failure {
                    detail: "status 503".into(),
                    since: at(third.0).wall,
                    since_boot: third.0,
                    failed: 3,
                    fall: 3
                }),
                flapping: false,
                weight: None
            }
        );
        run.changed.clear();
        run.begun.clear();
        run.passing_until(60_000);
        let [first, second, ..] = run.begun[..] else { panic!() };
        assert_eq!((run.changed.clone(), run.finding()), (vec![second.0], Finding::PASSING));
        assert!((900..=1_100).contains(&(second.0 - first.0)));
    }
}

#[test]
fn a_failure_in_between_changes_nothing() {
    let mut run = Run::new(probes(1));
    run.passing_until(10_000);
    run.changed.clear();
    for _ in 0..20 {
        let key = run.checks.probes.iter().next().unwrap().0;
        for outcome in [failed(), failed(), Outcome::PASSED] {
            run.now = run.checks.next().unwrap();
            assert_eq!(run.checks.due(at(run.now), 1).len(), 1);
            run.checks.result(&key, outcome, run.now, at(run.now));
        }
    }
    assert_eq!((run.finding(), run.changed), (Finding::PASSING, Vec::new()));
}

#[test]
fn a_server_that_failed_three_times_in_ten_minutes_has_to_pass_for_longer() {
    let mut run = Run::new(probes(1));
    run.passing_until(10_000);
    let mut proofs = Vec::new();
    for _ in 0..8 {
        let start = run.now;
        run.failing_until(start + 10_000);
        assert_eq!(run.failing(), 1);
        let start = run.now;
        run.changed.clear();
        run.passing_until(start + 310_000);
        proofs.push((run.changed[0] - start) / 1_000);
    }
    // Two successes; from the third failure on 30 s and more, and calm after ten minutes in which it failed but twice.
    assert!(proofs[0] < 8 && proofs[1] < 8, "{proofs:?}");

    let mut run = Run::new(probes(1));
    run.passing_until(10_000);
    let mut proofs = Vec::new();
    for _ in 0..8 {
        let start = run.now;
        run.failing_until(start + 10_000);
        let start = run.now;
        while run.failing() == 1 {
            run.passing_until(run.now + 1_000);
        }
        proofs.push((run.now - start) / 1_000);
    }
    let limits = [(0, 8), (0, 8), (30, 37), (60, 67), (120, 127), (240, 247), (300, 307), (300, 307)];
    let is_within = |(proof, (low, high)): (&u64, &(u64, u64))| (low..=high).contains(&proof);
    assert!(proofs.iter().zip(&limits).all(is_within), "{proofs:?}");
    assert!(run.finding().flapping);
    run.passing_until(run.now + 600_000);
    assert_eq!(run.finding(), Finding::PASSING);
    run.failing_until(run.now + 10_000);
    let start = run.now;
    while run.failing() == 1 {
        run.passing_until(run.now + 1_000);
    }
    assert!(run.now - start < 8_000);
}

#[test]
fn what_the_checker_lacks_freezes_verdicts() {
    let mut run = Run::new(probes(3));
    run.passing_until(10_000);
    for outcome in [Outcome::Own("too many open files (EMFILE)".into()), Outcome::Lagged] {
        run.until(run.now + 60_000, |_| (outcome.clone(), 0));
        assert_eq!(run.failing(), 0);
        let frozen = run.checks.verdicts(at(run.now)).frozen.unwrap();
        assert!(frozen.starts_with("3 of 3 probes have no result: "), "{frozen}");
    }
    // Results that differ are counted on, whatever was between them.
    run.passing_until(run.now + 10_000);
    assert_eq!(run.checks.verdicts(at(run.now)).frozen, None);
}

#[test]
fn what_the_checker_lacks_for_one_server_is_no_matter_of_the_others() {
    let mut run = Run::new(probes(7));
    let last = |key: &ProbeKey, digits: &[char]| key.target.ip().to_string().ends_with(digits);
    run.passing_until(10_000);
    for (outcome, text) in [
        (Outcome::Own("key.pem: not permitted".into()), "probes have no result: key.pem: not permitted"),
        (Outcome::Lagged, "probes have no result: the checker itself was too slow"),
    ] {
        run.changed.clear();
        run.until(run.now + 30_000, |key| match key {
            key if last(key, &['1', '2', '3']) => (outcome.clone(), 0),
            key if last(key, &['4']) => (failed(), 0),
            _ => (Outcome::PASSED, 0),
        });
        let verdicts = run.checks.verdicts(at(run.now));
        assert_eq!((run.failing(), verdicts.frozen, verdicts.warnings), (1, None, vec![text.into()]));
        // One who lacks something for the first time, and the one that fails: nothing is written for each probe.
        assert!(run.changed.len() <= 3, "{:?}", run.changed);
    }
}

#[test]
fn all_failing_at_once_waits_for_a_second_interval() {
    for seed in 0..50 {
        for (targets, at_once) in [(7, 0..=7), (8, 0..=2), (100, 0..=0)] {
            let mut run = Run::new(probes(targets));
            run.checks = Checks::new(probes(targets), seed, at(0));
            run.passing_until(20_000);
            run.failing_until(26_500);
            // Of few targets, the first may fail before enough others have been probed.
            assert!(at_once.contains(&run.failing()), "{targets}: {}", run.failing());
            if targets > 7 {
                let frozen = run.checks.verdicts(at(run.now)).frozen.unwrap();
                assert!(frozen.starts_with("more than half of the targets fail at once"), "{frozen}");
            }
            run.failing_until(33_500);
            assert_eq!((run.failing(), run.checks.verdicts(at(run.now)).frozen), (targets, None));
        }
    }
}

#[test]
fn an_uplink_that_comes_back_in_time_changes_no_verdict() {
    let mut run = Run::new(probes(100));
    run.passing_until(20_000);
    // No answer within the time-out: four of five have been probed when the first has failed three times.
    run.until(26_500, |_| (failed(), 2_000));
    run.passing_until(40_000);
    let failing = run.checks.verdicts(at(run.now)).findings.len();
    assert_eq!((failing, run.checks.verdicts(at(run.now)).frozen), (0, None));
}

// A check of another cluster that probes once an hour delayed all verdicts for an hour.
#[test]
fn the_interval_of_the_checks_that_fail_counts_and_a_minute_at_most() {
    let every = |seconds| Timing { interval: Duration::from_secs(seconds), ..TIMING };
    let with = |timing: Timing| {
        let mut other = check(2, every(3_600), 1);
        other.targets = vec![Endpoint::from(([10, 9, 9, 9], 80))];
        Probes { checks: vec![check(1, timing, 20), other] }
    };
    let fails = |key: &ProbeKey| if key.what.to_string().ends_with('1') { failed() } else { Outcome::PASSED };
    let (mut run, begin) = (Run::new(with(TIMING)), 100_000);
    run.passing_until(begin);
    run.until(begin + 6_500, |key| (fails(key), 0));
    assert!(run.failing() <= 2 && run.checks.verdicts(at(run.now)).frozen.is_some(), "{}", run.failing());
    run.until(begin + 13_500, |key| (fails(key), 0));
    assert_eq!((run.failing(), run.checks.verdicts(at(run.now)).frozen), (20, None));
    // Three failures in a row after up to 330 s, and then no more than a minute and a probe.
    let mut run = Run::new(with(every(300)));
    run.passing_until(begin);
    let mut was_delayed = false;
    while run.failing() < 20 && run.now < begin + 400_000 {
        run.until(run.now + 1_000, |key| (fails(key), 0));
        was_delayed |= run.checks.verdicts(at(run.now)).frozen.is_some();
    }
    assert!(run.now <= begin + 335_000 + 62_000 && was_delayed, "{} {was_delayed}", run.now);
}

#[test]
fn less_than_half_of_the_targets_fail_without_delay() {
    let mut run = Run::new(probes(100));
    let is_bad = |key: &ProbeKey| key.target.ip().to_string().ends_with(['1', '2', '3']);
    let answer = |key: &ProbeKey| if is_bad(key) { (failed(), 0) } else { (Outcome::PASSED, 0) };
    run.passing_until(20_000);
    run.until(27_700, answer);
    assert_eq!(run.failing(), 30);
    // And those that have failed for long do not count when others do.
    run.until(100_000, answer);
    run.until(107_700, |key| match key.target.ip().to_string().ends_with(['1', '2', '3', '4', '5', '6']) {
        true => (failed(), 0),
        false => (Outcome::PASSED, 0),
    });
    assert_eq!(run.failing(), 60);
}

#[test]
fn a_verdict_belongs_to_what_is_checked() {
    let mut run = Run::new(probes(2));
    run.passing_until(10_000);
    run.failing_until(20_000);
    let verdicts = run.verdicts();
    // Other times and another name.
    let timing = Timing { interval: Duration::from_secs(60), fall: 1, ..TIMING };
    let mut renamed = check(1, timing, 3);
    renamed.name = "other".into();
    run.checks.change(Probes { checks: vec![check(2, TIMING, 1), renamed] }, at(20_000));
    let mut expected = vec![Verdict::Unknown];
    expected.extend(verdicts);
    expected.push(Verdict::Unknown);
    assert_eq!(run.verdicts(), expected);
    // A shorter interval counts at once.
    run.passing_until(200_000);
    run.checks.change(probes(2), at(200_000));
    assert!(run.checks.next().unwrap() <= 205_500);
    run.checks.change(Probes::default(), at(200_000));
    assert_eq!((run.checks.next(), run.verdicts()), (None, Vec::new()));
}

#[test]
fn a_result_of_a_probe_that_is_no_more_is_nothing() {
    let mut checks = Checks::new(probes(1), 7, at(0));
    let start = checks.due(at(1_000), 9)[0];
    checks.change(Probes::default(), at(1_000));
    assert!(!checks.result(&start.key, failed(), 1_000, at(1_000)));
}

#[test]
fn weights_and_warnings_are_said() {
    let mut run = Run::new(probes(1));
    let outcome = Outcome::Passed { weight: Some(ExecWeight::Percent(75)), warning: Some("it ends".into()) };
    run.until(10_000, |_| (outcome.clone(), 0));
    assert_eq!(run.finding(), Finding { weight: Some(ExecWeight::Percent(75)), ..Finding::PASSING });
    assert_eq!(run.checks.verdicts(at(run.now)).warnings, ["it ends"]);
    run.passing_until(20_000);
    assert_eq!((run.finding(), run.checks.verdicts(at(run.now)).warnings), (Finding::PASSING, Vec::new()));
    assert_eq!(run.changed.len(), 2);
}

#[test]
fn phases_are_spread_and_the_bound_delays_only() {
    let mut checks = Checks::new(probes(10_000), 7, at(0));
    let mut begun = 0;
    for second in 1..=5 {
        let starts = checks.due(at(second * 1_000), usize::MAX);
        assert!((1_800..2_200).contains(&starts.len()), "{}", starts.len());
        for start in &starts {
            checks.result(&start.key, Outcome::PASSED, second * 1_000, at(second * 1_000));
        }
        begun += starts.len();
    }
    assert_eq!(begun, 10_000);
    // Nothing ran for a minute: all are late, and none has failed.
    let starts = checks.due(at(60_000), 4_096);
    assert_eq!(starts.len(), 4_096);
    for start in &starts {
        checks.result(&start.key, Outcome::PASSED, 60_000, at(60_000));
    }
    let verdicts = checks.verdicts(at(60_000));
    assert_eq!(
        (verdicts.findings.len(), verdicts.warnings),
        (0, vec![
            "probes begin more than 1 s late: too many probes, too short intervals, or too little CPU time".into()
        ])
    );
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(200))]

    /// Whatever the results are: a verdict becomes "failing" only by `fall` failures in a row, and "passing" only by `rise` successes.
    #[test]
    fn no_verdict_changes_without_its_results(
        results in proptest::collection::vec(0..4_u8, 1..200),
        fall in 1..5_u32,
        rise in 1..5_u32,
    ) {
        let probes = Probes { checks: vec![check(1, Timing { fall, rise, ..TIMING }, 1)] };
        let mut checks = Checks::new(probes.clone(), 7, at(0));
        let key = probes.iter().next().unwrap().0;
        // Results with a verdict, in a row.
        let (mut failures, mut successes) = (0, 0);
        let mut before = Verdict::Unknown;
        let mut now = 0;
        for result in results {
            now = now.max(checks.next().unwrap());
            prop_assert_eq!(checks.due(at(now), 9).len(), 1);
            prop_assert_eq!(checks.next(), None);
            let outcome = match result {
                0 => Outcome::PASSED,
                1 => failed(),
                2 => Outcome::Own("EMFILE".into()),
                _ => Outcome::Lagged,
            };
            match &outcome {
                Outcome::Passed { .. } => (failures, successes) = (0, successes + 1),
                Outcome::Failed(_) => (failures, successes) = (failures + 1, 0),
                Outcome::Own(_) | Outcome::Lagged => {}
            }
            let has_changed = checks.result(&key, outcome, now, at(now));
            let verdicts = checks.verdicts(at(now));
            let after = verdicts.of(&key).verdict.clone();
            let next = checks.next().unwrap();
            prop_assert!(next >= now + 900 && next <= now + 5_500);
            match (&before, &after) {
                (Verdict::Unknown | Verdict::Passing, Verdict::Failing(_)) => prop_assert!(failures >= fall),
                (Verdict::Failing(_), Verdict::Passing) => prop_assert!(successes >= rise),
                (Verdict::Unknown, Verdict::Passing) => prop_assert_eq!(successes, 1),
                (before, after) => prop_assert_eq!(before, after),
            }
            prop_assert!(before == after || has_changed);
            if failures >= fall {
                prop_assert!(matches!(after, Verdict::Failing(_)));
            }
            before = after;
        }
    }
}

//! Begins probes when they are due, takes their results, and says when the verdicts have changed.

use std::sync::Arc;
use std::time::{Duration, SystemTime};

use nix::time::{ClockId, clock_gettime};
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep_until};

use super::probe::{Probed, Prober};
use crate::health::{Checks, Moment, Outcome, ProbeKey, ProbeResults, Probes, Start, Verdicts};

/// How many probes are in flight at most. What is over it is late, and not failed.
const IN_FLIGHT: usize = 4_096;
/// Changes of verdicts are written together: at most once in this time.
const MERGED: Duration = Duration::from_millis(50);
/// So often verdicts are written although they are the same, so that a checker that has ended is noticed.
const HEARTBEAT: Duration = Duration::from_secs(10);
/// While probes are in flight, the engine looks so often whether it was kept from running.
const WATCHED: Duration = Duration::from_millis(100);
/// Kept from running so long, it does not believe a failure: the answer may have been there.
const LAG: Duration = Duration::from_millis(100);

/// Probes, and what is known by them. It runs inside of a tokio runtime of one thread.
#[derive(Debug)]
pub struct Engine {
    checks: Checks,
    /// One for each check, in their order
    probers: Vec<Arc<Prober>>,
    in_flight: JoinSet<(ProbeKey, Probed)>,
    /// When it wanted to run next; later is a lag
    planned: Option<Instant>,
    /// When it was last kept from running
    lagged_at: Option<Instant>,
    /// When what has changed is to be written
    publish_at: Option<Instant>,
    published_at: Option<Instant>,
    results: ProbeResults,
}

impl Engine {
    /// Probes these; nothing is known yet.
    pub fn new(probes: Probes) -> Self {
        let mut engine = Self {
            checks: Checks::new(Probes::default(), fastrand::u64(..), now()),
            probers: Vec::new(),
            in_flight: JoinSet::new(),
            planned: None,
            lagged_at: None,
            publish_at: None,
            published_at: None,
            results: ProbeResults::default(),
        };
        engine.set(probes);
        engine
    }

    /// Probes these from now on. What is known by those that stay is kept.
    pub fn set(&mut self, probes: Probes) {
        self.checks.change(probes, now());
        self.probers = self.checks.checks().iter().map(|check| Arc::new(Prober::new(check))).collect();
        self.publish_at = Some(Instant::now());
    }

    /// What is to be written now.
    pub fn verdicts(&self) -> Verdicts {
        Verdicts { results: self.results, ..self.checks.verdicts(now()) }
    }

    /// Probes until [`Self::verdicts`] is to be written: when it says something new, at most each 50 ms, and at least each 10 s.
    /// It may be dropped while it waits; nothing is lost.
    pub async fn next_change(&mut self) {
        loop {
            self.note_lag();
            let published = Instant::now();
            let heartbeat = self.published_at.map_or(published, |at| at + HEARTBEAT);
            let publish = self.publish_at.map_or(heartbeat, |at| at.min(heartbeat));
            if publish <= published {
                (self.publish_at, self.published_at) = (None, Some(published));
                return;
            }
            self.begin();
            let mut wanted = publish;
            if self.in_flight.len() < IN_FLIGHT
                && let Some(next) = self.checks.next()
            {
                let until = next.saturating_sub(now().since_boot);
                // A due probe waits at least until the next millisecond.
                wanted = wanted.min(published + Duration::from_millis(until.max(1)));
            }
            if !self.in_flight.is_empty() {
                wanted = wanted.min(published + WATCHED);
            }
            self.planned = Some(wanted);
            tokio::select! {
                Some(result) = self.in_flight.join_next() => {
                    self.note_lag();
                    self.take(result);
                    while let Some(result) = self.in_flight.try_join_next() {
                        self.take(result);
                    }
                }
                () = sleep_until(wanted) => {}
            }
        }
    }

    /// Begins what is due.
    fn begin(&mut self) {
        let free = IN_FLIGHT.saturating_sub(self.in_flight.len());
        for Start { key, check } in self.checks.due(now(), free) {
            if let Some(prober) = self.probers.get(check).map(Arc::clone) {
                self.in_flight.spawn(async move { (key, prober.probe(key.target).await) });
            }
        }
    }

    /// Takes a result.
    fn take(&mut self, result: Result<(ProbeKey, Probed), tokio::task::JoinError>) {
        // A task neither panics nor is aborted.
        let Ok((key, Probed { outcome, began, took })) = result else { return };
        let outcome = match outcome {
            Outcome::Failed(_) if self.lagged_at.is_some_and(|at| at >= began) => Outcome::Lagged,
            outcome => outcome,
        };
        let ProbeResults { passed, failed, durations } = &mut self.results;
        match outcome {
            Outcome::Passed { .. } => *passed += 1,
            Outcome::Failed(_) => *failed += 1,
            Outcome::Own(_) | Outcome::Lagged => {}
        }
        if matches!(outcome, Outcome::Passed { .. } | Outcome::Failed(_)) {
            durations.add(took);
        }
        let now = now();
        let ago = u64::try_from((began.elapsed().max(took)).as_millis()).unwrap_or(u64::MAX);
        if self.checks.result(&key, outcome, now.since_boot.saturating_sub(ago), now) {
            let earliest = self.published_at.map_or_else(Instant::now, |at| at + MERGED);
            self.publish_at = Some(self.publish_at.unwrap_or_else(|| earliest.max(Instant::now())));
        }
    }

    /// Notes when it runs later than it wanted.
    fn note_lag(&mut self) {
        let now = Instant::now();
        if self.planned.take().is_some_and(|planned| now.saturating_duration_since(planned) > LAG) {
            self.lagged_at = Some(now);
        }
    }
}

/// This moment.
fn now() -> Moment {
    // Every kernel with IPVS over netlink has this clock.
    let time = clock_gettime(ClockId::CLOCK_BOOTTIME).map(Duration::from).unwrap_or_default();
    Moment { since_boot: u64::try_from(time.as_millis()).unwrap_or(u64::MAX), wall: SystemTime::now().into() }
}

#[cfg(test)]
mod tests {
    use tokio::net::{TcpListener, TcpStream};

    use super::*;
    use crate::health::{Digest, Endpoint, ProbedCheck, Verdict};
    use crate::model::{CheckKind, Exchange, Timing};

    fn probes(targets: Vec<Endpoint>, expect: Option<&str>, timeout: u64) -> Probes {
        let expect = expect.map(|expect| expect.as_bytes().to_vec());
        let milliseconds = Duration::from_millis;
        let timing = Timing {
            interval: milliseconds(timeout + 50),
            timeout: milliseconds(timeout),
            fast: milliseconds(20),
            fall: 2,
            rise: 2,
        };
        let what = Digest::try_from("1".to_owned()).unwrap();
        let kind = CheckKind::Tcp(Exchange { send: None, expect });
        let check =
            ProbedCheck { what, name: "web".into(), cluster: None, source: None, kind, timing, targets };
        Probes { checks: vec![check] }
    }

    async fn until(engine: &mut Engine, wanted: impl Fn(&Verdicts) -> bool) {
        while !wanted(&engine.verdicts()) {
            engine.next_change().await;
        }
    }

    #[tokio::test]
    async fn a_server_passes_fails_when_its_port_closes_and_passes_again() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let target = listener.local_addr().unwrap();
        let probes = probes(vec![target], None, 10_000);
        let mut engine = Engine::new(probes.clone());
        let key = probes.iter().next().unwrap().0;
        assert_eq!(engine.verdicts().of(&key).verdict, Verdict::Unknown);
        until(&mut engine, |verdicts| verdicts.of(&key).verdict == Verdict::Passing).await;

        drop(listener);
        // Another name and shorter intervals change nothing by themselves, and are in force at once.
        let mut probes = self::probes(vec![target], None, 10_000);
        probes.checks[0].name = "other".into();
        probes.checks[0].timing.interval = Duration::from_millis(30);
        engine.set(probes.clone());
        assert_eq!(engine.verdicts().probes, probes.hash());
        assert_eq!(engine.verdicts().of(&key).verdict, Verdict::Passing);
        until(&mut engine, |verdicts| matches!(&verdicts.of(&key).verdict, Verdict::Failing(failure) if failure.detail == "connection refused")).await;

        let _listener = TcpListener::bind(target).await.unwrap();
        until(&mut engine, |verdicts| verdicts.of(&key).verdict == Verdict::Passing).await;
        engine.set(Probes::default());
        assert!(engine.verdicts().findings.is_empty());
    }

    #[tokio::test]
    async fn what_was_missed_while_it_was_kept_from_running_is_no_failure() {
        // It accepts and never answers.
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let target = listener.local_addr().unwrap();
        let mut engine = Engine::new(probes(vec![target], Some("x"), 300));
        let accepted = async {
            let (stream, _): (TcpStream, _) = listener.accept().await.unwrap();
            // As SIGSTOP does, or too little CPU time.
            std::thread::sleep(Duration::from_millis(800));
            stream
        };
        let _open = tokio::select! {
            stream = accepted => stream,
            () = async { loop { engine.next_change().await } } => unreachable!(),
        };
        until(&mut engine, |verdicts| verdicts.frozen.is_some()).await;
        let verdicts = engine.verdicts();
        let frozen = "1 of 1 probes have no result: the checker itself was too slow";
        assert_eq!(verdicts.frozen.as_deref(), Some(frozen));
        assert!(verdicts.findings.values().all(|finding| finding.verdict == Verdict::Unknown));
    }

    #[tokio::test(start_paused = true)]
    async fn without_changes_it_is_written_each_ten_seconds() {
        let mut engine = Engine::new(Probes::default());
        let mut written = Vec::new();
        let start = Instant::now();
        for _ in 0..3 {
            engine.next_change().await;
            written.push(start.elapsed().as_secs());
        }
        assert_eq!(written, [0, 10, 20]);
    }
}

//! Judges whether a file that was put into place went well, from what the daemon says.

use std::time::Duration;

use super::state::InFlight;
use crate::fleet::Healthy;

/// What the daemon says of itself.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct DaemonState {
    /// The digest of the file that it took last
    pub file_sha256: Option<String>,
    /// The digest of the file of the last verified pass
    pub verified_sha256: Option<String>,
    /// Whether the kernel equals the target
    pub in_sync: bool,
    /// What is wrong with the file, if it is not valid
    pub problem: Option<String>,
    /// Why a guard refuses the file, if one does
    pub refused: Option<String>,
    /// What the kernel refused, or why a pass did not end
    pub failed: Vec<String>,
    /// In how many services nothing that passes its check serves
    pub down: usize,
}

/// What was seen of the file under way, by the clock of this process: from when on the file was looked at, and since when all has been well. So neither
/// the time in which nobody looked nor a step of the host's clock counts.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Watched {
    /// The first look
    since: Option<Duration>,
    /// The first look of those without a break at which all was well
    well_since: Option<Duration>,
}

/// What is to be said of a file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Verdict {
    /// It is not known yet: what is waited for
    Waiting(String),
    /// It went well
    Verified,
    /// It did not: why
    Failed(String),
}

/// Judges the file that was put into place; `now` is by a clock that only goes on. `daemon` is what the daemon has just said; `None`: it does not answer.
///
/// It has to be verified within the deadline, and in sync, with no more services down than before, for some time then without a break. Both are
/// measured here and nowhere else: whether etcd answers is no matter of the file.
pub fn judge(
    in_flight: &InFlight,
    daemon: Option<&DaemonState>,
    healthy: Healthy,
    watched: &mut Watched,
    now: Duration,
) -> Verdict {
    let wanted = in_flight.file.sha256.as_str();
    let elapsed = now.saturating_sub(*watched.since.get_or_insert(now));
    let missing = missing(in_flight, daemon);
    if missing.is_none() {
        let since = *watched.well_since.get_or_insert(now);
        if now.saturating_sub(since) >= healthy.in_sync {
            return Verdict::Verified;
        }
    } else {
        watched.well_since = None;
    }
    // The daemon has taken just this file and says no.
    if let Some(daemon) = daemon.filter(|daemon| daemon.file_sha256.as_deref() == Some(wanted)) {
        if let Some(problem) = &daemon.problem {
            return Verdict::Failed(format!("the daemon finds it not valid: {problem}"));
        }
        if let Some(refused) = &daemon.refused {
            return Verdict::Failed(refused.clone());
        }
    }
    let last = healthy.deadline + healthy.in_sync;
    match missing {
        Some(missing) if elapsed > healthy.deadline && !was_verified(in_flight, daemon) => Verdict::Failed(
            format!("{missing}, {} after the file was put into place", seconds(healthy.deadline)),
        ),
        Some(missing) if elapsed > last => {
            Verdict::Failed(format!("{missing}, {} after the file was put into place", seconds(last)))
        }
        Some(missing) => Verdict::Waiting(missing),
        // Well, but not for long enough: so it was not well for too long before.
        None if elapsed > last + healthy.in_sync => {
            Verdict::Failed(format!("not in sync for {} without a break", seconds(healthy.in_sync)))
        }
        None => Verdict::Waiting(format!("verified; has to stay in sync for {}", seconds(healthy.in_sync))),
    }
}

fn seconds(duration: Duration) -> String {
    humantime::format_duration(Duration::from_secs(duration.as_secs())).to_string()
}

fn was_verified(in_flight: &InFlight, daemon: Option<&DaemonState>) -> bool {
    daemon.is_some_and(|daemon| daemon.verified_sha256.as_deref() == Some(in_flight.file.sha256.as_str()))
}

/// What is missing for all to be well.
fn missing(in_flight: &InFlight, daemon: Option<&DaemonState>) -> Option<String> {
    let Some(daemon) = daemon else { return Some("the daemon does not answer".to_owned()) };
    if !was_verified(in_flight, Some(daemon)) {
        let failed = daemon.failed.first().map(|failed| format!(": {failed}")).unwrap_or_default();
        return Some(format!("the daemon has not verified it{failed}"));
    }
    if !daemon.in_sync {
        let failed = daemon.failed.first().map(|failed| format!(": {failed}")).unwrap_or_default();
        return Some(format!("the kernel is not in sync with it{failed}"));
    }
    (daemon.down > in_flight.down_before).then(|| {
        format!(
            "{} services have no server that passes its check, {} before",
            daemon.down, in_flight.down_before
        )
    })
}

#[cfg(test)]
mod tests {
    use std::time::SystemTime;

    use super::*;
    use crate::agent::state::TakenFile;

    fn at(seconds: u64) -> Duration {
        Duration::from_secs(1_000 + seconds)
    }

    fn in_flight() -> InFlight {
        let file = TakenFile {
            revision: "r".into(),
            path: "lb1.yaml".into(),
            sha256: "new".into(),
            at: SystemTime::UNIX_EPOCH.into(),
        };
        InFlight { file, down_before: 1, has_before: true }
    }

    fn daemon(verified: &str, in_sync: bool) -> DaemonState {
        DaemonState {
            file_sha256: Some("new".into()),
            verified_sha256: Some(verified.into()),
            in_sync,
            down: 1,
            ..DaemonState::default()
        }
    }

    /// The verdicts of looks at these seconds.
    fn verdicts(looks: &[(u64, Option<DaemonState>)]) -> Vec<String> {
        let mut watched = Watched::default();
        judge(&in_flight(), None, Healthy::default(), &mut watched, at(0));
        let verdict = |(second, daemon): &(u64, Option<DaemonState>)| match judge(
            &in_flight(),
            daemon.as_ref(),
            Healthy::default(),
            &mut watched,
            at(*second),
        ) {
            Verdict::Waiting(_) => "waiting".to_owned(),
            Verdict::Verified => "verified".to_owned(),
            Verdict::Failed(why) => why,
        };
        looks.iter().map(verdict).collect()
    }

    #[test]
    fn a_file_is_verified_when_it_was_in_sync_for_long_enough_without_a_break() {
        let well = || Some(daemon("new", true));
        assert_eq!(
            verdicts(&[(1, Some(daemon("old", true))), (2, well()), (31, well()), (32, well())]),
            ["waiting", "waiting", "waiting", "verified"]
        );
        let broken = Some(daemon("new", false));
        assert_eq!(
            verdicts(&[(2, well()), (20, broken), (21, well()), (50, well()), (51, well())]),
            ["waiting", "waiting", "waiting", "waiting", "verified"]
        );
        let mut down = daemon("new", true);
        down.down = 2;
        assert_eq!(
            verdicts(&[(2, well()), (20, Some(down)), (21, well()), (40, well())]).last().unwrap(),
            "waiting"
        );
    }

    // A director that was off for a night with its slot in hand goes on with it.
    #[test]
    fn the_time_in_which_nobody_looked_does_not_count() {
        let mut watched = Watched::default();
        let mut look = |second| {
            judge(&in_flight(), Some(&daemon("new", true)), Healthy::default(), &mut watched, at(second))
        };
        assert!(matches!(look(36_000), Verdict::Waiting(_)));
        assert_eq!(look(36_030), Verdict::Verified);
    }

    #[test]
    fn a_file_that_is_not_verified_in_time_failed() {
        assert_eq!(
            verdicts(&[(120, None), (121, None)]),
            ["waiting", "the daemon does not answer, 2m after the file was put into place"]
        );
        let mut other = daemon("old", true);
        other.failed = vec!["add service tcp://192.0.2.1:80: out of memory".into()];
        assert_eq!(
            verdicts(&[(121, Some(other))]),
            [
                "the daemon has not verified it: add service tcp://192.0.2.1:80: out of memory, 2m after the file was put into place"
            ]
        );
        let unsteady = Some(daemon("new", false));
        assert_eq!(
            verdicts(&[(121, unsteady.clone()), (151, unsteady)]),
            ["waiting", "the kernel is not in sync with it, 2m 30s after the file was put into place"]
        );
    }

    #[test]
    fn a_file_that_the_daemon_took_and_refused_failed_at_once() {
        let mut refused = daemon("old", true);
        refused.refused = Some("would delete 3 of 3 services".into());
        assert_eq!(verdicts(&[(1, Some(refused.clone()))]), ["would delete 3 of 3 services"]);
        // What it says of another file is no matter of this one.
        refused.file_sha256 = Some("old".into());
        assert_eq!(verdicts(&[(1, Some(refused))]), ["waiting"]);
    }
}

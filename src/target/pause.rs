//! Defines pauses: lbd looks and reports, and writes nothing, for all that the file describes or for some clusters.

use std::fmt;

use serde::{Deserialize, Serialize};

use super::clock::{Clock, Period};

/// A pause.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Pause {
    /// The cluster that is paused; `None`: everything is
    pub cluster: Option<String>,
    /// Who has paused it
    pub by: String,
    /// Why, in that person's words
    pub reason: Option<String>,
    /// Whether what checks do to weights goes on
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub keep_checks: bool,
    /// Since when, and until when
    #[serde(flatten)]
    pub period: Period,
}

impl fmt::Display for Pause {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { cluster, by, reason, keep_checks, period: Period { since, until, .. } } = self;
        let what = cluster.as_deref().unwrap_or("everything");
        write!(f, "{what} by {by} from {since} until {until}")?;
        if *keep_checks {
            f.write_str(", but for what checks do")?;
        }
        reason.as_ref().map_or(Ok(()), |reason| write!(f, ": {reason}"))
    }
}

/// The pauses in force: at most one of everything, and one of each cluster.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Pauses(Vec<Pause>);

impl Pauses {
    /// Nothing is paused.
    pub const NONE: Self = Self(Vec::new());

    /// Whether nothing is paused.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Each of them: that of everything first, then in the order of the clusters' names.
    pub fn iter(&self) -> impl Iterator<Item = &Pause> {
        self.0.iter()
    }

    /// Whether everything is paused.
    pub fn cover_everything(&self) -> bool {
        self.0.iter().any(|pause| pause.cluster.is_none())
    }

    /// Whether a cluster is paused, or, for `None`, what belongs to no cluster.
    pub fn cover(&self, cluster: Option<&str>) -> bool {
        self.0.iter().any(|pause| pause.cluster.is_none() || pause.cluster.as_deref() == cluster)
    }

    /// Whether verdicts of a cluster's servers have no effect, or, for `None`, of what belongs to no cluster.
    pub fn freeze_verdicts(&self, cluster: Option<&str>) -> bool {
        let mut covering =
            self.0.iter().filter(|pause| pause.cluster.is_none() || pause.cluster.as_deref() == cluster);
        covering.any(|pause| !pause.keep_checks)
    }

    /// Whether one of them lets checks go on.
    pub fn keep_checks(&self) -> bool {
        self.0.iter().any(|pause| pause.keep_checks)
    }

    /// Adds a pause; it replaces one of the same.
    pub fn add(&mut self, pause: Pause) {
        self.0.retain(|other| other.cluster != pause.cluster);
        self.0.push(pause);
        self.0.sort_by(|one, other| one.cluster.cmp(&other.cluster));
    }

    /// Takes out the pause of a cluster, or, for `None`, all of them; returns what was taken out.
    pub fn end(&mut self, cluster: Option<&str>) -> Vec<Pause> {
        let ends = |pause: &mut Pause| cluster.is_none() || pause.cluster.as_deref() == cluster;
        self.0.extract_if(.., ends).collect()
    }

    /// Takes out the pauses of clusters that are not kept.
    pub fn limit(&mut self, is_kept: &dyn Fn(&str) -> bool) {
        self.0.retain(|pause| pause.cluster.as_deref().is_none_or(is_kept));
    }

    /// Those that are over.
    pub fn over(&self, now: Clock) -> impl Iterator<Item = &Pause> {
        self.0.iter().filter(move |pause| pause.period.left(now).is_none())
    }

    /// Takes out what is over; gives how long the others stay as they are, in milliseconds.
    pub fn end_old(&mut self, now: Clock) -> Option<u64> {
        self.0.retain(|pause| pause.period.left(now).is_some());
        self.0.iter().filter_map(|pause| pause.period.left(now)).min()
    }
}

#[cfg(test)]
mod tests {
    use std::time::{Duration, UNIX_EPOCH};

    use super::*;

    const NOW: Clock = Clock { since_boot: 1_000, wall: UNIX_EPOCH };

    fn pause(cluster: Option<&str>, seconds: u64) -> Pause {
        let period = Period::new(NOW, Duration::from_secs(seconds));
        Pause {
            cluster: cluster.map(str::to_owned),
            by: "alice".into(),
            reason: None,
            keep_checks: false,
            period,
        }
    }

    fn pauses(all: &[Pause]) -> Pauses {
        let mut pauses = Pauses::default();
        all.iter().cloned().for_each(|pause| pauses.add(pause));
        pauses
    }

    #[test]
    fn a_pause_covers_its_cluster_and_one_of_everything_all() {
        let some = pauses(&[pause(Some("web"), 60), pause(Some("dns"), 60)]);
        assert_eq!(
            [Some("web"), Some("dns"), Some("shop"), None].map(|name| some.cover(name)),
            [true, true, false, false]
        );
        assert!(!some.cover_everything());
        let all = pauses(&[pause(Some("web"), 60), pause(None, 60)]);
        assert_eq!([Some("web"), Some("shop"), None].map(|name| all.cover(name)), [true; 3]);
        assert!(all.cover_everything());
        assert_eq!(all.iter().next(), Some(&pause(None, 60)));
    }

    #[test]
    fn a_second_pause_replaces_the_first_and_each_ends_by_itself_or_by_name() {
        let mut pauses = pauses(&[pause(Some("web"), 60), pause(None, 30), pause(Some("web"), 10)]);
        assert_eq!(pauses.iter().count(), 2);
        assert_eq!(pauses.clone().end(Some("web")), [pause(Some("web"), 10)]);
        assert_eq!(pauses.clone().end(Some("shop")), []);
        assert_eq!(pauses.clone().end(None).len(), 2);
        assert_eq!(pauses.end_old(NOW), Some(10_000));
        let later = Clock { since_boot: 11_000, ..NOW };
        assert_eq!(pauses.end_old(later), Some(20_000));
        assert_eq!(pauses.iter().collect::<Vec<_>>(), [&pause(None, 30)]);
        assert_eq!(pauses.end_old(Clock { since_boot: 31_000, ..NOW }), None);
        assert!(pauses.is_empty());
    }

    #[test]
    fn a_pause_says_who_until_when_and_why() {
        let reason = Some("kernel upgrade".to_owned());
        let pause = Pause { reason, ..pause(Some("web"), 3_600) };
        assert_eq!(
            pause.to_string(),
            "web by alice from 1970-01-01T00:00:00Z until 1970-01-01T01:00:00Z: kernel upgrade"
        );
    }
}

//! Decides what the agent does next, from all that it knows: nothing is done here.

use std::time::{Duration, SystemTime};

use super::place::Desired;
use super::settings::{Settings, SourceSettings};
use super::state::State;
use super::verdict::{DaemonState, Verdict, Watched, judge};
use crate::fleet::{Decision, Healthy, Stay, View, decide};

/// How long a revision has to stay in sync where there is no rollout.
const ALONE: Duration = Duration::from_secs(5);

/// What the agent knows at a moment.
#[derive(Debug)]
pub struct Facts<'a> {
    /// Its own file
    pub settings: &'a Settings,
    /// What it remembers
    pub state: &'a State,
    /// Where the desired file leads
    pub desired: Desired,
    /// The newest revision of the source that may be taken; `None`: none was fetched yet
    pub newest: Option<&'a str>,
    /// The fleet, where there is a rollout; `None`: etcd was not read yet
    pub view: Option<&'a View>,
    /// Whether etcd answers
    pub is_etcd_up: bool,
    /// Whether etcd lets this director write the head, as far as is known
    pub may_promote: bool,
    /// What the daemon says; `None`: it does not answer
    pub daemon: Option<&'a DaemonState>,
    /// The moment
    pub now: SystemTime,
    /// The same by a clock that only goes on
    pub uptime: Duration,
}

/// What the agent does next.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Action {
    /// Nothing: what it waits for, and whether that is an error
    Rest {
        /// In one line
        doing: String,
        /// Whether an operator has to do something
        is_error: bool,
        /// When it is decided anew, where nothing else happens before
        until: Option<SystemTime>,
    },
    /// It writes the outcome that it remembers into etcd
    Report,
    /// It makes this revision the one that all directors take
    Promote(String),
    /// It takes its result back: what it was about is not in place any more
    Forget,
    /// It fetches and plans this revision, takes a slot where `needs_slot`, and puts the file into place
    Take {
        /// The revision
        revision: String,
        /// Whether a slot has to be taken first
        needs_slot: bool,
        /// Whether it is a way back
        is_rollback: bool,
    },
    /// What is under way went well
    Verified,
    /// What is under way failed: why. The file before comes back.
    Failed(String),
    /// The file before comes back, since the revision failed elsewhere
    GoBack {
        /// The revision
        revision: String,
        /// Where it failed
        failed_at: String,
    },
}

impl Action {
    fn rest(doing: impl Into<String>) -> Self {
        Self::Rest { doing: doing.into(), is_error: false, until: None }
    }

    fn error(doing: impl Into<String>) -> Self {
        Self::Rest { doing: doing.into(), is_error: true, until: None }
    }
}

/// Decides.
pub fn next(facts: &Facts<'_>, watched: &mut Watched) -> Action {
    if let Some(in_flight) = &facts.state.in_flight {
        let revision = shown(&in_flight.file.revision);
        if facts.desired != Desired::Followed {
            return Action::Failed(
                "the desired file was made a plain file while the revision was under way".to_owned(),
            );
        }
        return match judge(in_flight, facts.daemon, healthy(facts), watched, facts.uptime) {
            Verdict::Waiting(missing) => Action::rest(format!("{revision} is in place: {missing}")),
            Verdict::Verified => Action::Verified,
            Verdict::Failed(why) => Action::Failed(why),
        };
    }
    *watched = Watched::default();
    if facts.settings.rollout.is_none() {
        return without_rollout(facts);
    }
    if facts.state.to_report.is_some() && facts.view.is_some() && facts.is_etcd_up {
        return Action::Report;
    }
    let Some(view) = facts.view.filter(|_| facts.is_etcd_up) else {
        return Action::error("etcd does not answer: no new revision is taken");
    };
    if let Some(revision) = promotes(facts, view) {
        return Action::Promote(revision);
    }
    if let Some(doing) = not_followed(facts.desired) {
        return doing;
    }
    let is_rollback = view.head.as_ref().is_some_and(|head| head.value.is_rollback);
    match decide(view, &facts.settings.name, facts.now) {
        Decision::Continue(revision) => Action::Take { revision, needs_slot: false, is_rollback },
        Decision::Take(revision) => Action::Take { revision, needs_slot: true, is_rollback },
        Decision::GoBack { revision, failed_at } => Action::GoBack { revision, failed_at },
        // Another file is in the place of the one that was verified.
        Decision::Stay(Stay::Done) if facts.state.is_replaced => Action::Forget,
        Decision::Stay(stay) => {
            let doing = why_it_stays(view, &stay);
            Action::Rest { doing, is_error: stay.is_error(), until: stay.until() }
        }
    }
}

/// Why a director does nothing, in one line, with the revision that it is about.
pub fn why_it_stays(view: &View, stay: &Stay) -> String {
    match (stay, &view.head) {
        (Stay::NoHead | Stay::NoStrategy | Stay::Unreadable(_) | Stay::NotInInventory, _) | (_, None) => {
            stay.to_string()
        }
        (_, Some(head)) => format!("{}: {stay}", shown(&head.value.revision)),
    }
}

fn without_rollout(facts: &Facts<'_>) -> Action {
    if let Some(doing) = not_followed(facts.desired) {
        return doing;
    }
    let Some(newest) = facts.newest else { return Action::rest("nothing was fetched yet") };
    let State { in_force, is_replaced, failed, .. } = facts.state;
    if !is_replaced && in_force.as_ref().is_some_and(|file| file.revision == newest) {
        return Action::rest(format!("{} is in force", shown(newest)));
    }
    if let Some(failed) = failed.as_ref().filter(|failed| failed.revision == newest) {
        return Action::error(format!("{} failed here: {}", shown(newest), failed.error));
    }
    Action::Take { revision: newest.to_owned(), needs_slot: false, is_rollback: false }
}

/// Why nothing may be put into place.
fn not_followed(desired: Desired) -> Option<Action> {
    match desired {
        Desired::Followed => None,
        Desired::Elsewhere => Some(Action::error(
            "the desired file is a plain file or leads elsewhere, so nothing is put into place; `lbd agent enable` or `lbd agent resume` makes it \
             the agent's",
        )),
        Desired::Missing => Some(Action::error(
            "there is no desired file, so nothing is put into place; `lbd agent enable` makes it the agent's",
        )),
    }
}

/// The revision that this director makes the one of all: it is the first canary, and has fetched one that no head was yet.
fn promotes(facts: &Facts<'_>, view: &View) -> Option<String> {
    // What `lbd fleet push` puts into etcd comes with its head.
    if matches!(facts.settings.source, SourceSettings::Etcd(_))
        || !view.unreadable.is_empty()
        || !facts.may_promote
    {
        return None;
    }
    let newest = facts.newest?;
    let strategy = &view.strategy.as_ref()?.value;
    if strategy.first_canary() != Some(facts.settings.name.as_str()) {
        return None;
    }
    // What was the revision of all before is not promoted again: an operator went back from it, while it still is the newest of the source.
    let is_new = view.head.as_ref().is_none_or(|head| {
        head.value.revision != newest && !head.value.former.iter().any(|former| former == newest)
    });
    is_new.then(|| newest.to_owned())
}

/// What makes a revision verified: the strategy says it; without a rollout nobody waits for this director.
fn healthy(facts: &Facts<'_>) -> Healthy {
    if facts.settings.rollout.is_none() {
        return Healthy { in_sync: ALONE, ..Healthy::default() };
    }
    facts
        .view
        .and_then(|view| view.strategy.as_ref())
        .map(|strategy| strategy.value.healthy)
        .unwrap_or_default()
}

/// A revision as people read it: the first digits of a commit or a digest.
pub fn shown(revision: &str) -> &str {
    revision.get(..12).filter(|_| revision.len() >= 40).unwrap_or(revision)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;
    use std::time::UNIX_EPOCH;

    use super::*;
    use crate::agent::settings::{DirectorySettings, EtcdSettings};
    use crate::agent::state::{FailedRevision, InFlight, TakenFile};
    use crate::fleet::{Head, OnFailure, Outcome, OutcomeKind, Parallel, Stage, Stored, Strategy, Version};

    fn now() -> SystemTime {
        UNIX_EPOCH + Duration::from_secs(1_800_000_000)
    }

    fn settings(has_rollout: bool) -> Settings {
        let directory =
            DirectorySettings { path: "/d".into(), paths: Vec::new(), interval: Duration::from_secs(1) };
        let etcd = EtcdSettings { endpoints: Vec::new(), prefix: "/lbd".into(), tls: None };
        Settings {
            name: "lb1".into(),
            labels: BTreeMap::new(),
            source: SourceSettings::Directory(directory),
            rollout: has_rollout.then_some(etcd),
            report: has_rollout,
        }
    }

    fn taken(revision: &str) -> TakenFile {
        TakenFile { revision: revision.into(), path: "lb1.yaml".into(), sha256: "s".into(), at: now().into() }
    }

    fn strategy(directors: &[&str]) -> Strategy {
        let stage = Stage { labels: BTreeMap::new(), hold: Duration::ZERO, max_parallel: Parallel::Count(1) };
        Strategy {
            directors: directors.iter().map(|name| ((*name).to_owned(), BTreeMap::new())).collect(),
            stages: vec![stage],
            healthy: Healthy::default(),
            on_failure: OnFailure::default(),
            max_unavailable: 9,
        }
    }

    fn head(revision: &str, former: &[&str]) -> Stored<Head> {
        let value = Head {
            version: Version,
            revision: revision.into(),
            former: former.iter().map(|former| (*former).to_owned()).collect(),
            last_good: None,
            is_rollback: false,
            by: "lb1".into(),
            at: now().into(),
            reason: None,
        };
        Stored { value, modified: 5 }
    }

    fn action(
        settings: &Settings,
        state: &State,
        desired: Desired,
        newest: Option<&str>,
        view: Option<&View>,
    ) -> Action {
        let facts = Facts {
            settings,
            state,
            desired,
            newest,
            view,
            is_etcd_up: view.is_some(),
            may_promote: true,
            daemon: None,
            now: now(),
            uptime: Duration::from_secs(1),
        };
        next(&facts, &mut Watched::default())
    }

    fn take(revision: &str, needs_slot: bool) -> Action {
        Action::Take { revision: revision.into(), needs_slot, is_rollback: false }
    }

    #[test]
    fn without_a_rollout_each_revision_is_taken_at_once_and_a_failed_one_not_again() {
        let settings = settings(false);
        let mut state = State::default();
        let of = |state: &State, newest| action(&settings, state, Desired::Followed, newest, None);
        assert_eq!(of(&state, None), Action::rest("nothing was fetched yet"));
        assert_eq!(of(&state, Some("r1")), take("r1", false));
        state.in_force = Some(taken("r1"));
        assert_eq!(of(&state, Some("r1")), Action::rest("r1 is in force"));
        assert_eq!(of(&state, Some("r2")), take("r2", false));
        state.is_replaced = true;
        assert_eq!(of(&state, Some("r1")), take("r1", false));
        state.is_replaced = false;
        state.failed = Some(FailedRevision { revision: "r2".into(), error: "no".into(), at: now().into() });
        assert_eq!(of(&state, Some("r2")), Action::error("r2 failed here: no"));
        assert_eq!(of(&state, Some("r3")), take("r3", false));
        let elsewhere = action(&settings, &state, Desired::Elsewhere, Some("r3"), None);
        assert!(matches!(elsewhere, Action::Rest { is_error: true, .. }), "{elsewhere:?}");
    }

    #[test]
    fn the_first_canary_promotes_what_is_new_and_never_what_was_left() {
        let settings = settings(true);
        let state = State::default();
        let mut view = View {
            strategy: Some(Stored { value: strategy(&["lb1", "lb2"]), modified: 1 }),
            ..View::default()
        };
        let of = |view: &View, newest| action(&settings, &state, Desired::Followed, newest, Some(view));
        assert_eq!(of(&view, Some("r1")), Action::Promote("r1".into()));
        view.head = Some(head("r1", &[]));
        assert_eq!(of(&view, Some("r1")), take("r1", true));
        assert_eq!(of(&view, Some("r2")), Action::Promote("r2".into()));
        // After `lbd fleet rollback` from r2 to r1.
        view.head = Some(head("r1", &["r1", "r2"]));
        assert_eq!(of(&view, Some("r2")), take("r1", true));
        assert_eq!(of(&view, Some("r3")), Action::Promote("r3".into()));
        view.strategy = Some(Stored { value: strategy(&["lb2", "lb1"]), modified: 1 });
        assert_eq!(of(&view, Some("r3")), take("r1", true));
    }

    #[test]
    fn a_hold_that_ends_is_a_moment_to_decide_anew() {
        let settings = settings(true);
        let mut strategy = strategy(&["lb0", "lb1"]);
        let first = Stage {
            labels: BTreeMap::from([("name".into(), "lb0".into())]),
            hold: Duration::from_secs(600),
            max_parallel: Parallel::Count(1),
        };
        strategy.stages.insert(0, first);
        let result = OutcomeKind::Verified;
        let outcome =
            Outcome { version: Version, revision: "r1".into(), result, error: None, at: now().into() };
        let view = View {
            head: Some(head("r1", &[])),
            strategy: Some(Stored { value: strategy, modified: 1 }),
            results: BTreeMap::from([("lb0".into(), Stored { value: outcome, modified: 9 })]),
            ..View::default()
        };
        let rest = action(&settings, &State::default(), Desired::Followed, None, Some(&view));
        let Action::Rest { until, is_error: false, .. } = rest else { panic!("{rest:?}") };
        assert_eq!(until, Some(now() + Duration::from_secs(600)));
    }

    #[test]
    fn what_is_under_way_is_judged_whatever_etcd_says_and_reported_once_it_answers() {
        let settings = settings(true);
        let in_flight = InFlight { file: taken("r1"), down_before: 0, has_before: true };
        let mut state = State { in_flight: Some(in_flight), ..State::default() };
        let rest = action(&settings, &state, Desired::Followed, None, None);
        assert_eq!(rest, Action::rest("r1 is in place: the daemon does not answer"));
        state.in_flight = None;
        let result = OutcomeKind::Verified;
        let outcome =
            Outcome { version: Version, revision: "r1".into(), result, error: None, at: now().into() };
        state.to_report = Some(outcome);
        let down = action(&settings, &state, Desired::Followed, None, None);
        assert_eq!(down, Action::error("etcd does not answer: no new revision is taken"));
        assert_eq!(
            action(&settings, &state, Desired::Followed, None, Some(&View::default())),
            Action::Report
        );
    }
}

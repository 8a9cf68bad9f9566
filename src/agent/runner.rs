//! Does what the controller decides: fetches, plans, takes a slot, puts the file into place, and reports.

use std::path::PathBuf;
use std::process;
use std::time::{Duration, Instant, SystemTime};

use tokio::task::JoinHandle;
use tracing::{error, info, warn};

use super::controller::{Action, Facts, next, shown};
use super::daemon::Daemon;
use super::etcd::EtcdError;
use super::fleet_reader::{Follower, Seen};
use super::place::{AgentDirectory, Desired};
use super::reporter::Reporter;
use super::rewind;
use super::settings::{Settings, SourceSettings};
use super::source::{Content, ContentSource, SourceError};
use super::state::{FailedRevision, InFlight, State, TakenFile};
use super::status::AgentStatus;
use super::verdict::{DaemonState, Watched};
use crate::config::{self, Source};
use crate::error_chain::ErrorChain;
use crate::escape::Escaped;
use crate::files::FileError;
use crate::fleet::{
    Outcome, OutcomeKind, PlanReport, Report, Transaction, Version, claim, finish, forget, next_head, promote,
};
use crate::status::Timestamp;

/// What is said where the task that follows etcd is gone.
const NOT_FOLLOWED: &str = "etcd is not followed any more; start the agent again";
/// How long a source is left alone that did not have a revision, and a daemon that did not answer.
const AGAIN: Duration = Duration::from_secs(10);

/// What comes of looking at the source in a task of its own.
type Look = (ContentSource, Result<String, SourceError>);

/// The agent of a director.
pub struct Agent {
    settings: Settings,
    directory: AgentDirectory,
    /// The desired file of the director
    desired: PathBuf,
    state: State,
    daemon: Daemon,
    /// `None` while it is looked at
    source: Option<ContentSource>,
    look: Option<JoinHandle<Look>>,
    follower: Option<Follower>,
    reporter: Option<Reporter>,
    watched: Watched,
    /// When the agent began, by a clock that only goes on
    begun: Instant,
    newest: Option<String>,
    looks: u64,
    last_success: Option<Timestamp>,
    source_error: Option<String>,
    source_down_since: Option<Timestamp>,
    daemon_state: Option<DaemonState>,
    plan: Option<PlanReport>,
    doing: String,
    since: Timestamp,
    is_error: bool,
    /// When it is decided anew, where nothing else happens before
    due: Option<SystemTime>,
    /// Whether a revision that failed here is tried again once the source was looked at
    is_retry: bool,
    /// Whether etcd lets this director write the head, as far as is known
    may_promote: bool,
    /// A revision whose file could not be fetched, and when that is tried again
    again: Option<(String, SystemTime)>,
    counts: (u64, u64),
    written: Option<AgentStatus>,
}

/// Whether there is something to do at once.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Step {
    Again,
    Rest,
}

impl Agent {
    /// Makes it, with what it remembers. It starts the tasks that follow etcd, and has to be made in a runtime.
    pub fn new(
        settings: Settings,
        directory: AgentDirectory,
        desired: PathBuf,
        state: State,
        daemon: Daemon,
    ) -> Self {
        let source = ContentSource::new(&settings, directory.files.path());
        let etcd = super::etcd_of(&settings).cloned();
        let follower = settings.rollout.clone().map(Follower::start);
        let reporter = etcd.filter(|_| settings.report).map(|etcd| Reporter::start(&settings.name, etcd));
        Self {
            settings,
            directory,
            desired,
            state,
            daemon,
            source: Some(source),
            look: None,
            follower,
            reporter,
            watched: Watched::default(),
            begun: Instant::now(),
            newest: None,
            looks: 0,
            last_success: None,
            source_error: None,
            source_down_since: None,
            daemon_state: None,
            plan: None,
            doing: "starts".to_owned(),
            since: SystemTime::now().into(),
            is_error: false,
            due: None,
            again: None,
            is_retry: false,
            may_promote: true,
            counts: (0, 0),
            written: None,
        }
    }

    /// Whether a revision is under way, so that the daemon is to be looked at often.
    pub fn is_under_way(&self) -> bool {
        self.state.in_flight.is_some()
    }

    /// Whether the daemon did not answer at the last look.
    pub fn is_daemon_silent(&self) -> bool {
        self.daemon_state.is_none()
    }

    /// What it does, in one line.
    pub fn doing(&self) -> &str {
        &self.doing
    }

    /// Begins to look at the source, unless that is under way.
    pub fn look(&mut self) {
        let Some(mut source) = self.source.take() else { return };
        let applied = self.state.in_force.as_ref().map(|file| file.revision.clone());
        let allowed = rewind::allowed(&self.directory);
        self.look = Some(tokio::spawn(async move {
            let newest = source.newest(applied.as_deref(), allowed.as_deref()).await;
            (source, newest)
        }));
    }

    /// In what time it is to be decided anew, where nothing else happens before.
    pub fn due(&self) -> Option<Duration> {
        self.due.map(|due| due.duration_since(SystemTime::now()).unwrap_or_default())
    }

    /// Looks whether the file in place is the one that is in force: an operator may have put another one there by `lbd agent enable`.
    pub fn check_place(&mut self) {
        if let (Some(file), None) = (&self.state.in_force, &self.state.in_flight)
            && let Ok(in_place) = self.directory.digest()
        {
            self.state.is_replaced = in_place.as_ref() != Some(&file.sha256);
        }
    }

    /// Lets what was refused be tried again: a promotion, and a revision that failed here, where nothing but this director decides that.
    pub fn forget_failure(&mut self) {
        self.may_promote = true;
        self.is_retry = self.settings.rollout.is_none();
    }

    /// Waits until something is to be looked at again: what the source said, or what changed in etcd. Nothing is lost where the future is dropped.
    pub async fn changed(&mut self) {
        let Self { look, follower, .. } = self;
        let looked = async {
            match look {
                Some(task) => task.await.ok(),
                None => std::future::pending().await,
            }
        };
        let followed = async {
            match follower {
                Some(follower) => follower.changed().await,
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            look = looked => self.looked(look),
            () = followed => {}
        }
    }

    fn looked(&mut self, look: Option<Look>) {
        self.look = None;
        self.looks += 1;
        let now = Timestamp::from(SystemTime::now());
        let Some((source, newest)) = look else {
            // (The task was aborted or has failed: it begins anew.)
            self.source = Some(ContentSource::new(&self.settings, self.directory.files.path()));
            return;
        };
        self.source = Some(source);
        if std::mem::take(&mut self.is_retry) {
            self.state.failed = None;
        }
        match newest {
            Ok(revision) => {
                if self.source_error.take().is_some() {
                    info!("the source answers again");
                }
                if self.newest.as_deref() != Some(revision.as_str()) {
                    info!(REVISION = %Escaped(&revision), "the newest revision of the source is {}", Escaped(shown(&revision)));
                }
                self.newest = Some(revision);
                self.last_success = Some(now);
                self.source_down_since = None;
            }
            Err(error) => {
                let text = ErrorChain(&error).to_string();
                if self.source_error.as_ref() != Some(&text) {
                    warn!("{text}; the file in force stays");
                }
                self.source_error = Some(text);
                self.source_down_since.get_or_insert(now);
            }
        }
    }

    /// Looks at the daemon.
    pub async fn look_at_daemon(&mut self) {
        self.daemon_state = self.daemon.state().await.ok();
    }

    /// Takes over what etcd says of its own files: the newest revision there is that of the head.
    fn follow_head(&mut self) {
        let seen = self.seen();
        let head = seen.view.as_ref().and_then(|view| view.head.as_ref()).filter(|_| seen.is_up);
        if let (SourceSettings::Etcd(_), Some(head)) = (&self.settings.source, head) {
            self.newest = Some(head.value.revision.clone());
            self.last_success = Some(SystemTime::now().into());
            self.source_error = None;
            self.source_down_since = None;
        }
    }

    /// Does what there is to do, and reports it.
    pub async fn settle(&mut self) {
        self.follow_head();
        self.due = None;
        // Each step ends in a new state; should two ever follow each other for ever, the next event goes on.
        for _ in 0..16 {
            let action = self.decide();
            let step = self.perform(action).await;
            if step == Step::Rest {
                break;
            }
        }
        self.plan_candidate().await;
        self.report();
    }

    fn seen(&self) -> Seen {
        self.follower.as_ref().map(Follower::seen).unwrap_or_default()
    }

    fn decide(&mut self) -> Action {
        let seen = self.seen();
        let facts = Facts {
            settings: &self.settings,
            state: &self.state,
            desired: self.directory.followed_by(&self.desired),
            newest: self.newest.as_deref(),
            view: seen.view.as_deref(),
            is_etcd_up: seen.is_up,
            may_promote: self.may_promote,
            daemon: self.daemon_state.as_ref(),
            now: SystemTime::now(),
            uptime: self.begun.elapsed(),
        };
        next(&facts, &mut self.watched)
    }

    async fn perform(&mut self, action: Action) -> Step {
        let result = match action {
            Action::Rest { doing, is_error, until } => {
                self.due = until;
                self.rest(doing, is_error);
                return Step::Rest;
            }
            Action::Report => return self.report_outcome().await,
            Action::Promote(revision) => return self.promote(&revision).await,
            Action::Forget => return self.forget_result().await,
            Action::Take { revision, needs_slot, is_rollback } => {
                self.take(&revision, needs_slot, is_rollback).await
            }
            Action::Verified => self.verified(),
            Action::Failed(why) => self.failed(why),
            Action::GoBack { revision, failed_at } => self.go_back(&revision, &failed_at),
        };
        result.unwrap_or_else(|error| {
            self.rest(ErrorChain(&error).to_string(), true);
            Step::Rest
        })
    }

    fn rest(&mut self, doing: String, is_error: bool) {
        if self.doing == doing {
            return;
        }
        match is_error {
            true => warn!("{}", Escaped(&doing)),
            false => info!("{}", Escaped(&doing)),
        }
        self.doing = doing;
        self.is_error = is_error;
        self.since = SystemTime::now().into();
    }

    async fn transact(&self, transaction: Transaction) -> Result<bool, String> {
        let Some(follower) = &self.follower else { return Ok(false) };
        let done = follower.transact(transaction).await;
        done.map_err(|error| {
            error.map_or_else(|| NOT_FOLLOWED.to_owned(), |error| ErrorChain(&error).to_string())
        })
    }

    /// Carries out a transaction that is tried again with the next picture where its conditions did not apply.
    async fn transact_or_rest(&mut self, transaction: Transaction) -> Step {
        match self.transact(transaction).await {
            Ok(_) => Step::Again,
            Err(error) => {
                self.rest(error, true);
                Step::Rest
            }
        }
    }

    async fn promote(&mut self, revision: &str) -> Step {
        let (Some(view), Some(follower)) = (self.seen().view, &self.follower) else { return Step::Rest };
        let by = self.settings.name.clone();
        let head = next_head(&view, revision, &by, None, false, SystemTime::now());
        match follower.transact(promote(&view, &head)).await {
            Ok(_) => {
                info!(REVISION = %Escaped(revision), "made {} the revision of the fleet", Escaped(shown(revision)))
            }
            // It goes on with what others promote; `lbd agent sync` has it tried again.
            Err(Some(error @ EtcdError::Denied { .. })) => {
                warn!("{}; `lbd fleet promote` makes a revision that of the fleet", ErrorChain(&error));
                self.may_promote = false;
            }
            Err(error) => {
                self.rest(
                    error.map_or_else(|| NOT_FOLLOWED.to_owned(), |error| ErrorChain(&error).to_string()),
                    true,
                );
                return Step::Rest;
            }
        }
        Step::Again
    }

    async fn forget_result(&mut self) -> Step {
        let Some(view) = self.seen().view else { return Step::Rest };
        info!("another file is in the place of the one that was verified");
        self.transact_or_rest(forget(&view, &self.settings.name)).await
    }

    async fn report_outcome(&mut self) -> Step {
        let (Some(view), Some(outcome)) = (self.seen().view, self.state.to_report.clone()) else {
            return Step::Rest;
        };
        match self.transact(finish(&view, &self.settings.name, &outcome)).await {
            Ok(true) => {
                self.state.to_report = None;
                if let Err(error) = self.state.save(&self.directory) {
                    error!("{}", ErrorChain(&error));
                }
                Step::Again
            }
            Ok(false) => Step::Again,
            Err(error) => {
                self.rest(error, true);
                Step::Rest
            }
        }
    }

    /// The file of a revision.
    async fn content(&mut self, revision: &str, is_rollback: bool) -> Option<Result<Content, SourceError>> {
        let applied = self.state.in_force.as_ref().map(|file| file.revision.clone());
        let source = self.source.as_mut()?;
        Some(source.content(revision, applied.as_deref(), is_rollback).await)
    }

    async fn take(&mut self, revision: &str, needs_slot: bool, is_rollback: bool) -> Result<Step, FileError> {
        // Whatever happens in the fleet meanwhile, a source that does not answer is left alone for a while.
        let again = self.again.as_ref().filter(|(of, again)| of == revision && *again > SystemTime::now());
        if let Some((_, again)) = again {
            self.due = Some(*again);
            return Ok(Step::Rest);
        }
        let content = match self.content(revision, is_rollback).await {
            None => {
                self.rest(format!("{}: fetches", shown(revision)), false);
                return Ok(Step::Rest);
            }
            Some(Ok(content)) => content,
            Some(Err(error)) if error.is_unreachable() => {
                self.rest(format!("{}: {}", shown(revision), ErrorChain(&error)), true);
                let again = SystemTime::now() + AGAIN;
                self.again = Some((revision.to_owned(), again));
                self.due = Some(again);
                return Ok(Step::Rest);
            }
            Some(Err(error)) => return self.not_taken(revision, ErrorChain(&error).to_string()),
        };
        self.again = None;
        if let Err(problem) = checked(&content) {
            return self.not_taken(revision, problem);
        }
        self.directory.write_candidate(&content.text)?;
        match self.daemon.plan(&self.directory.candidate(), revision).await {
            Ok(planned) => {
                if let Some(refused) = planned.plan.refused {
                    return self.not_taken(revision, refused);
                }
            }
            Err(error) if error.is_invalid() => {
                return self.not_taken(revision, ErrorChain(&error).to_string());
            }
            Err(error) => {
                self.rest(
                    format!("{}: {}; nothing is put into place", shown(revision), ErrorChain(&error)),
                    true,
                );
                self.due = Some(SystemTime::now() + AGAIN);
                return Ok(Step::Rest);
            }
        }
        if needs_slot {
            // Fetching and planning took their time: it is decided anew, from the picture that the transaction compares.
            let claim = self
                .seen()
                .view
                .and_then(|view| claim(&view, &self.settings.name, revision, SystemTime::now()));
            let Some(claim) = claim else { return Ok(Step::Again) };
            match self.transact(claim).await {
                Ok(true) => {
                    info!(REVISION = %Escaped(revision), "has a slot for {}", Escaped(shown(revision)))
                }
                // Another director was faster, or the fleet was halted: decided anew.
                Ok(false) => return Ok(Step::Again),
                Err(error) => {
                    self.rest(error, true);
                    return Ok(Step::Rest);
                }
            }
        }
        let step = self.put(content)?;
        self.look_at_daemon().await;
        Ok(step)
    }

    fn put(&mut self, content: Content) -> Result<Step, FileError> {
        let Content { revision, path, text } = content;
        let sha256 = digest(&text);
        let down_before = self.daemon_state.as_ref().map_or(0, |daemon| daemon.down);
        // Where it is in place already, as after a restart or for a second look at it, there is nothing to come back.
        let in_place = self.directory.digest()?;
        let is_in_place = in_place.as_ref() == Some(&sha256);
        info!(REVISION = %Escaped(&revision), "puts {} of {} into place", Escaped(&path), Escaped(shown(&revision)));
        let file = TakenFile { revision, path, sha256, at: SystemTime::now().into() };
        let has_before = in_place.is_some() && !is_in_place;
        self.state.in_flight = Some(InFlight { file, down_before, has_before });
        self.state.save(&self.directory)?;
        if !is_in_place {
            self.directory.put(&text)?;
        }
        Ok(Step::Again)
    }

    /// Remembers how a revision went, so that it is reported once etcd answers.
    fn outcome(&mut self, revision: &str, result: OutcomeKind, error: Option<String>) {
        let at = SystemTime::now().into();
        if result == OutcomeKind::Failed {
            let error = error.clone().unwrap_or_default();
            self.state.failed = Some(FailedRevision { revision: revision.to_owned(), error, at });
            self.counts.1 += 1;
        }
        if self.settings.rollout.is_some() {
            self.state.to_report =
                Some(Outcome { version: Version, revision: revision.to_owned(), result, error, at });
        }
    }

    /// A revision is not put into place.
    fn not_taken(&mut self, revision: &str, why: String) -> Result<Step, FileError> {
        error!(REVISION = %Escaped(revision), "{} is not put into place: {}", Escaped(shown(revision)), Escaped(&why));
        self.outcome(revision, OutcomeKind::Failed, Some(why));
        self.state.save(&self.directory)?;
        Ok(Step::Again)
    }

    fn verified(&mut self) -> Result<Step, FileError> {
        let Some(InFlight { file, .. }) = self.state.in_flight.take() else { return Ok(Step::Rest) };
        let revision = file.revision.clone();
        info!(REVISION = %Escaped(&revision), "{} is verified", Escaped(shown(&revision)));
        self.counts.0 += 1;
        let is_other = self.state.in_force.as_ref().is_none_or(|before| before.sha256 != file.sha256);
        self.state.is_replaced = false;
        let before = self.state.in_force.replace(TakenFile { at: SystemTime::now().into(), ..file });
        // A second look at the same file has not changed what was before it.
        if is_other {
            self.state.before = before;
        }
        self.state.failed = None;
        self.outcome(&revision, OutcomeKind::Verified, None);
        self.state.save(&self.directory)?;
        rewind::forget(&self.directory, &revision);
        Ok(Step::Again)
    }

    fn failed(&mut self, why: String) -> Result<Step, FileError> {
        let Some(InFlight { file, .. }) = self.state.in_flight.clone() else { return Ok(Step::Rest) };
        let has_before = self.directory.put_back()?;
        let back = if has_before {
            "the file before is in place again"
        } else {
            "there is no file before; it stays"
        };
        error!(REVISION = %Escaped(&file.revision), "{} failed: {}; {back}", Escaped(shown(&file.revision)), Escaped(&why));
        self.state.in_flight = None;
        self.outcome(&file.revision, OutcomeKind::Failed, Some(why));
        self.state.save(&self.directory)?;
        Ok(Step::Again)
    }

    fn go_back(&mut self, revision: &str, failed_at: &str) -> Result<Step, FileError> {
        let why = format!("the revision failed at {failed_at}");
        let has_before = self.directory.put_back()?;
        warn!(REVISION = %Escaped(revision), "goes back from {}: {}", Escaped(shown(revision)), Escaped(&why));
        if has_before {
            self.state.in_force = self.state.before.take();
        }
        self.outcome(revision, OutcomeKind::Reverted, Some(why));
        self.state.save(&self.directory)?;
        Ok(Step::Again)
    }

    /// Plans the revision that an operator wants to know of; changes nothing.
    async fn plan_candidate(&mut self) {
        let Some(candidate) = self.seen().view.and_then(|view| view.candidate.clone()) else {
            self.plan = None;
            return;
        };
        let revision = candidate.revision;
        if self.plan.as_ref().is_some_and(|plan| plan.revision == revision) || self.is_under_way() {
            return;
        }
        let refused = |refused: String| PlanReport {
            revision: revision.clone(),
            add: 0,
            edit: 0,
            delete: 0,
            operations: Vec::new(),
            refused: Some(refused),
        };
        let plan = match self.content(&revision, true).await {
            None => return,
            Some(Err(error)) => refused(ErrorChain(&error).to_string()),
            Some(Ok(content)) => match checked(&content) {
                Err(problem) => refused(problem),
                Ok(()) => match self.directory.write_candidate(&content.text) {
                    Err(error) => refused(ErrorChain(&error).to_string()),
                    Ok(()) => match self.daemon.plan(&self.directory.candidate(), &revision).await {
                        Ok(planned) => planned.plan,
                        Err(error) if error.is_invalid() => refused(ErrorChain(&error).to_string()),
                        // Nothing is known of this director then.
                        Err(_) => return,
                    },
                },
            },
        };
        self.plan = Some(plan);
    }

    /// Writes what it does where others see it.
    fn report(&mut self) {
        let seen = self.seen();
        let daemon = self.daemon_state.as_ref();
        let last_error = self.is_error.then(|| self.doing.clone()).or_else(|| self.source_error.clone());
        let report = Report {
            version: Version,
            at: SystemTime::now().into(),
            agent: env!("CARGO_PKG_VERSION").to_owned(),
            labels: self.settings.labels.clone(),
            revision: self.state.in_force.as_ref().map(|file| file.revision.clone()),
            verified_sha256: daemon.and_then(|daemon| daemon.verified_sha256.clone()),
            in_sync: daemon.map(|daemon| daemon.in_sync),
            doing: self.doing.clone(),
            since: self.since,
            error: last_error,
            paused: paused(self.directory.followed_by(&self.desired), &self.desired),
            source_down_since: self.source_down_since,
            plan: self.plan.clone(),
        };
        if let Some(reporter) = &self.reporter {
            reporter.set(report.clone());
        }
        let stage =
            seen.view.as_ref().and_then(|view| view.strategy.as_ref()?.value.stage_of(&self.settings.name));
        let status = AgentStatus {
            version: Version,
            process: process::id(),
            name: self.settings.name.clone(),
            source: source_word(&self.settings.source).to_owned(),
            newest: self.newest.clone(),
            looks: self.looks,
            last_success: self.last_success,
            source_error: self.source_error.clone(),
            etcd_down: seen.down,
            stage: stage.map(|stage| stage + 1),
            head: seen.view.as_ref().and_then(|view| Some(view.head.as_ref()?.value.revision.clone())),
            is_error: self.is_error,
            report,
            verified: self.counts.0,
            failed: self.counts.1,
        };
        let is_same = self.written.as_ref().is_some_and(|written| {
            let report = Report { at: status.report.at, ..written.report.clone() };
            AgentStatus { report, ..written.clone() } == status
        });
        if !is_same {
            if let Err(error) = status.save(&self.directory) {
                warn!("{}", ErrorChain(&error));
            }
            self.written = Some(status);
        }
    }

    /// Ends: the report goes, and what is under way goes on with the next start.
    pub async fn end(self) {
        if let Some(reporter) = self.reporter {
            reporter.end().await;
        }
    }
}

/// Why the desired file is not the agent's, if so.
fn paused(followed: Desired, desired: &std::path::Path) -> Option<String> {
    match followed {
        Desired::Followed => None,
        Desired::Elsewhere | Desired::Missing => Some(super::pause::reason(desired)),
    }
}

/// The word for a source.
pub fn source_word(source: &SourceSettings) -> &'static str {
    match source {
        SourceSettings::Git(_) => "git",
        SourceSettings::Etcd(_) => "etcd",
        SourceSettings::Directory(_) => "directory",
    }
}

/// The digest of a file as the daemon computes it: without a byte order mark.
fn digest(text: &str) -> String {
    crate::files::sha256(text.strip_prefix('\u{feff}').unwrap_or(text))
}

/// Checks the file of a revision, without a kernel.
fn checked(content: &Content) -> Result<(), String> {
    let text = content.text.strip_prefix('\u{feff}').unwrap_or(&content.text);
    let source = Source::new(content.path.as_str(), text);
    if !config::includes(text).is_empty() {
        return Err(format!("{}: it has `include`: the file of a fleet is complete", content.path));
    }
    config::load(&source).map(drop).map_err(|problems| problems.line())
}

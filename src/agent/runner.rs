//! Does what the controller decides, step by step, and waits for what is next.
//!
//! `take` fetches a file, puts it into place and brings the one before back, `fleet` writes into etcd, and `report` says what is done.

mod fleet;
mod report;
mod take;

use std::path::PathBuf;
use std::time::{Duration, Instant, SystemTime};

use tokio::task::JoinHandle;
use tracing::{info, warn};

use super::controller::{Action, Facts, next, shown};
use super::daemon::Daemon;
use super::fleet_reader::{Follower, Seen};
use super::place::AgentDirectory;
use super::reporter::Reporter;
use super::rewind;
use super::settings::{Settings, SourceSettings};
use super::source::{ContentSource, SourceError};
use super::state::State;
use super::status::AgentStatus;
use super::verdict::{DaemonState, Watched};
use crate::error_chain::ErrorChain;
use crate::escape::Escaped;
use crate::fleet::PlanReport;
use crate::status::Timestamp;

pub use self::report::source_word;

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

    /// Whether the daemon answered at the last look, and the kernel was equal to its target.
    pub fn is_daemon_well(&self) -> bool {
        self.daemon_state.as_ref().is_some_and(|daemon| daemon.in_sync)
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

    /// Ends: the report goes, and what is under way goes on with the next start.
    pub async fn end(self) {
        if let Some(reporter) = self.reporter {
            reporter.end().await;
        }
    }
}

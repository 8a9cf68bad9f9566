//! Takes a revision: fetches and plans its file, puts that into place, and brings the one before back where it failed.

use std::time::{Duration, SystemTime};

use tracing::{error, info, warn};

use super::{Agent, Step};
use crate::agent::controller::shown;
use crate::agent::rewind;
use crate::agent::source::{Content, SourceError};
use crate::agent::state::{FailedRevision, InFlight, TakenFile};
use crate::config::{self, Source};
use crate::error_chain::ErrorChain;
use crate::escape::Escaped;
use crate::files::{FileError, sha256};
use crate::fleet::{Outcome, OutcomeKind, PlanReport, Version, claim};

/// How long a source is left alone that did not have a revision, and a daemon that did not answer.
const AGAIN: Duration = Duration::from_secs(10);

impl Agent {
    /// The file of a revision.
    pub(super) async fn content(
        &mut self,
        revision: &str,
        is_rollback: bool,
    ) -> Option<Result<Content, SourceError>> {
        let applied = self.state.in_force.as_ref().map(|file| file.revision.clone());
        let source = self.source.as_mut()?;
        Some(source.content(revision, applied.as_deref(), is_rollback).await)
    }

    pub(super) async fn take(
        &mut self,
        revision: &str,
        needs_slot: bool,
        is_rollback: bool,
    ) -> Result<Step, FileError> {
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
            Ok(plan) => {
                if let Some(refused) = plan.refused {
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

    pub(super) fn put(&mut self, content: Content) -> Result<Step, FileError> {
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
    pub(super) fn outcome(&mut self, revision: &str, result: OutcomeKind, error: Option<String>) {
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
    pub(super) fn not_taken(&mut self, revision: &str, why: String) -> Result<Step, FileError> {
        error!(REVISION = %Escaped(revision), "{} is not put into place: {}", Escaped(shown(revision)), Escaped(&why));
        self.outcome(revision, OutcomeKind::Failed, Some(why));
        self.state.save(&self.directory)?;
        Ok(Step::Again)
    }

    pub(super) fn verified(&mut self) -> Result<Step, FileError> {
        let Some(in_flight) = self.state.in_flight.take() else { return Ok(Step::Rest) };
        let revision = in_flight.file.revision.clone();
        info!(REVISION = %Escaped(&revision), "{} is verified", Escaped(shown(&revision)));
        self.counts.0 += 1;
        self.state.take_over(in_flight, SystemTime::now().into());
        self.outcome(&revision, OutcomeKind::Verified, None);
        self.state.save(&self.directory)?;
        rewind::forget(&self.directory, &revision);
        Ok(Step::Again)
    }

    pub(super) fn failed(&mut self, why: String) -> Result<Step, FileError> {
        let Some(InFlight { file, has_before, .. }) = self.state.in_flight.clone() else {
            return Ok(Step::Rest);
        };
        let back = if has_before && self.directory.put_back()? {
            self.state.forget_before();
            "the file before is in place again"
        } else {
            "no other file was in place before; it stays"
        };
        error!(REVISION = %Escaped(&file.revision), "{} failed: {}; {back}", Escaped(shown(&file.revision)), Escaped(&why));
        self.state.in_flight = None;
        self.outcome(&file.revision, OutcomeKind::Failed, Some(why));
        self.state.save(&self.directory)?;
        Ok(Step::Again)
    }

    pub(super) fn go_back(&mut self, revision: &str, failed_at: &str) -> Result<Step, FileError> {
        let why = format!("the revision failed at {failed_at}");
        if self.state.has_before {
            self.directory.put_back()?;
        }
        warn!(REVISION = %Escaped(revision), "goes back from {}: {}", Escaped(shown(revision)), Escaped(&why));
        self.state.go_back();
        self.outcome(revision, OutcomeKind::Reverted, Some(why));
        self.state.save(&self.directory)?;
        Ok(Step::Again)
    }

    /// Plans the revision that an operator wants to know of; changes nothing.
    pub(super) async fn plan_candidate(&mut self) {
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
                        Ok(plan) => plan,
                        Err(error) if error.is_invalid() => refused(ErrorChain(&error).to_string()),
                        // Nothing is known of this director then.
                        Err(_) => return,
                    },
                },
            },
        };
        self.plan = Some(plan);
    }
}

/// The digest of a file as the daemon computes it: without a byte order mark.
fn digest(text: &str) -> String {
    sha256(text.strip_prefix('\u{feff}').unwrap_or(text))
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

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;
    use std::path::Path;

    use super::*;
    use crate::agent::daemon::Daemon;
    use crate::agent::place::AgentDirectory;
    use crate::agent::settings::{DirectorySettings, Settings, SourceSettings};
    use crate::agent::state::State;
    use crate::api::Scope;
    use crate::files::Origin;

    /// An agent whose daemon does not answer: each step is one of these tests'.
    fn agent(directory: &Path) -> Agent {
        let source =
            DirectorySettings { path: directory.into(), paths: Vec::new(), interval: Duration::from_secs(1) };
        let settings = Settings {
            name: "lb1".into(),
            labels: BTreeMap::new(),
            source: SourceSettings::Directory(source),
            rollout: None,
            report: false,
        };
        let scope = Scope::new(directory, None, &Origin::here(None).unwrap());
        let daemon = Daemon::new(&directory.join("lbd.sock"), scope);
        let place = AgentDirectory::new(directory);
        Agent::new(settings, place, directory.join("link"), State::default(), daemon)
    }

    impl Agent {
        fn puts(&mut self, revision: &str, text: &str) {
            let (revision, path, text) = (revision.to_owned(), "lb1.yaml".to_owned(), text.to_owned());
            let _ = self.put(Content { revision, path, text }).unwrap();
        }

        fn takes(&mut self, revision: &str, text: &str) {
            self.puts(revision, text);
            let _ = self.verified().unwrap();
        }

        fn fails(&mut self) {
            let _ = self.failed("no".to_owned()).unwrap();
        }

        fn goes_back(&mut self, revision: &str) {
            let _ = self.go_back(revision, "lb2").unwrap();
        }

        /// The file in place, and the revision in force.
        fn now(&self) -> (String, &str) {
            let text = std::fs::read_to_string(self.directory.desired()).unwrap();
            (text, self.state.in_force.as_ref().map_or("", |file| &file.revision))
        }
    }

    fn is(text: &str, revision: &'static str) -> (String, &'static str) {
        (text.to_owned(), revision)
    }

    /// One that has taken two revisions.
    fn with_two() -> (tempfile::TempDir, Agent) {
        let directory = tempfile::tempdir().unwrap();
        let mut agent = agent(directory.path());
        agent.takes("r0", "one");
        agent.takes("r1", "two");
        (directory, agent)
    }

    #[test]
    fn the_file_before_comes_back_where_the_revision_has_changed_it_and_only_there() {
        let (_directory, mut agent) = with_two();
        agent.puts("r2", "three");
        agent.fails();
        assert_eq!(agent.now(), is("two", "r1"));
        agent.takes("r3", "four");
        agent.goes_back("r3");
        assert_eq!(agent.now(), is("two", "r1"));
        // A revision that changes the files of other directors only: the file before is that of an older one.
        agent.takes("r4", "five");
        agent.puts("r5", "five");
        agent.fails();
        assert_eq!(agent.now(), is("five", "r4"));
        agent.takes("r6", "five");
        agent.goes_back("r6");
        assert_eq!(agent.now(), is("five", "r4"));
    }

    #[test]
    fn a_second_look_at_a_revision_does_not_change_where_it_came_from() {
        let (_directory, mut agent) = with_two();
        agent.takes("r1", "two");
        agent.goes_back("r1");
        assert_eq!(agent.now(), is("one", "r0"));
        agent.goes_back("r0");
        assert_eq!(agent.now(), is("one", "r0"));
    }

    #[test]
    fn what_a_failed_revision_has_left_is_not_the_file_before_the_one_in_force() {
        let (_directory, mut agent) = with_two();
        agent.puts("r2", "three");
        agent.fails();
        agent.takes("r1", "two");
        agent.goes_back("r1");
        assert_eq!(agent.now(), is("two", "r1"));
    }
}

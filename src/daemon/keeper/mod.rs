//! Keeps the kernel equal to the file, pass by pass: what the daemon knows, and what each pass does with it.

mod tell;

use std::sync::Arc;
use std::time::{Duration, Instant};

use tracing::{debug, error, info, info_span};

use super::backoff;
use super::fight::Fights;
use crate::kernel::{Kernel, KernelError};
use crate::model::{Desired, Link, Operation, Policy, ServiceKey};
use crate::reconcile::{self, Order, Outcome};
use crate::status::Status;
use crate::store::{Record, Store};

/// How to get at a kernel.
pub type Connect = Box<dyn FnMut() -> Result<Box<dyn Kernel>, KernelError>>;

/// Why a pass runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reason {
    /// The daemon has just started.
    Start,
    /// The file has changed.
    File,
    /// The operator asked for it (SIGHUP).
    Asked,
    /// It was time to look.
    Resync,
    /// The pass before failed.
    Retry,
    /// An interface is there that something waited for.
    Interface,
    /// Somebody changed the packet filter.
    Filter,
}

impl Reason {
    /// The word for logs and status.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Start => "start",
            Self::File => "file changed",
            Self::Asked => "asked",
            Self::Resync => "resync",
            Self::Retry => "retry",
            Self::Interface => "interface appeared",
            Self::Filter => "packet filter changed",
        }
    }
}

/// A state to be kept, with the text that asked for it.
#[derive(Debug, Clone)]
pub struct Goal {
    /// The text: megabytes of it are not copied
    pub text: Arc<String>,
    /// What it asks for
    pub desired: Arc<Desired>,
}

/// What the daemon knows.
pub struct Keeper {
    connect: Connect,
    kernel: Option<Box<dyn Kernel>>,
    store: Store,
    /// What is kept: the last file that held and that no guard refused
    goal: Option<Goal>,
    /// A file that holds and has not been through a pass, or that a guard refuses
    pending: Option<Goal>,
    fights: Fights,
    /// How many passes in a row have failed
    failures: u32,
    /// Whether a pass was verified since the daemon started
    verified_once: bool,
    /// Whether the kernel was ever seen equal to the goal: what differs after that is drift
    goal_was_verified: bool,
    /// Whether the last pass was verified
    at_rest: bool,
    /// How long the last pass took
    cost: Duration,
    /// How often the kernel was only glanced at since the last full pass
    glances: u32,
    /// Services that are somebody else's, as they were told last
    foreign: Vec<ServiceKey>,
    /// The interfaces that something waits for
    awaited: Vec<Link>,
    /// What was warned of in the last pass
    complaints: Vec<String>,
    /// What there is to warn of in this pass
    complaining: Vec<String>,
    status: Status,
    /// The status on disk
    written: Option<Status>,
}

impl Keeper {
    /// A keeper that knows nothing yet. `last_verified` is what to keep as long as no file says otherwise.
    pub fn new(connect: Connect, store: Store, file: String, last_verified: Option<Goal>) -> Self {
        Self {
            connect,
            kernel: None,
            store,
            goal: last_verified,
            pending: None,
            fights: Fights::default(),
            failures: 0,
            verified_once: false,
            goal_was_verified: false,
            at_rest: false,
            cost: Duration::ZERO,
            glances: 0,
            foreign: Vec::new(),
            awaited: Vec::new(),
            complaints: Vec::new(),
            complaining: Vec::new(),
            status: Status { file, ..Status::default() },
            written: None,
        }
    }

    /// What to tell about the daemon.
    pub fn status(&self) -> &Status {
        &self.status
    }

    /// Whether a pass was verified since the daemon started.
    pub fn is_ready(&self) -> bool {
        self.verified_once
    }

    /// Whether the next pass is due because the last one failed.
    pub fn is_trying_again(&self) -> bool {
        self.failures > 0
    }

    /// The interfaces that something waits for: a pass is due when one of them is there.
    pub fn awaited(&self) -> &[Link] {
        &self.awaited
    }

    /// Whether what is kept is partly in the packet filter.
    pub fn needs_filter(&self) -> bool {
        self.goal.as_ref().is_some_and(|goal| goal.desired.state.needs_filter())
    }

    /// Notes how the file is watched.
    pub fn watched(&mut self, how: String) {
        if self.status.watching != how {
            info!("{how}");
            self.status.watching = how;
        }
    }

    /// Takes in the file as it was last completely written: what it asks for, or what is wrong with it.
    pub fn take(&mut self, reading: Result<Goal, String>) {
        match reading {
            Ok(goal) => {
                if self.status.bad_file.take().is_some() {
                    info!("the file holds again");
                }
                // What was refused before is no longer asked for, and what is right may be another thing now.
                self.status.refused = None;
                self.fights.forget();
                self.pending = Some(goal);
            }
            Err(problem) => {
                let is_new = self.status.bad_file.as_ref() != Some(&problem);
                self.status.bad_file = Some(problem.clone());
                // At once: the pass that follows may have to wait for another one.
                self.write_status();
                if is_new {
                    error!("the file does not hold, the last good state is kept: {problem}");
                }
            }
        }
    }

    /// Runs a pass, and says how long to wait for the next one: as long as the file says, but no pass may take more than
    /// a twentieth of the time, however large the table is.
    pub fn pass(&mut self, reason: Reason, now: Instant) -> Duration {
        const SHARE: u32 = 20;
        let began = Instant::now();
        let pause = self.timed_pass(reason, now);
        self.cost = began.elapsed();
        pause.max(self.cost * SHARE)
    }

    /// How long the last pass took.
    pub fn cost(&self) -> Duration {
        self.cost
    }

    fn timed_pass(&mut self, reason: Reason, now: Instant) -> Duration {
        let _span = info_span!("pass", reason = reason.as_str()).entered();
        if matches!(reason, Reason::Resync | Reason::Filter) && self.is_unchanged() {
            debug!("nothing has changed");
            return self.policy().resync;
        }
        self.glances = 0;
        self.at_rest = false;
        let store = self.store.clone();
        let lock = store.lock(|holder| debug!("waiting for another pass ({holder})"));
        // A disk that takes no lock must not keep a director from being repaired.
        let _lock = lock.map_err(|error| self.complain(vec![format!("{error}; going on without the lock")]));
        self.fights.calm_down(now);
        let ended = match self.change(reason, now) {
            // What is refused waits; what was good before is kept meanwhile.
            None | Some(Ended::Refused) => self.goal.clone().map(|goal| self.keep(&goal, reason, now)),
            ended => ended,
        };
        self.complaints = std::mem::take(&mut self.complaining);
        self.status.fights = self.fights.list();
        self.write_status();
        let policy = self.policy();
        if matches!(ended, Some(Ended::Badly | Ended::Unknown)) {
            self.failures = self.failures.saturating_add(1);
            backoff::wait(self.failures, policy.resync, fastrand::f64())
        } else {
            self.failures = 0;
            policy.resync
        }
    }

    fn policy(&self) -> Policy {
        self.goal.as_ref().map_or_else(Policy::default, |goal| goal.desired.policy)
    }

    /// Whether the kernel is as the last pass verified it, as far as a glance can tell. One look in so many is a full
    /// one, whatever a glance would say.
    fn is_unchanged(&mut self) -> bool {
        const GLANCES: u32 = 9;
        if !self.at_rest || self.pending.is_some() || self.glances >= GLANCES {
            return false;
        }
        let (Some(kernel), Some(goal)) = (&mut self.kernel, &self.goal) else { return false };
        self.glances += 1;
        // After a verified pass, what lbd has in the packet filter is what the file asks for: no record is needed to know.
        let question = reconcile::question(&goal.desired, &Record::default());
        kernel.has_changed(&question).is_ok_and(|changed| !changed)
    }

    /// Goes over to the file that was read last, if there is one to go over to.
    fn change(&mut self, reason: Reason, now: Instant) -> Option<Ended> {
        let pending = self.pending.take()?;
        let ended = self.keep(&pending, reason, now);
        match ended {
            Ended::Well | Ended::Badly => {
                self.status.refused = None;
                self.goal_was_verified = ended == Ended::Well;
                self.goal = Some(pending);
            }
            // Whether the guards let it through is not known, or known not to be so.
            Ended::Refused | Ended::Unknown => self.pending = Some(pending),
        }
        Some(ended)
    }

    /// Brings the kernel to a goal.
    fn keep(&mut self, goal: &Goal, reason: Reason, now: Instant) -> Ended {
        let is_current =
            self.goal.as_ref().is_some_and(|current| Arc::ptr_eq(&current.desired, &goal.desired));
        let is_drift = is_current && self.goal_was_verified;
        let kernel = match &mut self.kernel {
            Some(kernel) => kernel,
            None => match (self.connect)() {
                Ok(kernel) => self.kernel.insert(kernel),
                Err(error) => return self.fail(vec![error.to_string()], reason),
            },
        };
        // What the kernel was verified to be is where an edit of the file starts from.
        let edited = match &self.goal {
            Some(current) if !is_current && self.goal_was_verified => {
                reconcile::edit(kernel.as_mut(), &current.desired, &goal.desired)
            }
            _ => Ok(Vec::new()),
        };
        let fights = &self.fights;
        let waits = |operation: &Operation| fights.rests(operation, now);
        let order = Order { desired: &goal.desired, text: &goal.text, waits: Some(&waits) };
        match reconcile::pass(kernel.as_mut(), &order, &self.store, &mut |_| {}) {
            Ok(mut report) => {
                // (Where an edit went wrong, the pass has found out what there was to do.)
                report.done.splice(..0, edited.unwrap_or_default());
                self.at_rest = report.outcome == Outcome::Verified;
                if is_current && report.outcome == Outcome::Verified {
                    self.goal_was_verified = true;
                }
                if is_drift {
                    self.note_fights(&report.done, goal.desired.policy.resync, now);
                }
                self.note(report, reason, is_drift)
            }
            // It may be the connection; the next pass makes a new one.
            Err(error) => {
                self.kernel = None;
                self.fail(vec![error.to_string()], reason)
            }
        }
    }

    fn write_status(&mut self) {
        if self.written.as_ref() != Some(&self.status) {
            match self.store.save_status(&self.status) {
                Ok(()) => self.written = Some(self.status.clone()),
                Err(error) => debug!("{error}"),
            }
        }
    }
}

/// How an attempt at a goal ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Ended {
    /// All is as it shall be, but for what rests
    Well,
    /// The kernel refused something
    Badly,
    /// A guard objects
    Refused,
    /// The kernel could not be asked
    Unknown,
}

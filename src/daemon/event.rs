//! Defines the input and the output of the daemon's state machine: events and actions.

use std::sync::Arc;

use crate::history::HistoryEvent;
use crate::kernel::Look;
use crate::model::{Desired, Link};
use crate::status::Status;

use super::attempt::Job;
use super::findings::Examination;
use super::goal::{Goal, UnusableFile};
use super::look::Looked;
use super::pass::Pass;

/// What has happened. An event never says what changed; a pass compares everything.
#[derive(Debug)]
pub enum Event {
    /// The desired file was completely written: its content, or why it cannot be used
    File(Result<Goal, UnusableFile>),
    /// The way in which the file is watched has changed
    Watching(String),
    /// It was looked whether services are gone
    Looked(Looked),
    /// The host was examined
    Examined(Box<Examination>),
    /// An interface that something waited for has appeared
    Link,
    /// Another program changed nftables
    Ruleset,
    /// A command has changed the conditions
    Conditions,
    /// The checker has written its file, or that was removed
    Verdicts,
    /// SIGHUP: the operator requests a pass
    Reload,
    /// SIGTERM or SIGINT
    Stop,
    /// The pass waits for the lock, which this process has
    PassWaitsForLock(String),
    /// The pass has the lock, or goes on without it
    PassStarted,
    /// The pass has ended
    PassEnded(Box<Pass>),
}

/// What the daemon is to do.
#[derive(Debug)]
pub enum DaemonAction {
    /// Start a pass; there is never more than one
    StartPass(Box<Job>),
    /// Look whether services are gone; there is never more than one look, and a pass that is started meanwhile runs after it
    Look(Look),
    /// Examine the host around a kernel that is equal to this state; there is never more than one examination
    ExamineHost(Arc<Desired>),
    /// Read the file, once no process is writing it
    ReadFile,
    /// Check that no change of the file was missed
    CheckFile,
    /// Wait for these interfaces, and no others
    AwaitLinks(Vec<Link>),
    /// Write the status to disk
    WriteStatus(Box<Status>),
    /// Note an event in the history
    NoteEvent(Box<HistoryEvent>),
    /// Log that the file is not valid; comes after the status is written, so that both agree
    LogInvalid(String),
    /// Notify the service manager
    Notify(Notice),
}

/// A notification of the service manager.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Notice {
    /// The table was verified; a line for `systemctl status`
    Ready(String),
    /// A line for `systemctl status`
    Status(String),
    /// The file is read again; `Ready` follows
    Reloading,
    /// The daemon is alive
    Alive,
    /// The daemon is about to end
    Stopping,
}

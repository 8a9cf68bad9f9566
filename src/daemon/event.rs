//! What the daemon hears, and what it does: the two sides of its state machine.

use crate::model::Link;
use crate::status::Status;

use super::goal::{Goal, UnusableFile};
use super::pass::{Job, Pass};

/// What the daemon hears. Each only says what there is now; a pass compares all of it.
#[derive(Debug)]
pub enum Event {
    /// The desired file as it was last completely written, or what is wrong with it
    File(Result<Goal, UnusableFile>),
    /// How the file is watched
    Watching(String),
    /// Who else than root may write the file
    Writable(Vec<String>),
    /// An interface is there that something waited for
    Link,
    /// Somebody changed the packet filter
    Ruleset,
    /// SIGHUP: the operator asks for a pass
    Reload,
    /// SIGTERM or SIGINT
    Stop,
    /// The pass that was started waits for the lock that another process has: which
    PassWaits(String),
    /// It has the lock, and begins
    PassBegins,
    /// It has ended
    PassEnded(Box<Pass>),
}

/// What the daemon does.
#[derive(Debug)]
pub enum Action {
    /// Start a pass; there is never more than one
    StartPass(Box<Job>),
    /// Read the file, unless a writer is in the middle of it
    ReadFile,
    /// Make sure that no change of the file was missed
    CheckFile,
    /// Wait for these interfaces, and no others
    AwaitLinks(Vec<Link>),
    /// Write the status to disk
    WriteStatus(Box<Status>),
    /// Log that the file is not valid: after its status is written, so that both can be looked at together
    LogInvalid(String),
    /// Say to the service manager
    Notify(Notice),
}

/// What the service manager is told.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Notice {
    /// The table was verified, and how things are
    Ready(String),
    /// How things are
    Status(String),
    /// The file is read again; `Ready` follows
    Reloading,
    /// The daemon is alive
    Alive,
    /// The daemon is about to end
    Stopping,
}

//! Names and makes the two directories by which the daemon and the checker know of each other.

use std::path::{Path, PathBuf};

use crate::files::{FileError, User, group, make_group_directory};

/// The users that check, the first that there is: the checker's own, or one that owns nothing.
const CHECKERS: [&str; 2] = ["lbd-check", "nobody"];

/// The directories, each of which only its writer writes. They end with the boot.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RunDirs {
    /// Where the daemon writes what is to be probed
    pub daemon: PathBuf,
    /// Where the checker writes the verdicts
    pub checker: PathBuf,
}

impl RunDirs {
    /// The directory of the daemon on every host.
    pub const DAEMON: &'static str = "/run/lbd";

    /// This directory for the daemon, and the one beside it for the checker, whose name ends with `-check`.
    pub fn new(daemon: &Path) -> Self {
        // (Without a slash at its end.)
        let daemon: PathBuf = daemon.components().collect();
        let mut checker = daemon.clone().into_os_string();
        checker.push("-check");
        Self { daemon, checker: checker.into() }
    }

    /// The socket of the daemon whose directory is this, where the unit starts it.
    pub fn socket(daemon: &Path) -> PathBuf {
        daemon.join("lbd.sock")
    }

    /// The group whose members read what the daemon serves; none where this host has no such group.
    pub fn readers() -> Option<u32> {
        group("lbd")
    }

    /// The user that checks.
    pub fn checking_user() -> User {
        User::first_of(&CHECKERS)
    }

    /// Makes the daemon's directory, which the user that checks may read, and so may the group of the socket, in which that user is.
    ///
    /// # Errors
    /// Where it cannot be made.
    pub fn make_daemon(&self) -> Result<(), FileError> {
        let user = Self::checking_user();
        let readers = Self::readers().filter(|readers| user.others.contains(readers));
        make_group_directory(&self.daemon, None, Some(readers.unwrap_or(user.group)))
    }

    /// Makes the directory of the user that checks, where this process is root; otherwise its own.
    ///
    /// # Errors
    /// Where it cannot be made.
    pub fn make_checker(&self) -> Result<(), FileError> {
        let user = Self::checking_user();
        make_group_directory(&self.checker, Some(user.id), Some(user.group))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_directories_lie_beside_each_other() {
        let beside = |path: &str| RunDirs::new(Path::new(path));
        let wanted = RunDirs { daemon: "/run/lbd".into(), checker: "/run/lbd-check".into() };
        assert_eq!([beside(RunDirs::DAEMON), beside("/run/lbd/")], [wanted.clone(), wanted]);
        assert_eq!(beside("a").checker, PathBuf::from("a-check"));
    }
}

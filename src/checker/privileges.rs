//! Gives up all privileges before anything that a server sent is read: another user, no capability, and no way back.

use std::fmt;
use std::io;

use nix::unistd::{Gid, Uid, setgroups, setresgid, setresuid};
use rustix::process::{
    Pid, Resource, Rlimit, Signal, getppid, getrlimit, set_parent_process_death_signal, setrlimit,
};
use rustix::thread::{
    CapabilitySet, CapabilitySets, capabilities, clear_ambient_capability_set,
    remove_capability_from_bounding_set, set_capabilities, set_no_new_privs,
};

use crate::files::User;
use crate::health::RunDirs;

/// How many descriptors are wanted: one for each probe in flight, with room for programs.
const DESCRIPTORS: u64 = 8_192;

/// How many capabilities the kernel can know.
const CAPABILITIES: u32 = 64;

/// Why privileges cannot be given up; nothing may be probed then.
#[derive(Debug)]
pub enum PrivilegesError {
    /// This user cannot be become.
    User(User, io::Error),
    /// The capabilities cannot be given up.
    Capabilities(io::Error),
    /// Some are left, though the kernel refused nothing.
    Left,
}

impl fmt::Display for PrivilegesError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::User(User { name, id, .. }, _) => {
                write!(f, "cannot become user {name} ({id}), and root probes nothing")
            }
            Self::Capabilities(_) => {
                f.write_str("cannot give up the capabilities, and nothing is probed with them")
            }
            Self::Left => f.write_str("there are capabilities left, and nothing is probed with them"),
        }
    }
}

impl std::error::Error for PrivilegesError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Self::User(_, error) | Self::Capabilities(error) => Some(error),
            Self::Left => None,
        }
    }
}

/// Where this process is root, it becomes the user that checks, with its groups; whoever it is, it has no capability afterwards and can
/// gain none. Before, it gets as many descriptors as it may have.
///
/// To be called while there is one thread: the sets of capabilities are those of a thread.
///
/// # Errors
/// Where the kernel refuses a part of it.
pub fn drop() -> Result<(), PrivilegesError> {
    raise_descriptors();
    if has_root() {
        // While CAP_SETPCAP is there. A kernel ends the list by an error.
        for number in 0..CAPABILITIES {
            let _ = remove_capability_from_bounding_set(CapabilitySet::from_bits_retain(1 << number));
        }
        let user = RunDirs::checking_user();
        let (id, group) = (Uid::from_raw(user.id), Gid::from_raw(user.group));
        let groups: Vec<Gid> = [user.group].iter().chain(&user.others).copied().map(Gid::from_raw).collect();
        let become_it = || {
            setgroups(&groups)?;
            setresgid(group, group, group)?;
            setresuid(id, id, id)
        };
        if let Err(error) = become_it() {
            return Err(PrivilegesError::User(user, error.into()));
        }
    }
    let give_up = || -> rustix::io::Result<()> {
        clear_ambient_capability_set()?;
        let none = CapabilitySet::empty();
        set_capabilities(None, CapabilitySets { effective: none, permitted: none, inheritable: none })?;
        set_no_new_privs(true)
    };
    give_up().map_err(|error| PrivilegesError::Capabilities(error.into()))?;
    let is_clean =
        capabilities(None).is_ok_and(|sets| sets.permitted.is_empty() && sets.inheritable.is_empty());
    if is_clean && !has_root() { Ok(()) } else { Err(PrivilegesError::Left) }
}

/// Whether one of its user numbers is root's.
fn has_root() -> bool {
    [rustix::process::getuid(), rustix::process::geteuid()].iter().any(|user| user.is_root())
}

/// Allows as many open descriptors as may be, and [`DESCRIPTORS`] where root may raise the limit itself.
fn raise_descriptors() {
    let limit = getrlimit(Resource::Nofile);
    let hard = |maximum: Option<u64>| Rlimit { current: maximum, maximum };
    let is_enough = limit.maximum.is_none_or(|maximum| maximum >= DESCRIPTORS);
    if is_enough || setrlimit(Resource::Nofile, hard(Some(DESCRIPTORS))).is_err() {
        // Not refused by any kernel.
        let _ = setrlimit(Resource::Nofile, hard(limit.maximum));
    }
}

/// Has this process end with its parent, also where that is killed; says whether the parent is still there.
///
/// To be called after [`drop`]: the kernel forgets it with a change of the user.
pub fn end_with_parent(parent: u32) -> bool {
    let is_set = set_parent_process_death_signal(Some(Signal::TERM));
    // It may have ended before that.
    let is_there =
        getppid().map(Pid::as_raw_nonzero).is_some_and(|number| u32::try_from(number.get()) == Ok(parent));
    is_set.is_ok() && is_there
}

//! Gives up all privileges before anything that a server sent is read: another user, no capability, and no way back.

use std::fmt;
use std::io;

use nix::sys::resource::{Resource, getrlimit, setrlimit};
use nix::unistd::{Gid, Uid, setgroups, setresgid, setresuid};
use rustix::process::{Pid, Signal, getppid, set_parent_process_death_signal, setsid};
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
    give_up().map_err(|error| PrivilegesError::Capabilities(error.into()))?;
    if has_none() && !has_root() { Ok(()) } else { Err(PrivilegesError::Left) }
}

/// Empties all sets of capabilities, and has no program that is run later gain any.
fn give_up() -> rustix::io::Result<()> {
    set_no_new_privs(true)?;
    clear_ambient_capability_set()?;
    // A sandbox refuses to set them, and leaves none.
    if !has_none() {
        let none = CapabilitySet::empty();
        set_capabilities(None, CapabilitySets { effective: none, permitted: none, inheritable: none })?;
    }
    Ok(())
}

/// Whether this thread has no capability, and can gain none.
fn has_none() -> bool {
    capabilities(None).is_ok_and(|sets| {
        sets.permitted.is_empty() && sets.effective.is_empty() && sets.inheritable.is_empty()
    })
}

/// Whether one of its user numbers is root's.
fn has_root() -> bool {
    [rustix::process::getuid(), rustix::process::geteuid()].iter().any(|user| user.is_root())
}

/// Allows as many open descriptors as may be, and [`DESCRIPTORS`] where root may raise the limit itself.
fn raise_descriptors() {
    // (A sandbox may refuse even to read it.)
    let Ok((now, most)) = getrlimit(Resource::RLIMIT_NOFILE) else { return };
    let set = |most| setrlimit(Resource::RLIMIT_NOFILE, most, most);
    if (most >= DESCRIPTORS || set(DESCRIPTORS).is_err()) && now < most {
        let _ = set(most);
    }
}

/// Leaves the session of this process, and with it the terminal, to which another user's process could type commands for root's shell. The
/// leader of a group has no such terminal, or stays.
pub fn leave_terminal() {
    let _ = setsid();
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

//! `lbd agent` and `lbd fleet`: another program, `lbd-agent`, which has what this one has not: the network.

use std::env;
use std::io;
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::Command;

use super::CommandError;

/// The program, beside this one.
const PROGRAM: &str = "lbd-agent";

/// Becomes `lbd-agent`, with the same words. It comes back only where that is not possible.
pub(super) fn run() -> CommandError {
    // The program beside this one and no other: root's PATH may have directories of others.
    let own = env::current_exe().unwrap_or_default();
    let program = own.parent().unwrap_or(Path::new("/usr/sbin")).join(PROGRAM);
    let error = Command::new(&program).args(env::args_os().skip(1)).exec();
    match error.kind() {
        io::ErrorKind::NotFound => CommandError::NoAgent(program),
        _ => CommandError::Agent { program, cause: error },
    }
}

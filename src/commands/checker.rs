//! `lbd checker`: the process that probes, which the service manager or the daemon starts.

use std::io;

use tracing::info;

use super::{CommandError, DONE};
use crate::checker::{self, privileges};
use crate::cli::{Arguments, CheckerOptions};
use crate::daemon::StartError;
use crate::health::{RunDirs, SharedFiles};
use crate::kernel::namespace;
use crate::logging;
use crate::systemd::Notifier;

pub(super) fn run(arguments: &Arguments, options: &CheckerOptions) -> Result<u8, CommandError> {
    // Before anything else: there is one thread, and nothing was read.
    privileges::leave_terminal();
    privileges::drop().map_err(CommandError::Privileges)?;
    if options.parent.is_some_and(|parent| !privileges::end_with_parent(parent)) {
        return Ok(DONE);
    }
    logging::init("lbd", options.log_level.as_deref()).map_err(CommandError::Logging)?;
    let notifier = Notifier::from_env();
    let files = SharedFiles::new(&RunDirs::new(&arguments.run_dir), namespace::cookie());
    let files = files.map_err(CommandError::Scope)?;
    // Whoever started it had to make it: this process may not any more.
    let directory = &files.dirs().checker;
    if directory.symlink_metadata().is_err_and(|error| error.kind() == io::ErrorKind::NotFound) {
        return Err(CommandError::NoCheckerDirectory(directory.clone()));
    }
    let Some(_lock) = files.lock_checker().map_err(CommandError::StateFile)? else {
        return Err(CommandError::SecondChecker(files.dirs().checker.clone()));
    };
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let runtime = runtime.map_err(|error| CommandError::Start(StartError::Threads(error)))?;
    info!("lbd {} started as the checker", env!("CARGO_PKG_VERSION"));
    let ran = runtime.block_on(checker::run(&files, &notifier));
    ran.map_err(|error| CommandError::Start(StartError::Signals(error)))?;
    Ok(DONE)
}

//! `lbd run`: the daemon.

use super::{DONE, Stop, inputs};
use crate::cli::{Arguments, Run};
use crate::daemon::{self, Connect};
use crate::kernel::Kernel;
use crate::kernel::director::Director;
use crate::logging;
use crate::systemd::Notifier;

pub(super) fn run(arguments: &Arguments, options: &Run) -> Result<u8, Stop> {
    logging::init(options.log_level.as_deref()).map_err(Stop::Trouble)?;
    let store = inputs::store(arguments)?;
    let connect: Connect = Box::new(|| {
        let mut director = Director::connect()?;
        director.remember();
        Ok(Box::new(director) as Box<dyn Kernel>)
    });
    // One thread does all: a pass is short, and there is but one at a time.
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let notifier = Notifier::from_env();
    let end = runtime.block_on(daemon::run(&arguments.file, store, connect, &notifier));
    end.map_err(|error| {
        // The journal may come too late to tell whose words they were; the status does not.
        notifier.status(&error);
        Stop::Trouble(error)
    })?;
    Ok(DONE)
}

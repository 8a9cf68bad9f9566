//! `lbd run`: the daemon.

use std::io;
use std::os::linux::net::SocketAddrExt;
use std::os::unix::net::{SocketAddr, UnixDatagram};
use std::path::{self, Path};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use rustix::process::getuid;
use tokio::time::Instant;
use tracing::warn;

use super::documents::CommandDocuments;
use super::{CommandError, DONE, by_socket, inputs};
use crate::api::{Api, BoundSocket, Service, TimeLimits};
use crate::cli::{Arguments, CheckerStart, Run};
use crate::daemon::{
    self, CheckerProcess, Connect, Controller, DaemonAction, Environment, HostEnvironment, Passes, StartError,
};
use crate::error_chain::ErrorChain;
use crate::health::{RunDirs, SharedFiles};
use crate::kernel::director::Director;
use crate::kernel::{Kernel, namespace};
use crate::logging;
use crate::metrics::PassCounters;
use crate::store::{DaemonLockError, Lock, Store};
use crate::systemd::Notifier;

pub(super) fn run(arguments: &Arguments, options: &Run) -> Result<u8, CommandError> {
    if arguments.file == Path::new("-") {
        return Err(CommandError::UnwatchedFile);
    }
    logging::init("lbd", options.log_level.as_deref()).map_err(CommandError::Logging)?;
    let notifier = Notifier::from_env();
    follow(arguments, options, &notifier).inspect_err(|error| {
        // The journal may attribute the last lines of a process that has ended to nobody; the status stays with the unit.
        notifier.status(&error.line());
    })
}

fn follow(arguments: &Arguments, options: &Run, notifier: &Notifier) -> Result<u8, CommandError> {
    let store = inputs::store(arguments)?;
    let lock = lock(&store)?;
    let _name = only_daemon();
    let _checker = checker(arguments, options)?;
    let progress = Arc::new(AtomicU64::new(0));
    let passes = {
        let (connect, store) = (connect(Arc::clone(&progress)), store.clone());
        let file = arguments.file.clone();
        let is_child = options.checker == CheckerStart::Child;
        move || Passes::new(connect, store, lock).with_file(&file).with_child_checker(is_child)
    };
    // Commands compare it with theirs, in another working directory.
    let file = path::absolute(&arguments.file).unwrap_or_else(|_| arguments.file.clone());
    let file = file.display().to_string();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let runtime = runtime.map_err(|error| CommandError::Start(StartError::Threads(error)))?;
    runtime.block_on(async {
        let mut environment = HostEnvironment::start(&arguments.file, &store, passes, progress, notifier)
            .map_err(CommandError::Start)?;
        tracing::info!("lbd {} started; it keeps the kernel equal to {file}", env!("CARGO_PKG_VERSION"));
        let controller = Controller::new(file, notifier.watchdog_interval(), fastrand::f64, Instant::now());
        let counters = controller.counters();
        let _api = options
            .socket
            .as_ref()
            .and_then(|path| serve(path, arguments, &options.agent_dir, &store, counters));
        // Before the first pass, so that `lbd status` and `lbd apply` know this daemon and its file.
        environment.perform(DaemonAction::WriteStatus(Box::new(controller.status().clone())));
        daemon::run(controller, &mut environment).await;
        Ok(DONE)
    })
}

/// Serves the socket. What is wrong with it must not prevent repairs.
fn serve(
    path: &Path,
    arguments: &Arguments,
    agent_dir: &Path,
    store: &Store,
    counters: Arc<PassCounters>,
) -> Option<Api> {
    let is_missing =
        path.parent().is_some_and(|directory| directory == arguments.run_dir && !directory.exists());
    if is_missing && let Err(error) = RunDirs::new(&arguments.run_dir).make_daemon() {
        warn!("{error}");
    }
    let socket = BoundSocket::bind(path, RunDirs::readers());
    let socket = socket.map_err(|error| warn!("{}; going on without the socket", ErrorChain(&error))).ok()?;
    let checks = RunDirs::checking_user().id;
    let service = Service {
        scope: by_socket::scope(arguments, Some(&arguments.file), store.origin()),
        store: store.clone(),
        limits: TimeLimits::OF_DAEMON,
        refused_user: (checks != getuid().as_raw()).then_some(checks),
    };
    let arguments = arguments.clone();
    let agent_dir = path::absolute(agent_dir).unwrap_or_else(|_| agent_dir.to_owned());
    let documents =
        move || CommandDocuments::new(arguments.clone(), Arc::clone(&counters)).planning_below(&agent_dir);
    let api = Api::start(socket, service, documents);
    api.map_err(|error| warn!("{}: cannot be served: {error}; going on without the socket", path.display()))
        .ok()
}

/// Has the checker started as a child, and ended with the daemon, where no unit of its own does that.
fn checker(arguments: &Arguments, options: &Run) -> Result<Option<CheckerProcess>, CommandError> {
    match options.checker {
        CheckerStart::None => Ok(None),
        CheckerStart::Child => {
            let files = SharedFiles::new(&RunDirs::new(&arguments.run_dir), namespace::cookie());
            let files = files.map_err(CommandError::Scope)?;
            let started = CheckerProcess::start(files, options.log_level.as_deref());
            started.map(Some).map_err(|error| CommandError::Start(StartError::Threads(error)))
        }
    }
}

/// Takes the lock against a second daemon.
fn lock(store: &Store) -> Result<Option<Lock>, CommandError> {
    match store.lock_daemon("run") {
        Ok(lock) => Ok(Some(lock)),
        Err(error @ (DaemonLockError::Daemon { .. } | DaemonLockError::Command { .. })) => {
            Err(CommandError::Locked(error))
        }
        // A file system without locks must not prevent repairs.
        Err(DaemonLockError::Impossible(error)) => {
            warn!("{error}; going on without the lock against a second daemon");
            Ok(None)
        }
    }
}

/// Binds a name that is unique in the network namespace, and warns where another process has it: two daemons with two state
/// directories would revert each other's changes. Nothing is received on the socket.
fn only_daemon() -> Option<UnixDatagram> {
    let name = SocketAddr::from_abstract_name("lbd/run").ok()?;
    match UnixDatagram::bind_addr(&name) {
        Ok(socket) => Some(socket),
        Err(error) if error.kind() == io::ErrorKind::AddrInUse => {
            warn!(
                "another lbd daemon seems to run in this network namespace, with another state directory (its socket \
                 @lbd/run is in use); stop one of them: `ss -xap src @lbd/run` shows its process"
            );
            None
        }
        // Without the socket, a second daemon is not detected.
        Err(_) => None,
    }
}

/// Connects the daemon to the kernel; each step there counts as progress.
fn connect(progress: Arc<AtomicU64>) -> Connect {
    Box::new(move || {
        let mut director = Director::connect()?;
        director.remember();
        let progress = Arc::clone(&progress);
        director.set_progress(Some(Box::new(move |_| {
            progress.fetch_add(1, Ordering::Relaxed);
        })));
        Ok(Box::new(director) as Box<dyn Kernel>)
    })
}

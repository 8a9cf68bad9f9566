//! Starts the checker as a child of the daemon while there is something to probe, again where it ends, and ends it with the daemon.

use std::ffi::OsString;
use std::io;
use std::process::{ExitStatus, Stdio};
use std::thread::{self, JoinHandle};
use std::time::Duration;
use std::{env, path, process};

use rustix::process::{Pid, Signal, kill_process};
use tokio::process::{Child, Command};
use tokio::runtime;
use tokio::select;
use tokio::sync::oneshot;
use tokio::time::{Instant, sleep_until, timeout};
use tracing::{debug, info, warn};

use crate::error_chain::ErrorChain;
use crate::health::SharedFiles;
use crate::watch::Watch;

/// The first time between the end of a checker and the start of the next one; it doubles.
const SHORTEST: Duration = Duration::from_secs(1);
/// The longest such time. A checker that ran so long did not fail.
const LONGEST: Duration = Duration::from_secs(60);
/// How long a checker may take to end.
const PATIENCE: Duration = Duration::from_secs(1);

/// What a checker gets of the daemon's environment: where it logs to, and where the authorities of the system are.
const ENVIRONMENT: [&str; 7] =
    ["PATH", "LBD_LOG", "JOURNAL_STREAM", "NO_COLOR", "TERM", "SSL_CERT_FILE", "SSL_CERT_DIR"];

/// The handle of the thread that starts the checker, which ends when this is dropped.
pub struct CheckerProcess {
    /// None once it is to end
    stop: Option<oneshot::Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

/// When the checker is started again.
#[derive(Debug, Default)]
struct BackOff {
    /// How many in a row have ended soon
    ended: u32,
}

impl BackOff {
    /// How long to wait after a checker that ran so long.
    fn after(&mut self, ran: Duration) -> Duration {
        if ran >= LONGEST {
            self.ended = 0;
        }
        let wait = SHORTEST.saturating_mul(2_u32.saturating_pow(self.ended)).min(LONGEST);
        self.ended = self.ended.saturating_add(1);
        wait
    }
}

impl CheckerProcess {
    /// Starts the thread, in the network namespace of the calling one. What is to be probed it reads in the daemon's directory.
    ///
    /// # Errors
    /// Where it cannot be started.
    pub fn start(files: SharedFiles, log_level: Option<&str>) -> io::Result<Self> {
        let (stop, stopped) = oneshot::channel();
        let arguments = arguments(&files, log_level);
        let runtime = runtime::Builder::new_current_thread().enable_all().build()?;
        let work = move || runtime.block_on(supervise(&files, &arguments, stopped));
        // The kernel ends the checker with the thread that started it.
        let thread = thread::Builder::new().name("checker".to_owned()).spawn(work)?;
        Ok(Self { stop: Some(stop), thread: Some(thread) })
    }
}

impl Drop for CheckerProcess {
    fn drop(&mut self) {
        drop(self.stop.take());
        // A thread does not panic.
        let _ = self.thread.take().map(JoinHandle::join);
    }
}

/// The command line of the checker, behind the name of the program.
fn arguments(files: &SharedFiles, log_level: Option<&str>) -> Vec<OsString> {
    // The checker has another working directory.
    let run_dir = &files.dirs().daemon;
    let run_dir = path::absolute(run_dir).unwrap_or_else(|_| run_dir.clone()).into_os_string();
    let mut arguments: Vec<OsString> = vec![
        "checker".into(),
        "--run-dir".into(),
        run_dir,
        "--parent".into(),
        process::id().to_string().into(),
    ];
    arguments.extend(log_level.into_iter().flat_map(|level| ["--log-level".into(), level.into()]));
    arguments
}

/// Keeps the checker running while there is something to probe.
async fn supervise(files: &SharedFiles, arguments: &[OsString], mut stopped: oneshot::Receiver<()>) {
    let mut watch = Watch::new(&files.probes_path());
    let mut back_off = BackOff::default();
    let mut is_needed = false;
    let mut running: Option<(Child, Instant)> = None;
    let mut start_at = Instant::now();
    loop {
        if is_needed && running.is_none() && Instant::now() >= start_at {
            match start(files, arguments) {
                Ok(child) => running = Some((child, Instant::now())),
                Err(error) => {
                    let wait = back_off.after(Duration::ZERO);
                    warn!("the checker cannot be started: {error}; trying again in {} s", wait.as_secs());
                    start_at = Instant::now() + wait;
                }
            }
        }
        let waits = is_needed && running.is_none();
        select! {
            biased;
            _ = &mut stopped => break,
            _ = watch.changed() => {
                // One that cannot be read changes nothing; the checker names it.
                if let Ok(probes) = files.load_probes() {
                    is_needed = probes.is_some_and(|probes| !probes.is_empty());
                }
                if !is_needed && let Some((child, _)) = running.take() {
                    end(child).await;
                    debug!("the checker was ended: there is nothing to probe");
                }
            }
            status = ended(&mut running) => {
                let ran = running.take().map_or(Duration::ZERO, |(_, began)| began.elapsed());
                let wait = back_off.after(ran);
                let how = status.map_or_else(|error| error.to_string(), |status| status.to_string());
                warn!("the checker has ended ({how}); starting it again in {} s; verdicts stay as they are", wait.as_secs());
                start_at = Instant::now() + wait;
            }
            () = sleep_until(start_at), if waits => {}
        }
    }
    if let Some((child, _)) = running {
        end(child).await;
    }
}

/// Starts the checker, which gives up its privileges itself: the directory that it writes is made before.
fn start(files: &SharedFiles, arguments: &[OsString]) -> Result<Child, String> {
    files.dirs().make_checker().map_err(|error| error.to_string())?;
    // The program that runs, also where a newer one was installed meanwhile.
    let mut command = Command::new("/proc/self/exe");
    command.arg0("lbd").args(arguments).env_clear();
    command.envs(ENVIRONMENT.iter().filter_map(|name| Some((name, env::var_os(name)?))));
    command.stdin(Stdio::null()).stdout(Stdio::null()).current_dir("/");
    let child = command.spawn().map_err(|error| ErrorChain(&error).to_string())?;
    info!("checker started, process {}", child.id().unwrap_or_default());
    Ok(child)
}

/// Waits until the checker ends; for ever where none runs.
async fn ended(running: &mut Option<(Child, Instant)>) -> io::Result<ExitStatus> {
    match running {
        Some((child, _)) => child.wait().await,
        None => std::future::pending().await,
    }
}

/// Ends the checker, by force where it does not end by itself.
async fn end(mut child: Child) {
    let number = child.id().and_then(|number| i32::try_from(number).ok()).and_then(Pid::from_raw);
    if let Some(number) = number {
        let _ = kill_process(number, Signal::TERM);
    }
    if timeout(PATIENCE, child.wait()).await.is_err() {
        let _ = child.kill().await;
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;
    use crate::health::RunDirs;

    #[test]
    fn the_checker_reads_where_the_daemon_writes_whatever_its_working_directory_is() {
        let files = SharedFiles::new(&RunDirs::new(Path::new("some")), None).unwrap();
        let directory = env::current_dir().unwrap().join("some").into_os_string();
        assert_eq!(arguments(&files, None).get(2), Some(&directory));
    }

    #[test]
    fn a_checker_that_ends_again_and_again_is_started_more_and_more_rarely() {
        let mut back_off = BackOff::default();
        let mut waits = |ran: u64, times: usize| -> Vec<u64> {
            (0..times).map(|_| back_off.after(Duration::from_secs(ran)).as_secs()).collect()
        };
        assert_eq!(waits(0, 8), [1, 2, 4, 8, 16, 32, 60, 60]);
        assert_eq!(waits(59, 1), [60]);
        assert_eq!(waits(60, 2), [1, 1]);
        assert_eq!(waits(0, 1), [2]);
    }
}

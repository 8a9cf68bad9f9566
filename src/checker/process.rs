//! Reads what is to be probed whenever it changes, and writes what the engine says of it.

use std::future::pending;
use std::io;

use tokio::select;
use tokio::signal::unix::{SignalKind, signal};
use tokio::time::{Instant, sleep_until};
use tracing::{debug, info, warn};

use super::changes::Changes;
use super::engine::Engine;
use crate::health::{Probes, SharedFiles, Verdict, Verdicts};
use crate::systemd::Notifier;
use crate::watch::Watch;

/// The checker between two signals.
struct Checker<'a> {
    files: &'a SharedFiles,
    notifier: &'a Notifier,
    /// None while nothing is to be probed
    engine: Option<Engine>,
    probes: Probes,
    written: Verdicts,
    /// What was logged of a file that cannot be used, so that it is logged once
    logged: Option<String>,
}

/// Probes until SIGTERM or SIGINT.
///
/// # Errors
/// Where signals cannot be received.
pub async fn run(files: &SharedFiles, notifier: &Notifier) -> io::Result<()> {
    let (mut terminate, mut interrupt) = (signal(SignalKind::terminate())?, signal(SignalKind::interrupt())?);
    let mut hangup = signal(SignalKind::hangup())?;
    let mut watch = Watch::new(&files.probes_path());
    let (probes, written) = (Probes::default(), Verdicts::default());
    let mut checker = Checker { files, notifier, engine: None, probes, written, logged: None };
    notifier.ready("nothing to probe");
    let mut alive_at = Instant::now();
    loop {
        select! {
            biased;
            _ = terminate.recv() => break,
            _ = interrupt.recv() => break,
            _ = hangup.recv() => watch.request_read(),
            () = wait_until(notifier.watchdog_interval().map(|_| alive_at)) => {
                notifier.watchdog();
                alive_at = Instant::now() + notifier.watchdog_interval().unwrap_or_default();
            }
            // It is replaced by rename: there is no writer to wait for.
            _ = watch.changed() => checker.read(),
            () = next_change(&mut checker.engine) => {
                checker.write();
                watch.recheck();
            }
        }
    }
    notifier.stopping();
    Ok(())
}

/// Waits until the watchdog is to be fed; for ever where there is none.
async fn wait_until(time: Option<Instant>) {
    match time {
        Some(time) => sleep_until(time).await,
        None => pending().await,
    }
}

/// Waits until the verdicts are to be written; for ever where nothing is probed.
async fn next_change(engine: &mut Option<Engine>) {
    match engine {
        Some(engine) => engine.next_change().await,
        None => pending().await,
    }
}

impl Checker<'_> {
    /// Takes in what is to be probed. Where that cannot be read, the probes before it go on.
    fn read(&mut self) {
        let probes = match self.files.load_probes() {
            Ok(probes) => probes.unwrap_or_default(),
            Err(error) => return self.log_once(Some(error.to_string())),
        };
        self.log_once(None);
        if probes == self.probes {
            return;
        }
        info!("{} targets are to be probed", probes.len());
        self.probes = probes;
        match &mut self.engine {
            none_or_some if self.probes.is_empty() => {
                *none_or_some = None;
                self.notifier.status("nothing to probe");
            }
            Some(engine) => engine.set(self.probes.clone()),
            none => *none = Some(Engine::new(self.probes.clone())),
        }
    }

    /// Writes what the engine says, and logs what is new in it.
    fn write(&mut self) {
        let Some(engine) = &self.engine else { return };
        let verdicts = engine.verdicts();
        let changes = Changes::between(&self.written, &verdicts, &self.probes);
        changes.warnings.iter().for_each(|line| warn!("{line}"));
        changes.verdicts.iter().for_each(|line| info!("{line}"));
        let written = self.files.save_verdicts(&verdicts);
        debug!("verdicts written");
        // The next heartbeat writes them, where the directory is back.
        self.log_once(written.err().map(|error| error.to_string()));
        let of = |wanted: fn(&Verdict) -> bool| {
            verdicts.findings.values().filter(|finding| wanted(&finding.verdict)).count()
        };
        self.notifier.status(&format!(
            "{} probes: {} failing, {} not known yet",
            self.probes.len(),
            of(|verdict| matches!(verdict, Verdict::Failing(_))),
            of(|verdict| matches!(verdict, Verdict::Unknown)),
        ));
        self.written = verdicts;
    }

    fn log_once(&mut self, problem: Option<String>) {
        if problem != self.logged {
            problem.iter().for_each(|problem| warn!("{problem}"));
            self.logged = problem;
        }
    }
}

#[cfg(test)]
mod tests {
    use std::ffi::OsString;
    use std::time::Duration;

    use tokio::net::UnixDatagram;
    use tokio::time::timeout;

    use super::*;
    use crate::health::RunDirs;

    #[tokio::test]
    async fn the_watchdog_is_fed_also_while_there_is_nothing_to_probe() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("notify");
        let manager = UnixDatagram::bind(&path).unwrap();
        let notifier = Notifier::new(|name| match name {
            "NOTIFY_SOCKET" => Some(path.clone().into_os_string()),
            "WATCHDOG_USEC" => Some(OsString::from("20000")),
            _ => None,
        });
        let files = SharedFiles::new(&RunDirs::new(&directory.path().join("run")), None).unwrap();
        let fed = async {
            let mut fed = 0;
            while fed < 3 {
                let mut message = [0; 64];
                let length = manager.recv(&mut message).await.unwrap();
                fed += usize::from(message[..length] == *b"WATCHDOG=1");
            }
        };
        select! {
            ended = run(&files, &notifier) => panic!("{ended:?}"),
            fed = timeout(Duration::from_secs(20), fed) => fed.unwrap(),
        }
    }
}

//! Reads what is to be probed whenever it changes, and writes what the engine says of it.

use std::future::pending;
use std::io;

use tokio::select;
use tokio::signal::unix::{SignalKind, signal};
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
    loop {
        select! {
            biased;
            _ = terminate.recv() => break,
            _ = interrupt.recv() => break,
            _ = hangup.recv() => watch.request_read(),
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

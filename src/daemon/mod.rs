//! When to pass: the file, the clock, a signal. The one loop of the daemon.

mod backoff;
mod fight;
mod keeper;
mod reader;

use std::path::Path;
use std::time::Duration;

use tokio::select;
use tokio::signal::unix::{SignalKind, signal};
use tokio::time::{Instant, MissedTickBehavior, interval, sleep, sleep_until};
use tracing::{debug, info, warn};

use crate::config::Source;
use crate::kernel::alarm::Alarm;
use crate::kernel::interfaces;
use crate::model::Link;
use crate::store::{NoLock, Store};
use crate::systemd::Notifier;
use crate::watch::Watch;

use self::reader::Reader;

pub use keeper::{Connect, Goal, Keeper, Reason};

/// Keeps the kernel equal to `file` until a signal ends it. The table goes on serving after that.
///
/// # Errors
/// Where another daemon has the state directory, or signals cannot be had.
pub async fn run(file: &Path, store: Store, connect: Connect, notifier: &Notifier) -> Result<(), String> {
    let _lock = match store.lock_daemon() {
        Ok(lock) => Some(lock),
        Err(NoLock::Held(holder)) => return Err(holder),
        // A disk that takes no lock must not keep a director from being repaired.
        Err(NoLock::Impossible(error)) => {
            warn!("{error}; going on without the lock against a second daemon");
            None
        }
    };
    let listen = |kind| signal(kind).map_err(|error| format!("cannot listen for signals: {error}"));
    let mut hangup = listen(SignalKind::hangup())?;
    let mut terminate = listen(SignalKind::terminate())?;
    let mut interrupt = listen(SignalKind::interrupt())?;
    // A daemon that systemd does not watch looks up once a day instead.
    let beat = notifier.watchdog_interval().unwrap_or(Duration::from_secs(86_400));
    let mut beat = interval(beat);
    beat.set_missed_tick_behavior(MissedTickBehavior::Delay);

    let mut keeper = Keeper::new(connect, store.clone(), file.display().to_string(), last_verified(&store));
    let mut watch = Watch::new(file);
    let ahead = watch.ahead();
    let mut reader = Reader::new(file);
    let alarm = Alarm::open();
    let mut usual = Reason::Start;
    // The first look at the file is due at once, and the first pass with it.
    let mut next = Instant::now() + Duration::from_secs(5);
    let mut rested = Instant::now();
    let mut told = String::new();
    let mut has_told_ready = false;
    info!("lbd {} keeps {}", env!("CARGO_PKG_VERSION"), file.display());
    loop {
        let reason = select! {
            () = ahead.whole() => {
                reader.prepare();
                continue;
            }
            look = watch.changed() => match reader.read(&mut watch, &look).await {
                Some(reading) => {
                    debug!("looked at the file: {:?}", look.reason);
                    keeper.take(reading);
                    if usual == Reason::Start { Reason::Start } else { Reason::File }
                }
                // A writer came in between; the next look comes when he is done.
                None => continue,
            },
            _ = hangup.recv() => {
                notifier.reloading();
                watch.ask();
                Reason::Asked
            }
            _ = terminate.recv() => break,
            _ = interrupt.recv() => break,
            () = sleep_until(next) => usual,
            () = appeared(keeper.awaited()) => Reason::Interface,
            () = alarmed(&alarm, rested), if keeper.needs_filter() => Reason::Filter,
            _ = beat.tick() => {
                notifier.watchdog();
                continue;
            }
        };
        keeper.watched(watch.mode().to_string());
        let pause = keeper.pass(reason, Instant::now().into_std());
        next = Instant::now() + pause;
        rested = Instant::now() + keeper.cost() * REST;
        usual = if keeper.is_trying_again() { Reason::Retry } else { Reason::Resync };
        watch.recheck();
        let line = keeper.status().line();
        if keeper.is_ready() && (!has_told_ready || reason == Reason::Asked) {
            notifier.ready(&line);
            has_told_ready = true;
        } else if line != told {
            notifier.status(&line);
        }
        told = line;
    }
    info!("stopped; the table goes on serving");
    notifier.stopping();
    Ok(())
}

/// Waits until one of the interfaces is as it has to be; for ever where there is none to wait for.
async fn appeared(awaited: &[Link]) {
    /// Cheap enough to be done often: an interface that comes late, comes with traffic.
    const INTERVAL: Duration = Duration::from_secs(1);
    if awaited.is_empty() {
        return std::future::pending().await;
    }
    while !interfaces::any_ready(awaited) {
        sleep(INTERVAL).await;
    }
}

/// How many times as long as it took the packet filter is left alone after a pass.
const REST: u32 = 4;

/// Waits until somebody changes the packet filter; where that is done all the time, it is not looked at all the time.
async fn alarmed(alarm: &Alarm, rested: Instant) {
    sleep_until(rested).await;
    alarm.rings().await;
}

/// The state that was verified last, to be kept as long as no file says otherwise.
fn last_verified(store: &Store) -> Option<Goal> {
    let text = store.load_verified().unwrap_or_else(|error| {
        warn!("{error}");
        None
    })?;
    match reader::goal(Source::new("the last verified state", text)) {
        Ok(goal) => Some(goal),
        Err(problem) => {
            warn!("{problem}");
            None
        }
    }
}

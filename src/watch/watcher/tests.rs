//! Where inotify fails, in ways that real files cannot be brought to show.

use super::*;

use std::sync::atomic::{AtomicUsize, Ordering};

use tokio::runtime::{Builder, Runtime};

/// Time stands still but for sleeping.
fn paused() -> Runtime {
    Builder::new_current_thread().enable_time().start_paused(true).build().unwrap()
}

#[test]
fn without_an_inotify_instance_it_says_so_and_polls() {
    let root = tempfile::tempdir().unwrap();
    let path = root.path().join("desired.yaml");
    let mut watch =
        Watch::build(&path, Some(|_| Err(WatchError::Inotify(None, notify::Error::generic("no instances")))));
    assert_eq!(watch.mode(), Mode::Polling { why: "no instances".to_owned() });
    paused().block_on(async {
        assert_eq!(watch.changed().await.reason, Reason::Started);
        fs::write(&path, "a").unwrap();
        // Rechecks try inotify again, and do not keep the polling from its work.
        for _ in 0..10 {
            watch.recheck();
        }
        let look = watch.changed().await;
        assert_eq!((look.reason, watch.confirms(&look).await), (Reason::Found, true));
    });
}

/// How many directories may still be watched.
static WATCHES_LEFT: AtomicUsize = AtomicUsize::new(1);

struct Limited;

impl inotify::Source for Limited {
    fn add(&mut self, _: &Path) -> Result<(), WatchError> {
        let take = |left: usize| left.checked_sub(1);
        let taken = WATCHES_LEFT.fetch_update(Ordering::Relaxed, Ordering::Relaxed, take);
        taken.map(drop).map_err(|_| WatchError::Inotify(None, notify::Error::generic("no watches")))
    }

    fn remove(&mut self, _: &Path) {}
}

#[test]
fn when_watches_run_out_it_goes_over_to_polling_and_back_when_there_are_some_again() {
    let root = tempfile::tempdir().unwrap();
    let path = root.path().join("lbd/desired.yaml");
    let mut watch = Watch::build(&path, Some(|_| Ok(Box::new(Limited))));
    paused().block_on(async {
        assert_eq!((watch.changed().await.reason, watch.mode()), (Reason::Started, Mode::Inotify));
        fs::create_dir(root.path().join("lbd")).unwrap();
        watch.ears.feed(Event::Modified);
        watch.ears.heard().way_changed = true;
        let polling = Mode::Polling { why: "no watches".to_owned() };
        assert_eq!((watch.changed().await.reason, watch.mode()), (Reason::Missed, polling));
        WATCHES_LEFT.store(10, Ordering::Relaxed);
        watch.recheck();
        assert_eq!((watch.changed().await.reason, watch.mode()), (Reason::Found, Mode::Inotify));
    });
}

#[test]
fn an_overflow_of_the_kernels_queue_is_a_reason_to_look() {
    let root = tempfile::tempdir().unwrap();
    let mut watch = Watch::new(&root.path().join("desired.yaml"));
    paused().block_on(async {
        assert_eq!(watch.changed().await.reason, Reason::Started);
        watch.ears.feed(Event::Modified);
        let overflow = notify::Event::new(notify::EventKind::Other).set_flag(notify::event::Flag::Rescan);
        watch.ears.hear(Ok(overflow));
        assert_eq!(watch.changed().await.reason, Reason::Missed);
        watch.ears.hear(Err(notify::Error::generic("any")));
        assert_eq!(watch.changed().await.reason, Reason::Missed);
    });
}

/// Watches, and never tells anything.
struct Deaf;

impl inotify::Source for Deaf {
    fn add(&mut self, _: &Path) -> Result<(), WatchError> {
        Ok(())
    }

    fn remove(&mut self, _: &Path) {}
}

#[test]
fn a_recheck_finds_what_no_event_told() {
    let root = tempfile::tempdir().unwrap();
    let path = root.path().join("desired.yaml");
    let mut watch = Watch::build(&path, Some(|_| Ok(Box::new(Deaf))));
    paused().block_on(async {
        assert_eq!(watch.changed().await.reason, Reason::Started);
        fs::write(&path, "a").unwrap();
        assert!(timeout(Duration::from_secs(60), watch.changed()).await.is_err());
        watch.recheck();
        assert_eq!(watch.changed().await.reason, Reason::Found);
        watch.recheck();
        assert!(timeout(Duration::from_secs(60), watch.changed()).await.is_err());
    });
}

#[test]
fn a_reading_is_confirmed_by_hearing_an_opening_of_our_own() {
    let root = tempfile::tempdir().unwrap();
    let path = root.path().join("desired.yaml");
    fs::write(&path, "a").unwrap();
    let mut watch = Watch::new(&path);
    Builder::new_current_thread().enable_time().build().unwrap().block_on(async {
        let look = watch.changed().await;
        let before = watch.ears.heard().openings;
        assert!(watch.confirms(&look).await);
        assert!(watch.ears.heard().openings > before);
    });
}

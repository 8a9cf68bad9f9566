//! Tests failures of inotify that real files cannot cause.

use super::*;

use std::sync::atomic::{AtomicUsize, Ordering};

use tokio::runtime::{Builder, Runtime};

/// The clock advances only while all tasks sleep.
fn paused() -> Runtime {
    Builder::new_current_thread().enable_time().start_paused(true).build().unwrap()
}

#[test]
fn without_an_inotify_instance_the_file_is_polled_and_the_mode_tells_why() {
    let root = tempfile::tempdir().unwrap();
    let path = root.path().join("desired.yaml");
    let mut watch =
        Watch::build(&path, Some(|_| Err(WatchError::Inotify(None, notify::Error::generic("no instances")))));
    assert_eq!(watch.mode(), Mode::Polling { why: "no instances".to_owned() });
    paused().block_on(async {
        assert_eq!(watch.changed().await.reason, ReadReason::Started);
        fs::write(&path, "a").unwrap();
        // Rechecks try inotify again, and do not disturb the polling.
        for _ in 0..10 {
            watch.recheck();
        }
        let request = watch.changed().await;
        assert_eq!((request.reason, watch.confirms(&request).await), (ReadReason::Found, true));
    });
}

/// How many directories may still be watched.
static WATCHES_LEFT: AtomicUsize = AtomicUsize::new(1);

struct Limited;

impl inotify::DirectoryWatcher for Limited {
    fn add(&mut self, _: &Path) -> Result<(), WatchError> {
        let take = |left: usize| left.checked_sub(1);
        let taken = WATCHES_LEFT.fetch_update(Ordering::Relaxed, Ordering::Relaxed, take);
        taken.map(drop).map_err(|_| WatchError::Inotify(None, notify::Error::generic("no watches")))
    }

    fn remove(&mut self, _: &Path) {}
}

#[test]
fn when_watches_run_out_the_file_is_polled_until_there_are_some_again() {
    let root = tempfile::tempdir().unwrap();
    let path = root.path().join("lbd/desired.yaml");
    let mut watch = Watch::build(&path, Some(|_| Ok(Box::new(Limited))));
    paused().block_on(async {
        assert_eq!((watch.changed().await.reason, watch.mode()), (ReadReason::Started, Mode::Inotify));
        fs::create_dir(root.path().join("lbd")).unwrap();
        watch.sink.feed(FileEvent::Modified);
        watch.sink.state().path_changed = true;
        let polling = Mode::Polling { why: "no watches".to_owned() };
        assert_eq!((watch.changed().await.reason, watch.mode()), (ReadReason::Missed, polling));
        WATCHES_LEFT.store(10, Ordering::Relaxed);
        watch.recheck();
        assert_eq!((watch.changed().await.reason, watch.mode()), (ReadReason::Found, Mode::Inotify));
    });
}

#[test]
fn after_an_overflow_of_the_kernels_queue_the_file_is_read() {
    let root = tempfile::tempdir().unwrap();
    let mut watch = Watch::new(&root.path().join("desired.yaml"));
    paused().block_on(async {
        assert_eq!(watch.changed().await.reason, ReadReason::Started);
        watch.sink.feed(FileEvent::Modified);
        let overflow = notify::Event::new(notify::EventKind::Other).set_flag(notify::event::Flag::Rescan);
        watch.sink.receive(Ok(overflow));
        assert_eq!(watch.changed().await.reason, ReadReason::Missed);
        watch.sink.receive(Err(notify::Error::generic("any")));
        assert_eq!(watch.changed().await.reason, ReadReason::Missed);
    });
}

/// Watches, and never reports an event.
struct Silent;

impl inotify::DirectoryWatcher for Silent {
    fn add(&mut self, _: &Path) -> Result<(), WatchError> {
        Ok(())
    }

    fn remove(&mut self, _: &Path) {}
}

#[test]
fn a_recheck_finds_a_change_without_an_event() {
    let root = tempfile::tempdir().unwrap();
    let path = root.path().join("desired.yaml");
    let mut watch = Watch::build(&path, Some(|_| Ok(Box::new(Silent))));
    paused().block_on(async {
        assert_eq!(watch.changed().await.reason, ReadReason::Started);
        fs::write(&path, "a").unwrap();
        assert!(timeout(Duration::from_secs(60), watch.changed()).await.is_err());
        watch.recheck();
        assert_eq!(watch.changed().await.reason, ReadReason::Found);
        watch.recheck();
        assert!(timeout(Duration::from_secs(60), watch.changed()).await.is_err());
    });
}

#[test]
fn a_reading_is_confirmed_by_the_event_of_an_opening_of_our_own() {
    let root = tempfile::tempdir().unwrap();
    let path = root.path().join("desired.yaml");
    fs::write(&path, "a").unwrap();
    let mut watch = Watch::new(&path);
    Builder::new_current_thread().enable_time().build().unwrap().block_on(async {
        let request = watch.changed().await;
        let before = watch.sink.state().openings;
        assert!(watch.confirms(&request).await);
        assert!(watch.sink.state().openings > before);
    });
}

//! Every way in which people and programs change a file, and what a daemon that watches it reads, and when.

#![allow(clippy::unwrap_used, clippy::expect_used)] // a surprise ends the test

use std::fs::{self, File, OpenOptions};
use std::io::Write;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::mpsc::{Receiver, RecvTimeoutError, channel};
use std::thread;
use std::time::Duration;

use lbd::watch::{Mode, ReadReason, Watch};
use tempfile::TempDir;
use tokio::sync::oneshot;

/// What a daemon took for the content of the file: `None` is a missing file.
type Reading = Option<String>;

/// A daemon of which only the watching is left, in a thread of its own.
struct Daemon {
    readings: Receiver<(ReadReason, Reading)>,
    stop: Option<oneshot::Sender<()>>,
    thread: Option<thread::JoinHandle<()>>,
}

impl Daemon {
    /// Starts it; the first reading, the one of the start, is checked and taken.
    fn start(path: &Path, first: Option<&str>) -> Self {
        let daemon = Self::start_with(path, Duration::from_secs(3600));
        assert_eq!(daemon.next(), (ReadReason::Started, first.map(str::to_owned)));
        daemon
    }

    fn start_with(path: &Path, resync: Duration) -> Self {
        let path = path.to_owned();
        let (send, readings) = channel();
        let (stop, mut stopped) = oneshot::channel();
        let run = move || {
            tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap().block_on(async {
                let mut watch = Watch::new(&path);
                assert_eq!(watch.mode(), Mode::Inotify);
                let mut resync = tokio::time::interval(resync);
                resync.reset();
                loop {
                    tokio::select! {
                        _ = &mut stopped => return,
                        _ = resync.tick() => watch.recheck(),
                        look = watch.changed() => {
                            let reading = fs::read_to_string(&path).ok();
                            if watch.confirms(&look).await && send.send((look.reason, reading)).is_err() {
                                return;
                            }
                        }
                    }
                }
            });
        };
        Self { readings, stop: Some(stop), thread: Some(thread::spawn(run)) }
    }

    /// The next reading. How soon it is due is tested on virtual time, in `src/watch/debounce.rs`: this machine may be busy.
    fn next(&self) -> (ReadReason, Reading) {
        self.readings.recv_timeout(Duration::from_secs(30)).expect("no reading in half a minute")
    }

    /// The next reading must be this one.
    fn reads(&self, reason: ReadReason, content: &str) {
        assert_eq!(self.next(), (reason, Some(content.to_owned())));
        self.is_quiet(300);
    }

    /// The next reading must be of a missing file.
    fn misses(&self, reason: ReadReason) {
        assert_eq!(self.next(), (reason, None));
        self.is_quiet(300);
    }

    /// Nothing must be read for so long.
    fn is_quiet(&self, milliseconds: u64) {
        let next = self.readings.recv_timeout(Duration::from_millis(milliseconds));
        assert_eq!(next, Err(RecvTimeoutError::Timeout), "in {milliseconds} ms of quiet");
    }

    /// Everything that is read until it is quiet.
    fn drain(&self) -> Vec<(ReadReason, Reading)> {
        let mut readings = vec![self.next()];
        while let Ok(next) = self.readings.recv_timeout(Duration::from_millis(600)) {
            readings.push(next);
        }
        readings
    }
}

impl Drop for Daemon {
    fn drop(&mut self) {
        drop(self.stop.take());
        let ended = self.thread.take().unwrap().join();
        assert!(ended.is_ok() || thread::panicking(), "the daemon panicked");
    }
}

/// A directory with the file in it, and a daemon that has read it.
fn watched(content: &str) -> (TempDir, PathBuf, Daemon) {
    let root = tempfile::tempdir().unwrap();
    let path = root.path().join("desired.yaml");
    fs::write(&path, content).unwrap();
    let daemon = Daemon::start(&path, Some(content));
    (root, path, daemon)
}

/// A writer that has the file open, as a shell's `>` does.
fn truncated(path: &Path) -> File {
    OpenOptions::new().write(true).truncate(true).create(true).open(path).unwrap()
}

fn sleep(milliseconds: u64) {
    thread::sleep(Duration::from_millis(milliseconds));
}

#[test]
fn an_editor_renames_a_new_file_onto_it() {
    let (root, path, daemon) = watched("a");
    fs::write(root.path().join(".desired.yaml.swp"), "b").unwrap();
    daemon.is_quiet(200);
    fs::rename(root.path().join(".desired.yaml.swp"), &path).unwrap();
    daemon.reads(ReadReason::Replaced, "b");
}

#[test]
fn an_editor_renames_the_old_one_away_and_writes_a_new_one() {
    let (_root, path, daemon) = watched("a");
    fs::rename(&path, path.with_extension("yaml~")).unwrap();
    fs::write(&path, "b").unwrap();
    daemon.reads(ReadReason::Written, "b");
}

#[test]
fn it_is_written_in_place_and_copied_over() {
    let (root, path, daemon) = watched("a");
    fs::write(&path, "b").unwrap();
    daemon.reads(ReadReason::Written, "b");
    fs::write(root.path().join("source"), "c").unwrap();
    for arguments in [["-f", "--"], ["--remove-destination", "--"]] {
        let status =
            Command::new("cp").args(arguments).arg(root.path().join("source")).arg(&path).status().unwrap();
        assert!(status.success());
        daemon.reads(ReadReason::Written, "c");
    }
}

#[test]
fn a_writer_that_pauses_in_the_middle_is_waited_for() {
    let (_root, path, daemon) = watched("clusters: [a, b]\n");
    let mut writer = truncated(&path);
    daemon.is_quiet(700);
    writer.write_all(b"clusters: []\n").unwrap(); // valid by itself, and deletes everything
    daemon.is_quiet(2000);
    writer.write_all(b"# and more\n").unwrap();
    daemon.is_quiet(300);
    drop(writer);
    daemon.reads(ReadReason::Written, "clusters: []\n# and more\n");
}

#[test]
fn a_file_that_is_created_and_written_slowly_is_waited_for() {
    let root = tempfile::tempdir().unwrap();
    let path = root.path().join("desired.yaml");
    let daemon = Daemon::start(&path, None);
    let mut writer = truncated(&path);
    daemon.is_quiet(700);
    writer.write_all(b"a").unwrap();
    daemon.is_quiet(700);
    drop(writer);
    daemon.reads(ReadReason::Written, "a");
}

#[test]
fn neither_a_resync_nor_somebody_who_asks_makes_a_half_file_read() {
    let root = tempfile::tempdir().unwrap();
    let path = root.path().join("desired.yaml");
    fs::write(&path, "whole").unwrap();
    let daemon = Daemon::start_with(&path, Duration::from_millis(50));
    assert_eq!(daemon.next().1.as_deref(), Some("whole"));
    let mut writer = truncated(&path);
    writer.write_all(b"half").unwrap();
    fs::set_permissions(&path, fs::Permissions::from_mode(0o600)).unwrap();
    daemon.is_quiet(1000);
    drop(writer);
    daemon.reads(ReadReason::Written, "half");
}

#[test]
fn two_writers_are_both_waited_for() {
    let (_root, path, daemon) = watched("0");
    let mut first = truncated(&path);
    first.write_all(b"first").unwrap();
    let mut second = OpenOptions::new().append(true).open(&path).unwrap();
    second.write_all(b" second").unwrap();
    drop(second);
    // Before the first one's close could count as the end, he goes on.
    first.write_all(b"FIRST").unwrap();
    daemon.is_quiet(700);
    drop(first);
    let expected = fs::read_to_string(&path).unwrap();
    daemon.reads(ReadReason::Written, &expected);
}

#[test]
fn a_reading_during_which_a_writer_begins_does_not_count() {
    let root = tempfile::tempdir().unwrap();
    let path = root.path().join("desired.yaml");
    fs::write(&path, "a").unwrap();
    tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap().block_on(async {
        let mut watch = Watch::new(&path);
        let look = watch.changed().await;
        assert!(watch.confirms(&look).await);
        // Again and again, since what is tested is a race with the thread that brings the events.
        for round in 0..20 {
            watch.request_read();
            let look = watch.changed().await;
            assert_eq!(look.reason, ReadReason::Requested);
            let mut writer = OpenOptions::new().write(true).open(&path).unwrap();
            writer.write_all(b"b").unwrap();
            assert!(!watch.confirms(&look).await, "round {round}");
            let early = tokio::time::timeout(Duration::from_millis(100), watch.changed()).await;
            assert!(early.is_err(), "round {round}: {early:?}");
            assert!(watch.written_since().is_some());
            drop(writer);
            let look = watch.changed().await;
            assert!(watch.confirms(&look).await, "round {round}");
        }
    });
}

#[test]
fn a_writer_of_the_file_that_was_replaced_holds_nothing_up() {
    let (root, path, daemon) = watched("a");
    let mut old = OpenOptions::new().append(true).open(&path).unwrap();
    fs::write(root.path().join("new"), "b").unwrap();
    fs::rename(root.path().join("new"), &path).unwrap();
    daemon.reads(ReadReason::Replaced, "b");
    old.write_all(b"into nowhere").unwrap();
    // Told from a writer of the new file by that one's being untouched: so it must be, when the event arrives.
    sleep(200);
    fs::set_permissions(&path, fs::Permissions::from_mode(0o640)).unwrap();
    daemon.reads(ReadReason::Attributes, "b");
}

#[test]
fn a_mounted_config_map_is_swapped() {
    let root = tempfile::tempdir().unwrap();
    let map = root.path();
    let path = map.join("desired.yaml");
    let publish = |version: &str| {
        let directory = map.join(format!("..{version}"));
        fs::create_dir(&directory).unwrap();
        fs::write(directory.join("desired.yaml"), version).unwrap();
        symlink(format!("..{version}"), map.join("..data_tmp")).unwrap();
        fs::rename(map.join("..data_tmp"), map.join("..data")).unwrap();
    };
    publish("1");
    symlink("..data/desired.yaml", &path).unwrap();
    let daemon = Daemon::start(&path, Some("1"));
    for version in ["2", "3"] {
        let old = fs::read_link(map.join("..data")).unwrap();
        publish(version);
        fs::remove_dir_all(map.join(old)).unwrap();
        // The reason is the last that was heard of: the way's turning, or the end of the old file.
        assert_eq!(daemon.next().1.as_deref(), Some(version));
        daemon.is_quiet(300);
    }
    fs::write(map.join("..3/desired.yaml"), "in place").unwrap();
    daemon.reads(ReadReason::Written, "in place");
}

#[test]
fn the_file_that_a_symlink_elsewhere_leads_to_is_rewritten_and_the_symlink_turned() {
    let (root, elsewhere) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let (path, target) = (root.path().join("desired.yaml"), elsewhere.path().join("lbd.yaml"));
    fs::write(&target, "a").unwrap();
    symlink(&target, &path).unwrap();
    let daemon = Daemon::start(&path, Some("a"));
    fs::write(&target, "b").unwrap();
    daemon.reads(ReadReason::Written, "b");
    fs::write(elsewhere.path().join("new"), "c").unwrap();
    fs::rename(elsewhere.path().join("new"), &target).unwrap();
    daemon.reads(ReadReason::Replaced, "c");
    fs::write(elsewhere.path().join("other.yaml"), "d").unwrap();
    symlink(elsewhere.path().join("other.yaml"), root.path().join("new")).unwrap();
    fs::rename(root.path().join("new"), &path).unwrap();
    daemon.reads(ReadReason::PathChanged, "d");
    fs::write(&target, "nobody's any more").unwrap();
    daemon.is_quiet(300);
    fs::remove_file(elsewhere.path().join("other.yaml")).unwrap();
    daemon.misses(ReadReason::Removed);
    fs::write(elsewhere.path().join("other.yaml"), "e").unwrap();
    daemon.reads(ReadReason::Written, "e");
}

#[test]
fn it_is_deleted_and_created_again() {
    let (_root, path, daemon) = watched("a");
    fs::remove_file(&path).unwrap();
    daemon.misses(ReadReason::Removed);
    fs::write(&path, "b").unwrap();
    daemon.reads(ReadReason::Written, "b");
    fs::remove_file(&path).unwrap();
    fs::write(&path, "c").unwrap();
    daemon.reads(ReadReason::Written, "c");
}

#[test]
fn its_directory_appears_late() {
    let root = tempfile::tempdir().unwrap();
    let path = root.path().join("etc/lbd/desired.yaml");
    let daemon = Daemon::start(&path, None);
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    fs::write(&path, "a").unwrap();
    assert_eq!(daemon.drain().pop().unwrap().1.as_deref(), Some("a"));
    fs::write(&path, "b").unwrap();
    daemon.reads(ReadReason::Written, "b");
}

#[test]
fn its_directory_appears_late_and_the_writer_is_slow() {
    let root = tempfile::tempdir().unwrap();
    let path = root.path().join("lbd/desired.yaml");
    let daemon = Daemon::start(&path, None);
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    daemon.misses(ReadReason::PathChanged);
    let mut writer = truncated(&path);
    writer.write_all(b"a").unwrap();
    daemon.is_quiet(700);
    writer.write_all(b"b").unwrap();
    drop(writer);
    daemon.reads(ReadReason::Written, "ab");
}

#[test]
fn its_directory_is_removed_renamed_and_made_again() {
    let root = tempfile::tempdir().unwrap();
    let path = root.path().join("lbd/desired.yaml");
    let directory = path.parent().unwrap();
    let fill = |content: &str| {
        fs::create_dir(directory).unwrap();
        fs::write(&path, content).unwrap();
    };
    fill("a");
    let daemon = Daemon::start(&path, Some("a"));
    for content in ["b", "c"] {
        fs::remove_dir_all(directory).unwrap();
        assert_eq!(daemon.drain().pop().unwrap().1, None);
        fill(content);
        assert_eq!(daemon.drain().pop().unwrap().1.as_deref(), Some(content));
    }
    // All at once.
    fs::remove_dir_all(directory).unwrap();
    fill("d");
    assert_eq!(daemon.drain().pop().unwrap().1.as_deref(), Some("d"));
    // Another directory in its place.
    fs::create_dir(root.path().join("new")).unwrap();
    fs::write(root.path().join("new/desired.yaml"), "e").unwrap();
    fs::rename(directory, root.path().join("old")).unwrap();
    fs::rename(root.path().join("new"), directory).unwrap();
    assert_eq!(daemon.drain().pop().unwrap().1.as_deref(), Some("e"));
    fs::write(root.path().join("old/desired.yaml"), "nobody's any more").unwrap();
    daemon.is_quiet(300);
    fs::write(&path, "f").unwrap();
    daemon.reads(ReadReason::Written, "f");
}

#[test]
fn a_hard_link_is_whole_at_once() {
    let (root, path, daemon) = watched("a");
    fs::remove_file(&path).unwrap();
    daemon.misses(ReadReason::Removed);
    fs::write(root.path().join("other"), "b").unwrap();
    fs::hard_link(root.path().join("other"), &path).unwrap();
    daemon.reads(ReadReason::Replaced, "b");
    fs::remove_file(&path).unwrap();
    fs::hard_link(root.path().join("other"), &path).unwrap();
    fs::remove_file(root.path().join("other")).unwrap();
    daemon.reads(ReadReason::Replaced, "b");
}

#[test]
fn touching_it_and_changing_its_mode_are_looked_at() {
    let (_root, path, daemon) = watched("a");
    assert!(Command::new("touch").arg(&path).status().unwrap().success());
    daemon.reads(ReadReason::Written, "a");
    fs::set_permissions(&path, fs::Permissions::from_mode(0o600)).unwrap();
    daemon.reads(ReadReason::Attributes, "a");
}

#[test]
fn of_many_quick_rewrites_a_few_are_read_and_the_last_one_surely() {
    let (root, path, daemon) = watched("a");
    for n in 0..200 {
        if n % 2 == 0 {
            fs::write(&path, format!("{n}")).unwrap();
        } else {
            fs::write(root.path().join("new"), format!("{n}")).unwrap();
            fs::rename(root.path().join("new"), &path).unwrap();
        }
        sleep(5);
    }
    let readings = daemon.drain();
    assert_eq!(readings.last().unwrap().1.as_deref(), Some("199"), "{readings:?}");
    // How few is tested on virtual time.
    assert!(readings.len() < 100, "{readings:?}");
}

#[test]
fn reading_it_and_changing_its_neighbours_wakes_nobody() {
    let (root, path, daemon) = watched("a");
    for n in 0..5 {
        fs::read(&path).unwrap();
        fs::write(root.path().join(format!("{n}")), "x").unwrap();
    }
    fs::remove_file(root.path().join("0")).unwrap();
    daemon.is_quiet(500);
}

#[test]
fn the_times_of_the_file_are_polled_where_it_cannot_be_watched() {
    let root = tempfile::tempdir().unwrap();
    let path = root.path().join("desired.yaml");
    fs::write(&path, "a").unwrap();
    let runtime =
        tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build().unwrap();
    runtime.block_on(async {
        let mut watch = Watch::polling(&path);
        assert!(matches!(watch.mode(), Mode::Polling { .. }));
        let look = watch.changed().await;
        assert_eq!(look.reason, ReadReason::Started);
        assert!(watch.confirms(&look).await);
        assert!(tokio::time::timeout(Duration::from_secs(60), watch.changed()).await.is_err());
        fs::write(&path, "bc").unwrap();
        let begun = tokio::time::Instant::now();
        let look = watch.changed().await;
        assert_eq!(look.reason, ReadReason::Found);
        assert!((2000..=4010).contains(&begun.elapsed().as_millis()), "{:?}", begun.elapsed());
        // Two readings: one during which it changes does not count.
        fs::write(&path, "def").unwrap();
        assert!(!watch.confirms(&look).await);
        assert_eq!(watch.changed().await.reason, ReadReason::Found);
        fs::remove_file(&path).unwrap();
        let look = watch.changed().await;
        assert!(watch.confirms(&look).await);
        assert!(tokio::time::timeout(Duration::from_secs(60), watch.changed()).await.is_err());
    });
}

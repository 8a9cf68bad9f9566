//! How the files change that a desired file includes, and when a daemon that watches them reads all of them.

#![allow(clippy::unwrap_used, clippy::expect_used)] // a surprise ends the test

use std::fs::{self, OpenOptions};
use std::io::Write;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::time::Duration;

use lbd::config;
use lbd::watch::{Mode, Watch};
use tempfile::TempDir;
use tokio::time::timeout;

const MAIN: &str = "version: 1\ninclude: ['clusters.d/*.yaml', 'teams/*/lbd.yaml', one.yaml]\nclusters: []\n";

/// A watch over a main file and what it includes, as the daemon's thread has it.
struct Watched {
    root: TempDir,
    watch: Watch,
}

impl Watched {
    fn path(&self, name: &str) -> PathBuf {
        self.root.path().join(name)
    }

    fn write(&self, name: &str, text: &str) {
        write(self.root.path(), name, text);
    }

    /// The next reading that counts: the files with their texts, but for the main one.
    async fn next(&mut self) -> Vec<(String, String)> {
        let main = self.path("desired.yaml");
        timeout(Duration::from_secs(30), async {
            loop {
                let request = self.watch.changed().await;
                let read = config::read_closed(&main);
                if let Ok(source) = &read {
                    self.watch.set_beside(config::includes(config::main_text(&source.text)));
                }
                if !self.watch.confirms(&request).await {
                    continue;
                }
                let text = read.unwrap().text;
                let parts = config::parts(&text).unwrap_or_default();
                return parts
                    .iter()
                    .skip(1)
                    .map(|part| (part.name.to_owned(), part.text.to_owned()))
                    .collect();
            }
        })
        .await
        .expect("no reading in half a minute")
    }

    async fn reads(&mut self, expected: &[(&str, &str)]) {
        let read = self.next().await;
        let read: Vec<(&str, &str)> =
            read.iter().map(|(name, text)| (name.as_str(), text.as_str())).collect();
        assert_eq!(read, expected);
    }

    /// Nothing is to be read for a while.
    async fn is_quiet(&mut self) {
        let quiet = timeout(Duration::from_millis(150), self.watch.changed()).await;
        assert!(quiet.is_err(), "{quiet:?}");
    }
}

fn write(root: &Path, name: &str, text: &str) {
    let path = root.join(name);
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    fs::write(path, text).unwrap();
}

fn run(test: impl AsyncFnOnce(Watched)) {
    let root = tempfile::tempdir().unwrap();
    write(root.path(), "desired.yaml", MAIN);
    write(root.path(), "one.yaml", "1");
    let watch = Watch::new(&root.path().join("desired.yaml"));
    assert_eq!(watch.mode(), Mode::Inotify);
    tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap().block_on(async {
        let mut watched = Watched { root, watch };
        watched.reads(&[("one.yaml", "1")]).await;
        test(watched).await;
    });
}

#[test]
fn files_that_are_added_changed_and_removed_are_read() {
    run(async |mut watched| {
        watched.write("clusters.d/a.yaml", "a");
        watched.reads(&[("clusters.d/a.yaml", "a"), ("one.yaml", "1")]).await;
        watched.write("clusters.d/a.yaml", "b");
        watched.reads(&[("clusters.d/a.yaml", "b"), ("one.yaml", "1")]).await;
        watched.write("clusters.d/.a.yaml.swp", "c");
        watched.write("clusters.d/a.yaml~", "c");
        watched.is_quiet().await;
        fs::rename(watched.path("clusters.d/.a.yaml.swp"), watched.path("clusters.d/b.yaml")).unwrap();
        watched.reads(&[("clusters.d/a.yaml", "b"), ("clusters.d/b.yaml", "c"), ("one.yaml", "1")]).await;
        fs::remove_file(watched.path("clusters.d/a.yaml")).unwrap();
        watched.reads(&[("clusters.d/b.yaml", "c"), ("one.yaml", "1")]).await;
        watched.write("teams/x/lbd.yaml", "x");
        watched.reads(&[("clusters.d/b.yaml", "c"), ("one.yaml", "1"), ("teams/x/lbd.yaml", "x")]).await;
        fs::rename(watched.path("clusters.d"), watched.path("old.d")).unwrap();
        watched.reads(&[("one.yaml", "1"), ("teams/x/lbd.yaml", "x")]).await;
        // The main file includes less.
        watched.write("desired.yaml", "version: 1\nclusters: []\n");
        watched.reads(&[]).await;
        watched.write("one.yaml", "2");
        watched.is_quiet().await;
    });
}

#[test]
fn no_file_is_read_while_another_is_half_written() {
    run(async |mut watched| {
        watched.write("clusters.d/a.yaml", "a");
        watched.reads(&[("clusters.d/a.yaml", "a"), ("one.yaml", "1")]).await;
        let mut half = OpenOptions::new().write(true).truncate(true).open(watched.path("one.yaml")).unwrap();
        half.write_all(b"ha").unwrap();
        watched.write("clusters.d/a.yaml", "b");
        watched.is_quiet().await;
        assert!(watched.watch.written_since().is_some());
        half.write_all(b"lf").unwrap();
        drop(half);
        watched.reads(&[("clusters.d/a.yaml", "b"), ("one.yaml", "half")]).await;
    });
}

#[test]
fn a_directory_of_fragments_that_a_symlink_swaps_is_read() {
    run(async |mut watched| {
        watched.write("v1/a.yaml", "1");
        watched.write("v2/a.yaml", "2");
        symlink("v1", watched.path("clusters.d")).unwrap();
        watched.reads(&[("clusters.d/a.yaml", "1"), ("one.yaml", "1")]).await;
        symlink("v2", watched.path("new")).unwrap();
        fs::rename(watched.path("new"), watched.path("clusters.d")).unwrap();
        watched.reads(&[("clusters.d/a.yaml", "2"), ("one.yaml", "1")]).await;
        // A fragment that is a symlink itself.
        watched.write("elsewhere/b.yaml", "b");
        symlink("../elsewhere/b.yaml", watched.path("v2/b.yaml")).unwrap();
        watched.reads(&[("clusters.d/a.yaml", "2"), ("clusters.d/b.yaml", "b"), ("one.yaml", "1")]).await;
        watched.write("elsewhere/b.yaml", "c");
        watched.reads(&[("clusters.d/a.yaml", "2"), ("clusters.d/b.yaml", "c"), ("one.yaml", "1")]).await;
    });
}

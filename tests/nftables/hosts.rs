//! Other hosts than the director: network namespaces with names, which are gone with the test.

#![allow(clippy::unwrap_used)]

use std::fs::File;
use std::process::Command;
use std::thread;

use nix::sched::{CloneFlags, setns};

/// Namespaces of these names, made by the test's own script.
pub(crate) struct Hosts(pub(crate) &'static [&'static str]);

impl Drop for Hosts {
    fn drop(&mut self) {
        for name in self.0 {
            let _ = Command::new("ip").args(["netns", "del", name]).status();
        }
    }
}

/// Does some work in a namespace. Sockets belong to where they were made.
pub(crate) fn at<T: Send + 'static>(name: &str, work: impl FnOnce() -> T + Send + 'static) -> T {
    let namespace = File::open(format!("/run/netns/{name}")).unwrap();
    let work = move || {
        setns(namespace, CloneFlags::CLONE_NEWNET).unwrap();
        work()
    };
    thread::spawn(work).join().unwrap()
}

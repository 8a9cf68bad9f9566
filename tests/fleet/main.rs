//! Tests of what a fleet shares, with a real etcd: Debian's packages etcd-server and etcd-client have to be installed.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

mod etcd;
mod server;

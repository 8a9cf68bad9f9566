//! Tests on the kernel that Debian boots on real machines, emulated: it has nftables for IP.

#[path = "../generate/mod.rs"]
mod generate;
#[path = "../lab/mod.rs"]
mod lab;

mod advice;
mod director;
mod drains;
mod hosts;
mod lab_itself;
mod stateful;
mod untracked;
mod words;

//! `lbd` keeps a Linux host's layer-4 load balancer (IPVS) equal to one file.
//!
//! # Glossary
//! - *virtual service*: what clients connect to, an address with a port or a firewall mark; *real server*: where IPVS sends them
//! - *desired*: the state that the file describes; *live*: the state of the kernel
//! - *plan*: the operations that turn live into desired; where it is empty, both are *in sync*
//! - *pass*: read, plan, execute, read again; *verified*: the second reading needed no operation
//! - *drift*: a difference that another program made; *foreign*: not managed by lbd, since the file never had it
//! - *guard*: the rule by which a change of the file that looks like an accident is *refused*
//! - *conflict*: another program keeps reverting an edit, which is then *deferred*, longer each time
//! - *blocked*: left out because its replacement was rejected; *awaiting link*: its interface is not there yet
//! - *condition*: what modifies the file for a while: a *pause*, an operator's *override*, a *trial* of another file, or a *drain*, by which a
//!   server that left the file keeps its connections; *target*: the file under its conditions
//! - *history*: the files that were verified, each with a number, and the events
//! - *record*: what lbd owns, kept in the state directory; *goal*: one revision of the desired file in the daemon
//!
//! Below are the rooms, in the order to read them; `docs/architecture.md` has the arrows between them, and which files a new attribute
//! or a new kind of resource touches.

/// What a director's state is, in plain data.
pub mod model;

/// Writes an error and its causes in one line.
pub mod error_chain;

/// Strings of others, made harmless to a terminal, a log, a script and a shell.
pub mod escape;

/// The desired file: its format, how it is read, and what is wrong with it.
pub mod config;

/// The command language of `ipvsadm`, read and written.
pub mod ipvsadm;

/// Converts the configurations of other programs into a desired file.
pub mod import;

/// The language of `nft`, read and written: lbd's own nftables table.
pub mod nft;

/// The kernel behind a door: what there is to read, what can be done to it, what its refusals mean.
pub mod kernel;

/// What the kernel's connections mean: which service each belongs to, and which of them are wanted.
pub mod connections;

/// The host around the load balancer: what of it a director depends on.
pub mod host;

/// Decides which edits turn one state into another. The heart; read it first.
pub mod plan;

/// Warnings: what a director needs and the file does not set.
pub mod advice;

/// Health checks: what is probed, what the results add up to, and the files that daemon and checker share.
pub mod health;

/// A stream of tokio for hyper, which both HTTP checks and the socket need.
pub mod http_stream;

/// The second process: it probes real servers, and has no power over the kernel.
pub mod checker;

/// Decides what the kernel should be right now: the desired file, modified for a while by conditions: pauses, overrides, trials and drains.
pub mod target;

/// Decides which virtual services lbd may touch.
pub mod ownership;

/// Refuses a change of the file that looks like an accident.
pub mod guard;

/// Opens and writes files that another user may have prepared.
pub mod files;

/// The history: which files were verified, by whom, and what happened.
pub mod history;

/// Records on disk what lbd owns, what was last verified, and the history.
pub mod store;

/// One pass: read, plan, execute, read again.
pub mod reconcile;

/// Watches the desired file and requests a reading when it was completely written.
pub mod watch;

/// What the daemon reports about itself: a document on disk, for `lbd status`.
pub mod status;

/// What monitoring reads: the numbers of the daemon, of the table and of the host, in the text formats of Prometheus.
pub mod metrics;

/// Keeps the kernel equal to the file: the loop of the daemon and its state machine.
pub mod daemon;

/// Notifies the service manager: ready, status, watchdog.
pub mod systemd;

/// Writes the log: to the journal with fields, or as lines.
pub mod logging;

/// Writes plans, results of passes and the daemon's state, as text and JSON.
pub mod report;

/// Serves the daemon's state on a Unix socket, to be read.
pub mod api;

/// Who of a fleet of directors takes which revision when: the strategy, what lies in etcd, and the decision of each director.
#[cfg(feature = "agent")]
pub mod fleet;

/// The agent of a director: fetches its desired file from git, etcd or a directory, and puts it into place.
#[cfg(feature = "agent")]
pub mod agent;

/// Shows the table with its rates on a terminal, again and again: `lbd top`.
pub mod top;

/// Shows the progress of a command on one line of a terminal.
pub mod progress;

/// Defines the commands and options.
pub mod cli;

/// Runs the commands, one file each.
pub mod commands;

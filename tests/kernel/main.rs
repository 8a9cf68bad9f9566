//! Tests on a real kernel with IPVS: one boot for all, and a network namespace for each.

#[path = "../generate/mod.rs"]
mod generate;
#[path = "../lab/mod.rs"]
mod lab;
#[path = "../running/mod.rs"]
mod running;
#[path = "../tables/mod.rs"]
mod tables;

mod advice;
mod attack;
mod checker;
mod cli;
mod daemon;
mod drains;
mod edit;
mod expect;
mod fake;
mod fake_settings;
mod filterless;
mod glance;
mod guards;
mod health;
mod history;
mod import;
mod include;
mod ipvs;
mod ipvsadm;
mod lab_itself;
mod loss;
mod modules;
mod operators;
mod overrides;
mod pause;
mod progress;
mod read;
mod real_checks;
mod repeat;
mod settings;
mod socket;
mod statistics;
mod strangers;
mod sync;
mod sync_alive;
mod trial;
mod undone;
mod warnings;

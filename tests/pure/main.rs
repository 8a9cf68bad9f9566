//! All that needs no kernel: the file, the plan, a pass and the daemon's loop on a fake kernel, the command line, the house.

#[path = "../generate/mod.rs"]
mod generate;
#[path = "../tables/mod.rs"]
mod tables;

mod daemon;
mod documents;
mod drains;
mod sealed;

mod agent;
mod bulk;
mod check;
mod checks;
mod cli;
mod conditions;
mod connections;
mod controller;
mod course;
mod escapes;
mod event_loop;
mod examination;
mod examples;
mod export;
mod generated;
mod guards;
mod health;
mod history;
mod house;
mod import;
mod include;
mod ipvsadm;
mod log;
mod man;
mod metrics;
mod nft_listings;
mod overrides;
mod pauses;
mod plan;
mod reconcile;
mod reconcile_settings;
mod record;
mod schema;
mod socket;
mod top;
mod trials;
mod typed;
mod validate_checks;
mod validation;
mod watch;
mod watch_beside;
mod wire;

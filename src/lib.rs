//! `lbd` keeps a Linux host's layer-4 load balancer (IPVS) equal to one file. The rooms, in the order to read them:

/// What a director's state is, in plain data.
pub mod model;

/// The desired file: its format, how it is read, and what is wrong with it.
pub mod config;

/// The kernel behind a door.
pub mod kernel;

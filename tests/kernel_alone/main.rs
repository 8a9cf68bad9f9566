//! Tests that each have a kernel with IPVS for themselves: they unload its module, or take it for minutes.

#[path = "../lab/mod.rs"]
mod lab;
#[path = "../running/mod.rs"]
mod running;
#[path = "../tables/mod.rs"]
mod tables;

mod faults;
mod faulty_wire;
mod kill;
mod module;
mod namespace;
mod traffic;

//! The program of a fleet.

fn main() {}

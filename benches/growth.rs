//! Measures how the time and the memory of a plan grow up to a million real servers on both sides, one percent changed.
//!
//! `cargo bench --bench growth`. Time is the least of several runs on one core; memory is what the process has resident.
//! The sizes take turns, so that each finds the processor's cache full of others, as a daemon does that plans once in a
//! while: run by itself, a size that fits into the cache would be quicker than its share, and growth look steeper.

#![allow(missing_docs)]
#![allow(clippy::print_stdout, clippy::unwrap_used)] // a program that prints a table, and no part of the product

mod table;

use std::hash::Hash;
use std::time::{Duration, Instant};

use lbd::plan::plan;
use table::Table;

/// How many services with ten servers each.
const SERVICES: [u32; 6] = [1_000, 3_000, 10_000, 30_000, 60_000, 100_000];
/// How many servers of a single service.
const SERVERS: [u32; 6] = SERVICES;
const RUNS: usize = 5;

fn main() {
    // A million servers first, while nothing has been freed that could hide what is needed.
    memory(Table::new(100_000, 10));
    println!();
    for (order, reversed) in [("both in one order", false), ("one in the reverse order of the other", true)] {
        let many = SERVICES.map(|services| Table::new(services, 10));
        grow(&format!("services with 10 servers each, {order}"), many, reversed);
        println!();
        let one = SERVERS.map(|servers| Table::new(1, servers * 10));
        grow(&format!("one service with all servers, {order}"), one, reversed);
        println!();
    }
}

/// Prints what the two states and the plan between them take.
fn memory(table: Table) {
    let start = resident("VmRSS");
    let live = table.state();
    let one = resident("VmRSS");
    let desired = table.state_with_changes();
    let both = resident("VmRSS");
    let found = plan(&live, &desired).len();
    let peak = resident("VmHWM");
    let each = |bytes: u64| bytes as f64 / f64::from(table.size());
    println!("memory at {table}, in bytes per real server ({found} operations):");
    println!("  live state {:.0}, desired state {:.0}", each(one - start), each(both - one));
    println!("  while planning, beyond both states {:.0}", each(peak.saturating_sub(both)));
    println!("  all, per server and side {:.0}", each(peak - start) / 2.0);
}

/// The same entries in the reverse order.
fn turned<K: Hash + Eq, V>(table: lbd::model::Table<K, V>) -> lbd::model::Table<K, V> {
    table.into_iter().rev().collect()
}

/// Prints the time at each size, and the exponent of its growth.
fn grow<const N: usize>(what: &str, tables: [Table; N], reversed: bool) {
    println!("planning, {what}, 1 % changed:");
    let states = tables.map(|table| {
        let (mut live, desired) = (table.state(), table.state_with_changes());
        if reversed {
            live.services = turned(live.services);
            for service in live.services.values_mut() {
                let servers = service.servers_mut();
                *servers = turned(std::mem::take(servers));
            }
        }
        (live, desired)
    });
    let mut least = [Duration::MAX; N];
    for _ in 0..RUNS {
        for ((live, desired), least) in states.iter().zip(&mut least) {
            *least = timed(|| plan(live, desired).len()).min(*least);
        }
    }
    let mut points = Vec::new();
    for (table, time) in tables.iter().zip(least) {
        let (servers, seconds) = (f64::from(table.size()), time.as_secs_f64());
        println!(
            "  {servers:>9} servers {:>9.2} ms {:>6.1} ns a server {:>6.2} ns a server and doubling (n log n)",
            seconds * 1e3,
            seconds * 1e9 / servers,
            seconds * 1e9 / (servers * servers.log2())
        );
        points.push((servers, seconds));
    }
    println!("  fit: time ~ servers^{:.2}; n log n would be ^{:.2} here", slope(&points), {
        let ideal: Vec<_> = points.iter().map(|(n, _)| (*n, n * n.log2())).collect();
        slope(&ideal)
    });
}

fn timed(run: impl FnOnce() -> usize) -> Duration {
    let begin = Instant::now();
    divan::black_box(run());
    begin.elapsed()
}

/// The exponent `b` of `y = a x^b` by least squares over the logarithms.
fn slope(points: &[(f64, f64)]) -> f64 {
    let logs: Vec<(f64, f64)> = points.iter().map(|(x, y)| (x.ln(), y.ln())).collect();
    let count = logs.len() as f64;
    let (mean_x, mean_y) = (
        logs.iter().map(|log| log.0).sum::<f64>() / count,
        logs.iter().map(|log| log.1).sum::<f64>() / count,
    );
    let covariance: f64 = logs.iter().map(|(x, y)| (x - mean_x) * (y - mean_y)).sum();
    covariance / logs.iter().map(|(x, _)| (x - mean_x).powi(2)).sum::<f64>()
}

/// A figure of `/proc/self/status` in bytes.
fn resident(field: &str) -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix(field)?.strip_prefix(':')).unwrap();
    line.trim().trim_end_matches(" kB").parse::<u64>().unwrap() * 1024
}

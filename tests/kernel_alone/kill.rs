//! `kill -9` at random moments of passes over a large table: every next pass converges.
//!
//! The full proof: `LBD_KILLS=200 LAB_TIMEOUT=600 cargo test --test kernel_alone kill:: -- --nocapture`.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

use std::fs;
use std::time::{Duration, Instant};

use crate::lab::Netns;
use crate::running::{Daemon, Table, printed, soon_by, table};
use lbd::store::Store;

/// How often it is killed, unless the environment's `LBD_KILLS` has another number.
const KILLS: u32 = 50;
const SERVICES: u16 = 300;
/// The file is the whole truth, and no guard stands in the way of large changes.
const POLICY: &str = "resync: 1h, max_delete: 100%, allow_empty: true";

const PATIENCE: Duration = Duration::from_secs(30);

/// The shortest sleep.
const LOOK: Duration = Duration::from_micros(100);

/// The table as the kernel prints it, as it is: quick to compare.
fn text() -> String {
    fs::read_to_string("/proc/thread-self/net/ip_vs").unwrap()
}

#[test]
fn killed_at_any_moment_the_next_pass_converges() {
    let net = Netns::new();
    let kills = std::env::var("LBD_KILLS").map_or(KILLS, |number| number.parse().unwrap());
    let seed = 20_240_607;
    let mut random = fastrand::Rng::with_seed(seed);
    net.sh("ipvsadm -A -t 10.9.9.9:80 -s rr; ipvsadm -a -t 10.9.9.9:80 -r 192.168.8.99 -m");
    let foreign = printed();
    let with_foreign = |services: &table::Services| -> Table {
        let mut all = table::printed(services);
        all.extend(foreign.clone());
        all
    };
    let change = |services: &table::Services| {
        fs::rename(net.write("new.yaml", &table::file(POLICY, services)), net.path("desired.yaml")).unwrap();
        Instant::now()
    };
    let converges = |wanted: &Table, daemon: &Daemon, kill: u32| {
        let took = soon_by(Duration::from_millis(25), PATIENCE, || printed() == *wanted);
        let now = printed();
        let wrong: Vec<_> =
            now.iter().filter(|(service, servers)| wanted.get(*service) != Some(*servers)).collect();
        let missing: Vec<_> = wanted.keys().filter(|service| !now.contains_key(*service)).collect();
        let log = daemon.log();
        let end: Vec<&str> = log.lines().rev().take(5).collect();
        assert!(
            took.is_some(),
            "after kill {kill}, seed {seed}: wrong {wrong:?}, missing {missing:?}, {end:#?}"
        );
        took.unwrap()
    };
    let mut services = table::random(&mut random, SERVICES);
    change(&services);
    let mut daemon = Daemon::start_idle(&net);
    converges(&with_foreign(&services), &daemon, 0);
    // How long a change takes, from the file's renaming on.
    services = table::random(&mut random, SERVICES);
    change(&services);
    let whole = converges(&with_foreign(&services), &daemon, 0);

    let (mut before, mut middle, mut after) = (0, 0, 0);
    let store = Store::new(&net.state_dir(), None).unwrap();
    for kill in 1..=kills {
        let old = with_foreign(&services);
        services = table::random(&mut random, SERVICES);
        let new = with_foreign(&services);
        let old_text = text();
        let changed = change(&services);
        if random.bool() {
            // Any moment, from the file's change to some time after the pass.
            let moment = whole.mul_f64(1.3 * random.f64());
            std::thread::sleep(moment.saturating_sub(changed.elapsed()));
        } else {
            // While the table is being changed: some looks after it was first seen to be another one.
            let begun = soon_by(LOOK, PATIENCE, || text() != old_text);
            assert!(begun.is_some(), "{}", daemon.log());
            for _ in 0..random.u8(..3) {
                std::thread::sleep(LOOK);
            }
        }
        daemon.kill();
        let left = printed();
        match () {
            () if left == old => before += 1,
            () if left == new => after += 1,
            () => middle += 1,
        }
        for (service, servers) in &foreign {
            assert_eq!(left.get(service), Some(servers), "somebody else's service, after kill {kill}");
        }
        store.load().unwrap();
        daemon = Daemon::start_idle(&net);
        converges(&new, &daemon, kill);
        if kill % 50 == 0 {
            let mut rules = table::rules(&services);
            rules.extend(
                ["-A -t 10.9.9.9:80 -s rr", "-a -t 10.9.9.9:80 -r 192.168.8.99:80 -m -w 1"]
                    .map(str::to_owned),
            );
            rules.sort();
            assert_eq!(net.ipvsadm_save(), rules);
        }
    }
    // Who finds the table right may be told to stop before it listens for that; who has changed it listens.
    services = table::random(&mut random, SERVICES);
    change(&services);
    converges(&with_foreign(&services), &daemon, kills);
    let stopped = daemon.stop();
    assert!(stopped.success(), "{stopped}");
    println!(
        "{kills} kills, seed {seed}: {before} before the table changed, {middle} in the middle, {after} after; each next \
         pass converged; a change of {SERVICES} services took {} ms",
        whole.as_millis()
    );
    assert!(middle >= kills / 10, "the kills missed the passes");
}

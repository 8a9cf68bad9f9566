//! A network namespace that is deleted and made again gets its inode number again; what lbd owned in the old one is not there.
//!
//! The numbers are everybody's, so this test has a kernel for itself: elsewhere another test's namespace would take the number.

#![allow(clippy::unwrap_used, clippy::panic)]

use std::time::Duration;

use crate::lab::{self, Netns};
use crate::running::soon_by;
use lbd::kernel::namespace;

/// A file with a service on each of these last bytes.
fn desired(net: &Netns, services: &[u8]) {
    let service = |number: &u8| {
        format!(
            " - {{ name: n{number}, listen: 'tcp://10.7.0.{number}:80', forward: dr, servers: [10.7.1.1] }}\n"
        )
    };
    let services: String = services.iter().map(service).collect();
    net.write("desired.yaml", &format!("version: 1\npolicy: {{ max_delete: 100% }}\nclusters:\n{services}"));
}

/// Makes the namespace `x`, and gives its inode number.
fn make(net: &Netns) -> String {
    net.sh("ip netns add x; ip netns exec x ip link set lo up; ip netns exec x stat -Lc %i /proc/self/ns/net")
}

#[track_caller]
fn applies(net: &Netns) {
    let lbd = lab::lbd();
    net.sh(&format!("ip netns exec x {lbd} -f desired.yaml --state-dir state apply 2>&1"));
}

// Another program's service was deleted as lbd's own.
#[test]
fn what_another_program_put_into_a_namespace_with_a_used_number_is_foreign() {
    let net = Netns::new();
    desired(&net, &[1, 2]);
    let first = make(&net);
    applies(&net);
    // The old one is cleared away in the background, and its number is free after that.
    let again = soon_by(Duration::from_millis(200), Duration::from_secs(30), || {
        net.sh("ip netns del x");
        std::thread::sleep(Duration::from_millis(300));
        make(&net) == first
    });
    assert!(again.is_some(), "the number {first} was not given again");
    net.sh("ip netns exec x ipvsadm -A -t 10.7.0.2:80 -s lc; ip netns exec x ipvsadm -a -t 10.7.0.2:80 -r 10.7.8.8 -m");
    desired(&net, &[1]);
    applies(&net);
    let table = net.sh("ip netns exec x ipvsadm -Sn");
    // A kernel before 5.14 has no more than the number.
    assert_eq!(table.contains("10.7.8.8"), namespace::cookie().is_some(), "{table}");
    // What lbd put there itself is its own.
    assert!(table.contains("10.7.1.1"), "{table}");
    net.sh("ip netns del x");
}

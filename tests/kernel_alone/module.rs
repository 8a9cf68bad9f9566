//! lbd and the kernel module ip_vs: loaded, loaded anew under lbd's feet, or not there.
//!
//! The module is everybody's, so these tests have a kernel each.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

use crate::lab::Netns;
use crate::tables::{additions, real, scheduling, server, service, services};
use lbd::kernel::ipvs::Ipvs;
use lbd::kernel::{Kernel, Look, Loss, ReadScope};
use lbd::model::{Forwarding, Operation, ServerOp};

/// A namespace in a kernel that nobody else needs.
fn alone() -> Netns {
    assert_ne!(std::env::var("LAB").as_deref(), Ok("host"), "this would take the host's IPVS away");
    Netns::new()
}

/// The namespaces of tests that have ended are cleared away in the background, and keep the module until then.
const UNLOAD: &str = "ipvsadm -C
    for wait in 1 2 3 4 5 6 7 8 9 10; do
        modprobe -r ip_vs_rr ip_vs 2>/dev/null
        [ -e /sys/module/ip_vs ] || exit 0
        sleep 0.2
    done
    exit 1";

#[test]
fn a_module_that_was_loaded_anew_is_found_again() {
    let net = alone();
    let mut kernel = Ipvs::connect().unwrap();
    let table =
        services([("tcp://10.0.0.1:80", scheduling("rr"), vec![("10.9.0.1:80", real(1, Forwarding::Nat))])]);
    for load in ["", "modprobe ip_vs"] {
        net.sh(UNLOAD);
        net.sh(load);
        // As it was planned before: the first is done now, to the second there is nothing any more.
        let mut operations = additions(&table);
        operations.push(Operation::Server(ServerOp::Delete {
            service: service("tcp://10.0.0.1:80"),
            server: server("10.9.0.2:80"),
        }));
        let refusals = kernel.execute(&operations).unwrap();
        let errnos: Vec<_> = refusals.into_iter().map(|(place, refusal)| (place, refusal.errno)).collect();
        assert_eq!(errnos, [(2, libc::ENOENT)]);
        assert_eq!(kernel.read(&ReadScope::default()).unwrap().state.services, table);

        net.sh(UNLOAD);
        net.sh(load);
        assert!(kernel.read(&ReadScope::default()).unwrap().state.services.is_empty());
    }
}

#[test]
fn a_module_that_was_unloaded_has_lost_every_service_and_its_references_show_ipv6_services() {
    let net = alone();
    let mut kernel = Ipvs::connect().unwrap();
    kernel.remember();
    let scope = ReadScope::default();
    for (services, load) in [
        ("ipvsadm -A -t 10.0.0.1:80 -s rr", ""),
        ("ipvsadm -A -t 10.0.0.1:80 -s rr; ipvsadm -A -t [fd00::1]:80 -s rr", "modprobe ip_vs"),
    ] {
        net.sh(services);
        let expected = kernel.read(&scope).unwrap().state.services;
        kernel.read_expecting(&scope, &expected).unwrap();
        let mut looks = |look| [(); 2].map(|()| kernel.find_loss(look).unwrap());
        assert_eq!(looks(Look::Numbers), [Loss::None; 2]);
        net.sh("ipvsadm -A -t 10.0.0.2:80 -s rr; ipvsadm -A -t [fd00::2]:80 -s rr");
        assert_eq!(looks(Look::Numbers), [Loss::Possible; 2]);
        assert_eq!(looks(Look::Lists), [Loss::None; 2]);
        assert_eq!(looks(Look::Numbers), [Loss::None; 2]);
        net.sh(UNLOAD);
        net.sh(load);
        assert_ne!(looks(Look::Numbers)[0], Loss::None, "{services}");
        assert_eq!(looks(Look::Lists), [Loss::Certain; 2], "{services}");
    }
}

#[test]
fn a_module_that_the_kernel_does_not_load_by_itself_is_loaded() {
    let net = alone();
    net.sh(UNLOAD);
    // As kernels before 5.16 are.
    net.sh("cat /proc/sys/kernel/modprobe > program; echo /bin/false > /proc/sys/kernel/modprobe");
    let connected = Ipvs::connect().map(drop);
    net.sh("cat program > /proc/sys/kernel/modprobe");
    connected.unwrap();
}

#[test]
fn a_kernel_without_the_module_is_told_from_one_without_services() {
    let net = alone();
    net.sh(UNLOAD);
    net.sh("mount --bind /bin/false /sbin/modprobe");
    let refused = Ipvs::connect().err().unwrap();
    net.sh("umount /sbin/modprobe");
    assert_eq!(
        refused.to_string(),
        "this kernel has no IPVS: the module ip_vs is neither built in nor can it be loaded; install the kernel's \
         modules, or load it by `modprobe ip_vs` before lbd starts"
    );
}

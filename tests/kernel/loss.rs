//! A look for lost services finds each service that is gone, and takes nothing else for one.

#![allow(clippy::unwrap_used)]

use crate::lab::Netns;
use crate::tables::service;
use lbd::kernel::director::Director;
use lbd::kernel::{Kernel, Look, Loss, ReadScope};
use lbd::model::{Operation, ServiceOp, Services};

/// One of each kind that is looked for in its own way, by the options of ipvsadm.
const SERVICES: [&str; 4] = ["-t 10.0.0.1:80", "-f 10", "-t [fd00::1]:80", "-f 10 -6"];

fn add(service: &str) -> String {
    format!("ipvsadm -A {service} -s rr\n")
}

/// A kernel that has read a table with these services of lbd's, and others.
fn has_read(net: &Netns) -> (Director, Services) {
    net.sh(&SERVICES.map(add).concat());
    net.sh("ipvsadm -a -t 10.0.0.1:80 -r 10.9.0.9 -m; ipvsadm -a -t [fd00::1]:80 -r [fd00::9]:80 -m");
    let mut kernel = Director::connect().unwrap();
    kernel.remember();
    let expected = kernel.read(&ReadScope::default()).unwrap().state.services;
    net.sh("ipvsadm -A -t 10.0.0.3:80; ipvsadm -A -t [fd00::3]:80");
    kernel.read_expecting(&ReadScope::default(), &expected).unwrap();
    (kernel, expected)
}

#[test]
fn each_service_that_is_gone_is_found_also_where_another_one_came_instead() {
    let net = Netns::new();
    let (mut kernel, expected) = has_read(&net);
    for service in SERVICES {
        net.sh(&format!("ipvsadm -D {service}"));
        // The first says where it is worth its cost to list them.
        assert_ne!(kernel.find_loss(Look::Numbers).unwrap(), Loss::None, "{service}");
        let of_same_kind =
            if service.contains("::") || service.contains("-6") { "[fd00::4]:80" } else { "10.0.0.4:80" };
        net.sh(&format!("ipvsadm -A -t {of_same_kind}"));
        // It stays found until the whole is read.
        for _ in 0..2 {
            assert_eq!(kernel.find_loss(Look::Lists).unwrap(), Loss::Certain, "{service}");
        }
        kernel.read_expecting(&ReadScope::default(), &expected).unwrap();
        assert_eq!(
            kernel.find_loss(Look::Lists).unwrap(),
            Loss::None,
            "what the last reading missed is no loss"
        );
        net.sh(&format!("ipvsadm -D -t {of_same_kind}\n{}", add(service)));
        kernel.read_expecting(&ReadScope::default(), &expected).unwrap();
    }
    net.sh("ipvsadm -C");
    assert_eq!(
        kernel.find_loss(Look::Numbers).unwrap(),
        Loss::Certain,
        "IPv6 services are requested one by one"
    );
    assert_eq!(kernel.find_loss(Look::Lists).unwrap(), Loss::Certain);
}

#[test]
fn what_else_changes_is_no_loss() {
    let net = Netns::new();
    let (mut kernel, expected) = has_read(&net);
    for change in [
        "true",
        "ipvsadm -A -t 10.0.0.4:80; ipvsadm -A -t [fd00::4]:80",
        "ipvsadm -D -t 10.0.0.3:80; ipvsadm -D -t [fd00::3]:80",
        "ipvsadm -d -t 10.0.0.1:80 -r 10.9.0.9; ipvsadm -E -f 10 -s wlc",
        "ipvsadm -e -t [fd00::1]:80 -r [fd00::9]:80 -m -w 9",
    ] {
        net.sh(change);
        assert_ne!(kernel.find_loss(Look::Numbers).unwrap(), Loss::Certain, "{change}");
        assert_eq!(kernel.find_loss(Look::Lists).unwrap(), Loss::None, "{change}");
    }
    // What lbd itself deletes is none, nor is anything before the first reading.
    let delete = Operation::Service(ServiceOp::Delete { service: service("tcp://10.0.0.1:80") });
    kernel.execute(&[delete]).unwrap();
    assert_eq!(kernel.find_loss(Look::Lists).unwrap(), Loss::None);
    kernel.read_expecting(&ReadScope::default(), &expected).unwrap();
    assert_eq!(kernel.find_loss(Look::Lists).unwrap(), Loss::None);
    assert_eq!(Director::connect().unwrap().find_loss(Look::Lists).unwrap(), Loss::None);
}

// The numbers are those of the whole kernel where IPv6 services are concerned: tests/kernel_alone/module.rs has one of its own.
#[test]
fn a_table_at_rest_needs_no_lists() {
    let net = Netns::new();
    net.sh(&add("-t 10.0.0.1:80"));
    let mut kernel = Director::connect().unwrap();
    kernel.remember();
    let expected = kernel.read(&ReadScope::default()).unwrap().state.services;
    kernel.read_expecting(&ReadScope::default(), &expected).unwrap();
    let looks = |kernel: &mut Director| [(); 2].map(|()| kernel.find_loss(Look::Numbers).unwrap());
    assert_eq!(looks(&mut kernel), [Loss::None; 2]);
    net.sh("ipvsadm -A -t 10.0.0.3:80");
    assert_eq!(looks(&mut kernel), [Loss::Possible; 2]);
    assert_eq!(kernel.find_loss(Look::Lists).unwrap(), Loss::None);
    assert_eq!(looks(&mut kernel), [Loss::None; 2], "the lists have explained it");
}

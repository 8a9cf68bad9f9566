//! lbd's own netlink client against a real kernel, judged by ipvsadm and by a client that shares no code with it.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

mod lab;
mod tables;

use lab::Netns;
use lbd::kernel::Kernel;
use lbd::kernel::ipvs::Ipvs;
use lbd::model::Operation;
use tables::{additions, everything};

#[track_caller]
fn execute(kernel: &mut Ipvs, operations: &[Operation]) {
    let results = kernel.execute(operations).unwrap();
    for (operation, result) in operations.iter().zip(&results) {
        assert_eq!(*result, Ok(()), "{operation}");
    }
    assert_eq!(results.len(), operations.len());
}

#[test]
fn every_attribute_is_read_back_as_it_was_written() {
    let _net = Netns::new();
    let mut kernel = Ipvs::connect().unwrap();
    let wanted = everything();
    execute(&mut kernel, &additions(&wanted));
    let live = kernel.read().unwrap();
    assert_eq!(live.state.services, wanted);
    for (key, service) in &wanted {
        let order: Vec<_> = live.state.services[key].servers.keys().collect();
        assert_eq!(order, service.servers.keys().collect::<Vec<_>>(), "the order in which they were added");
    }
    assert_eq!(kernel.traffic().writes, 16);
}

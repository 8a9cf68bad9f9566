//! Reading tables that are big, and tables that somebody else changes meanwhile.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use crate::lab::Netns;
use crate::tables::{additions, everything, execute, real, scheduling, server, service};
use lbd::kernel::ipvs::Ipvs;
use lbd::kernel::{Kernel, ReadScope};
use lbd::model::{
    Forwarding, Operation, ServerOp, Servers, ServiceKey, ServiceOp, Services, Tunnel, VirtualService,
};

/// 2,000 services on 250 addresses.
fn many_services() -> Services {
    (0..2000_u16)
        .map(|n| {
            let (address, port) = (n % 250, 1 + n / 250);
            let backend = format!("10.{}.{address}.1:80", 100 + port);
            let servers = [(server(&backend), real(1, Forwarding::Nat))];
            let key = service(&format!("tcp://10.0.1.{address}:{port}"));
            (key, VirtualService::new(scheduling("rr"), Servers::from_iter(servers)))
        })
        .collect()
}

/// One service with 5,000 servers.
fn many_servers() -> Services {
    let servers: Servers = (0..5000_u16)
        .map(|n| {
            (
                server(&format!("10.9.{}.{}:80", n / 250, 1 + n % 250)),
                real(u32::from(n % 10), Forwarding::Nat),
            )
        })
        .collect();
    [(service("fwmark://1"), VirtualService::new(scheduling("wlc"), servers))].into_iter().collect()
}

// A large table is held once, and never taken for what it is not.
#[test]
fn what_is_read_is_shared_with_what_was_expected_where_it_is_the_same() {
    let _net = Netns::new();
    let mut kernel = Ipvs::connect().unwrap();
    let wanted = everything();
    execute(&mut kernel, &additions(&wanted));
    let mut expected = wanted.clone();
    let is_other = service("tcp://10.0.0.1:80");
    let other = expected.get_mut(&is_other).unwrap();
    other.scheduling_mut().one_packet = true;
    other.servers_mut().values_mut().next().unwrap().weight += 1;
    let read = kernel.read_expecting(&ReadScope::default(), &expected).unwrap().state.services;
    assert_eq!(read, wanted);
    for (key, found) in &read {
        let VirtualService { scheduling, servers } = expected.get(key).unwrap();
        let is_shared = (Arc::ptr_eq(&found.scheduling, scheduling), Arc::ptr_eq(&found.servers, servers));
        let is_same = *key != is_other;
        assert_eq!(is_shared, (is_same, is_same), "{key}");
    }
}

#[test]
fn big_tables_are_whole() {
    let _net = Netns::new();
    let mut kernel = Ipvs::connect().unwrap();
    let mut wanted = many_services();
    wanted.extend(many_servers());
    let sends = kernel.traffic().sends;
    execute(&mut kernel, &additions(&wanted));
    // 4,000 operations in pairs, 320 a send; 5,001 that fit into no send.
    assert_eq!(kernel.traffic().sends - sends, 13 + 16);
    assert!(kernel.read(&ReadScope::default()).unwrap().state.services == wanted);
}

// A list that came in pieces is asked for again only where the old interface cannot tell that it is whole: two lists
// need several pieces, and at the second reading they hold something of IPv6 and something behind a tunnel.
#[test]
fn a_long_list_is_read_twice_only_where_nothing_else_confirms_it() {
    let _net = Netns::new();
    let mut kernel = Ipvs::connect().unwrap();
    let mut wanted = many_services();
    wanted.extend(many_servers());
    execute(&mut kernel, &additions(&wanted));
    // The list of services, the servers of each, the timeouts and the sync daemons.
    let once = wanted.len() as u64 + 3;
    // The fewest of several readings: a kernel from 7.1 on enlarges its table of services a moment after they were added,
    // and a list that it does this to is rightly read again.
    let mut questions = |wanted: &Services| {
        let mut asked = |_| {
            let before = kernel.traffic().messages;
            let live = kernel.read(&ReadScope::default()).unwrap();
            assert!(live.state.services == *wanted);
            kernel.traffic().messages - before
        };
        (0..5).map(&mut asked).min()
    };
    assert_eq!(questions(&wanted), Some(once));

    let tunnel = (server("10.99.0.1:0"), real(1, Forwarding::Tunnel(Tunnel::IPIP)));
    wanted.get_mut(&service("fwmark://1")).unwrap().servers_mut().extend([tunnel]);
    let v6 = VirtualService::new(scheduling("rr"), Servers::default());
    wanted.insert(service("tcp://[fd00::1]:80"), v6);
    let more = [
        Operation::Server(ServerOp::Add { service: service("fwmark://1"), server: tunnel.0, to: tunnel.1 }),
        Operation::Service(ServiceOp::Add {
            service: service("tcp://[fd00::1]:80"),
            to: scheduling("rr").into(),
        }),
    ];
    execute(&mut Ipvs::connect().unwrap(), &more);
    // Both lists once more; and of a service without servers it is asked whether it is there, and then once more for them.
    assert_eq!(questions(&wanted), Some(once + 1 + 2 + 2));
}

/// Somebody else: until it is told to stop, 50 services with a server each, and 50 servers of another service, come and
/// go. Gives the number of times.
fn meddle(pool: ServiceKey, stop: &AtomicBool) -> u64 {
    let mut kernel = Ipvs::connect().unwrap();
    let one = real(1, Forwarding::Nat);
    let (mut come, mut go) = (Vec::new(), Vec::new());
    for n in 1..=50 {
        let (service, server) = (service(&format!("udp://10.0.1.{n}:53")), server(&format!("10.8.0.{n}:80")));
        come.extend([
            Operation::Service(ServiceOp::Add { service, to: scheduling("rr").into() }),
            Operation::Server(ServerOp::Add { service, server, to: one }),
            Operation::Server(ServerOp::Add { service: pool, server, to: one }),
        ]);
        go.extend([
            Operation::Service(ServiceOp::Delete { service }),
            Operation::Server(ServerOp::Delete { service: pool, server }),
        ]);
    }
    let mut rounds = 0;
    while !stop.load(Ordering::Relaxed) {
        execute(&mut kernel, &come);
        std::thread::sleep(Duration::from_millis(2));
        execute(&mut kernel, &go);
        // A quiet moment now and then; on a busy machine, where a reading takes longer, longer ones come later.
        std::thread::sleep(Duration::from_millis(rounds % 4 * (20 + rounds / 8)));
        rounds += 1;
    }
    rounds
}

#[test]
fn what_does_not_change_is_read_right_while_others_change() {
    let _net = Netns::new();
    let mut kernel = Ipvs::connect().unwrap();
    let mut steady = many_services();
    steady.extend(many_servers());
    execute(&mut kernel, &additions(&steady));
    let pool = service("fwmark://1");
    let stop = AtomicBool::new(false);
    let (mut readings, mut wrong) = (0, Vec::new());
    std::thread::scope(|scope| {
        // In the same namespace, for a thread inherits it.
        let meddler = scope.spawn(|| meddle(pool, &stop));
        let begin = Instant::now();
        // On a busy machine one reading may take longer than all of it should.
        let goes_on = |readings| begin.elapsed() < Duration::from_secs(if readings == 0 { 60 } else { 4 });
        while goes_on(readings) && wrong.is_empty() {
            let mut services = match kernel.read(&ReadScope::default()) {
                Ok(live) => live.state.services,
                // Allowed, for somebody who never rests cannot be read.
                Err(error) if error.to_string().contains("changes them all the time") => continue,
                Err(error) => panic!("{error}"),
            };
            readings += 1;
            services
                .get_mut(&pool)
                .unwrap()
                .servers_mut()
                .retain(|server, _| !server.to_string().starts_with("10.8."));
            services.retain(|key, _| !key.to_string().starts_with("udp:"));
            for (key, service) in &steady {
                let missing = service.servers.len() - services.get(key).map_or(0, |live| live.servers.len());
                if services.shift_remove(key).as_ref() != Some(service) {
                    wrong.push(format!("{key}: {missing} servers missing"));
                }
            }
            wrong.extend(services.keys().map(|key| format!("{key} is not there")));
        }
        stop.store(true, Ordering::Relaxed);
        assert!(meddler.join().unwrap() > 0);
    });
    assert_eq!(wrong, Vec::<String>::new());
    assert!(readings > 0);
}

// The kernel lists the servers of a service that is gone: there are none, and that is no error. The services only go while
// they are read, for one that comes has really no servers at first: kernels from 7.x on list between two operations of a batch.
#[test]
fn a_service_that_goes_while_it_is_read_is_not_taken_for_an_empty_one() {
    let _net = Netns::new();
    let mut kernel = Ipvs::connect().unwrap();
    let keys: Vec<ServiceKey> = (1..=50).map(|n| service(&format!("udp://10.0.1.{n}:53"))).collect();
    let servers = [(server("10.8.0.1:80"), real(1, Forwarding::Nat))];
    let whole = VirtualService::new(scheduling("rr"), Servers::from_iter(servers));
    let all: Services = keys.iter().map(|key| (*key, whole.clone())).collect();
    let (mut in_part, mut wrong) = (0, Services::default());
    let end = Instant::now() + Duration::from_secs(2);
    while Instant::now() < end {
        execute(&mut kernel, &additions(&all));
        std::thread::scope(|scope| {
            // In the same namespace, for a thread inherits it.
            let deleter = scope.spawn(|| {
                let mut kernel = Ipvs::connect().unwrap();
                for service in &keys {
                    execute(&mut kernel, &[Operation::Service(ServiceOp::Delete { service: *service })]);
                    std::thread::yield_now();
                }
            });
            while !deleter.is_finished() {
                let mut found = kernel.read(&ReadScope::default()).unwrap().state.services;
                in_part += usize::from((1..keys.len()).contains(&found.len()));
                found.retain(|_, service| *service != whole);
                wrong.extend(found);
            }
        });
    }
    assert_eq!(wrong, Services::default());
    assert!(in_part > 0, "no reading met a deletion");
}

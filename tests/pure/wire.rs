//! Replies that were recorded from several kernels are understood alike, and no bytes whatever make the decoder panic.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

use std::collections::BTreeMap;
use std::path::Path;

use crate::tables::{limits, real, scheduling, server, service, tunnel};
use lbd::kernel::ipvs::codec::{decode, statistics};
use lbd::kernel::netlink::Malformed;
use lbd::kernel::netlink::message::{Messages, attributes};
use lbd::model::{
    Checksum, Connections, EngineName, Family, Forwarding, Persistence, PersistenceMask, RealServer,
    SchedulerFlags, Scheduling, ServerKey, ServiceKey, Statistics, SyncDaemon, SyncRole, Timeouts,
    TunnelKind,
};
use proptest::prelude::*;

const KERNELS: [&str; 4] = ["5.10", "6.1", "6.12", "7.2"];

const ERROR: u16 = 2;
const DONE: u16 = 3;

/// What was asked and the datagrams that came, in their order (see `tests/wire/record`).
fn recorded(kernel: &str) -> Vec<(String, Vec<u8>)> {
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join(format!("tests/wire/{kernel}.txt"));
    let lines = std::fs::read_to_string(file).unwrap();
    let byte = |pair: &[u8]| u8::from_str_radix(std::str::from_utf8(pair).unwrap(), 16).unwrap();
    lines
        .lines()
        .map(|line| line.split_once(' ').unwrap())
        .map(|(what, hex)| (what.to_owned(), hex.as_bytes().chunks(2).map(byte).collect()))
        .collect()
}

/// Everything that a kernel's recording says, by what was asked.
#[derive(Debug, PartialEq, Default)]
struct Understood {
    services: BTreeMap<ServiceKey, Scheduling>,
    servers: BTreeMap<String, Vec<(ServerKey, RealServer, Connections)>>,
    /// Of all services and servers
    statistics: Vec<Statistics>,
    timeouts: Vec<Timeouts>,
    sync: Vec<SyncDaemon>,
    /// How each answer ended
    ends: Vec<(String, i32)>,
}

impl Understood {
    fn take(&mut self, what: &str, datagram: &[u8]) -> Result<(), Malformed> {
        for message in Messages::new(datagram) {
            let message = message?;
            if matches!(message.kind, ERROR | DONE) {
                self.ends.push((what.to_owned(), message.errno()?));
                continue;
            }
            let attributes = attributes(message.payload)?;
            match what {
                "services" => {
                    self.services.extend([decode::service(attributes)?]);
                    self.statistics.push(statistics::of_service(attributes)?.1);
                }
                "timeouts" => self.timeouts.push(decode::timeouts(attributes)?),
                "sync" => self.sync.push(decode::sync_daemon(attributes)?),
                url => {
                    let family = url.parse().map_or(Family::V4, |key: ServiceKey| key.family());
                    self.servers.entry(url.into()).or_default().push(decode::server(attributes, family)?);
                    self.statistics.push(statistics::of_server(attributes, family)?.1);
                }
            }
        }
        Ok(())
    }
}

fn expected() -> Understood {
    let idle = Connections::default();
    let persistence = |timeout, mask| Some(Persistence { timeout, mask });
    let sync = |role, id, max_length, group: &str| SyncDaemon {
        role,
        interface: "eth1".into(),
        id,
        max_length: Some(max_length),
        group: Some(group.parse().unwrap()),
        port: Some(8848),
        ttl: Some(1),
    };
    let ends = [
        ("services", 0),
        ("tcp://10.0.0.1:80", 0),
        ("udp://[fd00::1]:53", 0),
        ("nothing", 0),
        ("refused", libc::ESRCH),
        ("timeouts", 0),
        ("sync", 0),
    ];
    Understood {
        // Nothing had passed.
        statistics: vec![Statistics::default(); 8],
        services: [
            (
                service("tcp://10.0.0.1:80"),
                Scheduling {
                    persistence: persistence(300, PersistenceMask::V4([255, 255, 255, 0].into())),
                    ..scheduling("wrr")
                },
            ),
            (
                service("udp://[fd00::1]:53"),
                Scheduling {
                    flags: SchedulerFlags { flag_1: true, flag_2: true, flag_3: false },
                    persistence: persistence(60, PersistenceMask::V6(64)),
                    engine: EngineName::new("sip"),
                    one_packet: true,
                    ..scheduling("mh")
                },
            ),
            (service("fwmark://10"), scheduling("sh")),
        ]
        .into(),
        // The newest comes first.
        servers: [
            (
                "tcp://10.0.0.1:80".into(),
                vec![
                    (server("[fd00::9]:80"), real(1, tunnel(TunnelKind::Gue, 6081, Checksum::Csum)), idle),
                    (server("10.9.0.2:80"), real(0, Forwarding::DirectRouting), idle),
                    (
                        server("127.0.0.1:8080"),
                        RealServer { thresholds: limits(100, 50), ..real(5, Forwarding::Nat) },
                        Connections { active: 1, inactive: 0, persistent: 1, packets: 0 },
                    ),
                ],
            ),
            (
                "udp://[fd00::1]:53".into(),
                vec![
                    (server("10.9.0.9:53"), real(1, tunnel(TunnelKind::Gre, 0, Checksum::None)), idle),
                    (server("[fd00::2]:5353"), real(1, Forwarding::Nat), idle),
                ],
            ),
        ]
        .into(),
        timeouts: vec![Timeouts { tcp: Some(1000), tcp_fin: Some(60), udp: Some(30) }],
        sync: vec![
            sync(SyncRole::Master, 7, 1472, "224.0.0.81"),
            sync(SyncRole::Backup, 8, 1452, "ff02::81"),
        ],
        ends: ends.map(|(what, errno)| (what.to_owned(), errno)).into(),
    }
}

#[test]
fn the_replies_of_every_kernel_mean_the_same() {
    for kernel in KERNELS {
        let mut understood = Understood::default();
        for (what, datagram) in recorded(kernel) {
            understood.take(&what, &datagram).unwrap_or_else(|error| panic!("{kernel}, {what}: {error}"));
        }
        assert_eq!(understood, expected(), "{kernel}");
    }
}

#[test]
fn a_reply_that_is_cut_anywhere_is_no_reply() {
    for kernel in KERNELS {
        for (what, datagram) in recorded(kernel) {
            let messages = Messages::new(&datagram).count();
            for length in 0..datagram.len() {
                let whole = Messages::new(&datagram[..length]).filter(Result::is_ok).count();
                // Only the bytes that pad the last message may be missing.
                assert!(whole < messages || datagram.len() - length < 4, "{kernel}, {what}: {length} bytes");
                let _ = Understood::default().take(&what, &datagram[..length]);
            }
        }
    }
}

#[test]
fn a_missing_attribute_is_named() {
    assert_eq!(decode::service(&[]), Err(Malformed("a reply without its virtual service")));
    let empty_nest = [4_u16.to_ne_bytes(), 1_u16.to_ne_bytes()].concat();
    assert_eq!(
        decode::service(&empty_nest),
        Err(Malformed("a virtual service that is neither IPv4 nor IPv6"))
    );
    assert_eq!(decode::server(&[], Family::V4), Err(Malformed("a reply without its real server")));
    let empty_nest = [4_u16.to_ne_bytes(), 2_u16.to_ne_bytes()].concat();
    assert_eq!(decode::server(&empty_nest, Family::V4), Err(Malformed("a real server without an address")));
}

proptest! {
    #[test]
    fn random_bytes_are_refused_in_peace(bytes in prop::collection::vec(any::<u8>(), 0..400)) {
        let _ = decode::service(&bytes);
        let _ = decode::server(&bytes, Family::V6);
        let _ = statistics::of_service(&bytes);
        let _ = statistics::of_server(&bytes, Family::V6);
        let _ = decode::sync_daemon(&bytes);
        let _ = decode::timeouts(&bytes);
        let _ = decode::family(&bytes);
        let _ = Understood::default().take("services", &bytes);
    }

    #[test]
    fn a_spoilt_recording_is_refused_in_peace(
        kernel in 0..KERNELS.len(),
        line in any::<prop::sample::Index>(),
        spoilt in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..8),
    ) {
        let recorded = recorded(KERNELS[kernel]);
        let (what, mut datagram) = line.get(&recorded).clone();
        Understood::default().take(&what, &datagram).unwrap();
        for (place, byte) in spoilt {
            let place = place.index(datagram.len());
            datagram[place] = byte;
        }
        let _ = Understood::default().take(&what, &datagram);
    }
}

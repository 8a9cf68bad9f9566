//! lbd's own netlink client against a real kernel, judged by ipvsadm and by a client that shares no code with it.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

use crate::lab::{Netns, SOME_OF_EVERYTHING};
use crate::tables::{
    additions, everything, execute, limits, real, scheduling, server, service, services, tunnel,
};
use lbd::kernel::ipvs::Ipvs;
use lbd::kernel::{Kernel, Live, ReadScope};
use lbd::model::{
    Checksum, Connections, EngineName, Forwarding, Operation, Persistence, PersistenceMask, RealServer,
    SchedulerFlags, Scheduling, ServerOp, ServiceKey, ServiceOp, State, SyncDaemon, SyncRole, Timeouts,
    TunnelKind,
};
use serde_json::json;

#[test]
fn every_attribute_is_read_back_as_it_was_written() {
    let _net = Netns::new();
    let mut kernel = Ipvs::connect().unwrap();
    let wanted = everything();
    execute(&mut kernel, &additions(&wanted));
    let live = kernel.read(&ReadScope::default()).unwrap();
    assert_eq!(live.state.services, wanted);
    for (key, service) in &wanted {
        let order: Vec<_> = live.state.services.get(key).unwrap().servers.keys().collect();
        assert_eq!(order, service.servers.keys().collect::<Vec<_>>(), "the order in which they were added");
    }
    assert_eq!(kernel.traffic().writes, 16);
}

#[test]
fn what_was_written_is_what_ipvsadm_and_another_client_see() {
    let net = Netns::new();
    let mut kernel = Ipvs::connect().unwrap();
    execute(&mut kernel, &additions(&everything()));
    // It never prints thresholds, hides a third scheduler flag behind the names of two, and takes large marks for
    // negative.
    assert_eq!(
        net.ipvsadm_save(),
        [
            "-A --sctp-service 10.0.0.1:99 -s lblcr",
            "-A -f -1 -s rr -o",
            "-A -f 10 -6 -s rr",
            "-A -f 10 -s sh",
            "-A -t 10.0.0.1:80 -s wrr -p 300 -M 255.255.255.0",
            "-A -u [fd00::1]:53 -s mh -p 60 -M 64 --pe sip -o -b mh-fallback,mh-port",
            "-a -f 10 -6 -r [fd00::3]:8080 -m -w 1",
            "-a -f 10 -r 10.9.0.3:0 -g -w 1",
            "-a -t 10.0.0.1:80 -r 10.9.0.1:81 -m -w 5",
            "-a -t 10.0.0.1:80 -r 10.9.0.2:80 -g -w 0",
            "-a -t 10.0.0.1:80 -r 10.9.0.3:80 -i -w 2147483647 --tun-type ipip",
            "-a -t 10.0.0.1:80 -r 10.9.0.4:80 -i -w 1 --tun-type gue --tun-port 6080 --tun-remcsum",
            "-a -t 10.0.0.1:80 -r 10.9.0.5:80 -i -w 1 --tun-type gre --tun-csum",
            "-a -t 10.0.0.1:80 -r [fd00::9]:80 -i -w 1 --tun-type gue --tun-port 6081 --tun-csum",
            "-a -u [fd00::1]:53 -r 10.9.0.9:53 -i -w 1 --tun-type ipip",
            "-a -u [fd00::1]:53 -r [fd00::2]:5353 -m -w 3",
        ]
    );
    let table = net.table();
    let service = |what: &str| {
        let mut services = table["services"].as_array().unwrap().iter();
        services.find(|service| service["scheduler"] == what).unwrap().clone()
    };
    let limited = &service("wrr")["servers"][5];
    assert_eq!((&limited["upper_threshold"], &limited["lower_threshold"]), (&json!(100), &json!(50)));
    // What ipvsadm writes for a service that is not persistent.
    let plain = service("lblcr");
    assert_eq!((&plain["timeout"], &plain["netmask"]), (&json!(0), &json!("255.255.255.255")));
    let plain = table["services"]
        .as_array()
        .unwrap()
        .iter()
        .find(|one| one["family"] == "inet6" && one["fwmark"] == 10);
    assert_eq!(plain.unwrap()["netmask"], 128);
}

#[test]
fn what_ipvsadm_wrote_is_read() {
    let net = Netns::new();
    net.sh(SOME_OF_EVERYTHING);
    net.sh("ipvsadm --start-daemon backup --mcast-interface eth1 --syncid 8 --sync-maxlen 1400 --mcast-group ff02::81 --mcast-port 9000 --mcast-ttl 3
        echo 1 > /proc/sys/net/ipv4/vs/expire_nodest_conn");
    let mut kernel = Ipvs::connect().unwrap();
    let live = kernel.read(&ReadScope::default()).unwrap();
    let services = services([
        (
            "tcp://10.0.0.1:80",
            Scheduling {
                persistence: Some(Persistence {
                    timeout: 300,
                    mask: PersistenceMask::V4([255, 255, 255, 0].into()),
                }),
                ..scheduling("wrr")
            },
            vec![("10.9.0.1:81", RealServer { thresholds: limits(100, 50), ..real(5, Forwarding::Nat) })],
        ),
        (
            "udp://[fd00::1]:53",
            Scheduling {
                flags: SchedulerFlags { flag_2: true, ..SchedulerFlags::default() },
                persistence: Some(Persistence { timeout: 60, mask: PersistenceMask::V6(64) }),
                engine: EngineName::new("sip"),
                one_packet: true,
                ..scheduling("mh")
            },
            vec![("[fd00::2]:53", real(1, tunnel(TunnelKind::Gue, 6080, Checksum::Csum)))],
        ),
        (
            "fwmark://7",
            scheduling("sh"),
            vec![
                ("10.9.0.3:0", real(1, Forwarding::DirectRouting)),
                ("10.9.0.4:0", real(0, Forwarding::DirectRouting)),
            ],
        ),
    ]);
    let sync = |role, id, max_length, group: &str, port, ttl| SyncDaemon {
        role,
        interface: "eth1".into(),
        id,
        max_length: Some(max_length),
        group: Some(group.parse().unwrap()),
        port: Some(port),
        ttl: Some(ttl),
    };
    let expected = Live {
        state: State {
            services,
            timeouts: Timeouts { tcp: Some(1000), tcp_fin: Some(60), udp: Some(30) },
            sync: vec![
                sync(SyncRole::Master, 7, 1472, "224.0.0.81", 8848, 1),
                sync(SyncRole::Backup, 8, 1400, "ff02::81", 9000, 3),
            ],
            ..State::default()
        },
        expire_nodest_conn: true,
        ..Live::default()
    };
    assert_eq!(live, expected);
}

#[test]
fn an_edit_changes_every_field_in_place_and_leaves_foreign_flags() {
    let net = Netns::new();
    let mut kernel = Ipvs::connect().unwrap();
    let before = everything();
    execute(&mut kernel, &additions(&before));
    // What no lbd knows: bit 0x100.
    foreign_flag(&net, "10.0.0.1:80");
    let (key, server_key) = (service("tcp://10.0.0.1:80"), server("10.9.0.4:80"));
    let old = before.get(&key).unwrap().clone();
    let to = Scheduling {
        flags: SchedulerFlags { flag_3: true, ..SchedulerFlags::default() },
        ..scheduling("lc")
    };
    let changed = RealServer { thresholds: limits(7, 0), ..real(9, Forwarding::Nat) };
    let mut wanted = before.clone();
    wanted.get_mut(&key).unwrap().scheduling = to.clone().into();
    wanted.get_mut(&key).unwrap().servers_mut().insert(server_key, changed);
    execute(
        &mut kernel,
        &[
            Operation::Service(ServiceOp::Edit { service: key, from: old.scheduling, to: to.into() }),
            Operation::Server(ServerOp::Edit {
                service: key,
                server: server_key,
                from: (*old.servers.get(&server_key).unwrap()).into(),
                to: Box::new(changed),
            }),
        ],
    );
    assert_eq!(kernel.read(&ReadScope::default()).unwrap().state.services, wanted);
    let flags = net.table()["services"]
        .as_array()
        .unwrap()
        .iter()
        .find(|one| one["scheduler"] == "lc")
        .unwrap()["flags"]
        .clone();
    assert_eq!(flags, 0x100 | 0x20 | 0x2);
    // A server of another family than its service's is found and deleted, too.
    let mixed = server("[fd00::9]:80");
    execute(
        &mut kernel,
        &[
            Operation::Server(ServerOp::Delete { service: key, server: mixed }),
            Operation::Service(ServiceOp::Delete { service: service("fwmark6://10") }),
        ],
    );
    wanted.get_mut(&key).unwrap().servers_mut().shift_remove(&mixed);
    wanted.shift_remove(&service("fwmark6://10"));
    assert_eq!(kernel.read(&ReadScope::default()).unwrap().state.services, wanted);
}

/// Sets a flag that nobody has a name for on a TCP service, by the independent client's own bytes.
fn foreign_flag(net: &Netns, address: &str) {
    let (address, port) = address.split_once(':').unwrap();
    net.write("flag.py", FOREIGN_FLAG);
    net.sh(&format!(
        "PYTHONPATH={}/tests/lab /usr/bin/python3 flag.py {address} {port}",
        env!("CARGO_MANIFEST_DIR")
    ));
}

const FOREIGN_FLAG: &str = r#"
import socket, struct, sys
from ipvsnl import *
ipvs = Ipvs()
nest = b"".join([
    attribute(1, struct.pack("=H", 2)), attribute(2, struct.pack("=H", 6)),
    attribute(3, socket.inet_aton(sys.argv[1])), attribute(4, struct.pack(">H", int(sys.argv[2]))),
    attribute(6, b"wrr\0"), attribute(7, struct.pack("=II", 0x100, 0x100)),
    attribute(8, struct.pack("=I", 300)), attribute(9, bytes([255, 255, 255, 0])),
])
s = socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, NETLINK_GENERIC)
body = struct.pack("=BBH", 2, 1, 0) + attribute(1, nest)
s.send(struct.pack("=IHHII", 16 + len(body), ipvs.family, NLM_F_REQUEST | NLM_F_ACK, 1, 0) + body)
errno = struct.unpack_from("=i", s.recv(65536), 16)[0]
sys.exit(-errno)
"#;

#[test]
fn a_refused_operation_hides_none_of_its_neighbours() {
    let _net = Netns::new();
    let mut kernel = Ipvs::connect().unwrap();
    let good = service("tcp://10.0.0.1:80");
    let nowhere = service("tcp://10.0.0.2:80");
    let one = real(1, Forwarding::Nat);
    let add = |service: ServiceKey, address| {
        Operation::Server(ServerOp::Add { service, server: server(address), to: one })
    };
    let add_service = |service: ServiceKey, name| {
        Operation::Service(ServiceOp::Add { service, to: scheduling(name).into() })
    };
    let operations = [
        add_service(good, "rr"),
        add_service(good, "rr"),
        add_service(nowhere, "nosuch"),
        add(good, "10.9.0.1:80"),
        add(nowhere, "10.9.0.1:80"),
        add(good, "10.9.0.1:80"),
        add(good, "0.0.0.0:80"),
        add(good, "[fd00::1]:80"),
        Operation::Server(ServerOp::Delete { service: good, server: server("10.9.0.9:80") }),
        Operation::Service(ServiceOp::Delete { service: nowhere }),
        Operation::Service(ServiceOp::Add {
            service: ServiceKey::FirewallMark { family: lbd::model::Family::V4, mark: 0 },
            to: scheduling("rr").into(),
        }),
        add(good, "10.9.0.2:80"),
    ];
    let sends = kernel.traffic().sends;
    let refusals = kernel.execute(&operations).unwrap();
    let errnos: Vec<_> =
        (0..operations.len()).map(|place| refusals.get(&place).map_or(0, |refusal| refusal.errno)).collect();
    let (exist, noent, srch, inval) = (libc::EEXIST, libc::ENOENT, libc::ESRCH, libc::EINVAL);
    assert_eq!(errnos, [0, exist, noent, 0, srch, exist, inval, inval, noent, srch, inval, 0]);
    // One on either side of what is never sent, one to see whether an ENOENT meant that the module was loaded anew.
    assert_eq!(kernel.traffic().sends - sends, 3);
    let expected =
        services([("tcp://10.0.0.1:80", scheduling("rr"), vec![("10.9.0.1:80", one), ("10.9.0.2:80", one)])]);
    assert_eq!(kernel.read(&ReadScope::default()).unwrap().state.services, expected);
    assert_eq!(
        refusals[&4].message,
        "no such service in the kernel any more (ESRCH); another program removed it, read again"
    );
    assert!(refusals[&2].message.contains("ip_vs_nosuch"));
}

#[test]
fn a_batch_of_nothing_but_refusals_loses_none() {
    let _net = Netns::new();
    let mut kernel = Ipvs::connect().unwrap();
    let nowhere = service("tcp://[fd00::1]:80");
    let operations: Vec<_> = (1..=1000)
        .map(|port| {
            Operation::Server(ServerOp::Add {
                service: nowhere,
                server: server(&format!("[fd00::2]:{port}")),
                to: real(1, Forwarding::Nat),
            })
        })
        .collect();
    let refusals = kernel.execute(&operations).unwrap();
    assert!(refusals.keys().copied().eq(0..1000));
    assert!(refusals.values().all(|refusal| refusal.errno == libc::ESRCH));
}

/// Not a test of its own: the tests below start it as somebody else, so that it runs with each of them, as in
/// `cargo test --test kernel who_may_not_use_ipvs`.
#[test]
#[ignore = "part of `cargo test --test kernel who_may_not_use_ipvs`, which starts it as other users"]
fn connect_as_somebody_else() {
    match Ipvs::connect() {
        Ok(_) => println!("connected"),
        Err(error) => println!("refused: {error}"),
    }
}

/// What becomes of a connection that is made behind this command.
fn connect_by(net: &Netns, command: &str) -> String {
    let program = std::env::current_exe().unwrap();
    let test = "--ignored --exact ipvs::connect_as_somebody_else --nocapture";
    net.sh(&format!("{command} {} {test}", program.display()))
}

#[test]
fn who_may_not_use_ipvs_is_told_what_is_missing() {
    let net = Netns::new();
    assert!(connect_by(&net, "").contains("connected"));
    let missing = "refused: cannot use IPVS: the kernel lets only CAP_NET_ADMIN of the initial user namespace use \
                   IPVS, reading included (EPERM); run as root on the host (a rootless container will not do)";
    for command in [
        "setpriv --reuid 1000 --regid 1000 --clear-groups",
        // Root without the capability, and root in a user namespace of its own, network namespace included.
        "setpriv --bounding-set -net_admin",
        "unshare --user --map-root-user --net",
    ] {
        let said = connect_by(&net, command);
        assert!(said.contains(missing), "{command}: {said}");
    }
    // The capability alone is enough.
    let ambient =
        "setpriv --reuid 1000 --regid 1000 --clear-groups --inh-caps +net_admin --ambient-caps +net_admin";
    assert!(connect_by(&net, ambient).contains("connected"));
}

#[test]
fn connections_are_read_where_there_are_any() {
    let net = Netns::new();
    // The director is its own client and server.
    net.sh("ip addr add 10.0.0.1/32 dev lo
        ipvsadm -A -t 10.0.0.1:80 -s rr -p 300
        ipvsadm -a -t 10.0.0.1:80 -r 127.0.0.1:8080 -m
        ipvsadm -a -t 10.0.0.1:80 -r 127.0.0.2:8080 -m -w 0");
    let listener = std::net::TcpListener::bind("127.0.0.1:8080").unwrap();
    let client = std::net::TcpStream::connect("10.0.0.1:80").unwrap();
    let accepted = listener.accept().unwrap();
    let live = Ipvs::connect().unwrap().read(&ReadScope::default()).unwrap();
    // The kernel takes the packets into its counters every two seconds.
    let connections = Connections { active: 1, inactive: 0, persistent: 1, packets: 0 };
    let expected = [((service("tcp://10.0.0.1:80"), server("127.0.0.1:8080")), connections)].into();
    assert_eq!(live.connections, expected);
    drop((client, accepted));
}

//! Files that are right, and the state that they ask for.

use std::num::NonZeroU32;
use std::time::Duration;

use indexmap::IndexMap;
use lbd::config::{Source, load};
use lbd::model::{
    Checksum, Desired, EngineName, Forwarding, Mark, MarkMatch, MaxDelete, Persistence, PersistenceMask,
    Policy, Protocol, Prune, RealServer, SchedulerFlags, SchedulerName, Scheduling, ServerKey, Servers,
    ServiceKey, Services, SyncDaemon, SyncRole, Thresholds, Timeouts, Tunnel, TunnelKind, VirtualService,
};

const MANUAL: &str = "\
# yaml-language-server: $schema=/usr/share/lbd/desired.schema.json
version: 1

sysctls:                            # kernel settings the director needs, by their full names
  net.ipv4.ip_forward: 1

marks:                              # packets that get a firewall mark (FWM) before IPVS sees them
  - mark: 10
    match:                          # none: the mark is set by somebody else's firewall
      - { protocol: tcp, address: 192.168.8.13, ports: [80, 443, 8000-8010] }

timeouts: { tcp: 15m, tcp_fin: 2m, udp: 5m }       # ipvsadm --set
sync:                                               # ipvsadm --start-daemon
  - { role: master, interface: eth1, id: 7 }

defaults: { scheduler: wlc, forward: nat }          # for every cluster that says nothing

clusters:
  - name: web
    listen: tcp://10.0.0.13:80      # or a list: one cluster, several virtual services, the same servers
    scheduler: rr
    servers:
      - 192.168.8.14                # shorthand; the port is the service's own
      - address: 192.168.8.15:8080
        weight: 3
  - name: shop
    listen: fwmark://10             # fwmark6://10 for IPv6
    persistence: 5m
    forward: dr
    servers: [192.168.8.7, 192.168.8.17]

policy: { prune: owned, allow_empty: false, max_delete: 50%, resync: 30s }
";

fn desired(text: &str) -> Desired {
    load(&Source::new("desired.yaml", text)).unwrap_or_else(|problems| panic!("{}", problems.text(false)))
}

fn names<const N: usize>(pairs: [(&str, &str); N]) -> IndexMap<String, String> {
    pairs.map(|(name, value)| (name.to_owned(), value.to_owned())).into_iter().collect()
}

fn key(text: &str) -> ServiceKey {
    text.parse().unwrap()
}

fn server(address: &str, port: u16, weight: u32, forwarding: Forwarding) -> (ServerKey, RealServer) {
    let key = ServerKey { address: address.parse().unwrap(), port };
    (key, RealServer { weight, forwarding, thresholds: Thresholds::default() })
}

fn scheduling(scheduler: &str) -> Scheduling {
    Scheduling {
        scheduler: SchedulerName::new(scheduler).unwrap(),
        flags: SchedulerFlags::default(),
        persistence: None,
        engine: None,
        one_packet: false,
    }
}

#[test]
fn the_file_of_the_manual() {
    let desired = desired(MANUAL);
    let web = VirtualService::new(
        scheduling("rr"),
        Servers::from_iter([
            server("192.168.8.14", 80, 1, Forwarding::Nat),
            server("192.168.8.15", 8080, 3, Forwarding::Nat),
        ]),
    );
    let mask = PersistenceMask::V4("255.255.255.255".parse().unwrap());
    let shop = VirtualService::new(
        Scheduling { persistence: Some(Persistence { timeout: 300, mask }), ..scheduling("wlc") },
        Servers::from_iter([
            server("192.168.8.7", 0, 1, Forwarding::DirectRouting),
            server("192.168.8.17", 0, 1, Forwarding::DirectRouting),
        ]),
    );
    let (web_key, shop_key) = (key("tcp://10.0.0.13:80"), key("fwmark://10"));
    assert_eq!(desired.state.services, Services::from_iter([(web_key, web), (shop_key, shop)]));
    let clusters: Vec<(ServiceKey, &str)> =
        desired.clusters.iter().map(|(service, cluster)| (*service, cluster.as_str())).collect();
    assert_eq!(clusters, [(web_key, "web"), (shop_key, "shop")]);
    assert_eq!(
        desired.state.marks,
        [Mark {
            mark: 10,
            matches: vec![MarkMatch {
                protocol: Some(Protocol::Tcp),
                address: Some(lbd::model::Prefix { address: "192.168.8.13".parse().unwrap(), length: 32 }),
                ports: vec![80..=80, 443..=443, 8000..=8010],
                source: None,
                interface: None,
            }],
        }]
    );
    assert_eq!(desired.state.sysctls, names([("net.ipv4.ip_forward", "1")]));
    assert_eq!(desired.state.timeouts, Timeouts { tcp: Some(900), tcp_fin: Some(120), udp: Some(300) });
    assert_eq!(
        desired.state.sync,
        [SyncDaemon {
            role: SyncRole::Master,
            interface: "eth1".into(),
            id: 7,
            max_length: None,
            group: None,
            port: None,
            ttl: None,
        }]
    );
    assert_eq!(desired.policy, Policy::default());
}

#[test]
fn the_smallest_file() {
    for text in [
        "version: 1\nclusters: []\n",
        "---\nversion: 1\nclusters: []\n...\n",
        "\u{feff}version: 1\r\nclusters: []\r\n".trim_start_matches('\u{feff}'),
        "{\"version\": 1, \"clusters\": []}",
        "version: 1\nclusters: []\nmarks: []\nsync: []\nsysctls: {}\ntimeouts: {}\ndefaults: {}\npolicy: {}\n",
    ] {
        assert_eq!(desired(text), Desired::default(), "{text}");
    }
}

#[test]
fn an_address_that_looks_like_one_with_a_port_is_valid_and_noted() {
    let addresses = |servers: &str| {
        desired(&format!(
            "version: 1\nclusters: [{{ name: a, listen: 'tcp://[fd00::1]:8080', forward: nat, servers: [{servers}] }}]\n"
        ))
        .port_like
    };
    let noted: Vec<std::net::IpAddr> = vec!["fd00::2:8080".parse().unwrap()];
    assert_eq!(addresses("fd00::2:8080, fd00::3, 'fd00::4:1f90'"), noted);
    assert_eq!(addresses("{ address: 'fd00::2:8080', weight: 2 }"), noted);
    assert_eq!(
        addresses("'[fd00::2:8080]', '[fd00::3:8080]:80', '[fd00::2]:8080'"),
        Vec::<std::net::IpAddr>::new()
    );
}

#[test]
fn a_loopback_server_is_reached_by_direct_routing() {
    let desired = desired(
        "version: 1\nclusters: [{ name: a, listen: 'tcp://10.0.0.13:80', forward: dr, servers: [127.0.0.1] }]\n",
    );
    let service = desired.state.services.get(&key("tcp://10.0.0.13:80")).unwrap();
    assert_eq!(*service.servers, Servers::from_iter([server("127.0.0.1", 80, 1, Forwarding::DirectRouting)]));
}

#[test]
fn several_listeners_of_both_families_share_what_fits_both() {
    let desired = desired(
        r#"
version: 1
marks: [{ mark: 0x10 }]
clusters:
  - name: dns
    listen: [udp://10.0.0.13:53, "udp://[fd00::13]:53", fwmark://16, fwmark6://0x10]
    scheduler: mh
    scheduler_flags: [mh-port, flag-3]
    persistence: 1h
    persistence_mask: 24
    persistence_engine: sip
    one_packet: true
    forward: tun
    servers: [10.1.0.1, "fd00::1", "[fd00::2]"]
"#,
    );
    let engine = EngineName::new("sip");
    let flags = SchedulerFlags { flag_1: false, flag_2: true, flag_3: true };
    let services: Vec<_> = desired.state.services.iter().collect();
    let masks = services.iter().map(|(_, service)| service.scheduling.persistence.unwrap().mask);
    let (v4, v6) = (PersistenceMask::V4("255.255.255.0".parse().unwrap()), PersistenceMask::V6(24));
    assert_eq!(masks.collect::<Vec<_>>(), [v4, v6, v4, v6]);
    for (key, service) in &services {
        assert_eq!(service.scheduling.flags, flags);
        assert_eq!(service.scheduling.engine, engine);
        assert!(service.scheduling.one_packet);
        let port = key.default_server_port();
        let tunnel = Forwarding::Tunnel(Tunnel::IPIP);
        assert_eq!(
            *service.servers,
            Servers::from_iter([
                server("10.1.0.1", port, 1, tunnel),
                server("fd00::1", port, 1, tunnel),
                server("fd00::2", port, 1, tunnel)
            ])
        );
    }
}

#[test]
fn a_server_says_how_it_differs_from_its_cluster() {
    let desired = desired(
        "
version: 1
marks: [{ mark: 1 }]
clusters:
  - name: web
    listen: tcp://10.0.0.13:80
    servers:
      - { address: 10.1.0.1, weight: 0 }
      - { address: 10.1.0.2:80 }
      - { address: 10.1.0.3:8080, forward: nat, upper_threshold: 9, lower_threshold: 9 }
      - { address: 10.1.0.3:0, forward: nat, upper_threshold: 0, lower_threshold: 0 }
      - { address: 10.1.0.4, forward: tun, tunnel: { type: gue, port: 5555, checksum: remcsum } }
      - { address: 10.1.0.5, forward: tun, tunnel: { type: gre, checksum: csum } }
      - { address: 127.0.0.1, weight: 2147483647, tunnel: { type: ipip, checksum: none }, forward: tun }
  - name: marked
    listen: fwmark://1
    servers: [10.1.0.1:8080]
  - name: every port
    listen: tcp://10.0.0.14:0
    persistence: 4294967
    persistence_mask: 0.0.0.0
    servers: [10.1.0.1]
",
    );
    let tunnel = |kind, port, checksum| Forwarding::Tunnel(Tunnel { kind, port, checksum });
    let limited = |(key, server): (ServerKey, RealServer), limit| {
        let limit = NonZeroU32::new(limit);
        (key, RealServer { thresholds: Thresholds { upper: limit, lower: limit }, ..server })
    };
    assert_eq!(
        desired.state.services.get(&key("tcp://10.0.0.13:80")).unwrap().servers.iter().collect::<Vec<_>>(),
        [
            server("10.1.0.1", 80, 0, Forwarding::DirectRouting),
            server("10.1.0.2", 80, 1, Forwarding::DirectRouting),
            limited(server("10.1.0.3", 8080, 1, Forwarding::Nat), 9),
            server("10.1.0.3", 0, 1, Forwarding::Nat),
            server("10.1.0.4", 80, 1, tunnel(TunnelKind::Gue, 5555, Checksum::Remcsum)),
            server("10.1.0.5", 80, 1, tunnel(TunnelKind::Gre, 0, Checksum::Csum)),
            server("127.0.0.1", 80, 2_147_483_647, Forwarding::Tunnel(Tunnel::IPIP)),
        ]
        .iter()
        .map(|(key, server)| (key, server))
        .collect::<Vec<_>>()
    );
    let marked = &desired.state.services.get(&key("fwmark://1")).unwrap().servers;
    assert_eq!(marked.keys().map(ToString::to_string).collect::<Vec<_>>(), ["10.1.0.1:8080"]);
    let every = &desired.state.services.get(&key("tcp://10.0.0.14:0")).unwrap();
    assert_eq!(every.servers.keys().map(ToString::to_string).collect::<Vec<_>>(), ["10.1.0.1:0"]);
    let mask = PersistenceMask::V4("0.0.0.0".parse().unwrap());
    assert_eq!(every.scheduling.persistence, Some(Persistence { timeout: 4_294_967, mask }));
}

#[test]
fn words_and_numbers_in_all_their_spellings() {
    let desired = desired(
        r#"
version: 1
sysctls:
  net/ipv4/conf/eth0.100/forwarding: 1
  net/ipv4/vs/conntrack: "1"
  net.ipv4.tcp_rmem: 4096   87380 6291456
marks:
  - { mark: "0xA", match: [{ source: 10.0.0.0/8, interface: eth0.100 }, { address: fd00::/64 }] }
  - { mark: 4294967295, match: [] }
  - mark: "12"
    match: [{ protocol: sctp, ports: ["443", 80, 81-90, 85] }]
timeouts: { udp: 30 }
sync:
  - { role: backup, interface: eth1, sync_maxlen: 1024, mcast_group: "ff02::81", mcast_port: 9000, mcast_ttl: 2 }
clusters:
  - name: every letter äöü and a blank
    listen: [sctp://10.0.0.13:80]
    scheduler: module:my-own_1.0
    allow_empty: true
    servers: []
  - { name: other, listen: sctp://10.0.0.13:81, allow_empty: false, servers: [] }
policy: { prune: never, allow_empty: true, max_delete: 3, resync: 1d, history: 7 }
"#,
    );
    let sysctls = [
        ("net/ipv4/conf/eth0.100/forwarding", "1"),
        ("net.ipv4.vs.conntrack", "1"),
        ("net.ipv4.tcp_rmem", "4096 87380 6291456"),
    ];
    assert_eq!(desired.state.sysctls, names(sysctls));
    let marks: Vec<_> = desired.state.marks.iter().map(|mark| (mark.mark, mark.matches.len())).collect();
    assert_eq!(marks, [(10, 2), (4_294_967_295, 0), (12, 1)]);
    assert_eq!(desired.state.marks[2].matches[0].ports, [80..=90, 443..=443]);
    assert_eq!(desired.state.timeouts, Timeouts { tcp: None, tcp_fin: None, udp: Some(30) });
    assert_eq!(
        desired.state.sync,
        [SyncDaemon {
            role: SyncRole::Backup,
            interface: "eth1".into(),
            id: 0,
            max_length: Some(1024),
            group: Some("ff02::81".parse().unwrap()),
            port: Some(9000),
            ttl: Some(2),
        }]
    );
    assert_eq!(
        desired.policy,
        Policy {
            prune: Prune::Never,
            allow_empty: true,
            max_delete: MaxDelete::Count(3),
            resync: Duration::from_secs(86_400),
            history: 7,
        }
    );
    assert_eq!(desired.allow_empty, [key("sctp://10.0.0.13:80")].into());
    let service = &desired.state.services.get(&key("sctp://10.0.0.13:80")).unwrap();
    assert_eq!(service.scheduling.scheduler.as_str(), "my-own_1.0");
}

#[test]
fn an_alias_stands_for_its_value() {
    let desired = desired(
        "
version: 1
clusters:
  - name: a
    listen: tcp://10.0.0.13:80
    servers: &both [10.1.0.1, { address: 10.1.0.2, weight: 2 }]
  - name: b
    listen: tcp://10.0.0.13:443
    servers: *both
",
    );
    let counts: Vec<_> = desired.state.services.values().map(|service| service.servers.len()).collect();
    assert_eq!(counts, [2, 2]);
}

#[test]
fn a_leaving_server_drains_as_long_as_the_most_specific_drain_says() {
    let clusters = "
  - { name: web, listen: [tcp://10.0.0.1:80, udp://10.0.0.1:53], servers: [192.168.8.1] }
  - { name: shop, listen: [tcp://10.0.0.2:80, sctp://10.0.0.2:80, fwmark://1], persistence: 1h, servers: [192.168.8.1] }
  - { name: short, listen: sctp://10.0.0.3:80, persistence: 90s, servers: [192.168.8.1] }
  - name: own
    listen: [tcp://10.0.0.4:80, udp://10.0.0.4:53]
    persistence: 1h
    drain: 90s
    servers: [192.168.8.1, { address: 192.168.8.2, drain: 2m }, { address: 192.168.8.3, drain: 0 }]
";
    let found = |defaults: &str| {
        let desired = desired(&format!("version: 1\nmarks: [{{ mark: 1 }}]\n{defaults}clusters:{clusters}"));
        let services = desired.state.services.iter();
        let servers =
            services.flat_map(|(key, service)| service.servers.keys().map(move |server| (key, server)));
        servers.map(|(service, server)| desired.drain(service, server).as_secs()).collect::<Vec<_>>()
    };
    let own = [90, 120, 0, 90, 120, 0];
    assert_eq!(found(""), [[300, 0, 3_600, 3_600, 3_600, 300].as_slice(), &own].concat());
    // What is written is taken as it is, also where it is shorter than the persistence.
    assert_eq!(found("defaults: { drain: 1d }\n"), [[86_400; 6].as_slice(), &own].concat());
    assert_eq!(found("defaults: { drain: 1 }\n"), [[1; 6].as_slice(), &own].concat());
    let unknown = Desired::default();
    let server = ServerKey { address: [192, 168, 8, 1].into(), port: 80 };
    assert_eq!(unknown.drain(&key("tcp://10.0.0.1:80"), &server), Duration::from_secs(300));
}

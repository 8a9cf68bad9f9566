//! The desired file as its users meet it: what is valid, and what every mistake is answered with.

use lbd::config::{Source, load};

const EXAMPLE: &str = r#"
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
"#;

#[test]
fn the_example_of_the_manual_is_valid() {
    match load(&Source::new("desired.yaml", EXAMPLE)) {
        Ok(desired) => println!("{desired:#?}"),
        Err(problems) => panic!("{}", problems.text(false)),
    }
}

//! A kernel without nftables: what needs it fails with a word that helps, and everything else works.

#![allow(clippy::unwrap_used, clippy::indexing_slicing)]

use crate::lab::Netns;

#[test]
fn marks_and_fullnat_fail_alone_where_the_kernel_has_no_nftables() {
    let net = Netns::new();
    net.ready();
    net.write(
        "desired.yaml",
        "\
version: 1
sysctls: { net.ipv4.vs.expire_nodest_conn: 1 }
marks: [{ mark: 10, match: [{ protocol: tcp, address: 10.0.0.13, ports: [80] }] }]
clusters:
  - { name: shop, listen: fwmark://10, servers: [192.168.8.7] }
  - { name: web, listen: tcp://10.0.0.14:80, forward: nat, servers: [192.168.8.14] }
  - { name: far, listen: tcp://10.0.0.15:80, forward: fullnat, servers: [192.168.8.15] }
",
    );
    let apply = net.lbd(&["-f", "desired.yaml", "apply"]);
    assert_eq!(apply.status, 2, "{apply:?}");
    let errors: Vec<&str> = apply.stderr.lines().filter(|line| line.starts_with("error: ")).collect();
    assert_eq!(errors.len(), 2, "{}", apply.stderr);
    assert!(
        errors[0].starts_with("error: add server 192.168.8.15:80 to tcp://10.0.0.15:80: "),
        "{}",
        errors[0]
    );
    assert!(errors[1].starts_with("error: add mark rules: "), "{}", errors[1]);
    assert!(errors.iter().all(|error| error.contains("nftables")), "{errors:?}");
    assert_eq!(
        net.ipvsadm_save(),
        [
            "-A -f 10 -s wlc",
            "-A -t 10.0.0.14:80 -s wlc",
            "-A -t 10.0.0.15:80 -s wlc",
            "-a -f 10 -r 192.168.8.7:0 -g -w 1",
            "-a -t 10.0.0.14:80 -r 192.168.8.14:80 -m -w 1",
        ]
    );
    assert_eq!(net.sh("cat /proc/sys/net/ipv4/vs/expire_nodest_conn"), "1\n");
}

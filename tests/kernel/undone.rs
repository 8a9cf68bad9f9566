//! What lbd puts back in the end, and brings back after a boot: kernel settings, timeouts and sync daemons.

#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing)]

use crate::lab::Netns;

/// Runs lbd on the file `desired.yaml` of the test, which it is to like.
#[track_caller]
fn lbd(net: &Netns, arguments: &[&str]) {
    let mut all = vec!["-f", "desired.yaml"];
    all.extend(arguments);
    let output = net.lbd(&all);
    assert_eq!((output.status, output.stderr.as_str()), (0, ""), "{arguments:?}: {output:?}");
}

#[track_caller]
fn applies(net: &Netns, settings: &str) {
    net.write(
        "desired.yaml",
        &format!("version: 1\nclusters: []\npolicy: {{ allow_empty: true }}\n{settings}\n"),
    );
    lbd(net, &["apply"]);
}

/// Every setting of the namespace that can be read, the timeouts, and the sync daemons.
fn everything(net: &Netns) -> String {
    net.sh("sysctl -a 2>/dev/null | grep -E '^net[.]' |
            grep -vE 'nf_conntrack_count|random|sync_qlen_max|[.]mtu_expires|neigh[.].*[.]base_reachable' || true
        ipvsadm -L --timeout; ipvsadm -L --daemon")
}

fn differences(net: &Netns, before: &str) -> String {
    net.write("before", before);
    net.write("after", &everything(net));
    net.try_sh("diff before after").stdout
}

#[test]
fn teardown_puts_back_what_it_found_over_several_passes_and_files() {
    let net = Netns::new();
    // An administrator's own: redirects refused though nothing is forwarded, an interface that forwards alone, other
    // timeouts, a sync daemon.
    net.sh("ip link add eth1 type dummy; ip link set eth1 up; ip link add eth2 type dummy
        sysctl -q -w net.ipv4.conf.all.accept_redirects=0 net.ipv4.conf.eth1.forwarding=1 net.ipv4.vs.drop_entry=3
        ipvsadm --set 700 70 170
        ipvsadm --start-daemon backup --mcast-interface eth1 --syncid 99");
    let before = everything(&net);
    applies(
        &net,
        "sysctls:
  net.ipv4.ip_forward: 1
  net.ipv4.conf.eth1.forwarding: 1
  net.ipv4.conf.eth2.forwarding: 0
  net.ipv6.conf.all.forwarding: 1
  net.ipv4.vs.drop_entry: 1
timeouts: { tcp: 10m }
sync: [{ role: master, interface: eth1 }]",
    );
    // The other name of a setting, other values, and what the file drops.
    applies(
        &net,
        "sysctls:
  net.ipv4.conf.all.forwarding: 1
  net.ipv4.vs.conntrack: 1
  net.ipv4.vs.drop_entry: 2
timeouts: { tcp: 5m, udp: 1m }
sync: [{ role: master, interface: eth1, id: 5 }]",
    );
    applies(
        &net,
        "sysctls: { net.ipv4.vs.expire_nodest_conn: 1 }\nsync: [{ role: master, interface: eth1 }]",
    );
    assert_ne!(differences(&net, &before), "");
    lbd(&net, &["teardown", "--yes"]);
    assert_eq!(differences(&net, &before), "");
    assert!(before.contains("backup sync daemon (mcast=eth1, syncid=99"), "{before}");
    // There is nothing more to be put back, also if it is somebody else's by now.
    net.sh("sysctl -q -w net.ipv4.vs.conntrack=1; ipvsadm --set 7 7 7");
    lbd(&net, &["teardown", "--yes"]);
    assert_eq!(
        net.sh("sysctl -n net.ipv4.vs.conntrack; ipvsadm -L --timeout"),
        "1\nTimeout (tcp tcpfin udp): 7 7 7\n"
    );
}

#[test]
fn what_was_as_it_should_be_when_lbd_came_is_not_put_back() {
    let net = Netns::new();
    net.sh("sysctl -q -w net.ipv4.ip_forward=1; ipvsadm --set 600 60 60");
    applies(&net, "sysctls: { net.ipv4.ip_forward: 1 }\ntimeouts: { tcp: 10m }");
    let before = everything(&net);
    lbd(&net, &["teardown", "--yes"]);
    assert_eq!(differences(&net, &before), "");
}

#[test]
fn after_a_boot_all_of_it_comes_back_and_can_be_taken_back_again() {
    let net = Netns::new();
    let settings = "sysctls: { net.ipv4.ip_forward: 1, net.ipv4.vs.conntrack: 1 }
timeouts: { tcp: 10m }
sync: [{ role: master, interface: eth1, id: 7 }, { role: backup, interface: eth1, id: 7 }]";
    net.sh("ip link add eth1 type dummy; ip link set eth1 up");
    applies(&net, settings);
    // What a boot leaves is a namespace in which nothing is set, and the state directory. The interface is there, and
    // not up yet.
    nix::sched::unshare(nix::sched::CloneFlags::CLONE_NEWNET).unwrap();
    net.sh("ip link set lo up; ip link add eth1 type dummy");
    let before = everything(&net);
    let told = || {
        net.sh(
            "sysctl -n net.ipv4.ip_forward net.ipv4.vs.conntrack; ipvsadm -L --timeout; ipvsadm -L --daemon",
        )
    };
    let head = "1\n1\nTimeout (tcp tcpfin udp): 600 120 300\n";
    let daemon = |role, length| {
        format!(
            "{role} sync daemon (mcast=eth1, syncid=7, maxlen={length}, group=224.0.0.81, port=8848, ttl=1)\n"
        )
    };
    let (master, backup) = (daemon("master", 1472), daemon("backup", 1472));
    lbd(&net, &["restore"]);
    assert_eq!(told().replace("\n\n", "\n"), format!("{head}{backup}"));
    net.sh("ip link set eth1 up");
    // From the last state that was verified, too.
    net.write("desired.yaml", "version: 1\nclusters: [\n");
    let restore = net.lbd(&["-f", "desired.yaml", "restore"]);
    assert_eq!(restore.status, 0, "{restore:?}");
    assert_eq!(told(), format!("{head}{master}{backup}"));
    lbd(&net, &["teardown", "--yes"]);
    assert_eq!(differences(&net, &before), "");
}

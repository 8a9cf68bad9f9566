//! Sync daemons on a real kernel, judged by `ipvsadm` and by a client that shares no code with lbd.

#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing)]

use std::time::{Duration, Instant};

use crate::lab::{Netns, Output};
use crate::tables::{self, real, scheduling, server, service};
use lbd::kernel::ipvs::Ipvs;
use lbd::kernel::{Kernel, ReadScope};
use lbd::model::{
    Forwarding, Operation, RestartCause, ServerOp, ServiceOp, SetSysctl, SetTimeouts, SyncDaemon, SyncOp,
    SyncRole, Timeouts, Tunnel,
};
use serde_json::json;

/// Runs lbd on the file `desired.yaml` of the test.
fn lbd(net: &Netns, arguments: &[&str]) -> Output {
    let mut all = vec!["-f", "desired.yaml"];
    all.extend(arguments);
    net.lbd(&all)
}

fn desired(net: &Netns, sync: &str) {
    net.write(
        "desired.yaml",
        &format!("version: 1\nclusters: []\npolicy: {{ allow_empty: true }}\nsync: [{sync}]\n"),
    );
}

#[track_caller]
fn applies(net: &Netns, sync: &str) {
    desired(net, sync);
    let apply = lbd(net, &["apply"]);
    assert_eq!((apply.status, apply.stderr.as_str()), (0, ""), "{sync}: {apply:?}");
    rests(net);
}

/// Finds it in sync: that nothing is written then is tested once, in `cli`.
#[track_caller]
fn rests(net: &Netns) {
    let diff = lbd(net, &["diff"]);
    assert_eq!(diff.status, 0, "{diff:?}");
}

/// A namespace with an interface that is up.
fn namespace() -> Netns {
    let net = Netns::new();
    net.sh("ip link add eth1 type dummy; ip addr add 10.3.3.3/24 dev eth1; ip link set eth1 up");
    net
}

/// The daemons as `ipvsadm` tells them, in its short form.
#[track_caller]
fn daemons(net: &Netns) -> Vec<String> {
    let text = net.sh("ipvsadm -L --daemon");
    text.lines().filter(|line| !line.is_empty()).map(|line| line.replace(" sync daemon", "")).collect()
}

const MASTER: &str = "master (mcast=eth1, syncid=7, maxlen=1472, group=224.0.0.81, port=8848, ttl=1)";
const BACKUP: &str = "backup (mcast=eth1, syncid=8, maxlen=1472, group=224.0.0.81, port=8848, ttl=1)";

#[test]
fn master_and_backup_run_at_once_with_every_attribute() {
    let net = namespace();
    applies(&net, "{ role: master, interface: eth1, id: 7 }, { role: backup, interface: eth1, id: 8 }");
    assert_eq!(daemons(&net), [MASTER, BACKUP]);
    // Found in sync is no write.
    let (again, heard) = net.lbd_overheard(&["-f", "desired.yaml", "apply"]);
    assert_eq!((again.status, &heard["writes"]), (0, &json!(0)), "{again:?} {heard}");
    applies(
        &net,
        "{ role: backup, interface: eth1, id: 255, sync_maxlen: 9000, mcast_group: 'ff05::51', mcast_port: 65535, mcast_ttl: 255 },
         { role: master, interface: eth1, sync_maxlen: 1, mcast_group: 239.1.2.3, mcast_port: 1, mcast_ttl: 3 }",
    );
    assert_eq!(
        net.table()["sync"],
        json!([
            {
                "role": "master", "interface": "eth1", "id": 0, "max_length": 1, "group": "239.1.2.3", "port": 1,
                "ttl": 3,
            },
            {
                "role": "backup", "interface": "eth1", "id": 255, "max_length": 9000, "group": "ff05::51",
                "port": 65535, "ttl": 255,
            },
        ])
    );
}

#[test]
fn each_attribute_of_a_daemon_that_runs_can_be_changed_and_the_other_daemon_runs_on() {
    let net = namespace();
    net.sh("ip link add eth2 type dummy; ip link set eth2 up mtu 9000");
    let other = "{ role: backup, interface: eth1, id: 8 }";
    let settings_and_daemons = [
        ("interface: eth1, id: 7", MASTER),
        ("interface: eth1, id: 9", "eth1, syncid=9, maxlen=1472, group=224.0.0.81, port=8848, ttl=1"),
        ("interface: eth2, id: 9", "eth2, syncid=9, maxlen=1472, group=224.0.0.81, port=8848, ttl=1"),
        (
            "interface: eth2, sync_maxlen: 999",
            "eth2, syncid=0, maxlen=999, group=224.0.0.81, port=8848, ttl=1",
        ),
        (
            "interface: eth2, mcast_group: 'ff02::81'",
            "eth2, syncid=0, maxlen=1452, group=ff02::81, port=8848, ttl=1",
        ),
        (
            "interface: eth2, mcast_group: 239.9.9.9",
            "eth2, syncid=0, maxlen=1472, group=239.9.9.9, port=8848, ttl=1",
        ),
        (
            "interface: eth2, mcast_port: 9000",
            "eth2, syncid=0, maxlen=1472, group=224.0.0.81, port=9000, ttl=1",
        ),
        ("interface: eth2, mcast_ttl: 9", "eth2, syncid=0, maxlen=1472, group=224.0.0.81, port=8848, ttl=9"),
        ("interface: eth2", "eth2, syncid=0, maxlen=1472, group=224.0.0.81, port=8848, ttl=1"),
    ];
    for (place, (settings, expected)) in settings_and_daemons.into_iter().enumerate() {
        desired(&net, &format!("{{ role: master, {settings} }}, {other}"));
        // What is requested is heard for the start of both, and for one change; a plan is tested without a kernel.
        if place < 2 {
            let (apply, heard) = net.lbd_overheard(&["-f", "desired.yaml", "apply"]);
            assert_eq!((apply.status, apply.stderr.as_str()), (0, ""), "{settings}: {apply:?}");
            let counts = (&heard["ipvs"]["NEW_DAEMON"], &heard["ipvs"]["DEL_DAEMON"]);
            let expected = [(json!(2), json!(null)), (json!(1), json!(1))];
            assert_eq!(counts, (&expected[place].0, &expected[place].1), "{settings}: {heard}");
        } else {
            let apply = lbd(&net, &["apply"]);
            assert_eq!((apply.status, apply.stderr.as_str()), (0, ""), "{settings}: {apply:?}");
        }
        let [master, backup] = &daemons(&net)[..] else { panic!("{:?}", daemons(&net)) };
        assert!(master.contains(expected), "{settings}: {master}");
        assert_eq!(backup, BACKUP);
        rests(&net);
    }
    // What a backup takes follows its interface.
    applies(&net, "{ role: backup, interface: eth2 }");
    assert_eq!(
        daemons(&net),
        ["backup (mcast=eth2, syncid=0, maxlen=8972, group=224.0.0.81, port=8848, ttl=1)"]
    );
}

#[test]
fn what_was_stopped_or_changed_by_hand_is_repaired() {
    let net = namespace();
    let file = "{ role: master, interface: eth1, id: 7 }, { role: backup, interface: eth1, id: 8 }";
    applies(&net, file);
    net.sh("ipvsadm --stop-daemon backup; ipvsadm --stop-daemon master
        ipvsadm --start-daemon master --mcast-interface lo --syncid 1");
    let diff = lbd(&net, &["diff"]);
    assert_eq!(diff.status, 1, "{diff:?}");
    let planned = "  ~ sync master  interface: lo -> eth1, id: 1 -> 7\n";
    assert!(diff.stdout.contains(planned), "{}", diff.stdout);
    applies(&net, file);
    assert_eq!(daemons(&net), [MASTER, BACKUP]);
}

#[test]
fn a_daemon_that_left_the_file_is_stopped_and_one_of_somebody_else_is_left_alone() {
    let net = namespace();
    net.sh("ipvsadm --start-daemon backup --mcast-interface eth1 --syncid 8");
    applies(&net, "{ role: master, interface: eth1, id: 7 }");
    assert_eq!(daemons(&net), [MASTER, BACKUP]);
    applies(&net, "");
    assert_eq!(daemons(&net), [BACKUP]);
    // One that is started by hand afterwards is not lbd's either, nor is the one at the end.
    net.sh("ipvsadm --start-daemon master --mcast-interface eth1 --syncid 7");
    applies(&net, "");
    let teardown = lbd(&net, &["teardown", "--yes"]);
    assert_eq!((teardown.status, daemons(&net)), (0, vec![MASTER.into(), BACKUP.into()]), "{teardown:?}");
    applies(&net, "{ role: master, interface: eth1, id: 9 }");
    let teardown = lbd(&net, &["teardown", "--yes"]);
    assert_eq!((teardown.status, daemons(&net)), (0, vec![BACKUP.into()]), "{teardown:?}");
}

#[test]
fn a_daemon_waits_for_its_interface_and_a_master_for_it_to_be_up() {
    let net = Netns::new();
    let file = "{ role: master, interface: eth1, id: 7 }, { role: backup, interface: eth1, id: 8 }";
    applies(&net, file);
    assert_eq!(daemons(&net), [] as [&str; 0]);
    let diff = lbd(&net, &["diff"]);
    assert!(
        diff.stdout.contains("start sync master on eth1  until interface eth1 is up\n"),
        "{}",
        diff.stdout
    );
    assert!(
        diff.stdout.contains("start sync backup on eth1  until interface eth1 is there\n"),
        "{}",
        diff.stdout
    );
    net.sh("ip link add eth1 type dummy");
    applies(&net, file);
    assert_eq!(daemons(&net), [BACKUP]);
    net.sh("ip link set eth1 up");
    applies(&net, file);
    assert_eq!(daemons(&net), [MASTER, BACKUP]);
    // A daemon that runs is not stopped for one that could not start.
    applies(&net, "{ role: master, interface: eth2 }, { role: backup, interface: eth1, id: 8 }");
    assert_eq!(daemons(&net), [MASTER, BACKUP]);
    net.sh("ip link set eth1 down");
    applies(&net, "{ role: master, interface: eth1, id: 1 }, { role: backup, interface: eth1, id: 8 }");
    assert_eq!(daemons(&net), [MASTER, BACKUP]);
}

#[test]
fn a_refused_restart_leaves_the_old_daemon_running_and_says_so() {
    let net = namespace();
    applies(&net, "{ role: master, interface: eth1, id: 7 }");
    net.sh("sysctl -q -w net.ipv6.conf.eth1.disable_ipv6=1");
    desired(&net, "{ role: master, interface: eth1, id: 7, mcast_group: 'ff02::81' }");
    let apply = lbd(&net, &["apply"]);
    assert_eq!(apply.status, 2, "{apply:?}");
    let said = "error: restart sync master on eth1: nothing can be sent to an IPv6 group by interface eth1 (ENETUNREACH); set \
                it up (`ip link set eth1 up`), and see that net.ipv6.conf.eth1.disable_ipv6 is 0; the old one runs again\n";
    assert_eq!(apply.stderr, said);
    assert_eq!(daemons(&net), [MASTER]);
}

#[test]
fn servers_of_another_family_and_sync_daemons_exclude_each_other_in_words_and_follow_each_other() {
    let net = namespace();
    net.ready();
    net.sh("ipvsadm -A -t 10.0.0.9:80; ipvsadm -a -t 10.0.0.9:80 -r [fd00::9]:80 -i");
    desired(&net, "{ role: master, interface: eth1, id: 7 }");
    let apply = lbd(&net, &["apply"]);
    assert_eq!(apply.status, 2, "{apply:?}");
    assert!(apply.stderr.contains("a server of another family"), "{}", apply.stderr);
    assert!(apply.stderr.contains("foreign ones included"), "{}", apply.stderr);
    net.sh("ipvsadm -D -t 10.0.0.9:80");
    let mixed = "version: 1
clusters:
  - { name: a, listen: tcp://10.0.0.1:80, forward: tun, servers: ['[fd00::9]:80'] }
";
    let rules = ["-A -t 10.0.0.1:80 -s wlc", "-a -t 10.0.0.1:80 -r [fd00::9]:80 -i -w 1 --tun-type ipip"]
        .map(str::to_owned)
        .to_vec();
    applies(&net, "{ role: master, interface: eth1, id: 7 }");
    for _ in 0..2 {
        net.write("desired.yaml", mixed);
        let apply = lbd(&net, &["apply"]);
        assert_eq!((apply.status, apply.stderr.as_str()), (0, ""), "{apply:?}");
        assert_eq!((net.ipvsadm_save(), daemons(&net)), (rules.clone(), vec![]));
        applies(&net, "{ role: master, interface: eth1, id: 7 }");
        assert_eq!((net.ipvsadm_save(), daemons(&net)), (vec![], vec![MASTER.to_owned()]));
    }
}

fn daemon(role: SyncRole, id: u8) -> SyncDaemon {
    SyncDaemon { role, interface: "eth1".into(), id, max_length: None, group: None, port: None, ttl: None }
}

/// The thread of a daemon that is stopped at once has not run yet, and the kernel does not answer then.
#[test]
fn a_daemon_that_is_stopped_at_once_costs_no_time_and_fails_nothing() {
    let net = namespace();
    net.sh("sysctl -q -w net.ipv4.vs.sync_ports=8");
    let mut kernel = Ipvs::connect().unwrap();
    let (role, start, cause) = (SyncRole::Master, Instant::now(), RestartCause::Attributes);
    for id in 0..20 {
        let (one, other) = (daemon(role, id), daemon(role, id + 1));
        let operations = [
            Operation::Sync(SyncOp::Start { to: one.clone().into() }),
            Operation::Sync(SyncOp::Restart { from: one.into(), to: other.clone().into(), cause }),
            Operation::Sync(SyncOp::Restart { from: other.into(), to: daemon(role, 100).into(), cause }),
            Operation::Sync(SyncOp::Stop { role }),
        ];
        tables::execute(&mut kernel, &operations);
        assert_eq!(daemons_of(&mut kernel), []);
        tables::execute(&mut kernel, &operations[..3]);
        assert!(daemons_of(&mut kernel)[0].is(&daemon(role, 100)));
        tables::execute(&mut kernel, &operations[3..]);
    }
    assert!(start.elapsed() < Duration::from_secs(40), "{:?}", start.elapsed());
    assert_eq!(daemons(&net), [] as [&str; 0]);
    let refusal = kernel.execute(&[Operation::Sync(SyncOp::Stop { role })]).unwrap().remove(&0).unwrap();
    assert_eq!(
        refusal.message,
        "no sync master runs any more (ESRCH); another program stopped it, read again"
    );
}

fn daemons_of(kernel: &mut Ipvs) -> Vec<SyncDaemon> {
    kernel.read(&ReadScope::default()).unwrap().state.sync
}

#[test]
fn what_is_mixed_with_edits_of_the_table_keeps_its_place() {
    let _net = namespace();
    let mut kernel = Ipvs::connect().unwrap();
    let (key, mixed) = (service("tcp://10.0.0.1:80"), server("[fd00::9]:80"));
    let (to, role) = (real(1, Forwarding::Tunnel(Tunnel::IPIP)), SyncRole::Master);
    let add = Operation::Server(ServerOp::Add { service: key, server: mixed, to });
    let set = |tcp| {
        Operation::Timeouts(SetTimeouts {
            from: Timeouts::default(),
            to: Timeouts { tcp: Some(tcp), ..Timeouts::default() },
        })
    };
    let operations = [
        Operation::Service(ServiceOp::Add { service: key, to: scheduling("rr").into() }),
        set(u32::MAX),
        Operation::Sync(SyncOp::Start { to: daemon(role, 7).into() }),
        add.clone(),
        Operation::Sync(SyncOp::Stop { role }),
        add.clone(),
        Operation::Sync(SyncOp::Start { to: daemon(role, 7).into() }),
        Operation::Sysctl(SetSysctl { name: "net.ipv4.vs.conntrack".into(), from: None, to: "1".into() }),
        Operation::Server(ServerOp::Delete { service: key, server: mixed }),
        Operation::Sync(SyncOp::Start { to: daemon(role, 7).into() }),
        Operation::Sync(SyncOp::Start { to: daemon(role, 7).into() }),
        set(77),
        Operation::Service(ServiceOp::Delete { service: key }),
    ];
    let refusals = kernel.execute(&operations).unwrap();
    let errnos: Vec<_> =
        (0..operations.len()).map(|place| refusals.get(&place).map_or(0, |refusal| refusal.errno)).collect();
    let (inval, exist, notsupp) = (libc::EINVAL, libc::EEXIST, libc::EOPNOTSUPP);
    assert_eq!(errnos, [0, inval, 0, inval, 0, 0, inval, notsupp, 0, 0, exist, 0, 0]);
    let said = |place: usize| refusals[&place].message.clone();
    assert!(said(1).starts_with("tcp with 4294967295 s is longer than this kernel can count"), "{}", said(1));
    assert!(said(10).starts_with("a sync master runs already (EEXIST); "), "{}", said(10));
    let live = kernel.read(&ReadScope::default()).unwrap();
    assert_eq!((live.state.services.len(), live.state.sync.len(), live.state.timeouts.tcp), (0, 1, Some(77)));
}

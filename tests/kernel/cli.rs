//! The commands on a real kernel, judged by `ipvsadm` and by a netlink client that shares no code with lbd.

#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing)]

use std::fs;
use std::process::Stdio;

use crate::lab::{self, Netns, Output};
use serde_json::{Value, json};

/// Runs lbd on the file `desired.yaml` of the test.
fn lbd(net: &Netns, arguments: &[&str]) -> Output {
    let mut all = vec!["-f", "desired.yaml"];
    all.extend(arguments);
    net.lbd(&all)
}

fn desired(net: &Netns, clusters: &str) {
    net.write("desired.yaml", &format!("version: 1\nclusters:{clusters}\n"));
}

fn json_of(output: &Output) -> Value {
    serde_json::from_str(&output.stdout).unwrap_or_else(|error| panic!("{error}: {output:?}"))
}

const WEB: &str = "
  - name: web
    listen: tcp://10.0.0.13:80
    scheduler: rr
    forward: nat
    servers: [192.168.8.14, { address: '192.168.8.15:8080', weight: 3 }]";

/// What `ipvsadm -Sn` shows then.
const WEB_RULES: [&str; 3] = [
    "-A -t 10.0.0.13:80 -s rr",
    "-a -t 10.0.0.13:80 -r 192.168.8.14:80 -m -w 1",
    "-a -t 10.0.0.13:80 -r 192.168.8.15:8080 -m -w 3",
];

#[test]
fn diff_shows_what_apply_then_does_and_both_find_it_done() {
    let net = Netns::new();
    net.ready();
    desired(&net, WEB);
    let plan = "\
tcp://10.0.0.13:80 (web)
  + service  scheduler: rr
  + server 192.168.8.14:80  forward: nat, weight: 1
  + server 192.168.8.15:8080  forward: nat, weight: 3
";
    let diff = lbd(&net, &["diff"]);
    assert_eq!((diff.status, diff.stderr.as_str()), (1, ""));
    assert_eq!(
        diff.stdout,
        format!("{plan}fingerprint: 935fe7d98c784958\n3 to add, 0 to edit, 0 to delete\n")
    );
    assert_eq!(net.ipvsadm_save(), Vec::<String>::new());
    assert!(!net.state_dir().exists(), "diff wrote into the state directory");

    let apply = lbd(&net, &["apply"]);
    assert_eq!((apply.status, apply.stderr.as_str()), (0, ""));
    let verified = "verified: 3 added, 0 edited, 0 deleted; 1 virtual service, 2 real servers\n";
    assert_eq!(apply.stdout, format!("{plan}{verified}"));
    assert_eq!(net.ipvsadm_save(), WEB_RULES);

    let diff = lbd(&net, &["diff"]);
    assert_eq!((diff.status, diff.stdout.as_str()), (0, "in sync: 1 virtual service, 2 real servers\n"));
    let apply = lbd(&net, &["apply"]);
    let verified = "verified: nothing to do; 1 virtual service, 2 real servers\n";
    assert_eq!((apply.status, apply.stdout.as_str()), (0, verified));
}

#[test]
fn in_sync_means_no_write_at_all_as_somebody_else_hears_it() {
    let net = Netns::new();
    desired(&net, WEB);
    let (apply, heard) = net.lbd_overheard(&["-f", "desired.yaml", "apply"]);
    assert_eq!(apply.status, 0, "{apply:?}");
    assert_eq!(heard["writes"], json!(3), "one request for each operation: {heard}");
    for verb in ["apply", "diff"] {
        let (output, heard) = net.lbd_overheard(&["-f", "desired.yaml", verb]);
        assert_eq!(output.status, 0, "{output:?}");
        assert_eq!(heard["writes"], json!(0), "{verb}: {heard}");
        assert!(heard["ipvs"]["GET_SERVICE"].as_u64() >= Some(1), "nobody listened: {heard}");
    }
}

#[test]
fn diff_and_status_of_a_cluster_show_a_part_and_end_with_its_exit_code() {
    let net = Netns::new();
    net.ready();
    net.sh("ipvsadm -A -t 10.9.9.9:80 -s rr");
    desired(
        &net,
        &format!(
            "{WEB}\n  - {{ name: mail, listen: 'tcp://10.0.0.14:25', forward: nat, servers: [192.168.8.16] }}"
        ),
    );
    assert_eq!(lbd(&net, &["apply"]).status, 0);
    net.sh("ipvsadm -e -t 10.0.0.14:25 -r 192.168.8.16 -m -w 5");
    for verb in ["diff", "status"] {
        let codes = [&[verb][..], &[verb, "mail"], &[verb, "web"]].map(|words| lbd(&net, words).status);
        assert_eq!(codes, [1, 1, 0], "{verb}");
        let unknown = lbd(&net, &[verb, "wbe"]);
        let says = "error: wbe: no cluster has this name; did you mean `web`?\n";
        assert_eq!((unknown.status, unknown.stdout.as_str(), unknown.stderr.as_str()), (2, "", says));
    }
    let status = lbd(&net, &["status", "web"]).stdout;
    let shown = ["in sync: 1 virtual service, 2 real servers\n", "192.168.8.14:80", "10.0.0.14", "10.9.9.9"]
        .map(|words| status.contains(words));
    assert_eq!(shown, [true, true, false, false], "{status}");
    // Of a cluster that leaves the file, what is to be deleted.
    desired(&net, WEB);
    let diff = lbd(&net, &["diff", "mail", "-o", "json"]);
    assert_eq!((diff.status, &json_of(&diff)["summary"]), (1, &json!({ "add": 0, "edit": 0, "delete": 1 })));
}

#[test]
fn a_reader_of_apply_that_goes_away_changes_neither_the_work_nor_the_exit_code() {
    let net = Netns::new();
    net.ready();
    desired(&net, WEB);
    let run = |verb: &str| {
        let mut command = net.lbd_command(&["-f", "desired.yaml", verb]);
        let mut child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        drop(child.stdout.take());
        let output = child.wait_with_output().unwrap();
        (output.status.code(), String::from_utf8(output.stderr).unwrap())
    };
    for verb in ["apply", "status", "apply", "restore"] {
        assert_eq!(run(verb), (Some(0), String::new()), "{verb}");
        assert_eq!(net.ipvsadm_save(), WEB_RULES);
    }
}

#[test]
fn one_changed_weight_is_one_write() {
    let net = Netns::new();
    desired(&net, WEB);
    assert_eq!(lbd(&net, &["apply"]).status, 0);
    net.sh("ipvsadm -e -t 10.0.0.13:80 -r 192.168.8.15:8080 -m -w 9");
    let (apply, heard) = net.lbd_overheard(&["-f", "desired.yaml", "apply"]);
    assert_eq!(apply.status, 0, "{apply:?}");
    assert_eq!((&heard["writes"], &heard["ipvs"]["SET_DEST"]), (&json!(1), &json!(1)), "{heard}");
}

#[test]
fn the_json_of_diff_and_apply_is_what_scripts_were_promised() {
    let net = Netns::new();
    net.ready();
    net.sh("ipvsadm -A -t 10.9.9.9:80 -s rr; ipvsadm -a -t 10.9.9.9:80 -r 127.0.0.1:81 -m");
    net.sh("ipvsadm -A -t 10.0.0.13:80 -s rr; ipvsadm -a -t 10.0.0.13:80 -r 192.168.8.14 -m");
    net.sh("ipvsadm -a -t 10.0.0.13:80 -r 192.168.8.99 -m");
    desired(&net, WEB.replace("192.168.8.14,", "{ address: 192.168.8.14, weight: 2 },").as_str());
    let service = json!("tcp://10.0.0.13:80");
    let operations = json!([
        {
            "action": "add", "kind": "server", "cluster": "web", "service": service, "server": "192.168.8.15:8080",
            "changes": [
                { "field": "forward", "from": null, "to": "nat" },
                { "field": "weight", "from": null, "to": 3 },
            ],
        },
        {
            "action": "edit", "kind": "server", "cluster": "web", "service": service, "server": "192.168.8.14:80",
            "changes": [{ "field": "weight", "from": 1, "to": 2 }],
        },
        { "action": "delete", "kind": "server", "cluster": "web", "service": service, "server": "192.168.8.99:80" },
    ]);
    let foreign = json!([{ "service": "tcp://10.9.9.9:80", "servers": ["127.0.0.1:81"] }]);
    let summary = json!({ "add": 1, "edit": 1, "delete": 1 });
    let diff = lbd(&net, &["diff", "--output", "json"]);
    assert_eq!(diff.status, 1);
    assert_eq!(
        json_of(&diff),
        json!({
            "version": 1, "in_sync": false, "operations": operations, "foreign": foreign, "summary": summary,
            "fingerprint": "922ca800edb94eb0",
        })
    );
    let apply = lbd(&net, &["apply", "--output", "json"]);
    assert_eq!(apply.status, 0);
    assert_eq!(
        json_of(&apply),
        json!({
            "version": 1, "in_sync": true, "operations": operations, "foreign": foreign, "summary": summary,
            "failed": [],
        })
    );
    let diff = lbd(&net, &["diff", "--output", "json"]);
    assert_eq!(
        json_of(&diff),
        json!({
            "version": 1, "in_sync": true, "operations": [], "foreign": foreign,
            "summary": { "add": 0, "edit": 0, "delete": 0 },
        })
    );
}

#[test]
fn the_ipvsadm_form_of_diff_does_what_apply_would() {
    let net = Netns::new();
    net.sh("ipvsadm -A -t 10.0.0.13:80 -s wlc; ipvsadm -a -t 10.0.0.13:80 -r 192.168.8.99 -m");
    desired(&net, WEB);
    let diff = lbd(&net, &["diff", "--output", "ipvsadm"]);
    assert_eq!(diff.status, 1);
    net.sh(&diff.stdout);
    assert_eq!(lbd(&net, &["diff"]).status, 0, "{}", diff.stdout);
}

#[test]
fn somebody_elses_service_is_reported_and_left_alone() {
    let net = Netns::new();
    net.sh("ipvsadm -A -u 10.9.9.9:53 -s wrr");
    desired(&net, WEB);
    let apply = lbd(&net, &["apply"]);
    assert_eq!(apply.status, 0);
    assert!(
        apply.stdout.contains("foreign, left alone:\n  udp://10.9.9.9:53  0 servers\n"),
        "{}",
        apply.stdout
    );
    assert_eq!(lbd(&net, &["diff"]).status, 0);
    assert!(net.ipvsadm_save().contains(&"-A -u 10.9.9.9:53 -s wrr".to_owned()));
    assert_eq!(lbd(&net, &["apply", "--prune=all"]).status, 0);
    assert_eq!(net.ipvsadm_save(), WEB_RULES);
}

#[test]
fn what_leaves_the_file_leaves_the_kernel_unless_a_guard_objects() {
    let net = Netns::new();
    let cluster = |number: u8| {
        format!(
            "\n  - {{ name: c{number}, listen: 'tcp://10.0.0.{number}:80', forward: nat, servers: [192.168.8.14] }}"
        )
    };
    let clusters = |numbers: &[u8]| numbers.iter().map(|number| cluster(*number)).collect::<String>();
    let services = |net: &Netns| {
        let lines = net.ipvsadm_save();
        lines.into_iter().filter(|line| line.starts_with("-A")).collect::<Vec<_>>()
    };
    desired(&net, &clusters(&[1, 2, 3, 4]));
    assert_eq!(lbd(&net, &["apply"]).status, 0);

    desired(&net, &clusters(&[1]));
    let diff = lbd(&net, &["diff"]);
    assert_eq!(diff.status, 1);
    assert!(diff.stdout.contains("apply would refuse: 3 of 4 virtual services would be deleted ("));
    let apply = lbd(&net, &["apply"]);
    assert_eq!(apply.status, 3);
    assert!(
        apply.stderr.contains("refused, nothing was changed: 3 of 4 virtual services would be deleted"),
        "{}",
        apply.stderr
    );
    let four = [1, 2, 3, 4].map(|number| format!("-A -t 10.0.0.{number}:80 -s wlc"));
    assert_eq!(services(&net), four);
    assert_eq!(lbd(&net, &["apply", "--prune=never"]).status, 0);
    assert_eq!(services(&net), four);
    assert_eq!(lbd(&net, &["apply", "--allow-deletes"]).status, 0);
    assert_eq!(services(&net), ["-A -t 10.0.0.1:80 -s wlc"]);

    desired(&net, " []");
    assert_eq!(lbd(&net, &["apply"]).status, 3);
    assert_eq!(lbd(&net, &["apply", "--allow-deletes"]).status, 3);
    assert_eq!(lbd(&net, &["apply", "--allow-empty"]).status, 0);
    assert_eq!(services(&net), Vec::<String>::new());
}

#[test]
fn a_bad_file_changes_nothing() {
    let net = Netns::new();
    desired(&net, WEB);
    assert_eq!(lbd(&net, &["apply"]).status, 0);
    let before = net.table();
    for text in ["version: 1\nclusters: [\n", "version: 1\nclusters: [{name: x}]\n"] {
        net.write("desired.yaml", text);
        for verb in ["apply", "diff", "validate"] {
            let output = lbd(&net, &[verb]);
            assert_eq!(
                (output.status, output.stdout.as_str()),
                (2, ""),
                "{verb} {text:?}: {}",
                output.stderr
            );
            assert!(output.stderr.contains("desired.yaml:"), "{}", output.stderr);
        }
    }
    assert_eq!(net.table(), before);
}

#[test]
fn what_the_kernel_refuses_is_named_and_the_rest_is_done() {
    let net = Netns::new();
    desired(
        &net,
        "
  - { name: odd, listen: 'tcp://10.0.0.1:80', scheduler: 'module:nosuch', servers: [192.168.8.14] }
  - { name: web, listen: 'tcp://10.0.0.2:80', scheduler: rr, forward: nat, servers: [192.168.8.14] }",
    );
    let apply = lbd(&net, &["apply"]);
    assert_eq!(apply.status, 2);
    assert!(
        apply
            .stderr
            .contains("add service tcp://10.0.0.1:80: this kernel cannot load scheduler `nosuch` (ENOENT)")
    );
    assert!(
        apply
            .stderr
            .contains("add server 192.168.8.14:80 to tcp://10.0.0.1:80: its virtual service was rejected")
    );
    assert_eq!(
        net.ipvsadm_save(),
        ["-A -t 10.0.0.2:80 -s rr", "-a -t 10.0.0.2:80 -r 192.168.8.14:80 -m -w 1"]
    );
}

#[test]
fn servers_get_the_order_of_the_file_so_that_two_directors_schedule_alike() {
    let net = Netns::new();
    let servers = ["192.168.8.19", "192.168.8.14", "192.168.8.17", "192.168.8.11"];
    let clusters = format!(
        "\n  - {{ name: web, listen: 'tcp://10.0.0.13:80', scheduler: sh, forward: nat, servers: [{}] }}",
        servers.join(", ")
    );
    desired(&net, &clusters);
    assert_eq!(lbd(&net, &["apply"]).status, 0);
    // The kernel puts each new server at the head of its list (ipvsadm would sort them).
    let table = net.table();
    let listed: Vec<&str> = table["services"][0]["servers"]
        .as_array()
        .unwrap()
        .iter()
        .rev()
        .map(|server| server["address"].as_str().unwrap())
        .collect();
    assert_eq!(listed, servers);
}

#[test]
fn live_connections_are_named_before_they_are_cut() {
    let net = Netns::new();
    net.sh("ip addr add 10.0.0.13/32 dev lo; echo 1 > /proc/sys/net/ipv4/ip_forward");
    desired(
        &net,
        "\n  - { name: web, listen: 'tcp://10.0.0.13:80', forward: dr, drain: 0, servers: [127.0.0.1, 127.0.0.2] }",
    );
    assert_eq!(lbd(&net, &["apply"]).status, 0);
    net.sh("ipvsadm -e -t 10.0.0.13:80 -r 127.0.0.2:80 -g -w 0");
    let server = std::net::TcpListener::bind("10.0.0.13:80").unwrap();
    let client = std::net::TcpStream::connect("10.0.0.13:80").unwrap();
    let accepted = server.accept().unwrap();
    desired(
        &net,
        "\n  - { name: web, listen: 'tcp://10.0.0.13:80', forward: dr, drain: 0, servers: [127.0.0.2] }",
    );
    let diff = lbd(&net, &["diff"]);
    assert_eq!(
        diff.stdout,
        "\
tcp://10.0.0.13:80 (web)
  ~ server 127.0.0.2:80  weight: 0 -> 1
  - server 127.0.0.1:80
      leaves 1 active connection hanging until the timeout (net.ipv4.vs.expire_nodest_conn is 0)
fingerprint: 61b9069c7e59e31b
0 to add, 1 to edit, 1 to delete
"
    );
    drop((client, accepted));
}

#[test]
fn a_kernel_without_permission_is_explained() {
    let net = Netns::new();
    desired(&net, WEB);
    net.sh("chmod 755 . && chmod 644 desired.yaml");
    let diff = net.try_sh(&format!(
        "exec setpriv --reuid=1000 --regid=1000 --clear-groups --inh-caps=-all {} -f desired.yaml diff",
        lab::lbd()
    ));
    assert_eq!((diff.status, diff.stdout.as_str()), (2, ""), "{diff:?}");
    assert!(diff.stderr.contains("CAP_NET_ADMIN"), "{}", diff.stderr);
    let status = net.try_sh(&format!(
        "exec setpriv --reuid=1000 --regid=1000 --clear-groups --inh-caps=-all {} -f desired.yaml --state-dir state status",
        lab::lbd()
    ));
    assert_eq!((status.status, status.stdout.as_str()), (2, "daemon: not running\n"), "{status:?}");
    assert!(status.stderr.contains("CAP_NET_ADMIN"), "{}", status.stderr);
    // It said "stop it first", and no daemon ran.
    let teardown = net.try_sh(&format!(
        "exec setpriv --reuid=1000 --regid=1000 --clear-groups --inh-caps=-all {} --state-dir state teardown --yes",
        lab::lbd()
    ));
    assert_eq!((teardown.status, teardown.stdout.as_str()), (2, ""), "{teardown:?}");
    assert!(
        teardown.stderr.contains("run lbd as root") && !teardown.stderr.contains("stop it first"),
        "{}",
        teardown.stderr
    );
    let validate = net.try_sh(&format!(
        "exec setpriv --reuid=1000 --regid=1000 --clear-groups --inh-caps=-all {} -f desired.yaml validate",
        lab::lbd()
    ));
    assert_eq!(validate.status, 0, "{validate:?}");
}

/// Every attribute of a service and of a server that the kernel knows.
const EVERYTHING: &str = "
  - name: plain
    listen: [tcp://10.0.0.1:80, udp://10.0.0.1:53, sctp://10.0.0.1:2905, 'tcp://[fd00::1]:80']
    servers:
      - { address: 192.168.8.14, forward: tun }
      - { address: 192.168.8.15, forward: tun, tunnel: { type: gue, port: 6080, checksum: remcsum }, weight: 0 }
      - { address: 'fd00:8::14', forward: tun, tunnel: { type: gre, checksum: csum }, weight: 2147483647 }
  - name: persistent
    listen: tcp://10.0.0.2:0
    scheduler: sh
    scheduler_flags: [sh-fallback, sh-port, flag-3]
    persistence: 4294967
    persistence_mask: 255.255.255.0
    forward: nat
    servers: [{ address: 192.168.8.14, upper_threshold: 2147483647, lower_threshold: 5 }, 192.168.8.15]
  - name: sip
    listen: udp://10.0.0.3:5060
    scheduler: mh
    scheduler_flags: [mh-port]
    persistence: 1h
    persistence_engine: sip
    servers: [192.168.8.14]
  - name: six
    listen: 'tcp://[fd00::2]:443'
    persistence: 1
    persistence_mask: 64
    forward: nat
    servers: ['[fd00:8::14]:8443', '[fd00:8::14]:8444']
  - name: marks
    listen: [fwmark://10, fwmark6://10, fwmark://4294967295]
    one_packet: true
    scheduler: lblcr
    servers: []
  - name: ports
    listen: fwmark://11
    servers: ['192.168.8.14:80', 192.168.8.14, { address: '192.168.8.14:8080', forward: nat }]
marks: [{ mark: 10 }, { mark: 0xffffffff }, { mark: 11 }]";

#[test]
fn an_export_applied_elsewhere_gives_the_same_table() {
    let net = Netns::new();
    desired(&net, EVERYTHING);
    let apply = lbd(&net, &["apply"]);
    assert_eq!(apply.status, 0, "{apply:?}");
    let (table, rules) = (net.table(), net.ipvsadm_save());
    let services: Vec<&str> = rules
        .iter()
        .filter(|rule| rule.starts_with("-A"))
        .map(|rule| rule.split(" -s").next().unwrap())
        .collect();
    assert_eq!(
        services,
        [
            "-A --sctp-service 10.0.0.1:2905",
            "-A -f -1",
            "-A -f 10 -6",
            "-A -f 10",
            "-A -f 11",
            "-A -t 10.0.0.1:80",
            "-A -t 10.0.0.2:0",
            "-A -t [fd00::1]:80",
            "-A -t [fd00::2]:443",
            "-A -u 10.0.0.1:53",
            "-A -u 10.0.0.3:5060",
        ]
    );
    for form in ["yaml", "json"] {
        let export = net.lbd(&["export", "--output", form]);
        assert_eq!((export.status, export.stderr.as_str()), (0, ""), "{export:?}");
        // Where it came from, applying it changes nothing.
        net.write("desired.yaml", &export.stdout);
        let diff = lbd(&net, &["diff", "--prune=all"]);
        assert_eq!(diff.status, 0, "{diff:?}");

        let elsewhere = Netns::new();
        elsewhere.write("desired.yaml", &export.stdout);
        let apply = lbd(&elsewhere, &["apply"]);
        assert_eq!(apply.status, 0, "{apply:?}");
        assert_eq!(elsewhere.table(), table, "{form}");
        assert_eq!(elsewhere.ipvsadm_save(), rules, "{form}");
        // The thread is elsewhere now, with the same table: the next form starts from there.
    }
}

#[test]
fn saved_rules_become_a_file_that_gives_the_same_table() {
    let net = Netns::new();
    let rules = "\
-A -t 10.0.0.13:80 -s wrr -p 600 -M 255.255.255.0
-a -t 10.0.0.13:80 -r 192.168.8.14:80 -m -w 1
-a -t 10.0.0.13:80 -r 192.168.8.15:80 -g -w 3
-A -u 10.0.0.13:53 -s sh -b sh-fallback -o
-a -u 10.0.0.13:53 -r 192.168.8.21:53 -i -w 1 --tun-type gue --tun-port 5555 --tun-nocsum
-A -f 10 -s rr
-a -f 10 -r 192.168.8.7:0 -g -w 1
";
    net.write("rules", rules);
    net.sh("ipvsadm -R < rules");
    let (table, saved) = (net.table(), net.ipvsadm_save());
    net.sh("ipvsadm -Sn > saved; ipvsadm -C");
    let export = net.lbd(&["export", "--from", "saved"]);
    assert_eq!(
        (export.status, export.stderr.as_str()),
        (0, "note: saved: read as rules of ipvsadm\n"),
        "{export:?}"
    );
    net.write("desired.yaml", &export.stdout);
    assert_eq!(lbd(&net, &["apply"]).status, 0);
    assert_eq!((net.ipvsadm_save(), net.table()["services"].clone()), (saved, table["services"].clone()));
}

#[test]
fn an_export_holds_the_settings_that_were_asked_for() {
    let net = Netns::new();
    net.sh("ipvsadm --set 900 60 120; ipvsadm -A -f 10");
    let export = net.lbd(&["export", "--sysctl", "net.ipv4.ip_forward", "--sysctl", "net.ipv4.vs.conntrack"]);
    assert_eq!(export.status, 0, "{export:?}");
    assert_eq!(
        export.stdout,
        "\
# yaml-language-server: $schema=/usr/share/lbd/desired.schema.json
version: 1
sysctls:
  net.ipv4.ip_forward: 0
  net.ipv4.vs.conntrack: 0
marks:
- mark: 10
timeouts:
  tcp: 15m
  tcp_fin: 1m
  udp: 2m
clusters:
- name: fwmark-10
  listen: fwmark://10
  scheduler: wlc
  servers: []
"
    );
    let wrong = net.lbd(&["export", "--sysctl", "net.ipv4.no_such"]);
    assert_eq!(wrong.status, 2);
    assert!(wrong.stderr.starts_with("error: net.ipv4.no_such: "), "{}", wrong.stderr);
}

#[test]
fn what_no_file_can_ask_for_is_named_by_export() {
    let net = Netns::new();
    net.sh("ipvsadm -A -t 10.0.0.1:80 -s rr; ipvsadm -a -t 10.0.0.1:80 -r 192.168.8.14 -m");
    // ipvsadm sends what it is told: a netmask with a hole.
    net.sh("ipvsadm -A -t 10.0.0.2:80 -s rr -p 10 -M 255.0.255.0");
    let export = net.lbd(&["export"]);
    assert_eq!(export.status, 2);
    assert!(export.stdout.contains("\n- name: tcp-10.0.0.1-80\n"), "{}", export.stdout);
    assert!(export.stdout.contains("tcp://10.0.0.2:80"), "{}", export.stdout);
    assert!(export.stderr.contains("warning: tcp://10.0.0.2:80: "), "{}", export.stderr);
}

#[test]
fn a_full_disk_is_survived_and_told() {
    let net = Netns::new();
    net.ready();
    desired(&net, WEB);
    net.sh("mkdir state && mount -t tmpfs -o size=64k full state && head -c 65536 /dev/zero > state/filler");
    let apply = lbd(&net, &["apply"]);
    assert_eq!(apply.status, 0, "{apply:?}");
    assert!(apply.stderr.contains("state.json: No space left on device"), "{}", apply.stderr);
    assert_eq!(net.ipvsadm_save(), WEB_RULES);
    assert_eq!(net.sh("ls state"), "filler\nhistory\nlock\n");
    assert_eq!(
        lbd(&net, &["history"]).stderr,
        "note: the history is empty; it begins with the next file that is verified\n"
    );
    // With room again the next pass remembers what it owns.
    net.sh("rm state/filler");
    let apply = lbd(&net, &["apply"]);
    assert_eq!((apply.status, apply.stderr.as_str()), (0, ""));
    assert_eq!(
        lbd(&net, &["history", "show", "1"]).stdout,
        fs::read_to_string(net.path("desired.yaml")).unwrap()
    );
    desired(&net, " []");
    assert_eq!(lbd(&net, &["apply", "--allow-empty"]).status, 0);
    assert_eq!(net.ipvsadm_save(), Vec::<String>::new());
    net.sh("umount state");
}

//! The commands on a real kernel, judged by `ipvsadm` and by a netlink client that shares no code with lbd.

#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing)]

mod lab;

use lab::{Netns, Output};
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

#[test]
fn diff_shows_what_apply_then_does_and_both_find_it_done() {
    let net = Netns::new();
    desired(&net, WEB);
    let plan = "\
tcp://10.0.0.13:80 (web)
  + service  scheduler: rr
  + server 192.168.8.14:80  forward: nat, weight: 1
  + server 192.168.8.15:8080  forward: nat, weight: 3
";
    let diff = lbd(&net, &["diff"]);
    assert_eq!((diff.status, diff.stderr.as_str()), (1, ""));
    assert_eq!(diff.stdout, format!("{plan}3 to add, 0 to edit, 0 to delete\n"));
    assert_eq!(net.ipvsadm_save(), Vec::<String>::new());
    assert!(!net.state_dir().exists(), "diff wrote into the state directory");

    let apply = lbd(&net, &["apply"]);
    assert_eq!((apply.status, apply.stderr.as_str()), (0, ""));
    let verified = "verified: 3 added, 0 edited, 0 deleted; 1 virtual service, 2 real servers\n";
    assert_eq!(apply.stdout, format!("{plan}{verified}"));
    assert_eq!(
        net.ipvsadm_save(),
        [
            "-A -t 10.0.0.13:80 -s rr",
            "-a -t 10.0.0.13:80 -r 192.168.8.14:80 -m -w 1",
            "-a -t 10.0.0.13:80 -r 192.168.8.15:8080 -m -w 3",
        ]
    );

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
    assert_eq!(net.ipvsadm_save().len(), 3);
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
    assert!(
        diff.stdout.contains("apply would refuse: of 4 virtual services that lbd owns 3 would be deleted")
    );
    let apply = lbd(&net, &["apply"]);
    assert_eq!(apply.status, 3);
    assert!(apply.stderr.contains("refused, nothing was changed: of 4 virtual services"), "{}", apply.stderr);
    assert_eq!(services(&net).len(), 4);
    assert_eq!(lbd(&net, &["apply", "--prune=never"]).status, 0);
    assert_eq!(services(&net).len(), 4);
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
    for text in ["", "version: 1\n", "version: 1\nclusters: [\n", "version: 1\nclusters: [{name: x}]\n"] {
        net.write("desired.yaml", text);
        for verb in ["apply", "diff", "validate"] {
            let output = lbd(&net, &[verb]);
            assert_eq!((output.status, output.stdout.as_str()), (2, ""), "{verb} {text:?}");
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
            .contains("add server 192.168.8.14:80 to tcp://10.0.0.1:80: its virtual service was refused")
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
        "\n  - { name: web, listen: 'tcp://10.0.0.13:80', forward: nat, servers: ['127.0.0.1:8099', '127.0.0.2:8099'] }",
    );
    assert_eq!(lbd(&net, &["apply"]).status, 0);
    net.sh("ipvsadm -e -t 10.0.0.13:80 -r 127.0.0.2:8099 -m -w 0");
    let server = std::net::TcpListener::bind("127.0.0.1:8099").unwrap();
    let client = std::net::TcpStream::connect("10.0.0.13:80").unwrap();
    let accepted = server.accept().unwrap();
    desired(
        &net,
        "\n  - { name: web, listen: 'tcp://10.0.0.13:80', forward: nat, servers: ['127.0.0.2:8099'] }",
    );
    let diff = lbd(&net, &["diff"]);
    assert_eq!(
        diff.stdout,
        "\
tcp://10.0.0.13:80 (web)
  ~ server 127.0.0.2:8099  weight: 0 -> 1
  - server 127.0.0.1:8099
      leaves 1 active connection hanging until the timeout (net.ipv4.vs.expire_nodest_conn is 0; to take a server out \
gently, give it weight 0 first)
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
        env!("CARGO_BIN_EXE_lbd")
    ));
    assert_eq!((diff.status, diff.stdout.as_str()), (2, ""), "{diff:?}");
    assert!(diff.stderr.contains("CAP_NET_ADMIN"), "{}", diff.stderr);
    let validate = net.try_sh(&format!(
        "exec setpriv --reuid=1000 --regid=1000 --clear-groups --inh-caps=-all {} -f desired.yaml validate",
        env!("CARGO_BIN_EXE_lbd")
    ));
    assert_eq!(validate.status, 0, "{validate:?}");
}

//! Drains on a real kernel, with real connections: what becomes of a server that leaves the file, and of its clients.

#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing)]

use std::io::{ErrorKind, Read, Write};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::Duration;

use crate::lab::{Netns, Output};
use crate::running::{Daemon, soon};
use serde_json::{Value, json};

const VIP: &str = "10.0.0.1:80";

/// The file, with these servers of the service, and more of the cluster.
fn file(servers: &str, more: &str) -> String {
    format!(
        "version: 1
policy: {{ resync: 1h }}
clusters:
  - {{ name: web, listen: 'tcp://{VIP}', scheduler: rr, forward: nat, {more}servers: [{servers}] }}
  - {{ name: other, listen: 'tcp://10.0.0.1:81', scheduler: rr, forward: nat, servers: [192.168.8.9] }}
"
    )
}

/// Servers that answer each byte with their own number, and after `D` with one byte after the other.
fn serve(number: u8) -> TcpListener {
    let listener = TcpListener::bind((format!("192.168.8.{number}"), 80)).unwrap();
    let accepting = listener.try_clone().unwrap();
    thread::spawn(move || {
        while let Ok((mut connection, _)) = accepting.accept() {
            thread::spawn(move || {
                let mut byte = [0];
                while connection.read(&mut byte).is_ok_and(|read| read == 1) {
                    let endless = byte == *b"D";
                    while connection.write_all(&[number]).is_ok() && endless {
                        thread::sleep(Duration::from_millis(50));
                    }
                }
            });
        }
    });
    listener
}

fn connect() -> TcpStream {
    let connection = TcpStream::connect(VIP).unwrap();
    connection.set_read_timeout(Some(Duration::from_secs(2))).unwrap();
    connection
}

/// The number of the server that answers.
fn answers(mut connection: &TcpStream) -> Result<u8, ErrorKind> {
    let mut byte = [0];
    connection.write_all(b"x").map_err(|error| error.kind())?;
    connection.read_exact(&mut byte).map_err(|error| error.kind())?;
    Ok(byte[0])
}

/// The servers of the service as ipvsadm sees them: the last number of the address, and the weight.
fn table(net: &Netns) -> Vec<(u8, u32)> {
    let of = |line: &String| {
        let words: Vec<&str> = line.split(' ').collect();
        match words[..] {
            ["-a", "-t", VIP, "-r", server, "-m", "-w", weight] => {
                let number = server.strip_prefix("192.168.8.").unwrap().strip_suffix(":80").unwrap();
                Some((number.parse().unwrap(), weight.parse().unwrap()))
            }
            _ => None,
        }
    };
    net.ipvsadm_save().iter().filter_map(of).collect()
}

#[track_caller]
fn becomes(net: &Netns, within: u64, expected: &[(u8, u32)]) {
    let came = soon(Duration::from_secs(within), || table(net) == expected);
    assert!(came.is_some(), "{expected:?} expected, but {:?}", table(net));
}

fn lbd(net: &Netns, words: &str) -> Output {
    let all: Vec<&str> = ["-f", "desired.yaml"].into_iter().chain(words.split(' ')).collect();
    net.lbd(&all)
}

fn status(net: &Netns) -> Value {
    serde_json::from_str(&lbd(net, "status -o json").stdout).unwrap()
}

fn lab() -> (Netns, [TcpListener; 2]) {
    let net = Netns::new();
    net.sh("for a in 10.0.0.1 192.168.8.1 192.168.8.2; do ip addr add $a/32 dev lo; done");
    let servers = [serve(1), serve(2)];
    (net, servers)
}

// They mostly wait, each in a network namespace of its own.
#[test]
fn what_leaves_the_file_keeps_its_connections_until_they_or_its_time_are_over() {
    let scenarios = [
        thread::spawn(
            a_server_that_leaves_keeps_its_connections_through_a_crash_and_gets_no_new_ones_until_it_is_back,
        ),
        thread::spawn(at_the_deadline_what_is_left_is_cut_or_hangs_as_the_kernel_was_set),
        thread::spawn(without_a_daemon_apply_starts_a_drain_and_the_next_apply_ends_it_or_the_same_one_waits),
    ];
    for scenario in scenarios {
        if let Err(panic) = scenario.join() {
            std::panic::resume_unwind(panic);
        }
    }
}

fn a_server_that_leaves_keeps_its_connections_through_a_crash_and_gets_no_new_ones_until_it_is_back() {
    let (net, _servers) = lab();
    net.write("desired.yaml", &file("192.168.8.1, 192.168.8.2", ""));
    let daemon = Daemon::start(&net);
    becomes(&net, 10, &[(1, 1), (2, 1)]);
    let old: Vec<TcpStream> = (0..20).map(|_| connect()).collect();
    let of: Vec<u8> = old.iter().map(|connection| answers(connection).unwrap()).collect();
    assert_eq!(of.iter().filter(|of| **of == 1).count(), 10);
    let stays_answered = || {
        let now: Vec<u8> = old.iter().map(|connection| answers(connection).unwrap()).collect();
        assert_eq!(now, of);
    };
    // A download whose client has said that it will send nothing more: inactive, for the kernel.
    let download = loop {
        let connection = connect();
        if answers(&connection) == Ok(1) {
            break connection;
        }
    };
    (&download).write_all(b"D").unwrap();
    download.shutdown(Shutdown::Write).unwrap();
    // A loop of new connections, from before the file changes.
    let (left, is_over) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicBool::new(false)));
    let clients = {
        let (left, is_over) = (Arc::clone(&left), Arc::clone(&is_over));
        thread::spawn(move || {
            let mut served = 0;
            while !is_over.load(Ordering::SeqCst) {
                let has_left = left.load(Ordering::SeqCst);
                let of = answers(&connect()).unwrap();
                assert!(!has_left || of == 2, "a new connection got to a server that left");
                served += u32::from(has_left);
                thread::sleep(Duration::from_millis(5));
            }
            served
        })
    };

    net.write("desired.yaml", &file("192.168.8.2", ""));
    becomes(&net, 10, &[(1, 0), (2, 1)]);
    left.store(true, Ordering::SeqCst);
    stays_answered();
    let document = status(&net);
    let [draining] = &document["draining"].as_array().unwrap()[..] else { panic!("{document}") };
    assert_eq!(
        (&document["in_sync"], &draining["cluster"], &draining["service"], &draining["server"]),
        (&json!(true), &json!("web"), &json!("tcp://10.0.0.1:80"), &json!("192.168.8.1:80"))
    );
    // One of the loop may just be ending.
    let has_ten = || status(&net)["draining"][0]["active"] == 10;
    assert!(soon(Duration::from_secs(10), has_ten).is_some(), "{}", status(&net));
    let until = draining["until"].clone();
    daemon.wait_for("applied: edit server 192.168.8.1:80 of tcp://10.0.0.1:80");
    daemon.kill();
    let diff = lbd(&net, "diff");
    assert_eq!(diff.status, 0, "{diff:?}");
    let daemon = Daemon::start(&net);
    let length = daemon.log().len();
    assert!(soon(Duration::from_secs(10), || status(&net)["daemon"]["running"] == true).is_some());
    stays_answered();
    assert_eq!(status(&net)["draining"][0]["until"], until, "it goes on with the same end");
    // An export has only what the file has.
    assert!(!lbd(&net, "export").stdout.contains("192.168.8.1"), "{}", lbd(&net, "export").stdout);
    assert!(lbd(&net, "export --as-is").stdout.contains("192.168.8.1"));

    is_over.store(true, Ordering::SeqCst);
    assert!(clients.join().unwrap() > 0);
    // Back: one edit, and nothing is lost.
    net.write("desired.yaml", &file("192.168.8.1, 192.168.8.2", ""));
    becomes(&net, 10, &[(1, 1), (2, 1)]);
    stays_answered();
    // It is in the log only after it was read back.
    let is_logged = || daemon.log_since(length).contains("applied: edit server");
    assert!(soon(Duration::from_secs(10), is_logged).is_some(), "{}", daemon.log());
    let edits: Vec<String> = daemon
        .log_since(length)
        .lines()
        .filter_map(|line| Some(line.split_once("applied: ")?.1.split(" service=").next()?.to_owned()))
        .collect();
    assert_eq!(edits, ["edit server 192.168.8.1:80 of tcp://10.0.0.1:80"]);
    assert_eq!(status(&net)["draining"], json!([]));

    // It leaves again, and now its clients go; one connection was only half closed, and still gets something.
    net.write("desired.yaml", &file("192.168.8.2", ""));
    becomes(&net, 10, &[(1, 0), (2, 1)]);
    drop(old);
    let has_only_inactive = || status(&net)["draining"][0]["active"] == 0;
    assert!(soon(Duration::from_secs(5), has_only_inactive).is_some(), "{}", status(&net));
    thread::sleep(Duration::from_secs(1));
    (&download).read_exact(&mut [0; 5]).unwrap();
    assert_eq!(table(&net), [(1, 0), (2, 1)]);
    drop(download);
    becomes(&net, 25, &[(2, 1)]);
    daemon.wait_for("delete server 192.168.8.1:80 from tcp://10.0.0.1:80");
    assert!(daemon.log().contains("reason=drained"), "{}", daemon.log());
    assert!(!daemon.log().contains("drift"), "{}", daemon.log());
}

fn at_the_deadline_what_is_left_is_cut_or_hangs_as_the_kernel_was_set() {
    for (expire, end) in [("1", ErrorKind::ConnectionReset), ("0", ErrorKind::WouldBlock)] {
        let (net, _servers) = lab();
        net.sh(&format!("modprobe -q ip_vs; echo {expire} > /proc/sys/net/ipv4/vs/expire_nodest_conn"));
        net.write("desired.yaml", &file("192.168.8.1, 192.168.8.2", "drain: 5s, "));
        let daemon = Daemon::start(&net);
        becomes(&net, 10, &[(1, 1), (2, 1)]);
        let connections: Vec<TcpStream> = (0..2).map(|_| connect()).collect();
        let mut of: Vec<_> = connections.iter().map(answers).collect();
        net.write("desired.yaml", &file("192.168.8.2", ""));
        becomes(&net, 10, &[(1, 0), (2, 1)]);
        becomes(&net, 10, &[(2, 1)]);
        daemon.wait_for("reason=\"deadline: 1 connection is cut\"");
        let cut = of.iter_mut().find(|of| **of == Ok(1)).unwrap();
        *cut = Err(end);
        let now: Vec<_> = connections.iter().map(answers).collect();
        assert_eq!(now, of, "expire_nodest_conn is {expire}");
    }
}

fn without_a_daemon_apply_starts_a_drain_and_the_next_apply_ends_it_or_the_same_one_waits() {
    let (net, _servers) = lab();
    net.write("desired.yaml", &file("192.168.8.1, 192.168.8.2", "drain: 6s, "));
    assert_eq!(lbd(&net, "apply").status, 0);
    let connections: Vec<TcpStream> = (0..2).map(|_| connect()).collect();
    connections.iter().for_each(|connection| assert!(answers(connection).is_ok()));
    net.write("desired.yaml", &file("192.168.8.2", "drain: 6s, "));
    assert_eq!(status(&net)["draining"], json!([]), "no pass has begun that");
    let apply = lbd(&net, "apply");
    assert_eq!(apply.status, 0, "{apply:?}");
    let note = "no daemon runs: the next `lbd apply` ends that, or this one with `--wait`";
    assert!(
        apply.stderr.contains("note: draining: 1 server, until ") && apply.stderr.contains(note),
        "{apply:?}"
    );
    assert!(apply.stdout.contains("  ~ server 192.168.8.1:80  weight: 1 -> 0\n"), "{apply:?}");
    assert_eq!(table(&net), [(1, 0), (2, 1)]);
    // The same drain goes on, whatever the file says now.
    let apply = lbd(&net, "apply --wait");
    assert_eq!(apply.status, 0, "{apply:?}");
    assert_eq!(table(&net), [(2, 1)]);
    assert!(apply.stdout.contains("      deadline: 1 connection is cut\n"), "{apply:?}");
    assert!(apply.stderr.ends_with("note: nothing drains any more\n"), "{apply:?}");

    // One that waits does not take back what another command applies meanwhile.
    net.write("desired.yaml", &file("192.168.8.1, 192.168.8.2", "drain: 6s, "));
    assert_eq!(lbd(&net, "apply").status, 0);
    let connections: Vec<TcpStream> = (0..2).map(|_| connect()).collect();
    connections.iter().for_each(|connection| assert!(answers(connection).is_ok()));
    net.write("desired.yaml", &file("192.168.8.2", "drain: 6s, "));
    let waited = thread::scope(|scope| {
        let waits = scope.spawn(|| lbd(&net, "apply --wait"));
        becomes(&net, 10, &[(1, 0), (2, 1)]);
        net.write("desired.yaml", &file("{ address: 192.168.8.2, weight: 5 }", "drain: 6s, "));
        assert_eq!(lbd(&net, "apply").status, 0);
        waits.join().unwrap()
    });
    assert_eq!((waited.status, table(&net)), (0, vec![(2, 5)]), "{waited:?}");

    // A whole cluster, whose drain is ended by hand.
    let apply_empty = |words: &str| {
        net.write("desired.yaml", "version: 1\nclusters: []\n");
        lbd(&net, words)
    };
    let kept = connect();
    answers(&kept).unwrap();
    let refused = apply_empty("apply");
    assert_eq!((refused.status, refused.stderr.contains("draining")), (3, false), "{refused:?}");
    let apply = apply_empty("apply --allow-empty");
    assert_eq!(apply.status, 0, "{apply:?}");
    assert_eq!(table(&net), [(2, 0)]);
    assert_eq!(answers(&kept), Ok(2));
    // It was counted when it left.
    assert_eq!(apply_empty("diff").status, 0);
    let apply = apply_empty("apply --drain=0");
    assert_eq!((apply.status, net.ipvsadm_save()), (0, vec![]), "{apply:?}");
    assert!(apply.stdout.contains("the drain was ended by --drain=0"), "{apply:?}");
    // It is also the way out of a file that cannot be read.
    net.write("desired.yaml", &file("192.168.8.2", ""));
    assert_eq!(lbd(&net, "apply").status, 0);
    let _kept = connect();
    apply_empty("apply --allow-empty");
    net.write("state/drains.json", "{");
    let apply = apply_empty("apply --allow-empty");
    assert_eq!((apply.status, table(&net)), (2, vec![(2, 0)]), "{apply:?}");
    let apply = apply_empty("apply --drain=0 --allow-empty");
    assert_eq!((apply.status, net.ipvsadm_save()), (0, vec![]), "{apply:?}");
}

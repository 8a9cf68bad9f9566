//! What lbd makes of a configuration of another program is what that program puts into the kernel, attribute for attribute.

#![allow(clippy::unwrap_used, clippy::panic)]

use std::io::{Read, Write};
use std::net::{TcpListener, UdpSocket};
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use crate::lab::Netns;
use serde_json::Value;

/// All kinds of virtual servers, with what keepalived repairs in them.
const VIRTUAL_SERVERS: &str = "
$NET=10.1.0
virtual_server_group web {
    10.0.1.1-3 80
    10.0.2.0/30 8080
    fwmark 9
}
virtual_server 10.0.0.1 80 {
    delay_loop 2
    lb_algo wrr
    lb_kind NAT
    persistence_timeout
    persistence_granularity 255.255.255.0
    protocol TCP
    sorry_server ${NET}.9 80
    real_server ${NET}.1 81 { weight 3
        uthreshold 200
        lthreshold 100
        HTTP_GET {
            url {
                path /
                status_code 200
            }
            connect_port 80
            connect_timeout 1
        }
    }
    real_server ${NET}.2 80
    {
        weight 0
        TCP_CHECK
        {
            connect_timeout 1
        }
    }
    real_server ${NET}.2 80 {
        weight 7
    }
    real_server ${NET}.3 80 {
        lthreshold 5
    }
}
virtual_server 10.0.0.2 53 {
    lvs_sched rr
    lvs_method DR
    ops
    real_server ${NET}.1 5353 {
        UDP_CHECK {
        }
    }
    real_server ${NET}.2 53 {
    }
}
virtual_server 10.0.0.3 {
    lb_algo sh
    sh-port
    sh-fallback
    lb_kind TUN type gue port 6080 csum
    protocol SCTP
    real_server ${NET}.1 {
        weight 2x
        inhibit_on_failure
        MISC_CHECK {
            misc_path \"/bin/true {} \"
        }
    }
}
virtual_server group web {
    lb_algo mh
    mh-port
    lb_kind DR
    protocol TCP
    real_server ${NET}.1 80 {
    }
    real_server ${NET}.2 8080 {
        lvs_method NAT
    }
    real_server ${NET}.3 {
        lvs_method NAT
    }
}
virtual_server fwmark 7 {
    lb_algo best
    lb_kind DR
    quorum 9
    real_server ${NET}.1 80 {
        weight 65536
    }
    MY_BLOCK {
    }
    real_server ${NET}.2 80 {
    }
}
virtual_server fwmark 8 {
    persistence_granularity 64
    persistence_timeout 1800
    real_server fd00:1::1 443 {
    }
}
virtual_server fd00::1 443 {
    lb_algo lc
    protocol TCP
    flag-2
    real_server fd00:1::1 443 {
    }
    real_server 10.1.0.1 443 {
    }
    real_server 10.1.0.1 443 {
        lvs_method TUN
    }
    real_server web 443 {
    }
}
virtual_server 10.0.0.1 80 {
    lb_algo rr
    protocol TCP
    real_server ${NET}.4 80 {
    }
}
";

/// Timeouts and sync daemons, which no table has together with a tunnel to another family.
const SETTINGS: &str = "
global_defs {
    lvs_timeouts tcp 1000 tcpfin 60 udp 30
    lvs_sync_daemon eth1 id 7 maxlen 1400 port 8850 ttl 2 group 224.0.0.82
}
virtual_server 10.0.0.1 80 {
    real_server 10.1.0.1 80 {
    }
}
";

struct Killed(Child);

impl Drop for Killed {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// Servers that answer at the addresses of this namespace.
fn serve() {
    for address in ["10.1.0.1:80", "10.1.0.2:80"] {
        let listener = TcpListener::bind(address).unwrap();
        thread::spawn(move || {
            for stream in listener.incoming() {
                let mut stream = stream.unwrap();
                let _ = stream.read(&mut [0; 1024]);
                let _ = stream.write_all(b"HTTP/1.0 200 OK\r\nContent-Length: 2\r\n\r\nok");
            }
        });
    }
    let socket = UdpSocket::bind("10.1.0.1:5353").unwrap();
    thread::spawn(move || while socket.recv(&mut [0; 64]).is_ok() {});
}

/// The table, once it has this many services and servers, or the one that is there after a while.
fn table(net: &Netns, wanted: usize) -> Value {
    let end = Instant::now() + Duration::from_secs(20);
    while net.ipvsadm_save().len() < wanted && Instant::now() < end {
        thread::sleep(Duration::from_millis(50));
    }
    let mut table = net.table();
    // In which order services are listed says nothing.
    if let Some(services) = table.get_mut("services").and_then(Value::as_array_mut) {
        services.sort_by_key(ToString::to_string);
    }
    table
}

/// Compares what keepalived makes of a configuration with what lbd makes of it.
fn compare(net: &Netns, text: &str) {
    net.write("keepalived.conf", text);
    let export = net.lbd(&["export", "--from", "keepalived.conf"]);
    assert_eq!(export.status, 0, "{}", export.stderr);
    net.write("desired.yaml", &export.stdout);
    assert_eq!(net.lbd(&["-f", "desired.yaml", "apply"]).status, 0, "{}", export.stdout);
    let lines = net.ipvsadm_save().len();
    let ours = table(net, lines);
    net.sh("ipvsadm -C; ipvsadm --set 900 120 300; ipvsadm --stop-daemon master || true; ipvsadm --stop-daemon backup || true");
    let log = std::fs::File::create(net.path("log")).unwrap();
    let keepalived = Command::new("/usr/sbin/keepalived")
        .args(["-n", "-l", "-C", "-G", "-p", "pid", "-c", "checkers.pid", "-f"])
        .arg(net.path("keepalived.conf"))
        .current_dir(net.path(""))
        .stdout(Stdio::from(log.try_clone().unwrap()))
        .stderr(Stdio::from(log))
        .spawn()
        .unwrap();
    let keepalived = Killed(keepalived);
    let theirs = table(net, lines);
    let log = std::fs::read_to_string(net.path("log")).unwrap();
    assert_eq!(ours, theirs, "{}\n{log}", export.stdout);
    // Beside it the table may be less than its configuration.
    let export = net.lbd(&["export"]);
    let (process, file) = (keepalived.0.id(), net.path("keepalived.conf"));
    let warning = format!(
        "warning: keepalived (process {process}) runs: servers that it has taken out of the table are missing here, and its health checks, too; `lbd export --from {}` converts its configuration\n",
        file.display()
    );
    assert_eq!((export.status, export.stderr), (0, warning));
    net.sh("kill -9 $(cat checkers.pid)");
}

#[test]
fn a_keepalived_conf_becomes_the_table_that_keepalived_makes_of_it() {
    let net = Netns::new();
    net.sh("for n in 1 2 3 4 9; do ip addr add 10.1.0.$n/32 dev lo; done; ip addr add fd00:1::1/128 dev lo nodad");
    serve();
    compare(&net, VIRTUAL_SERVERS);
    drop(net);
    let net = Netns::new();
    net.sh("ip addr add 10.1.0.1/32 dev lo; ip link add eth1 type dummy; ip addr add 10.3.3.3/24 dev eth1; ip link set eth1 up");
    compare(&net, SETTINGS);
}

//! The daemon's own warnings about the host: in its log once, in `lbd status` for as long as they hold.

#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing)]

use std::time::Duration;

use crate::lab::Netns;
use crate::running::{Daemon, soon};
use nix::sys::signal::Signal;
use serde_json::{Value, json};

/// `lbd status` as JSON.
fn status(net: &Netns) -> Value {
    let output = net.lbd(&["-f", "desired.yaml", "status", "-o", "json"]);
    assert_eq!((output.status, output.stderr.as_str()), (0, ""), "{output:?}");
    serde_json::from_str(&output.stdout).unwrap()
}

/// Waits until the daemon's warnings have these codes.
#[track_caller]
fn warns_of(net: &Netns, codes: &[&str]) {
    let is_so = || {
        let status = status(net);
        let warnings = status["warnings"].as_array().cloned().unwrap_or_default();
        status["warnings"].is_array() && warnings.iter().map(|warning| &warning["code"]).eq(codes)
    };
    assert!(soon(Duration::from_secs(10), is_so).is_some(), "{}", status(net));
}

#[test]
fn what_the_host_lacks_is_in_the_log_once_and_in_the_status_until_it_is_mended() {
    let net = Netns::new();
    net.write(
        "desired.yaml",
        "version: 1\nclusters:\n  - name: web\n    listen: ['tcp://10.0.0.13:80', 'tcp://10.0.0.14:80']\n    scheduler: sh\n    \
         servers: [192.168.8.14, { address: 192.168.8.15, weight: 0 }]\n",
    );
    let daemon = Daemon::start(&net);
    assert!(soon(Duration::from_secs(10), || net.ipvsadm_save().len() == 6).is_some(), "{}", daemon.log());
    warns_of(&net, &["address-not-local", "sh-without-fallback"]);
    let document = status(&net);
    assert_eq!(document["not_examined"], json!([]));
    assert_eq!(document["daemon"]["status"]["host"], Value::Null);
    let first = &document["warnings"][0];
    assert_eq!(first["subject"], "10.0.0.13");
    assert_eq!((&first["subjects"], &first["count"]), (&json!(["10.0.0.13", "10.0.0.14"]), &json!(2)));
    let message = "10.0.0.13, 10.0.0.14: this virtual address is not local to this host, so that IPVS never sees its packets";
    assert_eq!(first["message"], message);
    let text = net.lbd(&["-f", "desired.yaml", "status"]);
    let warning = format!("\nwarning: {message}; {}\n", first["advice"].as_str().unwrap());
    assert_eq!((text.status, text.stdout.contains(&warning)), (0, true), "{text:?}");
    // The third address is one more subject and no news.
    net.sh("sed -i 's/, .tcp:..10.0.0.14:80./, \"tcp:\\/\\/10.0.0.14:80\", \"tcp:\\/\\/10.0.0.15:80\"/' desired.yaml");
    let counts = || status(&net)["warnings"][0]["count"] == 3;
    assert!(soon(Duration::from_secs(10), counts).is_some(), "{}", status(&net));
    net.sh("for i in 13 14 15; do ip address add 10.0.0.$i/32 dev lo; done; ip link set lo up");
    daemon.signal(Signal::SIGHUP);
    warns_of(&net, &["sh-without-fallback"]);
    daemon.wait_for("no longer: 10.0.0.13, 10.0.0.14, 10.0.0.15: this virtual address is not local");
    let log = daemon.log();
    let codes = |level: &str| -> Vec<&str> {
        let lines = log.lines().filter(|line| line.contains(level));
        lines.filter_map(|line| line.split("code=\"").nth(1)?.split('"').next()).collect()
    };
    assert_eq!(codes(" WARN "), ["address-not-local", "sh-without-fallback"], "{log}");
    assert_eq!(codes(" INFO "), ["address-not-local"], "{log}");
    // Without a daemon nothing is known of the host.
    assert!(daemon.stop().success());
    assert_eq!(status(&net)["warnings"], Value::Null);
}

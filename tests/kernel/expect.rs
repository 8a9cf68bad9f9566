//! `lbd apply --expect` on a real kernel: the plan that was shown, or nothing.

#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing)]

use crate::lab::Netns;
use serde_json::Value;

const FILE: &str = "\
version: 1
clusters:
  - { name: web, listen: 'tcp://10.0.0.1:80', scheduler: rr, servers: [192.168.8.14, { address: 192.168.8.15, weight: 3 }] }
";

#[test]
fn exactly_the_plan_that_was_shown_is_carried_out_or_nothing() {
    let net = Netns::new();
    net.write("desired.yaml", FILE);
    let lbd = |words: &[&str]| net.lbd(&[&["-f", "desired.yaml"], words].concat());
    let json = |words: &[&str]| serde_json::from_str::<Value>(&lbd(words).stdout).unwrap();
    let shown = || json(&["diff", "-o", "json"])["fingerprint"].as_str().unwrap().to_owned();
    let first = shown();
    assert!(
        first.len() == 16 && lbd(&["diff"]).stdout.contains(&format!("\nfingerprint: {first}\n")),
        "{first}"
    );
    assert_eq!(lbd(&["apply", "--expect", &first]).status, 0);
    assert_eq!(json(&["diff", "-o", "json"])["fingerprint"], Value::Null);
    let again = lbd(&["apply", "--expect", &first]);
    let nothing = "error: refused, nothing was changed: nothing is to be done any more\n";
    assert_eq!((again.status, again.stderr.ends_with(nothing)), (3, true), "{again:?}");

    net.sh("ipvsadm -d -t 10.0.0.1:80 -r 192.168.8.15");
    let second = shown();
    // Somebody else has the same idea, and another weight.
    net.sh("ipvsadm -a -t 10.0.0.1:80 -r 192.168.8.15 -g -w 4");
    let before = net.ipvsadm_save();
    let refused = lbd(&["apply", "--expect", &second]);
    let third = shown();
    let other = format!(
        "error: refused, nothing was changed: the plan is not the expected one any more; this is {third}\n"
    );
    assert_eq!((refused.status, net.ipvsadm_save()), (3, before), "{refused:?}");
    assert!(refused.stderr.ends_with(&other) && refused.stdout.contains("weight: 4 -> 3"), "{refused:?}");
    assert_ne!(second, third);
    assert_eq!(lbd(&["apply", "--expect", &third]).status, 0);
    // A part of a plan cannot be carried out.
    net.sh("ipvsadm -e -t 10.0.0.1:80 -r 192.168.8.15 -g -w 4");
    assert_eq!(json(&["diff", "web", "-o", "json"])["fingerprint"], Value::Null);
    let status = json(&["status", "-o", "json"]);
    assert_eq!(status["file"]["sha256"], net.sh("sha256sum desired.yaml | cut -c 1-64").trim());
    assert_eq!(status["verified"]["sha256"], status["file"]["sha256"]);
}

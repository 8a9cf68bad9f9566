//! What the problems look like.

use lbd::config::{Source, load};
use serde_json::json;

const BAD: &str = "\
version: 1
clusters:
  - name: web
    listen: tcp://10.0.0.13:80
    schduler: rr
    servers:
      - 192.168.8.14
      - address: 192.168.8.15
        weight: heavy
  - name: web
    listen: tcp://10.0.0.14:80
    servers: [192.168.8.14:8080]
";

#[test]
fn every_problem_is_shown_with_its_line() {
    let problems = load(&Source::new("/etc/lbd/desired.yaml", BAD)).unwrap_err();
    assert_eq!(
        problems.text(false),
        "\
error: unknown key `schduler`
 --> /etc/lbd/desired.yaml:5:5
  |
5 |     schduler: rr
  |     ^^^^^^^^
  |
  = note: expected one of name, listen, scheduler, scheduler_flags, persistence, persistence_mask, \
persistence_engine, one_packet, forward, untracked, drain, check, on_failure, reset_after, min_serving, fallback, slow_start, allow_empty, servers
  = help: did you mean `scheduler`?

error: `weight` cannot be text
 --> /etc/lbd/desired.yaml:9:17
  |
9 |         weight: heavy
  |                 ^^^^^ expected a number from 0 to 2147483647

error: duplicate cluster name `web`; first on line 3
  --> /etc/lbd/desired.yaml:10:11
   |
10 |   - name: web
   |           ^^^

error: `dr` cannot change the port: packets for tcp://10.0.0.14:80 reach the server at port 80, not 8080
  --> /etc/lbd/desired.yaml:12:15
   |
12 |     servers: [192.168.8.14:8080]
   |               ^^^^^^^^^^^^^^^^^ expected no port, or port 80; `forward: nat` changes ports
   |
   = help: did you mean `192.168.8.14`?

4 problems in /etc/lbd/desired.yaml
"
    );
}

#[test]
fn scripts_get_the_same_as_json() {
    let problems =
        load(&Source::new("<stdin>", "version: 1\nclusters: []\nsysctl: { net.ipv4.ip_forward: 1 }\n"));
    assert_eq!(
        problems.unwrap_err().json(),
        json!({
            "version": 1,
            "problems": [{
                "file": "<stdin>",
                "line": 3,
                "column": 1,
                "message": "unknown key `sysctl`",
                "expected": "one of version, include, sysctls, marks, timeouts, sync, checks, defaults, clusters, policy",
                "suggestion": "sysctls",
            }],
        })
    );
}

#[test]
fn colour_is_there_only_when_asked_for() {
    let problems = load(&Source::new("desired.yaml", BAD)).unwrap_err();
    assert!(!problems.text(false).contains('\u{1b}'));
    let coloured = problems.text(true);
    assert!(coloured.contains("\u{1b}["));
    // Nothing but the colours differs.
    let mut plain = String::new();
    let mut parts = coloured.split('\u{1b}');
    plain.push_str(parts.next().unwrap());
    parts.for_each(|part| plain.push_str(part.split_once('m').unwrap().1));
    assert_eq!(plain, problems.text(false));
}

#[test]
fn after_fifty_problems_the_others_are_counted() {
    let mut text = String::from("version: 1\nclusters:\n");
    for index in 0..60 {
        text.push_str(&format!("  - {{ name: c{index}, listen: tcp://10.0.0.13:80, servers: [] }}\n"));
    }
    let problems = load(&Source::new("desired.yaml", text)).unwrap_err();
    assert_eq!((problems.list.len(), problems.more), (50, 9));
    assert!(problems.text(false).ends_with("and 9 more problems; 59 problems in desired.yaml\n"));
    assert_eq!(problems.json()["more"], 9);
}

#[test]
fn a_file_on_one_long_line_is_answered_shortly() {
    let servers = "192.168.8.14:80, ".repeat(10_000);
    let text = format!(
        "{{version: 1, clusters: [{{name: web, listen: tcp://10.0.0.13:80, servers: [{servers}]}}]}}"
    );
    let problems = load(&Source::new("desired.yaml", text)).unwrap_err();
    assert_eq!((problems.list.len(), problems.more), (50, 9_949));
    assert!(problems.text(false).lines().all(|line| line.len() < 200));
}

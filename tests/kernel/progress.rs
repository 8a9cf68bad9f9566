//! What a large table's commands show on a terminal while they are at work, and that nobody else sees it.

#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing)]

use crate::lab::{self, Netns};

const SERVICES: usize = 8_000;
const SERVERS: usize = 5;

/// A table that takes even the fastest machine over a second.
fn large(net: &Netns) {
    use std::fmt::Write;
    let mut text = "version: 1\nclusters:\n".to_owned();
    for service in 0..SERVICES {
        let (high, low) = (service / 250, service % 250);
        let servers: Vec<String> = (1..=SERVERS).map(|server| format!("10.{server}.{high}.{low}")).collect();
        let servers = servers.join(", ");
        writeln!(
            text,
            "  - {{ name: c{service}, listen: 'tcp://10.0.{high}.{low}:80', servers: [{servers}] }}"
        )
        .unwrap();
    }
    net.write("desired.yaml", &text);
}

/// Runs a shell command with `$LBD` in it on a terminal with so many columns, and gives what the terminal was sent.
fn on_terminal(net: &Netns, columns: usize, command: &str) -> String {
    let lbd = format!("{} -f desired.yaml --state-dir state", lab::lbd());
    net.write("command", &format!("stty cols {columns}\nLBD='{lbd}'\n{command}\n"));
    net.sh("TERM=xterm NO_COLOR=1 script -qec 'sh -e command' /dev/null </dev/null")
}

/// What is seen on a terminal in the end, and every text that was drawn over another on the way.
fn watch(sent: &str) -> (String, Vec<&str>) {
    let (mut lines, mut drawn) = (Vec::new(), Vec::new());
    for line in sent.split('\n') {
        let mut seen = String::new();
        for piece in line.strip_suffix('\r').unwrap_or(line).split('\r') {
            match piece.split_once("\x1b[K") {
                Some((over, beside)) => {
                    drawn.extend(Some(over).filter(|text| !text.is_empty()));
                    seen = format!("{over}{beside}");
                }
                None => {
                    assert_eq!(seen, "", "it is left under {piece:?}");
                    seen = piece.to_owned();
                }
            }
        }
        lines.push(seen);
    }
    (lines.join("\n"), drawn)
}

#[test]
fn a_terminal_shows_how_far_a_pass_is_and_in_the_end_nothing_of_it() {
    let net = Netns::new();
    net.ready();
    large(&net);
    let sent = on_terminal(&net, 40, "$LBD apply --output json >report");
    let (seen, drawn) = watch(&sent);
    assert_eq!(seen, "", "{sent:?}");
    assert!(sent.ends_with("\r\x1b[K"), "{sent:?}");
    assert!(drawn.iter().all(|text| text.len() < 40), "{drawn:?}");
    let shows = |start: &str, end: &str| {
        let is_it = |text: &&str| text.starts_with(start) && text.contains(end);
        assert!(drawn.iter().any(is_it), "{start}...{end}: {drawn:?}");
    };
    // The rest finds no room. (To apply takes so little that it may lie between two drawings, or before the first.)
    shows("verifying: ", " of 8,000 virtual");
    let report: serde_json::Value = serde_json::from_str(&net.sh("cat report")).unwrap();
    assert_eq!(report["summary"]["add"], 48_000, "{}", report["summary"]);

    // Both streams on one terminal: what was to be told stands there as if nothing else ever had.
    net.sh("sed -i -e 's/name: c7,/&scheduler: rr,/' -e '/name: c8,/d' desired.yaml");
    net.sh("echo 0 > /proc/sys/net/ipv4/ip_forward; sed -i 's/name: c9,/&forward: nat,/' desired.yaml");
    let sent = on_terminal(&net, 100, "$LBD diff || :");
    let (seen, _) = watch(&sent);
    let plain = net.lbd(&["-f", "desired.yaml", "diff"]);
    assert!(plain.stderr.starts_with("warning: "), "{plain:?}");
    assert_eq!(seen, plain.stdout.clone() + &plain.stderr, "{sent:?}");

    // Nobody else sees anything of it.
    let valid = "desired.yaml: valid: 7999 virtual services, 39995 real servers\n";
    for (command, expected) in [
        ("$LBD diff >out 2>err || cat err", plain.stderr.as_str()),
        ("export TERM=dumb; $LBD diff >out || :", plain.stderr.as_str()),
        ("$LBD validate 2>&1 | cat", valid),
    ] {
        assert_eq!(on_terminal(&net, 100, command), expected.replace('\n', "\r\n"), "{command}");
    }

    // A pager has the terminal for itself as soon as there is something to page.
    net.sh("ipvsadm -C");
    let sent = on_terminal(&net, 100, "$LBD apply | cat >applied");
    let (seen, drawn) = watch(&sent);
    assert!(seen.starts_with("warning: ") && seen.lines().count() == 1, "{sent:?}");
    let before = ["reading the file", "checking the file", "checking the host", "reading the kernel"];
    assert!(drawn.iter().all(|text| before.iter().any(|before| text.starts_with(before))), "{drawn:?}");
    assert!(
        net.sh("tail -n 1 applied").starts_with("verified: 47994 added"),
        "{}",
        net.sh("tail -n 1 applied")
    );
}

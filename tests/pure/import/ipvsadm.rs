//! Rules of ipvsadm and scripts of its commands become the table that ipvsadm makes of them.

#![allow(clippy::unwrap_used, clippy::indexing_slicing)]

use std::net::Ipv4Addr;

use super::recorded::{compare, convert};
use lbd::config::{Source, state_of};
use lbd::import::{Effect, Format, NoFiles, Place, import_with};
use lbd::ipvsadm::{Lookup, save};
use lbd::model::Protocol;
use proptest::prelude::*;

/// The rules that a script comes to, and what is said of its lines.
fn read(text: &str) -> (String, Vec<(usize, Effect, String)>) {
    let imported = convert(text, Format::Ipvsadm);
    let said = imported.findings.into_iter().map(|finding| (finding.line, finding.effect, finding.message));
    (save(&state_of(imported.document)), said.collect())
}

/// What is said of a text that makes a service at 10.0.0.13:80 first.
fn said(lines: &str) -> Vec<(Effect, String)> {
    let (_, said) = read(&format!("-A -t 10.0.0.13:80 -s rr\n{lines}"));
    said.into_iter().map(|(_, effect, message)| (effect, message)).collect()
}

const WEB: &str = "-A -t 10.0.0.13:80 -s rr\n";

#[test]
fn recorded_rules_make_the_table_of_ipvsadm() {
    compare("ipvsadm", Format::Ipvsadm);
}

#[test]
fn a_script_with_variables_and_settings_is_read_whole() {
    let script = "#!/bin/bash\n\
        # the web\n\
        VIP=10.0.0.13 ; PORT=80\n\
        export RIP=\"192.168.8.14\"\n\
        OPTIONS='-s wrr -p 50'\n\
        IPVSADM=$(which ipvsadm)\n\
        echo 1 > /proc/sys/net/ipv4/ip_forward\n\
        sysctl -q -w net.ipv4.vs.conntrack=1 net.ipv4.vs.sloppy_tcp=\"1\" > /dev/null\n\
        echo 0 | sudo tee /proc/sys/net/ipv4/conf/eth0.5/rp_filter\n\
        modprobe ip_vs && $IPVSADM -C || exit 1\n\
        $IPVSADM -A -t $VIP:${PORT} $OPTIONS\n\
        /sbin/ipvsadm -a -t ${VIP}:$PORT \\\n  -r $RIP -m -w ${WEIGHT:-3}; ipvsadm -a -t $VIP:80 -r 192.168.8.15 -m\n\
        ipvsadm -Ln | grep -c Route\n\
        echo \"$1 done at $(date)\" >> /var/log/x\n\
        . /etc/rc.d/init.d/functions\n\
        exit 0\n";
    let imported = convert(script, Format::Ipvsadm);
    let said: Vec<_> =
        imported.findings.iter().map(|finding| (finding.line, finding.effect, finding.place)).collect();
    assert_eq!(said, [(16, Effect::Note, Place::Head)]);
    let yaml = lbd::config::render_document(imported.document).yaml().unwrap();
    assert_eq!(
        yaml.lines().skip(1).collect::<Vec<_>>().join("\n"),
        "version: 1\n\
         sysctls:\n  net.ipv4.ip_forward: 1\n  net.ipv4.vs.conntrack: 1\n  net.ipv4.vs.sloppy_tcp: 1\n  net/ipv4/conf/eth0.5/rp_filter: 0\n\
         clusters:\n- name: tcp-10.0.0.13-80\n  listen: tcp://10.0.0.13:80\n  scheduler: wrr\n  persistence: 50s\n  forward: nat\n  servers:\n  - address: 192.168.8.14\n    weight: 3\n  - 192.168.8.15"
    );
}

// In a start/stop script the `-C` of the `stop)` branch wiped all that was read, and no message named the lost service.
#[test]
fn what_decides_what_runs_is_one_sentence() {
    let script = "#!/bin/sh\n\
        VIP=10.0.0.13\n\
        ipvsadm -A -t $VIP:80 -s rr\n\
        case \"$1\" in\n  start)\n    ipvsadm -A -t $VIP:443\n    ;;\n  stop)\n    ipvsadm -C\n    ;;\nesac\n\
        for RIP in 192.168.8.14 192.168.8.15; do\n  ipvsadm -a -t $VIP:80 -r $RIP\ndone\n\
        if [ -f /etc/x ]; then . /etc/x; fi\n\
        add() {\n  ipvsadm -A -t $1\n}\nadd 10.0.0.14:80\n\
        [ -x /sbin/ipvsadm ] || exit 0\n\
        [ -n \"$B\" ] && ipvsadm -A -f 1\n\
        ipvsadm -a -t $VIP:80 -r $RIP\n";
    let way_out = "run the script, then `lbd export` writes the table that it made";
    let lost = |line: usize, message: String| (line, Effect::Lost, message);
    assert_eq!(
        read(script),
        (
            WEB.to_owned(),
            vec![
                lost(4, format!("`case` decides what is run, so lines 4 to 11 were not read; {way_out}")),
                lost(12, format!("`for` decides what is run, so lines 12 to 14 were not read; {way_out}")),
                lost(
                    16,
                    format!("what the function `add` does depends on its calls, so lines 16 to 18 were not read; {way_out}")
                ),
                lost(21, format!("`&&` decides whether it is run, so it was not read; {way_out}")),
                lost(
                    22,
                    "the value of `$RIP` is not known: `for` in line 12 decides what it is when the script runs".to_owned()
                ),
            ]
        )
    );
}

#[test]
fn edits_are_applied_in_their_order() {
    let text = "-A -t 10.0.0.1:80\n-a -t 10.0.0.1:80 -r 192.168.8.1 -m\n-a -t 10.0.0.1:80 -r 192.168.8.2 -m\n\
        -E -t 10.0.0.1:80 -s rr\n-e -t 10.0.0.1:80 -r 192.168.8.1 -m -w 5\n-d -t 10.0.0.1:80 -r 192.168.8.2\n-A -f 1\n-D -f 1\n";
    assert_eq!(
        read(text),
        ("-A -t 10.0.0.1:80 -s rr\n-a -t 10.0.0.1:80 -r 192.168.8.1:80 -m -w 5\n".to_owned(), vec![])
    );
    let (rules, said) = read(&format!("{WEB}-C\n-A -f 2\n"));
    assert_eq!(rules, "-A -f 2 -s wlc\n");
    let cleared = "clears the whole table: the 1 virtual services of the lines above";
    assert_eq!(said, [(2, Effect::Note, cleared.to_owned())]);
}

// Each was tried with ipvsadm 1.31 of Debian.
#[test]
fn what_ipvsadm_refuses_is_named_and_not_taken() {
    for (line, start) in [
        ("-A -t [fd00::1] -p", "`[fd00::1]` has brackets and no port, which ipvsadm refuses"),
        ("-a -t 10.0.0.13:80 -r [fd00::1] -i", "`[fd00::1]` has brackets and no port, which ipvsadm refuses"),
        ("-t 10.0.0.14:80 -A", "`--tcp-service` stands before `--add-service`; ipvsadm refuses"),
        (
            "-A -t 10.0.0.14:80 -p 2678401",
            "`2678401` is not a persistence time that ipvsadm takes, 1 to 2678400",
        ),
        ("-A -t 10.0.0.14:80 -p 0", "`0` is not a persistence time that ipvsadm takes"),
        ("-A -t 10.0.0.14:80 -o", "one-packet scheduling (`-o`) is for UDP, and this is tcp"),
        ("-A -t 10.0.0.14", "a service with port 0 has to be persistent (`-p`)"),
        ("-A -6 -f 3", "`-6` stands before `-f`, which ipvsadm refuses"),
        ("-a -r 192.168.8.1:http -t 10.0.0.13:80 -m", "the port `http` stands before the service"),
        ("-A -t 10.0.0.14:80 -s RR", "unknown scheduler `RR`; did you mean `rr`?"),
        ("-A -t 10.0.0.14:80 -s wrrr", "unknown scheduler `wrrr`; did you mean `wrr`?"),
        (
            "–A -t 10.0.0.14:80",
            "`–A` begins with the dash `–` (U+2013), as web pages write it, not with a hyphen",
        ),
        ("ipvsadm -A —t 10.0.0.14:80", "`—t` begins with the dash `—` (U+2014)"),
        ("-A -t web.example.com:80", "`web.example.com` is a host name; save the rules again"),
        ("ipvsadm-restore < /etc/ipvsadm.rules", "restores from another file; give that file instead"),
        ("ipvsadm -A -t $VIP:80", "the value of `$VIP` is not known: no line above sets it"),
        ("ipvsadm -A -t `hostname`:80", "``hostname`` is only known when the script runs"),
        (
            "-a -t 10.0.0.13:80 -r 192.168.8.1:80 (null) -w 1",
            "ipvsadm had no name for the forwarding method of this server",
        ),
        ("/usr/local/bin/setup-lvs", "not a command of ipvsadm"),
        ("ipvsadm -A -t \"10.0.0.14:80", "a quote (\") is not closed"),
    ] {
        let said = said(line);
        assert_eq!(said.len(), 1, "{line}: {said:?}");
        assert!(said[0].0 == Effect::Lost && said[0].1.starts_with(start), "{line}: {said:?}");
    }
}

#[test]
fn what_ipvsadm_takes_in_its_own_way_is_said() {
    for (line, rule, note) in [
        (
            "-a -r 192.168.8.1 -t 10.0.0.13:80 -m",
            "-a -t 10.0.0.13:80 -r 192.168.8.1:0 -m -w 1",
            "`-r 192.168.8.1` has no port and stands before the service, so ipvsadm gives it port 0",
        ),
        ("-A -t 10.1:81", "-A -t 10.0.0.1:81 -s wlc", "ipvsadm reads `10.1` as 10.0.0.1"),
        (
            "-A -M 64 -t [fd00::1]:80 -p 9",
            "-A -t [fd00::1]:80 -s wlc -p 9",
            "`-M 64` stands before the IPv6 service, which sets it to 128 again",
        ),
        (
            "-A -f -1",
            "-A -f 4294967295 -s wlc",
            "ipvsadm prints the mark 4294967295 as -1, and does not read that itself",
        ),
        (
            "ip addr add 10.0.0.13/32 dev lo",
            "",
            "addresses, links and routes are not lbd's; keep this line where the host is set up",
        ),
        (
            "sysctl -w vm.swappiness=1",
            "",
            "`vm.swappiness` is no setting of the network, and lbd keeps no other",
        ),
        ("exit 0\n-A -f 9", "", "the script ends before this line, so nothing from here on was read"),
        (
            "ipvsadm -A -f 8 || ipvsadm -E -f 8",
            "-A -f 8 -s wlc",
            "not read: it runs only where the command before `||` fails",
        ),
    ] {
        let (rules, said) = read(&format!("{WEB}{line}\n"));
        assert_eq!(
            said.into_iter().map(|(_, effect, message)| (effect, message)).collect::<Vec<_>>(),
            [(Effect::Note, note.to_owned())]
        );
        assert!(rules.contains(rule), "{line}: {rules}");
    }
    // Right before the service it has the port of that all the same, without NAT.
    let (rules, said) = read(&format!("{WEB}-a -r 192.168.8.1 -t 10.0.0.13:80\n"));
    assert_eq!((rules, said), (format!("{WEB}-a -t 10.0.0.13:80 -r 192.168.8.1:80 -g -w 1\n"), vec![]));
}

#[test]
fn lines_behind_a_command_are_rules_with_variables() {
    let script = "VIP=10.0.0.13\nipvsadm-restore <<END\n-A -t $VIP:80 -s rr\n\n# more\n-a -t $VIP:80 -r 192.168.8.1:80 -g -w 1\nEND\ncat <<END\n-A -f 7\nEND\n";
    assert_eq!(read(script), (format!("{WEB}-a -t 10.0.0.13:80 -r 192.168.8.1:80 -g -w 1\n"), vec![]));
}

/// Names that a resolver knows.
struct Names;

impl Lookup for Names {
    fn port(&self, name: &str, _: Protocol) -> Result<u16, String> {
        if name == "http" { Ok(80) } else { Err("anywhere".to_owned()) }
    }

    fn host(&self, name: &str) -> Option<Result<Vec<Ipv4Addr>, String>> {
        Some(match name {
            "web.example.com" => Ok(vec![Ipv4Addr::new(10, 0, 0, 13)]),
            "rs.example.com" => Ok(vec![Ipv4Addr::new(192, 168, 8, 1), Ipv4Addr::new(192, 168, 8, 2)]),
            _ => Err("no such host".to_owned()),
        })
    }
}

#[test]
fn each_address_that_was_looked_up_is_named() {
    let text = "-A -t web.example.com:http -s rr\n-a -t web.example.com:http -r rs.example.com:http -m\n-A -t gone.example.com:http\n-A -t 10.0.0.14:nosuch\n";
    let imported = import_with(&Source::new("x", text), Format::Ipvsadm, &NoFiles, &Names).unwrap();
    let said: Vec<_> = imported.findings.iter().map(|finding| finding.message.as_str()).collect();
    assert_eq!(
        said,
        [
            "the host `web.example.com` is 10.0.0.13 now, which is written",
            "the host `web.example.com` is 10.0.0.13 now, which is written",
            "the host `rs.example.com` has 2 addresses (192.168.8.1, 192.168.8.2); as ipvsadm does, the first is used: 192.168.8.1",
            "the host `gone.example.com` has no IPv4 address, which ipvsadm looks for: no such host",
            "no tcp port is called `nosuch` anywhere; save with `ipvsadm -Sn`",
        ]
    );
    let rules = save(&state_of(imported.document));
    assert_eq!(rules, format!("{WEB}-a -t 10.0.0.13:80 -r 192.168.8.1:80 -m -w 1\n"));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn no_script_is_too_odd_to_be_read(text in "(ipvsadm |-[AaEeDdC] |-t 10.0.0.1:80 |-r 1.2.3.4|[$]{0,1}[A-Z]=?|if |fi|case x in|esac|do |done|[{}()'\"`;&|<>$\\\\#\n ]|<<E\n|\\PC){0,60}") {
        let imported = convert(&text, Format::Ipvsadm);
        for finding in imported.findings {
            prop_assert!(finding.line >= 1);
        }
    }
}

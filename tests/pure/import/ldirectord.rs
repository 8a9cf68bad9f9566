//! An ldirectord.cf becomes the table that ldirectord makes of it, with its checks and fallbacks.

#![allow(clippy::unwrap_used)]

use super::recorded::{compare, convert};
use lbd::config::{render_document, state_of};
use lbd::import::{Effect, Format, recognise};
use lbd::ipvsadm::save;
use proptest::prelude::*;

/// The desired file without its first line and `version`, and what is said of the lines.
fn read(text: &str) -> (String, Vec<(usize, Effect, String)>) {
    let imported = convert(text, Format::Ldirectord);
    let said = imported.findings.into_iter().map(|finding| (finding.line, finding.effect, finding.message));
    let rendered = render_document(imported.document);
    assert_eq!(rendered.unexpressed(), [""; 0]);
    let yaml = rendered.yaml().unwrap();
    (yaml.lines().skip(2).map(|line| format!("{line}\n")).collect(), said.collect())
}

/// The rules that a file comes to.
fn rules(text: &str) -> String {
    save(&state_of(convert(text, Format::Ldirectord).document))
}

/// What is said of a service with these lines beside its server.
fn said(lines: &str) -> Vec<(usize, Effect, String)> {
    let text = format!("virtual=10.0.0.1:81\n\treal=192.168.8.1:81 gate\n\tchecktype=on\n{lines}");
    convert(&text, Format::Ldirectord)
        .findings
        .into_iter()
        .map(|finding| (finding.line, finding.effect, finding.message))
        .collect()
}

#[test]
fn recorded_files_make_the_table_of_ldirectord() {
    compare("ldirectord", Format::Ldirectord);
}

#[test]
fn checks_fallback_and_policy_become_those_of_the_file() {
    let text = "checktimeout = 3\ncheckinterval = 10\nnegotiatetimeout = 4\nfailurecount = 2\nfallback = 127.0.0.1:8080\nquiescent = yes\n\n\
        # shop\nvirtual = 10.0.0.1:80\n\treal = 192.168.8.1:8000 masq 5\n    real = 192.168.8.2:8000 masq 6 \"other.html\", \"up\"\n\
        \tservice = http\n\trequest = \"alive.html\"\n\treceive = \"O.K\"\n\tvirtualhost = \"www.example.com\"\n\tservicename = shop\n\
        virtual=10.0.0.1:443\n        real=192.168.8.1 gate l:5 u:9\n        checkport=8443\n        scheduler=sh\n\
        virtual=10.0.0.1:53\n        real=192.168.8.3:53 ipip\n        request=\"www.example.com\"\n        receive=\"10.0.0.1\"\n        ops=yes\n        quiescent=no\n";
    let check = |path: &str, body: &str| {
        format!(
            "      type: http\n      interval: 10s\n      timeout: 4s\n      fall: 2\n      rise: 1\n      path: {path}\n      host: www.example.com\n      status:\n      - 200-299\n      body: {body}\n"
        )
    };
    let (yaml, said) = read(text);
    assert_eq!(
        yaml,
        format!(
            "clusters:\n- name: shop\n  listen: tcp://10.0.0.1:80\n  scheduler: wrr\n  forward: nat\n  on_failure: quiesce\n  min_serving: 0\n  fallback:\n    address: 127.0.0.1\n    forward: dr\n  servers:\n\
             \x20 - address: 192.168.8.1:8000\n    weight: 5\n    check:\n{}  - address: 192.168.8.2:8000\n    weight: 6\n    check:\n{}\n\
             - name: tcp-10.0.0.1-443\n  listen: tcp://10.0.0.1:443\n  scheduler: sh\n  forward: dr\n  check:\n    type: https\n    port: 8443\n    interval: 10s\n    timeout: 4s\n    fall: 2\n    rise: 1\n    status:\n    - 200-299\n    verify: none\n  on_failure: remove\n  min_serving: 0\n  fallback:\n    address: 127.0.0.1\n    forward: dr\n  servers:\n  - address: 192.168.8.1\n    upper_threshold: 9\n    lower_threshold: 5\n\n\
             - name: udp-10.0.0.1-53\n  listen: udp://10.0.0.1:53\n  scheduler: wrr\n  one_packet: true\n  forward: tun\n  check:\n    type: dns\n    interval: 10s\n    timeout: 4s\n    fall: 2\n    rise: 1\n    query: www.example.com\n    answer: 10.0.0.1\n  on_failure: remove\n  min_serving: 0\n  fallback:\n    address: 127.0.0.1\n    forward: dr\n  servers:\n  - 192.168.8.3\n",
            check("/alive.html", "/O.K/"),
            check("/other.html", "up"),
        )
    );
    assert_eq!(
        said,
        [
            (
                12,
                Effect::Note,
                "ldirectord follows redirects, the check does not: give it the path that answers with 200".to_owned()
            ),
            (
                17,
                Effect::Note,
                "with this scheduler a server of weight 0 refuses its clients; `on_failure: remove` deletes it in place of `quiescent`".to_owned()
            ),
        ]
    );
}

#[test]
fn each_type_of_check_has_its_counterpart_or_is_named() {
    for (lines, check, lost) in [
        ("checktype=connect", "type: tcp", None),
        ("checktype=ping\n\tcheckcount=3\n\tfailurecount=2", "type: ping", None),
        ("checktype=on", "none", None),
        ("service=none", "none", None),
        ("checktype=4\n\tservice=http", "type: http", None),
        ("service=simpletcp\n\trequest=\"hi\\n\"\n\treceive=\"ho\"", "send: |", None),
        ("checktype=external\n\tcheckcommand=/usr/lib/check", "- /usr/lib/check", None),
        (
            "checktype=external\n\tcheckcommand=\"check it\"",
            "none",
            Some("`check it` is not the absolute path"),
        ),
        (
            "checktype=external-perl\n\tcheckcommand=/x.pl",
            "none",
            Some("`external-perl` is code that runs inside"),
        ),
        (
            "service=smtp",
            "type: tcp",
            Some("smtp is not spoken by the checker: the check makes a TCP connection"),
        ),
        (
            "service=imaps",
            "type: tls",
            Some("imaps is not spoken by the checker: the check makes a TLS connection"),
        ),
        ("service=radius", "type: ping", Some("radius is not spoken by the checker: the servers are pinged")),
    ] {
        let (yaml, said) = read(&format!("virtual=10.0.0.1:80\n\treal=192.168.8.1:80 gate\n\t{lines}\n"));
        assert!(yaml.contains(check), "{lines}: {yaml}");
        let found = said.iter().find(|(_, effect, _)| *effect == Effect::Lost);
        assert_eq!(found.is_some(), lost.is_some(), "{lines}: {said:?}");
        if let (Some((_, _, message)), Some(lost)) = (found, lost) {
            assert!(message.starts_with(lost), "{lines}: {message}");
        }
    }
}

// The tables are those that ldirectord 4.12.0 made of these lines.
#[test]
fn odd_server_lines_make_the_table_of_ldirectord() {
    let text = "virtual=192.0.2.1:80\n\treal=198.51.100.1:8080 gate 5\n\treal=198.51.100.1:9090 gate 7\n\treal=198.51.100.2:8080 masq\n\
        \treal=198.51.100.3 masq 4\n\treal=198.51.100.4 ipip 3 l:5 u:9\n\treal=198.51.100.5:80 gate 6 u:8 l:2\n\treal=198.51.100.6:80 masq 1\n\
        \treal=198.51.100.6:80 masq 3\n\tscheduler=wlc\n\tchecktype=on\n\
        virtual=192.0.2.1:81\n\treal=198.51.100.1->198.51.100.2:8080 masq 2\n\tchecktype=on\n\tpersistent=100\n\tnetmask=255.255.255.0\n\
        \tschedflags=sh-port\n\tscheduler=sh\n\
        virtual = 192.0.2.5:80   # web\n\treal = 198.51.100.1:80 gate # one\n\tchecktype = on   \n\tservice = http # y\n    # foo\n#bar\n\tscheduler = rr\n";
    assert_eq!(
        rules(text),
        "-A -t 192.0.2.1:80 -s wlc\n-a -t 192.0.2.1:80 -r 198.51.100.1:80 -g -w 5\n-a -t 192.0.2.1:80 -r 198.51.100.2:8080 -m -w 1\n\
         -a -t 192.0.2.1:80 -r 198.51.100.3:0 -m -w 4\n-a -t 192.0.2.1:80 -r 198.51.100.4:80 -i -w 3 --tun-type ipip -x 9 -y 5\n\
         -a -t 192.0.2.1:80 -r 198.51.100.6:80 -m -w 3\n\
         -A -t 192.0.2.1:81 -s sh -p 100 -M 255.255.255.0 -b sh-port\n-a -t 192.0.2.1:81 -r 198.51.100.1:8080 -m -w 2\n\
         -a -t 192.0.2.1:81 -r 198.51.100.2:8080 -m -w 2\n\
         -A -t 192.0.2.5:80 -s rr\n-a -t 192.0.2.5:80 -r 198.51.100.1:80 -g -w 1\n"
    );
    // What it refuses, with the line that it named.
    for (text, line) in [
        ("virtual=192.0.2.5:80\n\tchecktype=on\n\treal=198.51.100.1:80 gate \"a 1\", \"b\"\n", 3),
        ("virtual=192.0.2.5:80\n\tchecktype=on\n      \n\treal=198.51.100.2:80 gate\n", 3),
        ("virtual=192.0.2.5:80\n\tquiescent=no \n\tchecktype=on\n", 2),
        ("quiescent=no # x\nvirtual=192.0.2.5:80\n\tchecktype=on\n", 1),
    ] {
        let (_, said) = read(text);
        assert!(
            said.len() == 1 && said.iter().all(|said| (said.0, said.1) == (line, Effect::Lost)),
            "{text}: {said:?}"
        );
    }
}

// Each was tried with ldirectord 4.12.0, or read in its source.
#[test]
fn what_surprises_in_ldirectord_is_kept_and_said() {
    // Without NAT the port is that of the service; NAT has port 0 where none is given.
    assert_eq!(
        rules(
            "virtual=10.0.0.1:80\n real=x\nvirtual=10.0.0.1:81\n\treal=192.168.8.1:9 gate\n\treal=192.168.8.2 masq\n"
        ),
        "-A -t 10.0.0.1:80 -s wrr\n-A -t 10.0.0.1:81 -s wrr\n-a -t 10.0.0.1:81 -r 192.168.8.1:81 -g -w 1\n-a -t 10.0.0.1:81 -r 192.168.8.2:0 -m -w 1\n"
    );
    // Port 53 is UDP, and `ops` counts for UDP only.
    assert_eq!(rules("virtual=10.0.0.1:domain\n\tops=yes\n"), "-A -u 10.0.0.1:53 -s wrr -o\n");
    assert_eq!(rules("virtual=10.0.0.1:80\n\tops=yes\n"), "-A -t 10.0.0.1:80 -s wrr\n");
    // Without a port the first number is a mark.
    let (yaml, said) = read("virtual=10.0.0.1\n\treal=192.168.8.1 gate\n");
    assert!(yaml.contains("fwmark://10"), "{yaml}");
    assert_eq!(
        said,
        [(
            1,
            Effect::Note,
            "there is no port in `10.0.0.1`, so ldirectord reads it as the firewall mark 10".to_owned()
        )]
    );
    // Only the fallback is in the table.
    assert_eq!(
        rules("fallback=127.0.0.1\nvirtual=10.0.0.1:80\n\treal=192.168.8.1 gate\n\tchecktype=off\n"),
        "-A -t 10.0.0.1:80 -s wrr\n-a -t 10.0.0.1:80 -r 127.0.0.1:80 -g -w 1\n"
    );
    assert_eq!(
        rules(
            "virtual6=[fd00::1]:80\n\treal6=[fd00::2]:8080 masq 3\n\tpersistent=50\n\tnetmask=64\nvirtual6=9\n\treal6=[fd00::2] gate\n"
        ),
        "-A -t [fd00::1]:80 -s wrr -p 50 -M 64\n-a -t [fd00::1]:80 -r [fd00::2]:8080 -m -w 3\n-A -f 9 -6 -s wrr\n-a -f 9 -6 -r [fd00::2]:0 -g -w 1\n"
    );
}

#[test]
fn what_ldirectord_refuses_or_lbd_does_not_have_is_named_with_its_line() {
    let refused = "ldirectord refuses this line, and with it the whole file: ";
    for (lines, line, effect, message) in [
        ("\tpersistant=5\n", 4, Effect::Lost, format!("{refused}unknown word `persistant`; did you mean `persistent`?")),
        ("\trequest=index.html\n", 4, Effect::Lost, format!("{refused}the value of `request` has to be in double quotes")),
        ("\tquiescent=maybe\n", 4, Effect::Lost, format!("{refused}`quiescent` is `yes` or `no`")),
        ("\treal=192.168.8.1:80 nat\n", 4, Effect::Lost, format!("{refused}`nat` is neither `gate` nor `masq` nor `ipip`")),
        ("  real=192.168.8.2 gate\n", 4, Effect::Lost, format!("{refused}a line of a virtual service begins with a tab or at least four spaces")),
        ("\n\treal=192.168.8.2 gate\n", 5, Effect::Lost, format!("{refused}it belongs to no virtual service: an empty line, or one that is not indented, ends that")),
        ("\treal=web1:80 gate\n", 4, Effect::Lost, format!("{refused}`web1` is a host name; `--resolve` looks it up, as ldirectord does")),
        ("\tscheduler=wrrr\n", 4, Effect::Lost, "ipvsadm refuses the virtual service, so ldirectord has none: unknown scheduler `wrrr`; did you mean `wrr`?".to_owned()),
        ("\tscheduler=mine\n", 4, Effect::Note, "Linux has no scheduler `mine`; `module:mine` is written, for a kernel module of your own".to_owned()),
        ("\tpersistent=0\n", 4, Effect::Lost, "ipvsadm refuses the virtual service, so ldirectord has none: `0` is not a persistence time that ipvsadm takes, 1 to 2678400".to_owned()),
        ("\treal=192.168.8.1:99 gate\n", 4, Effect::Note, "without `masq` a server has the port of the service, and 192.168.8.1:81 is there already; ipvsadm refuses it again".to_owned()),
        ("\temailalert=\"ops@example.com\"\n", 4, Effect::Note, "`emailalert` is not lbd's: mail is sent by what reads the journal or `lbd events`".to_owned()),
        ("maintenancedir=/etc/m\n", 4, Effect::Note, "`maintenancedir` is not lbd's: `lbd drain` takes a server out of service".to_owned()),
    ] {
        assert_eq!(said(lines), [(line, effect, message)], "{lines}");
    }
}

#[test]
fn a_fallback_that_no_file_can_have_is_left_out_alone() {
    let (yaml, said) = read_lost(
        "virtual=10.0.0.1:80\n\treal=192.168.8.1 gate\n\tfallback=127.0.0.1:80 masq\n\tchecktype=on\n",
    );
    assert!(yaml.contains("- 192.168.8.1") && !yaml.contains("fallback"), "{yaml}");
    assert!(
        said.len() == 1
            && said.iter().all(|(line, message)| *line == 3 && message.starts_with("no fallback: ")),
        "{said:?}"
    );
}

fn read_lost(text: &str) -> (String, Vec<(usize, String)>) {
    let (yaml, said) = read(text);
    (yaml, said.into_iter().map(|(line, _, message)| (line, message)).collect())
}

#[test]
fn the_format_is_recognised() {
    assert_eq!(recognise("virtual=10.0.0.1:80\n\treal=192.168.8.1:80 gate\n"), Some(Format::Ldirectord));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn no_file_is_too_odd_to_be_read(text in "(virtual6?=|10.0.0.1|\\[fd00::1\\]|:80|\n\t|\n    |\n|real6?=|->| gate| masq| 5|(check)?type|=|service|request|fallback|\"|,|#| |\\PC){0,60}") {
        let imported = convert(&text, Format::Ldirectord);
        let rendered = render_document(imported.document);
        prop_assert!(rendered.unexpressed().is_empty());
    }
}

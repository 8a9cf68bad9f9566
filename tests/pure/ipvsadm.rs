//! What lbd writes in ipvsadm's words it reads back as the same table, and what it cannot read it names.

#![allow(clippy::unwrap_used, clippy::indexing_slicing)]

use std::fs;

use crate::generate;
use crate::generate::without_fullnat;
use lbd::ipvsadm::{ServiceNames, command, is_rules_text, read, read_with, save, unsaved};
use lbd::model::{
    Forwarding, Operation, RealServer, ServerKey, ServerOp, ServiceKey, ServiceOp, State, SyncRole,
    Thresholds,
};
use lbd::plan::plan;
use proptest::prelude::*;

proptest! {
    #[test]
    fn what_is_saved_is_read_back_as_the_same_services(state in generate::state()) {
        let text = save(&state);
        let parsed = read(&text);
        prop_assert_eq!(parsed.problems, []);
        prop_assert_eq!(parsed.state.services, without_fullnat(&state).services);
        prop_assert!(is_rules_text(&text));
    }

    #[test]
    fn the_commands_of_a_plan_lead_from_one_table_to_the_other(from in generate::state(), to in generate::state()) {
        let mut script = save(&from);
        for command in plan(&from, &to).operations().filter_map(command) {
            script.push_str(&command);
            script.push('\n');
        }
        let parsed = read(&script);
        prop_assert_eq!(parsed.problems, [], "{}", script);
        prop_assert_eq!(parsed.state.services, without_fullnat(&to).services);
    }

    #[test]
    fn whatever_a_kernel_stores_is_saved_or_named(state in generate::live_state()) {
        let text = save(&state);
        let rules = text.lines().filter(|line| line.starts_with('-')).count();
        let unsaved = unsaved(&state);
        prop_assert_eq!(rules + unsaved.len(), text.lines().count());
        // A service that cannot be written takes its servers with it.
        let written = |key: &ServiceKey| !unsaved.iter().any(|line| line.starts_with(&format!("{key}: ")));
        let servers = state.services.iter().filter(|(key, _)| written(key)).map(|(_, service)| service.servers.len());
        prop_assert_eq!(rules + unsaved.len(), state.services.len() + servers.sum::<usize>(), "{}", text);
    }

    #[test]
    fn no_text_is_too_odd_to_be_read(text in "(-[AaEeDd] |--[a-z]{2,12}[= ]|-[tufrspMbwxy6gim] |[0-9.:\\[\\]]{1,9}|['\"$\\\\#\n ]|\\PC){0,40}") {
        let parsed = read(&text);
        for problem in &parsed.problems {
            prop_assert!(problem.line >= 1 && problem.line <= text.lines().count());
        }
        is_rules_text(&text);
    }
}

/// The table of one text that must be without problems.
fn table(text: &str) -> State {
    let parsed = read(text);
    assert_eq!(parsed.problems, [], "{text}");
    parsed.state
}

/// The messages of a text, each with the number of its line.
fn problems(text: &str) -> Vec<(usize, String)> {
    read(text).problems.into_iter().map(|problem| (problem.line, problem.error.to_string())).collect()
}

#[test]
fn a_script_of_whole_commands_reads_like_the_rules_that_it_makes() {
    let script = "#!/bin/sh -e\n\
        # rc.local\n\
        /sbin/ipvsadm -C\n\
        ipvsadm --add-service --tcp-service 10.0.0.13:80 --scheduler rr   # the web\n\
        sudo ipvsadm -a -t 10.0.0.13:80 \\\n    -r 192.168.8.14 -m\n\
        ipvsadm -a -t 10.0.0.13:80 -r 192.168.8.15:8080 -w 3 -m -x 100 -y 50\n\
        ipvsadm --set 900 0 300\n\
        ipvsadm --start-daemon master --mcast-interface eth1 --syncid 7\n\
        \n\
        exit 0\n";
    let rules = "-A -t 10.0.0.13:80 -s rr\n\
        -a -t 10.0.0.13:80 -r 192.168.8.14:80 -m -w 1\n\
        -a -t 10.0.0.13:80 -r 192.168.8.15:8080 -m -w 3 -x 100 -y 50\n";
    let state = table(script);
    assert_eq!(save(&state), rules);
    assert_eq!(
        (state.timeouts.tcp, state.timeouts.tcp_fin, state.timeouts.udp),
        (Some(900), None, Some(300))
    );
    assert_eq!((state.sync.len(), state.sync[0].role, state.sync[0].id), (1, SyncRole::Master, 7));
    assert!(is_rules_text(script) && is_rules_text(rules));
}

#[test]
fn what_is_not_said_is_what_ipvsadm_would_set() {
    // Each pair was tried with ipvsadm 1.31: what was typed, and what `ipvsadm -Sn` printed then.
    for (typed, saved) in [
        ("-A -t 10.0.0.13:80", "-A -t 10.0.0.13:80 -s wlc\n"),
        ("-A -t 10.0.0.13:80 -p", "-A -t 10.0.0.13:80 -s wlc -p 360\n"),
        ("-A -t 10.0.0.13 -p -s rr", "-A -t 10.0.0.13:0 -s rr -p 360\n"),
        ("-A -t 10.0.0.13:80 -p 5 -M 255.255.255.255", "-A -t 10.0.0.13:80 -s wlc -p 5\n"),
        ("-A -t 10.0.0.13:80 -M 255.255.0.0", "-A -t 10.0.0.13:80 -s wlc\n"),
        ("-A -t [fd00::13]:80 -p 5 -M 64", "-A -t [fd00::13]:80 -s wlc -p 5 -M 64\n"),
        ("-A -f -1 -o", "-A -f 4294967295 -s wlc -o\n"),
        ("-A -f 010", "-A -f 10 -s wlc\n"),
        ("-A -f 11 -6", "-A -f 11 -6 -s wlc\n"),
        ("-A -t 10.0.0.13:80 -s sh -b ", "-A -t 10.0.0.13:80 -s sh -b flag-3\n"),
        ("-A -t 10.0.0.13:80 -b sh-port,flag-1 -s sh", "-A -t 10.0.0.13:80 -s sh -b sh-fallback,sh-port\n"),
        (
            "-A -u 10.0.0.1:80 -o -b flag-2 -s rr -p 30 -M 255.255.255.0 --pe sip",
            "-A -u 10.0.0.1:80 -s rr -p 30 -M 255.255.255.0 --pe sip -o -b flag-2\n",
        ),
    ] {
        assert_eq!(save(&table(typed)), saved, "{typed}");
    }
    for (typed, saved) in [
        ("-r 192.168.8.14", "-r 192.168.8.14:80 -g -w 1"),
        ("-r 192.168.8.14:99", "-r 192.168.8.14:80 -g -w 1"),
        ("-r 192.168.8.14:99 -m -w 0", "-r 192.168.8.14:99 -m -w 0"),
        ("-r 192.168.8.14:0 -m", "-r 192.168.8.14:0 -m -w 1"),
        ("-r 192.168.8.14:99 -i", "-r 192.168.8.14:80 -i -w 1 --tun-type ipip"),
        ("-r [fd00::6]:90 -i", "-r [fd00::6]:80 -i -w 1 --tun-type ipip"),
        ("-r fd00::6 -i", "-r [fd00::6]:80 -i -w 1 --tun-type ipip"),
        (
            "-r 192.168.8.14 --tun-type gue -i --tun-port 5",
            "-r 192.168.8.14:80 -i -w 1 --tun-type gue --tun-port 5 --tun-nocsum",
        ),
        (
            "-r 192.168.8.14 -i --tun-type gre --tun-csum",
            "-r 192.168.8.14:80 -i -w 1 --tun-type gre --tun-csum",
        ),
        ("-r 192.168.8.14 -m -x 7", "-r 192.168.8.14:80 -m -w 1 -x 7"),
    ] {
        let text = save(&table(&format!("-A -t 10.0.0.13:80\n-a -t 10.0.0.13:80 {typed}")));
        assert_eq!(text, format!("-A -t 10.0.0.13:80 -s wlc\n-a -t 10.0.0.13:80 {saved}\n"), "{typed}");
    }
    let text = save(&table("-A -f 10\n-a -f 10 -r 192.168.8.14\n-a -f 10 -r 192.168.8.14:80 -g"));
    assert_eq!(
        text,
        "-A -f 10 -s wlc\n-a -f 10 -r 192.168.8.14:0 -g -w 1\n-a -f 10 -r 192.168.8.14:80 -g -w 1\n"
    );
}

#[test]
fn lines_change_the_table_in_their_order() {
    let text = "-A -t 10.0.0.13:80 -s rr -p 50\n-a -t 10.0.0.13:80 -r 10.1.1.1 -m -x 5\n-a -t 10.0.0.13:80 -r 10.1.1.2 -m\n\
                -E -t 10.0.0.13:80\n-e -t 10.0.0.13:80 -r 10.1.1.1 -m -w 2\n-d -t 10.0.0.13:80 -r 10.1.1.2\n\
                -A -f 1\n-D -f 1\n-L -n --sort\n-Z\n";
    assert_eq!(save(&table(text)), "-A -t 10.0.0.13:80 -s wlc\n-a -t 10.0.0.13:80 -r 10.1.1.1:80 -m -w 2\n");
}

#[test]
fn nothing_is_dropped_in_silence() {
    assert_eq!(
        problems(
            "-A -t web.example.com:80\n-A -t 10.0.0.13:80 -s rr --weight 3\n-a -t 10.0.0.13:80 -r 10.1.1.1 -m\n\
             echo 1 > /proc/sys/net/ipv4/ip_forward\nmodprobe ip_vs\n\n-A -t 10.0.0.14:80\n-A -t 10.0.0.14:80\n\
             -a -t 10.0.0.15:80 -r 10.1.1.1\n-a -t 10.0.0.14:80 -r fd00::1 -m\n-a -t 10.0.0.14:80 -r 10.1.1.1 -y 5\n\
             -A -t 10.0.83:80\n-A -t 10.0.0.16:80 -M 24 -p\n-R\n\
             -a -t 10.0.0.14:80 -r 10.1.1.2:80 (null) -w 1\n"
        ),
        [
            (1, "`web.example.com` is a host name; save the rules again with `ipvsadm -Sn`, which prints addresses, or look it up with `lbd export --from FILE --resolve`".to_owned()),
            (2, "`--weight` does not belong to `--add-service`".to_owned()),
            (3, "its service tcp://10.0.0.13:80 could not be read (line 2)".to_owned()),
            (4, "`>` has a meaning that only a shell knows; run the script and save the result with `ipvsadm -Sn`".to_owned()),
            (5, "not a command of ipvsadm".to_owned()),
            (8, "tcp://10.0.0.14:80 is there already; the kernel refuses a second one".to_owned()),
            (9, "there is no service tcp://10.0.0.15:80 in the lines above".to_owned()),
            (10, "the server fd00::1 has another address family than tcp://10.0.0.14:80; only `-i` can do that".to_owned()),
            (11, "the lower threshold is above the upper one; the kernel refuses that".to_owned()),
            (12, "`10.0.83` is not an IP address".to_owned()),
            (13, "`24` is not a netmask such as 255.255.255.0 (ipvsadm takes a prefix length only for IPv6)".to_owned()),
            (14, "restores from another file; give that file instead".to_owned()),
            (15, "ipvsadm had no name for the forwarding method of this server".to_owned()),
        ]
    );
}

#[test]
fn what_ipvsadm_refuses_is_refused() {
    for line in [
        "-A",
        "-A -t 10.0.0.13:80 -u 10.0.0.13:80",
        "-A -f 0",
        "-A -f 0x10",
        "-A -f 4294967296",
        "-A -t 10.0.0.13:80 -6",
        "-A -t 10.0.0.13:70000",
        "-A -t 10.0.0.13:0x50",
        "-A -t 10.0.0.13: ",
        "-A -t [10.0.0.13]:80",
        "-A -t 010.0.0.13:80",
        "-A -t 10.0.0.13:80 -s rr -b sh-port",
        "-A -t 10.0.0.13:80 -s sh -b foo",
        "-A -t 10.0.0.13:80 -s rr -b",
        "-A -t 10.0.0.13:80 junk",
        "-A -t [fd00::1]:80 -p 5 -M 129",
        "-A -t 10.0.0.13:80 -s a/b",
        "-a -f 1",
        "-a -f 1 -r 10.1.1.1 -w -1",
        "-a -f 1 -r 10.1.1.1 -w 2147483648",
        "-a -f 1 -r 10.1.1.1 -x 2147483648",
        "-a -f 1 -r 10.1.1.1 -m -g",
        "-a -f 1 -r 10.1.1.1 -m --tun-type ipip",
        "-a -f 1 -r 10.1.1.1 -i --tun-type gue",
        "-a -f 1 -r 10.1.1.1 -i --tun-type fou",
        "-a -f 1 -r 10.1.1.1 -i --tun-port 4",
        "-a -f 1 -r 10.1.1.1 -i --tun-csum",
        "-a -f 1 -r 10.1.1.1 -i --tun-type gre --tun-port 4",
        "-a -f 1 -r 10.1.1.1 -i --tun-type gre --tun-remcsum",
        "-a -f 1 -r 10.1.1.1 -i --tun-type gue --tun-port 4 --tun-csum --tun-remcsum",
        "-a -f 1 -r 10.1.1.1 -s rr",
        "-d -f 1 -r 10.1.1.1",
        "-e -f 1 -r 10.1.1.1",
        "-E -f 2",
        "-D -f 2",
        "--set 1 2",
        "--start-daemon",
        "--start-daemon foo",
        "--start-daemon master",
        "--start-daemon master --mcast-interface eth0 --syncid 300",
        "-C -t 1.2.3.4:5",
    ] {
        let found = problems(&format!("-A -f 1\n{line}"));
        assert_eq!(found.len(), 1, "{line}: {found:?}");
        assert_eq!(found[0].0, 2, "{line}");
    }
}

#[test]
fn a_port_may_have_a_name() {
    let file = tempfile::NamedTempFile::new().unwrap();
    fs::write(&file, "http 80/tcp www\nhttp-alt 8080/tcp\ndomain 53/udp\n").unwrap();
    let names = ServiceNames::from_file(file.path());
    let text = "-A -t 10.0.0.13:http -s rr\n-a -t 10.0.0.13:http -r 192.168.8.14:http-alt -m\n-A -u 10.0.0.13:domain\n-A -u 10.0.0.13:http";
    let parsed = read_with(text, &names);
    assert_eq!(
        save(&parsed.state),
        "-A -t 10.0.0.13:80 -s rr\n-a -t 10.0.0.13:80 -r 192.168.8.14:8080 -m -w 1\n-A -u 10.0.0.13:53 -s wlc\n"
    );
    assert_eq!(parsed.problems.len(), 1);
    assert!(parsed.problems[0].error.to_string().starts_with("no udp port is called `http` in "));
    assert_eq!(parsed.problems[0].line, 4);
}

#[test]
fn rules_are_told_from_yaml_and_json() {
    for rules in [
        "-A -t 1.2.3.4:5",
        "# saved\n\n--add-service -f 1",
        " /sbin/ipvsadm -C",
        "sudo ipvsadm -C",
        "",
        "# empty rules file\n",
        "#!/bin/sh\nset -e",
    ] {
        assert!(is_rules_text(rules), "{rules}");
    }
    for other in [
        "version: 1",
        "---\nversion: 1",
        "- name: web",
        "{\"version\":1}",
        "# a file\nclusters: []",
        "# yaml-language-server: $schema=x\n",
        "-",
        "- a",
    ] {
        assert!(!is_rules_text(other), "{other}");
    }
}

#[test]
fn an_operation_is_the_command_that_an_operator_would_type() {
    let service: ServiceKey = "tcp://10.0.0.13:80".parse().unwrap();
    let server = ServerKey { address: "192.168.8.14".parse().unwrap(), port: 80 };
    let to = RealServer { weight: 3, forwarding: Forwarding::Nat, thresholds: Thresholds::default() };
    let scheduling = table("-A -t 10.0.0.13:80 -s rr").services.get(&service).unwrap().scheduling.clone();
    for (operation, typed) in [
        (
            Operation::Service(ServiceOp::Add { service, to: scheduling.clone() }),
            "ipvsadm -A -t 10.0.0.13:80 -s rr",
        ),
        (
            Operation::Service(ServiceOp::Edit { service, from: scheduling.clone(), to: scheduling }),
            "ipvsadm -E -t 10.0.0.13:80 -s rr",
        ),
        (Operation::Service(ServiceOp::Delete { service }), "ipvsadm -D -t 10.0.0.13:80"),
        (
            Operation::Server(ServerOp::Add { service, server, to }),
            "ipvsadm -a -t 10.0.0.13:80 -r 192.168.8.14:80 -m -w 3",
        ),
        (
            Operation::Server(ServerOp::Edit { service, server, from: to.into(), to: Box::new(to) }),
            "ipvsadm -e -t 10.0.0.13:80 -r 192.168.8.14:80 -m -w 3",
        ),
        (
            Operation::Server(ServerOp::Delete { service, server }),
            "ipvsadm -d -t 10.0.0.13:80 -r 192.168.8.14:80",
        ),
    ] {
        assert_eq!(command(&operation).as_deref(), Some(typed));
    }
    let odd =
        ServiceKey::Address { protocol: lbd::model::Protocol::Other(47), address: server.address, port: 1 };
    assert_eq!(
        command(&Operation::Service(ServiceOp::Delete { service: odd })).as_deref(),
        Some("# delete service protocol-47://192.168.8.14:1: ipvsadm has no option for protocol 47")
    );
}

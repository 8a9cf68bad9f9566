//! A keepalived.conf becomes the table that keepalived 2.2.7 makes of it.

#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing)]

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use lbd::config::{self, Source};
use lbd::import::{Effect, Files, Finding, Format, Imported, NoFiles, Place, import, recognise};
use lbd::model::{Forwarding, PersistenceMask, ServiceKey, State, Timeouts};
use serde_json::{Value, json};

use crate::cli::{directory, lbd};

/// A configuration that includes nothing.
pub(super) fn imported(text: &str) -> Imported {
    let source = Source::new("keepalived.conf", text);
    assert_eq!(recognise(text), Some(Format::Keepalived), "{text}");
    import(&source, Format::Keepalived, &NoFiles).unwrap()
}

/// The table of an import, which is a valid file as it is.
pub(super) fn state(imported: &Imported) -> State {
    let rendered = config::render_document(imported.document.clone());
    assert_eq!(rendered.unexpressed(), Vec::<String>::new());
    let text = rendered.yaml().unwrap();
    config::load(&Source::new("export", text.as_str()))
        .unwrap_or_else(|problems| panic!("{problems}\n{text}"))
        .state
}

/// What there is to say, by lines.
pub(super) fn said(imported: &Imported, effect: Effect) -> Vec<(usize, &str)> {
    let findings = imported.findings.iter().filter(|finding| finding.effect == effect);
    findings.map(|finding| (finding.line, finding.message.as_str())).collect()
}

/// The services of a table, as `ipvsadm -S` writes them.
fn rules(text: &str) -> String {
    lbd::ipvsadm::save(&state(&imported(text)))
}

/// A table as the recorded ones are written.
fn recorded(state: &State) -> Value {
    let name = |key: &ServiceKey| match key {
        ServiceKey::FirewallMark { mark, .. } => format!("fwm {mark}"),
        key => key.to_string().replace("://", " "),
    };
    let service = |(key, service): (&ServiceKey, &lbd::model::VirtualService)| {
        let scheduling = &service.scheduling;
        let servers: BTreeMap<String, Value> = service
            .servers
            .iter()
            .map(|(key, server)| {
                let threshold = |limit: Option<std::num::NonZeroU32>| limit.map_or(0, |limit| limit.get());
                let forward = match server.forwarding {
                    Forwarding::Tunnel(_) => "tun".to_owned(),
                    forwarding => forwarding.to_string(),
                };
                let of = json!({
                    "forward": forward,
                    "lower": threshold(server.thresholds.lower),
                    "upper": threshold(server.thresholds.upper),
                    "weight": server.weight,
                });
                (key.to_string(), of)
            })
            .collect();
        let mask = scheduling.persistence.map(|persistence| match persistence.mask {
            PersistenceMask::V4(mask) => mask.to_string(),
            PersistenceMask::V6(length) => length.to_string(),
        });
        let of = json!({
            "engine": scheduling.engine.as_ref().map(|engine| engine.as_str()),
            "flags": scheduling.flags.names(&scheduling.scheduler),
            "netmask": mask,
            "one_packet": scheduling.one_packet,
            "persistent": scheduling.persistence.map(|persistence| persistence.timeout),
            "scheduler": scheduling.scheduler.as_str(),
            "servers": servers,
        });
        (name(key), of)
    };
    let services: BTreeMap<String, Value> = state.services.iter().map(service).collect();
    let Timeouts { tcp, tcp_fin, udp } = state.timeouts;
    let daemons: Vec<Value> = state.sync.iter().map(|daemon| json!(daemon.role.to_string())).collect();
    json!({
        "daemons": daemons,
        "services": services,
        "timeouts": [tcp.unwrap_or(900), tcp_fin.unwrap_or(120), udp.unwrap_or(300)],
    })
}

#[test]
fn each_recorded_table_is_what_the_import_makes() {
    let mut count = 0;
    for entry in fs::read_dir("tests/data/import/keepalived").unwrap() {
        let path = entry.unwrap().path();
        if path.extension().is_none_or(|extension| extension != "conf") {
            continue;
        }
        let expected = fs::read_to_string(path.with_extension("expected.json")).unwrap();
        let expected: Value = serde_json::from_str(&expected).unwrap();
        let imported = imported(&fs::read_to_string(&path).unwrap());
        assert_eq!(recorded(&state(&imported)), expected["table"], "{}", path.display());
        assert_eq!(said(&imported, Effect::Lost), [], "{}", path.display());
        count += 1;
    }
    assert_eq!(count, 10);
}

#[test]
fn what_is_not_lbds_is_named_with_its_line_and_is_no_loss() {
    let text = fs::read_to_string("tests/data/import/keepalived/01-tutorial.conf").unwrap();
    let imported = imported(&text);
    assert_eq!(
        said(&imported, Effect::Note),
        [
            (4, "mail is not lbd's"),
            (7, "mail is not lbd's"),
            (8, "mail is not lbd's"),
            (9, "mail is not lbd's"),
            (10, "a setting of keepalived itself, which is not lbd's"),
            (13, "VRRP and addresses are not lbd's; keepalived keeps `vrrp_instance`"),
            (24, "the address 192.0.2.10 stays with keepalived's `vrrp_instance`"),
            (
                28,
                "`min_serving` is 0, since keepalived keeps no failing server in service; without it lbd keeps half of them rather than fewer"
            ),
            (39, "keepalived does not know `nb_get_retry` here, and ignores it"),
            (47, "keepalived does not know `nb_get_retry` here, and ignores it"),
        ]
    );
    let place = |line: usize| imported.findings.iter().find(|finding| finding.line == line).unwrap().place;
    assert_eq!((place(24), place(28), place(47)), (Place::Head, Place::Before(0), Place::Before(0)));
}

#[test]
fn what_keepalived_does_not_say_in_its_manual_is_so_here_too() {
    // No protocol is UDP, no scheduler wlc, no method NAT; a port of a dr server is the service's, and duplicates fall together.
    assert_eq!(
        rules("virtual_server 10.0.0.1 53 {\nreal_server 10.1.0.1 53 {\n}\n}\n"),
        "-A -u 10.0.0.1:53 -s wlc\n-a -u 10.0.0.1:53 -r 10.1.0.1:53 -m -w 1\n"
    );
    let dr = "virtual_server 10.0.0.1 80 {\nprotocol tcp\nlb_kind DR\nreal_server 10.1.0.1 8080 { weight 5 }\n\
              real_server 10.1.0.1 81\n{\nweight 6\n} real_server 10.1.0.2 { } }\n";
    assert_eq!(
        rules(dr),
        "-A -t 10.0.0.1:80 -s wlc\n-a -t 10.0.0.1:80 -r 10.1.0.1:80 -g -w 5\n-a -t 10.0.0.1:80 -r 10.1.0.2:80 -g -w 1\n"
    );
    // 0 is no persistence; the granularity alone is, and so is port 0.
    let persistent = |lines: &str, port: &str| {
        rules(&format!(
            "virtual_server 10.0.0.1 {port} {{\nprotocol TCP\n{lines}\nreal_server 10.1.0.1 80 {{\n}}\n}}\n"
        ))
        .lines()
        .next()
        .unwrap()
        .to_owned()
    };
    assert_eq!(persistent("persistence_timeout 0", "80"), "-A -t 10.0.0.1:80 -s wlc");
    assert_eq!(persistent("persistence_timeout 50x", "80"), "-A -t 10.0.0.1:80 -s wlc");
    assert_eq!(
        persistent("persistence_granularity 255.255.255.0", "80"),
        "-A -t 10.0.0.1:80 -s wlc -p 360 -M 255.255.255.0"
    );
    assert_eq!(persistent("", "0"), "-A -t 10.0.0.1:0 -s wlc -p 360");
    assert_eq!(persistent("", ""), "-A -t 10.0.0.1:0 -s wlc -p 360");
    // A flag counts only below the scheduler that it is for.
    assert_eq!(persistent("sh-port\nlb_algo sh", "80"), "-A -t 10.0.0.1:80 -s sh");
    assert_eq!(persistent("lb_algo rr\nlb_algo best\nops", "80"), "-A -t 10.0.0.1:80 -s rr");
}

// Found by comparing the tables of odd configurations with those of keepalived itself.
#[test]
fn what_surprised_in_the_table_of_keepalived_is_so_here_too() {
    // Wrong options leave the method.
    let lines = "protocol TCP\nlb_kind DR and more\n";
    let with =
        |lines: &str, target: &str| format!("{target} {{\n{lines}real_server 10.1.0.1 80 {{\n}}\n}}\n");
    assert_eq!(
        rules(&with(lines, "virtual_server 10.0.0.1 80")),
        "-A -t 10.0.0.1:80 -s wlc\n-a -t 10.0.0.1:80 -r 10.1.0.1:80 -g -w 1\n"
    );
    // A flag that was set for another scheduler is a switch of the last one.
    let lines = "protocol TCP\nlb_algo mh\nmh-port\nmh-fallback\nlb_algo sh\nsh-port\n";
    assert_eq!(
        rules(&with(lines, "virtual_server 10.0.0.1 80")).lines().next(),
        Some("-A -t 10.0.0.1:80 -s sh -b sh-fallback,sh-port")
    );
    // No group has a granularity.
    let group = with("protocol TCP\npersistence_granularity 255.255.0.0\n", "virtual_server group g");
    let group = format!("virtual_server_group g {{\n10.0.0.1 80\nfwmark 0x4\n}}\n{group}");
    assert_eq!(rules(&group).lines().next(), Some("-A -t 10.0.0.1:80 -s wlc -p 360"));
    let lost = imported(&group);
    assert_eq!(
        said(&lost, Effect::Lost),
        [(
            3,
            "keepalived reads `0x4` as mark 0, and takes that for the address 0.0.0.0; write the mark as a decimal number"
        )]
    );
    // A range of ports is its first port.
    let ranged = with("protocol TCP\n", "virtual_server 10.0.0.1 80-90");
    assert_eq!(rules(&ranged), rules(&with("protocol TCP\n", "virtual_server 10.0.0.1 80")));
    assert_eq!(
        said(&imported(&ranged), Effect::Note)[0],
        (1, "keepalived reads the number at the beginning of `80-90`")
    );
    // What the kernel stores and no file says.
    let limit = with("protocol TCP\n", "virtual_server 10.0.0.1 80")
        .replace("80 {\n}\n}", "80 {\nuthreshold 4294967295\n}\n}");
    assert_eq!(
        said(&imported(&limit), Effect::Lost),
        [(3, "`uthreshold` 4294967295 is beyond 2147483647, and left out")]
    );
    let mask = with("protocol TCP\npersistence_granularity 24\n", "virtual_server 10.0.0.1 80");
    assert_eq!(said(&imported(&mask), Effect::Lost).len(), 1);
}

#[test]
fn two_virtual_servers_of_one_service_are_one_with_the_servers_of_both() {
    let text = "virtual_server 10.0.0.1 80 {\nprotocol TCP\nlb_algo rr\nreal_server 10.1.0.1 80 {\n}\n}\n\
                virtual_server 10.0.0.1 80 {\nprotocol TCP\nlb_algo wrr\nreal_server 10.1.0.1 80 {\nweight 9\n}\nreal_server 10.1.0.2 80 {\n}\n}\n";
    assert_eq!(
        rules(text),
        "-A -t 10.0.0.1:80 -s rr\n-a -t 10.0.0.1:80 -r 10.1.0.1:80 -m -w 1\n-a -t 10.0.0.1:80 -r 10.1.0.2:80 -m -w 1\n"
    );
    assert!(
        said(&imported(text), Effect::Note)
            .iter()
            .any(|(line, message)| *line == 7 && message.starts_with("tcp://10.0.0.1:80 is there already: "))
    );
}

#[test]
fn a_block_on_one_line_is_recognised() {
    assert_eq!(recognise("virtual_server 10.0.0.1 80 { protocol TCP\n}\n"), Some(Format::Keepalived));
    assert_eq!(recognise("static_ipaddress\n{\n}\n"), Some(Format::Keepalived));
}

#[test]
fn an_unknown_block_ends_the_block_around_it() {
    let text = "virtual_server 10.0.0.1 80 {\nprotocol TCP\nreal_server 10.1.0.1 80 {\nMY_CHECK {\nport 1\n}\nweight 7\n}\n\
                real_server 10.1.0.2 80 {\n}\n}\nvirtual_server 10.0.0.2 80 {\nprotocol TCP\nreal_server 10.1.0.3 80 {\n}\n}\n";
    // The bracket of MY_CHECK is that of the server, and the weight behind it that of the virtual server, whose second server is outside.
    assert_eq!(
        rules(text),
        "-A -t 10.0.0.1:80 -s wlc\n-a -t 10.0.0.1:80 -r 10.1.0.1:80 -m -w 7\n\
         -A -t 10.0.0.2:80 -s wlc\n-a -t 10.0.0.2:80 -r 10.1.0.3:80 -m -w 1\n"
    );
    let imported = imported(text);
    let lines: Vec<usize> = said(&imported, Effect::Note).iter().map(|(line, _)| *line).collect();
    assert_eq!(lines, [1, 4, 4, 5, 9, 9, 10, 11, 12]);
}

#[test]
fn names_are_looked_up_by_nobody() {
    let text = "virtual_server 10.0.0.1 http {\nreal_server 10.1.0.9 80 {\n}\n}\nvirtual_server 10.0.0.1 80 {\nprotocol TCP\nreal_server web1 80 {\nweight 3\n}\nreal_server 10.1.0.1 80 {\n}\n}\n";
    assert_eq!(rules(text), "-A -t 10.0.0.1:80 -s wlc\n-a -t 10.0.0.1:80 -r 10.1.0.1:80 -m -w 1\n");
    let imported = imported(text);
    let notes = said(&imported, Effect::Note);
    assert_eq!(
        notes[0],
        (1, "left out, as by keepalived: `http` is not a port, and keepalived looks up no names")
    );
    assert_eq!(notes[1].0, 5);
    assert_eq!(
        notes.iter().find(|(line, _)| *line == 7).unwrap().1,
        "left out, as by keepalived: `web1` is not an IP address, and keepalived looks up no names"
    );
}

#[test]
fn a_group_is_one_cluster_where_all_of_it_has_the_same_servers() {
    let group =
        "virtual_server_group web {\n10.0.0.1-3 80\n10.0.1.0/30 80\n10.0.2.1-10.0.2.2 443\nfwmark 5\n}\n";
    let nat = format!(
        "{group}virtual_server group web {{\nprotocol TCP\nlb_kind NAT\nreal_server 10.1.0.1 8080 {{\n}}\n}}\n\
         virtual_server group web {{\nprotocol UDP\nlb_kind NAT\nreal_server 10.1.0.1 53 {{\n}}\n}}\n"
    );
    let imported = imported(&nat);
    let names: Vec<(&str, usize)> = imported
        .document
        .clusters
        .iter()
        .map(|cluster| (cluster.name.as_str(), cluster.listen.urls().len()))
        .collect();
    // The mark is of both, and has the servers of both.
    assert_eq!(names, [("web", 9), ("web-fwmark-5", 1), ("web-2", 9)]);
    assert_eq!(state(&imported).services.len(), 19);
    let dr = format!(
        "{group}virtual_server group web {{\nprotocol TCP\nlb_kind DR\nreal_server 10.1.0.1 80 {{\n}}\n}}\n"
    );
    let imported = super::keepalived::imported(&dr);
    assert_eq!(imported.document.clusters.len(), 1);
    let own = |(key, service): (&ServiceKey, &lbd::model::VirtualService)| {
        service.servers.keys().all(|server| server.port == key.default_server_port())
    };
    assert!(state(&imported).services.iter().all(own));
}

#[test]
fn timeouts_and_the_sync_daemon_are_converted() {
    let text = "global_defs {\nlvs_timeouts tcp 7200 tcpfin 30 udp 60\nlvs_sync_daemon eth1 id 7 maxlen 1400\n}\n\
                virtual_server 10.0.0.1 80 {\nreal_server 10.1.0.1 80 {\n}\n}\n";
    let imported = imported(text);
    let state = state(&imported);
    assert_eq!(state.timeouts, Timeouts { tcp: Some(7_200), tcp_fin: Some(30), udp: Some(60) });
    let daemons: Vec<(String, u8)> =
        state.sync.iter().map(|daemon| (daemon.role.to_string(), daemon.id)).collect();
    assert_eq!(daemons, [("master".to_owned(), 7), ("backup".to_owned(), 7)]);
    assert_eq!(said(&imported, Effect::Lost), []);
    // With an instance one of the two runs, as the instance is.
    let text = text
        .replace("eth1 id 7", "eth1 inst a")
        .replace("global_defs", "vrrp_instance a {\nvirtual_router_id 51\n}\nglobal_defs");
    let imported = super::keepalived::imported(&text);
    assert_eq!(super::keepalived::state(&imported).sync[0].id, 51);
    assert_eq!(said(&imported, Effect::Lost).len(), 1);
}

#[test]
fn conditions_and_sequences_are_named_as_not_taken() {
    let text = "@main virtual_server 10.0.0.9 80 {\n@^spare virtual_server 10.0.0.1 80 {\nprotocol TCP\n~SEQ(N, 1, 3) real_server 10.1.0.$N 80 {\nweight 2\n}\n\
                real_server 10.1.0.9 80 {\n}\n}\n";
    assert_eq!(rules(text), "-A -t 10.0.0.1:80 -s wlc\n-a -t 10.0.0.1:80 -r 10.1.0.9:80 -m -w 1\n");
    let imported = imported(text);
    assert_eq!(
        said(&imported, Effect::Lost),
        [
            (
                1,
                "not taken, since it counts only where keepalived runs with `-i main`; write what this host needs without `@main`"
            ),
            (4, "`~SEQ` is not taken; write out the lines that it stands for"),
        ]
    );
}

/// Files in memory.
struct Memory(BTreeMap<PathBuf, &'static str>);

impl Files for Memory {
    fn read(&self, path: &Path) -> Result<String, String> {
        self.0.get(path).map(|text| (*text).to_owned()).ok_or_else(|| "there is no such file".to_owned())
    }

    fn names(&self, directory: &Path) -> Vec<String> {
        let inside = self.0.keys().filter_map(|path| path.strip_prefix(directory).ok());
        inside.filter_map(|path| Some(path.iter().next()?.to_str()?.to_owned())).collect()
    }

    fn exists(&self, path: &Path) -> bool {
        self.0.keys().any(|known| known.starts_with(path))
    }
}

#[test]
fn includes_are_read_where_they_are_and_their_lines_are_named_in_their_files() {
    let files = Memory(BTreeMap::from([
        ("/etc/k/d/b.conf".into(), "real_server 10.1.0.2 80 {\nincluder deep/*.conf\n}\n"),
        ("/etc/k/d/a.conf".into(), "real_server 10.1.0.1 80 {\n}\n"),
        ("/etc/k/d/.c.conf".into(), "real_server 10.1.0.3 80 {\n}\n"),
        ("/etc/k/d/deep/x.conf".into(), "weight 4\nunknown 1\n"),
    ]));
    let text = "virtual_server 10.0.0.1 80 {\nprotocol TCP\ninclude d/*.conf\n}\ninclude none/{a,b}.conf\n";
    let source = Source::new("/etc/k/keepalived.conf", text);
    let imported = import(&source, Format::Keepalived, &files).unwrap();
    assert_eq!(
        lbd::ipvsadm::save(&state(&imported)),
        "-A -t 10.0.0.1:80 -s wlc\n-a -t 10.0.0.1:80 -r 10.1.0.1:80 -m -w 1\n-a -t 10.0.0.1:80 -r 10.1.0.2:80 -m -w 4\n"
    );
    let of = |name: &str| -> Vec<&Finding> {
        imported.findings.iter().filter(|finding| finding.file == name).collect()
    };
    let missing = of("/etc/k/keepalived.conf").into_iter().find(|finding| finding.line == 5).unwrap();
    assert_eq!(
        (missing.effect, missing.message.as_str()),
        (
            Effect::Lost,
            "there is no file `none/{a,b}.conf`, which keepalived would go on without; convert on the host that has it"
        )
    );
    let [deep] = of("/etc/k/d/deep/x.conf")[..] else { panic!("{:?}", imported.findings) };
    assert_eq!((deep.line, deep.text.as_str()), (2, "unknown 1"));
}

#[test]
fn a_file_that_includes_itself_ends() {
    let files = Memory(BTreeMap::from([("/k".into(), "include /k\nvirtual_server 10.0.0.1 80 {\n")]));
    let source = Source::new("/k", "include /k\nvirtual_server 10.0.0.1 80 {\n");
    let imported = import(&source, Format::Keepalived, &files).unwrap();
    assert!(said(&imported, Effect::Lost).iter().any(|(_, message)| message.starts_with("too many files")));
}

// Each block that the value opens is a line with the variable in it again.
#[test]
fn a_variable_that_names_itself_ends() {
    for text in ["$A={ $A\n$A\n", "$A=x\\\n{ $A\n\n$A\n", "$A=$B{\n$B=$A $A\n$A\n"] {
        let imported = import(&Source::new("k", text), Format::Keepalived, &NoFiles).unwrap();
        assert!(imported.document.clusters.is_empty(), "{text}");
    }
    let imported = import(&Source::new("k", "$A={ $A\n$A\n"), Format::Keepalived, &NoFiles).unwrap();
    let lost = said(&imported, Effect::Lost);
    let message = "the configuration is too long; what follows is not read";
    assert!(lost.iter().any(|(_, lost)| *lost == message), "{lost:?}");
}

// One line: keepalived takes the value, and nothing behind it.
#[test]
fn a_word_behind_the_value_of_another_one_is_named_since_keepalived_ignores_it() {
    let server = |check: &str| {
        let text = format!(
            "virtual_server 10.0.0.1 80 {{\nprotocol TCP\nreal_server 10.1.0.1 80 {{\n{check}\n}}\n}}\n"
        );
        let imported = import(&Source::new("k", text), Format::Keepalived, &NoFiles).unwrap();
        let said = said(&imported, Effect::Note);
        let ignored = said.iter().filter(|(_, message)| message.starts_with("keepalived ignores"));
        ignored.map(|(line, message)| format!("{line}: {message}")).collect::<Vec<_>>()
    };
    assert_eq!(
        server("HTTP_GET {\nurl { path / digest 12 }\n}"),
        ["5: keepalived ignores `digest` behind the value of `path`: each word begins a line"]
    );
    assert_eq!(
        server("MISC_CHECK {\nmisc_path /bin/true misc_dynamic\n}"),
        ["5: keepalived ignores `misc_dynamic` behind the value of `misc_path`: each word begins a line"]
    );
    assert_eq!(server("HTTP_GET {\nurl {\npath /\nstatus_code 200 201-299\n}\n}"), [""; 0]);
}

#[test]
fn the_command_says_what_is_lost_and_writes_no_file_of_nothing() {
    let digest = "virtual_server 10.0.0.1 80 {\n  protocol TCP\n  real_server 10.1.0.1 80 {\n    HTTP_GET {\n      url {\n        path /\n        digest 0\u{1b}\n      }\n    }\n  }\n}\n";
    let vrrp = "vrrp_instance a {\n  virtual_ipaddress {\n    10.0.0.1/24 dev eth0\n  }\n}\n";
    let directory = directory(&[("digest", digest), ("vrrp", vrrp)]);
    let output = lbd(&directory, &["export", "--from", "digest"]);
    let message = "lbd compares no digests: the check passes by the status; `body` looks for a text or a regular expression";
    assert_eq!(output.status, 2);
    assert!(output.stderr.starts_with("note: digest: read as keepalived.conf\n"), "{}", output.stderr);
    assert!(output.stderr.contains(&format!("warning: {message}\n --> digest:7:9\n")), "{}", output.stderr);
    assert!(!output.stderr.contains('\u{1b}'));
    let comment =
        format!("clusters:\n# Left out: digest:7: {message}: digest 0\\x1b\n- name: tcp-10.0.0.1-80\n");
    let without_notes: String =
        output.stdout.split_inclusive('\n').filter(|line| !line.starts_with("# Note: ")).collect();
    assert!(without_notes.contains(&comment), "{}", output.stdout);
    let loaded = config::load(&Source::new("export", output.stdout.as_str())).unwrap();
    let json = lbd(&directory, &["export", "--from", "digest", "-o", "json"]);
    assert_eq!(config::load(&Source::new("export", json.stdout.as_str())).unwrap(), loaded);
    let rules = lbd(&directory, &["export", "--from", "digest", "-o", "ipvsadm"]);
    assert_eq!(rules.stdout, lbd::ipvsadm::save(&loaded.state));
    for (form, says) in [
        (
            "yaml",
            "# Note: vrrp:1: VRRP and addresses are not lbd's; keepalived keeps `vrrp_instance`: vrrp_instance a {\n\
             # Note: vrrp:3: the address 10.0.0.1/24 stays with keepalived's `vrrp_instance`: 10.0.0.1/24 dev eth0\n",
        ),
        ("json", ""),
        ("ipvsadm", ""),
    ] {
        let output = lbd(&directory, &["export", "--from", "vrrp", "-o", form]);
        assert_eq!((output.status, output.stdout.as_str()), (2, says));
        assert!(
            output.stderr.ends_with("error: vrrp: nothing in it could be converted\n"),
            "{}",
            output.stderr
        );
    }
}

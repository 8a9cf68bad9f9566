//! A state that is written as a desired file is read back as it was; what no file can ask for is said and left out.

#![allow(clippy::unwrap_used, clippy::panic)]

use std::collections::HashSet;
use std::hash::Hash;

use crate::generate;
use lbd::config::{Rendered, Source, load, render};
use lbd::ipvsadm::read;
use lbd::model::sysctl::VS_CONNTRACK;
use lbd::model::{Desired, Mark, State, Table, mark};
use proptest::prelude::*;

fn loaded(text: String) -> Desired {
    load(&Source::new("export", text.clone())).unwrap_or_else(|problems| panic!("{problems}\n{text}"))
}

fn of_rules(rules: &str) -> Rendered {
    let parsed = read(rules);
    assert_eq!(parsed.problems, []);
    render(&parsed.state)
}

fn in_order_of_keys<K: Ord + Hash, V>(table: Table<K, V>) -> Table<K, V> {
    let mut entries: Vec<(K, V)> = table.into_iter().collect();
    entries.sort_by(|(one, _), (other, _)| one.cmp(other));
    entries.into_iter().collect()
}

/// The state with all that has no order of its own sorted, as an export is.
fn sorted(state: &State) -> State {
    let mut state = state.clone();
    for service in state.services.values_mut() {
        let servers = service.servers_mut();
        *servers = in_order_of_keys(std::mem::take(servers));
    }
    state.services = in_order_of_keys(state.services);
    state.sync.sort_by_key(|daemon| daemon.role);
    state
}

proptest! {
    #[test]
    fn what_is_exported_loads_as_the_same_state(state in generate::state()) {
        let rendered = render(&state);
        prop_assert_eq!(rendered.unexpressed(), Vec::<String>::new());
        let yaml = rendered.yaml().unwrap();
        let from_yaml = loaded(yaml.clone());
        prop_assert_eq!(&from_yaml.state, &sorted(&state), "{}", yaml);
        let from_json = loaded(rendered.json().unwrap());
        prop_assert_eq!(&from_json, &from_yaml);
        // The names of the clusters are as many as the clusters, and a second export is the same.
        let names: HashSet<_> = from_yaml.clusters.values().collect();
        prop_assert_eq!(names.len(), state.services.len());
        prop_assert_eq!(render(&from_yaml.state).yaml().unwrap(), yaml);
    }

    #[test]
    fn an_export_of_any_table_is_a_valid_file_that_asks_for_no_change(state in generate::live_state()) {
        let rendered = render(&state);
        let yaml = rendered.yaml().unwrap();
        let desired = loaded(yaml.clone()).state;
        prop_assert_eq!(&loaded(rendered.json().unwrap()).state, &desired);
        let mut lost = state.services.clone();
        lost.retain(|key, service| desired.services.get(key) != Some(service));
        // Each is left out as a whole, since a server that is missing would be one to delete, and each is named.
        let keys: HashSet<String> = state.services.keys().map(ToString::to_string).collect();
        let lines = rendered.unexpressed();
        let of_lines = lines.iter().filter_map(|line| line.split_once(": "));
        let named: HashSet<String> = of_lines.map(|(key, _)| key.to_owned()).filter(|key| keys.contains(key)).collect();
        prop_assert_eq!(lost.keys().map(ToString::to_string).collect::<HashSet<_>>(), named, "{}", yaml);
        prop_assert!(lost.keys().all(|key| !desired.services.contains_key(key)), "{}", yaml);
        let untracked = state.has_fullnat() && state.sysctls.get(VS_CONNTRACK).is_some_and(|on| on == "0");
        if mixed_runs(&state.marks) == 0 {
            prop_assert!(mark::are_same(&desired.mark_rules(), &state.mark_rules()), "{}", yaml);
        }
        prop_assert_eq!(desired.timeouts, state.timeouts);
        let mut sysctls = state.sysctls.clone();
        if untracked {
            sysctls.shift_remove(VS_CONNTRACK);
        }
        if desired.has_fullnat() {
            // FULLNAT asks for it, whether the file says so or not.
            sysctls.insert(VS_CONNTRACK.to_owned(), "1".to_owned());
        }
        prop_assert_eq!(&desired.sysctls, &sysctls);
    }
}

/// How many marks have rules of other marks between their own: no file can ask for that.
fn mixed_runs(marks: &[Mark]) -> usize {
    let mut seen = HashSet::new();
    marks.iter().filter(|mark| !mark.matches.is_empty() && !seen.insert(mark.mark)).count()
}

#[test]
fn an_export_reads_like_a_file_that_a_person_wrote() {
    let rules = "\
        -A -t 10.0.0.13:80 -s rr\n\
        -a -t 10.0.0.13:80 -r 192.168.8.15:8080 -m -w 3 -x 100 -y 50\n\
        -a -t 10.0.0.13:80 -r 192.168.8.14:80 -m\n\
        -A -t [fd00::13]:443 -s sh -b sh-port -p 86400 -M 64\n\
        -a -t [fd00::13]:443 -r [fd00:8::14]:8443 -m\n\
        -a -t [fd00::13]:443 -r 192.168.8.14:443 -i --tun-type gue --tun-port 5555 --tun-csum\n\
        -A -f 10 -p 90\n\
        -a -f 10 -r 192.168.8.7:0 -g -w 1\n\
        -a -f 10 -r 192.168.8.7:80 -g -w 0\n\
        -A -u 10.0.0.13:53 -o\n\
        --set 900 120 300\n\
        --start-daemon master --mcast-interface eth1 --syncid 7\n";
    // The kernel refuses a sync daemon beside the tunnel to another family: the one service is a comment.
    let yaml = "\
# yaml-language-server: $schema=/usr/share/lbd/desired.schema.json
version: 1
marks:
- mark: 10
timeouts:
  tcp: 15m
  tcp_fin: 2m
  udp: 5m
sync:
- role: master
  interface: eth1
  id: 7
clusters:
- name: tcp-10.0.0.13-80
  listen: tcp://10.0.0.13:80
  scheduler: rr
  forward: nat
  servers:
  - address: 192.168.8.15:8080
    weight: 3
    upper_threshold: 100
    lower_threshold: 50
  - 192.168.8.14

# Left out, so that applying this file does not change it: tcp://[fd00::13]:443
# - server 192.168.8.14: the sync daemons cannot describe an IPv4 server of an IPv6 service, and the kernel refuses to have both
# - name: tcp-fd00::13-443
#   listen: tcp://[fd00::13]:443
#   scheduler: sh
#   scheduler_flags:
#   - sh-port
#   persistence: 1d
#   persistence_mask: 64
#   servers:
#   - address: '[fd00:8::14]:8443'
#     forward: nat
#   - address: 192.168.8.14
#     forward: tun
#     tunnel:
#       type: gue
#       port: 5555
#       checksum: csum

- name: udp-10.0.0.13-53
  listen: udp://10.0.0.13:53
  scheduler: wlc
  one_packet: true
  servers: []

- name: fwmark-10
  listen: fwmark://10
  scheduler: wlc
  persistence: 90s
  forward: dr
  servers:
  - 192.168.8.7
  - address: 192.168.8.7:80
    weight: 0
";
    assert_eq!(of_rules(rules).yaml().unwrap(), yaml);
}

#[test]
fn what_no_file_can_ask_for_is_said() {
    let rules = "-A -t 10.0.0.13:80 -s none\n-A -t 10.0.0.14:80 -p 5 -M 255.0.255.0\n-A -t 10.0.0.15:0\n\
                 -A -t 10.0.0.16:80 -p 4294968\n-A -t 10.0.0.17:80 --pe mine -p 5\n-A -t 10.0.0.18:80 -o\n\
                 -A -t 10.0.0.19:80\n-a -t 10.0.0.19:80 -r 127.0.0.1:8080 -m\n--set 900 9999999 1\n";
    let mut rendered = of_rules(rules);
    rendered.comment("line 7: what no line can say\r\n: clusters: []");
    rendered.comment_before(1, "before\nclusters: []");
    rendered.comment_before(99, "behind\u{2028}clusters: []");
    let yaml = rendered.yaml().unwrap();
    assert_eq!(loaded(yaml.clone()).state, State::default(), "{yaml}");
    let comments: Vec<&str> = yaml.lines().filter(|line| line.contains("clusters: []")).collect();
    let expected = [
        "# line 7: what no line can say\\r\\n: clusters: []",
        "clusters: []",
        "# before\\nclusters: []",
        "# behind\\u{2028}clusters: []",
    ];
    assert_eq!(comments, expected);
    let all = rendered.unexpressed();
    assert_eq!(
        all,
        [
            "timeouts: `9999999s` is too long",
            "tcp://10.0.0.13:80: a service without a scheduler refuses every connection",
            "tcp://10.0.0.14:80: the bits of the netmask 255.0.255.0 are not contiguous",
            "tcp://10.0.0.15:0: port 0 means every port of the address, and works only with `persistence`: without it the \
             service accepts no connection, and the other ports of the host at this address refuse theirs",
            "tcp://10.0.0.16:80: `4294968s` is too long",
            "tcp://10.0.0.17:80: the file has no persistence engine `mine`",
            "tcp://10.0.0.18:80: one-packet scheduling is for UDP and marks, and this cluster listens on tcp://10.0.0.18:80",
            "tcp://10.0.0.19:80: server 127.0.0.1:8080: `nat` cannot reach the loopback address 127.0.0.1: the kernel drops the \
             packets of clients",
        ]
    );
    for line in &all {
        assert!(yaml.contains(line.split(": ").last().unwrap().trim()), "{line}\n{yaml}");
    }
}

#[test]
fn an_exported_address_that_looks_like_one_with_a_port_is_in_brackets() {
    let rendered = of_rules("-A -t [fd00::1]:80 -s rr\n-a -t [fd00::1]:80 -r [fd00::2:8080]:80 -g\n");
    let desired = loaded(rendered.yaml().unwrap());
    assert_eq!((desired.port_like, desired.state.services.len()), (Vec::new(), 1));
}

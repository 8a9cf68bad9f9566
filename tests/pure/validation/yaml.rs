//! What is no YAML, or not the YAML that lbd takes.

use super::{check, listen, server, whole};

#[test]
fn the_top_of_a_file() {
    check(whole, &[
        ("", &["1:1 the file is empty | at least `version: 1` and `clusters: []`"]),
        ("null\n", &["1:1 the file is empty | at least `version: 1` and `clusters: []`"]),
        ("# nothing\n", &["1:1 the file is empty | at least `version: 1` and `clusters: []`"]),
        ("text\n", &["1:1 the file cannot be text | a mapping with at least `version` and `clusters`"]),
        ("5\n", &["1:1 the file cannot be a number | a mapping with at least `version` and `clusters`"]),
        ("[]\n", &["1:1 the file cannot be a list | a mapping with at least `version` and `clusters`"]),
        ("clusters: []\n", &["1:1 `version` is missing | `version: 1`"]),
        ("version: 2\nclusters: []\n", &["1:10 `version` cannot be `2` | 1"]),
        ("version: \"1\"\nclusters: []\n", &["1:10 `version` cannot be text | 1 | 1"]),
        ("version:\nclusters: []\n", &["1:1 `version` is empty | 1"]),
        ("version: 1\n", &["1:1 `clusters` is missing | `clusters`, a list; `[]` for none"]),
        ("version: 1\nclusters:\n", &["2:1 `clusters` is empty | a list; `[]` for none"]),
        ("version: 1\nclusters: ~\n", &["2:1 `clusters` is empty | a list; `[]` for none"]),
        ("version: 1\nclusters: {}\n", &["2:11 `clusters` cannot be a mapping | a list"]),
        ("version: 1\nclusters: []\n---\n", &["3:1 a second document begins here | one document"]),
        ("version: 1\nclusters: []\n---\nversion: 1\nclusters: []\n", &["3:1 a second document begins here | one document"]),
        ("version: 1\nclusters: []\nclusters: []\n", &["3:1 duplicate key `clusters`; first on line 2"]),
        ("version: 1\ncluster: []\n", &["2:1 unknown key `cluster` | <top keys> | clusters"]),
        ("version: 1\nclusters: []\nfoo: 1\n", &["3:1 unknown key `foo` | <top keys>"]),
        ("&x version: 1\nclusters: []\n<<: {}\n", &["3:1 merge keys (`<<`) are not supported | the keys themselves, or an alias (`*name`) for a whole value"]),
        ("version: 1\nclusters: []\n[a]: b\n", &["3:1 a list or mapping cannot be a key | text"]),
        ("version: 1\nclusters: !list []\n", &["2:11 the tag `!list` is not supported | the value without a tag"]),
    ]);
}

#[test]
fn what_is_no_yaml() {
    check(whole, &[
        ("version: 1\nclusters:\n\t- name: web\n", &["3:1 a tab cannot indent a line in YAML | spaces"]),
        ("\tversion: 1\nclusters: []\n", &["1:1 a tab cannot indent a line in YAML | spaces"]),
        ("version: 1\nclusters: [\n", &["2:11 this `[` is not closed | `]`"]),
        ("version: 1\nclusters: [{ name: web\n", &["2:12 this `{` is not closed | `}`"]),
        ("version:1\nclusters: []\n", &["1:8 a space is missing after the `:` | `key: value` with a space | version: 1"]),
        ("version: 1: 2\n", &["1:11 unexpected `:` | <one key on a line>"]),
        ("version: \"1\nclusters: []\n", &["1:10 this quoted text is not closed | a closing quote"]),
        ("version: 1\nname: 'it's'\n", &["2:11 unexpected text after the closing quote | nothing else"]),
        ("version: 1\nclusters: @\n", &["2:11 no value begins with this character | a value, or text in quotes"]),
        ("version: 1\nclusters: *none\n", &["2:11 this alias has no anchor | `&name` at an earlier value"]),
        ("version: 1\nclusters: &a [*a]\n", &["2:15 this alias refers to a value that contains it"]),
        ("version: 1\nclusters:\n  - name: web\n   listen: x\n", &["4:4 a line in a list is not indented as its entries | `- ` where the other entries have it"]),
        ("version: 1\nname: \"\\q\"\n", &[r#"2:7 unknown escape sequence in double quotes | `\\` for a backslash, or text in single quotes"#]),
        ("version: 1\nname: \u{7}\n", &["1:1 `clusters` is missing | `clusters`, a list; `[]` for none", "2:1 unknown key `name` | <top keys>"]),
        ("version: 1\nclusters: []\n# \u{7}\n", &["3:3 the file contains a control character"]),
        ("version: 1\nclusters: []\n  - name: web\n", &["3:3 a key is missing here | `key: value`, indented as the other keys"]),
        ("version: 1\nclusters:\n  - name: web\n  servers: []\n", &["4:3 a line in a list is not indented as its entries | `- ` where the other entries have it"]),
        ("%YAML\n---\nversion: 1\n", &["1:1 this is not YAML: while scanning a YAML directive, did not find expected version number"]),
    ]);
}

// Each was blamed on another line, or by words that do not help.
#[test]
fn slips_that_yaml_notices_later() {
    let head = "version: 1\nclusters:\n  - name: web\n    listen: tcp://10.0.0.1:80\n";
    let file = |servers: &str| format!("{head}    servers:{servers}\n");
    check(whole, &[
        ("version: 1\nclusters:\n  - name: web\n\tlisten: tcp://10.0.0.1:80\n", &["4:1 a tab cannot indent a line in YAML | spaces"]),
        ("version: 1\nclusters:\n  - name: web\n\n  \tlisten: tcp://10.0.0.1:80\n", &["5:3 a tab cannot indent a line in YAML | spaces"]),
        (&file(" [192.168.8.14, 192.168.8.15\n  - name: b\n    listen: tcp://10.0.0.2:80\n    servers: [a]"), &["5:14 this `[` is not closed | `]` before line 6"]),
        (&file(" [192.168.8.14, 192.168.8.15\npolicy: {}"), &["5:14 this `[` is not closed | `]` before line 6"]),
        (&file("\n      - 192.168.8.13\n      -192.168.8.14\n      - 192.168.8.15"), &["7:7 a space is missing after the `-` | `- value` with a space | - 192.168.8.14"]),
        (&file("\n      - 192.168.8.13\n      -192.168.8.14"), &["7:7 a space is missing after the `-` | `- value` with a space | - 192.168.8.14"]),
        (&file("\n      - 192.168.8.13\n        -192.168.8.14"), &["6:9 an entry of `servers` goes on in the next line, which begins with a `-` | `- value` with a space, indented as the other entries"]),
        (&file("\n      -192.168.8.14"), &["6:7 a space is missing after the `-` | `- value` with a space | - 192.168.8.14"]),
        (&file("\n      -192.168.8.14\n      - 192.168.8.15"), &["6:7 a space is missing after the `-` | `- value` with a space | - 192.168.8.14"]),
        ("version:1\n\n# the clusters\nclusters: []\n", &["1:8 a space is missing after the `:` | `key: value` with a space | version: 1"]),
    ]);
}

#[test]
fn full_width_punctuation() {
    check(whole, &[
        ("version： 1\nclusters: []\n", &["1:8 the full-width character `：` (U+FF1A) is not `:` | `:` with a space behind it"]),
        ("version： 1\n\n# ：\nclusters: []\n", &["1:8 the full-width character `：` (U+FF1A) is not `:` | `:` with a space behind it"]),
        ("version: 1；\nclusters: []\n", &["1:10 `version` cannot be text; it contains the full-width character `；` (U+FF1B), which is not `;` | 1"]),
        ("version: 1\nclusters: [{ name: a, listen: tcp://10.0.0.1:80, servers: [10.0.0.1，10.0.0.2] }]\n", &["2:60 `10.0.0.1，10.0.0.2` is not an IP address; it contains the full-width character `，` (U+FF0C), which is not `,` | <server address>"]),
        ("version: 1\nclusters: []\npolicy: { prune: \"all\"， }\n", &["3:23 the full-width character `，` (U+FF0C) is not `,` | `,`"]),
        ("version: 1\nclusters: [{ name: 网，站, listen: tcp://10.0.0.1:80, servers: [] }, { name: 网，站, listen: udp://10.0.0.1:80, servers: [] }]\n", &["2:75 duplicate cluster name `网，站`; first on line 2"]),
    ]);
}

#[test]
fn what_is_no_desired_file() {
    let keepalived = "! Configuration File for keepalived\n\nvrrp_instance VI_1 {\n    state MASTER\n}\n\nvirtual_server 10.0.0.1 80 {\n    lb_algo rr\n}\n";
    let listing = "IP Virtual Server version 1.2.1 (size=4096)\nProt LocalAddress:Port Scheduler Flags\n  -> RemoteAddress:Port           Forward Weight ActiveConn InActConn\nTCP  10.7.0.1:80 rr\n";
    let conflict = "version: 1\nclusters:\n  - name: web\n<<<<<<< HEAD\n    listen: tcp://10.0.0.1:80\n=======\n    listen: tcp://10.0.0.2:80\n>>>>>>> other\n    servers: []\n";
    check(whole, &[
        (keepalived, &["3:1 this is a configuration file of keepalived | a desired file; `lbd export --from FILE` makes a desired file of it"]),
        ("!virtual_server 10.0.0.2 80 {\n$NET=10.0.0\n\tvirtual_server ${NET}.1 80 # the shop\n\n  ! old\n\t{\n", &["3:2 this is a configuration file of keepalived | a desired file; `lbd export --from FILE` makes a desired file of it"]),
        ("checktimeout = 10\nvirtual = 10.0.0.1:80\n\treal = 192.168.8.14:80 gate 10\n", &["2:1 this is a configuration file of ldirectord | a desired file; `lbd export --from FILE` makes a desired file of it"]),
        (listing, &["1:1 this is a listing of `ipvsadm -L` | what `ipvsadm -Sn` prints: `lbd export --from FILE` makes a desired file of it, `lbd diff --live FILE` compares with it"]),
        ("# saved\n-A -t 10.0.0.1:80 -s rr\n", &["2:1 these are rules of ipvsadm | a desired file; `lbd export --from FILE` makes one of the rules"]),
        (&conflict.replace("<<<<<<< HEAD\n", ""), &["7:1 a merge conflict ends here | one of the versions, without the lines `<<<<<<<`, `=======` and `>>>>>>>`"]),
        (conflict, &["4:1 a merge conflict begins here | one of the versions, without the lines `<<<<<<<`, `=======` and `>>>>>>>`"]),
    ]);
}

#[test]
fn a_mapping_where_a_list_belongs_hides_nothing() {
    check(whole, &[
        ("version: 1\nclusters:\n  web:\n    listen: tcp://10.0.0.300:80\n    servers: [a]\n  shop:\n    listen: fwmark://7\n    sevrers: []\n", &[
            "3:3 `clusters` cannot be a mapping | a list: `- name: web` and below it the other keys",
            "4:13 `10.0.0.300:80` is not an IP address | <ADDRESS:PORT>",
            "5:15 `a` is a host name, and the kernel knows only addresses | <server address>",
            "7:13 mark 7 is not declared under `marks` | an entry `- mark: 7` under `marks`",
            "8:5 unknown key `sevrers` | <cluster keys> | servers",
        ]),
        ("version: 1\nclusters: { name: web, listen: tcp://10.0.0.1:80, servers: [], schduler: rr }\n", &[
            "2:11 `clusters` cannot be a mapping | a list: `- ` before its first key",
            "2:64 unknown key `schduler` | <cluster keys> | scheduler",
        ]),
        ("version: 1\nclusters: []\nmarks: { mark: 10, match: { protocol: tpc } }\n", &[
            "3:8 `marks` cannot be a mapping | a list: `- ` before its first key",
            "3:27 `match` cannot be a mapping | a list: `- ` before its first key",
            "3:39 unknown protocol `tpc` | one of tcp, udp, sctp | tcp",
        ]),
        ("version: 1\nclusters: []\nmarks:\n  10: { match: [{ protocol: tpc }] }\n  ten: {}\n  10: {}\n", &[
            "4:3 `marks` cannot be a mapping | a list: `- mark: 10` and below it the other keys",
            "4:29 unknown protocol `tpc` | one of tcp, udp, sctp | tcp",
            "5:3 `ten` is not a firewall mark | a number from 1 to 4294967295, decimal or `0x…`",
            "6:3 duplicate mark 10; first on line 4",
        ]),
        ("version: 1\nclusters: []\nsync: { mster: { id: 300 } }\n", &[
            "3:7 `sync` cannot be a mapping | a list: `- role: mster` and below it the other keys",
            "3:9 unknown role `mster` | one of master, backup | master",
            "3:16 `interface` is missing in an entry of `sync` | `interface`, an interface such as `eth1`",
            "3:22 `300` is too large for `id` | a number from 0 to 255",
        ]),
        ("version: 1\nclusters: [{ name: web, listen: tcp://10.0.0.1:80, servers: { 192.168.8.14: { wieght: 3 } } }]\n", &[
            "2:61 `servers` cannot be a mapping | a list: `- address: 192.168.8.14` and below it the other keys",
            "2:79 unknown key `wieght` | one of address, weight, forward, tunnel, upper_threshold, lower_threshold, drain, check | weight",
        ]),
        ("version: 1\nclusters:\n  web: 80\n", &["3:3 `clusters` cannot be a mapping | a list"]),
    ]);
}

#[test]
fn an_address_in_brackets_without_quotes() {
    check(server, &[
        ("[fd00::1]", &[r#"7:9 `[fd00::1]` without quotes is a list in YAML, not an address | the address in quotes | "[fd00::1]""#]),
        ("[fd00::1]:8080", &[r#"7:9 `[fd00::1]:8080` without quotes is a list in YAML, not an address | the address in quotes | "[fd00::1]:8080""#]),
        ("{ address: [fd00::1] }", &[r#"7:20 `[fd00::1]` without quotes is a list in YAML, not an address | the address in quotes | "[fd00::1]""#]),
        ("{ address: [fd00::1]:80 }", &[r#"7:20 `[fd00::1]:80` without quotes is a list in YAML, not an address | the address in quotes | "[fd00::1]:80""#]),
        ("{ address: [fd00::1]:80, weight: 3 }", &[r#"7:20 `[fd00::1]:80` without quotes is a list in YAML, not an address | the address in quotes | "[fd00::1]:80""#]),
    ]);
}

#[test]
fn a_listener_in_brackets_without_quotes() {
    check(listen, &[
        ("[fd00::13]:80", &[r#"4:13 `[fd00::13]:80` without quotes is a list in YAML, not an address | the address in quotes | "[fd00::13]:80""#]),
        ("[[fd00::13]:80]", &[r#"4:14 `[fd00::13]:80` without quotes is a list in YAML, not an address | the address in quotes | "[fd00::13]:80""#]),
        ("[tcp://[fd00::13]:80]", &[r#"4:14 `tcp://[fd00::13]:80` without quotes is a list in YAML, not an address | the address in quotes | "tcp://[fd00::13]:80""#]),
        ("[::1]", &[r#"4:13 `[::1]` without quotes is a list in YAML, not an address | the address in quotes | "[::1]""#]),
    ]);
}

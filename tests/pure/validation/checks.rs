//! Health checks: every mistake in them, at its place, with its way out.

use super::{check, whole};

/// A file with one check in a cluster that listens by TCP.
fn inline(text: &str) -> String {
    format!("version: 1\nclusters:\n  - name: web\n    listen: tcp://10.0.0.13:80\n    servers: [192.168.8.14]\n    check:\n      {text}\n")
}

/// A file with a named check and a cluster with these keys.
fn keys(text: &str) -> String {
    format!("version: 1\nchecks: {{ web: {{ type: http, port: 80 }} }}\nclusters:\n  - name: shop\n    listen: tcp://10.0.0.13:80\n    servers: [192.168.8.14]\n    {text}\n")
}

#[test]
fn which_checks_a_server_has() {
    check(inline, &[
        ("wbe", &["7:7 unknown check `wbe` | the name of a check under `checks`, or a check itself, such as `{ type: tcp }`"]),
        ("http", &["7:7 unknown check `http` | the name of a check under `checks`, or a check itself, such as `{ type: tcp }` | { type: http }"]),
        ("[]", &["7:7 the list of checks is empty | `none`, or 1 to 16 checks"]),
        ("[none, { type: tcp }]", &["7:8 `none` cannot be one of several checks | `check: none`, or no `none`"]),
        ("[{ type: tcp }, { type: tcp }]", &["7:23 duplicate check `tcp`; first on line 7"]),
        ("~", &["6:5 `check` is empty | a check or a list of them such as `web` or `none`"]),
        ("80", &[r#"7:7 `check` cannot be a number | a check or a list of them such as `web` or `none` | "80""#]),
        ("true", &[r#"7:7 `check` cannot be true or false | a check or a list of them such as `web` or `none` | "true""#]),
        ("[[web]]", &["7:8 an entry of `check` cannot be a list | the name of a check, or a check such as `web`"]),
    ]);
}

#[test]
fn the_keys_of_a_check() {
    check(inline, &[
        ("{ typ: http }", &["7:9 unknown key `typ` | <check keys> | type"]),
        ("{ type: htpt }", &["7:15 unknown type of check `htpt` | <check types> | http"]),
        ("{ type: HTTP }", &["7:15 unknown type of check `HTTP` | <check types> | http"]),
        ("{ type: file }", &["7:15 unknown type of check `file` | <check types>"]),
        ("{ type: 80 }", &["7:15 unknown type of check `80` | <check types>"]),
        ("{ path: / }", &["7:9 a check of type `tcp` has no `path` | a check of type http or https, or no `path`"]),
        ("{ type: http, send: x }", &["7:21 a check of type `http` has no `send` | a check of type tcp, tls or udp, or no `send`"]),
        ("{ type: ping, port: 80 }", &["7:21 a check of type `ping` has no `port` | a check of type tcp, tls, http, https, dns, udp or exec, or no `port`"]),
        ("{ type: exec, command: [/bin/true], source: 10.0.0.1 }", &["7:43 a check of type `exec` has no `source` | a check of type tcp, tls, http, https, dns, udp or ping, or no `source`"]),
        ("{ type: tls, verify: none, path: / }", &["7:34 a check of type `tls` has no `path` | a check of type http or https, or no `path`"]),
        ("{ type: dns, expect: x, command: [/a], weight: output }", &["7:20 a check of type `dns` has no `expect` | a check of type tcp, tls or udp, or no `expect`", "7:31 a check of type `dns` has no `command` | a check of type exec, or no `command`", "7:46 a check of type `dns` has no `weight` | a check of type exec, or no `weight`"]),
    ]);
}

#[test]
fn where_a_check_connects() {
    check(inline, &[
        ("{ port: 0 }", &["7:15 `0` is too small for `port` | a number from 1 to 65535"]),
        ("{ port: 70000 }", &["7:15 `70000` is too large for `port` | a number from 1 to 65535"]),
        ("{ port: http }", &["7:15 `port` cannot be text | a number from 1 to 65535"]),
        ("{ address: web1 }", &["7:18 `web1` is not an IP address | an IP address without a port: 192.168.8.14 or fd00::14"]),
        ("{ address: '192.168.8.14:80' }", &["7:18 `192.168.8.14:80` is not an IP address | an IP address without a port: 192.168.8.14 or fd00::14"]),
        ("{ address: 0.0.0.0 }", &["7:18 0.0.0.0 is the wildcard address | one address of a host"]),
        ("{ address: '::ffff:10.0.0.1' }", &["7:18 ::ffff:10.0.0.1 is an IPv4 address written as IPv6 | one address of a host | 10.0.0.1"]),
        ("{ source: 10.0.0.13 }", &["7:17 `web` listens on 10.0.0.13: its servers have that address themselves, and answer to it there | another address of this host, or no `source`"]),
        ("{ source: fd00::1 }", &["7:7 the check `tcp` probes from fd00::1, which is IPv6, and 192.168.8.14 is IPv4 | a `source` of the family of the servers; or two checks, one for each family"]),
    ]);
}

#[test]
fn the_times_of_a_check() {
    check(inline, &[
        ("{ interval: 50ms }", &["7:19 `50ms` is too short | <check duration>"]),
        ("{ interval: 2d }", &["7:19 `2d` is too long | <check duration>"]),
        ("{ interval: 5x }", &["7:19 `5x` is not a duration | <check duration>"]),
        ("{ interval: 0 }", &["7:19 `0` is too short | <check duration>"]),
        ("{ interval: 1s }", &["7:19 the time-out (2s, the default) is not below the interval (1s) | an `interval` above the `timeout`: a probe ends before the next one begins"]),
        ("{ timeout: 5s }", &["7:18 the time-out (5s) is not below the interval (5s, the default) | an `interval` above the `timeout`: a probe ends before the next one begins"]),
        ("{ interval: 2s, timeout: 3s }", &["7:32 the time-out (3s) is not below the interval (2s) | an `interval` above the `timeout`: a probe ends before the next one begins"]),
        ("{ fast: 6s }", &["7:15 `fast`, the interval while a verdict is about to change, is above the `interval` | at most 5s, the default"]),
        ("{ fall: 0 }", &["7:15 `0` is too small for `fall` | a number from 1 to 100"]),
        ("{ rise: 101 }", &["7:15 `101` is too large for `rise` | a number from 1 to 100"]),
        ("{ interval: }", &["7:9 `interval` is empty | a duration, also in milliseconds such as `5s` or `500ms`"]),
        ("{ timeout: 1.5s }", &["7:18 `1.5s` is not a duration | <check duration>"]),
        ("{ timeout: 1.5 }", &["7:18 `timeout` cannot be a fraction | a duration, also in milliseconds such as `5s` or `500ms`"]),
    ]);
}

#[test]
fn a_request() {
    check(inline, &[
        ("{ type: http, path: healthz }", &["7:27 `healthz` does not begin with a slash | `/` and ASCII characters without spaces and `#`; others as %XX | /healthz"]),
        ("{ type: http, path: 'http://a.example/x' }", &["7:27 `http://a.example/x` is a whole URL | `/` and ASCII characters without spaces and `#`; others as %XX | /x"]),
        ("{ type: http, path: '/a b' }", &["7:27 `/a b` is not the path of a request | `/` and ASCII characters without spaces and `#`; others as %XX"]),
        ("{ type: http, path: '/<a>' }", &["7:27 `/<a>` is not the path of a request | `/` and ASCII characters without spaces and `#`; others as %XX"]),
        ("{ type: http, path: '/a#b' }", &["7:27 `/a#b` is not the path of a request | `/` and ASCII characters without spaces and `#`; others as %XX"]),
        ("{ type: http, path: '' }", &["7:27 the text is empty | 1 to 4096 bytes, or no such key"]),
        ("{ type: http, host: 'a.example:http' }", &["7:27 `a.example:http` is not the name of a host | <host>"]),
        ("{ type: http, host: 'a b' }", &["7:27 `a b` is not the name of a host | <host>"]),
        ("{ type: http, host: -a }", &["7:27 `-a` is not the name of a host | <host>"]),
        ("{ type: http, method: get }", &["7:29 `get` is not a method of a request for a path | a method such as GET, HEAD or OPTIONS, in capital letters | GET"]),
        ("{ type: http, method: 'G T' }", &["7:29 `G T` is not a method of a request for a path | a method such as GET, HEAD or OPTIONS, in capital letters"]),
        ("{ type: http, method: CONNECT }", &["7:29 `CONNECT` is not a method of a request for a path | a method such as GET, HEAD or OPTIONS, in capital letters"]),
        ("{ type: http, headers: { 'a b': x } }", &["7:32 `a b` is not the name of a header | letters, digits and `-`, such as User-Agent"]),
        ("{ type: http, headers: { Host: x } }", &["7:32 the request has a header `Host` by itself | `host`, a key of the check"]),
        ("{ type: http, headers: { A: x, a: y } }", &["7:38 duplicate header `a`; first on line 7"]),
        ("{ type: http, headers: { A: \"x\\ny\" } }", &["7:35 the value of `A` contains a line break or another character that no header has | ASCII characters on one line"]),
        ("{ type: http, headers: { A: 5 } }", &[r#"7:35 `A` cannot be a number | text | "5""#]),
        ("{ type: http, headers: [a] }", &["7:30 `headers` cannot be a list | a mapping"]),
        ("{ type: http, headers: { A: x, A: y } }", &["7:38 duplicate key `A`; first on line 7"]),
        ("{ type: http, status: 200 }", &["7:29 `status` cannot be a number | a list | [200]"]),
        ("{ type: http, status: [] }", &["7:29 no status would pass | 1 to 64 numbers or ranges, such as [200-299]"]),
        ("{ type: http, status: [99] }", &["7:30 `99` is neither a status code nor a range of them | a number from 100 to 599, or a range such as 200-299"]),
        ("{ type: http, status: [299-200] }", &["7:30 `299-200` is neither a status code nor a range of them | a number from 100 to 599, or a range such as 200-299"]),
        ("{ type: http, status: [2xx] }", &["7:30 `2xx` is neither a status code nor a range of them | a number from 100 to 599, or a range such as 200-299"]),
    ]);
}

#[test]
fn the_body_of_an_answer() {
    check(inline, &[
        ("{ type: http, method: HEAD, body: ok }", &["7:41 the answer to `HEAD` has no body | `method: GET`, or no `body`"]),
        ("{ type: http, body: '/(/' }", &["7:27 the regular expression is not valid: found open group without closing ')' | a regular expression between slashes, such as `/^ok$/`, or text that does not begin and end with a slash"]),
        ("{ type: http, body: '/a{1000}{1000}{1000}/' }", &["7:27 the regular expression is not valid: compiled regex exceeded size limit | a regular expression between slashes, such as `/^ok$/`, or text that does not begin and end with a slash"]),
        ("{ type: http, body: 5 }", &[r#"7:27 `body` cannot be a number | text | "5""#]),
    ]);
}

#[test]
fn certificates() {
    check(inline, &[
        ("{ type: https }", &["7:15 a certificate is verified for a name, and this check has none | <name of the certificate>"]),
        ("{ type: tls }", &["7:15 a certificate is verified for a name, and this check has none | <name of the certificate>"]),
        ("{ type: https, verify: system }", &["7:30 a certificate is verified for a name, and this check has none | <name of the certificate>"]),
        ("{ type: tls, verify: { ca: /etc/ca.pem } }", &["7:28 a certificate is verified for a name, and this check has none | <name of the certificate>"]),
        ("{ type: https, verify: sytsem, host: a }", &["7:30 `sytsem` is no way to verify a certificate | `system`, `none` or `{ ca: FILE, name: NAME }` | system"]),
        ("{ type: https, verify: { ca: ca.pem, name: a } }", &["7:36 `ca.pem` is not an absolute path | a path from `/` on, of at most 4096 bytes, such as /etc/lbd/ca.pem"]),
        ("{ type: https, verify: {}, host: a }", &["7:30 neither `ca` nor `name` is given | `system`, `none` or `{ ca: FILE, name: NAME }`"]),
        ("{ type: https, verify: { name: 'a b' } }", &["7:38 no certificate can be for `a b` | the name of a host, or an IP address, such as www.example.com"]),
        ("{ type: https, host: 'a b' }", &["7:28 `a b` is not the name of a host | <host>"]),
        ("{ type: tls, host: a.1 }", &["7:26 no certificate can be for `a.1` | the name of a host, or an IP address, such as www.example.com"]),
        ("{ type: https, verify: { cafile: /a }, host: a }", &["7:32 unknown key `cafile` | one of ca, name"]),
        ("{ type: https, verify: true, host: a }", &[r#"7:30 `verify` cannot be true or false | how a certificate is verified such as `system` or `none` | "true""#]),
        ("{ type: https, host: a, certificate: /a }", &["7:31 `certificate` has no effect without `key` | `key` with the path of a file, too"]),
        ("{ type: https, host: a, key: /a }", &["7:31 `key` has no effect without `certificate` | `certificate` with the path of a file, too"]),
        ("{ type: https, host: a, certificate: a, key: ~/a }", &["7:44 `a` is not an absolute path | a path from `/` on, of at most 4096 bytes, such as /etc/lbd/ca.pem", "7:52 `~/a` is not an absolute path | a path from `/` on, of at most 4096 bytes, such as /etc/lbd/ca.pem"]),
    ]);
}

#[test]
fn what_is_sent_and_expected() {
    check(inline, &[
        ("{ send: '' }", &["7:15 the text is empty | 1 to 4096 bytes, or no such key"]),
        ("{ send: 'hex:0' }", &["7:15 `0` are no hexadecimal digits, two for each byte | `hex:` and digits such as `hex:0d0a`, or other text, which is taken as it is"]),
        ("{ expect: 'hex:zz' }", &["7:17 `zz` are no hexadecimal digits, two for each byte | `hex:` and digits such as `hex:0d0a`, or other text, which is taken as it is"]),
        ("{ expect: 'hex:' }", &["7:17 `` are no hexadecimal digits, two for each byte | `hex:` and digits such as `hex:0d0a`, or other text, which is taken as it is"]),
    ]);
}

#[test]
fn a_question() {
    check(inline, &[
        ("{ type: dns, query: 'a b c' }", &["7:27 `a b c` is not a name, or a name and a type | `NAME` or `NAME TYPE`, such as `www.example.com` or `example.com SOA`"]),
        ("{ type: dns, query: 'www.example.com MX' }", &["7:27 unknown record type `MX` | one of A, AAAA, CNAME, NS, SOA, TXT"]),
        ("{ type: dns, query: 'a..b' }", &["7:27 `a..b` is not a name, or a name and a type | `NAME` or `NAME TYPE`, such as `www.example.com` or `example.com SOA`"]),
        ("{ type: dns, query: 'a.example A', answer: 'fd00::1' }", &["7:50 no such record can be `fd00::1` | an IPv4 address for a record of type A"]),
        ("{ type: dns, query: a.example, answer: x }", &["7:46 no such record can be `x` | an IPv4 address for a record of type A"]),
        ("{ type: dns, answer: 10.0.0.1 }", &["7:20 an `answer` is expected, and there is no `query` | `query` with a name, such as `www.example.com`"]),
    ]);
}

#[test]
fn a_program() {
    check(inline, &[
        ("{ type: exec }", &["7:15 a check of type `exec` needs a `command` | <command>"]),
        ("{ type: exec, command: [] }", &["7:30 there is no program | <command>"]),
        ("{ type: exec, command: /bin/true }", &["7:30 `command` cannot be text | a list | [/bin/true]"]),
        ("{ type: exec, command: [true] }", &[r#"7:31 an entry of `command` cannot be true or false | text | "true""#]),
        ("{ type: exec, command: [check, '{address}'] }", &["7:31 `check` is not the absolute path of a program | a path from `/` on; a shell is not involved"]),
        ("{ type: exec, command: [/bin/check, '{adress}:{port}'] }", &["7:43 unknown placeholder `{adress}` | {address}, {port} or {cluster} | {address}"]),
        ("{ type: exec, command: ['/bin/{cluster}'] }", &["7:31 nothing is replaced in the path of the program"]),
        ("{ type: exec, command: [/bin/check], weight: exit }", &["7:52 `weight` cannot be `exit` | `output`"]),
    ]);
}

#[test]
fn which_check_a_cluster_names() {
    check(keys, &[
        ("check: wbe", &["7:12 unknown check `wbe` | `web`, or a check itself, such as `{ type: tcp }` | web"]),
        ("check: [web, web]", &["7:18 duplicate check `web`; first on line 7"]),
        ("check: WEB", &["7:12 unknown check `WEB` | `web`, or a check itself, such as `{ type: tcp }` | web"]),
    ]);
}

#[test]
fn keys_that_have_no_effect() {
    check(keys, &[
        ("on_failure: remove", &["7:5 `on_failure` has no effect without `check` | `check` in this cluster or in `defaults`"]),
        ("reset_after: 30s", &["7:5 `reset_after` has no effect without `check` | `check` in this cluster or in `defaults`"]),
        ("min_serving: 1", &["7:5 `min_serving` has no effect without `check` | `check` in this cluster or in `defaults`"]),
        ("slow_start: 30s", &["7:5 `slow_start` has no effect without `check` | `check` in this cluster or in `defaults`"]),
        ("check: none\n    min_serving: 1", &["8:5 `min_serving` has no effect without `check` | `check` in this cluster or in `defaults`"]),
        ("check: web\n    on_failure: remove\n    reset_after: 30s", &["9:5 `reset_after` has no effect with `on_failure: remove`, which deletes a failing server at once | `on_failure: quiesce`, or no `reset_after`"]),
    ]);
}

#[test]
fn what_a_failing_check_does() {
    check(keys, &[
        ("on_failure: delete\n    check: web", &["7:17 `on_failure` cannot be `delete` | one of auto, quiesce, remove"]),
        ("check: web\n    min_serving: 101%", &["8:18 `101%` is neither a share nor a number of servers | a share from `0%` to `100%`, or a number from 0 to 4294967295"]),
        ("check: web\n    min_serving: -1", &["8:18 `-1` is neither a share nor a number of servers | a share from `0%` to `100%`, or a number from 0 to 4294967295"]),
        ("check: web\n    min_serving: half", &["8:18 `half` is neither a share nor a number of servers | a share from `0%` to `100%`, or a number from 0 to 4294967295"]),
        ("check: web\n    reset_after: 0", &["8:18 `0` is too short | 1 to 86400 seconds, as N, Ns, Nm, Nh or Nd, such as `30s` or `5m`"]),
        ("check: web\n    reset_after: 2d", &["8:18 `2d` is too long | 1 to 86400 seconds, as N, Ns, Nm, Nh or Nd, such as `30s` or `5m`"]),
        ("check: web\n    scheduler: sh\n    on_failure: quiesce", &["9:17 with the scheduler `sh`, a server of weight 0 refuses the clients that it would get | `auto` or `remove`, or the scheduler flag for a fallback"]),
        ("check: web\n    scheduler: dh\n    on_failure: quiesce", &["9:17 with the scheduler `dh`, a server of weight 0 refuses the clients that it would get | `auto` or `remove`"]),
    ]);
}

#[test]
fn a_slow_start() {
    check(keys, &[
        ("check: web\n    slow_start: 2h", &["8:17 `2h` is too long | 1 to 3600 seconds, as N, Ns, Nm, Nh or Nd, such as `30s` or `5m`"]),
        ("check: web\n    slow_start: 30s", &["8:17 `slow_start` raises a weight in steps, and server 192.168.8.14:80 has the weight 1 | weights from 10 on, such as those of all servers ten times as large; or no `slow_start`"]),
        ("check: web\n    scheduler: rr\n    slow_start: 30s", &["9:17 `slow_start` raises weights, and the scheduler `rr` ignores weights, but for 0 | <weighted>"]),
        ("check: web\n    scheduler: fo\n    slow_start: 30s", &["9:17 `slow_start` raises weights, and the scheduler `fo` gives all connections to the server with the highest weight | <weighted>"]),
        ("check: web\n    scheduler: ovf\n    slow_start: 30s", &["9:17 `slow_start` raises weights, and the scheduler `ovf` takes a weight for a number of connections | <weighted>"]),
    ]);
}

#[test]
fn a_fallback() {
    check(keys, &[
        ("fallback: 192.168.8.14", &["7:15 the fallback 192.168.8.14:80 is also a server behind tcp://10.0.0.13:80 | a server of its own: one that fails with the others cannot serve in their place"]),
        ("fallback: { address: 192.168.8.14 }", &["7:26 the fallback 192.168.8.14:80 is also a server behind tcp://10.0.0.13:80 | a server of its own: one that fails with the others cannot serve in their place"]),
        ("fallback: 192.168.8.99:8080", &["7:15 `dr` cannot change the port: packets for tcp://10.0.0.13:80 reach the server at port 80, not 8080 | no port, or port 80; `forward: nat` changes ports | 192.168.8.99"]),
        ("fallback: { address: 192.168.8.99, weight: 0 }", &["7:48 a fallback of weight 0 would never serve | a number from 1 on, or no `weight`"]),
        ("fallback: { address: 192.168.8.99, check: web, drain: 5s }", &["7:40 a fallback has no check: it serves when no other server does | no `check` here", "7:52 a fallback has no `drain`: it leaves as `on_failure` says | no `drain` here"]),
        ("fallback: { address: fd00::1 }", &["7:26 `dr` does not cross address families: the server is IPv6, and tcp://10.0.0.13:80 is IPv4 | an IPv4 address, or `forward: tun`"]),
        ("fallback: { address: 127.0.0.1, forward: nat }", &["7:26 `nat` cannot reach the loopback address 127.0.0.1: the kernel drops the packets of clients | `forward: dr`, with the port of the service; or a server that listens on another address of this host"]),
        ("fallback: [192.168.8.99]", &["7:15 `fallback` cannot be a list | a server such as `192.168.8.14`"]),
        ("fallback: { weight: 1 }", &["7:15 `address` is missing in `fallback` | `address`, a server address such as `192.168.8.14` or `192.168.8.14:8080`"]),
        ("fallback: web9", &["7:15 `web9` is a host name, and the kernel knows only addresses | <server address>"]),
        ("untracked: true\n    fallback: { address: 192.168.8.99, forward: nat }", &["8:26 an `untracked` cluster cannot have a `nat` server | `forward: dr` or `tun`; or a cluster of its own, without `untracked`, for this server"]),
        ("fallback: { address: '192.168.8.14:81', forward: fullnat }", &["7:26 of the fallback 192.168.8.14:81 and the server 192.168.8.14:80, one is `fullnat` and the other is not | one forwarding method for all ports of an address"]),
    ]);
}

#[test]
fn the_definitions_of_checks() {
    check(whole, &[
        ("version: 1\nclusters: []\nchecks: { none: { type: tcp } }\n", &["3:11 `none` cannot be the name of a check: `check: none` is no check | another name"]),
        ("version: 1\nclusters: []\nchecks: { ' a': { type: tcp } }\n", &["3:11 the name begins or ends with a space, or contains a control character | 1 to 255 bytes on one line"]),
        ("version: 1\nclusters: []\nchecks: { web: tcp }\n", &["3:16 `web` cannot be text | <check>"]),
        ("version: 1\nclusters: []\nchecks: [web]\n", &["3:9 `checks` cannot be a list | a mapping"]),
        ("version: 1\nclusters: []\nchecks:\n  - name: web\n    type: tcp\n", &["4:5 `checks` cannot be a list | a mapping"]),
        ("version: 1\nclusters: []\nchecks: { web: }\n", &["3:11 `web` is empty | <check>"]),
        ("version: 1\nclusters: []\nchecks: { web: {}, web: {} }\n", &["3:20 duplicate key `web`; first on line 3"]),
        ("version: 1\nclusters: []\ndefaults: { check: web }\n", &["3:20 unknown check `web` | the name of a check under `checks`, or a check itself, such as `{ type: tcp }`"]),
        ("version: 1\nclusters: []\nchecks: { web: { prot: 80 } }\n", &["3:18 unknown key `prot` | <check keys> | port"]),
    ]);
}

#[test]
fn servers_without_a_port_and_udp_listeners() {
    check(whole, &[
        ("version: 1\nmarks: [{ mark: 1 }]\nclusters: [{ name: a, listen: fwmark://1, servers: [192.168.8.14, 192.168.8.15], check: { type: http } }]\n", &["3:89 the check `http` needs a port: the servers behind fwmark://1 have none of their own | `port` in the check"]),
        ("version: 1\nmarks: [{ mark: 1 }]\nclusters: [{ name: a, listen: fwmark://1, servers: [], check: { type: http } }]\n", &["3:63 the check `http` needs a port: the servers behind fwmark://1 have none of their own | `port` in the check"]),
        ("version: 1\nmarks: [{ mark: 1 }]\nclusters: [{ name: a, listen: fwmark://1, servers: [192.168.8.14], check: { type: exec, command: [/bin/a, '{port}'] } }]\n", &["3:75 the check `exec` needs a port: the servers behind fwmark://1 have none of their own | `port` in the check"]),
        ("version: 1\nclusters: [{ name: a, listen: tcp://10.0.0.1:0, persistence: 5m, servers: [192.168.8.14], check: { type: tcp } }]\n", &["2:98 the check `tcp` needs a port: the servers behind tcp://10.0.0.1:0 have none of their own | `port` in the check"]),
        ("version: 1\nclusters: [{ name: a, listen: ['udp://10.0.0.1:53', 'tcp://10.0.0.1:53'], servers: [192.168.8.14], check: { type: tcp } }]\n", &["2:107 the check `tcp` connects by TCP, and to the port of udp://10.0.0.1:53, which is UDP | `type: udp` or `dns`; or a `port` in the check, such as `port: 53`"]),
        ("version: 1\ndefaults: { check: { type: tcp } }\nclusters: [{ name: a, listen: 'udp://10.0.0.1:53', servers: [192.168.8.14] }, { name: b, listen: 'udp://10.0.0.1:54', servers: [192.168.8.14] }]\n", &["2:20 the check `tcp` connects by TCP, and to the port of udp://10.0.0.1:53, which is UDP | `type: udp` or `dns`; or a `port` in the check, such as `port: 53`"]),
        ("version: 1\nclusters: [{ name: a, listen: 'udp://10.0.0.1:53', servers: [{ address: 192.168.8.14, check: { type: tcp } }] }]\n", &["2:94 the check `tcp` connects by TCP, and to the port of udp://10.0.0.1:53, which is UDP | `type: udp` or `dns`; or a `port` in the check, such as `port: 53`"]),
    ]);
}

#[test]
fn a_setting_that_checks_need() {
    check(whole, &[
        ("version: 1\nsysctls: { net.ipv4.vs.expire_nodest_conn: 0 }\nclusters: [{ name: a, listen: 'udp://10.0.0.1:53', servers: [192.168.8.14], check: { type: dns } }]\n", &["2:44 the checks of `a` delete failing servers, which needs net.ipv4.vs.expire_nodest_conn: without it their clients stay on them | net.ipv4.vs.expire_nodest_conn: 1, or no entry for it"]),
        ("version: 1\nsysctls: { net.ipv4.vs.expire_nodest_conn: 0 }\nclusters: [{ name: a, listen: 'tcp://10.0.0.1:53', servers: [192.168.8.14], check: { type: tcp }, reset_after: 30s }]\n", &["2:44 the checks of `a` delete failing servers, which needs net.ipv4.vs.expire_nodest_conn: without it their clients stay on them | net.ipv4.vs.expire_nodest_conn: 1, or no entry for it"]),
        ("version: 1\nsysctls: { net.ipv4.vs.conntrack: 0 }\nclusters: [{ name: a, listen: 'tcp://10.0.0.1:80', servers: [192.168.8.14], fallback: { address: 192.168.8.99, forward: fullnat } }]\n", &["2:35 `fullnat` servers need net.ipv4.vs.conntrack: without it their answers are lost | net.ipv4.vs.conntrack: 1, or no entry for it"]),
    ]);
}

#[test]
fn what_only_follows_from_a_check_that_cannot_be_read() {
    check(whole, &[
        ("version: 1\nchecks: { web: { type: htp } }\nclusters: [{ name: a, listen: 'tcp://10.0.0.1:80', servers: [192.168.8.14], check: web, min_serving: 1 }]\n", &["2:24 unknown type of check `htp` | <check types> | http"]),
        ("version: 1\nchecks: { web: { type: htp, path: / } }\nclusters: [{ name: a, listen: 'tcp://10.0.0.1:80', servers: [192.168.8.14], check: web, min_serving: 1 }]\n", &["2:24 unknown type of check `htp` | <check types> | http"]),
        ("version: 1\nclusters: [{ name: a, listen: 'tcp://10.0.0.1:80', servers: [192.168.8.14], check: 5, min_serving: 1 }]\n", &[r#"2:84 `check` cannot be a number | a check or a list of them such as `web` or `none` | "5""#]),
        ("version: 1\nchecks: { web: 5 }\nclusters: [{ name: a, listen: 'tcp://10.0.0.1:80', servers: [192.168.8.14], check: web, min_serving: 1 }]\n", &["2:16 `web` cannot be a number | <check>"]),
        ("version: 1\nclusters: [{ name: a, listen: 'tcp://10.0.0.1:80', servers: [192.168.8.14], check: { source: fd00::1 } }]\n", &["2:84 the check `tcp` probes from fd00::1, which is IPv6, and 192.168.8.14 is IPv4 | a `source` of the family of the servers; or two checks, one for each family"]),
    ]);
}

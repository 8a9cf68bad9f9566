//! Files with checks that are right, and what they say of the health of servers.

use std::sync::Arc;
use std::time::Duration;

use lbd::config::{Source, load, render};
use lbd::model::{
    Body, Check, CheckKind, Checks, Desired, Dns, Exchange, Exec, Forwarding, Http, Identity, MinServing,
    OnFailure, RealServer, RecordType, ServerKey, ServiceHealth, ServiceKey, Thresholds, Timing, Tls, Verify,
};

fn desired(text: &str) -> Desired {
    load(&Source::new("desired.yaml", text)).unwrap_or_else(|problems| panic!("{}", problems.text(false)))
}

fn health<'a>(desired: &'a Desired, service: &str) -> &'a ServiceHealth {
    &desired.health.services[&service.parse::<ServiceKey>().unwrap()]
}

fn server(text: &str) -> ServerKey {
    let socket: std::net::SocketAddr = text.parse().unwrap();
    ServerKey { address: socket.ip(), port: socket.port() }
}

fn request() -> Http {
    Http {
        path: "/".into(),
        host: None,
        method: "GET".into(),
        headers: Vec::new(),
        status: vec![(200, 399)],
        body: None,
    }
}

fn verified() -> Tls {
    Tls { verify: Verify::System, name: None, identity: None }
}

fn of_kind(name: &str, kind: CheckKind) -> Check {
    Check { name: name.into(), address: None, port: None, source: None, timing: Timing::DEFAULT, kind }
}

#[test]
fn a_file_with_all_that_it_can_say_of_health() {
    let desired = desired(
        "\
version: 1
checks:
  web: { type: http, port: 80, path: /healthz, host: www.example.com, status: [200-299], body: ok }
defaults: { check: web }
clusters:
  - name: shop
    listen: [tcp://10.0.0.13:80, tcp://10.0.0.13:443]
    check: [web, { type: https, port: 443, host: shop.example.com, interval: 500ms, timeout: 400ms }]
    on_failure: auto
    min_serving: 2
    fallback: { address: 192.168.8.99, forward: nat }
    slow_start: 30s
    reset_after: 1m
    servers: [{ address: 192.168.8.14, weight: 10 }, { address: 192.168.8.15, check: none, weight: 30 }]
  - { name: blog, listen: tcp://10.0.0.14:80, servers: [192.168.8.14] }
  - { name: mail, listen: tcp://10.0.0.14:25, check: none, servers: [192.168.8.14] }
",
    );
    let web = Arc::new(Check {
        port: Some(80),
        ..of_kind(
            "web",
            CheckKind::Http(Http {
                path: "/healthz".into(),
                host: Some("www.example.com".into()),
                status: vec![(200, 299)],
                body: Some(Body::Text("ok".into())),
                ..request()
            }),
        )
    });
    let ms = Duration::from_millis;
    let secure = Arc::new(Check {
        port: Some(443),
        timing: Timing { interval: ms(500), timeout: ms(400), fast: ms(500), fall: 3, rise: 2 },
        ..of_kind(
            "https",
            CheckKind::Https(Http { host: Some("shop.example.com".into()), ..request() }, verified()),
        )
    });
    let fallback = RealServer { weight: 1, forwarding: Forwarding::Nat, thresholds: Thresholds::default() };
    let shop = |port: u16| ServiceHealth {
        checks: [Arc::clone(&web), Arc::clone(&secure)].into(),
        servers: [(server(&format!("192.168.8.15:{port}")), Checks::default())].into_iter().collect(),
        on_failure: OnFailure::Quiesce,
        reset_after: Some(Duration::from_secs(60)),
        min_serving: MinServing::Count(2),
        fallback: Some((server(&format!("192.168.8.99:{port}")), fallback)),
        slow_start: Some(Duration::from_secs(30)),
    };
    let blog = ServiceHealth {
        checks: [Arc::clone(&web)].into(),
        servers: Default::default(),
        on_failure: OnFailure::Quiesce,
        reset_after: None,
        min_serving: MinServing::Percent(50),
        fallback: None,
        slow_start: None,
    };
    assert_eq!(health(&desired, "tcp://10.0.0.13:80"), &shop(80));
    assert_eq!(health(&desired, "tcp://10.0.0.13:443"), &shop(443));
    assert_eq!(health(&desired, "tcp://10.0.0.14:80"), &blog);
    assert_eq!(desired.health.services.len(), 3);
    assert_eq!(desired.state.sysctls.get("net.ipv4.vs.expire_nodest_conn").map(String::as_str), Some("1"));
}

#[test]
fn each_distinct_check_and_list_is_in_memory_once() {
    let text = "version: 1\nchecks: { a: { port: 80 } }\nclusters:\n  \
                - { name: a, listen: tcp://10.0.0.1:80, check: [a, { type: ping }], servers: [192.168.8.14] }\n  \
                - { name: b, listen: tcp://10.0.0.2:80, servers: [{ address: 192.168.8.14, check: [a, { type: ping }] }] }\n";
    let desired = desired(text);
    let (a, b) = (health(&desired, "tcp://10.0.0.1:80"), health(&desired, "tcp://10.0.0.2:80"));
    assert!(Arc::ptr_eq(&a.checks, &b.servers[&server("192.168.8.14:80")]));
    assert_eq!((a.checks.len(), b.checks.len()), (2, 0));
}

/// What a check in a cluster defines.
fn defined(text: &str) -> Check {
    let file = format!(
        "version: 1\nclusters:\n  - name: a\n    listen: tcp://10.0.0.1:80\n    servers: [192.168.8.14]\n    check: {text}\n"
    );
    let desired = desired(&file);
    let [only] = &*health(&desired, "tcp://10.0.0.1:80").checks else { panic!("{text}") };
    Check::clone(only)
}

#[test]
fn what_a_check_of_each_type_sends_and_expects() {
    let exchange = |send: Option<&[u8]>, expect: Option<&[u8]>| Exchange {
        send: send.map(<[u8]>::to_vec),
        expect: expect.map(<[u8]>::to_vec),
    };
    let dns = |name: &str, record, answer: Option<&str>| {
        CheckKind::Dns(Dns { name: name.into(), record, answer: answer.map(str::to_owned) })
    };
    let exec = |command: &[&str], weight_from_output| {
        let command = command.iter().map(|word| (*word).to_owned()).collect();
        CheckKind::Exec(Exec { command, weight_from_output })
    };
    let named = |verify, name: &str| Tls { verify, name: Some(name.into()), ..verified() };
    let http = |http| CheckKind::Http(http);
    for (text, kind) in [
        ("{}", CheckKind::Tcp(exchange(None, None))),
        (
            "{ send: \"PING\\r\\n\", expect: hex:2b504f4e47 }",
            CheckKind::Tcp(exchange(Some(b"PING\r\n"), Some(b"+PONG"))),
        ),
        ("{ type: udp, send: 'hex:00 ff' }", CheckKind::Udp(exchange(Some(&[0, 255]), None))),
        ("{ type: ping }", CheckKind::Ping),
        (
            "{ type: tls, verify: none }",
            CheckKind::Tls(Tls { verify: Verify::None, ..verified() }, exchange(None, None)),
        ),
        (
            "{ type: tls, host: '[fd00::1]:443' }",
            CheckKind::Tls(named(Verify::System, "fd00::1"), exchange(None, None)),
        ),
        (
            "{ type: tls, host: a.example }",
            CheckKind::Tls(named(Verify::System, "a.example"), exchange(None, None)),
        ),
        (
            "{ type: tls, host: a.example, verify: { name: b.example } }",
            CheckKind::Tls(named(Verify::System, "b.example"), exchange(None, None)),
        ),
        (
            "{ type: https, verify: { ca: /etc/ca.pem, name: 192.0.2.1 } }",
            CheckKind::Https(request(), named(Verify::Authority("/etc/ca.pem".into()), "192.0.2.1")),
        ),
        (
            "{ type: https, verify: { ca: /etc/ca.pem }, host: a, certificate: /c, key: /k }",
            CheckKind::Https(
                Http { host: Some("a".into()), ..request() },
                Tls {
                    verify: Verify::Authority("/etc/ca.pem".into()),
                    name: None,
                    identity: Some(Identity { certificate: "/c".into(), key: "/k".into() }),
                },
            ),
        ),
        (
            "{ type: http, status: [200, 301-302, '404'] }",
            http(Http { status: vec![(200, 200), (301, 302), (404, 404)], ..request() }),
        ),
        (
            "{ type: http, body: '/^ok$/' }",
            http(Http { body: Some(Body::Regex("^ok$".into())), ..request() }),
        ),
        ("{ type: http, body: / }", http(Http { body: Some(Body::Text("/".into())), ..request() })),
        (
            "{ type: http, path: '/a?b=%20', method: OPTIONS, headers: { User-Agent: lbd, X-A: b }, host: '::1' }",
            http(Http {
                path: "/a?b=%20".into(),
                method: "OPTIONS".into(),
                headers: vec![("User-Agent".into(), "lbd".into()), ("X-A".into(), "b".into())],
                host: Some("[::1]".into()),
                ..request()
            }),
        ),
        ("{ type: dns }", dns(".", RecordType::Soa, None)),
        ("{ type: dns, query: www.example.com. }", dns("www.example.com", RecordType::A, None)),
        (
            "{ type: dns, query: www.example.com, answer: 'FD00::01' }",
            dns("www.example.com", RecordType::Aaaa, Some("fd00::1")),
        ),
        (
            "{ type: dns, query: example.com txt, answer: 'a b' }",
            dns("example.com", RecordType::Txt, Some("a b")),
        ),
        (
            "{ type: dns, query: example.com NS, answer: ns.example.com. }",
            dns("example.com", RecordType::Ns, Some("ns.example.com")),
        ),
        (
            "{ type: exec, command: [/bin/check, '{address}:{port}', '{cluster}', '', '{ }'] }",
            exec(&["/bin/check", "{address}:{port}", "{cluster}", "", "{ }"], false),
        ),
        ("{ type: exec, command: [/bin/check], weight: output }", exec(&["/bin/check"], true)),
    ] {
        let check = defined(text);
        assert_eq!(check, of_kind(kind.word(), kind), "{text}");
    }
}

#[test]
fn where_and_how_often_a_check_probes() {
    let ms = Duration::from_millis;
    let check = defined(
        "{ address: 192.0.2.7, port: 8080, source: 192.0.2.1, interval: 1m, timeout: 1500ms, fast: 2, fall: 1, rise: 5 }",
    );
    let expected = Check {
        address: Some("192.0.2.7".parse().unwrap()),
        port: Some(8080),
        source: Some("192.0.2.1".parse().unwrap()),
        timing: Timing { interval: ms(60_000), timeout: ms(1_500), fast: ms(2_000), fall: 1, rise: 5 },
        ..of_kind("tcp", CheckKind::Tcp(Exchange::default()))
    };
    assert_eq!(check, expected);
}

#[test]
fn what_a_failing_check_does_follows_from_the_service() {
    let on_failure = |cluster: &str, service: &str| {
        let text = format!("version: 1\nclusters:\n  - {{ name: a, servers: [192.168.8.14], {cluster} }}\n");
        let desired = desired(&text);
        let set = desired.state.sysctls.contains_key("net.ipv4.vs.expire_nodest_conn");
        (health(&desired, service).on_failure, set)
    };
    let (tcp, udp) = ("tcp://10.0.0.1:80", "udp://10.0.0.1:53");
    let (quiesce, remove) = ((OnFailure::Quiesce, false), (OnFailure::Remove, true));
    for (cluster, service, expected) in [
        ("listen: 'tcp://10.0.0.1:80', check: {}", tcp, quiesce),
        ("listen: 'tcp://10.0.0.1:80', check: {}, on_failure: remove", tcp, remove),
        ("listen: 'tcp://10.0.0.1:80', check: {}, persistence: 5m", tcp, remove),
        ("listen: 'tcp://10.0.0.1:80', check: {}, persistence: 5m, on_failure: quiesce", tcp, quiesce),
        ("listen: 'tcp://10.0.0.1:80', check: {}, scheduler: sh", tcp, remove),
        (
            "listen: 'tcp://10.0.0.1:80', check: {}, scheduler: sh, scheduler_flags: [sh-fallback]",
            tcp,
            quiesce,
        ),
        ("listen: 'udp://10.0.0.1:53', check: { type: dns }", udp, remove),
        ("listen: 'udp://10.0.0.1:53', check: { type: dns }, one_packet: true", udp, quiesce),
        (
            "listen: ['udp://10.0.0.1:53', 'tcp://10.0.0.1:80'], check: { port: 53 }",
            tcp,
            (OnFailure::Quiesce, true),
        ),
        ("listen: 'tcp://10.0.0.1:80', fallback: 192.168.8.99", tcp, quiesce),
    ] {
        assert_eq!(on_failure(cluster, service), expected, "{cluster}");
    }
}

#[test]
fn a_port_is_needed_only_where_a_server_has_none() {
    let marked = |rest: &str| {
        desired(&format!(
            "version: 1\nmarks: [{{ mark: 1 }}]\nclusters: [{{ name: a, listen: fwmark://1, {rest} }}]\n"
        ))
    };
    for rest in [
        "servers: [192.168.8.14], check: { port: 80 }",
        "servers: [192.168.8.14], check: { type: ping }",
        "servers: [192.168.8.14], check: { type: exec, command: [/bin/true] }",
        "servers: ['192.168.8.14:8080'], forward: nat, check: {}",
        "servers: [{ address: 192.168.8.14, check: none }], check: {}",
    ] {
        assert_eq!(marked(rest).health.services.len(), 1, "{rest}");
    }
}

#[test]
fn a_service_with_a_fallback_needs_no_usable_server() {
    let warnings = |rest: &str| {
        let text = format!("version: 1\nclusters: [{{ name: a, listen: 'tcp://10.0.0.1:80', {rest} }}]\n");
        lbd::advice::of_the_file(&desired(&text)).len()
    };
    assert_eq!(warnings("servers: []"), 1);
    assert_eq!(warnings("servers: [{ address: 192.168.8.14, weight: 0 }], fallback: 192.168.8.99"), 0);
}

#[test]
fn no_check_and_no_fallback_is_in_what_is_exported() {
    let text = "version: 1\nchecks: { dns: { type: dns } }\nclusters: [{ name: a, listen: 'udp://10.0.0.1:53', servers: [192.168.8.14], check: dns, fallback: 192.168.8.99 }]\n";
    let wanted = desired(text);
    let exported = render(&wanted.state).yaml().unwrap();
    assert!(!exported.contains("check") && !exported.contains("192.168.8.99"), "{exported}");
    let again = desired(&exported);
    assert_eq!((&again.state, again.health.services.len()), (&wanted.state, 0));
}

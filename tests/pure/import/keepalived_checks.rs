//! The health checks of a keepalived.conf become checks of lbd; what these cannot do is lost, and named.

#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing)]

use lbd::import::Effect;
use serde_json::{Value, json};

use super::keepalived::{imported, said, state};

/// A virtual server with one server that has these lines, and with these of its own.
fn with(own: &str, server: &str) -> String {
    format!(
        "virtual_server 10.0.0.1 80 {{\nprotocol TCP\n{own}\nreal_server 10.1.0.1 80 {{\n{server}\n}}\n}}\n"
    )
}

/// The first cluster that becomes of it.
fn cluster(text: &str) -> Value {
    let imported = imported(text);
    state(&imported);
    serde_json::to_value(&imported.document.clusters[0]).unwrap()
}

fn check(own: &str, server: &str) -> Value {
    cluster(&with(own, server))["check"].clone()
}

#[test]
fn times_and_retries_are_those_of_keepalived() {
    assert_eq!(
        check("", "TCP_CHECK {\n}"),
        json!({ "type": "tcp", "interval": "60s", "timeout": "5s", "fast": "1s", "fall": 2, "rise": 1 })
    );
    assert_eq!(
        check(
            "delay_loop 10\nretry 4\ndelay_before_retry 0.5",
            "delay_loop 9\nTCP_CHECK {\nconnect_timeout 1.5\nretry 0\n}"
        ),
        json!({ "type": "tcp", "interval": "9s", "timeout": "1500ms", "fast": "500ms", "fall": 1, "rise": 1 })
    );
    assert_eq!(
        check("", "DNS_CHECK {\ntype txt\nname example.com\n}"),
        json!({ "type": "dns", "interval": "60s", "timeout": "5s", "fast": "60s", "fall": 4, "rise": 1, "query": "example.com TXT" })
    );
    assert_eq!(
        check("", "PING_CHECK {\nretry 2\n}"),
        json!({ "type": "ping", "interval": "60s", "timeout": "5s", "fast": "1s", "fall": 3, "rise": 1 })
    );
}

#[test]
fn a_check_looks_where_keepalived_looks() {
    let looked =
        check("delay_loop 6", "TCP_CHECK {\nconnect_ip 10.1.0.7\nconnect_port 81\nbindto 10.1.0.250\n}");
    assert_eq!(
        (&looked["address"], &looked["port"], &looked["source"]),
        (&json!("10.1.0.7"), &json!(81), &json!("10.1.0.250"))
    );
    // A dr server has the port of the service, and is checked at its own.
    let dr = cluster(
        "virtual_server 10.0.0.1 80 {\nprotocol TCP\nlb_kind DR\nreal_server 10.1.0.1 8080 {\nTCP_CHECK {\n}\n}\n}\n",
    );
    assert_eq!((&dr["check"]["port"], &dr["servers"]), (&json!(8080), &json!(["10.1.0.1"])));
    // By TCP, the port of a UDP service has to be said.
    let udp = cluster(
        "virtual_server 10.0.0.1 53 {\nprotocol UDP\nreal_server 10.1.0.1 53 {\nTCP_CHECK {\n}\n}\n}\n",
    );
    assert_eq!(udp["check"]["port"], json!(53));
    let none = "virtual_server fwmark 7 {\nreal_server 10.1.0.1 {\nTCP_CHECK {\n}\n}\n}\n";
    assert_eq!(cluster(none).get("check"), None);
    assert_eq!(said(&imported(none), Effect::Lost).iter().map(|(line, _)| *line).collect::<Vec<_>>(), [3]);
}

#[test]
fn each_page_is_a_check() {
    let get = "HTTP_GET {\nvirtualhost a.example\nurl {\npath /\n}\nurl {\npath /health?x=1\nstatus_code 200-299 301\nvirtualhost b.example\n\
               regex \"^ok \\\\d+\"\nregex_options caseless\n}\nurl {\n}\n}";
    let common =
        json!({ "type": "http", "interval": "60s", "timeout": "5s", "fast": "3s", "fall": 2, "rise": 1 });
    let page = |more: Value| {
        let mut page = common.as_object().unwrap().clone();
        page.extend(more.as_object().unwrap().clone());
        Value::Object(page)
    };
    assert_eq!(
        check("virtualhost c.example", get),
        json!([
            page(json!({ "host": "a.example", "status": ["200-299"] })),
            page(
                json!({ "path": "/health?x=1", "host": "b.example", "status": ["200-299", 301], "body": "/(?i)^ok \\d+/" })
            ),
        ])
    );
    let ssl = check(
        "virtualhost c.example",
        "SSL_GET {\nurl {\npath /\ndigest 640205b7b0fc66c1ea91c463fac6334d\n}\n}",
    );
    assert_eq!(
        (&ssl["type"], &ssl["verify"], &ssl["host"]),
        (&json!("https"), &json!("none"), &json!("c.example"))
    );
    let digest =
        imported(&with("", "HTTP_GET {\nurl {\npath /\ndigest 640205b7b0fc66c1ea91c463fac6334d\n}\n}"));
    assert_eq!(said(&digest, Effect::Lost)[0].0, 8);
    // A regular expression of another dialect leaves the page, and a path that is none leaves the connection.
    let look = with("", "HTTP_GET {\nurl {\npath /a\nregex \"(?<=x)y\"\n}\n}");
    let imported_look = imported(&look);
    assert_eq!(
        (&cluster(&look)["check"]["path"], said(&imported_look, Effect::Lost).len()),
        (&json!("/a"), 1)
    );
    assert_eq!(check("", "HTTP_GET {\nurl {\npath a\n}\n}")["type"], json!("tcp"));
}

#[test]
fn a_program_is_called_as_keepalived_calls_it() {
    let exec = check(
        "delay_loop 10",
        "MISC_CHECK {\nmisc_path \"/usr/bin/check -H 'a b' 10.1.0.1\"\nmisc_timeout 3\n}",
    );
    assert_eq!(
        exec,
        json!({ "type": "exec", "interval": "10s", "timeout": "3s", "fast": "1s", "fall": 1, "rise": 1,
                "command": ["/usr/bin/check", "-H", "a b", "10.1.0.1"] })
    );
    for (lines, line) in [
        ("misc_path check", 6),
        ("misc_path /usr/bin/check\nmisc_dynamic", 7),
        ("misc_path \"/usr/bin/check {nothing}\"", 5),
    ] {
        let imported = imported(&with("", &format!("MISC_CHECK {{\n{lines}\n}}")));
        assert_eq!(
            said(&imported, Effect::Lost).iter().map(|(line, _)| *line).collect::<Vec<_>>(),
            [line],
            "{lines}"
        );
    }
}

#[test]
fn what_a_check_of_lbd_cannot_do_is_lost() {
    for (server, lines) in [
        ("SMTP_CHECK {\nhelo_name a\n}", vec![5]),
        ("SMTP_CHECK {\nhost {\nconnect_port 26\n}\n}", vec![5]),
        ("FILE_CHECK {\ntrack_file a\n}", vec![5]),
        ("BFD_CHECK {\nname a\n}", vec![5]),
        ("DNS_CHECK {\ntype MX\n}", vec![6]),
        ("UDP_CHECK {\nrequire_reply\nmin_reply_length 3\n}", vec![6, 7]),
        ("UDP_CHECK {\npayload 0d0a\nrequire_reply 0A\n}", vec![]),
        ("TCP_CHECK {\nbind_port 99\nfwmark 3\n}", vec![6, 7]),
    ] {
        let imported = imported(&with("", server));
        state(&imported);
        let found: Vec<usize> = said(&imported, Effect::Lost).iter().map(|(line, _)| *line).collect();
        assert_eq!(found, lines, "{server}");
    }
    let udp = check("", "UDP_CHECK {\npayload 0d0a\nrequire_reply 0A\n}");
    assert_eq!((&udp["send"], &udp["expect"]), (&json!("hex:0d0a"), &json!("hex:0A")));
}

#[test]
fn what_a_failing_check_does_is_said_by_inhibit_on_failure() {
    let failing = |text: &str| cluster(text).get("on_failure").cloned();
    assert_eq!(failing(&with("", "TCP_CHECK {\n}")), Some(json!("remove")));
    assert_eq!(failing(&with("inhibit_on_failure", "TCP_CHECK {\n}")), Some(json!("quiesce")));
    assert_eq!(
        failing(&with("inhibit_on_failure", "inhibit_on_failure no\nTCP_CHECK {\n}")),
        Some(json!("remove"))
    );
    assert_eq!(failing(&with("inhibit_on_failure\nlb_algo dh", "TCP_CHECK {\n}")), Some(json!("auto")));
    assert_eq!(failing(&with("inhibit_on_failure", "")), None);
    let mixed = with("", "inhibit_on_failure\nTCP_CHECK {\n}\n}\nreal_server 10.1.0.2 80 {");
    assert_eq!(said(&imported(&mixed), Effect::Lost).iter().map(|(line, _)| *line).collect::<Vec<_>>(), [1]);
}

#[test]
fn a_sorry_server_is_the_fallback_and_a_quorum_that_decides_over_it_is_lost() {
    let text = |own: &str| with(own, "weight 3\nTCP_CHECK {\n}");
    let lost = |own: &str| {
        said(&imported(&text(own)), Effect::Lost).iter().map(|(line, _)| *line).collect::<Vec<_>>()
    };
    assert_eq!(cluster(&text("sorry_server 10.1.0.9 8080"))["fallback"], json!("10.1.0.9:8080"));
    // lb_kind counts for the sorry server only below it, or where it has none.
    assert_eq!(cluster(&text("lb_kind DR\nsorry_server 10.1.0.9 8080"))["fallback"], json!("10.1.0.9"));
    assert_eq!(lost("sorry_server 10.1.0.9 80"), Vec::<usize>::new());
    assert_eq!(lost("quorum 2"), Vec::<usize>::new());
    assert_eq!(lost("quorum 2\nsorry_server 10.1.0.9 80"), [3]);
    assert_eq!(lost("quorum 1\nsorry_server 10.1.0.9 80"), Vec::<usize>::new());
    assert_eq!(lost("sorry_server 10.1.0.9 80\nsorry_server_inhibit"), [4]);
    assert_eq!(lost("sorry_server 10.1.0.1 80"), [3]);
    assert_eq!(cluster(&text("sorry_server 10.1.0.1 80")).get("fallback"), None);
}

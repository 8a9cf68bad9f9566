//! Files of nothing but junk are answered in time, whatever the junk is.

use std::time::{Duration, Instant};

use lbd::config::{Source, load};

/// How long each may be, in bytes.
const LENGTH: usize = 256 << 10;

#[test]
fn junk_is_answered_in_time() {
    for (start, pattern) in [
        ("", "["),
        ("", "{"),
        ("", "{a: "),
        ("", "- "),
        ("", "? "),
        ("", "a: "),
        ("", "a:\n"),
        ("", "a: b\n"),
        ("", "&a "),
        ("", "- &a a\n"),
        ("", "!a "),
        ("", "*a "),
        ("", "a"),
        ("", "a "),
        ("", "a\n"),
        ("", "\t"),
        ("", " \n"),
        ("", "#"),
        ("", ":"),
        ("", "\0"),
        ("", "%a\n"),
        ("", "---\n"),
        ("", "é\u{85}\u{2028}"),
        ("[", "1,"),
        ("[", ","),
        ("[", "\"a\":b,"),
        ("{", "a: b, "),
        ("\"", "a"),
        ("\"", "\\n"),
        ("'", "''"),
        ("a: |\n", " x\n"),
        ("a: >\n", " x\n\n"),
        ("version: 1\nclusters:\n", "  - {}\n"),
        ("version: 1\nclusters: []\nsysctls:\n", "  a: b\n"),
        ("version: 1\nclusters: [{name: a, listen: tcp://1.2.3.4:80, servers: [", "1.2.3.4, "),
    ] {
        let text = format!("{start}{}", pattern.repeat(LENGTH / pattern.len()));
        let begin = Instant::now();
        let problems = load(&Source::new("junk.yaml", text)).unwrap_err();
        assert!(problems.text(true).len() < 50_000, "{start}{pattern}");
        // Some hundred times what it takes, for slow machines and builds without optimisation.
        assert!(begin.elapsed() < Duration::from_secs(60), "{start}{pattern}: {:?}", begin.elapsed());
    }
}

// A file of 678 KB, one cluster with 20,000 listeners and 20,000 servers, took `lbd validate` more than 15 GB.
#[test]
fn listeners_times_servers_have_an_end() {
    let listeners = |count: usize| -> String {
        (0..count).map(|number| format!("tcp://10.0.{}.{}:80,", number / 250, number % 250 + 1)).collect()
    };
    let servers = |count: usize| -> String {
        (0..count).map(|number| format!("192.168.{}.{},", number / 250, number % 250 + 1)).collect()
    };
    let file = |listen: usize, serve: usize| {
        let text = format!(
            "version: 1\nclusters: [{{ name: a, forward: nat, listen: [{}], servers: [{}] }}]\n",
            listeners(listen),
            servers(serve)
        );
        load(&Source::new("large.yaml", text))
    };
    let begin = Instant::now();
    let problems = file(20_000, 20_000).unwrap_err();
    let listed: Vec<_> = problems.list.iter().map(|problem| problem.message.as_str()).collect();
    assert_eq!((listed, problems.more), (vec!["the file has more than 1000000 real servers"], 0));
    assert!(begin.elapsed() < Duration::from_secs(60), "{:?}", begin.elapsed());
    assert_eq!(file(1_000, 100).unwrap().state.services.len(), 1_000);
}

#[test]
fn depth_and_aliases_have_an_end() {
    for depth in [63, 64, 65, 127, 128, 129, 1_000, 10_000] {
        for (open, close) in [("[", "]"), ("{a: ", "}"), ("- ", ""), ("? ", "")] {
            let text = format!("{}x{}", open.repeat(depth), close.repeat(depth));
            load(&Source::new("deep.yaml", text)).unwrap_err();
        }
    }
    let mut bomb = String::from("version: 1\nclusters: []\na0: &a0 [x, x, x, x, x, x, x, x, x, x]\n");
    for level in 1..100 {
        let inside = format!("*a{}, ", level - 1).repeat(10);
        bomb.push_str(&format!("a{level}: &a{level} [{inside}]\n"));
    }
    load(&Source::new("bomb.yaml", bomb)).unwrap_err();
}

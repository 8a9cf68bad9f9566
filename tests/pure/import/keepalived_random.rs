//! Whatever a keepalived.conf is, its import ends, and is a valid file.

#![allow(clippy::unwrap_used)]

use lbd::config::{self, Source};
use lbd::import::{Format, NoFiles, Place, import};
use proptest::prelude::*;

/// Words that mean something, and some that do not.
const WORDS: [&str; 72] = [
    "virtual_server",
    "virtual_server_group",
    "real_server",
    "global_defs",
    "vrrp_instance",
    "group",
    "fwmark",
    "{",
    "}",
    "{",
    "}",
    "\n",
    "\n",
    "\n",
    "10.0.0.1",
    "10.0.0.1-3",
    "10.0.0.0/30",
    "fd00::1",
    "80",
    "0",
    "443",
    "lb_algo",
    "lb_kind",
    "lvs_sched",
    "rr",
    "sh",
    "mh",
    "dh",
    "NAT",
    "DR",
    "TUN",
    "type",
    "gue",
    "port",
    "protocol",
    "TCP",
    "UDP",
    "SCTP",
    "weight",
    "persistence_timeout",
    "persistence_granularity",
    "255.255.255.0",
    "24",
    "ops",
    "sh-port",
    "sorry_server",
    "quorum",
    "inhibit_on_failure",
    "uthreshold",
    "lthreshold",
    "TCP_CHECK",
    "HTTP_GET",
    "url",
    "path",
    "/",
    "status_code",
    "MISC_CHECK",
    "misc_path",
    "UDP_CHECK",
    "SMTP_CHECK",
    "host",
    "connect_port",
    "$A=1",
    "$A",
    "${A}",
    "~SEQ(a, 1, 2)",
    "@x",
    "include",
    "\"",
    "!",
    "\\",
    "-1",
];

fn text() -> impl Strategy<Value = String> {
    let word = prop_oneof![8 => prop::sample::select(&WORDS[..]).prop_map(str::to_owned), 1 => "\\PC{0,6}"];
    // Two are one word now and then.
    prop::collection::vec((word, prop::bool::weighted(0.9)), 0..120).prop_map(|words| {
        words
            .iter()
            .map(|(word, is_apart)| if *is_apart { format!("{word} ") } else { word.clone() })
            .collect()
    })
}

proptest! {
    #[test]
    fn any_words_become_a_valid_file(text in text()) {
        let source = Source::new("keepalived.conf", text.as_str());
        let imported = import(&source, Format::Keepalived, &NoFiles).unwrap();
        let lines = text.lines().count();
        for finding in &imported.findings {
            prop_assert!((1..=lines).contains(&finding.line), "{:?}", finding);
            prop_assert_eq!(Some(finding.text.as_str()), text.lines().nth(finding.line - 1));
            let is_placed = match finding.place {
                Place::Head => true,
                Place::Before(cluster) => cluster <= imported.document.clusters.len(),
            };
            prop_assert!(is_placed, "{:?}", finding);
        }
        let yaml = config::render_document(imported.document).yaml().unwrap();
        let loaded = config::load(&Source::new("export", yaml.as_str()));
        prop_assert!(loaded.is_ok(), "{:?}\n{}", loaded, yaml);
    }
}

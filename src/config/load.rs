//! Loads a file: with the fast reader, and where anything is wrong, with the one that explains it.

use super::format::document::Document;
use super::format::extension::Extended;
use super::format::schema;
use super::include;
use super::load_set;
use super::resolve::resolve;
use super::source::Source;
use super::validate::check::Checked;
use super::validate::diagnose::Diagnostics;
use super::validate::problem::Diagnostic;
use super::validate::{foreign, fullwidth, syntax};
use super::yaml::stream;
use super::yaml::tree::Tree;
use crate::model::Desired;

/// The state that a file describes with all that it includes, or everything that is wrong with it.
pub fn load(source: &Source) -> Result<Desired, Diagnostics> {
    if source.is_set() {
        return load_set::load(source);
    }
    // Places cost time and memory, so they are looked for only when there is a problem to show.
    match read_fast(&source.text) {
        Ok(desired) => Ok(desired),
        Err(known) => explain(source, known),
    }
}

/// The same of a file that has to be complete in itself, as each file of a fleet: one that includes others is refused for that alone.
pub fn load_alone(source: &Source) -> Result<Desired, Diagnostics> {
    if include::includes(&source.text).is_empty() {
        return load(source);
    }
    let (line, column, width) =
        include::place(&source.text).map_or((1, 1, 0), |place| (place.line, place.column, place.width));
    let problem = Diagnostic::new(line, column, width, "the file of a fleet includes nothing")
        .expecting("one file with everything in it");
    Err(Diagnostics::new(source, vec![problem], 0))
}

/// Reads a file without places. Its error only shows that something is wrong.
fn read_fast(text: &str) -> Result<Desired, Option<Diagnostic>> {
    if let Some(problem) = syntax::control_character(text) {
        return Err(Some(problem));
    }
    let problem = |message| Diagnostic::new(1, 1, 0, message);
    let (desired, issues) = stream::read::<Extended<Document>>(text)
        .map(|Extended(document)| resolve(document))
        .map_err(|error| (!error.is_unsupported).then(|| problem(error.message)))?;
    match issues.list.into_iter().next() {
        None => Ok(desired),
        Some(issue) => Err(Some(problem(issue.message))),
    }
}

/// Finds all that is wrong with a file, and where. `known` is the problem that the fast reader found, if it did.
fn explain(source: &Source, known: Option<Diagnostic>) -> Result<Desired, Diagnostics> {
    let one = |problem| Diagnostics::new(source, vec![problem], 0);
    if let Some(problem) = foreign::problem(&source.text) {
        return Err(one(problem));
    }
    let tree = Tree::parse(&source.text).map_err(|error| one(syntax::problem(&source.text, &error)))?;
    let mut checked = Checked::new(&tree, schema::schema_value(), false);
    let (value, mut problems) = (checked.value.take(), std::mem::take(&mut checked.problems));
    let document = value.map(serde_json::from_value::<Document>).transpose();
    debug_assert!(document.is_ok(), "the schema let something through: {document:?}");
    let document = document.unwrap_or_else(|error| {
        problems.push(Diagnostic::new(1, 1, 0, error.to_string()));
        None
    });
    let (desired, issues) = document.map(resolve).unwrap_or_default();
    let more = checked.more + issues.more;
    problems.extend(issues.list.into_iter().filter_map(|issue| checked.locate(issue)));
    // What the fast reader refused stays refused, should the two ever disagree.
    if problems.is_empty() {
        problems.extend(known);
    }
    if problems.is_empty() {
        return Ok(desired);
    }
    let mut problems = Diagnostics::new(source, problems, more);
    fullwidth::name(&source.text, &mut problems.list);
    Err(problems)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The parts of a file with everything in it.
    const PARTS: [&str; 9] = [
        "version: 1\n",
        "sysctls: { net.ipv4.ip_forward: 1 }\n",
        "marks: [{ mark: 10, match: [{ protocol: tcp, address: 10.0.0.1, ports: [80] }] }]\n",
        "timeouts: { tcp: 15m }\n",
        "sync: [{ role: master, interface: eth0 }]\n",
        "checks: { web: { type: http, port: 80, headers: { A: b }, status: [200, 300-399] } }\n",
        "defaults: { scheduler: rr, forward: nat, check: web }\n",
        "clusters: [{ name: web, listen: fwmark://10, check: [web, { type: tls, port: 443, verify: { name: a } }], servers: \
         [192.168.8.14, { address: 192.168.8.15, check: none }], fallback: 192.168.8.99 }]\n",
        "policy: { prune: never }\n",
    ];

    #[test]
    fn a_file_of_a_fleet_includes_nothing() {
        let alone =
            |text: &str| load_alone(&Source::new("lb1.yaml", text)).map_err(|problems| problems.to_string());
        assert_eq!(alone(&PARTS.concat()), Ok(read_fast(&PARTS.concat()).unwrap()));
        assert!(alone("version: 1\ninclude: []\nclusters: []\n").is_ok());
        assert_eq!(
            alone("version: 1\nclusters: [{ name: of_a_fragment }]\n\"include\": [clusters/*.yaml]\n"),
            Err("lb1.yaml:3:1: the file of a fleet includes nothing".to_owned())
        );
        let outside = alone("version: 1\ninclude: [/etc/x]\nclusters: []\n").unwrap_err();
        assert!(outside.starts_with("lb1.yaml:2:11: "), "{outside}");
    }

    #[test]
    fn a_list_is_no_mapping_of_a_check_for_both_readers() {
        for text in
            ["checks: { web: [tcp] }", "checks: { web: {}, web: {} }", "checks: { web: { headers: [a] } }"]
        {
            let text = format!("version: 1\nclusters: []\n{text}\n");
            assert!(
                read_fast(&text).is_err() && explain(&Source::new("", text.as_str()), None).is_err(),
                "{text}"
            );
        }
    }

    #[test]
    fn both_readers_agree_on_every_value_of_every_key_of_a_check() {
        const VALUES: [&str; 25] = [
            "~",
            "true",
            "5",
            "-1",
            "1.5",
            "99999999999999999999",
            "''",
            "a",
            "'5'",
            "[]",
            "[a]",
            "[5]",
            "[~]",
            "[[a]]",
            "{}",
            "{ a: b }",
            "{ a: ~ }",
            "{ ca: /a, name: a }",
            "!x a",
            "50%",
            "none",
            "hex:00",
            "/a",
            "5s",
            "192.168.8.99",
        ];
        const KEYS: [&str; 24] = [
            "type",
            "address",
            "port",
            "source",
            "interval",
            "timeout",
            "fast",
            "fall",
            "rise",
            "path",
            "host",
            "method",
            "headers",
            "status",
            "body",
            "verify",
            "certificate",
            "key",
            "send",
            "expect",
            "query",
            "answer",
            "command",
            "weight",
        ];
        let of_type = |key| match key {
            "send" | "expect" => "udp",
            "query" | "answer" => "dns",
            "command" | "weight" => "exec",
            _ => "https",
        };
        let in_check = KEYS.iter().map(|key| format!("check: {{ type: {}, {key}: VALUE }}", of_type(*key)));
        let in_cluster = ["check", "on_failure", "reset_after", "min_serving", "fallback", "slow_start"];
        let in_cluster = in_cluster.iter().map(|key| format!("{key}: VALUE"));
        for keys in in_check.chain(in_cluster) {
            for value in VALUES {
                let keys = keys.replace("VALUE", value);
                let text = format!(
                    "version: 1\nclusters: [{{ name: a, listen: 'tcp://10.0.0.1:80', servers: [192.168.8.14], {keys} }}]\n"
                );
                let explained = explain(&Source::new("", text.as_str()), None);
                assert_eq!(read_fast(&text).ok(), explained.ok(), "{text}");
            }
        }
    }

    #[test]
    fn the_order_of_the_keys_means_nothing() {
        let expected = read_fast(&PARTS.concat()).unwrap();
        for turned in 0..PARTS.len() {
            let mut parts = PARTS;
            parts.rotate_left(turned);
            let text = parts.concat();
            assert_eq!(read_fast(&text).unwrap(), expected, "{text}");
            assert_eq!(explain(&Source::new("", text.as_str()), None).unwrap(), expected, "{text}");
        }
    }

    #[test]
    fn a_key_that_is_missing_duplicate_or_unknown_is_refused_by_both_readers() {
        let messages = |text: &str| {
            assert!(read_fast(text).is_err(), "{text}");
            let problems = load(&Source::new("", text)).unwrap_err();
            problems.list.into_iter().map(|problem| problem.message).collect::<Vec<_>>()
        };
        assert_eq!(messages("version: 1\n"), ["`clusters` is missing"]);
        assert_eq!(messages("clusters: []\n"), ["`version` is missing"]);
        for part in PARTS {
            let key = part.split(':').next().unwrap();
            let text = format!("{part}{}", PARTS.concat());
            let [message] = messages(&text).try_into().unwrap();
            assert_eq!(message, format!("duplicate key `{key}`; first on line 1"), "{text}");
        }
        assert_eq!(messages("version: 1\nclusters: []\nclster: 1\n"), ["unknown key `clster`"]);
        assert_eq!(messages("versoin: 1\nclusters: []\n"), ["unknown key `versoin`"]);
    }

    #[test]
    fn keys_that_begin_with_x_are_ignored_at_the_top_by_both_readers() {
        let expected = read_fast(&PARTS.concat()).unwrap();
        let huge = format!("x-huge: [{}]\n", "[1.5, -9223372036854775809, { a: b, a: ~ }], ".repeat(10_000));
        for ignored in [
            "x-a:\n",
            "x-: text\n",
            "\"x-\\u00fc\": 1.5\n",
            "x-weights: &heavy 100\n",
            "x-a: { [b]: c, d: [[&e e]] }\n",
            "x-a: &a { x: 1 }\nx-b: { <<: *a }\nx-c: [*a, *a]\n",
            "x-a: !mine { b: c }\n",
            huge.as_str(),
        ] {
            for text in [format!("{ignored}{}", PARTS.concat()), format!("{}{ignored}", PARTS.concat())] {
                assert_eq!(load(&Source::new("", text.as_str())).as_ref(), Ok(&expected), "{ignored:.80}");
                assert_eq!(explain(&Source::new("", text), None).as_ref(), Ok(&expected), "{ignored:.80}");
            }
        }
        let anchored = "x-servers: &two [192.168.8.14, 192.168.8.15]\nversion: 1\nclusters:\n  - { name: a, listen: \
                        'tcp://10.0.0.1:80', servers: *two }\n";
        let services = read_fast(anchored).unwrap().state.services;
        assert_eq!(services.values().map(|service| service.servers.len()).collect::<Vec<_>>(), [2]);
    }

    #[test]
    fn keys_that_begin_with_x_are_unknown_inside_and_never_duplicate() {
        let messages = |text: &str| {
            assert!(read_fast(text).is_err(), "{text}");
            let problems = load(&Source::new("", text)).unwrap_err();
            problems.list.into_iter().map(|problem| problem.message).collect::<Vec<_>>()
        };
        let file = |text: &str| format!("version: 1\nclusters: []\n{text}\n");
        assert_eq!(messages(&file("policy: { x-a: 1 }")), ["unknown key `x-a`"]);
        assert_eq!(messages(&file("x: 1")), ["unknown key `x`"]);
        assert_eq!(messages(&file("X-a: 1")), ["unknown key `X-a`"]);
        assert_eq!(messages(&file("x-a: 1\nx-a: 2")), ["duplicate key `x-a`; first on line 3"]);
        let deep = file(&format!("x-a: {}{}", "[".repeat(64), "]".repeat(64)));
        assert_eq!(messages(&deep), ["lists and mappings are nested more than 64 deep"]);
        assert_eq!(messages(&file("x-a: [*none]")), ["this alias has no anchor"]);
    }
}

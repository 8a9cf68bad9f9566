//! Resolves a DNS question and the answer that is expected.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use super::words::{self, Place};
use crate::config::format::document::CheckEntry;
use crate::config::format::issue::{Issue, Issues};
use crate::config::format::nearest::nearest;
use crate::model::{Dns, RecordType};

/// The types of records by their names in a query.
const TYPES: [(&str, RecordType); 6] = [
    ("A", RecordType::A),
    ("AAAA", RecordType::Aaaa),
    ("CNAME", RecordType::Cname),
    ("NS", RecordType::Ns),
    ("SOA", RecordType::Soa),
    ("TXT", RecordType::Txt),
];

/// The root of all names.
const ROOT: &str = ".";

/// The question of a check, and the answer that is expected.
pub(super) fn dns(entry: &CheckEntry, place: Place<'_>, issues: &mut Issues) -> Dns {
    let query = words::text(entry.query.as_ref(), || place.at("query"), issues);
    let answer = words::text(entry.answer.as_ref(), || place.at("answer"), issues);
    let Some(query) = query else {
        if entry.query.is_none() && entry.answer.is_some() {
            issues.push(
                Issue::new(place.at("answer"), "an `answer` is expected, and there is no `query`")
                    .at_key()
                    .expected("`query` with a name, such as `www.example.com`")
                    .involving(place.at("query")),
            );
        }
        return Dns { name: ROOT.into(), record: RecordType::Soa, answer: None };
    };
    let mut parts = query.split_ascii_whitespace();
    let (name, word) = (parts.next().unwrap_or_default(), parts.next());
    let has_more = parts.next().is_some();
    if has_more || !is_name(name) {
        issues.push(
            Issue::new(place.at("query"), format!("`{query}` is not a name, or a name and a type"))
                .expected("`NAME` or `NAME TYPE`, such as `www.example.com` or `example.com SOA`"),
        );
    }
    let record = match word.filter(|_| !has_more) {
        Some(word) => record(word, place, issues),
        None => match answer.as_ref().and_then(|answer| answer.parse().ok()) {
            Some(IpAddr::V6(_)) => RecordType::Aaaa,
            Some(IpAddr::V4(_)) | None => RecordType::A,
        },
    };
    if let Some(answer) = &answer {
        check_answer(record, answer, place, issues);
    }
    Dns { name: plain(name), record, answer: answer.map(|answer| same(record, answer)) }
}

fn record(word: &str, place: Place<'_>, issues: &mut Issues) -> RecordType {
    if let Some((_, record)) = TYPES.iter().find(|(name, _)| name.eq_ignore_ascii_case(word)) {
        return *record;
    }
    let names = TYPES.map(|(name, _)| name);
    issues.push(
        Issue::new(place.at("query"), format!("unknown record type `{word}`"))
            .expected(format!("one of {}", names.join(", ")))
            .suggest(nearest(word, names)),
    );
    RecordType::A
}

fn check_answer(record: RecordType, answer: &str, place: Place<'_>, issues: &mut Issues) {
    let (is_right, expected) = match record {
        RecordType::A => (answer.parse::<Ipv4Addr>().is_ok(), "an IPv4 address for a record of type A"),
        RecordType::Aaaa => (answer.parse::<Ipv6Addr>().is_ok(), "an IPv6 address for a record of type AAAA"),
        RecordType::Cname | RecordType::Ns | RecordType::Soa => {
            (is_name(answer), "a name; for a record of type SOA, that of its first name server")
        }
        RecordType::Txt => (true, ""),
    };
    if !is_right {
        issues.push(
            Issue::new(place.at("answer"), format!("no such record can be `{answer}`"))
                .expected(expected)
                .involving(place.at("query")),
        );
    }
}

/// Whether a text is a name of DNS; the root is `.`.
fn is_name(text: &str) -> bool {
    text == ROOT || words::is_host_name(text.strip_suffix('.').unwrap_or(text))
}

/// A name without the dot at its end; the root stays as it is.
fn plain(name: &str) -> String {
    match name.strip_suffix('.') {
        Some(rest) if !rest.is_empty() => rest.to_owned(),
        _ => name.to_owned(),
    }
}

/// An answer as the values of records are written: addresses in their shortest form, names without the dot at their end.
fn same(record: RecordType, answer: String) -> String {
    match record {
        RecordType::A | RecordType::Aaaa => {
            answer.parse::<IpAddr>().map_or(answer, |address| address.to_string())
        }
        RecordType::Cname | RecordType::Ns | RecordType::Soa => plain(&answer),
        RecordType::Txt => answer,
    }
}

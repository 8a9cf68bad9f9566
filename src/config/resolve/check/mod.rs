//! Resolves the definition of a health check: its type, its times, and what it sends and expects.

mod dns;
mod exchange;
mod exec;
mod http;
mod times;
mod tls;
mod words;

use std::net::IpAddr;

use compact_str::CompactString;

use self::words::Place;
use super::address;
use crate::config::format::document::{CheckEntry, Choice, Ip};
use crate::config::format::issue::{Issue, Issues};
use crate::config::format::path::KeyPath;
use crate::model::{Check, CheckKind, CheckType};

/// The types of checks that have a key; those that are not listed, all have.
const KEYS: [(&str, &[CheckType]); 17] = {
    use CheckType::{Dns, Exec, Http, Https, Ping, Tcp, Tls, Udp};
    [
        ("port", &[Tcp, Tls, Http, Https, Dns, Udp, Exec]),
        ("source", &[Tcp, Tls, Http, Https, Dns, Udp, Ping]),
        ("path", &[Http, Https]),
        ("host", &[Http, Https, Tls]),
        ("method", &[Http, Https]),
        ("headers", &[Http, Https]),
        ("status", &[Http, Https]),
        ("body", &[Http, Https]),
        ("verify", &[Https, Tls]),
        ("certificate", &[Https, Tls]),
        ("key", &[Https, Tls]),
        ("send", &[Tcp, Tls, Udp]),
        ("expect", &[Tcp, Tls, Udp]),
        ("query", &[Dns]),
        ("answer", &[Dns]),
        ("command", &[Exec]),
        ("weight", &[Exec]),
    ]
};

/// The check that an entry defines. Its name is the one under `checks`; where it has none, its type.
pub(super) fn check(
    entry: &CheckEntry,
    name: Option<&str>,
    here: impl Fn() -> KeyPath,
    issues: &mut Issues,
) -> Check {
    let place = Place { here: &here };
    let kind = entry.kind.map_or(CheckType::Tcp, |Choice(kind)| kind);
    misplaced(entry, kind, place, issues);
    Check {
        name: CompactString::from(name.unwrap_or(kind.as_str())),
        address: ip(entry.address.as_ref(), "address", place, issues),
        port: entry.port.and_then(|port| u16::try_from(port.get()).ok()),
        source: ip(entry.source.as_ref(), "source", place, issues),
        timing: times::timing(entry, place, issues),
        kind: match kind {
            CheckType::Tcp => CheckKind::Tcp(exchange::exchange(entry, place, issues)),
            CheckType::Tls => {
                CheckKind::Tls(tls::tls(entry, place, issues), exchange::exchange(entry, place, issues))
            }
            CheckType::Http => CheckKind::Http(http::http(entry, place, issues)),
            CheckType::Https => {
                CheckKind::Https(http::http(entry, place, issues), tls::tls(entry, place, issues))
            }
            CheckType::Dns => CheckKind::Dns(dns::dns(entry, place, issues)),
            CheckType::Udp => CheckKind::Udp(exchange::exchange(entry, place, issues)),
            CheckType::Ping => CheckKind::Ping,
            CheckType::Exec => CheckKind::Exec(exec::exec(entry, place, issues)),
        },
    }
}

/// Reports the keys that the type of the check does not have.
fn misplaced(entry: &CheckEntry, kind: CheckType, place: Place<'_>, issues: &mut Issues) {
    let CheckEntry {
        kind: _,
        address: _,
        port,
        source,
        interval: _,
        timeout: _,
        fast: _,
        fall: _,
        rise: _,
        path,
        host,
        method,
        headers,
        status,
        body,
        verify,
        certificate,
        key,
        send,
        expect,
        query,
        answer,
        command,
        weight,
    } = entry;
    let written = [
        ("port", port.is_some()),
        ("source", source.is_some()),
        ("path", path.is_some()),
        ("host", host.is_some()),
        ("method", method.is_some()),
        ("headers", !headers.is_empty()),
        ("status", status.is_some()),
        ("body", body.is_some()),
        ("verify", verify.is_some()),
        ("certificate", certificate.is_some()),
        ("key", key.is_some()),
        ("send", send.is_some()),
        ("expect", expect.is_some()),
        ("query", query.is_some()),
        ("answer", answer.is_some()),
        ("command", command.is_some()),
        ("weight", weight.is_some()),
    ];
    for (key, _) in written.into_iter().filter(|(_, is_written)| *is_written) {
        let types = KEYS.iter().find(|(name, _)| *name == key).map_or(&[][..], |(_, types)| types);
        if types.contains(&kind) {
            continue;
        }
        let types: Vec<String> = types.iter().map(ToString::to_string).collect();
        issues.push(
            Issue::new(place.at(key), format!("a check of type `{kind}` has no `{key}`"))
                .at_key()
                .expected(format!("a check of type {}, or no `{key}`", words::or(&types)))
                .involving(place.at("type")),
        );
    }
}

/// An address that can be probed, or probed from.
fn ip(text: Option<&Ip>, key: &'static str, place: Place<'_>, issues: &mut Issues) -> Option<IpAddr> {
    let text = text?.as_str();
    let issue = match text.parse::<IpAddr>() {
        Err(_) => Issue::new(place.at(key), format!("`{text}` is not an IP address"))
            .expected("an IP address without a port: 192.168.8.14 or fd00::14"),
        Ok(address) => match address::unusable(address) {
            None => return Some(address),
            Some(why) => Issue::new(place.at(key), format!("{address} {why}"))
                .expected("one address of a host")
                .suggest(address::instead(address).map(|instead| instead.to_string())),
        },
    };
    issues.push(issue);
    None
}

//! Resolves how a server and the checker prove over TLS who they are.

use super::http;
use super::words::{self, Place};
use crate::config::format::document::{CheckEntry, Choice, VerifyEntry, VerifyFile};
use crate::config::format::issue::{Issue, Issues};
use crate::config::format::nearest::nearest;
use crate::model::{CheckType, Identity, Tls, Verify};

/// How the certificates of a check are verified.
pub(super) fn tls(entry: &CheckEntry, place: Place<'_>, issues: &mut Issues) -> Tls {
    let (verify, name) = match &entry.verify {
        None => (Verify::System, None),
        Some(VerifyEntry::Word(word)) => (by_word(word, place, issues), None),
        Some(VerifyEntry::By(by)) => by_file(by, place, issues),
    };
    if verify != Verify::None && name.is_none() && entry.host.is_none() {
        let key = if entry.verify.is_some() { "verify" } else { "type" };
        issues.push(
            Issue::new(
                place.at(key),
                "a certificate is verified for a name, and this check has none",
            )
            .expected("`host: NAME`, `verify: { name: NAME }`, `verify: { ca: FILE, name: NAME }`, or `verify: none` for any certificate")
            .involving(place.at("host"))
            .involving(place.at("verify"))
            .involving(place.at("verify").then("name"))
            .involving(place.at("type")),
        );
    }
    // A request has a `host` of its own, which is the name where there is no other.
    let host = match entry.kind {
        Some(Choice(CheckType::Tls)) => http::host(entry, place, issues),
        _ => None,
    };
    Tls { verify, name: name.or(host), identity: identity(entry, place, issues) }
}

fn by_word(word: &str, place: Place<'_>, issues: &mut Issues) -> Verify {
    match word {
        "system" => Verify::System,
        "none" => Verify::None,
        _ => {
            issues.push(
                Issue::new(place.at("verify"), format!("`{word}` is no way to verify a certificate"))
                    .expected("`system`, `none` or `{ ca: FILE, name: NAME }`")
                    .suggest(nearest(word, ["system", "none"])),
            );
            Verify::None
        }
    }
}

fn by_file(by: &VerifyFile, place: Place<'_>, issues: &mut Issues) -> (Verify, Option<String>) {
    let here = || place.at("verify");
    let VerifyFile { ca, name } = by;
    if ca.is_none() && name.is_none() {
        issues.push(
            Issue::new(here(), "neither `ca` nor `name` is given")
                .expected("`system`, `none` or `{ ca: FILE, name: NAME }`"),
        );
    }
    let authority = words::path(ca.as_ref(), || here().then("ca"), issues);
    let name = words::text(name.as_ref(), || here().then("name"), issues);
    if let Some(name) = name.as_ref().filter(|name| !http::is_host(name)) {
        issues.push(
            Issue::new(here().then("name"), format!("`{name}` is not the name of a host"))
                .expected("a name or an IP address, such as www.example.com"),
        );
    }
    (authority.map_or(Verify::System, Verify::Authority), name)
}

fn identity(entry: &CheckEntry, place: Place<'_>, issues: &mut Issues) -> Option<Identity> {
    for (key, other, is_alone) in [
        ("certificate", "key", entry.certificate.is_some() && entry.key.is_none()),
        ("key", "certificate", entry.key.is_some() && entry.certificate.is_none()),
    ] {
        if is_alone {
            issues.push(
                Issue::new(place.at(key), format!("`{key}` has no effect without `{other}`"))
                    .at_key()
                    .expected(format!("`{other}` with the path of a file, too"))
                    .involving(place.at(other)),
            );
        }
    }
    let certificate = words::path(entry.certificate.as_ref(), || place.at("certificate"), issues);
    let key = words::path(entry.key.as_ref(), || place.at("key"), issues);
    certificate.zip(key).map(|(certificate, key)| Identity { certificate, key })
}

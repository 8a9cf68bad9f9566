//! Resolves how a server and the checker prove over TLS who they are.

use rustls::pki_types::ServerName;

use super::words::{self, Place};
use crate::config::format::document::{CheckEntry, Choice, VerifyEntry, VerifyFile};
use crate::config::format::issue::{Issue, Issues};
use crate::config::format::nearest::nearest;
use crate::config::format::path::KeyPath;
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
    Tls {
        verify,
        name: name.or_else(|| of_host(entry, place, issues)),
        identity: identity(entry, place, issues),
    }
}

/// The name that `host` gives a check without a request; one with a request has its `host` for both.
fn of_host(entry: &CheckEntry, place: Place<'_>, issues: &mut Issues) -> Option<String> {
    let is_tls = matches!(entry.kind, Some(Choice(CheckType::Tls)));
    // What is wrong with the `host` of a request is reported there.
    let mut reported = Issues::default();
    let host = words::host(entry.host.as_ref(), place, if is_tls { issues } else { &mut reported })?;
    if !is_certified(&host.name) {
        issues.push(no_name(&host.name, place.at("host")));
    }
    is_tls.then_some(host.name)
}

/// Whether a certificate can be for a name.
fn is_certified(name: &str) -> bool {
    ServerName::try_from(name).is_ok()
}

fn no_name(name: &str, place: KeyPath) -> Issue {
    Issue::new(place, format!("no certificate can be for `{name}`"))
        .expected("the name of a host, or an IP address, such as www.example.com")
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
    if let Some(name) = name.as_ref().filter(|name| !is_certified(name)) {
        issues.push(no_name(name, here().then("name")));
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

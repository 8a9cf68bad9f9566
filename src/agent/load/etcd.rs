//! Resolves how the etcd of a fleet is reached.

use super::address::is_host;
use super::paths::absolute;
use crate::agent::format::{EndpointText, EtcdEntry, TlsEntry};
use crate::agent::settings::{ClientCertificate, EtcdSettings, TlsSettings};
use crate::config::other::{Issue, Issues, KeyPath};

/// What is right of an endpoint.
const ENDPOINT: &str = "`https://HOST:PORT`, or `http://HOST:PORT` without `tls`";
/// The longest prefix, in bytes.
const LONGEST: usize = 256;

/// How the etcd is reached; `here` is the path of the entry.
pub(super) fn resolve(entry: EtcdEntry, here: &KeyPath, issues: &mut Issues) -> EtcdSettings {
    let EtcdEntry { endpoints, prefix, tls } = entry;
    if endpoints.is_empty() {
        issues.push(Issue::new(here.then("endpoints"), "there is no endpoint").expected("one at least"));
    }
    for (index, endpoint) in endpoints.iter().enumerate() {
        let at = |index: usize| here.then("endpoints").then(index);
        check_endpoint(endpoint, tls.is_some(), at(index), here, issues);
        if let Some(first) = endpoints.iter().take(index).position(|other| other == endpoint) {
            issues.push(
                Issue::new(at(index), format!("`{}` is there twice", endpoint.as_str())).first(at(first)),
            );
        }
    }
    check_prefix(prefix.as_str(), here.then("prefix"), issues);
    EtcdSettings {
        endpoints: endpoints.into_iter().map(|endpoint| endpoint.as_str().to_owned()).collect(),
        prefix: prefix.as_str().to_owned(),
        tls: tls.map(|tls| resolve_tls(tls, &here.then("tls"), issues)),
    }
}

fn check_endpoint(endpoint: &EndpointText, has_tls: bool, at: KeyPath, here: &KeyPath, issues: &mut Issues) {
    let text = endpoint.as_str();
    let (is_encrypted, host) = match (text.strip_prefix("https://"), text.strip_prefix("http://")) {
        (Some(host), _) => (true, host),
        (None, Some(host)) => (false, host),
        (None, None) => {
            let suggestion = (is_host(text) && has_port(text))
                .then(|| format!("{}{text}", if has_tls { "https://" } else { "http://" }));
            let message = format!("`{text}` is not the address of a member of etcd");
            issues.push(Issue::new(at, message).expected(ENDPOINT).suggest(suggestion));
            return;
        }
    };
    let host = host.strip_suffix('/').unwrap_or(host);
    if !is_host(host) || !has_port(host) {
        let message = format!("`{text}` is not the address of a member of etcd");
        issues.push(Issue::new(at, message).expected(ENDPOINT));
    } else if is_encrypted && !has_tls {
        issues.push(
            Issue::new(at, "`https://` needs `tls`")
                .expected("`tls: { ca: FILE }` beside the endpoints")
                .involving(here.then("tls")),
        );
    } else if !is_encrypted && has_tls {
        issues.push(
            Issue::new(at, "`http://` is not encrypted, and there is `tls`")
                .expected("`https://`")
                .suggest(Some(format!("https://{host}")))
                .involving(here.then("tls")),
        );
    }
}

/// Whether a host has a port behind it.
fn has_port(host: &str) -> bool {
    host.rsplit_once(':').is_some_and(|(_, port)| !port.ends_with(']'))
}

fn check_prefix(prefix: &str, here: KeyPath, issues: &mut Issues) {
    let wrong = match prefix.strip_prefix('/') {
        None => "does not begin with `/`",
        Some("") => "is empty",
        Some(rest) if rest.ends_with('/') => "ends with `/`",
        Some(rest) if rest.split('/').any(str::is_empty) => "has an empty part",
        Some(rest) if rest.contains(|letter: char| letter.is_control() || letter.is_whitespace()) => {
            "has a space or a control character"
        }
        Some(rest) if rest.len() >= LONGEST => "is too long",
        Some(_) => return,
    };
    let right =
        format!("/{}", prefix.split('/').filter(|part| !part.is_empty()).collect::<Vec<_>>().join("/"));
    let suggestion = (right.len() > 1 && !right.contains(char::is_whitespace)).then_some(right);
    issues.push(
        Issue::new(here, format!("the prefix {wrong}"))
            .expected("a path without a slash at its end, such as `/lbd/prod`")
            .suggest(suggestion),
    );
}

fn resolve_tls(entry: TlsEntry, here: &KeyPath, issues: &mut Issues) -> TlsSettings {
    let TlsEntry { ca, certificate, key } = entry;
    let ca = absolute(ca.as_str(), here.then("ca"), issues);
    let certificate = certificate.map(|path| absolute(path.as_str(), here.then("certificate"), issues));
    let key = key.map(|path| absolute(path.as_str(), here.then("key"), issues));
    let client = match (certificate, key) {
        (Some(certificate), Some(key)) => Some(ClientCertificate { certificate, key }),
        (Some(_), None) => {
            issues.push(
                Issue::new(here.then("certificate"), "a certificate needs its key")
                    .expected("`key` beside it")
                    .involving(here.then("key")),
            );
            None
        }
        (None, Some(_)) => {
            issues.push(
                Issue::new(here.then("key"), "a key needs its certificate")
                    .expected("`certificate` beside it")
                    .involving(here.then("certificate")),
            );
            None
        }
        (None, None) => None,
    };
    TlsSettings { ca, client }
}

//! Resolves a `listen` URL, and finds what was meant where it is none.

use std::net::{IpAddr, SocketAddr};

use super::{address, value};
use crate::config::format::document::Listener;
use crate::config::format::issue::{Issue, Issues};
use crate::config::format::nearest::nearest;
use crate::config::format::path::{KeyPath, key_path};
use crate::model::{KeyError, ServiceKey};

/// What is right of a URL.
const URLS: &str = "tcp://ADDRESS:PORT, udp://…, sctp://…, fwmark://N or fwmark6://N";
/// What is right behind a protocol.
const ADDRESS_PORT: &str = "ADDRESS:PORT, an IPv6 address in brackets: 10.0.0.13:80 or [fd00::13]:80";

/// The virtual service that listens on a URL.
pub(super) fn service(url: &Listener, here: impl Fn() -> KeyPath, issues: &mut Issues) -> Option<ServiceKey> {
    let text = url.as_str();
    let scheme = text.split(':').next().unwrap_or_default();
    let issue = match text.parse::<ServiceKey>() {
        Ok(service) => match service {
            ServiceKey::Address { address, .. } => match address::unusable(address) {
                None => return Some(service),
                Some(why) => Issue::new(here(), format!("{address} {why}"))
                    .expected("the one address that clients connect to")
                    .suggest(address::instead(address).map(|instead| text_with(&service, instead))),
            },
            ServiceKey::FirewallMark { .. } => return Some(service),
        },
        Err(KeyError::NoScheme) => {
            let socket = text.parse::<SocketAddr>().is_ok();
            Issue::new(here(), format!("`{text}` has no protocol"))
                .expected(URLS)
                .suggest(socket.then(|| format!("tcp://{text}")).or_else(|| with_slashes(text)))
        }
        Err(KeyError::UnknownScheme(word)) => Issue::new(here(), format!("unknown protocol `{word}`"))
            .expected(URLS)
            .suggest(nearest(&word, ServiceKey::schemes()).map(|scheme| with_scheme(text, scheme))),
        Err(KeyError::NoPort(rest)) => Issue::new(here(), format!("`{rest}` has no port"))
            .expected(ADDRESS_PORT)
            .suggest(address::with_brackets(&rest).map(|socket| format!("{scheme}://{socket}"))),
        Err(KeyError::NotAddressPort(rest)) => range(scheme, &rest, here()).unwrap_or_else(|| {
            let error = address::server(&rest).err();
            let suggestion = error.as_ref().and_then(|error| address::with_number(&rest, error));
            let message = error.map(|error| error.to_string());
            Issue::new(here(), message.unwrap_or_else(|| format!("`{rest}` is not an IP address and port")))
                .expected(ADDRESS_PORT)
                .suggest(suggestion.map(|socket| format!("{scheme}://{socket}")))
        }),
        Err(KeyError::NotMark(rest)) => {
            let message = match rest.trim_start_matches("0x").trim_start_matches('0') {
                "" if !rest.is_empty() => "mark 0 means a packet without a mark".into(),
                _ => format!("`{rest}` is not a firewall mark"),
            };
            Issue::new(here(), message).expected(value::mark_number())
        }
    };
    issues.push(issue);
    None
}

fn text_with(service: &ServiceKey, address: IpAddr) -> String {
    match *service {
        ServiceKey::Address { protocol, port, .. } => {
            ServiceKey::Address { protocol, address, port }.to_string()
        }
        ServiceKey::FirewallMark { .. } => service.to_string(),
    }
}

/// The URL with another scheme; the scheme alone where that is no URL either.
fn with_scheme(text: &str, scheme: &str) -> String {
    let url = text.split_once("://").map(|(_, rest)| format!("{scheme}://{rest}"));
    url.filter(|url| url.parse::<ServiceKey>().is_ok()).unwrap_or_else(|| scheme.to_owned())
}

/// `fwmark:10` with what is missing.
fn with_slashes(text: &str) -> Option<String> {
    let (scheme, rest) = text.split_once([':', '/', ' '])?;
    let url = format!("{scheme}://{}", rest.trim_start_matches(['/', ' ']));
    url.parse::<ServiceKey>().is_ok().then_some(url)
}

/// The issue of a port that is a range: a virtual service has one port, and a mark as many as there are.
fn range(scheme: &str, rest: &str, here: KeyPath) -> Option<Issue> {
    let (host, ports) = rest.rsplit_once(':')?;
    let bare = host.trim_start_matches('[').trim_end_matches(']');
    let address: IpAddr = bare.parse().ok()?;
    let (first, last) = ports.split_once('-')?;
    let (first, last): (u16, u16) = (first.parse().ok()?, last.parse().ok()?);
    if first > last {
        return None;
    }
    let (marks, shown) = match address {
        IpAddr::V4(v4) => ("fwmark", v4.to_string()),
        // A plain word with a colon at its beginning or end would be no text.
        IpAddr::V6(v6) => ("fwmark6", format!("\"{v6}\"")),
    };
    let issue =
        Issue::new(here, format!("`{ports}` is a range of ports, and a virtual service has one port"));
    Some(issue.expected(format!(
        "one port, a list of listeners, or a mark for all of them: `marks: [{{ mark: 1, match: [{{ protocol: {scheme}, \
         address: {shown}, ports: [{ports}] }}] }}]` and `listen: {marks}://1`"
    )))
}
/// The place of a listener: its cluster, and its entry in the list, if it is a list.
#[derive(Clone, Copy)]
pub(super) struct ListenerPlace {
    pub(super) cluster: usize,
    pub(super) entry: Option<usize>,
}

impl ListenerPlace {
    pub(super) fn whole(self) -> KeyPath {
        let here = key_path!["clusters", self.cluster, "listen"];
        self.entry.map_or_else(|| here.clone(), |entry| here.then(entry))
    }
}

//! Probes one server once, by one of the types of checks; one file each.

mod answer;
mod dns;
mod exec;
mod http;
mod ping;
mod socket;
mod tcp;
#[cfg(test)]
mod tests;
mod tls;
mod tls_files;
mod udp;

use std::time::Duration;

use compact_str::{CompactString, format_compact};
use tokio::time::{Instant, timeout};

use self::dns::DnsCheck;
use self::exec::ExecCheck;
use self::http::HttpCheck;
use self::ping::Ping;
use self::tcp::Tcp;
use self::tls::TlsCheck;
use self::udp::Udp;
use crate::health::{Endpoint, Outcome, ProbedCheck};
use crate::model::CheckKind;

/// The longest text of an outcome, in characters.
const LONGEST_TEXT: usize = 120;
/// How long before the end of the time a datagram is no longer waited for.
const MARGIN: u32 = 10;

/// What a probe has shown, and when.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Probed {
    /// What it has shown
    pub outcome: Outcome,
    /// When it began
    pub began: Instant,
    /// How long it took
    pub took: Duration,
}

/// A check that is ready to probe: what can be built once for all targets is built.
#[derive(Debug)]
pub struct Prober {
    timeout: Duration,
    kind: Kind,
}

/// What each type has ready.
#[derive(Debug)]
enum Kind {
    Tcp(Tcp),
    Tls(Box<TlsCheck>),
    Http(Box<HttpCheck>),
    Dns(DnsCheck),
    Udp(Udp),
    Ping(Ping),
    Exec(ExecCheck),
    /// It cannot be made ready, and why
    Invalid(CompactString),
}

impl Prober {
    /// Makes a check ready. What is wrong with it is the outcome of each probe then.
    pub fn new(check: &ProbedCheck) -> Self {
        let source = check.source;
        let http = |http, tls| {
            let check = HttpCheck::new(http, tls, source);
            check.map_or_else(Kind::Invalid, |check| Kind::Http(Box::new(check)))
        };
        let kind = match &check.kind {
            CheckKind::Tcp(exchange) => Kind::Tcp(Tcp::new(exchange, source)),
            CheckKind::Tls(tls, exchange) => Kind::Tls(Box::new(TlsCheck::new(tls, exchange, source))),
            CheckKind::Http(request) => http(request, None),
            CheckKind::Https(request, tls) => http(request, Some(tls)),
            CheckKind::Dns(dns) => DnsCheck::new(dns, source).map_or_else(Kind::Invalid, Kind::Dns),
            CheckKind::Udp(exchange) => Kind::Udp(Udp::new(exchange, source)),
            CheckKind::Ping => Kind::Ping(Ping::new(source)),
            CheckKind::Exec(exec) => Kind::Exec(ExecCheck::new(exec, check.cluster.as_ref())),
        };
        Self { timeout: check.timing.timeout, kind }
    }

    /// Probes a target; never takes longer than the time-out of the check, but programs may have to wait until there are fewer.
    pub async fn probe(&self, target: Endpoint) -> Probed {
        let _turn = match &self.kind {
            Kind::Exec(_) => ExecCheck::turn().await,
            Kind::Tcp(_)
            | Kind::Tls(_)
            | Kind::Http(_)
            | Kind::Dns(_)
            | Kind::Udp(_)
            | Kind::Ping(_)
            | Kind::Invalid(_) => None,
        };
        let began = Instant::now();
        let outcome = match timeout(self.timeout, self.outcome(target)).await {
            Ok(outcome) => outcome,
            Err(_) => Outcome::Failed(format_compact!("no answer within {}", shown(self.timeout))),
        };
        Probed { outcome: shortened(outcome), began, took: began.elapsed() }
    }

    async fn outcome(&self, target: Endpoint) -> Outcome {
        let result = match &self.kind {
            Kind::Tcp(tcp) => tcp.probe(target).await,
            Kind::Tls(tls) => tls.probe(target).await,
            Kind::Http(http) => http.probe(target).await,
            Kind::Dns(dns) => dns.probe(target).await,
            Kind::Udp(udp) => udp.probe(target, self.timeout - self.timeout / MARGIN).await,
            Kind::Ping(ping) => ping.probe(target).await,
            Kind::Exec(exec) => exec.probe(target).await,
            Kind::Invalid(text) => Err(Outcome::Own(text.clone())),
        };
        result.unwrap_or_else(|outcome| outcome)
    }
}

/// An outcome with a short text: others have to read it, and it may contain what the server sent.
fn shortened(outcome: Outcome) -> Outcome {
    let short = |text: CompactString| match text.char_indices().nth(LONGEST_TEXT) {
        Some(_) => text.chars().take(LONGEST_TEXT - 1).chain(['…']).collect(),
        None => text,
    };
    match outcome {
        Outcome::Failed(text) => Outcome::Failed(short(text)),
        Outcome::Own(text) => Outcome::Own(short(text)),
        outcome @ (Outcome::Passed { .. } | Outcome::Lagged) => outcome,
    }
}

/// A time as people write it: `2 s`, `200 ms`.
fn shown(time: Duration) -> String {
    match time.as_millis() {
        whole if whole % 1_000 == 0 => format!("{} s", whole / 1_000),
        rest => format!("{rest} ms"),
    }
}

//! Probes by a TLS handshake, in which the server proves who it is, and by what is said over the connection.

use std::io;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::{Duration, UNIX_EPOCH};

use compact_str::{CompactString, format_compact};
use rustls::client::verify_server_cert_signed_by_trust_anchor;
use rustls::crypto::ring;
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::server::ParsedCertificate;
use rustls::{CertificateError, ClientConfig, RootCertStore};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

use super::answer::Conversation;
use super::socket::{connect, failure};
use super::tls_files::TlsFiles;
use crate::health::{Endpoint, Outcome};
use crate::model::{Exchange, Tls};
use crate::status::Timestamp;

/// A certificate that ends within this time is a warning.
const SOON: Duration = Duration::from_secs(7 * 24 * 3600);

/// The client's side of TLS, for all targets of a check.
#[derive(Debug)]
pub(super) struct TlsClient {
    files: TlsFiles,
    /// The name that the certificate has to be for; `None`: the address
    name: Option<String>,
}

impl TlsClient {
    /// `host` is that of a request, `protocol` what is offered by ALPN.
    pub(super) fn new(tls: &Tls, host: Option<&str>, protocol: Option<&str>) -> Self {
        let name = tls.name.as_deref().or_else(|| host.map(without_port));
        Self { files: TlsFiles::new(tls, protocol), name: name.map(str::to_owned) }
    }

    /// A connection whose server has proven who it is, and a warning where its certificate ends soon.
    pub(super) async fn connect(
        &self,
        target: Endpoint,
        source: Option<IpAddr>,
    ) -> Result<(TlsStream<TcpStream>, Option<CompactString>), Outcome> {
        let config: Arc<ClientConfig> = self.files.config().map_err(Outcome::Own)?;
        let name = match &self.name {
            Some(name) => ServerName::try_from(name.clone()).map_err(|_| {
                Outcome::Own(format_compact!("{name}: not a name that a certificate can be for"))
            })?,
            None => ServerName::IpAddress(target.ip().into()),
        };
        let stream = connect(target, source).await?;
        let stream =
            TlsConnector::from(config).connect(name, stream).await.map_err(|error| tls_failure(&error))?;
        let certificate = stream.get_ref().1.peer_certificates().and_then(<[_]>::first);
        let warning = certificate
            .and_then(ends_soon)
            .map(|end| format_compact!("{target}: the certificate ends at {end}"));
        Ok((stream, warning))
    }
}

/// `www.example.com:8443` without the port; a bare IPv6 address as it is.
fn without_port(host: &str) -> &str {
    if let Some((address, _)) = host.strip_prefix('[').and_then(|rest| rest.split_once(']')) {
        return address;
    }
    match host.split_once(':') {
        Some((name, port)) if !port.contains(':') => name,
        _ => host,
    }
}

/// A check of type `tls`.
#[derive(Debug)]
pub(super) struct TlsCheck {
    source: Option<IpAddr>,
    client: TlsClient,
    conversation: Conversation,
}

impl TlsCheck {
    pub(super) fn new(tls: &Tls, exchange: &Exchange, source: Option<IpAddr>) -> Self {
        Self { source, client: TlsClient::new(tls, None, None), conversation: Conversation::new(exchange) }
    }

    pub(super) async fn probe(&self, target: Endpoint) -> Result<Outcome, Outcome> {
        let (mut stream, warning) = self.client.connect(target, self.source).await?;
        let outcome = self.conversation.over(&mut stream).await?;
        Ok(with_warning(outcome, warning))
    }
}

/// An outcome with a warning, which only a success has.
pub(super) fn with_warning(outcome: Outcome, warning: Option<CompactString>) -> Outcome {
    match outcome {
        Outcome::Passed { weight, .. } => Outcome::Passed { weight, warning },
        other @ (Outcome::Failed(_) | Outcome::Own(_) | Outcome::Lagged) => other,
    }
}

/// What an error of a connection with TLS says.
pub(super) fn tls_failure(error: &io::Error) -> Outcome {
    match error.get_ref().and_then(|inner| inner.downcast_ref::<rustls::Error>()) {
        Some(error) => Outcome::Failed(tls_text(error)),
        None => failure(error),
    }
}

fn tls_text(error: &rustls::Error) -> CompactString {
    match error {
        rustls::Error::InvalidCertificate(error) => {
            let why: CompactString = match error {
                CertificateError::Expired | CertificateError::ExpiredContext { .. } => {
                    "it has expired".into()
                }
                CertificateError::NotValidYet | CertificateError::NotValidYetContext { .. } => {
                    "it is not valid yet".into()
                }
                CertificateError::UnknownIssuer | CertificateError::BadSignature => {
                    "no known authority has signed it".into()
                }
                CertificateError::NotValidForName | CertificateError::NotValidForNameContext { .. } => {
                    "it is for another name".into()
                }
                other => format_compact!("{other}"),
            };
            format_compact!("the certificate is not valid: {why}")
        }
        rustls::Error::InvalidMessage(_) => "the answer is not TLS".into(),
        rustls::Error::AlertReceived(alert) => {
            format_compact!("the server refused the TLS connection: {alert:?}")
        }
        other => format_compact!("TLS: {other}"),
    }
}

/// When a certificate ends, where that is soon. Only its own times are looked at, and there is no authority that could have signed it.
fn ends_soon(certificate: &CertificateDer<'_>) -> Option<Timestamp> {
    let then = UnixTime::since_unix_epoch(Duration::from_secs(UnixTime::now().as_secs()) + SOON);
    let algorithms = ring::default_provider().signature_verification_algorithms;
    let parsed = ParsedCertificate::try_from(certificate).ok()?;
    let none = RootCertStore::empty();
    match verify_server_cert_signed_by_trust_anchor(&parsed, &none, &[], then, algorithms.all) {
        Err(rustls::Error::InvalidCertificate(CertificateError::ExpiredContext { not_after, .. })) => {
            Some(Timestamp::from(UNIX_EPOCH + Duration::from_secs(not_after.as_secs())))
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_for_tls_has_no_port() {
        let hosts =
            ["www.example.com", "www.example.com:8443", "[2001:db8::1]:443", "2001:db8::1", "192.0.2.1:1"];
        assert_eq!(
            hosts.map(without_port),
            ["www.example.com", "www.example.com", "2001:db8::1", "2001:db8::1", "192.0.2.1"]
        );
    }
}

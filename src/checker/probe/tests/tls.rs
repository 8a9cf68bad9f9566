//! Servers with certificates of each kind.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::SystemTime;

use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair};
use rustls::RootCertStore;
use rustls::ServerConfig;
use rustls::crypto::ring;
use rustls::pki_types::{PrivateKeyDer, PrivatePkcs8KeyDer};
use rustls::server::WebPkiClientVerifier;
use tempfile::TempDir;
use tokio_rustls::TlsAcceptor;

use super::*;
use crate::model::{Identity, Tls, Verify};

/// An authority, and the files that a check names.
struct Authority {
    issuer: CertifiedIssuer<'static, KeyPair>,
    files: TempDir,
}

impl Authority {
    fn new() -> Self {
        let mut params = CertificateParams::new(Vec::new()).unwrap();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let issuer = CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap();
        let files = tempfile::tempdir().unwrap();
        std::fs::write(files.path().join("ca.pem"), issuer.pem()).unwrap();
        Self { issuer, files }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.files.path().join(name)
    }

    /// A certificate for a name that is valid within so many days from now, and its key.
    fn certificate(&self, name: &str, days: (i64, i64)) -> (rcgen::Certificate, KeyPair) {
        let mut params = CertificateParams::new(vec![name.to_owned()]).unwrap();
        let day = |days: i64| {
            let seconds = Duration::from_secs(days.unsigned_abs() * 24 * 3600);
            let now = SystemTime::now();
            if days < 0 { (now - seconds).into() } else { (now + seconds).into() }
        };
        (params.not_before, params.not_after) = (day(days.0), day(days.1));
        let key = KeyPair::generate().unwrap();
        (params.signed_by(&key, &self.issuer).unwrap(), key)
    }

    /// Starts a server with such a certificate, which may want one of its clients.
    async fn server(
        &self,
        name: &str,
        days: (i64, i64),
        wants_identity: bool,
        behaviour: Behaviour,
    ) -> SocketAddr {
        let (certificate, key) = self.certificate(name, days);
        let provider = Arc::new(ring::default_provider());
        let builder = ServerConfig::builder_with_provider(Arc::clone(&provider))
            .with_safe_default_protocol_versions()
            .unwrap();
        let builder = if wants_identity {
            let mut roots = RootCertStore::empty();
            roots.add(self.issuer.der().clone()).unwrap();
            let verifier =
                WebPkiClientVerifier::builder_with_provider(Arc::new(roots), provider).build().unwrap();
            builder.with_client_cert_verifier(verifier)
        } else {
            builder.with_no_client_auth()
        };
        let key = PrivateKeyDer::from(PrivatePkcs8KeyDer::from(key.serialize_der()));
        let config = builder.with_single_cert(vec![certificate.der().clone()], key).unwrap();
        let acceptor = TlsAcceptor::from(Arc::new(config));
        listen(move |stream| {
            let acceptor = acceptor.clone();
            async move {
                if let Ok(stream) = acceptor.accept(stream).await {
                    behave(stream, behaviour).await;
                }
            }
        })
        .await
    }

    fn client(&self, name: Option<&str>) -> Tls {
        Tls { verify: Verify::Authority(self.path("ca.pem")), name: name.map(str::to_owned), identity: None }
    }
}

const VALID: (i64, i64) = (-1, 90);
const NAME: &str = "www.example.com";
const OK: Behaviour = Behaviour::Says("HTTP/1.1 200 OK\r\nContent-Length: 8\r\n\r\nall fine");

#[tokio::test]
async fn a_server_has_to_prove_who_it_is() {
    let (authority, other) = (Authority::new(), Authority::new());
    let invalid = |why: &str| failed(&format!("the certificate is not valid: {why}"));
    let unverified = || Tls { verify: Verify::None, ..authority.client(None) };
    let named = || authority.client(Some(NAME));
    let cases = [
        (named(), NAME, VALID, Outcome::PASSED),
        (named(), "other.example.com", VALID, invalid("it is for another name")),
        (named(), NAME, (-9, -1), invalid("it has expired")),
        (named(), NAME, (1, 9), invalid("it is not valid yet")),
        (other.client(Some(NAME)), NAME, VALID, invalid("no known authority has signed it")),
        // Without a name, it has to be for the address.
        (authority.client(None), "127.0.0.1", VALID, Outcome::PASSED),
        (authority.client(None), NAME, VALID, invalid("it is for another name")),
        (unverified(), "other.example.com", VALID, Outcome::PASSED),
    ];
    for (tls, name, days, expected) in cases {
        let target = authority.server(name, days, false, OK).await;
        let kind = CheckKind::Tls(tls, Exchange::default());
        assert_eq!(outcome_of(kind.clone(), LONG, target).await, expected, "{kind:?} {name} {days:?}");
    }
}

#[tokio::test]
async fn a_certificate_that_ends_soon_is_a_warning() {
    let authority = Authority::new();
    let target = authority.server(NAME, (-1, 5), false, OK).await;
    for verify in [Verify::Authority(authority.path("ca.pem")), Verify::None] {
        let tls = Tls { verify, ..authority.client(Some(NAME)) };
        let outcome = outcome_of(CheckKind::Https(get(None), tls), LONG, target).await;
        let Outcome::Passed { weight: None, warning: Some(warning) } = outcome else { panic!("{outcome:?}") };
        assert!(warning.starts_with(&format!("{target}: the certificate ends at 20")), "{warning}");
    }
}

#[tokio::test]
async fn tls_and_https_say_what_they_saw() {
    let authority = Authority::new();
    let tls = |send, expect| CheckKind::Tls(authority.client(Some(NAME)), exchange(send, expect));
    // The name comes from the `Host`.
    let https = || CheckKind::Https(get(Some(Body::Text("fine".to_owned()))), authority.client(None));
    let late = failed("no answer within 200 ms");
    let cases = [
        (tls(Some("\r\n\r\n"), Some("fine")), LONG, OK, Outcome::PASSED),
        (tls(Some("\r\n\r\n"), Some("x")), SHORT, Behaviour::Hangs, late.clone()),
        (https(), LONG, OK, Outcome::PASSED),
        (https(), LONG, Behaviour::Says("HTTP/1.1 503 No\r\n\r\n"), failed("status 503")),
        (
            https(),
            LONG,
            Behaviour::Says("nothing"),
            failed("the answer is not HTTP: invalid HTTP version parsed"),
        ),
        (
            https(),
            LONG,
            Behaviour::Floods("HTTP/1.1 200 OK\r\n\r\n"),
            failed("the body does not contain what is expected"),
        ),
    ];
    for (kind, timeout, behaviour, expected) in cases {
        let target = authority.server(NAME, VALID, false, behaviour).await;
        assert_eq!(outcome_of(kind.clone(), timeout, target).await, expected, "{kind:?} {behaviour:?}");
    }
    // These have no TLS.
    let plain = [
        (SHORT, Behaviour::Hangs, late.clone()),
        (SHORT, Behaviour::Trickles(""), late),
        (LONG, Behaviour::Closes, failed("connection closed")),
        (LONG, Behaviour::Resets, failed("connection reset")),
        (LONG, Behaviour::Says("HTTP/1.1 400 Bad Request\r\n\r\n"), failed("the answer is not TLS")),
    ];
    for (timeout, behaviour, expected) in plain {
        let target = listen(move |mut stream| async move {
            let _ = stream.read(&mut [0; 4096]).await;
            if matches!(behaviour, Behaviour::Resets) {
                SockRef::from(&stream).set_linger(Some(Duration::ZERO)).unwrap();
            } else if let Behaviour::Says(text) = behaviour {
                let _ = stream.write_all(text.as_bytes()).await;
                let _ = stream.shutdown().await;
            } else if let Behaviour::Hangs | Behaviour::Trickles(_) = behaviour {
                std::future::pending::<()>().await;
            }
        });
        assert_eq!(outcome_of(https(), timeout, target.await).await, expected, "{behaviour:?}");
    }
}

#[tokio::test]
async fn a_checker_proves_who_it_is_and_reads_a_renewed_certificate() {
    let authority = Authority::new();
    let target = authority.server(NAME, VALID, true, OK).await;
    let (certificate, key) = (authority.path("check.pem"), authority.path("check.key"));
    let identity = Identity { certificate: certificate.clone(), key: key.clone() };
    let tls = Tls { identity: Some(identity), ..authority.client(None) };
    let prober = Prober::new(&probed(CheckKind::Https(get(None), tls), LONG));
    let outcome = || async { prober.probe(target).await.outcome };
    let missing = outcome().await;
    let Outcome::Own(text) = &missing else { panic!("{missing:?}") };
    assert!(text.contains("check.pem: No such file or directory"), "{text}");

    let (mut written, written_key) = authority.certificate("checker", VALID);
    std::fs::write(&certificate, written.pem()).unwrap();
    std::fs::write(&key, written_key.serialize_pem()).unwrap();
    assert_eq!(outcome().await, Outcome::PASSED);

    let expired = authority.certificate("checker", (-9, -1));
    written = expired.0;
    std::fs::write(&certificate, written.pem()).unwrap();
    std::fs::write(&key, expired.1.serialize_pem()).unwrap();
    assert_eq!(outcome().await, failed("the server refused the TLS connection: CertificateExpired"));
}

#[tokio::test]
async fn a_pipe_in_place_of_a_file_of_certificates_is_not_waited_for() {
    let authority = Authority::new();
    let pipe = authority.path("pipe");
    assert!(std::process::Command::new("mkfifo").arg(&pipe).status().unwrap().success());
    let tls = Tls { verify: Verify::Authority(pipe), ..authority.client(None) };
    let target = closed_port().await;
    let outcome = outcome_of(CheckKind::Https(get(None), tls), LONG, target).await;
    let Outcome::Own(text) = &outcome else { panic!("{outcome:?}") };
    assert!(text.contains("it is a pipe, not a regular file"), "{text}");
}

//! Builds the configuration of TLS from the files of authorities, certificates and keys, again when they have changed.

use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};

use compact_str::{CompactString, format_compact};
use rustls::client::Resumption;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::{WebPkiSupportedAlgorithms, ring, verify_tls12_signature, verify_tls13_signature};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName, UnixTime};
use rustls::{ClientConfig, DigitallySignedStruct, RootCertStore, SignatureScheme};

use crate::files::read_regular;
use crate::model::{Tls, Verify};

/// No file of certificates is longer, in bytes.
const LONGEST: u64 = 4 * 1024 * 1024;

/// What a file was like when it was read: device, inode, length, and when it changed.
type Stamp = Option<(u64, u64, u64, i64, i64)>;

/// The files of a check, and what was built from them.
#[derive(Debug)]
pub(super) struct TlsFiles {
    tls: Tls,
    protocol: Option<Vec<u8>>,
    built: Mutex<Option<Built>>,
}

#[derive(Debug)]
struct Built {
    stamps: Vec<Stamp>,
    config: Result<Arc<ClientConfig>, CompactString>,
}

impl TlsFiles {
    pub(super) fn new(tls: &Tls, protocol: Option<&str>) -> Self {
        let protocol = protocol.map(|protocol| protocol.as_bytes().to_vec());
        Self { tls: tls.clone(), protocol, built: Mutex::new(None) }
    }

    /// The configuration; a certificate that was renewed is read again.
    ///
    /// # Errors
    /// Why a file cannot be read or used: a shortage of the checker's own, and no server's failure.
    pub(super) fn config(&self) -> Result<Arc<ClientConfig>, CompactString> {
        let stamps: Vec<Stamp> = self.paths().map(stamp).collect();
        let mut built = self.built.lock().unwrap_or_else(PoisonError::into_inner);
        match &*built {
            Some(built) if built.stamps == stamps => built.config.clone(),
            _ => {
                let config = self.build().map(Arc::new);
                *built = Some(Built { stamps, config: config.clone() });
                config
            }
        }
    }

    fn paths(&self) -> impl Iterator<Item = &Path> {
        let authority = match &self.tls.verify {
            Verify::Authority(path) => Some(path.as_path()),
            Verify::System | Verify::None => None,
        };
        let identity = self.tls.identity.iter();
        authority
            .into_iter()
            .chain(identity.flat_map(|identity| [identity.certificate.as_path(), identity.key.as_path()]))
    }

    fn build(&self) -> Result<ClientConfig, CompactString> {
        let provider = Arc::new(ring::default_provider());
        let algorithms = provider.signature_verification_algorithms;
        let builder = ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .map_err(|error| format_compact!("TLS: {error}"))?;
        let builder = match &self.tls.verify {
            Verify::System => builder.with_root_certificates(of_the_system()?),
            Verify::Authority(path) => builder.with_root_certificates(of_a_file(path)?),
            Verify::None => {
                builder.dangerous().with_custom_certificate_verifier(Arc::new(Unverified(algorithms)))
            }
        };
        let mut config = match &self.tls.identity {
            None => builder.with_no_client_auth(),
            Some(identity) => {
                let certificates = certificates(&identity.certificate)?;
                let key = PrivateKeyDer::from_pem_slice(&read(&identity.key)?).map_err(|error| {
                    format_compact!("{}: no private key in PEM: {error}", identity.key.display())
                })?;
                builder.with_client_auth_cert(certificates, key).map_err(|error| {
                    format_compact!("{}: not the key of the certificate: {error}", identity.key.display())
                })?
            }
        };
        // A session that goes on would not show the certificate.
        config.resumption = Resumption::disabled();
        config.alpn_protocols.extend(self.protocol.clone());
        Ok(config)
    }
}

fn stamp(path: &Path) -> Stamp {
    let of = |file: fs::Metadata| (file.dev(), file.ino(), file.len(), file.mtime(), file.mtime_nsec());
    fs::metadata(path).ok().map(of)
}

/// The text of a file that the configuration names. A pipe is none: the checker would wait in it.
fn read(path: &Path) -> Result<Vec<u8>, CompactString> {
    read_regular(path, LONGEST).map_err(|error| {
        let user = rustix::process::geteuid().as_raw();
        format_compact!("{}: {error} (read as the user {user})", path.display())
    })
}

fn certificates(path: &Path) -> Result<Vec<CertificateDer<'static>>, CompactString> {
    let text = read(path)?;
    let all: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(&text).collect();
    match all {
        Ok(all) if !all.is_empty() => Ok(all),
        Ok(_) => Err(format_compact!("{}: no certificate in PEM", path.display())),
        Err(error) => Err(format_compact!("{}: no certificate in PEM: {error}", path.display())),
    }
}

fn of_a_file(path: &Path) -> Result<RootCertStore, CompactString> {
    let mut roots = RootCertStore::empty();
    for certificate in certificates(path)? {
        roots.add(certificate).map_err(|error| format_compact!("{}: {error}", path.display()))?;
    }
    Ok(roots)
}

/// The authorities of the system, which are read once: all checks share them.
fn of_the_system() -> Result<Arc<RootCertStore>, CompactString> {
    static SYSTEM: Mutex<Option<Arc<RootCertStore>>> = Mutex::new(None);
    let mut system = SYSTEM.lock().unwrap_or_else(PoisonError::into_inner);
    if let Some(roots) = &*system {
        return Ok(Arc::clone(roots));
    }
    let found = rustls_native_certs::load_native_certs();
    let mut roots = RootCertStore::empty();
    roots.add_parsable_certificates(found.certs);
    match found.errors.first() {
        _ if !roots.is_empty() => Ok(Arc::clone(system.insert(Arc::new(roots)))),
        Some(error) => Err(format_compact!("no authorities of the system: {error}")),
        None => Err("no authorities of the system: is `ca-certificates` installed?".into()),
    }
}

/// Takes any certificate, whose key only has to have signed the handshake.
#[derive(Debug)]
struct Unverified(WebPkiSupportedAlgorithms);

impl ServerCertVerifier for Unverified {
    fn verify_server_cert(
        &self,
        _: &CertificateDer<'_>,
        _: &[CertificateDer<'_>],
        _: &ServerName<'_>,
        _: &[u8],
        _: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        verify_tls12_signature(message, certificate, signature, &self.0)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        verify_tls13_signature(message, certificate, signature, &self.0)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.0.supported_schemes()
    }
}

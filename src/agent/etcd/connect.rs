//! Connects to one member of etcd: looks up its name, checks its certificate, and sees that it can read.

use std::net::{IpAddr, SocketAddr};
use std::path::Path;
use std::time::Duration;

use etcd_client::{Certificate, Client, ConnectOptions, GetOptions, Identity, TlsOptions};
use tokio::task::spawn_blocking;
use tokio::time::timeout;

use super::endpoint::Endpoint;
use super::error::{Attempt, EtcdError};
use super::keys::{Keys, end_of};
use crate::agent::settings::{EtcdSettings, TlsSettings};
use crate::files::read_regular;
use crate::host::all_addresses_of;

/// How long a member may take for anything.
pub(super) const PATIENCE: Duration = Duration::from_secs(5);

/// How often a connection is probed. etcd ends those that are probed more often than every 5 s (--grpc-keepalive-min-time): seen with 3.4.23.
const PROBE: Duration = Duration::from_millis(5500);

/// How long the answer to that may take.
const PROBE_PATIENCE: Duration = Duration::from_secs(2);

/// The most bytes of a file with certificates.
const MOST_BYTES: u64 = 1 << 20;

/// A client of this member, which was able to read.
///
/// # Errors
/// [`EtcdError::Interrupted`] where another member may be able to, and others.
pub(super) async fn connect(member: &str, settings: &EtcdSettings) -> Result<Client, EtcdError> {
    let certificate = settings.tls.as_ref().and_then(|tls| tls.client.as_ref());
    let attempt = Attempt {
        action: "connect to etcd".to_owned(),
        member: member.to_owned(),
        certificate: certificate.map(|client| client.certificate.clone()),
    };
    let endpoint = Endpoint::parse(member).map_err(|expected| attempt.interrupted(expected))?;
    let mut options = ConnectOptions::new()
        .with_connect_timeout(PATIENCE)
        .with_keep_alive(PROBE, PROBE_PATIENCE)
        .with_keep_alive_while_idle(true)
        .with_require_leader(true);
    match &settings.tls {
        Some(tls) if endpoint.is_tls => options = options.with_tls(certificates(tls, &endpoint.host)?),
        None if !endpoint.is_tls => {}
        Some(_) => return Err(attempt.interrupted("the settings have certificates: expected https://")),
        None => return Err(attempt.interrupted("the settings have no certificates: expected http://")),
    }
    let mut failed = attempt.interrupted("its name has no address");
    for address in addresses(&endpoint, &attempt).await? {
        match connect_to(address, &endpoint, options.clone(), settings, &attempt).await {
            Ok(client) => return Ok(client),
            Err(error) if error.is_of_member() => failed = error,
            Err(error) => return Err(error),
        }
    }
    Err(failed)
}

async fn connect_to(
    address: SocketAddr,
    endpoint: &Endpoint,
    options: ConnectOptions,
    settings: &EtcdSettings,
    attempt: &Attempt,
) -> Result<Client, EtcdError> {
    let scheme = if endpoint.is_tls { "https" } else { "http" };
    let connected = async {
        // This does not connect yet. A member that is cut off from the others cannot read either.
        let client = Client::connect([format!("{scheme}://{address}")], Some(options)).await?;
        let start = Keys::new(&settings.prefix).whole("");
        let all = GetOptions::new().with_range(end_of(&start)).with_count_only();
        client.kv_client().get(start, Some(all)).await.map(|_| client)
    };
    match timeout(PATIENCE, connected).await {
        Ok(connected) => connected.map_err(|error| attempt.failed(&error)),
        Err(_) => Err(attempt.interrupted(format!("no answer within {} s", PATIENCE.as_secs()))),
    }
}

/// The addresses of a member. Names are looked up by the system's own program: this one may be linked statically.
async fn addresses(endpoint: &Endpoint, attempt: &Attempt) -> Result<Vec<SocketAddr>, EtcdError> {
    let port = endpoint.port;
    if let Ok(address) = endpoint.host.parse::<IpAddr>() {
        return Ok(vec![SocketAddr::new(address, port)]);
    }
    let host = endpoint.host.clone();
    let found = timeout(PATIENCE, spawn_blocking(move || all_addresses_of(&host))).await;
    match found {
        Ok(Ok(Ok(found))) => Ok(found.into_iter().map(|address| SocketAddr::new(address, port)).collect()),
        Ok(Ok(Err(why))) => Err(attempt.interrupted(why)),
        Ok(Err(_)) | Err(_) => Err(attempt.interrupted("the system's resolver does not answer for its name")),
    }
}

/// The files are read for each connection, so that renewed ones are taken.
fn certificates(tls: &TlsSettings, host: &str) -> Result<TlsOptions, EtcdError> {
    let mut options =
        TlsOptions::new().domain_name(host).ca_certificate(Certificate::from_pem(read(&tls.ca)?));
    if let Some(client) = &tls.client {
        options = options.identity(Identity::from_pem(read(&client.certificate)?, read(&client.key)?));
    }
    Ok(options)
}

fn read(path: &Path) -> Result<Vec<u8>, EtcdError> {
    read_regular(path, MOST_BYTES).map_err(|cause| EtcdError::Certificate { path: path.to_owned(), cause })
}

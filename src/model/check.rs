//! A health check: how a real server shows that it serves, as the file defines it.
//!
//! The definitions are written as they are into the file of probes, so that they can be serialised.

use std::fmt;
use std::net::IpAddr;
use std::path::PathBuf;
use std::time::Duration;

use compact_str::CompactString;
use serde::{Deserialize, Serialize};

use super::named::named;

named! {
    /// The types of health checks.
    pub enum CheckType {
        /// A TCP connection; with `send` and `expect`, also what is said over it.
        Tcp = "tcp",
        /// A TLS handshake; with `send` and `expect`, also what is said over it.
        Tls = "tls",
        /// An HTTP request.
        Http = "http",
        /// An HTTP request over TLS.
        Https = "https",
        /// A DNS question over UDP.
        Dns = "dns",
        /// A UDP packet, and with `expect` an answer to it.
        Udp = "udp",
        /// An ICMP echo.
        Ping = "ping",
        /// A program.
        Exec = "exec",
    }
}

named! {
    /// Where a check reads the weight of a server from.
    pub enum WeightSource {
        /// The first line that the program writes.
        Output = "output",
    }
}

/// A check: what is sent to a real server, how often, and how many answers make a verdict.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Check {
    /// Its name under `checks`, or its type where it is written in the cluster itself; for people
    pub name: CompactString,
    /// Where it connects to; `None`: the server's own address
    pub address: Option<IpAddr>,
    /// The port; `None`: the server's own
    pub port: Option<u16>,
    /// The address that it connects from; `None`: that of the route
    pub source: Option<IpAddr>,
    /// How often, and how many results make a verdict
    pub timing: Timing,
    /// What is sent, and what is expected
    pub kind: CheckKind,
}

/// How often a server is probed, and how many results make a verdict.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Timing {
    /// From one probe to the next
    pub interval: Duration,
    /// When a probe without an answer has failed; shorter than the interval
    pub timeout: Duration,
    /// The interval until the first verdict, and while the verdict is about to change
    pub fast: Duration,
    /// How many failures in a row make the verdict "failing"
    pub fall: u32,
    /// How many successes in a row make the verdict "passing" again
    pub rise: u32,
}

impl Timing {
    /// That of a check that says nothing.
    pub const DEFAULT: Self = Self {
        interval: Duration::from_secs(5),
        timeout: Duration::from_secs(2),
        fast: Duration::from_secs(1),
        fall: 3,
        rise: 2,
    };
}

/// What is sent to a server, and what is expected.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum CheckKind {
    /// A TCP connection, with what is said over it
    Tcp(Exchange),
    /// A TLS handshake, with what is said over it
    Tls(Tls, Exchange),
    /// An HTTP request
    Http(Http),
    /// An HTTP request over TLS
    Https(Http, Tls),
    /// A DNS question over UDP
    Dns(Dns),
    /// A datagram, and an answer to it
    Udp(Exchange),
    /// An ICMP echo
    Ping,
    /// A program
    Exec(Exec),
}

impl CheckKind {
    /// Its name in the file.
    pub fn word(&self) -> &'static str {
        match self {
            Self::Tcp(_) => "tcp",
            Self::Tls(..) => "tls",
            Self::Http(_) => "http",
            Self::Https(..) => "https",
            Self::Dns(_) => "dns",
            Self::Udp(_) => "udp",
            Self::Ping => "ping",
            Self::Exec(_) => "exec",
        }
    }

    /// Whether it is sent to a port; an echo and a program are not.
    pub fn has_port(&self) -> bool {
        match self {
            Self::Tcp(_) | Self::Tls(..) | Self::Http(_) | Self::Https(..) | Self::Dns(_) | Self::Udp(_) => {
                true
            }
            Self::Ping | Self::Exec(_) => false,
        }
    }
}

impl fmt::Display for CheckKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.word())
    }
}

/// What is sent to a server, and what its answer has to contain.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Default, Serialize, Deserialize)]
pub struct Exchange {
    /// The bytes to send, if any
    pub send: Option<Vec<u8>>,
    /// The bytes that the answer has to contain, if any
    pub expect: Option<Vec<u8>>,
}

/// An HTTP request, and what is expected of its answer.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Http {
    /// The path, with a query if it has one
    pub path: String,
    /// The `Host` header, and the name for TLS; `None`: the server's address
    pub host: Option<String>,
    /// The method
    pub method: String,
    /// More headers
    pub headers: Vec<(String, String)>,
    /// The status codes that pass: ranges with both ends
    pub status: Vec<(u16, u16)>,
    /// What the first 64 KiB of the body have to contain, if anything
    pub body: Option<Body>,
}

/// What the body of an answer has to contain.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Body {
    /// A text
    Text(String),
    /// What a regular expression matches
    Regex(String),
}

/// How a server proves over TLS who it is, and how the checker does.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Tls {
    /// By which authorities the certificate is verified
    pub verify: Verify,
    /// The name that the certificate has to be for, which is sent as SNI, too; `None`: the `host` of a request
    pub name: Option<String>,
    /// The checker's own certificate and key, for mutual TLS
    pub identity: Option<Identity>,
}

/// The files of a certificate and of its key, in PEM.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Identity {
    /// The certificate, with those between it and its authority
    pub certificate: PathBuf,
    /// The key
    pub key: PathBuf,
}

/// By which authorities a certificate is verified.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Verify {
    /// Those of the system
    System,
    /// Not at all
    None,
    /// Those in a file, in PEM
    Authority(PathBuf),
}

/// A question for a name server.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Dns {
    /// The name
    pub name: String,
    /// The type of the records in question
    pub record: RecordType,
    /// The address or text that one of the records has to be, if any
    pub answer: Option<String>,
}

/// The type of a DNS record.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "UPPERCASE")]
pub enum RecordType {
    /// IPv4 addresses
    A,
    /// IPv6 addresses
    Aaaa,
    /// Another name
    Cname,
    /// Name servers
    Ns,
    /// The start of a zone
    Soa,
    /// Texts
    Txt,
}

/// A program that checks a server.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Exec {
    /// The program and its arguments, in which `{address}`, `{port}` and `{cluster}` are replaced; never a shell
    pub command: Vec<String>,
    /// Whether the weight is read from its output
    pub weight_from_output: bool,
}
